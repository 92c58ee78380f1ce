"""What the tests of writing have in common."""

import hashlib

from base import SiteTest


class ApplyingTest(SiteTest):
    version = 0

    def apply(self, *items, mode="each", user="writer", writer="paris", fence=1, status=200):
        body = {"writer": writer, "fence": fence, "mode": mode, "items": list(items)}
        found = self.ask("POST", "@synchro-apply", user, json=body)
        self.assertEqual(status, found.status_code, found.text[:800])
        return found.json()

    def put(self, item, **more):
        """put makes an item of a batch from what was read."""
        ApplyingTest.version += 1
        if "path" in item:
            item = {k: v for k, v in item.items() if k not in ("path", "digest", "blobs", "roles")}
        return {"op": "put", "version": self.version, **item, **more}

    def remove(self, uid, **more):
        ApplyingTest.version += 1
        return {"op": "remove", "uid": uid, "version": self.version, **more}

    def results(self, answer):
        return [(i["result"], i.get("kind")) for i in answer["items"]]

    def page(self, name="page", uid="a" * 32, **more):
        """page is a new document as another site would send it."""
        fields = {"title": "Title", "description": "", **more.pop("fields", {})}
        dates = {"created": zope_date(1), "modified": zope_date(2), "effective": None, "expires": None}
        item = {"uid": uid, "id": name, "parent": "", "type": "Document", "fields": fields, "dates": dates}
        return self.put({**item, **more})

    def with_files(self, item):
        """with_files stages what an item needs, and names it by its digest."""
        for wire in item["fields"].values():
            if isinstance(wire, dict) and wire.get("$") == "blob":
                found = self.ask("GET", f"@synchro-blob/{item['uid']}/{self.field(item, wire)}", params={"handle": wire["handle"]})
                self.assertEqual(200, found.status_code, found.text[:300])
                wire["sha256"] = self.stage(found.content)
        return item

    def field(self, item, wire):
        return next(name for name, value in item["fields"].items() if value is wire)

    def stage(self, data):
        digest = hashlib.sha256(data).hexdigest()
        found = self.upload(digest, data)
        self.assertEqual({"have": len(data), "complete": True}, found.json())
        return digest

    def upload(self, digest, data, offset=0, size=None):
        query = {"offset": offset, "size": len(data) if size is None else size}
        headers = {"Content-Type": "application/octet-stream"}
        return self.ask("PUT", f"@synchro-blob/{digest}", "writer", params=query, data=data, headers=headers)


def zope_date(micros):
    return {"$": "DateTime", "us": micros, "naive": False, "zone": "UTC"}
