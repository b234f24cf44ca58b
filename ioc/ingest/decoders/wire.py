"""The common case of CloudEvents decoding: one typed parse from bytes to checked values.

Per event type there is an envelope whose `type` is the tag and whose data has exactly the type's fields with
their bounds. Whatever deviates (an unknown field, a number written as text, anything to refuse) makes the
parse fail, and the caller looks at that event again with patience. What passes here passes there, with equal
values.
"""

import types
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Literal, Protocol, get_args, get_origin

import msgspec

from ioc.model.events import DATA_TYPES

MAX_ID_CHARS: Final = 128
MAX_SUBJECT_CHARS: Final = 256
MAX_TRACE_CHARS: Final = 64

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
Subject = Annotated[str, msgspec.Meta(max_length=MAX_SUBJECT_CHARS)]
Trace = Annotated[str, msgspec.Meta(max_length=MAX_TRACE_CHARS)]
Zoned = Annotated[datetime, msgspec.Meta(tz=True)]

Bounds = tuple[float, float]
MODEL_OF: Final[dict[type, Any]] = {}
"""Structure of an envelope's data → the model's, which takes the same fields."""


class Envelope(Protocol):
    """What every envelope has, whatever its type."""

    @property
    def id(self) -> str:
        """Id of the event, unique within its source."""

    @property
    def source(self) -> str:
        """Who says so."""

    @property
    def subject(self) -> str | None:
        """What the event is about."""


class AnyEnvelope(msgspec.Struct, frozen=True):
    """What is read of an event that is looked at with patience; CloudEvents allows other attributes."""

    specversion: Literal["1.0"]
    id: Id
    source: Id
    type: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
    time: Zoned
    data: dict[str, Any]
    subject: Subject | None = None
    lon: float | None = None
    lat: float | None = None
    traceparent: Any = None


def envelope_decoder(
    ranges: dict[str, Bounds], names: Iterable[str], max_name_chars: int, count_bounds: Bounds
) -> Callable[[bytes], Any]:
    """Return the function from an event's bytes to its envelope.

    The envelope has `id`, `source`, `time`, `data` (see `MODEL_OF`), `lon`, `lat` and `subject`.

    Args:
        ranges: least and greatest value of the numbers in data, by field.
        names: texts in data of at most `max_name_chars` characters.
        count_bounds: least and greatest value inside maps of counts.
    """
    short = frozenset(names)
    counts = types.GenericAlias(dict, (str, _within(int, count_bounds)))

    def bounded(name: str, hint: Any) -> Any:
        if name in ranges:
            return _within(hint, ranges[name])
        if name in short:
            return _each(hint, str, Annotated[str, msgspec.Meta(max_length=max_name_chars)])
        return counts if hint == dict[str, int] else hint

    envelopes = [_envelope(name, _strict(cls, bounded)) for name, cls in DATA_TYPES.items()]
    return msgspec.json.Decoder(reduce(or_, envelopes)).decode


def _envelope(type_name: str, data: type) -> Any:
    return msgspec.defstruct(
        type_name.title().replace(".", ""),
        [
            ("specversion", Literal["1.0"]),
            ("id", Id),
            ("source", Id),
            ("time", Zoned),
            ("data", data),
            ("subject", Subject | None, None),
            ("lon", float | None, None),
            ("lat", float | None, None),
            ("traceparent", Trace | None, None),
        ],
        tag_field="type",
        tag=type_name,
        frozen=True,
        gc=False,
    )


def _strict(cls: Any, bounded: Callable[[str, Any], Any]) -> type:
    fields: list[Any] = []
    for field in msgspec.structs.fields(cls):
        if field.name == "extra":
            continue
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        hint = bounded(field.name, field.type)
        fields.append((field.name, hint) if default is msgspec.NODEFAULT else (field.name, hint, default))
    strict = msgspec.defstruct(
        f"Strict{cls.__name__}", fields, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False
    )
    MODEL_OF[strict] = cls
    return strict


def _within(hint: Any, bounds: Bounds) -> Any:
    low, high = bounds
    whole = Annotated[int, msgspec.Meta(ge=int(low), le=int(high))]
    return _each(_each(hint, int, whole), float, Annotated[float, msgspec.Meta(ge=low, le=high)])


def _each(hint: Any, plain: type, replacement: Any) -> Any:
    """Replace `plain` in a hint: itself, or a member of a union."""
    if hint is plain:
        return replacement
    parts = get_args(hint)
    if get_origin(hint) is None or plain not in parts or not isinstance(hint, type(int | None)):
        return hint
    return reduce(or_, [replacement if part is plain else part for part in parts])
