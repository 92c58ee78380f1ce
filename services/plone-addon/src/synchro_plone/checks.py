"""What is checked of a batch before anything is written."""

import re
from dataclasses import dataclass
from dataclasses import field

from DateTime import DateTime

from synchro_plone import codec
from synchro_plone.service import is_uid
from synchro_plone.service import Refused
from synchro_plone.settings import GRANTABLE
from synchro_plone.snapshot import CONSTRAIN
from synchro_plone.snapshot import DATES
from synchro_plone.snapshot import UNSET

MAX_ITEMS = 200
MAX_VERSION = 2**63
MAX_NAME = 255

# A container that holds one of these cannot be shown any more.
BAD_NAMES = {"layout", "default_page", "index_html"}

ORDERINGS = ("", "unordered", "partial")


class Refusal(Exception):
    """Why one item is refused. The class says what is to be done: retry later, park it until
    somebody looks, or stop."""

    def __init__(self, kind, message, todo="park", **more):
        super().__init__(message)
        self.answer = {"result": "refused", "class": todo, "kind": kind, "message": message, **more}


@dataclass
class Item:
    """One item of a batch, with its values decoded."""

    op: str
    uid: str
    version: int
    expect: str | None = None
    again: bool = False
    id: str = ""
    parent: str = ""
    type: str = ""
    wire: dict = field(default_factory=dict)  # name of a field -> its JSON
    fields: dict = field(default_factory=dict)  # name of a field -> its value
    dates: dict = field(default_factory=dict)
    owner: str | None = None
    history: dict = field(default_factory=dict)
    roles: dict | None = None
    block: bool = False
    layout: str | None = None
    default_page: str | None = None
    ordering: str = ""
    order: list | None = None
    constrain: dict = field(default_factory=dict)
    tg: str | None = None
    markers: list | None = None


def envelope(body):
    """envelope checks what is around the items, and gives them unchecked."""
    writer, fence, mode, items = (body.get(k) for k in ("writer", "fence", "mode", "items"))
    if not isinstance(writer, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", writer):
        raise Refused(400, "BadRequest", "writer has to be a short name")
    if type(fence) is not int or not 0 <= fence < MAX_VERSION:
        raise Refused(400, "BadRequest", "fence has to be a number that is not negative")
    if mode not in ("all", "each"):
        raise Refused(400, "BadRequest", "mode has to be all or each")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        raise Refused(400, "BadRequest", f"items has to be a list of 1 to {MAX_ITEMS}")
    for raw in items:
        if not isinstance(raw, dict) or not is_uid(raw.get("uid")):
            raise Refused(400, "BadRequest", "an item has no UID of 32 hexadecimal digits")
    if len({raw["uid"] for raw in items}) != len(items):
        raise Refused(400, "BadRequest", "a UID is in the batch twice")
    return writer, fence, mode, items


def checked(raw):
    """checked decodes one item, or refuses it."""
    try:
        item = Item(raw.get("op"), raw["uid"], raw.get("version"), raw.get("expect"))
        _want(item.op in ("put", "remove"), "op")
        _want(type(item.version) is int and 0 <= item.version < MAX_VERSION, "version")
        _want(item.expect is None or isinstance(item.expect, str), "expect")
        item.again = raw.get("again", False) is True
        if item.op == "put":
            _place(item, raw)
            _fields(item, raw)
            _rest(item, raw)
        return item
    except codec.Invalid as e:
        raise Refusal("invalid", str(e)) from None
    except RecursionError:
        raise Refusal("invalid", "a value is nested too deeply") from None


def _want(ok, name):
    if not ok:
        raise codec.Invalid(f"{name} is missing or not what it should be")


def _place(item, raw):
    item.id, item.parent, item.type = raw.get("id"), raw.get("parent"), raw.get("type")
    named = isinstance(item.id, str) and item.id.isascii() and 0 < len(item.id) <= MAX_NAME
    _want(named and "/" not in item.id and item.id.isprintable(), "id")
    if item.id in BAD_NAMES or item.id.startswith(("_", "@", "+", "aq_")) or item.id in (".", ".."):
        raise Refusal("name-refused", "the name would make its container unusable")
    path = isinstance(item.parent, str) and item.parent.startswith("/")
    _want(item.parent == "" or path or is_uid(item.parent), "parent")
    _want(item.parent != item.uid, "parent")
    _want(isinstance(item.type, str) and 0 < len(item.type) <= 200, "type")


def _fields(item, raw):
    _want(isinstance(raw.get("fields"), dict), "fields")
    item.wire = raw["fields"]
    for name, wire in item.wire.items():
        try:
            item.fields[name] = None if wire == UNSET else codec.decode_field(wire)
        except codec.Invalid as e:
            raise Refusal("field", f"the field {name[:80]!r}: {e}", fields=[name[:80]]) from None


def _rest(item, raw):
    dates = raw.get("dates")
    _want(isinstance(dates, dict) and set(dates) <= set(DATES), "dates")
    item.dates = {name: codec.decode(wire) for name, wire in dates.items()}
    _want(all(v is None or isinstance(v, DateTime) for v in item.dates.values()), "dates")
    item.owner = _text(raw, "owner")
    item.history = {name: _steps(codec.decode(wire)) for name, wire in _dict(raw, "history").items()}
    item.roles = _roles(raw)
    item.block = raw.get("block", False)
    _want(isinstance(item.block, bool), "block")
    item.layout = _text(raw, "layout")
    item.default_page = raw.get("default_page")
    _want(item.default_page is None or is_uid(item.default_page), "default_page")
    item.ordering = raw.get("ordering", "")
    _want(item.ordering in ORDERINGS, "ordering")
    item.order = _names(raw, "order")
    constrain = _dict(raw, "constrain")
    _want(set(constrain) <= set(CONSTRAIN), "constrain")
    item.constrain = {name: codec.decode(wire) for name, wire in constrain.items()}
    mode = item.constrain.get(CONSTRAIN[0], 0)
    _want(type(mode) is int and mode in (-1, 0, 1), "constrain")
    _want(all(_is_texts(item.constrain.get(name) or []) for name in CONSTRAIN[1:]), "constrain")
    item.tg = _text(raw, "tg", 64)
    item.markers = _names(raw, "markers")


def _text(raw, name, longest=200):
    value = raw.get(name)
    _want(value is None or isinstance(value, str) and len(value) <= longest and value.isprintable(), name)
    return value


def _dict(raw, name):
    value = raw.get(name, {})
    _want(isinstance(value, dict), name)
    return value


def _names(raw, name):
    value = raw.get(name)
    _want(value is None or _is_texts(value), name)
    return value


def _is_texts(value):
    return isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value)


def _steps(steps):
    _want(isinstance(steps, (list, tuple)) and all(isinstance(s, dict) for s in steps), "history")
    return steps


def _roles(raw):
    roles = raw.get("roles")
    if roles is None:
        return None
    _want(isinstance(roles, dict) and all(_is_texts(v) for v in roles.values()), "roles")
    _want(all(0 < len(user) <= 200 for user in roles), "roles")
    never = sorted({role for given in roles.values() for role in given} - set(GRANTABLE.by_value))
    if never:
        raise Refusal("role", "a local role that may never arrive", roles=never[:10])
    return roles
