"""Letting old data go: in bounded slices, each its own transaction, so that nothing else waits long."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, LiteralString, Protocol

import msgspec
from psycopg import InterfaceError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout
from psycopg.sql import SQL, Identifier

from ioc.model.events import Stream
from ioc.model.times import DAY_US, from_us
from ioc.store.history_tables import TABLES
from ioc.store.pool import Pool
from ioc.store.quarantine import Quarantine

_logger = logging.getLogger(__name__)
_PASSING: Final = (OperationalError, InterfaceError, IdleInTransactionSessionTimeout)
_FORGET_CHANGES: Final[LiteralString] = """
    DELETE FROM incident_change WHERE "offset" = ANY (ARRAY(
        SELECT "offset" FROM incident_change
        WHERE at < %(before)s AND "offset" < (SELECT max("offset") FROM incident_change)
        ORDER BY "offset" LIMIT %(rows)s))
"""
_FORGET_COMMANDS: Final[LiteralString] = """
    DELETE FROM incident_command WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM incident_command WHERE at < %(before)s LIMIT %(rows)s))
"""
_DELETE: Final = SQL(
    "DELETE FROM {table} WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM {table} WHERE time < %(before)s ORDER BY time LIMIT %(rows)s))"
)


class MaintenanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long history is kept, in days by event time, and how the work is cut."""

    camera_days: float = 30.0
    traffic_days: float = 90.0
    feedback_days: float = 1825.0
    feed_days: float = 7.0
    """How long a console may be away and still resume, and a command may be repeated."""
    slice_rows: int = 10_000
    max_slices: int = 100
    """Slices of one task in one round; what is left waits for the next round."""
    interval_s: float = 60.0

    def kept_us(self, stream: Stream) -> int:
        """Return how long events of `stream` are kept, in microseconds."""
        days = {
            Stream.CAMERA: self.camera_days,
            Stream.TRAFFIC: self.traffic_days,
            Stream.FEEDBACK: self.feedback_days,
        }
        return round(days[stream] * DAY_US)


class ExpiringLog(Protocol):
    """A log that lets go of old records and dedup keys, one slice per call."""

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete one slice of old records and return how many."""
        ...

    async def prune_dedup(self, now_us: int) -> int:
        """Forget one slice of old dedup keys and return how many."""
        ...


class Maintenance:
    """Applies every retention of the database. One process runs it; a second one does no harm.

    `retryable` are the errors of `log` that mean "try again later".
    """

    def __init__(
        self,
        pool: Pool,
        quarantine: Quarantine,
        settings: MaintenanceSettings | None = None,
        log: ExpiringLog | None = None,
        topics: tuple[str, ...] = (),
        retryable: tuple[type[Exception], ...] = (),
    ) -> None:
        self._pool = pool
        self._quarantine = quarantine
        self._settings = settings or MaintenanceSettings()
        self._log = log
        self._topics = topics
        self._passing: tuple[type[Exception], ...] = (*_PASSING, *retryable)

    async def run(self, now_us: Callable[[], int]) -> None:
        """Make a round every `interval_s` until cancelled; a round that fails is tried again next time."""
        while True:
            try:
                await self.round(now_us())
            except Exception as error:
                if not isinstance(error, self._passing):
                    raise
                _logger.warning("maintenance waits for the database or the log: %s", error)
            await asyncio.sleep(self._settings.interval_s)

    async def round(self, now_us: int) -> dict[str, int]:
        """Delete what is too old at `now_us` and return how many rows or records went, by task."""
        deleted = {
            TABLES[stream].name: await self._slices(lambda s=stream: self._forget_history(s, now_us))  # type: ignore[misc]
            for stream in Stream
        }
        deleted["incident_change"] = await self._slices(lambda: self._forget(_FORGET_CHANGES, now_us))
        deleted["incident_command"] = await self._slices(lambda: self._forget(_FORGET_COMMANDS, now_us))
        async with self._pool.connection() as connection:
            deleted["quarantine"] = await self._quarantine.prune(connection)
        if (log := self._log) is not None:
            deleted["log_dedup"] = await self._slices(lambda: log.prune_dedup(now_us))
            for topic in self._topics:
                deleted[f"log {topic}"] = await self._slices(lambda t=topic: log.retain(t, now_us))  # type: ignore[misc]
        return deleted

    async def _slices(self, work: Callable[[], Awaitable[int]]) -> int:
        total = 0
        for _ in range(self._settings.max_slices):
            done = await work()
            total += done
            if not done:
                break
        return total

    async def _forget_history(self, stream: Stream, now_us: int) -> int:
        statement = _DELETE.format(table=Identifier(TABLES[stream].name))
        parameters = {
            "before": from_us(now_us - self._settings.kept_us(stream)),
            "rows": self._settings.slice_rows,
        }
        async with self._pool.connection() as connection:
            return (await connection.execute(statement, parameters)).rowcount

    async def _forget(self, statement: LiteralString, now_us: int) -> int:
        before = from_us(now_us - round(self._settings.feed_days * DAY_US))
        async with self._pool.connection() as connection:
            parameters = {"before": before, "rows": self._settings.slice_rows}
            return (await connection.execute(statement, parameters)).rowcount
