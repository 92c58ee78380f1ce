"""Lets editors go first.

A steady writer makes the saves of others fail, one conflict after the other. So a batch waits
before its commit until no other request of this process is writing, and holds back new ones
until it is done. It keeps an editor waiting for as long as a commit takes, and no save fails.
"""

from threading import Condition
from threading import get_ident
from time import monotonic

import transaction
from ZODB.POSException import ConflictError

PATIENCE = 3.0
"""Seconds that a batch waits for others; then it takes its chance."""
LONGEST = 10.0
"""Seconds that others wait for a batch."""


class Gate:
    """Who is writing in this process, by thread."""

    def __init__(self):
        self.changed = Condition()
        self.writing = set()
        self.closed_by = None
        self.conflicts = 0

    def enter(self):
        """enter notes a writer, once the gate is open. It tells whether that took a wait."""
        with self.changed:
            waited = self.closed_by is not None
            self.changed.wait_for(lambda: self.closed_by is None, LONGEST)
            self.writing.add(get_ident())
        return waited

    def close(self):
        """close waits until nobody else is writing."""
        me, until = get_ident(), monotonic() + PATIENCE
        with self.changed:
            self.changed.wait_for(lambda: self.closed_by in (None, me), PATIENCE)
            self.closed_by = me
            self.changed.wait_for(lambda: not self.writing - {me}, max(0, until - monotonic()))

    def leave(self):
        with self.changed:
            self.writing.discard(get_ident())
            if self.closed_by == get_ident():
                self.closed_by = None
            self.changed.notify_all()


GATE = Gate()


def starts(event):
    """starts is called before a request is looked at, with a transaction that has just begun."""
    request = event.request
    if request.get("REQUEST_METHOD") in ("GET", "HEAD", "OPTIONS") or "/@synchro-" in request.get("PATH_INFO", ""):
        return
    if GATE.enter():
        transaction.begin()  # to see what was committed meanwhile, not to conflict with it


def ends(event):
    """ends is called after the commit, or after everything has been undone."""
    failure = getattr(event, "exc_info", None)
    if failure and issubclass(failure[0], ConflictError):
        GATE.conflicts += 1
    GATE.leave()
