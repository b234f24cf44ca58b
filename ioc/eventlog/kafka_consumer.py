"""A member of a consumer group: Kafka shares the partitions out, PostgreSQL knows where the group stands.

Kafka tells of a new assignment in a background task, in the midst of whatever we do. So its callback only
leaves a note, which the next `poll` sees to: it claims the new partitions in PostgreSQL, which raises their
generation and fences their former owner, and seeks to the committed positions. Until then the old assignment
stands, harmlessly: whoever lost a partition cannot commit.

Nothing ever is committed to Kafka (issues 929 and 933 cannot arise).
"""

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from ioc.eventlog import kafka_metrics
from ioc.eventlog.database import as_unavailable
from ioc.eventlog.kafka_client import asking, connection, end_consumer
from ioc.eventlog.kafka_reader import Buffer, KafkaReader, Source, fetching
from ioc.eventlog.port import LogStuck, Positions
from ioc.eventlog.settings import LogSettings

LAG_INTERVAL_S: Final = 1.0
_log = structlog.get_logger()


def group_name(topic: str, group: str) -> str:
    """Return what Kafka calls a group of ours; `topic` with its prefix."""
    return f"{topic}.{group}"


class GroupLog(Source, Protocol):
    """What a member needs of its log."""

    settings: LogSettings
    positions: Positions

    async def starts(self, topic: str) -> dict[int, int]:
        """Return the offset of the first record kept, by partition."""
        ...

    async def check_layout(self) -> None:
        """Raise `LogRejected` where partitions were added that this process does not know of."""
        ...


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]
    """The group's word on the assignment; callbacks that did more could deadlock with `getmany` (#335)."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.assigned: frozenset[int] | None = None
        """An assignment not yet seen to."""
        self.arrived = asyncio.Event()

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Do nothing: see the module."""

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Leave a note, and let nothing be fetched from where Kafka believes that we stand."""
        self._consumer.pause(*assigned)
        self.assigned = frozenset(place.partition for place in assigned)
        self.arrived.set()


class KafkaConsumer(KafkaReader):
    """`Consumer` of a group. Enter it to join, leave it to give the partitions back."""

    def __init__(self, log: GroupLog, topic: str, group: str, owner: str) -> None:
        super().__init__(log, topic, group)
        self._log = log
        self._group = group
        # Each incarnation has a name of its own, so a former one cannot pass for it.
        self._owner = f"{owner}#{secrets.token_hex(4)}"
        self._notes: _Notes | None = None
        self._rebuilds = 0
        self._rebuilt_s = self._measured_s = 0.0

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()
        self._forget_lag(self._states)
        self._states = {}

    def assigned(self) -> dict[int, int]:
        """Return the generation of each partition owned now."""
        return {partition: state.generation for partition, state in self._states.items()}

    async def rewind(self, partition: int) -> None:
        """Go back to the committed position; see `Consumer.rewind`."""
        held = await self._held()
        former = self._states.pop(partition, None)
        if claim := held.get(partition):
            self._states[partition] = Buffer(claim[0], claim[1], former.lost if former else 0)
            self._seek(partition)

    def pause(self, partition: int) -> None:
        """Deliver nothing more from `partition` for now, and fetch nothing."""
        self._paused.add(partition)
        self._set_flow()

    def resume(self, partition: int) -> None:
        """Undo `pause`."""
        self._paused.discard(partition)
        if state := self._states.get(partition):
            state.moved_s = time.monotonic()
        self._set_flow()

    async def _open(self) -> None:
        settings, log = self._source.kafka, self._log.settings
        consumer = AIOKafkaConsumer(
            **connection(settings, self._group),
            **fetching(settings),
            # One group per topic: the members of one topic do not wait for those of another to rebalance.
            group_id=group_name(self._name, self._group),
            group_instance_id=settings.instance or None,
            session_timeout_ms=round(log.lease_s * 1000),
            heartbeat_interval_ms=round(log.heartbeat_s * 1000),
            # A class of its own: the assignor keeps what it remembers on its class, for one member.
            partition_assignment_strategy=[type("Sticky", (StickyPartitionAssignor,), {})],
        )
        self._consumer, self._notes = consumer, _Notes(consumer)
        try:
            consumer.subscribe([self._name], listener=self._notes)
            async with asking(settings.join_timeout_s):
                await consumer.start()
                await self._notes.arrived.wait()
            await self._prepare()
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await end_consumer(consumer, self._source.kafka.close_timeout_s)

    async def _prepare(self) -> None:
        if self._consumer is None:  # building it anew failed the last time
            await self._open()
            return
        assert self._notes is not None
        while (assigned := self._notes.assigned) is not None:
            await self._adopt(assigned)
            if self._notes.assigned is assigned:
                self._notes.assigned = None
        await super()._prepare()
        self._measure_lag()

    async def _adopt(self, assigned: frozenset[int]) -> None:
        """Make an assignment ours: keep what we held all the time, claim the rest."""
        kafka_metrics.rebalances.labels(self._group).inc()
        held = await self._held()
        states: dict[int, Buffer] = {}
        starts: dict[int, int] | None = None
        for partition in sorted(assigned):
            state = self._states.get(partition)
            if state is None or held.get(partition, (None, 0))[0] != state.generation:
                starts = starts or await self._log.starts(self._topic)
                with as_unavailable():
                    generation, position = await self._log.positions.claim(
                        self._group, self._topic, partition, self._owner, starts.get(partition, 0)
                    )
                state = Buffer(generation, position)
            states[partition] = state
        await self._log.check_layout()  # behind the claims: whoever adds partitions takes those away
        self._forget_lag(self._states.keys() - states.keys())
        self._states = states
        self._paused &= states.keys()
        for partition in states:
            self._seek(partition)
        self._set_flow()

    async def _held(self) -> Mapping[int, tuple[int, int]]:
        with as_unavailable():
            return await self._log.positions.held(self._group, self._topic, self._owner)

    def _set_flow(self) -> None:
        if self._consumer is None:
            return
        present = self._consumer.assignment()
        for partition in self._states:
            if (place := self._place(partition)) in present:
                (self._consumer.pause if partition in self._paused else self._consumer.resume)(place)

    async def _unstick(self, partitions: Collection[int]) -> None:
        """Build the consumer anew, a few times in a row at most."""
        now_s = time.monotonic()
        if now_s - self._rebuilt_s >= 2 * self._source.kafka.stuck_s:
            self._rebuilds = 0
        if self._rebuilds >= self._source.kafka.max_rebuilds:
            raise LogStuck(
                f"{self._group}: nothing comes from {self._name} after {self._rebuilds} new consumers"
            )
        self._rebuilds += 1
        self._rebuilt_s = now_s
        kafka_metrics.rebuilds.labels(self._group).inc()
        _log.warning("consumer is stuck, building it anew", group=self._group, partitions=sorted(partitions))
        await self._close()
        for state in self._states.values():
            state.moved_s = time.monotonic()
        await self._open()

    def _measure_lag(self) -> None:
        now_s = time.monotonic()
        if self._consumer is None or now_s - self._measured_s < LAG_INTERVAL_S:
            return
        self._measured_s = now_s
        present = self._consumer.assignment()
        for partition, state in self._states.items():
            place = self._place(partition)
            if place in present and (end := self._consumer.highwater(place)) is not None:
                lag = max(0, end - state.position)
                kafka_metrics.lag.labels(self._group, self._topic, str(partition)).set(lag)

    def _forget_lag(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            with suppress(KeyError):  # never measured
                kafka_metrics.lag.remove(self._group, self._topic, str(partition))
