"""What every event log promises. `tests/contract/test_eventlog.py` runs over each implementation.

A topic's number of partitions changes only while nobody works (`ioc log partitions`). Within a partition
offsets rise from 0 in the order in which appends became durable, without gaps but those that failed appends
leave where records are in Kafka. A group shares a topic's partitions among its owners; a partition handed
to another owner gets a higher *generation*, and a commit that presents an older one fails.

Positions are committed by the consumer inside its own database transaction, together with the effects
(`ioc.store.positions.commit_position`); a log never commits by itself.

Errors::

    LogError
    ├── LogRetryable        nothing is known to be wrong with the records: the same call may succeed later
    │   ├── LogUnavailable  the log cannot be reached; the records may or may not have been appended
    │   └── LogOverloaded   the bounded queue is full; none of the records was appended
    ├── LogRejected         the call can never succeed: unknown topic, more at once than a call may hold, or
    │                       the log refuses us: credentials, permissions, settings
    ├── LogStuck            a reader gets nothing although there is something: only a new process may help
    └── Fenced              the partition has another owner now: drop the work, its owner will do it
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol
from zlib import crc32

from ioc.model.records import Batch, NewRecord


class LogError(Exception):
    """Base of every error of a log."""


class LogRetryable(LogError):
    """The same call may succeed later; events carry a dedup key, so repeating is harmless."""


class LogUnavailable(LogRetryable):
    """The log cannot be reached. The records may or may not have been appended."""


class LogOverloaded(LogRetryable):
    """The bounded queue of records waiting to be appended is full. Nothing was appended."""


class LogRejected(LogError):
    """The call can never succeed as it is."""


class LogStuck(LogError):
    """Nothing comes although there is something, again and again: end the process."""


class Fenced(LogError):
    """Another owner holds the partition: its generation is higher than the one presented."""


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of `key`; the same for every implementation, process and version."""
    return crc32(key.encode()) % partitions


class AppendOutcome(NamedTuple):
    """What became of one record.

    `offset` is None for a duplicate, which is not stored again, and for a record that is `spilled`: durable,
    and in the log once that takes something again.
    """

    partition: int
    offset: int | None
    spilled: bool = False

    @property
    def duplicate(self) -> bool:
        """True where the same (source, id) is already in the topic, or on its way there."""
        return self.offset is None and not self.spilled


class Claim(NamedTuple):
    """A partition now owned: commits present `generation`, reading starts at `next_offset`."""

    generation: int
    next_offset: int


class Positions(Protocol):
    """Where groups stand, for logs that assign partitions by themselves (Kafka)."""

    async def claim(
        self, group: str, topic: str, partition: int, owner: str, start: int = 0
    ) -> tuple[int, int]:
        """Make `owner` the owner and return (generation, next offset), the fields of a `Claim`.

        The generation is new: every earlier one's commit fails from now on. A new group begins at `start`.
        """
        ...

    async def held(self, group: str, topic: str, owner: str) -> Mapping[int, tuple[int, int]]:
        """Return (generation, next offset) of the partitions that are `owner`'s."""
        ...


class LogReader(Protocol):
    """Reads batches from positions of its own. One task at a time may call it."""

    async def poll(self, max_records: int, timeout_s: float) -> list[Batch]:
        """Return up to `max_records` records in all, at most one batch per partition.

        Waits up to `timeout_s` seconds for the first record and returns an empty list without one.

        Raises:
            LogUnavailable: positions are unchanged; call again.
        """
        ...

    def positions(self) -> dict[int, int]:
        """Return the offset of the next record to be polled, by partition."""
        ...

    def lost(self) -> dict[int, int]:
        """Return how many records retention deleted before they were polled, by partition (0 left out)."""
        ...


class Consumer(LogReader, Protocol):
    """A group's member. Each partition starts at the position the group has committed."""

    def assigned(self) -> dict[int, int]:
        """Return the generation of each partition owned now; empty once the lease has run out."""
        ...

    async def rewind(self, partition: int) -> None:
        """Go back to the committed position, so that what followed it is delivered again.

        Where the partition has another owner by now, it leaves the assignment instead.

        Raises:
            LogUnavailable: nothing changed; call again.
        """
        ...

    def pause(self, partition: int) -> None:
        """Deliver nothing more from `partition`; it stays assigned."""
        ...

    def resume(self, partition: int) -> None:
        """Undo `pause`."""
        ...


class EventLog(Protocol):
    """A durable log. `run()` must be running while the other methods are used."""

    async def run(self) -> None:
        """Serve until cancelled. Cancelled, it fails what still waits with `LogUnavailable`."""
        ...

    async def create_topic(self, topic: str, partitions: int) -> int:
        """Create `topic` unless it exists and return its number of partitions."""
        ...

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        """Append `records` and return one outcome each, in their order, once all of them are durable.

        All or nothing: the records become visible together per partition, and an error means that either
        none or (`LogUnavailable` only) all of them were appended. Records of one partition keep their order.
        A record whose dedup key is known, or repeats within the call, is reported as duplicate.

        Raises:
            LogUnavailable: the outcome is unknown; repeat the call.
            LogOverloaded: nothing was appended; slow down and repeat the call.
            LogRejected: unknown topic, or more records or bytes than one call may hold.
        """
        ...

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """Append one tick of `now_us` to every partition, in partition order.

        The same `now_us` is appended once, so several processes may tick if they round to the same instant.
        Raises as `append`.
        """
        ...

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """Append one control record with `payload` to every partition, in partition order, all or nothing.

        The same `name` is appended once within the dedup window, so repeating a call is harmless. Raises as
        `append`.
        """
        ...

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group` as `owner` (a name unique among living processes) and leave it at the end.

        A new group starts at the earliest record. Partitions come and go while the consumer lives: take the
        assignment from each batch's generation.

        Raises:
            LogUnavailable: on entry.
        """
        ...

    async def tail(self, topic: str, start: Mapping[int, int] | None = None) -> LogReader:
        """Return a reader of every partition without a group; `start` None means from the end as of now.

        Partitions that `start` leaves out begin at their end. Batches carry generation 0.

        Raises:
            LogUnavailable: repeat the call.
        """
        ...

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset that the next record of each partition will get.

        Raises:
            LogUnavailable: repeat the call.
        """
        ...

    async def firsts(self, topic: str) -> dict[int, int]:
        """Return the offset from which on records lie where the present number puts them, by partition.

        What lies before is from a time of fewer partitions: a key's records may be in another one.

        Raises:
            LogUnavailable: repeat the call.
        """
        ...

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete one bounded slice of what need not be kept at `now_us` and return how many records it held.

        A record may go when it is older than the retention and every group has committed past it, or older
        than the hard limit whatever the groups have done. Only the oldest go, so no hole appears. Call again
        until it returns 0.

        Raises:
            LogUnavailable: repeat the call.
        """
        ...
