"""What Synchro keeps in a site: one persistent object in the annotations of its root."""

from uuid import uuid4

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.annotation.interfaces import IAnnotations
from zope.component.hooks import getSite

from synchro_plone.outbox import Shard

KEY = "synchro_plone"
SHARDS = 256
"""With as many, four writers at once never met in one shard (conflicts are resolved)."""


class Store(Persistent):
    """The outbox and the ledger of one site."""

    def __init__(self):
        self.feed = uuid4().hex
        self.shards = tuple(Shard() for _ in range(SHARDS))
        # uid -> (version, digest); the digest of an object that was removed is None.
        self.ledger = OOBTree()
        # uid -> what of its state waits for others, and those others -> who waits.
        self.pending = OOBTree()
        self.waiting = OOBTree()
        self.fence = 0

    def shard(self, uid):
        return self.shards[int(uid[:8], 16) % SHARDS if _is_hex(uid[:8]) else hash_of(uid)]


def _is_hex(text):
    return len(text) == 8 and all(c in "0123456789abcdef" for c in text)


def hash_of(uid):
    """hash_of is the same in every process, which hash() is not."""
    return sum(uid.encode("utf-8", "surrogatepass")) % SHARDS


def store_of(site=None):
    """store_of gives a site's store; None where the profile is not installed."""
    site = getSite() if site is None else site
    annotations = getattr(site, "__annotations__", None)
    return annotations.get(KEY) if annotations else None


def create(site):
    annotations = IAnnotations(site)
    if KEY not in annotations:
        annotations[KEY] = Store()


def remove(site):
    IAnnotations(site).pop(KEY, None)
