"""Writes objects as they are given: attribute by attribute, with the events that keep indexes,
relations, redirects and caches right, and without those that act for an editor."""

from Acquisition import aq_base
from Acquisition import aq_inner
from Acquisition import aq_parent
from OFS.event import ObjectWillBeMovedEvent
from OFS.event import ObjectWillBeRemovedEvent
from persistent.mapping import PersistentMapping
from plone.app.linkintegrity.handlers import modifiedContent
from plone.app.multilingual.interfaces import ATTRIBUTE_NAME as GROUP
from plone.app.textfield import RichText
from plone.app.textfield.value import RichTextValue
from plone.dexterity.interfaces import IDexterityFTI
from plone.locking.interfaces import ILockable
from Products.CMFCore.indexing import getQueue
from Products.CMFCore.indexing import processQueue
from z3c.relationfield.interfaces import IRelation
from z3c.relationfield.interfaces import IRelationList
from zExceptions import BadRequest
from zope.component import createObject
from zope.container.contained import ContainerModifiedEvent
from zope.dottedname.resolve import resolve
from zope.interface import alsoProvides
from zope.interface import noLongerProvides
from zope.lifecycleevent import ObjectAddedEvent
from zope.lifecycleevent import ObjectCreatedEvent
from zope.lifecycleevent import ObjectModifiedEvent
from zope.lifecycleevent import ObjectMovedEvent
from zope.lifecycleevent import ObjectRemovedEvent

from synchro_plone import codec
from synchro_plone.announce import announce
from synchro_plone.capture import relative_path
from synchro_plone.capture import UID
from synchro_plone.checks import Refusal
from synchro_plone.files import same_file
from synchro_plone.files import stored_file
from synchro_plone.later import Later
from synchro_plone.settings import settings
from synchro_plone.snapshot import CONSTRAIN
from synchro_plone.snapshot import DATES
from synchro_plone.snapshot import digest_of
from synchro_plone.snapshot import Finder
from synchro_plone.snapshot import slots_of
from synchro_plone.snapshot import snapshot
from synchro_plone.snapshot import UNSET

NEVER = {"Plone Site", "LRF", "LIF"}
"""Types that the site makes itself."""


class Batch:
    """The items of one transaction. put and remove write each, finish does what needs all."""

    def __init__(self, store):
        self.store = store
        self.wishes = settings()
        self.finder = Finder()
        self.site = self.finder.site
        self.types = self.site.portal_types
        self.states = dict(line.split(None, 1) for line in self.wishes.states or [] if len(line.split()) == 2)
        self.slots = {}
        self.made = {}  # uid -> object, where the index does not know it yet
        self.written = {}  # uid -> (item, whether something changed)
        self.removed = {}  # uid -> version
        self.touched = {}  # what changed beside the items -> (the object, its date before)
        self.secure = []  # containers whose rights have changed
        self.later = Later(self)

    def forget(self, uid):
        """forget takes back what is noted here of an item that was rolled back."""
        self.made.pop(uid, None)
        self.written.pop(uid, None)
        self.removed.pop(uid, None)

    def find(self, uid):
        return self.made.get(uid) or self.finder.find(uid)

    # One item.

    def put(self, item):
        if self._is_had(item):
            return _had(item)
        parent = self._container(item.parent)
        if parent is None:
            raise Refusal("parent-missing", "its container is not here", "retry", missing=[item.parent])
        self._in_scope("/".join(filter(None, [relative_path(parent), item.id])))
        self._type_fits(item, parent)
        obj, created = self.find(item.uid), False
        if obj is None:
            obj, created = self._create(item, parent), True
            moved = False
        else:
            self._may_change(obj, item)
            obj, moved = self._place(obj, item, parent)
        changed = self._write(obj, item)
        self.written[item.uid] = (item, created or moved or changed)
        return _applied(item, created or moved or changed)

    def _container(self, named):
        """_container gives the container that a UID or a path from the root names."""
        if named in ("", "/"):
            return self.site
        return self.finder.walk(named[1:].split("/")) if named.startswith("/") else self.find(named)

    def remove(self, item):
        if self._is_had(item):
            return _had(item)
        obj = self.find(item.uid)
        self.removed[item.uid] = item.version
        if obj is None:
            return _applied(item, False)
        self._may_change(obj, item)
        if obj.portal_type in NEVER:
            raise Refusal("type", f"a {obj.portal_type!r} is the site's own")
        if len(getattr(aq_base(obj), "_tree", None) or ()):
            raise Refusal("not-empty", "it holds other objects", "retry")
        parent = aq_parent(aq_inner(obj))
        self.touch(parent)
        announce(ObjectWillBeRemovedEvent(obj, parent, obj.id))
        parent._delObject(obj.id, suppress_events=True)
        announce(ObjectRemovedEvent(obj, parent, obj.id))
        self.made.pop(item.uid, None)
        return _applied(item, True)

    def _is_had(self, item):
        known = self.store.ledger.get(item.uid)
        if known is None or item.version > known[0]:
            return False
        return item.version < known[0] or not item.again and not self.later.waits(item.uid)

    def _in_scope(self, path):
        tops = [top.strip("/") for top in self.wishes.paths or []]
        if tops and not any(top == "" or path == top or path.startswith(top + "/") for top in tops):
            raise Refusal("out-of-scope", "it lies outside the paths that Synchro may write here")

    def _type_fits(self, item, parent):
        fti = self.types.getTypeInfo(item.type)
        if not IDexterityFTI.providedBy(fti) or item.type in NEVER or self.wishes.types and item.type not in self.wishes.types:
            raise Refusal("type", f"the type {item.type!r} may not be written here")
        holder = self.types.getTypeInfo(parent.portal_type)
        if getattr(aq_base(parent), "_tree", None) is None or holder is None or not holder.allowType(item.type):
            raise Refusal("type", f"the type {item.type!r} may not lie in a {parent.portal_type!r}")

    def _may_change(self, obj, item):
        self._in_scope(relative_path(obj))
        if item.op == "put" and obj.portal_type != item.type:
            raise Refusal("type", f"it is a {obj.portal_type!r} here")
        lock = ILockable(obj, None)
        if lock is not None and lock.locked():
            raise Refusal("locked", "somebody is editing it", "retry")
        if item.expect is not None:
            self._as_expected(obj, item)

    def _as_expected(self, obj, item):
        """_as_expected refuses an object that somebody has changed here. What a handler did of
        its own accord while Synchro wrote is no such change."""
        known = self.store.ledger.get(item.uid)
        if item.expect == "ledger" and known is None:
            return  # it was written before the package came, or by hand: there is nothing to compare
        wanted = known[1] if item.expect == "ledger" else item.expect
        found = digest_of(snapshot(obj, self.slots))
        entry = self.store.shard(item.uid).entries.get(item.uid)
        if wanted != found and entry is not None and entry[3] == "edit":
            raise Refusal("local-edit", "it was changed here", digest=found)

    # Its place.

    def touch(self, obj):
        """touch notes that an object changes that is no item of its own, or not yet."""
        self.touched.setdefault(id(aq_base(obj)), (obj, aq_base(obj).modification_date))

    def _free(self, parent, name):
        if name in aq_base(parent)._tree:
            raise Refusal("path-taken", "another object has that name there")

    def _create(self, item, parent):
        self._free(parent, item.id)
        self.touch(parent)
        content = createObject(self.types.getTypeInfo(item.type).factory)
        content.portal_type, content.id = item.type, item.id
        setattr(content, UID, item.uid)
        self._set_fields(content, item, early=True)
        announce(ObjectCreatedEvent(content))
        self._hang(parent, item.id, content)
        obj = parent._getOb(item.id)
        self.made[item.uid] = obj
        announce(ObjectAddedEvent(obj, parent, item.id))
        return obj

    def _hang(self, parent, name, content):
        try:
            parent._setObject(name, content, set_owner=0, suppress_events=True)
        except (BadRequest, ValueError):
            raise Refusal("name-refused", "this site takes no such name") from None

    def _place(self, obj, item, parent):
        """_place moves and renames in one step, so that redirects are made for both at once."""
        old, former = aq_parent(aq_inner(obj)), obj.id
        if aq_base(old) is aq_base(parent) and former == item.id:
            return obj, False
        if any(aq_base(above) is aq_base(obj) for above in parent.aq_chain):
            raise Refusal("path-taken", "it cannot lie in itself")
        self._free(parent, item.id)
        self.touch(old)
        self.touch(parent)
        announce(ObjectWillBeMovedEvent(obj, old, former, parent, item.id))
        old._delObject(former, suppress_events=True)
        base = aq_base(obj)
        base._setId(item.id)
        self._hang(parent, item.id, base)
        obj = parent._getOb(item.id)
        announce(ObjectMovedEvent(obj, old, former, parent, item.id))
        self.made[item.uid] = obj
        processQueue()  # so that what lies below is found where it is now
        return obj, True

    # Its state.

    def _write(self, obj, item):
        changes = [
            self._set_fields(obj, item),
            self._set_rights(obj, item),
            self._set_history(obj, item),
            self.set_own(obj, "layout", self._layout(obj, item)),
            self._set_ordering(obj, item),
            self._set_constrain(obj, item),
            self._set_markers(obj, item),
            self.set_own(obj, GROUP, item.tg) if item.tg else False,
            self._dates_differ(obj, item),
        ]
        if item.owner is not None:
            owner = ([*self.site.getPhysicalPath()[1:], "acl_users"], item.owner)
            changes.append(self.set_own(obj, "_owner", owner))
        return any(changes)

    def set_own(self, obj, name, value):
        """set_own sets an attribute, or removes it for None, and tells whether it changed."""
        base = aq_base(obj)
        if base.__dict__.get(name) == value:
            return False
        if value is None:
            delattr(base, name)
        else:
            setattr(base, name, value)
        return True

    def _set_fields(self, obj, item, early=False):
        slots, changed = slots_of(obj, self.slots), False
        for name, wire in item.wire.items():
            slot = slots.get(name)
            if slot is None:
                if wire in (None, "", [], {}, UNSET, {"$": "tuple", "v": []}):
                    continue
                raise Refusal("field", f"the type {item.type!r} has no field {name[:80]!r} here", fields=[name[:80]])
            value = item.fields[name]
            if self.later.takes(value):
                _check_relations(slot, value)
                continue
            if early and (slot.attribute is None or isinstance(value, codec.File)):
                continue
            changed |= self._set_field(obj, slot, wire, value)
        return changed

    def _set_field(self, obj, slot, wire, value):
        own = aq_base(obj).__dict__
        if isinstance(value, codec.File):
            if same_file(own.get(slot.attribute), value):
                return False
            _check_value(slot, codec.BLOBS[value.kind], value)
            value = stored_file(self.site._p_jar, own.get(slot.attribute), value)
        else:
            if slot.reads(obj) == wire:
                return False
            if wire != UNSET:
                _check_value(slot, type(value), value)
        slot.write(obj, value, wire)
        return True

    def _set_rights(self, obj, item):
        if item.roles is None:
            return False
        may = set(self.wishes.roles or [])
        other = sorted({role for given in item.roles.values() for role in given} - may)
        if other:
            raise Refusal("role", "a local role that may not arrive here", roles=other[:10])
        has = {k: list(v) for k, v in (aq_base(obj).__dict__.get("__ac_local_roles__") or {}).items()}
        roles = {user: [r for r in given if r not in may] for user, given in has.items()}
        for user, given in item.roles.items():
            roles[user] = roles.get(user, []) + sorted(given)
        roles = {user: given for user, given in roles.items() if given}
        changed = {k: sorted(v) for k, v in has.items()} != {k: sorted(v) for k, v in roles.items()}
        if changed:
            aq_base(obj).__ac_local_roles__ = roles or None
        if bool(aq_base(obj).__dict__.get("__ac_local_roles_block__")) != item.block:
            aq_base(obj).__ac_local_roles_block__ = item.block or None
            changed = True
        if changed:
            self.secure.append(obj)
        return changed

    def _set_history(self, obj, item):
        if not item.history:
            return False
        workflows = self.site.portal_workflow
        chain = workflows.getChainFor(obj)
        history = {}
        for name, steps in item.history.items():
            workflow = workflows.get(name) if name in chain else None
            if workflow is None:
                raise Refusal("state", f"the workflow {name[:80]!r} is not the object's here")
            history[name] = tuple(self._step(workflow, step) for step in steps)
            if not history[name] or history[name][-1].get(workflow.state_var) not in workflow.states:
                raise Refusal("state", f"the workflow {name!r} has no such state here")
        now = aq_base(obj).__dict__.get("workflow_history") or {}
        if {k: codec.encode(v) for k, v in now.items()} == {k: codec.encode(v) for k, v in history.items()}:
            return False
        obj.workflow_history = PersistentMapping(history)
        for name in history:
            workflows[name].updateRoleMappingsFor(obj)
        self.secure.append(obj)
        return True

    def _step(self, workflow, step):
        state = step.get(workflow.state_var)
        return {**step, workflow.state_var: self.states.get(state, state)} if isinstance(state, str) else step

    def _layout(self, obj, item):
        fti = self.types.getTypeInfo(obj.portal_type)
        if item.layout is not None and item.layout not in fti.getAvailableViewMethods(obj):
            raise Refusal("layout", f"the type {item.type!r} has no layout {item.layout[:80]!r} here")
        return item.layout

    def _set_ordering(self, obj, item):
        if not hasattr(aq_base(obj), "setOrdering") or aq_base(obj).__dict__.get("_ordering", "") == item.ordering:
            return False
        obj.setOrdering(item.ordering)
        return True

    def _set_constrain(self, obj, item):
        return any([self.set_own(obj, name, item.constrain.get(name)) for name in CONSTRAIN])

    def _set_markers(self, obj, item):
        """_set_markers handles those that the site's owner has listed, and no others."""
        changed = False
        for name in (self.wishes.markers or []) if item.markers is not None else []:
            interface = resolve(name)
            if interface.providedBy(obj) != (name in item.markers):
                (alsoProvides if name in item.markers else noLongerProvides)(obj, interface)
                changed = True
        return changed

    def _dates_differ(self, obj, item):
        own = aq_base(obj).__dict__
        return any(codec.encode(own.get(DATES[k])) != codec.encode(v) for k, v in item.dates.items())

    # All items.

    def finish(self, answers):
        """finish does what needs all objects in their places, and completes the answers."""
        self.later.resolve()
        self._announce()
        for item, changed, obj in self.objects():
            if changed:
                self._set_fields(obj, item)  # a handler may have changed one
                for name, value in item.dates.items():
                    self.set_own(obj, DATES[name], value)
                getQueue().reindex(obj)
        for obj in self.secure:
            if obj.isPrincipiaFolderish:
                obj.reindexObjectSecurity()
        processQueue()
        for _, changed, obj in self.objects():
            if changed:
                modifiedContent(obj, None)
        self._note(answers)

    def objects(self):
        for uid, (item, changed) in self.written.items():
            yield item, changed, self.find(uid)

    def _announce(self):
        for _, changed, obj in self.objects():
            if changed:
                announce(ObjectModifiedEvent(obj))
        for obj, modified in self.touched.values():
            holds = getattr(aq_base(obj), "_tree", None) is not None
            announce(ContainerModifiedEvent(obj) if holds else ObjectModifiedEvent(obj))
            obj.modification_date = modified
            getQueue().reindex(obj, ["modified"])

    def _note(self, answers):
        """_note writes the ledger, with what the objects now are."""
        digests = {uid: digest_of(snapshot(self.find(uid), self.slots)) for uid in self.written}
        for uid, (item, _) in self.written.items():
            self.store.ledger[uid] = (item.version, digests[uid])
        for uid, version in self.removed.items():
            self.store.ledger[uid] = (version, None)
            self.later.drop(uid)
        for uid in self.later.healed:
            version, _ = self.store.ledger[uid]
            self.store.ledger[uid] = (version, digest_of(snapshot(self.find(uid), self.slots)))
        for answer in answers:
            if answer.get("uid") in digests:
                answer["digest"] = digests[answer["uid"]]
                answer["changed"] = self.written[answer["uid"]][1]
                answer["missing"] = self.later.missing(answer["uid"])


def _had(item):
    return {"uid": item.uid, "result": "had"}


def _applied(item, changed):
    return {"uid": item.uid, "result": "applied", "changed": changed}


def _check_value(slot, kind, value=None):
    """_check_value refuses what the field's type cannot have. Vocabularies are the source's."""
    field = slot.field
    wanted = RichTextValue if isinstance(field, RichText) else getattr(field, "_type", None)
    if IRelation.providedBy(field):
        fits = value is None
    elif IRelationList.providedBy(field):
        fits = not value
    else:
        fits = value is None or wanted is None or issubclass(kind, wanted)
    if not fits:
        raise _misfit(slot)


def _check_relations(slot, value):
    fits = IRelationList if isinstance(value, list) else IRelation
    if not fits.providedBy(slot.field):
        raise _misfit(slot)


def _misfit(slot):
    return Refusal("field", f"the field {slot.name!r} does not take such a value", fields=[slot.name])
