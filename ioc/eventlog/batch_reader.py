"""Reading stored batches from PostgreSQL: positions, a remainder of the last rows, one query per poll."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, LiteralString, Protocol

import msgspec
from psycopg import AsyncConnection

from ioc.eventlog.recent import RecentBatches
from ioc.eventlog.sharing import share_out
from ioc.eventlog.wakeup import Wakeup, happened
from ioc.model.records import Batch, Record, RecordKind

# Rows are chosen by their sizes before any payload is read: up to the records and bytes one poll may need.
_READ: Final[LiteralString] = """
    SELECT chosen.partition, chosen.end_offset, chosen.count, b.payload
    FROM (
        SELECT want.partition, row.end_offset, row.count,
            sum(row.count) OVER earlier AS records, sum(row.size) OVER earlier AS bytes
        FROM unnest(%(partitions)s::int[], %(positions)s::bigint[]) AS want (partition, position)
        CROSS JOIN LATERAL (
            SELECT end_offset, count, octet_length(payload) AS size FROM log_batch
            WHERE topic = %(topic)s AND partition = want.partition AND end_offset > want.position
            ORDER BY end_offset LIMIT %(rows)s
        ) row
        WINDOW earlier AS (PARTITION BY want.partition ORDER BY row.end_offset
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) chosen
    JOIN log_batch b ON b.topic = %(topic)s AND b.partition = chosen.partition
        AND b.end_offset = chosen.end_offset
    WHERE coalesce(chosen.records, 0) < %(records)s AND coalesce(chosen.bytes, 0) < %(bytes)s
    ORDER BY chosen.partition, chosen.end_offset
"""
_decode = msgspec.msgpack.Decoder(list[tuple[RecordKind, bytes]]).decode
_encode = msgspec.msgpack.Encoder().encode


def encode_batch(records: list[tuple[RecordKind, bytes]]) -> bytes:
    """Return the payload of one row of `log_batch`."""
    return _encode(records)


def decode_batch(payload: bytes) -> list[tuple[RecordKind, bytes]]:
    """Return the records of one row."""
    return _decode(payload)


def _records(end_offset: int, count: int, payload: bytes) -> list[Record]:
    return [
        Record(end_offset - count + number, kind, data)
        for number, (kind, data) in enumerate(_decode(payload))
    ]


class Source(Protocol):
    """Where a reader reads: gives connections, translating what goes wrong into `LogUnavailable`."""

    wakeup: Wakeup
    recent: RecentBatches
    """Asked before the database is."""
    notices: int
    """Counts the wake-ups that came from other processes."""
    poll_fallback_s: float
    read_bytes: int

    def connection(self) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """Borrow a connection in autocommit or transaction mode."""
        ...


class PartitionState:
    """Where one partition stands; replaced as a whole when it is assigned anew or rewound."""

    __slots__ = ("buffer", "generation", "lost", "may_have_more", "position", "used")

    def __init__(self, generation: int, position: int, lost: int = 0) -> None:
        self.generation = generation
        self.position = position
        self.lost = lost
        self.buffer: list[Record] = []
        self.used = 0
        self.may_have_more = True
        """False once the database had nothing more to give."""

    @property
    def ready(self) -> int:
        """Records already fetched and not yet delivered."""
        return len(self.buffer) - self.used

    def fill(self, records: Sequence[Record]) -> None:
        """Take over stored records; they follow what the buffer holds."""
        base_offset = records[0].offset
        expected = self.position + self.ready
        if base_offset > expected:
            # Retention was faster than this reader. Say so, then go on with what there is.
            self.lost += base_offset - expected
            if not self.ready:
                self.position = base_offset
        del self.buffer[: self.used]
        self.used = 0
        self.buffer += records[max(0, expected - base_offset) :]

    def take(self, limit: int) -> tuple[Record, ...]:
        """Deliver the next `limit` records and move on."""
        taken = tuple(self.buffer[self.used : self.used + limit])
        self.used += len(taken)
        self.position = taken[-1].offset + 1
        if self.used == len(self.buffer):
            self.buffer = []
            self.used = 0
        return taken


class BatchReader:
    """The reader of a tail, and the base of a group's consumer. One task at a time may poll."""

    def __init__(self, source: Source, topic: str, start: Mapping[int, int]) -> None:
        self._source = source
        self._topic = topic
        self._states = {partition: PartitionState(0, offset) for partition, offset in start.items()}
        self._paused: set[int] = set()
        self._notices = -1
        self._look_again_at = 0.0

    def positions(self) -> dict[int, int]:
        """Return the offset of the next record to be polled, by partition."""
        return {partition: state.position for partition, state in self._current().items()}

    def lost(self) -> dict[int, int]:
        """Return how many records retention deleted before they were polled, by partition."""
        return {partition: state.lost for partition, state in self._states.items() if state.lost}

    async def poll(self, max_records: int, timeout_s: float) -> list[Batch]:
        """Return the next records; see `LogReader.poll`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            ticket = self._source.wakeup.ticket()
            await self._fetch(max_records)
            if batches := self._deliver(max_records):
                return batches
            remaining = deadline - loop.time()
            if remaining <= 0:
                return []
            await happened(ticket, min(remaining, self._source.poll_fallback_s))

    def _current(self) -> dict[int, PartitionState]:
        return self._states

    def _active(self) -> dict[int, PartitionState]:
        return {p: state for p, state in self._current().items() if p not in self._paused}

    async def _fetch(self, max_records: int) -> None:
        active = self._active()
        if sum(state.ready for state in active.values()) >= max_records:
            return
        for partition, state in active.items():
            if not state.ready and (
                found := self._source.recent.read(self._topic, partition, state.position, max_records)
            ):
                state.fill(found)
        hungry = {partition: state for partition, state in active.items() if not state.ready}
        if hungry and self._should_look(hungry):
            await self._look(hungry, max_records)

    def _should_look(self, hungry: Mapping[int, PartitionState]) -> bool:
        """Whether the database may have what this process does not know of."""
        return (
            self._notices != self._source.notices
            or asyncio.get_running_loop().time() >= self._look_again_at
            or any(
                state.may_have_more or state.position < self._source.recent.end(self._topic, partition)
                for partition, state in hungry.items()
            )
        )

    async def _look(self, hungry: Mapping[int, PartitionState], max_records: int) -> None:
        parameters = {
            "topic": self._topic,
            "partitions": list(hungry),
            "positions": [state.position for state in hungry.values()],
            "rows": max_records,
            "records": max_records,
            "bytes": self._source.read_bytes,
        }
        # Taken before the query: what is announced while it runs is looked for again.
        notices = self._source.notices
        async with self._source.connection() as connection:
            rows = await (await connection.execute(_READ, parameters, prepare=True, binary=True)).fetchall()
        self._notices = notices
        self._look_again_at = asyncio.get_running_loop().time() + self._source.poll_fallback_s
        for state in hungry.values():
            state.may_have_more = False
        for partition, end_offset, count, payload in rows:
            state = hungry[partition]
            state.may_have_more = True
            # The partition may have been taken away or rewound while the query ran.
            if self._states.get(partition) is state:
                state.fill(_records(end_offset, count, payload))

    def _deliver(self, max_records: int) -> list[Batch]:
        active = self._active()
        shares = share_out({p: state.ready for p, state in active.items() if state.ready}, max_records)
        return [
            Batch(self._topic, partition, active[partition].generation, active[partition].take(share))
            for partition, share in sorted(shares.items())
        ]
