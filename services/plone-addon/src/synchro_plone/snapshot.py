"""An object as it stands in the database: the state that travels.

Fields are read where they are stored, not as forms show them. What no schema names (dates,
history, roles, layout and so on) is read straight from the object.
"""

import hashlib
from dataclasses import dataclass

from Acquisition import aq_base
from Acquisition import aq_inner
from Acquisition import aq_parent
from plone.app.multilingual.interfaces import ATTRIBUTE_NAME as GROUP
from plone.dexterity.utils import iterSchemata
from Products.CMFCore.interfaces import ISiteRoot
from zope.component.hooks import getSite
from zope.interface import directlyProvidedBy
from zope.schema import getFieldsInOrder

from synchro_plone import codec
from synchro_plone.capture import relative_path
from synchro_plone.capture import UID
from synchro_plone.capture import uid_of

UNSET = {"$": "unset"}
"""An attribute that the object does not have: its schema's default shows instead."""

CORE = {
    "title": "title",
    "description": "description",
    "subjects": "subject",
    "language": "language",
    "rights": "rights",
    "creators": "creators",
    "contributors": "contributors",
}
"""Dublin Core: fields whose attribute is the object's own, whatever adapter shows them."""

DATES = {
    "created": "creation_date",
    "modified": "modification_date",
    "effective": "effective_date",
    "expires": "expiration_date",
}

# Not state: a comment for the history, the name, and dates that are carried exactly.
SKIPPED = {"changeNote", "id", "effective", "expires"}

CONSTRAIN = ("constrain_types_mode", "locally_allowed_types", "immediately_addable_types")

# Marker interfaces that say something about this database only.
LOCAL_MARKERS = {"Products.CMFEditions.interfaces.IVersioned", "plone.locking.interfaces.ITTWLockable"}


@dataclass
class Slot:
    """Where a field of a type is stored."""

    name: str
    attribute: str | None  # None: behind the adapter of its schema
    schema: object
    field: object

    def read(self, obj):
        if self.attribute is None:
            return codec.encode(getattr(self.schema(obj), self.name))
        own = aq_base(obj).__dict__
        return codec.encode(own[self.attribute]) if self.attribute in own else UNSET


    def reads(self, obj):
        """reads is read, with a value that equals nothing for one that cannot travel."""
        try:
            return self.read(obj)
        except codec.Unsupported:
            return NotImplemented

    def write(self, obj, value, wire):
        """write stores a value, which wire is the JSON of."""
        base = aq_base(obj)
        if self.attribute is None:
            setattr(self.schema(obj), self.name, value)
            if self.reads(obj) != wire and self.name in base.__dict__:
                setattr(base, self.name, value)  # the adapter made something else of it
        elif wire == UNSET:
            base.__dict__.pop(self.attribute, None)
            base._p_changed = True
        else:
            setattr(base, self.attribute, value)


def slots_of(obj, known=None):
    """slots_of gives the slots of an object's type by name; known keeps them by type."""
    key = obj.portal_type
    if known is not None and key in known:
        return known[key]
    slots = {}
    for schema in iterSchemata(obj):
        stored = schema.providedBy(obj)
        for name, field in getFieldsInOrder(schema):
            if name in SKIPPED or name in slots or field.readonly:
                continue
            attribute = CORE.get(name) or (name if stored else None)
            slots[name] = Slot(name, attribute, schema, field)
    if known is not None:
        known[key] = slots
    return slots


def snapshot(obj, known=None):
    """snapshot gives the whole state of one object. What cannot travel is named in
    unsupported, and its field is left out."""
    base = aq_base(obj)
    base._p_activate()
    fields, unsupported = {}, {}
    for name, slot in slots_of(obj, known).items():
        try:
            fields[name] = slot.read(obj)
        except codec.Unsupported as e:
            unsupported[name] = str(e)
    item = {
        "uid": getattr(base, UID),
        "id": base.id,
        "parent": _parent(obj),
        "path": relative_path(obj),
        "type": base.portal_type,
        "fields": fields,
        **_beside_fields(base),
    }
    if unsupported:
        item["unsupported"] = unsupported
    return item


def _parent(obj):
    parent = aq_parent(aq_inner(obj))
    return "" if ISiteRoot.providedBy(parent) else uid_of(parent)


def _beside_fields(base):
    own = base.__dict__
    owner = own.get("_owner")
    return {
        "dates": {name: codec.encode(own.get(attr)) for name, attr in DATES.items()},
        "owner": owner[1] if isinstance(owner, tuple) else None,
        "history": {k: codec.encode(v) for k, v in (own.get("workflow_history") or {}).items()},
        "roles": {k: sorted(v) for k, v in (own.get("__ac_local_roles__") or {}).items()},
        "block": bool(own.get("__ac_local_roles_block__")),
        "layout": own.get("layout"),
        "default_page": default_page(base),
        "ordering": own.get("_ordering", ""),
        "order": order_of(base),
        "constrain": {name: codec.encode(own[name]) for name in CONSTRAIN if name in own},
        "tg": own.get(GROUP),
        "markers": markers_of(base),
    }


def default_page(base):
    """default_page is the UID of a container's default page."""
    name = base.__dict__.get("default_page")
    tree = getattr(base, "_tree", None)
    if not isinstance(name, str) or tree is None or name not in tree:
        return None
    return uid_of(tree[name])


def order_of(base):
    """order_of gives the names of what a container holds, in its order; None where it has
    none."""
    ordering = getattr(base, "getOrdering", None)
    if ordering is None or base.__dict__.get("_ordering", "") == "unordered":
        return None
    return list(ordering().idsInOrder())


def markers_of(base):
    names = {f"{i.__module__}.{i.__name__}" for i in directlyProvidedBy(base)}
    return sorted(names - LOCAL_MARKERS)


def digest_of(item):
    """digest_of is one value for one state, the same on every site that has it: without what
    says where an object lies or which blob it has."""
    state = {k: v for k, v in item.items() if k != "path"}
    state["fields"] = {k: _without_handle(v) for k, v in item["fields"].items()}
    return hashlib.sha256(codec.canonical(state).encode()).hexdigest()


def blobs_of(item):
    """blobs_of tells the bytes of an object's files from all others on this site."""
    handles = [[k, v["handle"]] for k, v in item["fields"].items() if isinstance(v, dict) and "handle" in v]
    return hashlib.sha256(codec.canonical(handles).encode()).hexdigest()[:16] if handles else ""


def _without_handle(value):
    if isinstance(value, dict) and value.get("$") == "blob":
        return {k: v for k, v in value.items() if k != "handle"}
    return value


class Finder:
    """Finds objects by UID in the index itself: a search would write what waits for the
    catalog first."""

    def __init__(self):
        self.site = getSite()
        catalog = self.site.portal_catalog._catalog
        self.uids = catalog.indexes["UID"]._index
        self.paths = catalog.paths

    def find(self, uid):
        rid = self.uids.get(uid)
        return self.at(self.paths.get(rid), uid) if rid is not None else None

    def at(self, path, uid):
        """at gives the object at a path if it is the one with this UID. A name is never taken
        from what lies above."""
        prefix = "/".join(self.site.getPhysicalPath()) + "/"
        if not path or not path.startswith(prefix):
            return None
        obj = self.walk(path[len(prefix) :].split("/"))
        return obj if obj is not None and uid_of(obj) == uid else None

    def walk(self, names):
        """walk gives the object at a path below the root, by what each container holds. The
        tools of the site lie at its root as well, and are none."""
        obj = self.site
        for name in names:
            tree = getattr(aq_base(obj), "_tree", None)
            if tree is None or name not in tree:
                return None
            obj = obj._getOb(name)
            if uid_of(obj) is None:
                return None
        return obj

    def rows(self, after, limit):
        """rows gives UID and path of the objects behind a UID, in the order of the UIDs."""
        rows = []
        for uid, rid in self.uids.items(min=after or None, excludemin=bool(after)):
            if len(rows) >= limit:
                break
            rows.append((uid, self.paths.get(rid)))
        return rows
