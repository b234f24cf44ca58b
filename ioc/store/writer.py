"""Writing events into their history tables: one binary COPY per stream."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, sql

from ioc.model.events import Event, Stream
from ioc.model.times import from_us
from ioc.store.binary_rows import HEADER, TRAILER, by_stream, encode_rows, stored_time_us
from ioc.store.history_tables import COMMON_COLUMNS, TABLES
from ioc.store.layout import AGGREGATES
from ioc.store.rollups import BUCKET_US

_BLOCK_ROWS: Final = 1000
_TOUCHED: Final[LiteralString] = "SELECT history_touched(%s, %s)"
_COPY: Final = {
    stream: sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        # COPY does not write into a table with row-level security, but into a view with a trigger.
        sql.Identifier("feedback_intake" if stream is Stream.FEEDBACK else table.name),
        sql.SQL(", ").join(map(sql.Identifier, (*COMMON_COLUMNS, *table.columns, "data"))),
    )
    for stream, table in TABLES.items()
}


class HistoryWriter:
    """Writes events; knows nothing of positions, which the caller commits in the same transaction."""

    async def write(self, connection: AsyncConnection[Any], events: Sequence[Event]) -> int:
        """Add `events` to their tables in the caller's transaction and return how many were written.

        Every valid event is storable; see `ioc.store.binary_rows` for what is adapted.

        Raises:
            psycopg.OperationalError: nothing is written once the transaction has rolled back.
        """
        # In one order everywhere: two writers that mark the same new buckets must not wait for each other.
        for stream, found in sorted(by_stream(events).items()):
            if stream in AGGREGATES:
                await _touch(connection, stream, found)
            await self._copy(connection, stream, found)
        return len(events)

    async def _copy(self, connection: AsyncConnection[Any], stream: Stream, events: list[Event]) -> None:
        async with connection.cursor() as cursor, cursor.copy(_COPY[stream]) as copy:
            await copy.write(HEADER)
            for start in range(0, len(events), _BLOCK_ROWS):
                await copy.write(encode_rows(events[start : start + _BLOCK_ROWS]))
            await copy.write(TRAILER)


async def _touch(connection: AsyncConnection[Any], stream: Stream, events: list[Event]) -> None:
    """Mark the buckets that `events` change, before they do: the mark holds maintenance off until commit."""
    numbers = {stored_time_us(event.time_us) // BUCKET_US for event in events}
    await connection.execute(_TOUCHED, (stream, [from_us(number * BUCKET_US) for number in sorted(numbers)]))
