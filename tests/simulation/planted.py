"""Faults planted into the service, such as a hurried change could make: seeds must find each of them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, LiteralString
from unittest.mock import patch

from psycopg import AsyncConnection

from ioc.app import store_worker
from ioc.app.rules import worker as rules_worker
from ioc.app.rules.partition import PartitionWork, Stored, load
from ioc.app.rules.wide_outlet import WideOutlet
from ioc.app.rules.worker import RulesWorker
from ioc.app.store_worker import Poison
from ioc.eventlog.port import Consumer
from ioc.ingest.gateway import Admission
from ioc.ingest.metrics import Transport
from ioc.ingest.ports import Unavailable
from ioc.ingest.service import IngestService
from ioc.model.events import Event, decode_event
from ioc.model.records import Batch, NewRecord, RecordKind
from ioc.store import positions
from ioc.store.positions import commit_position

BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {}
"""The planted faults by name."""


def planted(bug: Callable[[], Iterator[None]]) -> Callable[[], AbstractContextManager[None]]:
    """Register a context in which the service has a fault."""
    BUGS[bug.__name__.replace("_", "-")] = found = contextmanager(bug)
    return found


@planted
def position_before_effects() -> Iterator[None]:
    """The position is committed first, in a transaction of its own: a crash behind it loses the batch."""

    async def commit(connection: AsyncConnection[Any], *where: Any) -> None:
        await commit_position(connection, *where)
        await connection.execute("COMMIT")
        await connection.execute("BEGIN")

    with (
        patch.object(rules_worker, "commit_position", commit),
        patch.object(store_worker, "commit_position", commit),
    ):
        yield


@planted
def position_behind_effects() -> Iterator[None]:
    """The position follows the effects in a transaction of its own: a crash in between repeats the batch."""
    commit = RulesWorker._commit

    async def no_position(*_: object) -> None:
        pass

    async def commit_twice(self: RulesWorker, partition: int, work: PartitionWork) -> None:
        with patch.object(rules_worker, "commit_position", no_position):
            await commit(self, partition, work)
        async with self._pool.connection() as connection, connection.transaction():
            where = rules_worker.GROUP, self.topic, partition, work.generation, work.next_offset
            await commit_position(connection, *where)

    with patch.object(RulesWorker, "_commit", commit_twice):
        yield


@planted
def acknowledged_before_the_append() -> Iterator[None]:
    """The answer does not wait for the log: what that refuses is acknowledged all the same."""
    store = IngestService._store

    async def answer(
        self: IngestService, admissions: Sequence[Admission], transport: Transport
    ) -> list[list[bool]]:
        try:
            return await store(self, admissions, transport)
        except Unavailable:
            return [[False for _ in admission.records] for admission in admissions]

    with patch.object(IngestService, "_store", answer):
        yield


@planted
def no_generation_check() -> Iterator[None]:
    """Whoever lost a partition may still commit."""
    commit: LiteralString = positions._COMMIT.replace("AND generation = %(generation)s", "")
    with patch.object(positions, "_COMMIT", commit):
        yield


@planted
def last_record_of_a_repeated_batch_dropped() -> Iterator[None]:
    """A batch that is delivered again is taken to be one record shorter."""
    decode = store_worker._decode
    seen: set[tuple[int, int]] = set()

    def shorter(batches: Sequence[Batch]) -> tuple[list[Event], list[Poison]]:
        kept = []
        for batch in batches:
            first = batch.partition, batch.records[0].offset
            records = batch.records[:-1] if first in seen else batch.records
            seen.add(first)
            kept.append(Batch(batch.topic, batch.partition, batch.generation, records))
        return decode(kept)

    with patch.object(store_worker, "_decode", shorter):
        yield


@planted
def rule_state_forgotten() -> Iterator[None]:
    """Whoever takes a partition begins with empty windows and timers."""

    async def forget(connection: AsyncConnection[Any], *where: Any) -> Stored:
        return (await load(connection, *where))._replace(rows=[])

    with patch.object(rules_worker, "load", forget):
        yield


@planted
def known_by_device_time() -> Iterator[None]:
    """Events of one source count as repeats where their times are equal."""

    def record(kind: RecordKind, key: str, payload: bytes, dedup: tuple[str, str]) -> NewRecord:
        return NewRecord(kind, key, payload, (dedup[0], str(decode_event(payload).time_us)))

    with patch("ioc.ingest.gateway.NewRecord", record):
        yield


@planted
def passed_on_behind_the_position() -> Iterator[None]:
    """What wide rules want is passed on after the position is committed: a crash in between loses it."""
    flush, commit_due = WideOutlet.flush, RulesWorker._commit_due

    async def later(self: WideOutlet) -> None:
        pass

    async def commit_first(self: RulesWorker, consumer: Consumer) -> None:
        await commit_due(self, consumer)
        await flush(self._outlet)

    with patch.object(WideOutlet, "flush", later), patch.object(RulesWorker, "_commit_due", commit_first):
        yield
