"""Hostile requests: each is refused as stated, and nothing changes."""

import json
import socket
from urllib.parse import urlsplit

import requests
import transaction
from applying import ApplyingTest
from applying import zope_date
from base import manager
from base import PASSWORD
from synchro_plone import store
from synchro_plone.service import JSON
from synchro_plone.settings import settings


class HostileTest(ApplyingTest):
    def setUp(self):
        super().setUp()
        self.apply(self.page("here", "d" * 32, type="Folder"), self.page("leaf", "e" * 32, parent="d" * 32))

    def state(self):
        """state is all that a hostile request might have changed."""
        transaction.begin()
        kept = store.store_of(self.portal)
        rows = self.get("@synchro-list", digest=1)["objects"]
        return rows, dict(kept.ledger), kept.fence, settings().writer, settings().address, sorted(self.portal.objectIds())

    def refused(self, status, found, why=""):
        self.assertIn(found.status_code, status if isinstance(status, tuple) else (status,), f"{why}: {found.text[:300]}")
        self.assertNotIn("Traceback", found.text)

    def test_whole_requests(self):
        before = self.state()
        body = {"writer": "paris", "fence": 1, "mode": "each", "items": [self.page()]}
        text = json.dumps(body)
        typed = {"Content-Type": JSON}

        def post(data=text, user="writer", headers=typed, **more):
            return self.ask("POST", "@synchro-apply", user, data=data, headers=headers, **more)

        for user in (None, "nobody", "reader", ("writer", "wrong"), ("", ""), ("admin", "admin")):
            self.refused(401, post(user=user), user)
        login = requests.post(f"{self.url}/@login", json={"login": "writer", "password": PASSWORD}, headers={"Accept": "application/json"})
        token = login.json().get("token", "x")
        cookie = {"auth_token": token, "__ac": "d3JpdGVyOngiLCJ3"}
        self.refused(401, post(user=None, cookies=cookie), "cookie only")
        self.refused(401, post(cookies={"__ac": "x"}), "cookie and account")
        self.refused(401, post(user=None, headers={"Content-Type": "text/plain", "Origin": "https://evil.example"}, cookies=cookie))
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", ""):
            self.refused((400, 415), post(headers={"Content-Type": media}), media)
        deep = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
        for data in ("", "[]", "3", "{", text[:-1], deep, b"\xff\xfe", '{"fence": NaN}', '{"fence": ' + "9" * 5000 + "}"):
            self.refused(400, post(data=data), data[:40])
        for name, values in {
            "writer": (None, "", "a b", "../x", 3, ["paris"], "x" * 65),
            "fence": (None, -1, 1.5, "1", True, 2**63, 10**30),
            "mode": (None, "some", 1),
            "items": (None, {}, [], "x", [3], [{}], [{"uid": "x"}], [{"uid": "D" * 32}], [self.page(), self.page()], [self.page()] * 201),
        }.items():
            for value in values:
                self.refused(400, post(data=json.dumps({**body, name: value})), (name, value))
        self.refused(409, post(data=json.dumps({**body, "writer": "other-site"})), "another writer")
        self.refused(409, post(data=json.dumps({**body, "fence": 0})), "an older process")
        self.refused(404, self.ask("GET", "@synchro-apply", "writer"), "GET writes nothing")
        self.assertEqual(before, self.state())

    def test_a_body_of_a_gigabyte_is_refused_before_it_is_read_as_json(self):
        before = self.state()
        address = urlsplit(self.url)
        account = requests.auth._basic_auth_str("writer", PASSWORD)
        head = (
            f"POST {address.path}/@synchro-apply HTTP/1.1\r\nHost: x\r\nAuthorization: {account}\r\nAccept: application/json\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: {20 << 20}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), 30) as s:
            s.sendall(head.encode() + b"[" * (20 << 20))
            answer = s.makefile("rb").read()
        self.assertIn(b" 413 ", answer.split(b"\r\n", 1)[0])
        self.assertEqual(before, self.state())

    def test_a_copied_database_takes_nothing_until_it_is_adopted(self):
        settings().address = "https://the-original.example/Plone"
        transaction.commit()
        before = self.state()
        self.assertEqual("Copied", self.apply(self.page(), status=409)["type"])
        self.assertEqual(before, self.state())
        settings().writer = ""
        transaction.commit()
        self.assertEqual([("applied", None)], self.results(self.apply(self.page())))

    def test_items(self):
        settings().paths = ["/here"]
        transaction.commit()
        before = self.state()
        inside = {"parent": "d" * 32}
        nan = {"$": "DateTime", "us": None, "naive": False, "zone": "UTC"}
        steps = {"$": "tuple", "v": [{"review_state": "no such state", "time": zope_date(1)}]}
        for why, kind, more in (
            ("beside the scope", "out-of-scope", {}),
            ("beside the scope, by name", "out-of-scope", {"id": "here2"}),
            ("moved out", "out-of-scope", {"uid": "e" * 32, "id": "leaf"}),
            ("the top itself", "out-of-scope", {"parent": "", "id": "Members"}),
            ("administrator", "role", {**inside, "roles": {"evil": ["Manager"]}}),
            ("site administrator", "role", {**inside, "roles": {"evil": ["Site Administrator"]}}),
            ("own role", "role", {**inside, "roles": {"evil": ["Synchro Writer"]}}),
            ("role not listed", "role", {**inside, "roles": {"evil": ["Editor"]}}),
            ("roles are none", "invalid", {**inside, "roles": ["Manager"]}),
            ("a site in a site", "type", {**inside, "type": "Plone Site"}),
            ("unknown type", "type", {**inside, "type": "Products.Evil"}),
            ("type is none", "invalid", {**inside, "type": {"$": "object"}}),
            ("another type", "type", {"uid": "e" * 32, "id": "leaf", **inside, "type": "Folder"}),
            ("below a page", "type", {"parent": "e" * 32}),
            ("below itself", "invalid", {"parent": "a" * 32}),
            ("a name that is taken", "path-taken", {**inside, "id": "leaf"}),
            ("a name with a slash", "invalid", {**inside, "id": "a/b"}),
            ("a name that goes up", "name-refused", {**inside, "id": ".."}),
            ("a view", "name-refused", {**inside, "id": "@@x"}),
            ("a namespace", "name-refused", {**inside, "id": "++x"}),
            ("a private name", "name-refused", {**inside, "id": "_x"}),
            ("acquisition", "name-refused", {**inside, "id": "aq_parent"}),
            ("a name that breaks the folder", "name-refused", {**inside, "id": "layout"}),
            ("the request", "name-refused", {**inside, "id": "REQUEST"}),
            ("not ASCII", "invalid", {**inside, "id": "ä"}),
            ("no name", "invalid", {**inside, "id": ""}),
            ("a long name", "invalid", {**inside, "id": "x" * 256}),
            ("a line in a name", "invalid", {**inside, "id": "a\nb"}),
            ("no parent", "parent-missing", {"parent": "9" * 32}),
            ("a path for a parent", "invalid", {"parent": "../.."}),
            ("a path that goes up", "parent-missing", {"parent": "/here/../.."}),
            ("a tool of the site", "parent-missing", {"parent": "/acl_users"}),
            ("version 10^30", "invalid", {**inside, "version": 10**30}),
            ("negative version", "invalid", {**inside, "version": -1}),
            ("version is text", "invalid", {**inside, "version": "1"}),
            ("no operation", "invalid", {**inside, "op": "exec"}),
            ("unknown layout", "layout", {**inside, "layout": "manage_main"}),
            ("layout is none", "invalid", {**inside, "layout": ["x"]}),
            ("unknown field", "field", {**inside, "fields": {"__class__": "x"}}),
            ("a field that is none", "field", {**inside, "fields": {"__parent__": "x"}}),
            ("a pickle", "field", {**inside, "fields": {"text": {"$": "pickle", "v": "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOULg=="}}}),
            ("title is no text", "field", {**inside, "fields": {"title": {"a": 1}}}),
            ("text is no rich text", "field", {**inside, "fields": {"text": "x"}}),
            ("a relation for a title", "field", {**inside, "fields": {"title": {"$": "rel", "uid": "e" * 32}}}),
            ("texts for relations", "field", {**inside, "fields": {"relatedItems": ["x"]}}),
            ("a relation inside", "field", {**inside, "fields": {"title": {"a": {"$": "rel", "uid": "e" * 32}}}}),
            ("half a character", "field", {**inside, "fields": {"title": "\ud800"}}),
            ("a file in a path", "field", {**inside, "type": "File", "fields": {"file": blob("../../etc/passwd")}}),
            ("a file that is not here", "blob-missing", {**inside, "type": "File", "fields": {"file": blob("0" * 64)}}),
            ("a file of another kind", "field", {**inside, "type": "File", "fields": {"file": {**blob("0" * 64), "class": "Blob"}}}),
            ("no dates", "invalid", {**inside, "dates": None}),
            ("a date that is none", "invalid", {**inside, "dates": {"created": nan}}),
            ("a date as text", "invalid", {**inside, "dates": {"created": "2026-01-01"}}),
            ("a date of one's own", "invalid", {**inside, "dates": {"__class__": zope_date(1)}}),
            ("a date without end", "invalid", {**inside, "dates": {"created": zope_date(10**30)}}),
            ("a state that is none", "state", {**inside, "history": {"simple_publication_workflow": steps}}),
            ("a workflow that is none", "state", {**inside, "history": {"evil": steps}}),
            ("history is text", "invalid", {**inside, "history": "x"}),
            ("an order that is none", "invalid", {**inside, "order": {"a": 1}}),
            ("an ordering that is none", "invalid", {**inside, "ordering": "../x"}),
            ("constraints of one's own", "invalid", {**inside, "constrain": {"__init__": 1}}),
            ("an owner that is none", "invalid", {**inside, "owner": ["admin"]}),
            ("a translation group that is none", "invalid", {**inside, "tg": "x" * 65}),
        ):  # fmt: skip
            with self.subTest(why):
                answer = self.apply(self.page(**{"id": "evil", **more}))
                self.assertEqual([("refused", kind)], self.results(answer), answer)
                self.assertEqual(before, self.state())
        for uid in ("d" * 32,):
            self.assertEqual([("refused", "not-empty")], self.results(self.apply(self.remove(uid))))
        settings().paths = ["/elsewhere"]
        transaction.commit()
        self.assertEqual([("refused", "out-of-scope")], self.results(self.apply(self.remove("e" * 32))))

    def test_files(self):
        staged = {"Content-Type": "application/octet-stream"}
        name = "0" * 64

        def put(service, user="writer", headers=staged, data=b"x", **query):
            query = {"offset": 0, "size": 5, **query}
            return self.ask("PUT", service, user, params=query, data=data, headers=headers)

        for user in (None, "nobody", "reader"):
            self.refused(401, put(f"@synchro-blob/{name}", user), user)
        self.refused(415, put(f"@synchro-blob/{name}", headers={"Content-Type": "application/json"}))
        for bad in ("x", "..%2F..%2Fetc", "A" * 64, "0" * 63, f"{name}/x"):
            self.refused((400, 401, 404), put(f"@synchro-blob/{bad}"), bad)
        for query in ({"size": 0}, {"size": -1}, {"size": 2**60}, {"offset": 9}, {"offset": -1}, {"size": "x"}):
            self.refused(400, put(f"@synchro-blob/{name}", **query), query)
        self.refused(400, put(f"@synchro-blob/{name}", data=b"longer than said"))
        self.refused(409, put(f"@synchro-blob/{name}", offset=3))
        self.refused(422, put(f"@synchro-blob/{name}", data=b"wrong"))
        self.assertEqual({"have": 0, "complete": False}, put(f"@synchro-blob/{name}", data=b"").json())

    def test_a_refusal_is_logged_without_content(self):
        with self.assertLogs("synchro_plone", "WARNING") as logs:
            self.apply(self.page(fields={"title": {"secret content": 1}}))
            self.ask("POST", "@synchro-apply", "writer", data="secret content", headers={"Content-Type": JSON})
        self.assertEqual(2, len(logs.output))
        self.assertNotIn("secret", " ".join(logs.output))

    def test_managers_may_do_what_the_roles_may(self):
        self.assertEqual([("applied", None)], self.results(self.apply(self.page(), user=manager())))


def blob(sha256):
    return {"$": "blob", "class": "NamedBlobFile", "name": "x", "mime": "text/plain", "size": 1, "sha256": sha256}
