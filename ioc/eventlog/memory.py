"""The log in memory, for tests: the same promises, no I/O, nothing left to chance.

It also keeps the positions of its groups (`claim`, `commit`), which a durable log leaves to the database.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Self

from ioc.eventlog.append_queue import Pending
from ioc.eventlog.port import (
    AppendOutcome,
    Claim,
    Consumer,
    Fenced,
    LogOverloaded,
    LogReader,
    LogRejected,
    LogUnavailable,
)
from ioc.eventlog.settings import LogSettings
from ioc.eventlog.sharing import fair_quota, share_out
from ioc.eventlog.wakeup import Wakeup, happened
from ioc.model.records import Batch, NewRecord, Record
from ioc.model.times import SECOND_US


def _now_us() -> int:
    return time.time_ns() // 1000


class _Partition:
    def __init__(self) -> None:
        self.first = 0
        self.records: list[Record] = []
        self.created_us: list[int] = []

    @property
    def end(self) -> int:
        return self.first + len(self.records)

    def slice(self, start: int, limit: int) -> tuple[Record, ...]:
        return tuple(self.records[start - self.first : start - self.first + limit])


class _Group:
    """Positions, generations and owners of one group on one topic."""

    def __init__(self, starts: Sequence[int]) -> None:
        self.next_offsets = list(starts)
        self.generations = [0] * len(starts)
        self.owners: list[str | None] = [None] * len(starts)
        self.members: list[str] = []

    def claim(self, partition: int, owner: str) -> Claim:
        self.generations[partition] += 1
        self.owners[partition] = owner
        return Claim(self.generations[partition], self.next_offsets[partition])

    def rebalance(self) -> None:
        for member in self.members:
            held = [number for number, owner in enumerate(self.owners) if owner == member]
            for number in held[fair_quota(member, self.members, len(self.owners)) :]:
                self.owners[number] = None
        for member in self.members:
            lacking = fair_quota(member, self.members, len(self.owners)) - self.owners.count(member)
            free = [n for n, owner in enumerate(self.owners) if owner not in self.members]
            for number in free[:lacking]:
                self.claim(number, member)


class MemoryLog:
    """`EventLog` and `Positions` in memory. `clock` gives the time of an append in µs."""

    def __init__(self, settings: LogSettings | None = None, clock: Callable[[], int] = _now_us) -> None:
        self._settings = settings or LogSettings()
        self._clock = clock
        self._topics: dict[str, list[_Partition]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._known: set[bytes] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._waiting_records = 0
        self._waiting_bytes = 0
        self.wakeup = Wakeup()
        self.fail_next_append: Exception | None = None
        """A test's way to make the next append raise."""

    async def run(self) -> None:
        """Do nothing until cancelled."""
        await asyncio.Event().wait()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Keep appends waiting, as a log does whose disk is slow."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    async def create_topic(self, topic: str, partitions: int) -> int:
        """Create `topic` unless it exists and return its number of partitions."""
        return len(self._topics.setdefault(topic, [_Partition() for _ in range(partitions)]))

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        """Append, all or nothing; see `EventLog.append`."""
        return await self._admit(Pending.keyed(topic, records, len(self._partitions(topic))))

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """Append one tick to every partition; see `EventLog.append_ticks`."""
        return await self._admit(Pending.ticks(topic, now_us, len(self._partitions(topic))))

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """Append one control record to every partition; see `EventLog.append_controls`."""
        return await self._admit(Pending.controls(topic, payload, name, len(self._partitions(topic))))

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group`; see `EventLog.consume`."""
        return MemoryConsumer(self, topic, self.group(group, topic), owner)

    async def tail(self, topic: str, start: Mapping[int, int] | None = None) -> LogReader:
        """Return a reader without a group; see `EventLog.tail`."""
        return MemoryReader(self, topic, {**await self.ends(topic), **(start or {})})

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition."""
        return {number: partition.end for number, partition in enumerate(self._partitions(topic))}

    async def firsts(self, topic: str) -> dict[int, int]:
        """Return 0 for each partition: their number never changes here."""
        return dict.fromkeys(range(len(self._partitions(topic))), 0)

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete what need not be kept; see `EventLog.retain`."""
        soft_us = now_us - round(self._settings.retention_s * SECOND_US)
        hard_us = now_us - round(self._settings.never_beyond_s * SECOND_US)
        groups = [group for (_, of), group in self._groups.items() if of == topic]
        deleted = 0
        for number, partition in enumerate(self._partitions(topic)):
            behind = min((group.next_offsets[number] for group in groups), default=partition.end)
            while partition.records and (
                partition.created_us[0] < hard_us
                or (partition.created_us[0] < soft_us and partition.first < behind)
            ):
                del partition.records[0], partition.created_us[0]
                partition.first += 1
                deleted += 1
        return deleted

    async def claim(self, group: str, topic: str, partition: int, owner: str, start: int = 0) -> Claim:
        """Make `owner` the owner with a new generation; a new group begins at the earliest record."""
        return self.group(group, topic).claim(partition, owner)

    async def held(self, group: str, topic: str, owner: str) -> dict[int, Claim]:
        """Return what `owner` owns, by partition."""
        state = self.group(group, topic)
        return {
            number: Claim(state.generations[number], state.next_offsets[number])
            for number, name in enumerate(state.owners)
            if name == owner
        }

    async def commit(self, group: str, topic: str, partition: int, generation: int, next_offset: int) -> None:
        """Record the position, as `ioc.store.positions.commit_position` does in a database transaction.

        Raises:
            Fenced: `generation` is not the owner's, or the position would move back.
        """
        state = self.group(group, topic)
        if state.generations[partition] != generation or next_offset < state.next_offsets[partition]:
            raise Fenced(
                f"{group}, {topic}/{partition}: generation {generation} may not commit {next_offset}"
            )
        state.next_offsets[partition] = next_offset

    def forget(self, topic: str, group: str, owner: str) -> None:
        """Treat `owner` as dead: its partitions go to the others."""
        state = self.group(group, topic)
        state.members.remove(owner)
        state.owners = [None if name == owner else name for name in state.owners]
        state.rebalance()
        self.wakeup.wake()

    def group(self, group: str, topic: str) -> _Group:
        """Return the state of `group`, which starts at the earliest records."""
        starts = [partition.first for partition in self._partitions(topic)]
        return self._groups.setdefault((group, topic), _Group(starts))

    def read(self, topic: str, partition: int, start: int, limit: int) -> tuple[Record, ...]:
        """Return up to `limit` records from offset `start`, or from the earliest if that is later."""
        found = self._partitions(topic)[partition]
        return found.slice(max(start, found.first), limit)

    def first(self, topic: str, partition: int) -> int:
        """Return the offset of the earliest record kept."""
        return self._partitions(topic)[partition].first

    def _partitions(self, topic: str) -> list[_Partition]:
        try:
            return self._topics[topic]
        except KeyError:
            raise LogRejected(f"no such topic: {topic}") from None

    async def _admit(self, pending: Pending) -> list[AppendOutcome]:
        count, limits = len(pending.records), self._settings
        if count > limits.queue_records or pending.size_bytes > limits.queue_bytes:
            raise LogRejected(f"{count} records of {pending.size_bytes} bytes in one call")
        if (
            self._waiting_records + count > limits.queue_records
            or self._waiting_bytes + pending.size_bytes > limits.queue_bytes
        ):
            raise LogOverloaded(f"{self._waiting_records} records already wait")
        if self.fail_next_append is not None:
            error, self.fail_next_append = self.fail_next_append, None
            raise error
        self._waiting_records += count
        self._waiting_bytes += pending.size_bytes
        try:
            async with asyncio.timeout(limits.append_timeout_s):
                await self._open.wait()
        except TimeoutError as error:
            raise LogUnavailable(f"not appended within {limits.append_timeout_s} s") from error
        finally:
            self._waiting_records -= count
            self._waiting_bytes -= pending.size_bytes
        return self._store(pending)

    def _store(self, pending: Pending) -> list[AppendOutcome]:
        outcomes = []
        now_us = self._clock()
        for record, number, key in zip(pending.records, pending.partitions, pending.dedup_keys, strict=True):
            if key is not None and key in self._known:
                outcomes.append(AppendOutcome(number, None))
                continue
            if key is not None:
                self._known.add(key)
            partition = self._partitions(pending.topic)[number]
            outcomes.append(AppendOutcome(number, partition.end))
            partition.records.append(Record(partition.end, record.kind, record.payload))
            partition.created_us.append(now_us)
        self.wakeup.wake()
        return outcomes


class MemoryReader:
    """`LogReader` without a group."""

    def __init__(self, log: MemoryLog, topic: str, start: Mapping[int, int]) -> None:
        self._log = log
        self._topic = topic
        self._positions = dict(start)
        self._lost: dict[int, int] = {}
        self._paused: set[int] = set()

    async def poll(self, max_records: int, timeout_s: float) -> list[Batch]:
        """Return the next records; see `LogReader.poll`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            ticket = self._log.wakeup.ticket()
            if batches := self._take(max_records):
                return batches
            if not await happened(ticket, max(0.0, deadline - loop.time())):
                return []

    def positions(self) -> dict[int, int]:
        """Return the offset of the next record to be polled, by partition."""
        return {partition: self._positions[partition] for partition in self._generations()}

    def lost(self) -> dict[int, int]:
        """Return how many records retention deleted before they were polled, by partition."""
        return dict(self._lost)

    def _generations(self) -> dict[int, int]:
        return dict.fromkeys(self._positions, 0)

    def _take(self, max_records: int) -> list[Batch]:
        found: dict[int, tuple[Record, ...]] = {}
        generations = self._generations()
        for partition in generations.keys() - self._paused:
            if records := self._log.read(self._topic, partition, self._positions[partition], max_records):
                found[partition] = records
        shares = share_out({partition: len(records) for partition, records in found.items()}, max_records)
        batches = []
        for partition, share in sorted(shares.items()):
            batch = Batch(self._topic, partition, generations[partition], found[partition][:share])
            if gap := batch.records[0].offset - self._positions[partition]:
                self._lost[partition] = self._lost.get(partition, 0) + gap
            self._positions[partition] = batch.next_offset
            batches.append(batch)
        return batches


class MemoryConsumer(MemoryReader):
    """`Consumer`: enter it to join the group."""

    def __init__(self, log: MemoryLog, topic: str, group: _Group, owner: str) -> None:
        super().__init__(log, topic, {})
        self._group = group
        self._owner = owner
        self._known: dict[int, int] = {}

    async def __aenter__(self) -> Self:
        self._group.members.append(self._owner)
        self._group.rebalance()
        self._log.wakeup.wake()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owner in self._group.members:
            self._group.members.remove(self._owner)
            self._group.owners = [None if name == self._owner else name for name in self._group.owners]
            self._group.rebalance()
            self._log.wakeup.wake()

    def assigned(self) -> dict[int, int]:
        """Return the generation of each partition owned now."""
        return self._generations()

    async def rewind(self, partition: int) -> None:
        """Go back to the committed position; see `Consumer.rewind`."""
        self._known.pop(partition, None)
        self._generations()

    def pause(self, partition: int) -> None:
        """Deliver nothing more from `partition` for now."""
        self._paused.add(partition)

    def resume(self, partition: int) -> None:
        """Undo `pause`."""
        self._paused.discard(partition)
        self._log.wakeup.wake()

    def _generations(self) -> dict[int, int]:
        owned = {
            partition: self._group.generations[partition]
            for partition, owner in enumerate(self._group.owners)
            if owner == self._owner
        }
        for partition, generation in owned.items():
            if self._known.get(partition) != generation:
                self._positions[partition] = self._group.next_offsets[partition]
        self._known = owned
        self._paused &= owned.keys()
        return dict(owned)
