"""A plugin that writes each change that has taken effect as a line of JSON.

    sites:
      paris:
        folder: {path: ./paris}
        plugins: [{id: journal, sides: [import], priority: 200, format: json}]

With a priority above that of the driver, 100, it hears of a change when it has taken effect.
A crash may bring a line twice: what has the same uid, version and operation is the same.
"""

import json
import os

from synchro_plugin import options, serve

parser = options("Write each change as a line of JSON.")
parser.add_argument("--file", default="journal.jsonl", help="where to")
arguments = parser.parse_args()
journal = open(arguments.file, "a", encoding="utf-8")


async def note(call, _store):
    line = {key: call.get(key) for key in ("operation", "uid", "version", "site", "source", "type", "from", "to")}
    journal.write(json.dumps(line) + "\n")
    journal.flush()
    os.fsync(journal.fileno())  # the answer says that it is done


serve("journal", arguments, **{"import": note})
