"""A type's data: from a JSON object to the model's structure, leniently where nothing is guessed.

Unknown fields go to `extra`, numbers written as strings are read, and every refusal names its field.
"""

import re
import types
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from types import NoneType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from msgspec.structs import replace

from ioc.model.events import DATA_TYPES, CameraCount, EventData, Extra

MAX_EXTRA_FIELDS: Final = 64
MAX_EXTRA_KEY_CHARS: Final = 128
MAX_NAME_CHARS: Final = 256
_INT64_MAX: Final = 2**63 - 1
COUNT_MAX: Final = 1e9
NUMBERS: Final = (int, float)
NESTED: Final = (dict, list)
"""For `isinstance`, which takes half the time where the types need not be put together first."""

_SCALARS: Final = (str, float, bool, NoneType)

_MAX_DIGITS: Final = 18
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
"""JSON's own numbers, so `0x10`, `1_000`, `nan` and `٣` stay what they are: text."""

_BEGINS_NUMBER: Final = frozenset("-0123456789")

_NUL_ESCAPE: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""An escape, and not a backslash that is escaped itself before the text `u0000`."""

_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_BOUND: Final = re.compile(r" [<>]=? ")
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")

RANGES: Final[dict[str, tuple[float, float]]] = {
    "confidence": (0.0, 1.0),
    "occupancy": (0.0, 1.0),
    "direction_deg": (0.0, 360.0),
    "speed_kmh": (0.0, 1000.0),
    "volume_veh": (0, COUNT_MAX),
    "people": (0, COUNT_MAX),
    "vehicles": (0, COUNT_MAX),
    "stopped_vehicles": (0, COUNT_MAX),
    "interval_s": (0.0, 31_622_400.0),
    "duration_s": (0.0, 31_622_400.0),
    "free_flow_s": (0.0, 31_622_400.0),
    "length_m": (0.0, 1e7),
}
"""What a number can mean at all; judging unusual but possible values is the rules' work."""

NAMES: Final = frozenset(
    {
        "label",
        "track_id",
        "zone",
        "plate",
        "vehicle",
        "lane",
        "situation_id",
        "version",
        "road",
        "category",
        "channel",
        "report_id",
    }
)
"""Short text that rules group by: an unbounded one would become an unbounded key."""


class Refused(Exception):
    """This event is refused; `field` is its path on the wire, e.g. `data.speed_kmh`."""

    def __init__(self, rule: str, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.field = field


def refuse_nul(json_text: bytes) -> None:
    """Refuse JSON text that holds the character U+0000 in a value or name; every decoder of JSON asks this.

    Raises:
        Refused: `no_nul`, PostgreSQL has no place for it.
    """
    # Most text has no escape at all, and one byte is found sooner than six.
    if b"\\" in json_text and b"\\u0000" in json_text and _NUL_ESCAPE.search(json_text):
        raise Refused("no_nul", "the character U+0000 cannot be stored")


class _Schema(msgspec.Struct, frozen=True):
    """What we look at per type, computed once."""

    data: type[EventData]
    fields: frozenset[str]
    numeric: frozenset[str]
    ranges: tuple[tuple[str, float, float], ...]
    names: tuple[str, ...]


def _is_numeric(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_is_numeric(part) for part in get_args(hint))
    return hint in (int, float)


def _schema(cls: Any) -> _Schema:
    fields = {f.name: f.type for f in msgspec.structs.fields(cls) if f.name != "extra"}
    return _Schema(
        cls,
        frozenset(fields),
        frozenset(name for name, hint in fields.items() if _is_numeric(hint)),
        tuple((name, *RANGES[name]) for name in fields if name in RANGES),
        tuple(name for name in fields if name in NAMES),
    )


SCHEMAS: Final[dict[str, _Schema]] = {name: _schema(cls) for name, cls in DATA_TYPES.items()}


def typed_data(type_name: str, fields: dict[str, Any], extra: Extra | None = None) -> tuple[EventData, int]:
    """Return the data of an event and how many unknown fields could not be kept.

    Args:
        type_name: the CloudEvents type.
        fields: the JSON object under `data`, not changed.
        extra: what a decoder keeps of the source's own, within the bounds of `put_extra` already.

    Raises:
        Refused: unknown type, or a field that is missing, of a wrong type or out of range.
    """
    schema = SCHEMAS.get(type_name)
    if schema is None:
        raise Refused("known_type", unknown_type(type_name), "type")
    dropped = 0
    if not schema.fields.issuperset(fields):
        fields, dropped = _with_extra(schema, fields)
    data = _converted(schema, fields)
    return (replace(data, extra=extra) if extra else data), dropped


def typed_data_of(type_name: str, read: dict[str, Any], rest: dict[str, Any]) -> tuple[EventData, int]:
    """Return `typed_data` of what a decoder has `read` of a message and of the `rest` in the sender's words.

    What was read goes before what the sender calls so. None is what was not told. Neither is changed.
    """
    schema = SCHEMAS[type_name]
    names = schema.fields
    known: dict[str, Any] = read.copy()
    unknown: dict[str, Any] = {}
    for name in read:
        if read[name] is None:
            del known[name]
        elif name not in names:
            unknown[name] = known.pop(name)
    for name, value in rest.items():
        if value is None or name in read:
            continue
        if name in names:
            known[name] = value
        else:
            unknown[name] = value
    dropped = 0
    if unknown:
        known["extra"], dropped = _extra_of(unknown)
    return _converted(schema, known), dropped


def _converted(schema: _Schema, fields: dict[str, Any]) -> EventData:
    try:
        data: EventData = msgspec.convert(fields, schema.data)
    except msgspec.ValidationError as error:
        data = _with_numbers_read(schema, fields, error)
    _check(schema, data)
    return data


def _with_extra(schema: _Schema, fields: dict[str, Any]) -> tuple[dict[str, Any], int]:
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    names = schema.fields
    for name, value in fields.items():
        if name in names:
            known[name] = value
        else:
            unknown[name] = value
    known["extra"], dropped = _extra_of(unknown)
    return known, dropped


def _extra_of(unknown: dict[str, Any]) -> tuple[Extra, int]:
    """Return of `unknown`, which is changed, what can be kept, and how many fields cannot."""
    if "extra" in unknown:
        nested = unknown.pop("extra")
        if isinstance(nested, dict):
            unknown |= nested
        elif nested is not None:
            unknown["extra"] = nested
    unfit: list[str] = []
    for name, value in unknown.items():
        if not (type(value) in _SCALARS or _is_int64(value)) or len(name) > MAX_EXTRA_KEY_CHARS:
            unfit.append(name)
    for name in unfit:
        del unknown[name]
    if len(unknown) <= MAX_EXTRA_FIELDS:
        return unknown, len(unfit)
    kept = dict(list(unknown.items())[:MAX_EXTRA_FIELDS])
    return kept, len(unfit) + len(unknown) - len(kept)


def _is_int64(value: Any) -> bool:
    """Return whether `value` is an integer that the log's encoding holds."""
    return type(value) is int and -_INT64_MAX <= value <= _INT64_MAX


def _with_numbers_read(schema: _Schema, fields: dict[str, Any], error: msgspec.ValidationError) -> EventData:
    read = {name: as_number(value) if name in schema.numeric else value for name, value in fields.items()}
    if read == fields:
        raise refusal(error, "data") from None
    try:
        data: EventData = msgspec.convert(read, schema.data)
    except msgspec.ValidationError as second:
        raise refusal(second, "data") from None
    return data


def as_number(value: Any) -> Any:
    """Return the number a string spells in JSON's way, else `value` itself."""
    if not isinstance(value, str):
        return value
    if value.isdigit() and value.isascii():  # as most of them are
        return int(value) if len(value) <= _MAX_DIGITS and (value[0] != "0" or len(value) == 1) else value
    if value[:1] not in _BEGINS_NUMBER or not _NUMBER.fullmatch(value):
        return value
    if "." not in value and "e" not in value and "E" not in value:
        return int(value)
    number = float(value)
    return number if isfinite(number) else value


def computable(value: Any) -> bool:
    """Return whether `value` is a number to reckon with: JSON's integers may be larger than any float."""
    return type(value) is float or (type(value) is int and abs(value) <= _INT64_MAX)


def _check(schema: _Schema, data: EventData) -> None:
    for name, low, high in schema.ranges:
        value = getattr(data, name)
        if value is not None and not low <= value <= high:
            raise Refused("in_range", f"{value} is not within {low:g}…{high:g}", f"data.{name}")
    for name in schema.names:
        value = getattr(data, name)
        if value is not None and len(value) > MAX_NAME_CHARS:
            detail = f"{len(value)} characters, at most {MAX_NAME_CHARS} are taken"
            raise Refused("length", detail, f"data.{name}")
    if type(data) is CameraCount and not all(0 <= count <= COUNT_MAX for count in data.counts.values()):
        raise Refused("in_range", f"a count is not within 0…{COUNT_MAX:g}", "data.counts")


def refusal(error: msgspec.ValidationError, under: str = "") -> Refused:
    """Return msgspec's complaint as a rule and the path of the field on the wire."""
    message = str(error)
    at = _PATH.search(message)
    path = at.group(1) if at else ""
    detail = _PATH.sub("", message)
    missing = _MISSING.match(detail)
    if missing:
        path = f"{path}.{missing.group(1)}" if path else missing.group(1)
    field = ".".join(part for part in (under, path) if part) or None
    if missing:
        return Refused("required", "this field is required", field)
    if detail.startswith("Invalid enum value"):
        return Refused("known_value", detail, field)
    if "RFC3339" in detail or "timezone" in detail:
        return Refused("rfc3339", "expected RFC 3339 with a zone, e.g. 2026-11-22T10:00:00.123Z", field)
    if "length" in detail:
        return Refused("length", detail, field)
    return Refused("in_range" if _BOUND.search(detail) else "type", detail, field)


@lru_cache(maxsize=256)
def unknown_type(type_name: str) -> str:
    """Return what to tell a sender of an unknown type: the likely one, or the list."""
    close = get_close_matches(type_name[:64], SCHEMAS, n=1)
    known = ", ".join(SCHEMAS)
    return f"did you mean {close[0]}? Known types: {known}" if close else f"known types: {known}"
