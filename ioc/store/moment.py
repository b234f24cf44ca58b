"""What the map showed at a past moment: the newest event of each kind per source, from history."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from ioc.model.events import Event, Stream
from ioc.model.times import from_us
from ioc.store.binary_rows import clean_text
from ioc.store.history import event_columns, event_of
from ioc.store.history_tables import TABLES

MAX_SOURCES: Final = 20_000
STATE_TYPES: Final = {
    Stream.TRAFFIC: ("traffic.flow", "traffic.status"),
    Stream.CAMERA: ("camera.count", "camera.alarm", "camera.status"),
}
"""The types the live map is made of (`ioc/stream/states.py`)."""
KEYS: Final[dict[Stream, LiteralString]] = {
    # Each lane has a value of its own.
    Stream.TRAFFIC: "source, type, lane",
    Stream.CAMERA: "source, type",
}
_NEWEST: Final = SQL("""
    SELECT DISTINCT ON ({keys}) {columns} FROM {table}
    WHERE (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
          AND time > %(from)s AND time <= %(moment)s AND type = ANY(%(types)s)
    ORDER BY {keys}, time DESC, received DESC LIMIT %(limit)s
""")


async def read_moment(
    connection: AsyncConnection[Any], wards: Sequence[str] | None, moment_us: int, window_us: int
) -> list[Event]:
    """Return the newest event per source, type and lane of the `window_us` that end at `moment_us`.

    One range of the index by ward and time, or by time for every ward (`wards` None): the cost is the events
    of these wards within the window.
    At most `MAX_SOURCES` per stream, ordered by time.
    """
    events: list[Event] = []
    for stream, types in STATE_TYPES.items():
        table = TABLES[stream]
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(
            _NEWEST.format(
                keys=SQL(KEYS[stream]), columns=event_columns(table), table=Identifier(table.name)
            ),
            {
                "wards": None if wards is None else [clean_text(ward) for ward in wards],
                "from": from_us(moment_us - window_us),
                "moment": from_us(moment_us),
                "types": list(types),
                "limit": MAX_SOURCES,
            },
        )
        events += [event_of(table, row) for row in await cursor.fetchall()]
    return sorted(events, key=lambda event: event.time_us)
