"""The log in memory as processes see it: faults around its port, claims and positions in the database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Final

from ioc.eventlog.memory import MemoryLog, MemoryReader
from ioc.eventlog.port import AppendOutcome, Consumer, LogReader
from ioc.model.records import Batch, NewRecord
from ioc.store.positions import Claimed, StorePositions
from tests.simulation.faults import Point
from tests.simulation.process import Host, Process
from tests.simulation.shares import Shares

POLLED_RECORDS: Final = (1, 3, 10, 200)
"""How many records a poll brings at most."""


class HostLog:
    """`EventLog` over a `MemoryLog` that all hosts share."""

    def __init__(self, memory: MemoryLog, host: Host) -> None:
        self._memory = memory
        self._host = host

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await self._memory.run()

    async def create_topic(self, topic: str, partitions: int) -> int:
        """See `EventLog.create_topic`."""
        return await self._memory.create_topic(topic, partitions)

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        """See `EventLog.append`."""
        async with self._faults():
            return await self._memory.append(topic, records)

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """See `EventLog.append_ticks`."""
        async with self._faults():
            return await self._memory.append_ticks(topic, now_us)

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """See `EventLog.append_controls`."""
        async with self._faults():
            return await self._memory.append_controls(topic, payload, name)

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        await self._host.reach(Point.BEFORE_APPEND)
        yield
        await self._host.reach(Point.AFTER_APPEND)

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Refuse: this host reads without a group."""
        raise NotImplementedError

    async def tail(self, topic: str, start: Mapping[int, int] | None = None) -> LogReader:
        """See `EventLog.tail`."""
        return await self._memory.tail(topic, start)

    async def ends(self, topic: str) -> dict[int, int]:
        """See `EventLog.ends`."""
        return await self._memory.ends(topic)

    async def firsts(self, topic: str) -> dict[int, int]:
        """See `EventLog.firsts`."""
        return await self._memory.firsts(topic)

    async def retain(self, topic: str, now_us: int) -> int:
        """See `EventLog.retain`."""
        return await self._memory.retain(topic, now_us)


class ProcessLog(HostLog):
    """`EventLog` of a process that works for a group."""

    def __init__(
        self, memory: MemoryLog, process: Process, shares: Shares, positions: StorePositions, random: Random
    ) -> None:
        super().__init__(memory, process)
        self._process = process
        self._shares = shares
        self._positions = positions
        self._random = random

    @asynccontextmanager
    async def consume(self, topic: str, group: str, owner: str) -> AsyncIterator[Consumer]:
        """Join `group`; see `EventLog.consume`."""
        yield SharedConsumer(
            self._memory, topic, group, self._process, self._shares, self._positions, self._random
        )


class SharedConsumer(MemoryReader):
    """`Consumer` whose partitions come and go with `Shares`, claimed in the database as over Kafka.

    A poll ends the process's turn and begins the next one; the seed says how many records that brings.
    """

    def __init__(
        self,
        log: MemoryLog,
        topic: str,
        group: str,
        process: Process,
        shares: Shares,
        positions: StorePositions,
        random: Random,
    ) -> None:
        super().__init__(log, topic, {})
        self._group = group
        self._process = process
        self._shares = shares
        self._store = positions
        self._random = random
        self._terms: dict[int, int] = {}
        self._claims: dict[int, int] = {}
        """Generations of the partitions held, as far as this consumer knows."""

    async def poll(self, max_records: int, timeout_s: float) -> list[Batch]:
        """Return the next records, without waiting; see `LogReader.poll`."""
        await self._process.at_poll()
        await self._follow_shares()
        return await super().poll(min(max_records, self._random.choice(POLLED_RECORDS)), 0.0)

    async def _follow_shares(self) -> None:
        terms = self._shares.of(self._group, self._topic, self._process.name)
        for partition in self._claims.keys() - {p for p, t in self._terms.items() if terms.get(p) == t}:
            del self._claims[partition]
        for partition in sorted(terms.keys() - self._claims.keys()):
            claimed = await self._store.claim(self._group, self._topic, partition, self._process.name)
            self._hold(partition, claimed)
        self._terms = terms

    def _hold(self, partition: int, claimed: Claimed) -> None:
        self._claims[partition], self._positions[partition] = claimed

    def assigned(self) -> dict[int, int]:
        """Return the generation of each partition owned, as far as is known."""
        return dict(self._claims)

    async def rewind(self, partition: int) -> None:
        """Go back to the committed position; see `Consumer.rewind`."""
        self._claims.pop(partition, None)
        held = await self._store.held(self._group, self._topic, self._process.name)
        if partition in held:
            self._hold(partition, held[partition])

    def pause(self, partition: int) -> None:
        """Deliver nothing more from `partition` for now."""
        self._paused.add(partition)

    def resume(self, partition: int) -> None:
        """Undo `pause`."""
        self._paused.discard(partition)

    def _generations(self) -> dict[int, int]:
        return self._claims
