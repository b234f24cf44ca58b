"""Reading Kafka's records: buffers per partition, and only what counts is delivered.

Memory is bounded: aiokafka fetches ahead one answer per partition, and we take from it no more than one poll
asks.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError

from ioc.eventlog import kafka_metrics
from ioc.eventlog.kafka_client import asking, connection, cut_consumer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import Stamp, Stamps, Verdict, decode_header
from ioc.eventlog.port import LogRejected, LogUnavailable
from ioc.eventlog.sharing import share_out
from ioc.model.records import Batch, Record, RecordKind

SLICE_S: Final = 0.25
"""How long one look at Kafka waits before the reader sees to other things."""

Judged = tuple[int, tuple[RecordKind, Stamp] | None, bytes]
_log = structlog.get_logger()


class Buffer:
    """Where one partition stands; replaced as a whole when it is assigned anew or rewound."""

    __slots__ = ("fetched", "generation", "lost", "moved_s", "records", "used")

    def __init__(self, generation: int, position: int, lost: int = 0) -> None:
        self.generation = generation
        self.fetched = position
        """Offset of the next record to take from Kafka."""
        self.lost = lost
        self.records: list[Record] = []
        self.used = 0
        self.moved_s = time.monotonic()
        """When something came last, or was known not to be there."""

    @property
    def ready(self) -> int:
        """Records that may be delivered."""
        return len(self.records) - self.used

    @property
    def position(self) -> int:
        """Offset of the next record to be delivered, as far as it is known."""
        return self.records[self.used].offset if self.ready else self.fetched

    def extend(self, records: Sequence[Record], fetched: int) -> None:
        """Take records that count, and the offset after the last one looked at."""
        del self.records[: self.used]
        self.used = 0
        self.records += records
        self.fetched = fetched
        self.moved_s = time.monotonic()

    def take(self, limit: int) -> tuple[Record, ...]:
        """Deliver the next `limit` records."""
        taken = tuple(self.records[self.used : self.used + limit])
        self.used += len(taken)
        return taken


class Source(Protocol):
    """The log that a reader belongs to."""

    kafka: KafkaSettings
    stamps: Stamps

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition, from a connection other than the reader's."""
        ...


class KafkaReader:
    """The reader of a tail, and the base of a group's consumer. One task at a time may poll."""

    def __init__(self, log: Source, topic: str, label: str) -> None:
        self._source = log
        self._topic = topic
        self._name = log.kafka.prefix + topic
        self._label = label
        self._consumer: AIOKafkaConsumer | None = None
        self._states: dict[int, Buffer] = {}
        self._paused: set[int] = set()
        self._left_s = time.monotonic()

    @classmethod
    async def at(
        cls, log: Source, topic: str, label: str, start: Mapping[int, int]
    ) -> tuple["KafkaReader", AIOKafkaConsumer]:
        """Return a reader without a group and the client to end when nobody needs the reader any more.

        Raises:
            LogUnavailable: nothing was opened.
        """
        reader = cls(log, topic, label)
        client = AIOKafkaConsumer(**connection(log.kafka, label), **fetching(log.kafka))
        try:
            async with asking(log.kafka.request_timeout_s):
                await client.start()
        except BaseException:
            await cut_consumer(client)
            raise
        reader._consumer = client
        reader._states = {partition: Buffer(0, offset) for partition, offset in start.items()}
        client.assign([reader._place(partition) for partition in start])
        for partition in start:
            reader._seek(partition)
        return reader, client

    def positions(self) -> dict[int, int]:
        """Return the offset of the next record to be polled, by partition."""
        return {partition: state.position for partition, state in self._states.items()}

    def lost(self) -> dict[int, int]:
        """Return how many records retention deleted before they were polled, by partition."""
        return {partition: state.lost for partition, state in self._states.items() if state.lost}

    async def poll(self, max_records: int, timeout_s: float) -> list[Batch]:
        """Return the next records; see `LogReader.poll`."""
        started_s = time.monotonic()
        for state in self._states.values():  # while nobody asked, nothing was to come
            state.moved_s = min(started_s, state.moved_s + started_s - self._left_s)
        try:
            while True:
                await self._prepare()
                left_s = max(0.0, started_s + timeout_s - time.monotonic())
                await self._fetch(max_records, min(left_s, SLICE_S))
                batches = self._deliver(max_records)
                if batches or not left_s:
                    return batches
        finally:
            self._left_s = time.monotonic()

    async def _prepare(self) -> None:
        """Look whether anything comes where there is something (issues 1154, 847, 1037: alive and stuck)."""
        now_s, stuck_s = time.monotonic(), self._source.kafka.stuck_s
        silent = {p: s for p, s in self._active().items() if not s.ready and now_s - s.moved_s >= stuck_s}
        if not silent:
            return
        ends = await self._source.ends(self._topic)
        if any(ends.get(partition, 0) > state.fetched for partition, state in silent.items()):
            await self._unstick(silent)
        for state in silent.values():
            state.moved_s = time.monotonic()

    async def _unstick(self, partitions: Collection[int]) -> None:
        """Do something about partitions from which nothing comes."""
        raise LogUnavailable(
            f"nothing comes from {self._name}, partitions {sorted(partitions)}: read it anew"
        )

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self._name, partition)

    def _active(self) -> dict[int, Buffer]:
        return {p: state for p, state in self._states.items() if p not in self._paused}

    def _seek(self, partition: int) -> None:
        """Let Kafka go on where the buffer ends."""
        state = self._states.get(partition)
        if self._consumer is None or state is None:
            return
        with suppress(IllegalStateError):  # taken away this moment; the new assignment is seen to next
            self._consumer.seek(self._place(partition), state.fetched)

    async def _fetch(self, max_records: int, wait_s: float) -> None:
        active = self._active()
        ready = sum(state.ready for state in active.values())
        hungry = [partition for partition, state in active.items() if not state.ready]
        if ready >= max_records or not hungry:
            # Without a partition to read, too, Kafka wants to see that we are there: a member that never asks
            # counts as idle and cannot come back to its group (issue 1187). Nobody has a partition -1.
            await self._get([-1], 0.0 if ready else wait_s, 1)
            return
        taken = False
        try:
            found = await self._sweep(hungry, max_records)
            if not found and not ready:
                found = await self._get(hungry, wait_s, max_records)
                if found:
                    found |= await self._sweep([p for p in hungry if p not in found], max_records)
            await self._absorb(found, wait_s)
            taken = True
        finally:
            if not taken:
                # `getmany` has moved on already and would never give the same again (issue 1046).
                for partition in hungry:
                    self._seek(partition)

    async def _sweep(self, partitions: Collection[int], limit: int) -> dict[int, list[ConsumerRecord]]:
        """Take what is there from each, so that a busy partition does not keep the others from being read."""
        found: dict[int, list[ConsumerRecord]] = {}
        for partition in partitions:
            found |= await self._get([partition], 0.0, limit)
        return found

    async def _get(
        self, partitions: Collection[int], wait_s: float, limit: int
    ) -> dict[int, list[ConsumerRecord]]:
        assert self._consumer is not None
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        async with asking(self._source.kafka.request_timeout_s):
            try:
                # During a rebalance `getmany` waits for its end, whatever timeout it was given.
                async with asyncio.timeout(wait_s + SLICE_S):
                    found = await self._consumer.getmany(
                        *map(self._place, partitions),
                        timeout_ms=round(wait_s * 1000),
                        max_records=max(1, limit),
                    )
            except TimeoutError:
                return {}
        return {place.partition: records for place, records in found.items()}

    async def _absorb(self, found: Mapping[int, list[ConsumerRecord]], wait_s: float) -> None:
        """Judge records taken from Kafka and keep those that count."""
        states = {partition: self._states[partition] for partition in found if partition in self._states}
        judged: dict[int, list[Judged]] = {}
        for partition, state in states.items():
            self._check_continuity(partition, state, found[partition][0].offset)
            judged[partition] = [(r.offset, decode_header(r.headers), r.value) for r in found[partition]]
        open_stamps = {
            header[1]
            for records in judged.values()
            for _, header, _ in records
            if header and self._source.stamps.verdict(header[1]) is Verdict.OPEN
        }
        if open_stamps:
            await self._source.stamps.settle(open_stamps, max(wait_s, 0.01))
        for partition, state in states.items():
            if self._states.get(partition) is state:
                self._keep(partition, state, judged[partition])

    def _keep(self, partition: int, state: Buffer, judged: Sequence[Judged]) -> None:
        counting: list[Record] = []
        void = 0
        fetched = state.fetched
        for offset, header, payload in judged:
            verdict = self._source.stamps.verdict(header[1]) if header else Verdict.VOID
            if verdict is Verdict.OPEN:
                break
            fetched = offset + 1
            if header and verdict is Verdict.COUNTS:
                counting.append(Record(offset, header[0], payload or b""))
            else:
                void += 1
        if void:
            kafka_metrics.void.labels(self._topic).inc(void)
        state.extend(counting, fetched)
        if fetched <= judged[-1][0]:
            self._seek(partition)

    def _check_continuity(self, partition: int, state: Buffer, first: int) -> None:
        """Kafka's own offsets have no gap; what is missing was deleted."""
        if first < state.fetched:
            raise LogRejected(
                f"{self._name}/{partition} ends before {state.fetched}, where {self._label} stands: "
                "the topic was made anew, or belongs to another database; "
                "end the process, and see Another log in docs/operations.md"
            )
        if gap := first - state.fetched:
            state.lost += gap
            kafka_metrics.lost.labels(self._label).inc(gap)
            _log.error(
                "records were deleted before they were read", group=self._label, partition=partition, lost=gap
            )
            state.fetched = first

    def _deliver(self, max_records: int) -> list[Batch]:
        active = self._active()
        shares = share_out({p: state.ready for p, state in active.items() if state.ready}, max_records)
        return [
            Batch(self._topic, partition, active[partition].generation, active[partition].take(share))
            for partition, share in sorted(shares.items())
        ]


def fetching(settings: KafkaSettings) -> dict[str, Any]:
    """Return the arguments of every client that reads: the defaults lose data, or know no bound."""
    return {
        "enable_auto_commit": False,
        # Only where a position lies outside the log: on with the earliest, and `lost` says what is missing.
        "auto_offset_reset": "earliest",
        "max_partition_fetch_bytes": settings.fetch_bytes,
        "fetch_max_bytes": settings.fetch_total_bytes,
    }
