import hashlib
import os
import time
from io import BytesIO

import transaction
from applying import ApplyingTest
from PIL import Image
from synchro_plone.files import Staging


class BlobTest(ApplyingTest):
    def file_item(self, data, name="f.bin", sha256=None, **more):
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        wire = {"$": "blob", "class": "NamedBlobFile", "name": name, "mime": "text/plain", "size": len(data), "sha256": sha256}
        return self.page("f", type="File", fields={"file": {**wire, **more}})

    def test_pieces_become_a_file_and_are_cleared_away(self):
        data = os.urandom(3000)
        digest = hashlib.sha256(data).hexdigest()
        self.assertEqual({"have": 1000, "complete": False}, self.upload(digest, data[:1000], 0, 3000).json())
        late = self.upload(digest, data[:1000], 0, 3000)
        self.assertEqual((409, 1000), (late.status_code, late.json()["have"]))
        self.assertEqual({"have": 3000, "complete": True}, self.upload(digest, data[1000:], 1000, 3000).json())
        self.assertEqual({"have": 3000, "complete": True}, self.upload(digest, data, 0, 3000).json())
        self.assertEqual([("applied", None)], self.results(self.apply(self.file_item(data))))
        transaction.begin()
        self.assertEqual(data, self.portal["f"].file.data)
        self.assertEqual([], os.listdir(Staging(self.portal._p_jar).folder))

    def test_bytes_that_are_here_are_not_needed_again(self):
        data = b"z" * 2000
        self.stage(data)
        self.apply(self.file_item(data))
        transaction.begin()
        blob = self.portal["f"].file._blob
        blob._p_activate()
        serial = blob._p_serial
        self.assertEqual([("applied", None)], self.results(self.apply(self.file_item(data, "other.bin"))))
        self.assertEqual([("applied", None)], self.results(self.apply(self.file_item(b""))))
        transaction.begin()
        self.assertEqual(b"", self.portal["f"].file.data)
        blob._p_activate()
        self.assertEqual(serial, blob._p_serial)

    def test_a_file_without_its_bytes_waits_and_names_them(self):
        data = b"not here"
        answer = self.apply(self.file_item(data))
        self.assertEqual([("refused", "blob-missing")], self.results(answer))
        self.assertEqual([hashlib.sha256(data).hexdigest()], answer["items"][0]["blobs"])
        self.assertNotIn("f", self.portal)

    def test_wrong_bytes_are_refused_and_forgotten(self):
        digest = hashlib.sha256(b"right").hexdigest()
        self.assertEqual(422, self.upload(digest, b"wrong").status_code)
        self.assertEqual({"have": 5, "complete": True}, self.upload(digest, b"right").json())

    def test_what_nobody_came_for_goes_after_a_day(self):
        digest = self.stage(b"left alone")
        path = Staging(self.portal._p_jar).whole(digest)
        os.utime(path, (0, time.time() - 25 * 3600))
        self.stage(b"another")
        self.assertFalse(os.path.exists(path))

    def test_an_image_keeps_its_bytes_whatever_its_camera_says(self):
        data, exif = BytesIO(), Image.Exif()
        exif[0x0112] = 6  # turned: Plone's own constructor would turn it back and write it anew
        Image.new("RGB", (8, 4)).save(data, "JPEG", exif=exif)
        digest = self.stage(data.getvalue())
        wire = {"$": "blob", "class": "NamedBlobImage", "name": "a.jpg", "mime": "image/jpeg", "size": len(data.getvalue())}
        item = self.page("i", type="Image", fields={"image": {**wire, "sha256": digest, "width": 4, "height": 8}})
        self.assertEqual([("applied", None)], self.results(self.apply(item)))
        transaction.begin()
        image = self.portal["i"].image
        self.assertEqual((data.getvalue(), (4, 8)), (image.data, image.getImageSize()))

    def test_ranges(self):
        data = bytes(range(256)) * 40
        self.stage(data)
        self.apply(self.file_item(data))
        item = self.read("a" * 32)[0]
        handle = item["fields"]["file"]["handle"]
        service = f"@synchro-blob/{'a' * 32}/file"

        def ask(wanted):
            headers = {"Range": wanted} if wanted else {}
            return self.ask("GET", service, params={"handle": handle}, headers=headers)

        self.assertEqual(data, ask(None).content)
        for wanted, part in (("bytes=0-9", data[:10]), ("bytes=10000-", data[10000:]), ("bytes=-5", data[-5:])):
            found = ask(wanted)
            self.assertEqual((206, part), (found.status_code, found.content), wanted)
        for wanted in ("bytes=20000-", "bytes=0-1,3-4", "lines=1-2", "bytes=5-1"):
            self.assertEqual(416, ask(wanted).status_code, wanted)
        for other in ("0" * 16 + "-" + "0" * 16, ""):
            self.assertEqual(409, self.ask("GET", service, params={"handle": other}).status_code)
        for other in (f"@synchro-blob/{'b' * 32}/file", f"@synchro-blob/{'a' * 32}/title", "@synchro-blob/x", "@synchro-blob"):
            self.assertEqual(404, self.ask("GET", other, params={"handle": handle}).status_code, other)
