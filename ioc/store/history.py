"""Reading history: by stream, time, ward, box and source, newest first, page by page.

The contact of a report never leaves the store: it is masked in the query itself.
"""

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, LiteralString, get_args

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

from ioc.model.events import DATA_TYPES, Event, EventData, Stream
from ioc.model.times import from_us, to_us
from ioc.store.binary_rows import clean_text
from ioc.store.history_tables import COMMON_COLUMNS, TABLES, Table

MAX_PAGE: Final = 1000
MASK: Final = "•••"
_CONTACT: Final = SQL("CASE WHEN contact IS NOT NULL THEN '•••' END")

BBox = tuple[float, float, float, float]
"""West, south, east, north in degrees, WGS 84."""


class HistoryCursorError(ValueError):
    """A paging cursor that we did not issue."""


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to read. `from_us` is included, `to_us` is not. `wards` None means all, empty means none."""

    stream: Stream
    from_us: int
    to_us: int
    wards: tuple[str, ...] | None = None
    bbox: BBox | None = None
    source: str | None = None
    type: str | None = None
    limit: int = 100
    cursor: str | None = None


class HistoryPage(msgspec.Struct, frozen=True):
    """One page, newest first; `next` is the cursor of the following page, None at the end."""

    items: list[Event]
    next: str | None


class _Last(msgspec.Struct, frozen=True, array_like=True):
    """The row a page ended with; (source, id) tells events of the same microsecond apart."""

    time_us: int
    source: str
    event_id: str


_FILTERS: Final[tuple[tuple[str, LiteralString], ...]] = (
    ("wards", "ward = ANY(%(wards)s)"),
    ("source", "source = %(source)s"),
    ("type", "type = %(type)s"),
    ("bbox", "lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s"),
    (
        "cursor",
        "time <= %(last_time)s"
        " AND (time, source, event_id) < (%(last_time)s, %(last_source)s, %(last_event)s)",
    ),
)


async def read_history(connection: AsyncConnection[Any], query: HistoryQuery) -> HistoryPage:
    """Return one page of events, at most `MAX_PAGE`.

    Raises:
        HistoryCursorError: the cursor is not one of ours.
    """
    limit = max(1, min(query.limit, MAX_PAGE))
    table = TABLES[query.stream]
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    await cursor.execute(_statement(query, table), _parameters(query, limit))
    rows = await cursor.fetchall()
    items = [event_of(table, row) for row in rows[:limit]]
    return HistoryPage(items, _encode_cursor(items[-1]) if len(rows) > limit else None)


def _statement(query: HistoryQuery, table: Table) -> Composed:
    conditions = [SQL("time >= %(from)s AND time < %(to)s")]
    conditions += [SQL(text) for field, text in _FILTERS if getattr(query, field) is not None]
    return SQL(
        "SELECT {} FROM {} WHERE {} ORDER BY time DESC, source DESC, event_id DESC LIMIT %(limit)s"
    ).format(event_columns(table), Identifier(table.name), SQL(" AND ").join(conditions))


def event_columns(table: Table) -> Composed:
    """Return the columns `event_of` reads, the contact masked."""
    return SQL(", ").join(
        _CONTACT if name == "contact" else Identifier(name)
        for name in (*COMMON_COLUMNS, *table.columns, "data")
    )


def _parameters(query: HistoryQuery, limit: int) -> dict[str, object]:
    parameters: dict[str, object] = {
        "from": from_us(query.from_us),
        "to": from_us(query.to_us),
        "source": clean_text(query.source or ""),
        "type": clean_text(query.type or ""),
        "limit": limit + 1,  # one more tells whether there is a next page
    }
    if query.wards is not None:
        parameters["wards"] = [clean_text(ward) for ward in query.wards]
    if query.bbox is not None:
        parameters |= dict(zip(("west", "south", "east", "north"), query.bbox, strict=True))
    if query.cursor is not None:
        last_time, last_source, last_event = _decode_cursor(query.cursor)
        parameters |= {"last_time": last_time, "last_source": last_source, "last_event": last_event}
    return parameters


def event_of(table: Table, row: tuple[Any, ...]) -> Event:
    """Return the event of a row of `event_columns`."""
    time, received, event_id, source, type_name, ward, lon, lat, subject = row[: len(COMMON_COLUMNS)]
    reader = _READERS[type_name]
    values = {name: row[place] for place, name in reader.fields if row[place] is not None}
    if row[-1] is None and reader.plain:
        # Converting what needs no conversion would take most of the time of a page.
        data = reader.structure(**values)
    else:
        data = msgspec.convert({"type": type_name, **(row[-1] or {}), **values}, EventData)
    return Event(
        id=event_id,
        source=source,
        time_us=to_us(time),
        received_us=to_us(received),
        data=data,
        ward=ward,
        lon=lon,
        lat=lat,
        subject=subject,
    )


class _Reader(msgspec.Struct, frozen=True):
    """How rows become data of one event type."""

    structure: Callable[..., Any]
    fields: tuple[tuple[int, str], ...]
    """Place in the row and name."""
    plain: bool
    """The columns' values are the fields' as they stand."""


def _reader(type_name: str) -> _Reader:
    structure = DATA_TYPES[type_name]
    table = TABLES[Stream(type_name.partition(".")[0])]
    held = enumerate(table.stored_fields(type_name), start=len(COMMON_COLUMNS))
    fields = tuple((place, field) for place, field in held if field is not None)
    hints = {field.name: field.type for field in msgspec.structs.fields(structure)}
    plain = all(_PLAIN.issuperset(get_args(hints[name]) or (hints[name],)) for _, name in fields)
    return _Reader(structure, fields, plain)


_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_READERS: Final = {type_name: _reader(type_name) for type_name in DATA_TYPES}


def _encode_cursor(event: Event) -> str:
    last = _Last(event.time_us, event.source, event.id)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(last)).decode().rstrip("=")


def _decode_cursor(text: str) -> tuple[datetime, str, str]:
    try:
        padded = text + "=" * (-len(text) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        last = msgspec.msgpack.decode(raw, type=_Last)
        return from_us(last.time_us), clean_text(last.source), clean_text(last.event_id)
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise HistoryCursorError("not a cursor of ours") from error
