"""Finds out what a transaction changes, and marks it in the outbox.

Most changes pass the indexing queue. Those that do not (a layout, a default page, local roles
set by a script, an order) show in what the database connection is about to write, so that is
looked at before the commit.
"""

import transaction
from Acquisition import aq_base
from Acquisition import aq_parent
from persistent.list import PersistentList
from plone.dexterity.content import DexterityContent
from plone.folder.default import DefaultOrdering
from Products.CMFCore.interfaces import IIndexQueueProcessor
from Products.CMFCore.interfaces import ISiteRoot
from zope.component.hooks import getSite
from zope.interface import implementer
from zope.proxy import removeAllProxies

from synchro_plone.settings import settings
from synchro_plone.store import store_of

UID = "_plone.uuid"
APPLYING = "synchro_plone applies"
LOOKING = "synchro_plone looks"

# A change of these alone is another object's: of what is above, or beside.
DERIVED = {"allowedRolesAndUsers", "getObjPositionInParent"}


def uid_of(obj):
    """uid_of gives the UID of a content object and None for everything else."""
    obj = aq_base(removeAllProxies(obj))
    if not isinstance(obj, DexterityContent) or ISiteRoot.providedBy(obj):
        return None
    return getattr(obj, UID, None)


def applying():
    """applying notes that the transaction is Synchro's own."""
    transaction.get().set_data(APPLYING, True)


def _by():
    try:
        return "apply" if transaction.get().data(APPLYING) else "edit"
    except KeyError:
        return "edit"


class Marks:
    """The marks of one moment in one site."""

    def __init__(self, store):
        self.store = store
        self.retention = settings().retention if settings() is not None else 30

    def mark(self, obj, op, path=None):
        uid = uid_of(obj)
        if uid:
            self.store.shard(uid).mark(uid, op, path, _by(), self.retention)

    def touch(self, obj):
        """touch marks what nothing has marked: of a removed object more than that is known."""
        uid = uid_of(obj)
        if uid and not self.store.shard(uid).has_fresh(uid):
            self.mark(obj, "m")


def _record(obj, op, path=None):
    store = store_of()
    if store is not None:
        Marks(store).mark(obj, op, path)
        look_later()


def relative_path(obj):
    """relative_path is an object's path below the root of its site."""
    return "/".join(obj.getPhysicalPath()[len(getSite().getPhysicalPath()) :])


@implementer(IIndexQueueProcessor)
class Recorder:
    """Sees everything that is indexed, also in scripts."""

    def index(self, obj, attributes=None):
        _record(obj, "m")

    def reindex(self, obj, attributes=None, update_metadata=1):
        if not attributes or not DERIVED.issuperset(attributes):
            _record(obj, "m")
        elif store_of() is not None:
            look_later()

    def unindex(self, obj):
        _record(obj, "d", relative_path(obj))

    def begin(self):
        pass

    commit = abort = begin


def look_at_end(event):
    """look_at_end arms the look at what a request changes."""
    if store_of() is not None:
        look_later()


def look_later():
    """look_later has the look come before the commit, once in a transaction."""
    current = transaction.get()
    try:
        current.data(LOOKING)
    except KeyError:
        current.set_data(LOOKING, True)
        current.addBeforeCommitHook(_look, (getSite(),))


def _look(site):
    store = store_of(site)
    if store is None:
        return
    marks = Marks(store)
    changed = _changed(site._p_jar)
    contents = [obj for obj in changed if uid_of(obj)]
    for obj in contents:
        marks.touch(obj)
    lists = [obj for obj in changed if isinstance(obj, PersistentList)]
    for container in _ordered_by(lists, contents, site._p_jar):
        marks.touch(container)


def _changed(jar):
    """_changed gives the objects that a connection is about to write."""
    changed = list(jar._registered_objects)
    saved = jar._savepoint_storage
    if saved is not None:
        changed += [jar.get(oid) for oid in list(saved.index)]
    return changed


def _ordered_by(lists, near, jar):
    """_ordered_by finds the containers whose order these lists are: near by first, and then
    among all that is loaded, since who reorders has loaded the container."""
    wanted = {id(obj) for obj in lists}
    parents = [aq_parent(obj) or getattr(obj, "__parent__", None) for obj in near]
    for candidates in (near + parents, _loaded(jar)):
        for obj in candidates:
            if not wanted:
                return
            order = _order_of(obj)
            if order is not None and id(order) in wanted:
                wanted.discard(id(order))
                yield obj


def _loaded(jar):
    # A generator, since the cache is large and rarely needed.
    for _, obj in jar._cache.items():
        if isinstance(obj, DexterityContent) and obj._p_changed is not None:
            yield obj


def _order_of(obj):
    annotations = getattr(aq_base(obj), "__annotations__", None)
    if annotations is None or annotations._p_changed is None:
        return None
    return annotations.get(DefaultOrdering.ORDER_KEY)
