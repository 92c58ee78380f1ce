"""Bytes of files: staged under their digest before the batch that needs them, and claimed by it
without a copy."""

import hashlib
import os
import shutil
import time
from collections import OrderedDict
from threading import Lock

import transaction
from DateTime import DateTime
from ZODB.blob import Blob

from synchro_plone import codec
from synchro_plone.checks import Refusal

PIECE = 1 << 20
DAY = 24 * 3600


class Staging:
    """A folder beside the blobs, on the same file system so that files can be linked."""

    def __init__(self, jar):
        self.folder = os.path.join(jar.db().storage.temporaryDirectory(), "synchro")
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def whole(self, sha256):
        return os.path.join(self.folder, sha256)

    def part(self, sha256):
        return os.path.join(self.folder, f"{sha256}.part")

    def have(self, sha256):
        """have tells how many bytes are here, and whether that is all of them."""
        for path, complete in ((self.whole(sha256), True), (self.part(sha256), False)):
            try:
                return os.path.getsize(path), complete
            except FileNotFoundError:
                pass
        return 0, False

    def room(self, size):
        return shutil.disk_usage(self.folder).free > size + (256 << 20)

    def finish(self, sha256):
        """finish checks a part that has all its bytes. One that is wrong is removed."""
        if digest_of_file(self.part(sha256)) != sha256:
            os.remove(self.part(sha256))
            return False
        os.replace(self.part(sha256), self.whole(sha256))
        return True

    def clean(self):
        """clean removes what nobody came for within a day."""
        for entry in os.scandir(self.folder):
            try:
                if entry.stat().st_mtime < time.time() - DAY:
                    os.remove(entry.path)
            except FileNotFoundError:
                pass


def digest_of_file(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(f)


def _digest(f):
    digest = hashlib.sha256()
    while piece := f.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


class Digests:
    """The digests of blobs by their handles. Bytes never change under one handle."""

    def __init__(self, most=10_000):
        self.most, self.known, self.lock = most, OrderedDict(), Lock()

    def of(self, blob):
        handle = codec.handle_of(blob)
        with self.lock:
            if handle in self.known:
                self.known.move_to_end(handle)
                return self.known[handle]
        with blob.open("r") as f:
            digest = _digest(f)
        if handle != "new":
            with self.lock:
                self.known[handle] = digest
                while len(self.known) > self.most:
                    self.known.popitem(last=False)
        return digest


DIGESTS = Digests()


def same_file(value, file):
    """same_file tells whether a field holds a file already. Bytes are looked at last."""
    if type(value) is not codec.BLOBS[file.kind]:
        return False
    wire = codec.encode(value)
    here = [wire[k] for k in ("name", "mime", "size", "width", "height", "exif")]
    there = [file.name, file.mime, file.size, file.width, file.height, codec.encode(file.exif)]
    return here == there and DIGESTS.of(value._blob) == file.sha256


def stored_file(jar, value, file):
    """stored_file makes the value of a field. The bytes that the field has are kept when they
    are the ones that are wanted."""
    kind = codec.BLOBS[file.kind]
    same = type(value) is kind and value.getSize() == file.size and DIGESTS.of(value._blob) == file.sha256
    if not same:
        value = kind.__new__(kind)  # its constructor turns images and writes them anew
        value.__dict__["_blob"] = _claim(jar, file)
    value.filename = file.name
    value.contentType = file.mime
    value._modified = DateTime().millis()
    value.__dict__["size"] = file.size
    for name, given in (("_width", file.width), ("_height", file.height), ("exif", file.exif)):
        if given is not None:
            value.__dict__[name] = given
        else:
            value.__dict__.pop(name, None)
    value._p_changed = True
    return value


def _claim(jar, file):
    blob = Blob()
    if file.size == 0:
        with blob.open("w"):
            return blob
    staging = Staging(jar)
    whole = staging.whole(file.sha256)
    if staging.have(file.sha256) != (file.size, True):
        raise Refusal("blob-missing", "the bytes of a file are not here", "retry", blobs=[file.sha256])
    # A link, since the request may have to be done again, and needs them then.
    link = f"{whole}.{os.getpid()}-{time.monotonic_ns()}"
    try:
        os.link(whole, link)
    except OSError:
        shutil.copyfile(whole, link)
    jar.add(blob)  # or its file would lie on another file system
    blob.consumeFile(link)
    transaction.get().addAfterCommitHook(_forget, (whole,))
    return blob


def _forget(committed, path):
    if committed:
        try:
            os.remove(path)
        except FileNotFoundError:
            pass
