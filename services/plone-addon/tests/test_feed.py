import threading
import time
from unittest import mock

import transaction
from base import manager
from base import SiteTest
from plone import api
from plone.app.testing import login
from plone.app.testing import SITE_OWNER_NAME
from synchro_plone import outbox
from synchro_plone import store
from synchro_plone.settings import settings
from zope.event import notify
from ZPublisher.pubevents import PubBeforeCommit


class FeedTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.news, self.doc, *_ = self.rich_site()
        self.since = self.get("@synchro-feed")["until"]

    def changed(self):
        """changed commits as a request does, and gives what the feed then says is new."""
        notify(PubBeforeCommit(self.layer["request"]))
        transaction.commit()
        answer = self.get("@synchro-feed", since=self.since)
        self.since = answer["until"]
        return answer["changes"]

    def names(self):
        objects = {o.UID(): o.id for o in (self.news, *self.news.objectValues())}
        return {objects.get(c["uid"], c["path"]): c["op"] for c in self.changed()}

    def test_an_idle_site_has_no_change(self):
        self.assertEqual([], self.changed())
        self.assertEqual([], self.changed())

    def test_each_kind_of_change_is_seen(self):
        news, doc = self.news, self.doc

        def edit():
            doc.title = "other"
            doc.reindexObject()

        def silently():
            doc.title = "silent"

        def remove_layout():
            del news.layout

        def default_page():
            news.default_page = "link"

        def roles():
            api.user.grant_roles(username="writer", roles=["Editor"], obj=doc)

        def publish():
            api.content.transition(doc, "retract")

        def sort():
            news.getOrdering().orderObjects("title")

        def reorder():
            news.moveObjectsByDelta(["link"], 1, suppress_events=True)

        def block():
            doc.__ac_local_roles_block__ = True

        for change, seen in (
            (edit, {"doc": "m"}),
            (silently, {"doc": "m"}),
            (remove_layout, {"news": "m"}),
            (default_page, {"news": "m"}),
            (roles, {"doc": "m"}),
            (publish, {"doc": "m"}),
            (sort, {"news": "m"}),
            (reorder, {"news": "m"}),
            (block, {"doc": "m"}),
            (lambda: api.content.rename(doc, "doc2"), {"doc2": "m", "news": "m"}),
            (lambda: api.content.create(news, "Document", "new"), {"new": "m", "news": "m"}),
            (lambda: api.content.delete(news["new"]), {"news/new": "d", "news": "m"}),
        ):
            change()
            found = self.names()
            self.assertEqual(seen, {k: found.get(k) for k in seen}, (change, found))

    def test_what_moves_below_a_folder_is_seen_with_where_it_was(self):
        inner = self.make(self.news, "Folder", "inner")
        leaf = self.make(inner, "Document", "leaf")
        self.changed()
        api.content.move(inner, self.portal)
        found = {c["uid"]: (c["op"], c["path"]) for c in self.changed()}
        self.assertEqual(("m", "news/inner"), found[inner.UID()])
        self.assertEqual(("m", "news/inner/leaf"), found[leaf.UID()])

    def test_sharing_of_a_folder_does_not_report_all_that_it_holds(self):
        self.news.manage_setLocalRoles("anna", ["Reader"])
        self.news.reindexObjectSecurity()
        self.assertEqual([self.news.UID()], [c["uid"] for c in self.changed()])

    def test_pages_end_inside_a_transaction_and_lose_nothing(self):
        for n in range(7):
            api.content.create(self.portal, "Document", f"d{n}")
        transaction.commit()
        seen, since, more = [], self.since, True
        while more:
            answer = self.get("@synchro-feed", since=since, limit=2)
            seen += [c["uid"] for c in answer["changes"]]
            since, more = answer["until"], answer["more"]
        self.assertEqual(sorted(self.portal[f"d{n}"].UID() for n in range(7)), sorted(seen))

    def test_a_savepoint_does_not_date_a_change_back(self):
        self.doc.title = "one"
        self.doc.reindexObject()
        transaction.savepoint()
        shard = store.store_of(self.portal).shard(self.doc.UID())
        before = shard._p_serial
        shard.mark(self.doc.UID(), "m", None, "edit", 30)
        transaction.savepoint()
        shard.mark("f" * 32, "m", None, "edit", 30)
        transaction.commit()
        for uid in (self.doc.UID(), "f" * 32):
            self.assertGreater(shard.entries[uid][0] or shard._p_serial, before)

    def test_a_change_is_seen_once_it_has_been_rolled_back_and_made_again(self):
        self.doc.title = "gone"
        self.doc.reindexObject()
        transaction.abort()
        self.assertEqual([], self.changed())

    def test_writers_never_meet_and_nothing_is_missed(self):
        """Four writers mark at once, in few shards, while a reader follows."""
        db, path = self.portal._p_jar.db(), self.portal.getPhysicalPath()
        written, failures, done = {}, [], threading.Event()

        def write(n):
            try:
                for i in range(25):
                    with db.transaction() as connection:
                        kept = connection.root()["Application"].unrestrictedTraverse(path).__annotations__[store.KEY]
                        uid = f"{i % 3:08x}{n:012d}{i:012d}"
                        kept.shard(uid).mark(uid, "m", None, "edit", 30)
                        time.sleep(0.002)
                    written[uid] = True
            except Exception as e:
                failures.append(e)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        read = []

        def follow():
            while True:
                last = done.is_set()
                with db.transaction() as connection:
                    kept = connection.root()["Application"].unrestrictedTraverse(path).__annotations__[store.KEY]
                    page, self.cursor, _ = outbox.changes(kept, self.cursor, 10_000)
                    read.extend(entry[1] for entry in page)
                if last:
                    return

        self.cursor = outbox.Cursor.parse(self.since)
        reader = threading.Thread(target=follow)
        for thread in (*threads, reader):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        reader.join()
        self.assertEqual([], failures)
        self.assertEqual(100, len(written))
        self.assertEqual(set(written), set(read))


class TrustTest(SiteTest):
    def setUp(self):
        super().setUp()
        self.doc = self.rich_site()[1]
        self.since = self.get("@synchro-feed")["until"]
        self.kept = store.store_of(self.portal)

    def reason(self, since):
        answer = self.ask("GET", "@synchro-feed", params={"since": since})
        return answer.json().get("reason", answer.status_code)

    def edit(self):
        self.doc.reindexObject()
        transaction.commit()

    def test_a_cursor_of_another_feed_is_not_trusted(self):
        self.assertEqual("forked", self.reason("0" * 32 + self.since[32:]))

    def test_a_cursor_from_the_future_is_not_trusted(self):
        cursor = outbox.Cursor.parse(self.since)
        cursor.tid = b"\xff" * 8
        self.assertEqual("rewound", self.reason(str(cursor)))

    def test_a_copy_that_went_another_way_is_not_trusted(self):
        self.edit()
        ahead = self.get("@synchro-feed")["until"]
        uid = self.doc.UID()
        shard = self.kept.shard(uid)
        shard._settle()
        shard.entries[uid] = (b"\0" * 7 + b"\1", *shard.entries[uid][1:])
        shard._p_changed = True
        self.portal["file"].reindexObject()
        transaction.commit()
        self.assertEqual("forked", self.reason(ahead))

    def prune(self):
        """prune makes all entries old, and has every shard be written once."""
        with mock.patch.object(outbox, "time", lambda: time.time() + 40 * outbox.DAY):
            for number, shard in enumerate(self.kept.shards):
                shard.mark(f"{number:08x}" + "0" * 24, "m", None, "edit", 30)
        transaction.commit()

    def test_what_is_older_than_the_retention_is_forgotten_and_said_to_be(self):
        self.edit()
        self.prune()
        self.assertEqual("pruned", self.reason(self.since))
        self.assertEqual(200, self.reason(self.get("@synchro-feed")["until"]))

    def test_a_cursor_survives_when_only_what_it_has_seen_is_forgotten(self):
        before = self.get("@synchro-feed")["until"]
        self.prune()
        answer = self.get("@synchro-feed", since=before)
        self.assertEqual(store.SHARDS, len(answer["changes"]))

    def test_what_is_no_cursor_is_refused(self):
        for since in ("x", "0" * 32, self.since + ",", self.since + "\n", self.since + ",zz-1", "0" * 2000):
            self.assertEqual(400, self.reason(since), since[:80])
        for limit in ("0", "-1", "x", "1e3", "9" * 30, "٣"):
            self.assertEqual(400, self.ask("GET", "@synchro-feed", params={"limit": limit}).status_code, limit)


class InstallTest(SiteTest):
    def test_the_settings_have_a_page_in_classic_and_in_volto(self):
        page = self.ask("GET", "@@synchro-controlpanel", manager(), headers={"Accept": "text/html"})
        self.assertEqual(200, page.status_code, page.text[:500])
        self.assertIn("form.widgets.writer", page.text)
        panel = self.ask("GET", "@controlpanels/synchro", manager()).json()
        self.assertEqual([], panel["data"]["paths"])
        change = self.ask("PATCH", "@controlpanels/synchro", manager(), json={"paths": ["/news"], "retention": 7})
        self.assertEqual(204, change.status_code, change.text)
        self.assertEqual((["/news"], 7), (settings().paths, settings().retention))
        self.assertEqual(400, self.ask("PATCH", "@controlpanels/synchro", manager(), json={"roles": ["Manager"]}).status_code)
        self.assertEqual(401, self.ask("PATCH", "@controlpanels/synchro", "writer", json={"paths": []}).status_code)

    def leftovers(self):
        """leftovers gives what of the site names Synchro."""
        portal = self.portal
        return [
            *[k for k in portal.__annotations__ if "synchro" in k.lower()],
            *[k for k in portal.portal_registry.records if "synchro" in k.lower()],
            *[r for r in portal.valid_roles() if "Synchro" in r],
            *[r for r in portal.acl_users.portal_role_manager.listRoleIds() if "Synchro" in r],
            *[k for k in vars(portal) if "synchro" in k.lower()],
            *[a.id for a in portal.portal_controlpanel.listActions() if "synchro" in a.id.lower()],
            *[a["id"] for a in portal.portal_controlpanel.enumConfiglets("Products") if "synchro" in a["id"].lower()],
            *[u for u, roles in portal.acl_users.portal_role_manager._principal_roles.items() if any("Synchro" in r for r in roles)],
        ]

    def test_uninstalling_over_rest_leaves_nothing_behind_and_installing_begins_anew(self):
        doc = self.rich_site()[1]
        feed = self.get("@synchro-info")["feed"]
        self.assertNotEqual([], self.leftovers())
        self.assertEqual(204, self.ask("POST", "@addons/synchro_plone/uninstall", manager(), json={}).status_code)
        self.assertEqual([], self.leftovers())
        self.assertIsNone(settings())
        answer = self.ask("GET", "@synchro-info", manager())
        self.assertEqual((404, "NotInstalled"), (answer.status_code, answer.json()["type"]))
        doc.reindexObject()
        transaction.commit()
        self.assertEqual([], self.leftovers())
        self.assertEqual(204, self.ask("POST", "@addons/synchro_plone/install", manager(), json={}).status_code)
        self.assertNotEqual(feed, self.ask("GET", "@synchro-info", manager()).json()["feed"])
        login(self.layer["app"], SITE_OWNER_NAME)
