"""The store role: log batches into the history tables, with the log position in the same transaction."""

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection, DataError, IntegrityError

from ioc.app.clock import now_us
from ioc.app.retry import with_retry
from ioc.app.settings.sections import StoreSettings
from ioc.eventlog.port import Consumer, EventLog
from ioc.model.events import Event, decode_event, encode_event
from ioc.model.records import EVENTS_TOPIC, Batch, RecordKind
from ioc.store.pool import Pool
from ioc.store.positions import Fenced, commit_position
from ioc.store.quarantine import NewQuarantined, Quarantine

GROUP = "store"

_log = structlog.get_logger()
_rows = Counter("ioc_store_rows_total", "Events stored", ["stream"])
_poison = Counter("ioc_store_poison_total", "Log records put into quarantine because nothing can store them")
_write = Histogram("ioc_store_write_seconds", "Time of one write of a batch")
_kept = Counter(
    "ioc_maintenance_total", "Rows and partitions let go, and buckets of aggregates closed", ["task"]
)


def count_maintenance(done: dict[str, int]) -> None:
    """Count what a round of maintenance did."""
    for task, count in done.items():
        _kept.labels(task.replace(" ", "_")).inc(count)


class Writer(Protocol):
    """Writes events into their history tables."""

    async def write(self, connection: AsyncConnection[Any], events: Sequence[Event]) -> object:
        """Write `events` inside the caller's transaction."""
        ...


class Poison(NamedTuple):
    """A log record that nothing can store."""

    payload: bytes
    detail: str
    event: Event | None = None


class StoreWorker:
    """Stores every event once. What cannot be stored goes to quarantine and stops nothing.

    It waits `linger_s` between writes so that events are stored together: nobody waits for history, and one
    commit for many rows is what the disk can bear.
    """

    def __init__(
        self,
        log: EventLog,
        pool: Pool,
        writer: Writer,
        settings: StoreSettings,
        owner: str,
        quarantine: Quarantine,
    ) -> None:
        self._log = log
        self._pool = pool
        self._writer = writer
        self._settings = settings
        self._owner = owner
        self._quarantine = quarantine

    async def run(self) -> None:
        """Work until cancelled; a lost database or log is waited for."""
        await with_retry("store", self._consume)

    async def _consume(self) -> None:
        async with self._log.consume(EVENTS_TOPIC, GROUP, self._owner) as consumer:
            while True:
                started_s = time.monotonic()
                batches = await consumer.poll(self._settings.batch_records, 1.0)
                if batches:
                    await self._store(consumer, batches)
                if sum(len(batch.records) for batch in batches) < self._settings.batch_records:
                    await asyncio.sleep(max(0.0, started_s + self._settings.linger_s - time.monotonic()))

    async def _store(self, consumer: Consumer, batches: Sequence[Batch]) -> None:
        events, poison = _decode(batches)
        try:
            with _write.time():
                async with self._pool.connection() as connection, connection.transaction():
                    for batch in batches:
                        await commit_position(
                            connection,
                            GROUP,
                            batch.topic,
                            batch.partition,
                            batch.generation,
                            batch.next_offset,
                        )
                    poison += await self._write(connection, events)
                    await self._quarantine.add(connection, [_quarantined(each) for each in poison])
        except Fenced:
            _log.warning("a partition was taken over", role=GROUP)
            for batch in batches:
                await consumer.rewind(batch.partition)
            return
        _poison.inc(len(poison))
        for stream, count in Counts(event.stream for event in events).items():
            _rows.labels(stream).inc(count)

    async def _write(self, connection: AsyncConnection[Any], events: Sequence[Event]) -> list[Poison]:
        """Write what can be written, halving what the database refuses until the culprits stand alone."""
        try:
            async with connection.transaction():
                await self._writer.write(connection, events)
        except (DataError, IntegrityError) as error:
            if len(events) == 1:
                _log.error("an event cannot be stored", event_id=events[0].id, error=str(error))
                return [Poison(encode_event(events[0]), str(error), events[0])]
            middle = len(events) // 2
            return [
                *await self._write(connection, events[:middle]),
                *await self._write(connection, events[middle:]),
            ]
        return []


def _decode(batches: Sequence[Batch]) -> tuple[list[Event], list[Poison]]:
    events: list[Event] = []
    poison: list[Poison] = []
    for batch in batches:
        for record in batch.records:
            if record.kind is not RecordKind.EVENT:
                continue
            try:
                events.append(decode_event(record.payload))
            except msgspec.DecodeError as error:
                place = f"{batch.topic}/{batch.partition}, offset {record.offset}"
                poison.append(Poison(record.payload, f"{place}: {error}"))
                _log.error("a log record cannot be decoded", place=place)
    return events, poison


def _quarantined(poison: Poison) -> NewQuarantined:
    event = poison.event
    return NewQuarantined(
        received_us=now_us(),
        reason="poison",
        raw=poison.payload,
        detail=poison.detail,
        source=event.source if event else None,
        event_id=event.id if event else None,
    )
