import hashlib
import json

import transaction
from base import manager
from base import SiteTest
from DateTime import DateTime
from synchro_plone import codec


class ReadingTest(SiteTest):
    def test_info_says_what_the_site_has(self):
        info = self.get("@synchro-info")
        self.assertEqual(1, info["protocol"])
        self.assertIn("Document", info["types"])
        self.assertEqual("", info["writer"])
        self.assertTrue(info["top"].startswith(info["feed"]))

    def test_a_state_has_what_stock_rest_leaves_out(self):
        news, doc, event, image, file, link = objects = self.rich_site()
        items = dict(zip(("news", "doc", "event", "image", "file", "link"), self.read(*objects)))
        self.assertEqual([], [i for i in items.values() if "unsupported" in i])
        self.assertEqual("news/doc", items["doc"]["path"])
        self.assertEqual(news.UID(), items["doc"]["parent"])
        self.assertEqual(doc.UID(), items["news"]["default_page"])
        self.assertEqual(["link", "doc", "event", "image"], items["news"]["order"])
        self.assertEqual("summary_view", items["news"]["layout"])
        self.assertEqual(["Editor"], items["doc"]["roles"]["anna"])
        self.assertEqual("<p>a & b <a href='resolveuid/x'>&nbsp;</a></p>\r\n", items["doc"]["fields"]["text"]["raw"])
        self.assertEqual(
            [{"$": "rel", "uid": file.UID()}, {"$": "rel", "uid": link.UID()}], items["doc"]["fields"]["relatedItems"]
        )
        self.assertEqual({"$": "tuple", "v": ["b", "a"]}, items["doc"]["fields"]["subjects"])
        self.assertEqual(DateTime("2001-02-03T04:05:06.123456+02:00").micros(), items["doc"]["dates"]["created"]["us"])
        (history,) = items["doc"]["history"].values()
        self.assertEqual(["private", "published"], [step["review_state"] for step in history["v"]])
        self.assertEqual("2026-03-29T02:30:00.123456", items["event"]["fields"]["start"]["v"])
        self.assertEqual(["ä.png", 7, 5], [items["image"]["fields"]["image"][k] for k in ("name", "width", "height")])

    def test_the_listing_has_every_object_once_and_the_digest_of_its_state(self):
        objects = self.rich_site()
        rows, after = [], ""
        while True:
            page = self.get("@synchro-list", after=after, limit=2, digest=1)
            rows += page["objects"]
            after = page["next"]
            if after is None:
                break
        self.assertEqual(sorted(o.UID() for o in objects), [row[0] for row in rows])
        digests = {item["uid"]: item["digest"] for item in self.read(*objects)}
        self.assertEqual(digests, {row[0]: row[3] for row in rows})
        for item in self.read(*objects):
            whole = {k: v for k, v in item.items() if k not in ("path", "digest", "blobs")}
            for value in whole["fields"].values():
                if isinstance(value, dict):
                    value.pop("handle", None)
            text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
            self.assertEqual(hashlib.sha256(text.encode()).hexdigest(), item["digest"])

    def test_a_digest_differs_after_every_kind_of_change(self):
        news, doc, _, _, file, _ = self.rich_site()

        def retitle():
            doc.title = "other"

        def reorder():
            news.moveObjectsToTop(["event"])

        def share():
            doc.manage_setLocalRoles("ben", ["Reader"])

        def revert():
            news.default_page = None

        for change in (retitle, reorder, share, revert, lambda: news._delObject("link")):
            before = [i["digest"] for i in self.read(news, doc)]
            change()
            transaction.commit()
            self.assertNotEqual(before, [i["digest"] for i in self.read(news, doc)])
        before = self.read(file)[0]["blobs"]
        file.file.data = b"y" * 5000
        transaction.commit()
        self.assertNotEqual(before, self.read(file)[0]["blobs"])

    def test_what_is_not_there_is_gone_and_comes_from_nowhere_above(self):
        news, doc = self.rich_site()[:2]
        uid = doc.UID()
        news._delObject("doc")
        self.make(self.portal, "Document", "doc")
        self.assertEqual([{"uid": uid, "gone": True}, {"uid": "../x", "gone": True}], self.read(uid, "../x"))

    def test_a_value_that_cannot_travel_is_named(self):
        doc = self.make(self.portal, "Document", "doc")
        doc.description = "half \ud800 of it"
        transaction.commit()
        (item,) = self.read(doc)
        self.assertIn("surrogate", item["unsupported"]["description"])
        self.assertNotIn("description", item["fields"])

    def test_nothing_is_read_without_the_role(self):
        for user in (None, "nobody", ("reader", "wrong")):
            for service in ("@synchro-info", "@synchro-feed", "@synchro-list"):
                self.assertEqual(401, self.ask("GET", service, user).status_code, (user, service))
            self.assertEqual(401, self.ask("POST", "@synchro-read", user, json={"uids": []}).status_code)
        self.assertEqual(200, self.ask("GET", "@synchro-info", manager()).status_code)


class CodecTest(SiteTest):
    def test_every_value_comes_back_as_it_was(self):
        import datetime as dt
        from decimal import Decimal
        from zoneinfo import ZoneInfo

        import pytz
        from persistent.mapping import PersistentMapping

        new_york = pytz.timezone("America/New_York")
        for value in (
            None, True, 3, -(1 << 70), 0.1, float("inf"), "ü\0", [1, [2]], {"a": {"b": 1}}, (1, (2,)), {"$": 1},
            {1: "a", (2, 3): "b"}, {3, 1, 2}, frozenset("ab"), b"\0\xff", Decimal("1.10"), PersistentMapping({"a": 1}),
            dt.date(2026, 1, 2), dt.time(1, 2, 3, 4), dt.timedelta(-1, 2, 3), dt.datetime(2026, 1, 2, 3, 4, 5, 6),
            new_york.localize(dt.datetime(2026, 11, 1, 1, 30), is_dst=True),
            new_york.localize(dt.datetime(2026, 11, 1, 1, 30), is_dst=False),
            dt.datetime(2026, 11, 1, 1, 30, fold=1, tzinfo=ZoneInfo("America/New_York")),
            dt.datetime(2026, 1, 1, tzinfo=pytz.utc), dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc),
            DateTime("2026/01/02 03:04:05.678901 GMT+2"), DateTime("2026-01-02T03:04:05"),
        ):  # fmt: skip
            wire = json.loads(json.dumps(codec.encode(value), allow_nan=False))
            back = codec.decode(wire)
            self.assertEqual((type(value), value), (type(back), back))
            self.assertEqual(wire, codec.encode(back))
            if isinstance(value, dt.datetime):
                self.assertEqual((str(value), value.fold), (str(back), back.fold))

    def test_what_is_no_value_is_refused(self):
        deep = []
        for _ in range(100):
            deep = [deep]
        for wire in (
            {"$": "object", "v": 1}, {"$": ["tuple"]}, {"$": "tuple"}, {"$": "tuple", "v": "ab"}, {"$": "set", "v": [[1]]},
            {"$": "bytes", "v": "?"}, {"$": "decimal", "v": "x"}, {"$": "date", "v": 3}, {"$": "float", "v": "1"},
            {"$": "DateTime", "us": float("nan"), "naive": False, "zone": "UTC"}, {"$": "DateTime", "us": 1, "naive": 1, "zone": "UTC"},
            {"$": "DateTime", "us": 1, "naive": False, "zone": "Nowhere/Land"}, {"$": "DateTime", "us": 10**30, "naive": False, "zone": "UTC"},
            {"$": "datetime", "v": "2026-01-02T03:04:05", "zone": ["zoneinfo", "../../etc/passwd"], "offset": 0, "fold": 0},
            {"$": "datetime", "v": "2026-01-02T03:04:05", "zone": ["os", "UTC"], "offset": 0, "fold": 0},
            {"$": "blob", "class": "Blob", "sha256": "0" * 64}, {"$": "blob", "class": "NamedBlobFile", "sha256": "../x"}, deep,
            "half \ud800", {"$": "rich", "raw": 1, "mime": "", "out": "", "enc": ""}, {"$": "timedelta", "v": [1] * 9},
        ):  # fmt: skip
            with self.assertRaises(codec.Invalid, msg=str(wire)[:100]):
                codec.decode_field(wire)
