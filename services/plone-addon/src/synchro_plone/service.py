"""What all services have in common: who may ask, how much, and how a refusal looks."""

import json

import transaction
from plone.protect.interfaces import IDisableCSRFProtection
from plone.rest import Service as RestService
from zope.interface import alsoProvides

from synchro_plone import LOG
from synchro_plone.store import store_of

MAX_BODY = 16 << 20

JSON = "application/vnd.synchro+json"
"""Of bodies. Plone parses every body that is plain application/json while it looks for who is
asking, whatever its size; this one is left alone until the account is known."""

MAX_QUERY = 4096


class Refused(Exception):
    """Why a whole request is refused. The reason is for operators and holds no content."""

    def __init__(self, status, kind, message, **more):
        super().__init__(message)
        self.status = status
        self.answer = {"type": kind, "message": message, **more}


class Service(RestService):
    """A service on the root of a site. Its permission is checked by the publisher."""

    media = None  # of the request's body, if it has one
    max_body = MAX_BODY

    def render(self):
        response = self.request.response
        response.setHeader("Content-Type", "application/json")
        response.setHeader("Cache-Control", "no-store")
        try:
            self._guard()
            answer = self.reply()
        except Refused as e:
            transaction.abort()
            # The account may be gone by now, the name of the service is a constant.
            LOG.warning("%s refused: %s (%s)", type(self).__name__, e, e.answer["type"])
            response.setStatus(e.status, lock=1)
            answer = e.answer
        if answer is None or isinstance(answer, bytes) or hasattr(answer, "read"):
            return answer
        return json.dumps(answer, sort_keys=True, separators=(",", ":"))

    def _guard(self):
        # A browser sends cookies by itself, also when another site makes it ask.
        if not self.request._auth or "__ac" in self.request.cookies:
            raise Refused(401, "Unauthorized", "give the account in an Authorization header, without cookies")
        self.store = store_of(self.context)
        if self.store is None:
            raise Refused(404, "NotInstalled", "the add-on synchro_plone is not installed on this site")
        if len(self.request.get("QUERY_STRING") or "") > MAX_QUERY:
            raise Refused(414, "QueryTooLong", "the query is too long")
        if self.media is not None:
            self._guard_body()

    def _guard_body(self):
        header = self.request.getHeader
        if (header("Content-Type") or "").split(";")[0].strip().lower() != self.media:
            raise Refused(415, "MediaType", f"send the body as {self.media}")
        length = header("Content-Length") or self.request.get("CONTENT_LENGTH") or ""
        if not length.isdigit():
            raise Refused(411, "LengthRequired", "say how long the body is")
        self.length = int(length)
        if self.length > self.max_body:
            raise Refused(413, "TooLarge", f"the body has more than {self.max_body} bytes")
        alsoProvides(self.request, IDisableCSRFProtection)

    def body(self):
        """body reads the body's JSON, which has to be an object."""
        try:
            read = self.request["BODYFILE"].read(self.length + 1)
            value = json.loads(read, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused(400, "NotJSON", "the body is no JSON that is understood") from None
        if not isinstance(value, dict):
            raise Refused(400, "BadRequest", "the body is no object")
        return value

    def number(self, name, default, low, high):
        """number reads a whole number from the query."""
        text = self.request.form.get(name, str(default))
        if not isinstance(text, str) or not text.isascii() or not text.isdigit() or len(text) > 18 or not low <= int(text) <= high:
            raise Refused(400, "BadRequest", f"{name} has to be a number from {low} to {high}")
        return int(text)

    def text(self, name, longest=512):
        value = self.request.form.get(name, "")
        if not isinstance(value, str) or len(value) > longest:
            raise Refused(400, "BadRequest", f"{name} has to be a text of at most {longest} characters")
        return value

    def reply(self):
        raise NotImplementedError


def _no_constant(name):
    raise ValueError(name)


def is_uid(value):
    return isinstance(value, str) and len(value) == 32 and set(value) <= set("0123456789abcdef")
