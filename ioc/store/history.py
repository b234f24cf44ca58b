"""Reading history: by stream, time, ward, box and source, newest first, page by page.

The contact of a report never leaves the store: it is masked in the query itself.
"""

import base64
from datetime import datetime
from typing import Any, Final, LiteralString

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
    cursor = connection.cursor(row_factory=tuple_row)
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
    common = dict(zip(COMMON_COLUMNS, row, strict=False))
    typed = zip(table.columns, row[len(COMMON_COLUMNS) : -1], strict=True)
    fields = DATA_TYPES[common["type"]].__struct_fields__
    data = {"type": common["type"], **(row[-1] or {})}
    data |= {name: value for name, value in typed if value is not None and name in fields}
    return Event(
        id=common["event_id"],
        source=common["source"],
        time_us=to_us(common["time"]),
        received_us=to_us(common["received"]),
        data=msgspec.convert(data, EventData),
        ward=common["ward"],
        lon=common["lon"],
        lat=common["lat"],
        subject=common["subject"],
    )


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
