"""The log over Kafka: order and durability are Kafka's, positions and repeats are PostgreSQL's.

`kafka_writer` appends, `kafka_stamps` says which records count, `kafka_reader` and `kafka_consumer` read,
`kafka_client` speaks to the cluster.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, LiteralString

from aiokafka import AIOKafkaConsumer
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from ioc.eventlog.append_queue import AppendQueue, Pending
from ioc.eventlog.database import as_unavailable, moment, prune_keys
from ioc.eventlog.kafka_client import Cluster, end_consumer, tls_context
from ioc.eventlog.kafka_consumer import KafkaConsumer, group_name
from ioc.eventlog.kafka_reader import KafkaReader
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import Stamps
from ioc.eventlog.kafka_topics import kept_for_a_time
from ioc.eventlog.kafka_writer import KafkaWriter
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
from ioc.model.records import NewRecord
from ioc.model.times import SECOND_US

Connection = AsyncConnection[Any]
_SWEEP_S: Final = 0.5

_BEHIND: Final[LiteralString] = """
    SELECT partition, min(next_offset) FROM log_owner WHERE topic = %s GROUP BY partition
"""
_HOLD: Final[LiteralString] = "LOCK TABLE log_writer IN SHARE ROW EXCLUSIVE MODE"
_CLOSE_WRITERS: Final[LiteralString] = "UPDATE log_writer SET closed = true WHERE NOT closed"
_PRUNE_WRITERS: Final[LiteralString] = "DELETE FROM log_writer WHERE used_at < %s"


class KafkaLog:
    """`EventLog` over a Kafka cluster and the tables of migrations 0001 and 0050.

    `pool` is this log's own: one connection for appending and one per concurrent reader. The constructor
    raises OSError where a file of the TLS settings cannot be used.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[Connection],
        positions: Positions,
        kafka: KafkaSettings,
        settings: LogSettings | None = None,
    ) -> None:
        tls_context(kafka)  # raises where a file is missing, before anything waits for a broker
        self._pool = pool
        self.positions: Positions = positions
        self.kafka = kafka
        self.settings = settings or LogSettings()
        self.stamps = Stamps(self.connection)
        self._cluster = Cluster(kafka)
        self._queue = AppendQueue(self.settings)
        self._partitions: dict[str, int] = {}
        self._writer = KafkaWriter(kafka, self.connection, self.stamps, self._partitions)
        self._tails: set[AIOKafkaConsumer] = set()
        self._forsaken: list[AIOKafkaConsumer] = []

    @property
    def waiting_records(self) -> int:
        """Records accepted and not yet durable."""
        return self._queue.records

    async def run(self) -> None:
        """Append, and end the clients that nobody reads from any more; see `EventLog.run`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._queue.run(self._write))
                group.create_task(self._end_forsaken())
                group.create_task(self._watch_layout())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close every connection but those of consumers, which their users leave."""
        await self._writer.close()
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

        Raises:
            LogRejected: Kafka refuses us, or the database's positions belong to another log.
        """
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
        return await self._queue.put(Pending.keyed(topic, records, await self._partitions_of(topic)))

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """Append one tick to every partition; see `EventLog.append_ticks`."""
        return await self._queue.put(Pending.ticks(topic, now_us, await self._partitions_of(topic)))

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """Append one control record to every partition; see `EventLog.append_controls`."""
        return await self._queue.put(Pending.controls(topic, payload, name, await self._partitions_of(topic)))

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group`; see `EventLog.consume`."""
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

    async def add_partitions(self, connection: Connection, topic: str, partitions: int) -> None:
        """Let a topic have `partitions` in Kafka, at once; `change_layout` makes them count."""
        await self._cluster.add_partitions(self._name(topic), partitions)

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

    def _name(self, topic: str) -> str:
        return self.kafka.prefix + topic

    async def _partitions_of(self, topic: str) -> int:
        if topic not in self._partitions:
            # As it is laid out, not as Kafka has it: what is being added there does not count yet.
            if not (found := len(await self.firsts(topic))):
                raise LogRejected(f"no such topic: {topic}")
            self._partitions[topic] = found
        return self._partitions[topic]

    async def _write(self, taken: Sequence[Pending]) -> None:
        outcomes = await self._writer.write(taken)
        for pending, found in zip(taken, outcomes, strict=True):
            pending.succeed(found)

    async def _watch_layout(self) -> None:
        while True:
            await asyncio.sleep(self.settings.heartbeat_s)
            with suppress(LogUnavailable):
                await self.check_layout()

    async def _end_forsaken(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            while self._forsaken:
                await self._end_tail(self._forsaken.pop())

    async def _end_tail(self, client: AIOKafkaConsumer) -> None:
        self._tails.discard(client)
        await end_consumer(client, self.kafka.close_timeout_s)
