"""What of an object's state needs other objects: relations, the default page, the order.

It is settled when all items of a batch are in their places. What is not here yet is kept in the
store, with what it is needed for, and settled when it comes, in whichever batch.
"""

from Acquisition import aq_base
from BTrees.OIBTree import OIBTree
from persistent.list import PersistentList
from plone.folder.default import DefaultOrdering
from Products.CMFCore.indexing import getQueue
from z3c.relationfield import RelationValue
from zope.annotation.interfaces import IAnnotations
from zope.component import getUtility
from zope.intid.interfaces import IIntIds

from synchro_plone import codec
from synchro_plone.capture import uid_of
from synchro_plone.snapshot import order_of
from synchro_plone.snapshot import slots_of


class Later:
    """The wishes of one batch, and those that earlier batches have left."""

    def __init__(self, batch):
        self.batch = batch
        self.store = batch.store
        self.healed = set()

    @staticmethod
    def takes(value):
        """takes tells whether the value of a field is for here: relations."""
        return isinstance(value, codec.Relation) or (
            isinstance(value, list) and bool(value) and isinstance(value[0], codec.Relation)
        )

    def missing(self, uid):
        return list(self.store.pending.get(uid, {"missing": ()})["missing"])

    def waits(self, uid):
        return bool(self.missing(uid))

    def resolve(self):
        for item, changed, obj in list(self.batch.objects()):
            wish = {
                "fields": {k: item.wire[k] for k, v in item.fields.items() if self.takes(v)},
                "default_page": item.default_page,
                "order": item.order,
            }
            if self._settle(item.uid, obj, wish) and not changed:
                self.batch.written[item.uid] = (item, True)
        for uid in self._waiting():
            self._heal(uid)

    def _waiting(self):
        """_waiting gives who waits for what has come, and is no item itself."""
        waiting = {source for uid in self.batch.written for source in self.store.waiting.get(uid, ())}
        waiting |= {uid_of(obj) for obj, _ in self.batch.touched.values()} & set(self.store.pending.keys())
        return sorted(waiting - set(self.batch.written) - {None})

    def _heal(self, uid):
        obj, wish = self.batch.find(uid), self.store.pending.get(uid)
        if obj is None or wish is None:
            return self.drop(uid)
        self.batch.touch(obj)
        if self._settle(uid, obj, wish) and uid in self.store.ledger:
            self.healed.add(uid)

    def _settle(self, uid, obj, wish):
        """_settle makes an object what it wishes to be as far as the others are here, and tells
        whether it changed."""
        missing, changed = set(), False
        for name, wire in wish["fields"].items():
            changed |= self._relate(obj, name, wire, missing)
        changed |= self._show(obj, wish["default_page"], missing)
        ordered, complete = self._arrange(obj, wish["order"])
        self.drop(uid)
        if missing or not complete:
            self.store.pending[uid] = {**wish, "missing": tuple(sorted(missing))}
        for target in missing:
            self.store.waiting[target] = tuple({*self.store.waiting.get(target, ()), uid})
        return changed or ordered

    def drop(self, uid):
        wish = self.store.pending.pop(uid, None)
        for target in wish["missing"] if wish else ():
            left = tuple(source for source in self.store.waiting.get(target, ()) if source != uid)
            if left:
                self.store.waiting[target] = left
            else:
                self.store.waiting.pop(target, None)

    def _relate(self, obj, name, wire, missing):
        slot = slots_of(obj, self.batch.slots).get(name)
        if slot is None:
            return False
        wanted = codec.decode_field(wire)
        single = isinstance(wanted, codec.Relation)
        found = {}
        for relation in [wanted] if single else wanted:
            target = self.batch.find(relation.uid)
            if target is None:
                missing.add(relation.uid)
            else:
                found[relation.uid] = target
        wire = [{"$": "rel", "uid": uid} for uid in found]
        if single:
            wire = wire[0] if wire else None
        if slot.read(obj) == wire:
            return False
        intids = getUtility(IIntIds)
        values = [RelationValue(intids.getId(target)) for target in found.values()]
        slot.write(obj, (values[0] if values else None) if single else values, wire)
        return True

    def _show(self, obj, uid, missing):
        base = aq_base(obj)
        tree = getattr(base, "_tree", None)
        if tree is None:
            return False
        page = self.batch.find(uid) if uid else None
        if uid and (page is None or page.id not in tree):
            missing.add(uid)
            return False
        former = base.__dict__.get("default_page")
        if not self.batch.set_own(obj, "default_page", page.id if page is not None else None):
            return False
        for name in {former, page.id if page is not None else None}:
            if isinstance(name, str) and name in tree:
                getQueue().reindex(obj._getOb(name), ["is_default_page"])
        return True

    def _arrange(self, obj, names):
        """_arrange puts the objects that are named into that order, and leaves others at their
        places. It tells whether something changed, and whether all were here."""
        base = aq_base(obj)
        if names is None or getattr(base, "_tree", None) is None or base.__dict__.get("_ordering", ""):
            return False, True
        here = order_of(base)
        here += sorted(set(base._tree) - set(here))
        known = set(here) & set(names)
        order = iter([name for name in dict.fromkeys(names) if name in known])
        wanted = [next(order) if name in known else name for name in here]
        if wanted == order_of(base):
            return False, len(known) == len(set(names))
        annotations = IAnnotations(obj)
        annotations.setdefault(DefaultOrdering.ORDER_KEY, PersistentList())[:] = wanted
        positions = annotations.setdefault(DefaultOrdering.POS_KEY, OIBTree())
        positions.clear()
        for position, name in enumerate(wanted):
            positions[name] = position
            getQueue().reindex(obj._getOb(name), ["getObjPositionInParent"])
        return True, len(known) == len(set(names))
