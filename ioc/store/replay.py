"""Reading history in the order of arrival, for replays; nothing here writes."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from ioc.model.events import Event, Stream
from ioc.model.times import from_us, to_us
from ioc.store.history import event_columns, event_of
from ioc.store.history_plan import MAX_AHEAD_S, MAX_LATE_S
from ioc.store.history_tables import TABLES

_READ: Final = SQL(
    # Ingest takes nothing that happened outside these times, and without them every chunk would be read.
    "SELECT {columns} FROM {table} WHERE received >= %(from)s AND received < %(to)s AND type = ANY(%(types)s)"
    " AND time >= %(from)s - %(late)s AND time < %(to)s + %(ahead)s"
)
_FIRST: Final = SQL("SELECT received FROM {table} ORDER BY time LIMIT 1")
_LAST: Final = SQL("SELECT received FROM {table} ORDER BY time DESC LIMIT 1")


async def read_received(
    connection: AsyncConnection[Any], types: Sequence[str], from_us_: int, to_us_: int
) -> list[Event]:
    """Return the events of `types` that arrived in [from, to), in no particular order."""
    events: list[Event] = []
    for stream in sorted({Stream(name.partition(".")[0]) for name in types}):
        table = TABLES[stream]
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(
            _READ.format(columns=event_columns(table), table=Identifier(table.name)),
            {
                "from": from_us(from_us_),
                "to": from_us(to_us_),
                "types": list(types),
                "late": timedelta(seconds=MAX_LATE_S),
                "ahead": timedelta(seconds=MAX_AHEAD_S),
            },
        )
        events += [event_of(table, row) for row in await cursor.fetchall()]
    return events


async def arrivals(connection: AsyncConnection[Any], streams: Sequence[Stream]) -> tuple[int, int] | None:
    """Return when the oldest and the newest event of `streams` arrived; None where there is none."""
    found = []
    for stream in streams:
        for query in (_FIRST, _LAST):
            table = Identifier(TABLES[stream].name)
            row = await (await connection.execute(query.format(table=table))).fetchone()
            if row is not None:
                found.append(to_us(row[0]))
    return (min(found), max(found)) if found else None
