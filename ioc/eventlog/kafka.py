"""The log over Kafka: order and durability are Kafka's, positions and repeats are PostgreSQL's.

`kafka_writer` appends, `kafka_stamps` says which records count, `kafka_reader` and `kafka_consumer` read,
`kafka_client` speaks to the cluster, `spill` keeps what is appended while that is away.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, LiteralString

import structlog
from aiokafka import AIOKafkaConsumer
from msgspec import structs
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from ioc.eventlog import spill
from ioc.eventlog.append_queue import AppendQueue, Pending
from ioc.eventlog.database import as_unavailable, moment, prune_keys
from ioc.eventlog.kafka_client import Cluster, end_consumer, tls_context
from ioc.eventlog.kafka_consumer import KafkaConsumer, group_name
from ioc.eventlog.kafka_reader import KafkaReader
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import Stamps
from ioc.eventlog.kafka_topics import kept_for_a_time
from ioc.eventlog.kafka_writer import KafkaWriter, SpillingWriter, StampedWriter
from ioc.eventlog.layout import check_layout, lay_out, read_layout
from ioc.eventlog.origin import Origin, check_ends, check_origin, furthest
from ioc.eventlog.port import (
    AppendOutcome,
    Consumer,
    LogReader,
    LogRejected,
    LogUnavailable,
    Positions,
)
from ioc.eventlog.settings import DAY_S, LogSettings
from ioc.eventlog.spill import SpillSettings, Standing
from ioc.eventlog.spill_drain import SpillDrain
from ioc.model.records import NewRecord
from ioc.model.times import SECOND_US

Connection = AsyncConnection[Any]
_SWEEP_S: Final = 0.5
_log = structlog.get_logger()

_BEHIND: Final[LiteralString] = """
    SELECT partition, min(next_offset) FROM log_owner WHERE topic = %s GROUP BY partition
"""
_HOLD: Final[LiteralString] = "LOCK TABLE log_writer IN SHARE ROW EXCLUSIVE MODE"
_CLOSE_WRITERS: Final[LiteralString] = "UPDATE log_writer SET closed = true WHERE NOT closed"
_PRUNE_WRITERS: Final[LiteralString] = "DELETE FROM log_writer WHERE used_at < %s"


class KafkaLog:
    """`EventLog` over a Kafka cluster and the tables of migrations 0001, 0050 and 0087.

    `pool` is this log's own: two connections for appending, one for `drain_spill` and one per concurrent
    reader. The constructor raises OSError where a file of the TLS settings cannot be used.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        positions: Positions,
        kafka: KafkaSettings,
        settings: LogSettings | None = None,
        spilling: SpillSettings | None = None,
    ) -> None:
        tls_context(kafka)  # raises where a file is missing, before anything waits for a broker
        self._pool = pool
        self.positions: Positions = positions
        self.kafka = kafka
        self.settings = settings or LogSettings()
        self.stamps = Stamps(self.connection)
        self._cluster = Cluster(kafka)
        self._partitions: dict[str, int] = {}
        self.spilling = spilling or SpillSettings()
        writing = (self.connection, self.stamps, self._partitions, self.spilling, self._require_checked)
        self._writer = KafkaWriter(kafka, *writing)
        self._spilling_writer = SpillingWriter(self._impatient(), *writing)
        self._drain_writer = StampedWriter(
            kafka, self.connection, self.stamps, self._partitions, self._require_checked
        )
        self._queue, self._spilling_queue = AppendQueue(self.settings), AppendQueue(self.settings)
        """Two, so that what may be spilled does not wait for what may not."""
        self._unchecked: dict[str, int] = {}
        """Topics that Kafka could not be asked about at the start, with the partitions that are known."""
        self._tails: set[AIOKafkaConsumer] = set()
        self._forsaken: list[AIOKafkaConsumer] = []

    @property
    def waiting_records(self) -> int:
        """Records accepted and not yet durable."""
        return self._queue.records + self._spilling_queue.records

    async def run(self) -> None:
        """Append, and end the clients that nobody reads from any more; see `EventLog.run`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._writer.write))
                group.create_task(self._spilling_queue.run(self._spilling_writer.write))
                group.create_task(self._end_forsaken())
                group.create_task(self._check_late())
                group.create_task(self._watch_layout())
        finally:
            await self.close()

    async def drain_spill(self) -> None:
        """Carry what lies spilled into Kafka, until cancelled. Several processes may: they take turns."""
        await SpillDrain(self.spilling, self.connection, self._drain_writer).run()

    async def spilled(self) -> list[Standing]:
        """Return what lies spilled, by partition that has something.

        Raises:
            LogUnavailable: the database cannot be reached.
        """
        async with self.connection() as connection:
            return await spill.standings(connection)

    async def close(self) -> None:
        """Close every connection but those of consumers, which their users leave."""
        for writer in self._writers():
            await writer.close()
        await self._cluster.close()
        for client in list(self._tails):
            await self._end_tail(client)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection; whatever the driver finds wrong with it becomes `LogUnavailable`."""
        with as_unavailable():
            async with self._pool.connection() as connection:
                yield connection

    async def origin(self) -> Origin:
        """Return what tells this log from others."""
        return Origin("kafka", await self._cluster.identity(), self.kafka.prefix)

    async def create_topic(self, topic: str, partitions: int) -> int:
        """Create `topic` unless it exists and return its number of partitions.

        Where Kafka is away and events may be spilled, go on with what an earlier start found. Until `run` has
        seen that this is still the same log, all other calls but appends raise `LogUnavailable`.

        Raises:
            LogUnavailable: Kafka is away, and nothing may be spilled or is known of the topic.
            LogRejected: Kafka refuses us, or the database's positions belong to another log.
        """
        try:
            found = await self._create_checked(topic, partitions)
        except LogUnavailable as error:
            known = await self._known_before(topic, partitions)
            if not known:
                raise
            _log.warning("Kafka is away at the start: events are spilled", topic=topic, error=str(error))
            self._unchecked[topic] = known
            return known
        if topic in self.spilling.topics:
            async with self.connection() as connection:
                await spill.remember(connection, topic, found)
        return found

    async def _known_before(self, topic: str, partitions: int) -> int:
        if topic not in self.spilling.topics:
            # Made together with one that spills, and of as many partitions.
            return partitions if self._unchecked else 0
        async with self.connection() as connection:
            self._partitions[topic] = await spill.remembered(connection, topic)
        return self._partitions[topic]

    async def _create_checked(self, topic: str, partitions: int) -> int:
        origin = await self.origin()
        async with self.connection() as connection:
            await check_origin(connection, origin)
            positions = await furthest(connection, topic)
        there = await self._cluster.partitions(self._name(topic))
        check_ends(topic, positions, await self._cluster.ends(self._name(topic), range(there)))
        found = await self.make_topic(topic, partitions)
        async with self.connection() as connection:
            await lay_out(connection, topic, found)
        return found

    async def make_topic(self, topic: str, partitions: int) -> int:
        """Do the same whatever the positions are."""
        configs = kept_for_a_time(self.kafka, self.settings.never_beyond_s)
        self._partitions[topic] = await self._cluster.create(self._name(topic), partitions, configs)
        return self._partitions[topic]

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        """Append durably, all or nothing; see `EventLog.append`."""
        if not records:
            return []
        if any(len(record.payload) > self.kafka.record_bytes for record in records):
            raise LogRejected(f"a record of more than {self.kafka.record_bytes} bytes")
        return await self._put(Pending.keyed(topic, records, await self._partitions_of(topic)))

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """Append one tick to every partition; see `EventLog.append_ticks`."""
        return await self._put(Pending.ticks(topic, now_us, await self._partitions_of(topic)))

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """Append one control record to every partition; see `EventLog.append_controls`."""
        return await self._put(Pending.controls(topic, payload, name, await self._partitions_of(topic)))

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group`; see `EventLog.consume`."""
        self._require_checked()
        return KafkaConsumer(self, topic, group, owner)

    async def tail(self, topic: str, start: Mapping[int, int] | None = None) -> LogReader:
        """Return a reader without a group; see `EventLog.tail`."""
        places = {**await self.ends(topic), **(start or {})}
        reader, client = await KafkaReader.at(self, topic, "tail", places)
        self._tails.add(client)
        # A reader has no end of its own; when nobody holds it any more, `run` ends its client.
        weakref.finalize(reader, self._forsaken.append, client).atexit = False
        return reader

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition."""
        self._require_checked()
        return await self._cluster.ends(self._name(topic), range(await self._partitions_of(topic)))

    async def firsts(self, topic: str) -> dict[int, int]:
        """Return from where on the log is laid out as it is; see `EventLog.firsts`."""
        async with self.connection() as connection:
            return await read_layout(connection, topic)

    async def check_layout(self) -> None:
        """See that the topics still have as many partitions as this process works with.

        Raises:
            LogRejected: partitions were added meanwhile.
        """
        async with self.connection() as connection:
            await check_layout(connection, self._partitions)

    async def members(self, topic: str, group: str) -> list[str]:
        """Return who is in a group now; whoever died without a word is, until its lease ends."""
        return await self._cluster.members(group_name(self._name(topic), group))

    async def hold_appends(self, connection: Connection, topics: Sequence[str]) -> None:
        """Let nobody append until the caller's transaction ends, and no writer of before ever again."""
        await connection.execute(_HOLD)
        await connection.execute(_CLOSE_WRITERS)
        if waiting := sum(each.records for each in await spill.held_back(connection)):
            raise LogRejected(
                f"{waiting} records lie spilled and belong to partitions as they are: let an ingest"
                " carry them to Kafka first (`ioc log status`)"
            )

    async def add_partitions(self, connection: Connection, topic: str, partitions: int) -> None:
        """Let a topic have `partitions` in Kafka, at once; `change_layout` makes them count."""
        await self._cluster.add_partitions(self._name(topic), partitions)
        if await spill.remembered(connection, topic):
            await spill.remember(connection, topic, partitions)

    async def starts(self, topic: str) -> dict[int, int]:
        """Return the offset of the first record kept, by partition."""
        return await self._cluster.starts(self._name(topic), range(await self._partitions_of(topic)))

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete what need not be kept; see `EventLog.retain`.

        Kafka drops whole stretches at once, so one call is enough.
        """
        name, partitions = self._name(topic), range(await self._partitions_of(topic))
        starts, ends = await self.starts(topic), await self.ends(topic)
        soft = await self._cluster.since(
            name, partitions, now_us - round(self.settings.retention_s * SECOND_US)
        )
        hard = await self._cluster.since(
            name, partitions, now_us - round(self.settings.never_beyond_s * SECOND_US)
        )
        async with self.connection() as connection:
            behind = dict(await (await connection.execute(_BEHIND, (topic,))).fetchall())
        cuts: dict[int, int] = {}
        for partition, end in ends.items():
            done = min(soft.get(partition, end), behind.get(partition, end))
            cut = max(done, hard.get(partition, end))
            if cut > starts[partition]:
                cuts[partition] = cut
        if cuts:
            await self._cluster.delete(name, cuts)
        return sum(cut - starts[partition] for partition, cut in cuts.items())

    async def prune_dedup(self, now_us: int) -> int:
        """Forget one bounded slice of the keys older than the dedup window, and writers of records long gone.

        Raises:
            LogUnavailable: repeat the call.
        """
        # A day more than the log keeps anything: then no record of theirs is left to judge.
        kept_s = self.settings.never_beyond_s + DAY_S
        async with self.connection() as connection:
            await connection.execute(_PRUNE_WRITERS, (moment(now_us, kept_s),))
            before = moment(now_us, self.settings.dedup_window_s)
            return await prune_keys(connection, before, self.settings.slice_keys)

    def _require_checked(self) -> None:
        if self._unchecked:
            raise LogUnavailable("Kafka has not been there since the start")

    async def _check_late(self) -> None:
        """Do what a start does, once Kafka is there. Raises as `create_topic`."""
        while self._unchecked:
            topic, known = next(iter(self._unchecked.items()))
            try:
                found = await self._create_checked(topic, known)
            except LogUnavailable:
                await asyncio.sleep(_SWEEP_S)
                continue
            if found != known:
                raise LogRejected(f"{topic} has {found} partitions and had {known}: bring the topic back")
            del self._unchecked[topic]

    def _name(self, topic: str) -> str:
        return self.kafka.prefix + topic

    async def _partitions_of(self, topic: str) -> int:
        if topic not in self._partitions:
            # As it is laid out, not as Kafka has it: what is being added there does not count yet.
            if not (found := len(await self.firsts(topic))):
                raise LogRejected(f"no such topic: {topic}")
            self._partitions[topic] = found
        return self._partitions[topic]

    async def _put(self, pending: Pending) -> list[AppendOutcome]:
        queue = self._spilling_queue if pending.topic in self.spilling.topics else self._queue
        return await queue.put(pending)

    def _writers(self) -> tuple[StampedWriter, ...]:
        return self._writer, self._spilling_writer, self._drain_writer

    def _impatient(self) -> KafkaSettings:
        """Return the settings of appends that may be spilled."""
        timeout_s = min(self.spilling.after_s, self.kafka.request_timeout_s)
        return structs.replace(self.kafka, request_timeout_s=timeout_s)

    async def _watch_layout(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_s)
            with suppress(LogUnavailable):
                await self.check_layout()

    async def _end_forsaken(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            for writer in self._writers():
                await writer.end_forsaken()
            while self._forsaken:
                await self._end_tail(self._forsaken.pop())

    async def _end_tail(self, client: AIOKafkaConsumer) -> None:
        self._tails.discard(client)
        await end_consumer(client, self.kafka.close_timeout_s)
