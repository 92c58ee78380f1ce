"""A plugin that gives images plain names on a receiver, and pages the right links to them.

    sites:
      paris:
        folder: {path: ./paris}
        plugins: [{id: image-names, sides: [import, locate], types: [file], format: json}]
        locate: [{type: file, at: "plugin:image-names"}]

"Holiday 1.JPEG" becomes "holiday-1.jpg", and so does its name in pages that show it.
"""

import re
from urllib.parse import quote, unquote

from synchro_plugin import Refused, options, serve

IMAGE = re.compile(r"(.+)\.(jpe?g|png|gif|webp)", re.IGNORECASE)
SHOWN = re.compile(rb"""(<img\b[^>]*?\bsrc=)(["'])([^"'>]+)\2""", re.IGNORECASE)


def plain(name):
    """The plain name of an image; other names stay."""
    image = IMAGE.fullmatch(name)
    if not image:
        return name
    stem, kind = image.group(1).lower(), image.group(2).lower().replace("jpeg", "jpg")
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") + "." + kind


async def locate(call, _store):
    folder, slash, name = call["path"].rpartition("/")
    if plain(name).startswith("."):
        raise Refused(f"nothing is left of the name {name}")
    return {"path": folder + slash + plain(name)}


def relink(match):
    before, mark, address = match.groups()
    address = address.decode()
    if ":" in address:
        return match.group(0)  # it lies elsewhere
    folder, slash, name = address.rpartition("/")
    return before + mark + (folder + slash + quote(plain(unquote(name)))).encode() + mark


async def rewrite(call, store):
    if call["operation"] != "modified" or not call["name"].endswith((".html", ".htm")):
        return None
    for index, payload in enumerate(call["payloads"]):
        if payload["plugin"] == "fss":
            old = await store.read(payload)
            new = SHOWN.sub(relink, old)
            if new != old:
                return {"payloads": [{"index": index, **await store.write(new)}]}
    return None


serve("image-names", options("Give images plain names.").parse_args(), **{"import": rewrite, "locate": locate})
