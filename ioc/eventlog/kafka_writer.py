"""Appending to Kafka: one transaction of PostgreSQL around one idempotent, fully acknowledged write.

The transaction locks the writer's row, claims the dedup keys, waits for Kafka and commits the append's
number; see `kafka_stamps` for what a reader makes of it. Whatever fails, nothing of the append counts, and
both the writer's id and the producer are thrown away: an idempotent producer may stay dead after an error
(issue 1017), and what it might still deliver is void. That is also why an append that Kafka did not take may
be spilled (`spill`), whatever Kafka has of it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, LiteralString, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from ioc.eventlog import kafka_metrics, spill, spill_metrics
from ioc.eventlog.append_queue import Pending
from ioc.eventlog.append_write import Place, claim_keys, place_records
from ioc.eventlog.kafka_client import asking, connection, end_producer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import HEADER, Connect, Stamp, Stamps, encode_header
from ioc.eventlog.layout import check_layout
from ioc.eventlog.port import AppendOutcome, LogOverloaded, LogRejected, LogUnavailable
from ioc.eventlog.spill import Records, SpillSettings
from ioc.model.records import RecordKind

Result = TypeVar("Result")
Produce = Callable[[Mapping[Place, Records]], Awaitable[dict[Place, list[int]]]]
"""Writes records and returns each one's offset; they count once the transaction has committed."""
Work = Callable[[AsyncConnection[Any], Produce], Awaitable[Result]]

_BATCH_BYTES: Final = 256 << 10
_REGISTER: Final[LiteralString] = "INSERT INTO log_writer (id) VALUES (%s)"
_BEGIN: Final[LiteralString] = """
    SELECT committed FROM log_writer WHERE id = %s AND NOT closed FOR UPDATE
"""
_COMMIT: Final[LiteralString] = "UPDATE log_writer SET committed = %s, used_at = now() WHERE id = %s"

_log = structlog.get_logger()


class KafkaAway(LogUnavailable):
    """Kafka did not take the records. Whatever it has of them never counts."""


class StampedWriter:
    """Writes to Kafka inside transactions, one after the other; used by one task only.

    Records were placed by the numbers of `partitions`, by topic; topics may be added. `check` raises
    `LogUnavailable` where Kafka must not be written to yet.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        connect: Connect,
        stamps: Stamps,
        partitions: Mapping[str, int],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        self._settings = settings
        self._partitions = partitions
        self._connect = connect
        self._stamps = stamps
        self._producer: AIOKafkaProducer | None = None
        self._forsaken: list[AIOKafkaProducer] = []
        self._last: Stamp | None = None
        """Our last committed append; None where the next one needs a new writer."""

    async def transact(self, work: Work[Result]) -> Result:
        """Return what `work` returns, run in one transaction; what it produces counts with the commit.

        Raises:
            KafkaAway: nothing was done.
            LogUnavailable: the outcome is unknown, or nothing was done.
            LogRejected: Kafka refuses us; nothing was done.
        """
        try:
            if self._last is None:
                self._last = await self._register()
            stamp = Stamp(self._last.writer, self._last.number + 1)
            produced = False

            async def produce(fresh: Mapping[Place, Records]) -> dict[Place, list[int]]:
                nonlocal produced
                if not fresh:
                    return {}
                produced = True
                try:
                    self._check()
                    async with asking(self._settings.request_timeout_s):
                        return await self._produce(await self._started(), stamp, fresh)
                except LogUnavailable as error:
                    raise KafkaAway(str(error)) from error

            async with self._stamps.appending(stamp):
                async with self._connect() as database, database.transaction():
                    await self._begin(database, stamp)
                    result = await work(database, produce)
                    if produced:
                        await database.execute(_COMMIT, (stamp.number, stamp.writer), prepare=True)
                if produced:
                    self._last = stamp
                    self._stamps.committed(stamp)
        except LogOverloaded:  # found before Kafka was asked
            raise
        except BaseException:
            kafka_metrics.failed_appends.inc()
            self._forsake()
            raise
        return result

    async def close(self) -> None:
        """Give up the producer and the writer's id."""
        self._forsake()
        await self.end_forsaken()

    async def end_forsaken(self) -> None:
        """End producers that failed; apart from `transact`, since each may take its time."""
        while self._forsaken:
            await end_producer(self._forsaken.pop(), self._settings.close_timeout_s)

    def _forsake(self) -> None:
        self._last = None
        producer, self._producer = self._producer, None
        if producer is not None:
            self._forsaken.append(producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            # Ours from the start on, so that it is ended however the start ends.
            self._producer = AIOKafkaProducer(
                **connection(self._settings, "append"),
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                max_batch_size=_BATCH_BYTES,
                max_request_size=2 * self._settings.record_bytes,
            )
            await self._producer.start()
        return self._producer

    async def _register(self) -> Stamp:
        """Begin a new writer; whoever adds partitions closes all there are and lets none begin meanwhile."""
        writer = secrets.randbits(63)
        async with self._connect() as database, database.transaction():
            await database.execute(_REGISTER, (writer,))
            await check_layout(database, self._partitions)
        return Stamp(writer, 0)

    async def _begin(self, database: AsyncConnection[Any], stamp: Stamp) -> None:
        row = await (await database.execute(_BEGIN, (stamp.writer,), prepare=True)).fetchone()
        if row is None or row[0] != stamp.number - 1:
            raise LogUnavailable("a reader has closed this writer, which was silent for too long")

    async def _produce(
        self, producer: AIOKafkaProducer, stamp: Stamp, fresh: Mapping[Place, Records]
    ) -> dict[Place, list[int]]:
        """Write `fresh` and return each record's offset."""
        headers = {kind: [(HEADER, encode_header(kind, stamp))] for kind in RecordKind}
        sent: dict[Place, list[tuple[asyncio.Future[Any], int]]] = {}
        for (topic, partition), records in fresh.items():
            waiting = sent.setdefault((topic, partition), [])
            batch, count = producer.create_batch(), 0
            for kind, payload in records:
                entry = {"timestamp": None, "key": None, "value": payload, "headers": headers[kind]}
                if batch.append(**entry) is None:
                    future = await producer.send_batch(
                        batch, self._settings.prefix + topic, partition=partition
                    )
                    waiting.append((future, count))
                    batch, count = producer.create_batch(), 0
                    batch.append(**entry)  # a first record always fits
                count += 1
            future = await producer.send_batch(batch, self._settings.prefix + topic, partition=partition)
            waiting.append((future, count))
        offsets: dict[Place, list[int]] = {}
        for place, batches in sent.items():
            found = offsets.setdefault(place, [])
            for future, count in batches:
                base = (await future).offset
                if base < 0:  # stored before, by a repetition of aiokafka's own: it cannot say where
                    raise LogUnavailable("Kafka did not say where it stored the records")
                found += range(base, base + count)
        return offsets


class KafkaWriter(StampedWriter):
    """Writes appends: into Kafka, or into the spill where a partition spills already."""

    def __init__(
        self,
        settings: KafkaSettings,
        connect: Connect,
        stamps: Stamps,
        partitions: Mapping[str, int],
        spilling: SpillSettings,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(settings, connect, stamps, partitions, check)
        self._spilling = spilling

    async def write(self, taken: Sequence[Pending]) -> None:
        """Write all of `taken` as one and answer it.

        Raises:
            LogUnavailable: the outcome is unknown, or nothing counts.
            LogOverloaded: more would lie spilled than may; nothing counts.
            LogRejected: Kafka refuses us.
        """
        _answer(taken, await self.transact(partial(self._append, taken)))

    async def _append(
        self, taken: Sequence[Pending], database: AsyncConnection[Any], produce: Produce
    ) -> list[list[AppendOutcome]]:
        held = await spill.held(database, _places(taken))
        known = await claim_keys(database, taken)
        fresh: dict[Place, Records] = {}
        numbers = [list(place_records(pending, known, fresh)) for pending in taken]
        behind = {place: fresh.pop(place) for place in held & fresh.keys()}
        await spill.store(database, self._spilling, behind)
        offsets = await produce(fresh)
        return _outcomes(taken, numbers, offsets)


class SpillingWriter(KafkaWriter):
    """Writes appends into Kafka, or all of them into the spill where that does not take them."""

    _resting_until_s = 0.0

    async def write(self, taken: Sequence[Pending]) -> None:
        """Write all of `taken` as one and answer it. Raises as `KafkaWriter.write`, but for Kafka's sake."""
        if asyncio.get_running_loop().time() >= self._resting_until_s:
            try:
                await super().write(taken)
            except (KafkaAway, LogRejected) as error:
                _log.warning("Kafka takes nothing: events are spilled", error=str(error))
                self._resting_until_s = asyncio.get_running_loop().time() + self._spilling.rest_s
            else:
                return
        _answer(taken, await self._append_aside(taken))

    async def _append_aside(self, taken: Sequence[Pending]) -> list[list[AppendOutcome]]:
        """Spill all of `taken`."""
        async with self._connect() as database, database.transaction():
            await spill.lock(database, _places(taken))
            # Behind the lock that whoever adds partitions takes: a place of before is nobody's any more.
            await check_layout(database, self._partitions)
            known = await claim_keys(database, taken)
            fresh: dict[Place, Records] = {}
            numbers = [list(place_records(pending, known, fresh)) for pending in taken]
            await spill.store(database, self._spilling, fresh)
        return _outcomes(taken, numbers, {})


def _places(taken: Sequence[Pending]) -> set[Place]:
    return {(pending.topic, partition) for pending in taken for partition in pending.partitions}


def _outcomes(
    taken: Sequence[Pending],
    numbers: Sequence[Sequence[int | None]],
    offsets: Mapping[Place, Sequence[int]],
) -> list[list[AppendOutcome]]:
    """Return what became of each record; `numbers` is what `place_records` says of it."""

    def outcome(place: Place, number: int | None) -> AppendOutcome:
        if number is None:
            return AppendOutcome(place[1], None)
        if place not in offsets:
            return AppendOutcome(place[1], None, spilled=True)
        return AppendOutcome(place[1], offsets[place][number])

    return [
        [
            outcome((pending.topic, partition), number)
            for partition, number in zip(pending.partitions, placed, strict=True)
        ]
        for pending, placed in zip(taken, numbers, strict=True)
    ]


def _answer(taken: Sequence[Pending], outcomes: Sequence[list[AppendOutcome]]) -> None:
    for pending, found in zip(taken, outcomes, strict=True):
        spill_metrics.spilled.inc(sum(outcome.spilled for outcome in found))
        pending.succeed(found)
