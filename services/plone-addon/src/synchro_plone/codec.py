"""Values of fields as JSON, exactly, and back.

The list of types is closed: nothing is unpickled, imported or looked up by a name that comes
from outside. A value that is not in the list is an error that names it, and never dropped.
"""

import base64
import datetime as dt
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytz
from DateTime import DateTime
from dateutil import tz as dateutil_tz
from persistent.list import PersistentList
from persistent.mapping import PersistentMapping
from plone.app.textfield.value import RichTextValue
from plone.namedfile import file as namedfile
from z3c.relationfield.interfaces import IRelationValue

BLOBS = {c.__name__: c for c in (namedfile.NamedBlobFile, namedfile.NamedBlobImage)}
INLINE = {c.__name__: c for c in (namedfile.NamedFile, namedfile.NamedImage)}
MAX_INLINE = 1 << 20
MAX_DEPTH = 60


class Unsupported(ValueError):
    """A value of a type that cannot travel."""


class Invalid(ValueError):
    """JSON that is no value of the list."""


@dataclass(frozen=True)
class Relation:
    """A relation to a UID, which is not there yet perhaps."""

    uid: str


@dataclass
class File:
    """A file whose bytes are known by their digest."""

    kind: str
    name: str | None
    mime: str
    size: int
    sha256: str
    width: int | None
    height: int | None
    exif: object


def canonical(value):
    """canonical is one text for one JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def encode(value):
    return _encode(value, 0)


def decode(value):
    return _decode(value, 0)


def decode_field(value):
    """decode_field decodes the value of a field, which may be a file, a relation or a list of
    relations as well. Inside of other values they would not be found."""
    if _is(value, "blob"):
        return _well_formed(_to_blob, value, 0)
    if _is(value, "rel"):
        return _well_formed(_to_relation, value, 0)
    if isinstance(value, list) and value and all(_is(v, "rel") for v in value):
        return [_well_formed(_to_relation, v, 0) for v in value]
    return decode(value)


def _is(value, kind):
    return isinstance(value, dict) and value.get("$") == kind


def _encode(value, depth):
    if depth > MAX_DEPTH:
        raise Unsupported("a value that holds itself, or is nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if IRelationValue.providedBy(value):
        return _relation(value)
    encoder = ENCODERS.get(type(value))
    if encoder is None and isinstance(value, dt.datetime):
        encoder = _datetime
    if encoder is None:
        raise Unsupported(f"a value of the type {type(value).__module__}.{type(value).__name__}")
    return encoder(value, depth + 1)


def _text(value, depth=0):
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unsupported("text with half a character (a lone surrogate)") from None
    return str(value)


def _float(value, depth=0):
    return value if math.isfinite(value) else {"$": "float", "v": repr(value)}


def _list(value, depth):
    return [_encode(v, depth) for v in value if not _is_broken(v)]


def _dict(value, depth):
    if all(type(k) is str for k in value) and "$" not in value:
        return {_text(k): _encode(v, depth) for k, v in value.items()}
    return {"$": "map", "v": _pairs(value, depth)}


def _pairs(value, depth):
    pairs = [[_encode(k, depth), _encode(v, depth)] for k, v in value.items()]
    return sorted(pairs, key=canonical)


def _tagged(name, make):
    return lambda value, depth: {"$": name, "v": make(value, depth)}


def _set(value, depth):
    return sorted((_encode(v, depth) for v in value), key=canonical)


def _bytes(value, depth=0):
    return base64.b64encode(value).decode()


def _zone(zone):
    """_zone names a time zone and the library it is of: both libraries know the same names."""
    if zone is None:
        return None
    if isinstance(zone, ZoneInfo) and zone.key:
        return ["zoneinfo", zone.key]
    if zone is pytz.utc or getattr(zone, "zone", None):
        return ["pytz", str(zone)]
    if isinstance(zone, dateutil_tz.tzutc):
        return ["dateutil", "UTC"]
    if isinstance(zone, dt.timezone):
        return ["offset", zone.utcoffset(None).total_seconds()]
    minutes = getattr(zone, "_minutes", None)
    if isinstance(zone, type(pytz.FixedOffset(1))) and minutes is not None:
        return ["pytz-offset", minutes]
    raise Unsupported(f"a time zone of the type {type(zone).__module__}.{type(zone).__name__}")


def _datetime(value, depth=0):
    # A zone of pytz stands for one of its offsets, so the offset is what is exact.
    offset = value.utcoffset()
    naive = value.replace(tzinfo=None, fold=0).isoformat()
    return {
        "$": "datetime",
        "v": naive,
        "zone": _zone(value.tzinfo),
        "offset": None if offset is None else offset.total_seconds(),
        "fold": value.fold,
    }


def _time(value, depth=0):
    if value.tzinfo is not None:
        raise Unsupported("a time of day with a zone")
    return value.isoformat()


def _zope_date(value, depth=0):
    micros, naive, zone = value.__getstate__()
    return {"$": "DateTime", "us": int(micros), "naive": bool(naive), "zone": zone}


def _rich(value, depth=0):
    return {
        "$": "rich",
        "raw": _encode(value.raw, depth),
        "mime": value.mimeType,
        "out": value.outputMimeType,
        "enc": value.encoding,
    }


def _relation(value):
    target = None if _is_broken(value) else value.to_object
    uid = getattr(target, "_plone.uuid", None)
    return {"$": "rel", "uid": uid} if uid else None


def _is_broken(value):
    return IRelationValue.providedBy(value) and (value.isBroken() or value.to_object is None)


def handle_of(blob):
    """handle_of names a blob's bytes: they never change under one handle."""
    blob._p_activate()  # or the serial is zero
    if blob._p_jar is None or blob._p_blob_uncommitted:
        return "new"
    return f"{blob._p_oid.hex()}-{blob._p_serial.hex()}"


def _blob(value, depth=0):
    return {
        "$": "blob",
        "class": type(value).__name__,
        "name": value.filename,
        "mime": value.contentType,
        "size": value.getSize(),
        "width": value.__dict__.get("_width"),
        "height": value.__dict__.get("_height"),
        "exif": _encode(value.__dict__.get("exif"), depth),
        "handle": handle_of(value._blob),
    }


def _inline(value, depth=0):
    if value.getSize() > MAX_INLINE:
        raise Unsupported("a file of more than 1 MiB outside the blob storage")
    return {
        "$": "file",
        "class": type(value).__name__,
        "name": value.filename,
        "mime": value.contentType,
        "data": _bytes(value.data),
    }


ENCODERS = {
    str: _text,
    int: lambda value, depth: value,
    float: _float,
    list: _list,
    dict: _dict,
    tuple: _tagged("tuple", _list),
    set: _tagged("set", _set),
    frozenset: _tagged("frozenset", _set),
    PersistentList: _tagged("plist", _list),
    PersistentMapping: _tagged("pmap", _pairs),
    bytes: _tagged("bytes", _bytes),
    dt.datetime: _datetime,
    dt.date: _tagged("date", lambda value, depth: value.isoformat()),
    dt.time: _tagged("time", _time),
    dt.timedelta: _tagged("timedelta", lambda value, depth: [value.days, value.seconds, value.microseconds]),
    Decimal: _tagged("decimal", lambda value, depth: str(value)),
    DateTime: _zope_date,
    RichTextValue: _rich,
    **{kind: _blob for kind in BLOBS.values()},
    **{kind: _inline for kind in INLINE.values()},
}


def _decode(value, depth):
    if depth > MAX_DEPTH:
        raise Invalid("a value is nested too deeply")
    if isinstance(value, list):
        return [_decode(v, depth + 1) for v in value]
    if isinstance(value, str):
        return _checked(value, str)
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {_checked(k, str): _decode(v, depth + 1) for k, v in value.items()}
    decoder = DECODERS.get(value["$"]) if isinstance(value["$"], str) else None
    if decoder is None:
        raise Invalid("a value of an unknown type")
    return _well_formed(decoder, value, depth + 1)


def _well_formed(decoder, value, depth):
    try:
        return decoder(value, depth)
    except Invalid:
        raise
    except (KeyError, TypeError, ValueError, ArithmeticError) as e:
        raise Invalid(f"a value of the type {value['$']} is not well formed ({type(e).__name__})") from None
    except Exception as e:
        # DateTime has errors of its own, which are no ValueErrors.
        if not type(e).__module__.startswith(("DateTime", "pytz", "zoneinfo")):
            raise
        raise Invalid(f"a value of the type {value['$']} is not well formed") from None


def _checked(value, *types):
    if type(value) not in types:
        raise Invalid("a value is not of the type that it should have")
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Invalid("text with half a character (a lone surrogate)") from None
    return value


def _sequence(make):
    return lambda value, depth: make(_decode(_checked(value["v"], list), depth))


def _mapping(make):
    def decoder(value, depth):
        return make({_decode(k, depth): _decode(v, depth) for k, v in _checked(value["v"], list)})

    return decoder


def _to_float(value, depth):
    if value["v"] not in ("nan", "inf", "-inf"):
        raise Invalid("a number that is none")
    return float(value["v"])


def _to_zone(zone):
    if zone is None:
        return None
    library, name = zone
    if library == "zoneinfo":
        return ZoneInfo(_checked(name, str))
    if library == "pytz":
        return pytz.timezone(_checked(name, str))
    if library == "dateutil":
        return dateutil_tz.tzutc()
    if library == "pytz-offset":
        return pytz.FixedOffset(_checked(name, int))
    if library == "offset":
        return dt.timezone(dt.timedelta(seconds=_checked(name, int, float)))
    raise Invalid("a time zone of an unknown library")


def _to_datetime(value, depth):
    naive = dt.datetime.fromisoformat(_checked(value["v"], str))
    if naive.tzinfo is not None:
        raise Invalid("a date with two zones")
    zone = _to_zone(value["zone"])
    if zone is None:
        return naive.replace(fold=_checked(value["fold"], int))
    if not hasattr(zone, "localize"):
        return naive.replace(tzinfo=zone, fold=_checked(value["fold"], int))
    offset = dt.timedelta(seconds=_checked(value["offset"], int, float))
    for exact in (zone.localize(naive), zone.normalize(zone.localize(naive, is_dst=True)), naive.replace(tzinfo=zone)):
        if exact.utcoffset() == offset and exact.replace(tzinfo=None) == naive:
            return exact
    return zone.normalize((naive - offset).replace(tzinfo=pytz.utc).astimezone(zone))


def _to_zope_date(value, depth):
    micros = _checked(value["us"], int)
    if abs(micros) > 250_000_000_000_000_000:
        raise Invalid("a date beyond the year 9000")
    date = DateTime.__new__(DateTime)
    date.__setstate__((micros, _checked(value["naive"], bool), _checked(value["zone"], str)))
    date.ISO8601()
    return date


def _to_rich(value, depth):
    return RichTextValue(
        _checked(value["raw"], str),
        _checked(value["mime"], str),
        _checked(value["out"], str),
        _checked(value["enc"], str),
    )


def _to_relation(value, depth):
    return Relation(_checked(value["uid"], str))


def _to_blob(value, depth):
    if value["class"] not in BLOBS:
        raise Invalid("a file of an unknown kind")
    sha256 = _checked(value["sha256"], str)
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise Invalid("a file without the digest of its bytes")
    return File(
        value["class"],
        _checked(value["name"], str, type(None)),
        _checked(value["mime"], str),
        _checked(value["size"], int),
        sha256,
        _checked(value.get("width"), int, type(None)),
        _checked(value.get("height"), int, type(None)),
        _decode(value.get("exif"), depth),
    )


def _to_inline(value, depth):
    if value["class"] not in INLINE:
        raise Invalid("a file of an unknown kind")
    made = INLINE[value["class"]].__new__(INLINE[value["class"]])
    data = base64.b64decode(_checked(value["data"], str), validate=True)
    made.__dict__["filename"] = _checked(value["name"], str, type(None))
    namedfile.NamedFile._setData(made, data)
    made.contentType = _checked(value["mime"], str)
    if made.__class__ is namedfile.NamedImage:
        made._width, made._height = namedfile.getImageInfo(data)[1:]
    return made


DECODERS = {
    "float": _to_float,
    "map": _mapping(dict),
    "pmap": _mapping(PersistentMapping),
    "tuple": _sequence(tuple),
    "set": _sequence(set),
    "frozenset": _sequence(frozenset),
    "plist": _sequence(PersistentList),
    "bytes": lambda value, depth: base64.b64decode(_checked(value["v"], str), validate=True),
    "datetime": _to_datetime,
    "date": lambda value, depth: dt.date.fromisoformat(_checked(value["v"], str)),
    "time": lambda value, depth: dt.time.fromisoformat(_checked(value["v"], str)),
    "timedelta": lambda value, depth: dt.timedelta(*[_checked(v, int) for v in value["v"]]),
    "decimal": lambda value, depth: Decimal(_checked(value["v"], str)),
    "DateTime": _to_zope_date,
    "rich": _to_rich,
    "file": _to_inline,
}
