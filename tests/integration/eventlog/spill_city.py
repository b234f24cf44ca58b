"""Processes that append and carry over one database, and a Kafka in memory that fails as it is told to."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from msgspec import structs

from ioc.eventlog.append_queue import Pending
from ioc.eventlog.append_write import Place
from ioc.eventlog.database import as_unavailable
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import Connect, Stamp, Stamps, Verdict
from ioc.eventlog.kafka_writer import KafkaWriter, SpillingWriter, StampedWriter
from ioc.eventlog.port import AppendOutcome, LogUnavailable
from ioc.eventlog.spill import Records, SpillSettings
from ioc.eventlog.spill_drain import SpillDrain
from ioc.model.records import NewRecord, RecordKind, decode_tick
from ioc.store.pool import Pool

Fault = Literal["refuses", "takes half", "loses the answer", "kills us before", "kills us after"]
FAULTS: tuple[Fault, ...] = (
    "refuses", "takes half", "loses the answer", "kills us before", "kills us after"
)  # fmt: skip
PARTITIONS = 3
SETTINGS = KafkaSettings(bootstrap_servers="127.0.0.1:9", request_timeout_s=5.0)
SPILLING = SpillSettings(rest_s=0.0, retry_s=0.0, drain_s=0.01, step_records=4)


class Killed(Exception):
    """The process has ended, as by kill -9."""


class MemoryKafka:
    """Keeps records with their stamps. `fault()` says how the next write goes wrong, None for well."""

    def __init__(self, fault: Callable[[], Fault | None] = lambda: None) -> None:
        self.fault = fault
        self.kept: dict[Place, list[tuple[Stamp, str]]] = defaultdict(list)
        self.asked, self.answering = asyncio.Event(), asyncio.Event()
        """Set when a write has come; what a write waits for."""
        self.answering.set()

    def write(self, stamp: Stamp, fresh: Mapping[Place, Records]) -> dict[Place, list[int]]:
        fault = self.fault()
        if fault in ("refuses", "kills us before"):
            raise Killed if fault == "kills us before" else LogUnavailable(fault)
        offsets: dict[Place, list[int]] = {}
        for place, records in list(fresh.items())[: len(fresh) // 2 if fault == "takes half" else None]:
            kept = self.kept[place]
            offsets[place] = list(range(len(kept), len(kept) + len(records)))
            kept += [(stamp, _name(kind, payload)) for kind, payload in records]
        if fault is not None:
            raise Killed if fault == "kills us after" else LogUnavailable(fault)
        return offsets

    async def counting(self, pool: Pool, topic: str) -> list[list[str]]:
        """Return what a reader that comes now takes of each partition."""
        stamps = Stamps(connect_by(pool))
        await stamps.settle({stamp for kept in self.kept.values() for stamp, _ in kept}, 1.0)
        return [
            [name for stamp, name in self.kept[topic, partition] if stamps.verdict(stamp) is Verdict.COUNTS]
            for partition in range(PARTITIONS)
        ]


def _name(kind: RecordKind, payload: bytes) -> str:
    return f"tick {decode_tick(payload).now_us}" if kind is RecordKind.TICK else payload.decode()


class _OverMemory(StampedWriter):
    kafka: MemoryKafka

    async def _started(self) -> Any:
        return None

    async def _produce(
        self, producer: Any, stamp: Stamp, fresh: Mapping[Place, Records]
    ) -> dict[Place, list[int]]:
        self.kafka.asked.set()
        await self.kafka.answering.wait()
        await asyncio.sleep(0)
        return self.kafka.write(stamp, fresh)


class _Appends(_OverMemory, KafkaWriter):
    pass


class _SpillingAppends(_OverMemory, SpillingWriter):
    pass


def connect_by(pool: Pool) -> Connect:
    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        with as_unavailable():
            async with pool.connection() as connection:
                yield connection

    return connect


class Process:
    """An ingest process: its writer and its drainer. `restart` is what follows a kill."""

    def __init__(self, pool: Pool, kafka: MemoryKafka, topic: str, **changes: object) -> None:
        self._connect = connect_by(pool)
        self._kafka = kafka
        self.topic = topic
        self.spilling = structs.replace(SPILLING, **{"topics": frozenset([topic]), **changes})
        self.restart()

    def restart(self) -> None:
        stamps = Stamps(self._connect)
        appends = _SpillingAppends if self.spilling.topics else _Appends
        placed = {self.topic: PARTITIONS}
        self._writer: _Appends | _SpillingAppends = appends(
            SETTINGS, self._connect, stamps, placed, self.spilling
        )
        carrying = _OverMemory(SETTINGS, self._connect, stamps, placed)
        self._writer.kafka = carrying.kafka = self._kafka
        self._drain = SpillDrain(self.spilling, self._connect, carrying)

    async def append(self, names: Sequence[str], partitions: Sequence[int]) -> list[AppendOutcome]:
        """Append one record per name."""
        records = [NewRecord(RecordKind.EVENT, name, name.encode(), ("cam", name)) for name in names]
        return await self.call(Pending(self.topic, records, partitions))

    async def tick(self, now_us: int) -> list[AppendOutcome]:
        """Append a tick to every partition."""
        return await self.call(Pending.ticks(self.topic, now_us, PARTITIONS))

    async def call(self, pending: Pending) -> list[AppendOutcome]:
        try:
            await self._writer.write([pending])
        except Killed:
            self.restart()
            raise
        return await pending.done

    async def carry(self) -> int:
        """Carry one step; 0 also where that failed."""
        try:
            return await self._drain.step()
        except LogUnavailable:
            return 0
        except Killed:
            self.restart()
            return 0

    async def carry_all(self) -> None:
        while await self.carry():
            pass
