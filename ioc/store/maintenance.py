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
from ioc.model.times import DAY_US, SECOND_US, from_us
from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import AGGREGATES, HISTORY_TABLES, Layout, failed_policies, find_layout
from ioc.store.partitions import renew_partitions
from ioc.store.pool import Pool
from ioc.store.quarantine import Quarantine
from ioc.store.rollups import Rollups

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
_BEFORE: Final[LiteralString] = "SELECT name FROM history_partition WHERE parent = %s AND lower = '-infinity'"


Report = Callable[[dict[str, int]], None]


class MaintenanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the work is cut, and what is kept besides history, whose times are `HistoryPlan`'s."""

    feed_days: float = 7.0
    """How long a console may be away and still resume, and a command may be repeated."""
    slice_rows: int = 10_000
    max_slices: int = 100
    """Slices of one task in one round; what is left waits for the next round."""
    interval_s: float = 60.0


class ExpiringLog(Protocol):
    """A log that lets go of old records and dedup keys, one slice per call."""

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete one slice of old records and return how many."""
        ...

    async def prune_dedup(self, now_us: int) -> int:
        """Forget one slice of old dedup keys and return how many."""
        ...


class Maintenance:
    """Applies every retention of the database. One process runs it; a second one does no harm."""

    def __init__(
        self,
        pool: Pool,
        quarantine: Quarantine,
        settings: MaintenanceSettings | None = None,
        plan: HistoryPlan | None = None,
        log: ExpiringLog | None = None,
        topics: tuple[str, ...] = (),
    ) -> None:
        self._pool = pool
        self._quarantine = quarantine
        self._settings = settings or MaintenanceSettings()
        self._plan = plan or HistoryPlan()
        self._log = log
        self._topics = topics
        self._failed: list[str] = []

    async def run(self, now_us: Callable[[], int], report: Report = lambda done: None) -> None:
        """Make a round every `interval_s` until cancelled; a round that fails is tried again next time.

        `report` is told what each round did, see `round`.
        """
        while True:
            try:
                report(await self.round(now_us()))
            except Exception as error:
                if not _is_passing(error):
                    raise
                _logger.warning("maintenance waits for the database: %s", error)
            await asyncio.sleep(self._settings.interval_s)

    async def round(self, now_us: int) -> dict[str, int]:
        """Delete what is too old at `now_us` and return how many rows or records went, by task.

        Over native partitions also how many `partitions` were dropped and how many buckets of each aggregate
        `… closed`.
        """
        deleted = {
            "incident_change": await self._slices(lambda: self._forget(_FORGET_CHANGES, now_us)),
            "incident_command": await self._slices(lambda: self._forget(_FORGET_COMMANDS, now_us)),
        }
        async with self._pool.connection() as connection:
            deleted["quarantine"] = await self._quarantine.prune(connection)
        if (log := self._log) is not None:
            deleted["log_dedup"] = await self._slices(lambda: log.prune_dedup(now_us))
            for topic in self._topics:
                deleted[f"log {topic}"] = await self._slices(lambda t=topic: log.retain(t, now_us))  # type: ignore[misc]
        # Last, because it may give up on a lock: whoever holds one must not keep the rest from being done.
        return deleted | await self._history(now_us)

    async def _history(self, now_us: int) -> dict[str, int]:
        """Look after native partitions and their aggregates; TimescaleDB's policies do it by themselves."""
        async with self._pool.connection() as connection:
            if (await find_layout(connection)).layout is Layout.HYPERTABLES:
                self._report(await failed_policies(connection))
                return {}
        async with self._pool.connection() as connection:
            done = {"partitions": await renew_partitions(connection, self._plan, now_us)}
        for stream, table in HISTORY_TABLES.items():
            done[table] = 0
            for part in await self._deleted_from(table):
                done[table] += await self._slices(
                    lambda s=stream, p=part: self._forget_history(s, p, now_us)  # type: ignore[misc]
                )
        for stream, name in AGGREGATES.items():
            rollups = Rollups(self._pool, stream, self._plan)
            done[f"{name} closed"] = await rollups.close(now_us)
            done[name] = await self._slices(
                lambda r=rollups: r.expire(now_us, self._settings.slice_rows)  # type: ignore[misc]
            )
        return done

    def _report(self, failed: list[str]) -> None:
        """Say it once when policies begin to fail, and once when they work again."""
        if failed and failed != self._failed:
            _logger.error("TimescaleDB's policies failed, see `ioc doctor`: %s", ", ".join(failed))
        elif self._failed and not failed:
            _logger.info("TimescaleDB's policies work again")
        self._failed = failed

    async def _deleted_from(self, table: str) -> list[str]:
        """Return the partitions that are never dropped, so that old rows have to be deleted from them."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_BEFORE, (table,))).fetchall()
        return [f"{table}_rest", *(str(name) for (name,) in rows)]

    async def _slices(self, work: Callable[[], Awaitable[int]]) -> int:
        total = 0
        for _ in range(self._settings.max_slices):
            done = await work()
            total += done
            if not done:
                break
        return total

    async def _forget_history(self, stream: Stream, partition: str, now_us: int) -> int:
        statement = _DELETE.format(table=Identifier(partition))
        before = from_us(now_us - round(self._plan.kept_s(stream) * SECOND_US))
        async with self._pool.connection() as connection:
            parameters = {"before": before, "rows": self._settings.slice_rows}
            return (await connection.execute(statement, parameters)).rowcount

    async def _forget(self, statement: LiteralString, now_us: int) -> int:
        before = from_us(now_us - round(self._settings.feed_days * DAY_US))
        async with self._pool.connection() as connection:
            parameters = {"before": before, "rows": self._settings.slice_rows}
            return (await connection.execute(statement, parameters)).rowcount


def _is_passing(error: Exception) -> bool:
    # The log wraps what the driver says in an error of its own.
    return isinstance(error, _PASSING) or isinstance(error.__cause__, _PASSING)
