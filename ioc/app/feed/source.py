"""The durable side of the live feed: incident changes read from the database for the hub."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, IsolationLevel

from ioc.app.clock import now_us
from ioc.app.retry import RETRYABLE
from ioc.model.incidents import FINISHED_SHOWN_US, Incident
from ioc.model.times import from_us
from ioc.model.tracing import NO_TRACER, Tracer, Value
from ioc.store import incidents as rows
from ioc.store.pool import Pool
from ioc.stream.ports import MAX_LIVE, SourceUnavailableError


class FeedSource:
    """Implements `ioc.stream.ports.ChangeSource` over PostgreSQL."""

    def __init__(self, pool: Pool, tracer: Tracer = NO_TRACER) -> None:
        self._pool = pool
        self._tracer = tracer

    async def position(self) -> tuple[str, int]:
        """Return the epoch and the newest committed offset."""
        async with self._connection() as connection:
            return await rows.read_position(connection)

    async def read(self, after: int, limit: int) -> Sequence[rows.StoredChange]:
        """Return up to `limit` changes above `after`, in order."""
        async with self._connection() as connection:
            changes = await rows.read_changes(connection, after, limit)
        if self._tracer.on:
            for change in changes:
                values: dict[str, Value] = {
                    "ioc.feed.offset": change.offset,
                    "ioc.incident.rev": change.incident.rev,
                }
                with self._tracer.span("feed", incident=change.incident.id, values=values):
                    pass  # a moment: from here on it is on its way to the consoles
        return changes

    async def snapshot(self) -> tuple[int, Sequence[Incident]]:
        """Return an offset and the incidents as of exactly that offset."""
        async with self._connection() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            try:
                async with connection.transaction():
                    _, offset = await rows.read_position(connection)
                    return offset, await rows.read_live(
                        connection, from_us(now_us() - FINISHED_SHOWN_US), MAX_LIVE
                    )
            finally:
                await connection.set_isolation_level(None)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except RETRYABLE as error:
            raise SourceUnavailableError(str(error)) from error
