"""The outbox: which object changed in which transaction.

It lies in the site's own database, so that an entry is committed with the change it is about.
Its cursor is the database's transaction id. Ids are given under the commit lock: what commits
later is higher, so a slow transaction cannot hide behind the cursor.
"""

import re
from dataclasses import dataclass
from time import gmtime
from time import time

from persistent import Persistent
from persistent.timestamp import TimeStamp

ZERO = b"\0" * 8
DAY = 24 * 3600


def tid_of(seconds):
    """tid_of gives the lowest transaction id of a moment."""
    t = gmtime(max(seconds, 0))
    return TimeStamp(*t[:5], float(t.tm_sec)).raw()


class Shard(Persistent):
    """A part of the outbox that finds out by itself what its own transaction was.

    An object cannot know the id of the transaction that will write it. It is known afterwards
    as its serial, so entries are fresh first and get their stamp when the shard is written the
    next time; until then whoever reads takes the serial.
    """

    def __init__(self):
        self.entries = {}  # uid -> (stamp or None, op, path, by)
        self.fresh = ()
        self.base = None  # the serial when the fresh entries were added
        self.floor = ZERO  # the highest stamp that was pruned

    def mark(self, uid, op, path, by, retention):
        self._p_activate()
        self._settle()
        former = self.entries.get(uid)
        if path is None and former is not None and (former[1] == op or uid in self.fresh):
            path = former[2]
        if former == (None, op, path, by):
            return
        self.entries[uid] = (None, op, path, by)
        self.fresh = tuple({*self.fresh, uid})
        self._prune(tid_of(time() - retention * DAY))
        self._p_changed = True

    def has_fresh(self, uid):
        """has_fresh tells whether the transaction that is under way has marked an object."""
        self._p_activate()
        return uid in self.fresh and self._p_serial == self.base

    def _settle(self):
        """Stamps what an earlier transaction brought. Within one transaction the serial stays
        the base, also after a savepoint."""
        if self.fresh and self._p_serial != self.base:
            for uid in self.fresh:
                self.entries[uid] = (self._p_serial, *self.entries[uid][1:])
            self.fresh = ()
        self.base = self._p_serial

    def _prune(self, before):
        for uid, (stamp, *_) in list(self.entries.items()):
            if stamp is not None and stamp < before:
                self.floor = max(self.floor, stamp)
                del self.entries[uid]

    def stamped(self):
        """stamped yields stamp, uid, op, path, by of each committed entry."""
        for uid, (stamp, *rest) in self.entries.items():
            yield (stamp or self._p_serial, uid, *rest)

    def _p_resolveConflict(self, old, committed, new):
        # What the other transaction brought has a stamp that is not known here; it gets this
        # transaction's, which is higher: it is reported twice and never lost.
        entries = dict(committed["entries"])
        entries.update({uid: new["entries"][uid] for uid in new["fresh"]})
        fresh = {*new["fresh"], *committed["fresh"]}
        for uid in fresh:
            entries[uid] = (None, *entries[uid][1:])
        return {**committed, "entries": entries, "fresh": tuple(fresh), "base": new["base"]}


class Distrust(Exception):
    """Why a cursor cannot be answered: the reader has to list and compare."""


_CURSOR = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{16})\.([^.,\s]{0,64})((?:,[0-9a-f]{16}-[^.,\s]{1,64}){0,8})")


@dataclass
class Cursor:
    """How far a reader has come, and a few changes that it has seen, by which a database that
    went another way since is known."""

    feed: str
    tid: bytes
    uid: str
    seen: tuple  # of (stamp, uid)

    def __str__(self):
        seen = "".join(f",{stamp.hex()}-{uid}" for stamp, uid in self.seen)
        return f"{self.feed}.{self.tid.hex()}.{self.uid}{seen}"

    @classmethod
    def parse(cls, text):
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise ValueError("no cursor of this feed")
        pairs = [pair.split("-", 1) for pair in found[4].split(",")[1:]]
        seen = tuple((bytes.fromhex(stamp), uid) for stamp, uid in pairs)
        return cls(found[1], bytes.fromhex(found[2]), found[3], seen)


SEEN = 4


def committed(store):
    """committed yields all shards with their serial known."""
    for shard in store.shards:
        shard._p_activate()  # or the serial is zero
        yield shard


def top(store):
    """top is the cursor behind everything that is committed."""
    entries = sorted((e[:2] for shard in committed(store) for e in shard.stamped()), reverse=True)
    tid, uid = entries[0] if entries else (ZERO, "")
    return Cursor(store.feed, tid, uid, tuple(entries[:SEEN]))


def oldest(store):
    """oldest is the transaction before which something was pruned."""
    return max(shard.floor for shard in committed(store))


def changes(store, cursor, limit):
    """changes gives the entries behind a cursor, the cursor behind them, and whether there are
    more. Its pages may end inside a transaction."""
    _trust(store, cursor)
    after = (cursor.tid, cursor.uid)
    found = sorted(
        entry
        for shard in committed(store)
        if shard._p_serial >= cursor.tid
        for entry in shard.stamped()
        if entry[:2] > after
    )
    page = found[:limit]
    if not page:
        return [], cursor, False
    seen = tuple(e[:2] for e in reversed(page[-SEEN:]))
    return page, Cursor(store.feed, *page[-1][:2], seen), len(found) > limit


def _trust(store, cursor):
    if cursor.feed != store.feed:
        raise Distrust("forked")
    if cursor.tid > max(shard._p_serial for shard in committed(store)):
        raise Distrust("rewound")
    if oldest(store) > cursor.tid:
        raise Distrust("pruned")
    for stamp, uid in cursor.seen:
        shard = store.shard(uid)
        entry = shard.entries.get(uid)
        if entry is None and stamp <= shard.floor:
            continue
        # An entry gets higher stamps only: a lower one is another history's.
        if entry is None or (entry[0] or shard._p_serial) < stamp:
            raise Distrust("forked")
