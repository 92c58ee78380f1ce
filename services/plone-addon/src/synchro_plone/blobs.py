"""GET and PUT @synchro-blob: the bytes of files, in pieces of any size and never in memory."""

import re

from plone.namedfile.utils import stream_data
from zExceptions import NotFound
from zope.interface import implementer
from zope.publisher.interfaces import IPublishTraverse
from ZPublisher.HTTPRangeSupport import parseRange

from synchro_plone import codec
from synchro_plone.files import PIECE
from synchro_plone.files import Staging
from synchro_plone.service import is_uid
from synchro_plone.service import Refused
from synchro_plone.service import Service
from synchro_plone.snapshot import Finder
from synchro_plone.snapshot import slots_of

MAX_CHUNK = 64 << 20
MAX_FILE = 1 << 40


@implementer(IPublishTraverse)
class _Below(Service):
    """A service with names behind its own."""

    names = ()

    def publishTraverse(self, request, name):
        if len(self.names) >= 2:
            raise NotFound(name)
        self.names += (name,)
        return self


class Get(_Below):
    """GET @synchro-blob/<uid>/<field>?handle=H: the bytes that were there when the handle was
    given, or 409."""

    def reply(self):
        blob = self._blob()
        if codec.handle_of(blob._blob) != self.text("handle", 64):
            raise Refused(409, "Changed", "the file is another one by now; read the object again")
        response, size = self.request.response, blob.getSize()
        response.setHeader("Content-Type", "application/octet-stream")
        response.setHeader("Accept-Ranges", "bytes")
        start, end = self._range(size)
        if (start, end) != (0, size):
            response.setStatus(206)
            response.setHeader("Content-Range", f"bytes {start}-{end - 1}/{size}")
        response.setHeader("Content-Length", end - start)
        return stream_data(blob, start, end)

    def _blob(self):
        if len(self.names) == 2 and is_uid(self.names[0]):
            obj = Finder().find(self.names[0])
            slot = slots_of(obj).get(self.names[1]) if obj is not None else None
            value = getattr(obj.aq_base, slot.attribute, None) if slot is not None and slot.attribute else None
            if type(value) in codec.BLOBS.values():
                return value
        raise Refused(404, "NotFound", "there is no such file")

    def _range(self, size):
        header = self.request.getHeader("Range")
        if not header:
            return 0, size
        # One range or nothing: several in one answer nobody needs.
        ranges = parseRange(header) or []
        if len(ranges) != 1:
            raise Refused(416, "Range", "ask for one range of bytes")
        start, end = ranges[0]
        if start < 0:  # so many from the end
            start = max(0, size + start)
        end = size if end is None else min(end, size)
        if not 0 <= start < end:
            raise Refused(416, "Range", "the range lies outside the file")
        return start, end


class Put(_Below):
    """PUT @synchro-blob/<sha256>?offset=&size=: a piece of a file whose bytes have this digest.
    An empty piece asks what is here."""

    media = "application/octet-stream"
    max_body = MAX_CHUNK

    def reply(self):
        if len(self.names) != 1 or not re.fullmatch(r"[0-9a-f]{64}", self.names[0]):
            raise Refused(404, "NotFound", "a file is named by the SHA-256 of its bytes")
        size = self.number("size", 0, 1, MAX_FILE)
        offset = self.number("offset", 0, 0, size)
        staging, sha256 = Staging(self.context._p_jar), self.names[0]
        have, complete = staging.have(sha256)
        if not complete and self.length:
            have, complete = self._write(staging, sha256, offset, size, have)
        return {"have": have, "complete": complete}

    def _write(self, staging, sha256, offset, size, have):
        if offset != have:
            raise Refused(409, "Offset", "other bytes come next", have=have)
        if offset + self.length > size:
            raise Refused(400, "BadRequest", "the piece is longer than the file")
        staging.clean()
        if not staging.room(size - have):
            raise Refused(507, "Full", "the disk of the site is full")
        have += self._append(staging.part(sha256), offset)
        if have < size:
            return have, False
        if not staging.finish(sha256):
            raise Refused(422, "Digest", "the bytes have another digest; send them anew")
        return have, True

    def _append(self, path, offset):
        body, left = self.request["BODYFILE"], self.length
        with open(path, "ab") as f:
            f.truncate(offset)
            while left:
                piece = body.read(min(PIECE, left))
                if not piece:
                    break
                f.write(piece)
                left -= len(piece)
        return self.length - left
