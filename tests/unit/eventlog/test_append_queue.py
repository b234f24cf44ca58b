"""Group commit: together where possible, whole calls only, within bounds, and everybody is answered."""

import asyncio
from collections.abc import Sequence

import pytest

from ioc.eventlog.append_queue import AppendQueue, Pending
from ioc.eventlog.port import AppendOutcome, LogOverloaded, LogRejected, LogUnavailable
from ioc.eventlog.settings import LogSettings
from ioc.model.records import NewRecord, RecordKind

SETTINGS = LogSettings(
    queue_records=10, queue_bytes=10_000, flush_records=6, linger_s=0.0, append_timeout_s=5.0
)


def call(count: int, size_bytes: int = 1, name: str = "a") -> Pending:
    records = [NewRecord(RecordKind.EVENT, "k", bytes(size_bytes), (name, str(n))) for n in range(count)]
    return Pending.keyed("t", records, 1)


class Disk:
    """Remembers what was written together; `gate` holds it up."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def write(self, taken: Sequence[Pending]) -> None:
        await self.gate.wait()
        self.writes.append([len(pending.records) for pending in taken])
        if self.error is not None:
            raise self.error
        for pending in taken:
            pending.succeed([AppendOutcome(0, number) for number in range(len(pending.records))])


async def test_calls_that_wait_are_written_together_and_never_split() -> None:
    queue, disk = AppendQueue(SETTINGS), Disk()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(queue.run(disk.write))
        disk.gate.clear()
        calls = [group.create_task(queue.put(call(count))) for count in (1, 4, 3, 2)]
        await asyncio.sleep(0.01)
        disk.gate.set()
        for done in calls:
            await done
        service.cancel()
    assert disk.writes == [[1, 4], [3, 2]]
    assert [len(done.result()) for done in calls] == [1, 4, 3, 2]
    assert (queue.records, queue.size_bytes) == (0, 0)


async def test_what_is_being_written_counts_as_waiting() -> None:
    queue, disk = AppendQueue(SETTINGS), Disk()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(queue.run(disk.write))
        disk.gate.clear()
        waiting = [group.create_task(queue.put(call(5))) for _ in range(2)]
        await asyncio.sleep(0.01)
        with pytest.raises(LogOverloaded):
            await queue.put(call(1))
        disk.gate.set()
        for done in waiting:
            await done
        await queue.put(call(1))
        service.cancel()


async def test_bytes_are_bounded_too() -> None:
    queue = AppendQueue(SETTINGS)
    with pytest.raises(LogRejected):
        await queue.put(call(1, 10_000))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.put(call(1, 9_000)))
        await asyncio.sleep(0)
        with pytest.raises(LogOverloaded):
            await queue.put(call(1, 2_000))
        disk = Disk()
        service = group.create_task(queue.run(disk.write))
        await waiting
        service.cancel()


async def test_a_failed_write_fails_its_calls_and_the_next_ones_go_on() -> None:
    queue, disk = AppendQueue(SETTINGS), Disk()
    disk.error = LogUnavailable("disk")
    async with asyncio.TaskGroup() as group:
        service = group.create_task(queue.run(disk.write))
        with pytest.raises(LogUnavailable, match="disk"):
            await queue.put(call(1))
        disk.error = None
        assert await queue.put(call(1)) == [AppendOutcome(0, 0)]
        service.cancel()


async def test_a_caller_that_gave_up_before_the_write_is_not_written() -> None:
    queue, disk = AppendQueue(SETTINGS), Disk()
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(queue.put(call(4)))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        service = group.create_task(queue.run(disk.write))
        await queue.put(call(2))
        service.cancel()
    assert disk.writes == [[2]]
    assert queue.records == 0


async def test_a_fault_of_ours_ends_the_service_and_answers_everybody() -> None:
    queue, disk = AppendQueue(SETTINGS), Disk()
    disk.error = ZeroDivisionError()
    waiting = asyncio.ensure_future(queue.put(call(1)))  # noqa: TID251 - outlives the failing service
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await queue.run(disk.write)
    with pytest.raises(LogUnavailable):
        await waiting
    with pytest.raises(LogUnavailable, match="shutting down"):
        await queue.put(call(1))


async def test_a_stalled_log_is_given_up_in_time() -> None:
    queue = AppendQueue(LogSettings(append_timeout_s=0.02))
    with pytest.raises(LogUnavailable, match=r"0\.02 s"):
        await queue.put(call(1))


def test_dedup_keys_tell_topics_and_sources_apart() -> None:
    async def keys(topic: str, *dedup: tuple[str, str]) -> list[bytes | None]:
        records = [NewRecord(RecordKind.EVENT, "k", b"", pair) for pair in dedup]
        return Pending.keyed(topic, records, 1).dedup_keys

    first = asyncio.run(keys("t", ("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")))
    other = asyncio.run(keys("u", ("a", "1")))
    assert first[0] == first[3]
    assert len({*first, *other}) == 4
    assert all(key is not None and len(key) == 16 for key in first)
