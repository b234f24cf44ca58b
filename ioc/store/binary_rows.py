"""Events as rows of PostgreSQL's binary COPY format.

Binary, because times and numbers then cross without being written and parsed as text. Every encoder is
total: a valid event always becomes a valid row, so no event can stop the writer. What the database cannot
hold is brought to the nearest thing it can (NUL characters to U+FFFD, integers to 64 bits, times to the
years 1 to 9999).
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import msgspec

from ioc.model.events import DATA_TYPES, Event, Stream
from ioc.model.times import to_us
from ioc.store.history_tables import COMMON_COLUMNS, TABLES

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_EPOCH_US: Final = 946_684_800_000_000  # PostgreSQL counts from 2000-01-01 UTC
_MAX_INT: Final = 2**63 - 1
_MIN_TIME_US: Final = to_us(datetime.min.replace(tzinfo=UTC))  # what Python can read back
_MAX_TIME_US: Final = to_us(datetime(9999, 12, 31, tzinfo=UTC))
_JSONB_VERSION: Final = b"\x01"

_length = struct.Struct(">i").pack
_float = struct.Struct(">id").pack
_int = struct.Struct(">iq").pack
_head = struct.Struct(">hiqiq").pack

Encoder = Callable[[Any], bytes]


def clean_text(text: str) -> str:
    """Return `text` as PostgreSQL can hold it: no NUL, no lone surrogate."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _encode_text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        return _encode_text(clean_text(value))
    if b"\x00" in raw:
        return _encode_text(clean_text(value))
    return _length(len(raw)) + raw


def _encode_float(value: float | None) -> bytes:
    return _NULL if value is None else _float(8, value)


def _encode_int(value: int | None) -> bytes:
    if value is None:
        return _NULL
    try:
        return _int(8, value)
    except struct.error:
        return _int(8, max(-_MAX_INT, min(_MAX_INT, value)))


def _encode_bool(value: bool | None) -> bytes:
    if value is None:
        return _NULL
    return b"\x00\x00\x00\x01\x01" if value else b"\x00\x00\x00\x01\x00"


def _encode_absent(_: object) -> bytes:
    return _NULL


_ENCODERS: Final[dict[str, Encoder]] = {
    "text": _encode_text,
    "float": _encode_float,
    "int": _encode_int,
    "bool": _encode_bool,
}


@lru_cache(maxsize=20_000)
def _origin(source: str, type_name: str, ward: str | None, lon: float | None, lat: float | None) -> bytes:
    # The same few thousand devices send all day: their columns are encoded once.
    texts = b"".join(map(_encode_text, (source, type_name, ward)))
    return texts + _encode_float(lon) + _encode_float(lat)


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


def _encode_others(others: dict[str, object]) -> bytes:
    if not others:
        return _NULL
    try:
        raw = msgspec.json.encode(others)
    except UnicodeEncodeError:
        raw = b"\\u0000"
    if b"\\u0000" in raw:
        raw = msgspec.json.encode(_cleaned(others))
    return _length(len(raw) + 1) + _JSONB_VERSION + raw


class _Plan:
    """How one event type becomes a row of its table."""

    __slots__ = ("_columns", "_encoders", "_others", "_type_name", "_typed")

    def __init__(self, type_name: str) -> None:
        table = TABLES[Stream(type_name.partition(".")[0])]
        self._type_name = type_name
        self._columns = len(COMMON_COLUMNS) + len(table.columns) + 1
        held = table.stored_fields(type_name)
        kinds = table.columns.values()
        self._encoders: list[Encoder] = [
            _ENCODERS[kind] if field else _encode_absent for field, kind in zip(held, kinds, strict=True)
        ]
        # One call fetches all fields; `extra` is only a filler where a column has no field.
        self._typed = attrgetter(*(field or "extra" for field in held))
        structure = DATA_TYPES[type_name]
        others = set(table.other_fields(type_name)) - {"extra"}
        self._others = [(f.name, _default(f)) for f in msgspec.structs.fields(structure) if f.name in others]

    def row(self, event: Event) -> bytes:
        data = event.data
        typed: tuple[object, ...] = self._typed(data)
        others: dict[str, object] = {
            name: value for name, default in self._others if (value := getattr(data, name)) != default
        }
        if data.extra:
            others["extra"] = data.extra
        parts = [
            _times(self._columns, event.time_us, event.received_us),
            _encode_text(event.id),
            _origin(event.source, self._type_name, event.ward, event.lon, event.lat),
            _encode_text(event.subject),
        ]
        parts += [encode(value) for encode, value in zip(self._encoders, typed, strict=True)]
        parts.append(_encode_others(others))
        return b"".join(parts)


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _times(columns: int, time_us: int, received_us: int) -> bytes:
    return _head(columns, 8, _stored_time(time_us), 8, _stored_time(received_us))


def _stored_time(time_us: int) -> int:
    return stored_time_us(time_us) - _EPOCH_US


def stored_time_us(time_us: int) -> int:
    """Return the time that is stored for `time_us`."""
    return max(_MIN_TIME_US, min(_MAX_TIME_US, time_us))


_PLANS: Final = {DATA_TYPES[type_name]: _Plan(type_name) for type_name in DATA_TYPES}


def encode_rows(events: Iterable[Event]) -> bytes:
    """Return the rows of `events`, which all belong to one stream, without header and trailer."""
    return b"".join([_PLANS[type(event.data)].row(event) for event in events])


def by_stream(events: Sequence[Event]) -> dict[Stream, list[Event]]:
    """Return `events` by stream, each in its order."""
    found: dict[Stream, list[Event]] = {}
    for event in events:
        found.setdefault(event.stream, []).append(event)
    return found
