"""Group commit: concurrent appends wait in one bounded queue and are written together."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

from ioc.eventlog.port import (
    AppendOutcome,
    LogOverloaded,
    LogRejected,
    LogRetryable,
    LogUnavailable,
    partition_of,
)
from ioc.eventlog.settings import LogSettings
from ioc.model.records import NewRecord, RecordKind, Tick, encode_tick

# What a record takes besides its payload, roughly: keeps a flood of tiny records within `queue_bytes` too.
_OVERHEAD_BYTES = 64


class Pending:
    """One append call: it is written whole or not at all."""

    __slots__ = ("dedup_keys", "done", "partitions", "records", "size_bytes", "topic")

    def __init__(self, topic: str, records: Sequence[NewRecord], partitions: Sequence[int]) -> None:
        self.topic = topic
        self.records = records
        self.partitions = partitions
        self.dedup_keys = [_dedup_key(topic, record.dedup) for record in records]
        self.size_bytes = sum(len(record.payload) for record in records) + _OVERHEAD_BYTES * len(records)
        self.done: asyncio.Future[list[AppendOutcome]] = asyncio.get_running_loop().create_future()

    @classmethod
    def keyed(cls, topic: str, records: Sequence[NewRecord], partitions: int) -> "Pending":
        """Return records placed by their keys."""
        places: dict[str, int] = {}
        for record in records:
            if record.key not in places:
                places[record.key] = partition_of(record.key, partitions)
        return cls(topic, records, [places[record.key] for record in records])

    @classmethod
    def ticks(cls, topic: str, now_us: int, partitions: int) -> "Pending":
        """Return one tick for every partition, each known by its time.

        A clock that is put back comes to the same instants a second time, and those ticks count too: the
        difference between wall clock and uptime, in minutes, tells such eras apart.
        """
        payload = encode_tick(Tick(now_us))
        era = round((time.time() - time.monotonic()) / 60)
        numbers = range(partitions)
        records = [
            NewRecord(RecordKind.TICK, "", payload, dedup=(f"tick\x00{number}", f"{now_us}\x00{era}"))
            for number in numbers
        ]
        return cls(topic, records, numbers)

    @classmethod
    def controls(cls, topic: str, payload: bytes, name: str, partitions: int) -> "Pending":
        """Return one control record for every partition, known by `name`."""
        numbers = range(partitions)
        records = [
            NewRecord(RecordKind.CONTROL, "", payload, dedup=(f"control\x00{number}", name))
            for number in numbers
        ]
        return cls(topic, records, numbers)

    def succeed(self, outcomes: list[AppendOutcome]) -> None:
        """Answer the caller, if it still waits."""
        if not self.done.done():
            self.done.set_result(outcomes)

    def fail(self, error: Exception) -> None:
        """Tell the caller, if it still waits."""
        if not self.done.done():
            self.done.set_exception(error)


def _dedup_key(topic: str, dedup: tuple[str, str] | None) -> bytes | None:
    if dedup is None:
        return None
    return blake2b(f"{topic}\x00{dedup[0]}\x00{dedup[1]}".encode(), digest_size=16).digest()


class AppendQueue:
    """Bounded in records and bytes, counting what is being written; `write` is called by one task only."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._waiting: deque[Pending] = deque()
        self._filled = asyncio.Event()
        self._closed = False
        self.records = 0
        """Records accepted and not yet answered."""
        self.size_bytes = 0

    async def put(self, pending: Pending) -> list[AppendOutcome]:
        """Queue `pending` and return its outcomes once they are durable. Raises as `EventLog.append`."""
        limits = self._settings
        count = len(pending.records)
        if count > limits.queue_records or pending.size_bytes > limits.queue_bytes:
            raise LogRejected(
                f"{count} records of {pending.size_bytes} bytes in one call: "
                f"at most {limits.queue_records} and {limits.queue_bytes}"
            )
        if self._closed:
            raise LogUnavailable("the log is shutting down")
        if (
            self.records + count > limits.queue_records
            or self.size_bytes + pending.size_bytes > limits.queue_bytes
        ):
            raise LogOverloaded(f"{self.records} records of {self.size_bytes} bytes already wait")
        self.records += count
        self.size_bytes += pending.size_bytes
        self._waiting.append(pending)
        self._filled.set()
        try:
            async with asyncio.timeout(limits.append_timeout_s):
                return await pending.done
        except TimeoutError as error:
            raise LogUnavailable(f"not appended within {limits.append_timeout_s} s") from error

    async def run(self, write: Callable[[Sequence[Pending]], Awaitable[None]]) -> None:
        """Write until cancelled; `write` answers each call it is given, or raises `LogRetryable` for all."""
        self._closed = False
        try:
            while True:
                await self._filled.wait()
                if self.records < self._settings.flush_records:
                    await asyncio.sleep(self._settings.linger_s)
                await self._flush(write)
        finally:
            self._closed = True
            while self._waiting:
                self._answered(self._waiting.popleft(), LogUnavailable("the log is shutting down"))

    async def _flush(self, write: Callable[[Sequence[Pending]], Awaitable[None]]) -> None:
        taken = self._take()
        failure: Exception = LogUnavailable("the log stopped while appending")
        try:
            # A caller that gave up is not waiting for an answer any more; its records need not be written.
            if live := [pending for pending in taken if not pending.done.done()]:
                await write(live)
        except LogRetryable as error:
            failure = error
        finally:
            for pending in taken:
                self._answered(pending, failure)

    def _take(self) -> list[Pending]:
        taken: list[Pending] = []
        records = size_bytes = 0
        while self._waiting:
            records += len(self._waiting[0].records)
            size_bytes += self._waiting[0].size_bytes
            if taken and (records > self._settings.flush_records or size_bytes > self._settings.flush_bytes):
                break
            taken.append(self._waiting.popleft())
        if not self._waiting:
            self._filled.clear()
        return taken

    def _answered(self, pending: Pending, failure: Exception) -> None:
        pending.fail(failure)  # no effect where `write` has answered
        self.records -= len(pending.records)
        self.size_bytes -= pending.size_bytes
