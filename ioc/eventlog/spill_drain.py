"""Carries spilled records into Kafka, oldest first, as soon as it takes them.

One process at a time carries: a transaction's advisory lock decides, so an owner that dies or is frozen holds
nothing longer than the database holds its transaction. A step takes the rows away in the transaction whose
commit makes its records in Kafka count (`kafka_stamps`): a crash between the two leaves the rows, and records
that never count.

The last step of a partition locks it. Who wants to append there waits for the step and then, the partition
being empty, goes to Kafka directly; without the lock new records would always come behind the last.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, LiteralString, Protocol

import structlog
from psycopg import AsyncConnection

from ioc.eventlog import spill, spill_metrics
from ioc.eventlog.append_write import Place
from ioc.eventlog.kafka_client import asking
from ioc.eventlog.kafka_stamps import Connect
from ioc.eventlog.kafka_writer import Produce, Result, Work
from ioc.eventlog.port import LogError, LogRejected, LogRetryable
from ioc.eventlog.spill import SpillSettings, Standing

_ALONE: Final[LiteralString] = "SELECT pg_try_advisory_xact_lock(hashtextextended('log_spill', 17))"

_log = structlog.get_logger()


class Writer(Protocol):
    """Writes to Kafka inside a transaction; see `kafka_writer.StampedWriter`."""

    async def transact(self, work: Work[Result]) -> Result:
        """Run `work` in one transaction; what it produces counts with the commit."""
        ...


class Turns:
    """Which partition is carried next: the one with the oldest record, of those that did not fail just now.

    So partitions advance side by side, and no partition's clock runs far ahead of the others', which wide
    rules would have to wait for.
    """

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._resting: dict[Place, float] = {}
        self._sure: set[Place] = set()

    def choose(self, standings: Sequence[Standing], now_s: float) -> Standing | None:
        """Return the partition to carry from now; None where there is nothing, or none may be tried."""
        due = [each for each in standings if self._resting.get(each.place, now_s) <= now_s]
        return min(due, key=lambda each: (-each.oldest_s, each.place), default=None)

    def took(self, place: Place) -> None:
        """Note that Kafka took records of the partition."""
        self._sure.add(place)
        self._resting.pop(place, None)

    def failed(self, place: Place, now_s: float) -> None:
        """Note that Kafka did not: leave the partition alone for a while."""
        self._sure.discard(place)
        self._resting[place] = now_s + self._retry_s

    def sure(self, place: Place) -> bool:
        """Return whether Kafka took the partition's records last time: nobody would wait long for a lock."""
        return place in self._sure


class SpillDrain:
    """Empties the spill; one task only uses it, and `writer` is its own."""

    def __init__(self, settings: SpillSettings, connect: Connect, writer: Writer) -> None:
        self._settings = settings
        self._connect = connect
        self._writer = writer
        self._turns = Turns(settings.retry_s)
        self._failure = ""

    async def run(self) -> None:
        """Carry until cancelled. Whatever goes wrong is tried again."""
        spill_metrics.limit_records.set(self._settings.max_records)
        spill_metrics.limit_bytes.set(self._settings.max_bytes)
        while True:
            carried = 0
            try:
                carried = await self.step()
            except (LogRetryable, LogRejected) as error:
                self._note(error)
            if not carried:
                await asyncio.sleep(self._settings.drain_s)

    async def step(self) -> int:
        """Carry one step of one partition and return how many records that were.

        Raises:
            LogRetryable: nothing was carried; other partitions may be tried at once.
            LogRejected: the same, Kafka refuses us.
        """
        standings = await self._standings()
        chosen = self._turns.choose(standings, asyncio.get_running_loop().time())
        if chosen is None:
            return 0
        alone = self._turns.sure(chosen.place) and chosen.records <= self._settings.step_records
        try:
            carried = await self._writer.transact(partial(self._carry, chosen.place, alone))
        except LogError:
            spill_metrics.failures.inc()
            self._turns.failed(chosen.place, asyncio.get_running_loop().time())
            raise
        if carried:
            spill_metrics.drained.inc(carried)
            self._turns.took(chosen.place)
            if self._failure:
                _log.info("Kafka takes spilled records again", records=sum(s.records for s in standings))
                self._failure = ""
        return carried

    async def _standings(self) -> list[Standing]:
        async with self._connect() as connection:
            standings = await spill.standings(connection)
        spill_metrics.records.set(sum(each.records for each in standings))
        spill_metrics.size_bytes.set(sum(each.size_bytes for each in standings))
        spill_metrics.oldest_seconds.set(max((each.oldest_s for each in standings), default=0.0))
        return standings

    async def _carry(
        self, place: Place, alone: bool, database: AsyncConnection[Any], produce: Produce
    ) -> int:
        """Carry a step of `place` in the caller's transaction; 0 where somebody else carries."""
        row = await (await database.execute(_ALONE, prepare=True)).fetchone()
        if row is None or not row[0]:
            return 0
        if alone:
            await spill.lock(database, [place])
        carried = await spill.oldest(database, place, self._settings)
        if carried.records:
            # Others wait for the lock no longer than for Kafka itself.
            async with asking(self._settings.after_s) if alone else nullcontext():
                await produce({place: carried.records})
            await spill.remove(database, place, carried)
        return len(carried.records)

    def _note(self, error: LogError) -> None:
        if str(error) != self._failure:
            _log.warning("spilled records wait", error=str(error))
        self._failure = str(error)
