"""The services that read: what the site has, what changed, all of it, and single objects."""

import hashlib
from importlib.metadata import version
from time import monotonic

from plone.dexterity.interfaces import IDexterityFTI
from zope.component import getUtilitiesFor
from zope.schema import getFieldsInOrder

from synchro_plone import codec
from synchro_plone import outbox
from synchro_plone import PROTOCOL
from synchro_plone.checks import MAX_ITEMS
from synchro_plone.courtesy import GATE
from synchro_plone.service import is_uid
from synchro_plone.service import JSON
from synchro_plone.service import MAX_BODY
from synchro_plone.service import Refused
from synchro_plone.service import Service
from synchro_plone.settings import settings
from synchro_plone.snapshot import blobs_of
from synchro_plone.snapshot import digest_of
from synchro_plone.snapshot import Finder
from synchro_plone.snapshot import snapshot

MAX_CHANGES = 5000
MAX_ROWS = 5000
MAX_READ = 100
LONGEST = 2.0
"""Seconds after which a page of digests ends: a site has few threads."""


class Info(Service):
    """GET @synchro-info: what this site has and lets be done."""

    def reply(self):
        wishes = settings()
        return {
            "protocol": PROTOCOL,
            "version": version("synchro_plone"),
            "plone": version("Products.CMFPlone"),
            "feed": self.store.feed,
            "top": str(outbox.top(self.store)),
            "oldest": outbox.oldest(self.store).hex(),
            "writer": wishes.writer or "",
            "fence": self.store.fence,
            "conflicts": GATE.conflicts,
            "limits": {
                "body": MAX_BODY,
                "changes": MAX_CHANGES,
                "rows": MAX_ROWS,
                "read": MAX_READ,
                "items": MAX_ITEMS,
            },
            "options": {k: list(getattr(wishes, k) or []) for k in ("paths", "types", "roles", "states", "markers")},
            "types": dict(sorted((name, _schema_digest(fti)) for name, fti in getUtilitiesFor(IDexterityFTI))),
        }


def _schema_digest(fti):
    """_schema_digest is equal on sites where a type has the same fields."""
    schemata = [fti.lookupSchema()] if fti.schema or fti.model_source or fti.model_file else []
    fields = sorted(
        (name, type(field).__name__) for schema in schemata if schema is not None for name, field in getFieldsInOrder(schema)
    )
    return hashlib.sha256(codec.canonical([fields, sorted(fti.behaviors)]).encode()).hexdigest()[:16]


class Feed(Service):
    """GET @synchro-feed?since=CURSOR&limit=N: what was committed since. Without a cursor it
    says where the feed ends now, and nothing else."""

    def reply(self):
        since = self.text("since", 1024)
        limit = self.number("limit", 1000, 1, MAX_CHANGES)
        if not since:
            return self._answer([], outbox.top(self.store), False)
        try:
            return self._answer(*outbox.changes(self.store, outbox.Cursor.parse(since), limit))
        except ValueError as e:
            raise Refused(400, "BadRequest", f"since is {e}") from None
        except outbox.Distrust as e:
            raise Refused(410, "Gone", "list and compare: the feed cannot say what changed", reason=str(e)) from None

    def _answer(self, entries, until, more):
        changes = [{"tid": tid.hex(), "uid": uid, "op": op, "path": path, "by": by} for tid, uid, op, path, by in entries]
        return {"feed": self.store.feed, "until": str(until), "more": more, "changes": changes}


class List(Service):
    """GET @synchro-list?after=UID&limit=N&digest=1: every content object, by UID."""

    def reply(self):
        limit = self.number("limit", 500, 1, MAX_ROWS)
        digest = self.number("digest", 0, 0, 1)
        finder, known, until = Finder(), {}, monotonic() + LONGEST
        rows, last, dead = finder.rows(self.text("after", 64), limit), None, 0
        objects = []
        for uid, path in rows:
            if objects and monotonic() > until:
                break
            last = uid
            obj = finder.at(path, uid)
            if obj is None:
                dead += 1
                continue
            objects.append(self._row(obj, uid, known, digest))
        ended = len(rows) < limit and (not rows or last == rows[-1][0])
        return {"feed": self.store.feed, "objects": objects, "next": None if ended else last, "dead": dead}

    def _row(self, obj, uid, known, digest):
        path = "/".join(obj.getPhysicalPath()[len(self.context.getPhysicalPath()) :])
        if not digest:
            return [uid, path, obj.portal_type]
        item = snapshot(obj, known)
        return [uid, path, obj.portal_type, digest_of(item), blobs_of(item)]


class Read(Service):
    """POST @synchro-read {uids}: the whole state of objects."""

    media = JSON
    max_body = 1 << 20

    def reply(self):
        uids = self.body().get("uids")
        if not isinstance(uids, list) or len(uids) > MAX_READ or not all(isinstance(u, str) and len(u) <= 64 for u in uids):
            raise Refused(400, "BadRequest", f"uids has to be a list of at most {MAX_READ} UIDs")
        finder, known = Finder(), {}
        return {"feed": self.store.feed, "items": [self._item(finder, uid, known) for uid in uids]}

    def _item(self, finder, uid, known):
        obj = finder.find(uid) if is_uid(uid) else None
        if obj is None:
            return {"uid": uid, "gone": True}
        item = snapshot(obj, known)
        item["digest"], item["blobs"] = digest_of(item), blobs_of(item)
        return item
