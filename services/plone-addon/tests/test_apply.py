import transaction
from applying import ApplyingTest
from applying import zope_date
from plone import api
from plone.app.testing import setRoles
from plone.app.testing import TEST_USER_ID
from Products.CMFCore.indexing import processQueue
from synchro_plone import store
from synchro_plone.settings import settings


class WriteTest(ApplyingTest):
    def rebuild(self, objects):
        """rebuild removes objects and writes them again from what was read of them."""
        items = self.read(*objects)
        before = {i["uid"]: i for i in items}
        catalogued = {o.UID(): self.indexed(o) for o in objects}
        uids = [i["uid"] for i in items]
        for item in items:
            self.with_files(item)
        gone = self.apply(*[self.remove(uid) for uid in reversed(uids)])
        self.assertEqual([("applied", None)] * len(uids), self.results(gone))
        self.assertTrue(all("gone" in i for i in self.read(*uids)))
        return before, catalogued, self.apply(*[self.put(i) for i in items])

    def indexed(self, obj):
        catalog = self.portal.portal_catalog
        processQueue()
        data = catalog.getIndexDataForRID(catalog.getrid("/".join(obj.getPhysicalPath())))
        data = {k: sorted(v) if isinstance(v, list) and k != "SearchableText" else v for k, v in data.items()}
        data["object_provides"] = [i for i in data["object_provides"] if not i.endswith("IVersioned")]  # has no version here
        return {k: v for k, v in data.items() if k not in ("cmf_uid", "getObjPositionInParent", "sync_uid")}

    def test_all_types_come_back_exactly_as_they_were(self):
        objects = self.rich_site()
        for obj in objects:
            obj.manage_delLocalRoles([user for user, _ in obj.get_local_roles()])
            obj.reindexObject(self.portal.portal_catalog.indexes())  # what was set without
        transaction.commit()
        before, catalogued, answer = self.rebuild(objects)
        self.assertEqual([("applied", None)] * len(objects), self.results(answer))
        after = {i["uid"]: i for i in self.read(*before)}
        for uid, item in before.items():
            for found in (item, after[uid]):
                for wire in found["fields"].values():
                    if isinstance(wire, dict):
                        wire.pop("handle", None)
                        wire.pop("sha256", None)
                found.pop("blobs"), found.pop("digest")
            self.assertEqual(item, after[uid])
            obj = api.content.get(UID=uid)
            found = self.indexed(obj)
            self.assertEqual({}, {k: (v, found.get(k)) for k, v in catalogued[uid].items() if found.get(k) != v})
        self.assertEqual(b"x" * 5000, self.portal["file"].file.data)
        self.assertEqual(["file", "link"], [r.to_object.id for r in self.portal["news"]["doc"].relatedItems])

    def test_what_is_sent_again_has_had_its_effect(self):
        items = [self.page(f"p{n}", f"{n:032x}") for n in range(5)]
        first, second = self.apply(*items), self.apply(*items)
        self.assertEqual([("applied", None)] * 5, self.results(first))
        self.assertEqual([("had", None)] * 5, self.results(second))
        self.assertEqual(5, len(self.portal.portal_catalog(portal_type="Document")))

    def test_an_older_change_comes_too_late(self):
        old = self.page()
        self.apply(self.page(fields={"title": "newer"}))
        self.assertEqual([("had", None)], self.results(self.apply(old)))
        old, gone = self.page(), self.remove("a" * 32)
        self.apply(gone)
        self.assertEqual([("had", None)], self.results(self.apply(old)))
        self.assertNotIn("page", self.portal)

    def test_an_equal_state_changes_nothing(self):
        self.apply(self.page())
        self.portal["page"]._p_activate()
        serial = self.portal["page"]._p_serial
        answer = self.apply(self.page())
        transaction.begin()
        self.assertFalse(answer["items"][0]["changed"])
        self.portal["page"]._p_activate()
        self.assertEqual(serial, self.portal["page"]._p_serial)

    def test_a_container_is_named_by_its_path_as_well_and_a_repair_writes_the_same_again(self):
        self.apply(self.page("f", "a" * 32, type="Folder"))
        item = self.page("d", "b" * 32, parent="/f")
        self.apply(item, self.page("e", "c" * 32, parent="/"))
        self.portal["f"]["d"].title = "mine"
        transaction.commit()
        self.assertEqual([("had", None)], self.results(self.apply(item)))
        self.assertEqual([("applied", None)], self.results(self.apply({**item, "again": True})))
        transaction.begin()
        self.assertEqual("Title", self.portal["f"]["d"].title)
        for parent in ("/nowhere", "/f/d/../..", "/f/", "//f"):
            answer = self.apply(self.page("x", "d" * 32, parent=parent))
            self.assertEqual([("refused", "parent-missing")], self.results(answer), parent)

    def test_no_mail_no_version_and_no_new_date(self):
        self.apply(self.page())
        page = self.portal["page"]
        self.assertEqual(2, page.modification_date.micros())
        self.assertFalse(getattr(page, "version_id", None))
        modified = self.portal.modification_date
        self.apply(self.page("other", "b" * 32))
        transaction.begin()
        self.assertEqual(modified, self.portal.modification_date)
        self.assertEqual(2, self.portal.portal_catalog(UID="b" * 32)[0].modified.micros())

    def test_moves_keep_what_lies_below_and_leave_redirects(self):
        self.apply(
            self.page("folder", "a" * 32, type="Folder"),
            self.page("other", "b" * 32, type="Folder"),
            self.page("leaf", "c" * 32, parent="a" * 32),
        )
        answer = self.apply(
            self.page("renamed", "a" * 32, type="Folder", parent="b" * 32),
            self.page("leaf", "c" * 32, parent="a" * 32, fields={"title": "new"}),
        )
        self.assertEqual([("applied", None)] * 2, self.results(answer))
        self.assertEqual("new", self.portal["other"]["renamed"]["leaf"].title)
        self.assertEqual(["other/renamed/leaf"], [i["path"] for i in self.read("c" * 32)])
        brains = self.portal.portal_catalog(path="/".join(self.portal.getPhysicalPath()) + "/other")
        self.assertEqual(3, len(brains))
        self.assertEqual(302, self.ask("GET", "folder/leaf", allow_redirects=False).status_code)

    def test_a_target_that_comes_later_heals_what_waits_for_it(self):
        relations = {"relatedItems": [{"$": "rel", "uid": "b" * 32}, {"$": "rel", "uid": "c" * 32}]}
        first = self.page(fields=relations)
        self.assertEqual(["b" * 32, "c" * 32], self.apply(first)["items"][0]["missing"])
        # The same version passes as long as something is missing.
        self.assertEqual([("applied", None)], self.results(self.apply(first)))
        modified = self.portal["page"].modification_date
        self.apply(self.page("c", "c" * 32))
        self.assertEqual(["c"], [r.to_object.id for r in self.portal["page"].relatedItems])
        self.apply(self.page("b", "b" * 32))
        transaction.begin()
        self.assertEqual(["b", "c"], [r.to_object.id for r in self.portal["page"].relatedItems])
        self.assertEqual(modified, self.portal["page"].modification_date)
        kept = store.store_of(self.portal)
        self.assertEqual(([], []), (list(kept.pending), list(kept.waiting)))
        self.assertEqual(self.read("a" * 32)[0]["digest"], kept.ledger["a" * 32][1])
        self.assertEqual([("had", None)], self.results(self.apply(first)))
        self.assertEqual(["page"], [r.from_object.id for r in api.relation.get(target=self.portal["b"])])

    def test_order_and_default_page_wait_for_the_children(self):
        self.apply(self.page("f", "a" * 32, type="Folder", order=["z", "y", "x"], default_page="c" * 32))
        for name, uid in (("x", "b"), ("y", "c"), ("z", "d")):
            self.apply(self.page(name, uid * 32, parent="a" * 32))
        transaction.begin()
        folder = self.portal["f"]
        self.assertEqual(["z", "y", "x"], folder.objectIds())
        self.assertEqual("y", folder.default_page)
        self.assertEqual([0, 1, 2], [folder.getObjectPosition(n) for n in "zyx"])
        folder.invokeFactory("Document", "own")
        folder.moveObjectsToTop(["own"])
        transaction.commit()
        self.apply(self.page("f", "a" * 32, type="Folder", order=["x", "y", "z"], default_page="c" * 32))
        transaction.begin()
        self.assertEqual(["own", "x", "y", "z"], self.portal["f"].objectIds())

    def test_a_batch_is_whole_or_the_rest_is_done(self):
        bad = self.page("bad", "b" * 32, type="Nothing")
        worse = self.page("worse", "c" * 32, parent="9" * 32)
        items = [self.page("p1", "1" * 32), bad, self.page("p2", "2" * 32), worse, self.page("_x", "3" * 32)]
        refused = self.apply(*items, mode="all", status=409)
        self.assertTrue(refused["items"])
        self.assertNotIn("p1", self.portal)
        answer = self.apply(*items)
        self.assertEqual(
            [("applied", None), ("refused", "type"), ("applied", None), ("refused", "parent-missing"), ("refused", "name-refused")],
            self.results(answer),
        )
        self.assertEqual(["park", "retry", "park"], [i["class"] for i in answer["items"] if i["result"] == "refused"])
        self.assertEqual([1, 0, 0, 1], [len(self.portal.portal_catalog(UID=d * 32)) for d in "1bc2"])
        self.assertEqual({"1" * 32, "2" * 32}, set(store.store_of(self.portal).ledger))

    def test_a_change_made_here_is_not_overwritten_unless_that_is_wanted(self):
        self.apply(self.page())
        page = self.portal["page"]
        page.title = "mine"
        page.reindexObject()
        transaction.commit()
        answer = self.apply(self.page(fields={"title": "theirs"}, expect="ledger"))
        self.assertEqual([("refused", "local-edit")], self.results(answer))
        self.apply(self.page(fields={"title": "theirs"}))
        transaction.begin()
        self.assertEqual("theirs", self.portal["page"].title)
        answer = self.apply(self.page(fields={"title": "next"}, expect="ledger"))
        self.assertEqual([("applied", None)], self.results(answer))

    def test_a_lock_and_a_full_folder_are_waited_for(self):
        from plone.locking.interfaces import ILockable

        self.apply(self.page("f", type="Folder"), self.page("d", "b" * 32, parent="a" * 32))
        self.assertEqual([("refused", "not-empty")], self.results(self.apply(self.remove("a" * 32))))
        setRoles(self.portal, TEST_USER_ID, ["Manager"])
        ILockable(self.portal["f"]["d"]).lock()
        transaction.commit()
        for item in (self.page("d", "b" * 32, parent="a" * 32, fields={"title": "x"}), self.remove("b" * 32)):
            self.assertEqual([("refused", "locked")], self.results(self.apply(item)))

    def test_states_are_translated_and_have_to_exist(self):
        steps = {"$": "tuple", "v": [{"action": None, "actor": "a", "comments": "", "review_state": "visible", "time": zope_date(5)}]}
        history = {"simple_publication_workflow": steps}
        self.assertEqual([("refused", "state")], self.results(self.apply(self.page(history=history))))
        settings().states = ["visible published"]
        transaction.commit()
        self.assertEqual([("applied", None)], self.results(self.apply(self.page(history=history))))
        transaction.begin()
        page = self.portal["page"]
        self.assertEqual("published", api.content.get_state(page))
        self.assertIn("Anonymous", page._View_Permission)
        self.assertEqual(["published"], [b.review_state for b in self.portal.portal_catalog(UID="a" * 32)])
        other = {"another_workflow": steps}
        self.assertEqual([("refused", "state")], self.results(self.apply(self.page(history=other))))

    def test_roles_arrive_as_far_as_the_site_lists_them(self):
        roles = {"anna": ["Editor"]}
        self.assertEqual([("refused", "role")], self.results(self.apply(self.page(roles=roles))))
        settings().roles = ["Editor"]
        transaction.commit()
        self.assertEqual([("applied", None)], self.results(self.apply(self.page(roles=roles, block=True))))
        self.assertEqual({"anna": ["Editor"]}, self.portal["page"].__ac_local_roles__)
        self.assertTrue(self.portal["page"].__ac_local_roles_block__)

    def test_a_change_by_synchro_says_so_in_the_feed(self):
        since = self.get("@synchro-feed")["until"]
        self.apply(self.page())
        self.assertEqual({("a" * 32, "apply")}, {(c["uid"], c["by"]) for c in self.get("@synchro-feed", since=since)["changes"]})
        self.portal["page"].reindexObject()
        transaction.commit()
        self.assertIn("edit", [c["by"] for c in self.get("@synchro-feed", since=since)["changes"]])
