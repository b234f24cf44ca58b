"""What the contract suite needs to know of an implementation beyond its port."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from msgspec import structs
from psycopg import AsyncConnection

from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_client import cut_consumer
from ioc.eventlog.kafka_consumer import KafkaConsumer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.memory import MemoryLog
from ioc.eventlog.port import Consumer, EventLog, Fenced
from ioc.eventlog.postgres import PostgresLog
from ioc.eventlog.settings import LogSettings
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import Fenced as StoreFenced
from ioc.store.positions import StorePositions, commit_position
from tests.integration.eventlog.kafka_city import collect_half_made_connections

TOPIC = "test.events"
PARTITIONS = 4
SETTINGS = LogSettings(
    queue_records=200,
    linger_s=0.001,
    poll_fallback_s=0.1,
    heartbeat_s=0.05,
    lease_s=0.6,
    append_timeout_s=5.0,
)


KAFKA_SETTINGS = structs.replace(SETTINGS, heartbeat_s=0.3, lease_s=6.0)  # as short as brokers allow


class LogHarness(ABC):
    """One log as two processes see it."""

    log: EventLog
    other: EventLog
    """The same log in another process."""
    fenced: type[Exception]

    @abstractmethod
    async def commit(self, group: str, partition: int, generation: int, next_offset: int) -> None:
        """Commit a position as a consumer does, or raise `fenced`."""

    @abstractmethod
    def stalled(self) -> AbstractAsyncContextManager[None]:
        """Keep `log` from making anything durable."""

    @abstractmethod
    async def crash_other(self, consumer: Consumer, group: str, owner: str) -> None:
        """Kill the process of `other` and its consumer, without any farewell."""


class MemoryHarness(LogHarness):
    fenced = Fenced

    def __init__(self) -> None:
        self._memory = MemoryLog(SETTINGS)
        self.log = self.other = self._memory

    async def commit(self, group: str, partition: int, generation: int, next_offset: int) -> None:
        await self._memory.commit(group, TOPIC, partition, generation, next_offset)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        with self._memory.stalled():
            yield

    async def crash_other(self, consumer: Consumer, group: str, owner: str) -> None:
        self._memory.forget(TOPIC, group, owner)


class PostgresHarness(LogHarness):
    fenced = StoreFenced

    def __init__(self, pool: Pool, other_pool: Pool, dsn: str) -> None:
        self._pool = pool
        self._dsn = dsn
        self.log = PostgresLog(pool, dsn, SETTINGS)
        self.other = PostgresLog(other_pool, dsn, SETTINGS)
        self._other_running: asyncio.Task[None] | None = None

    async def serve(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        self._other_running = group.create_task(self.other.run())
        return [group.create_task(self.log.run()), self._other_running]

    async def commit(self, group: str, partition: int, generation: int, next_offset: int) -> None:
        async with self._pool.connection() as connection:
            await commit_position(connection, group, TOPIC, partition, generation, next_offset)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        async with await AsyncConnection.connect(self._dsn) as connection:
            await connection.execute("SELECT FROM log_partition FOR UPDATE")
            yield

    async def crash_other(self, consumer: Consumer, group: str, owner: str) -> None:
        assert self._other_running is not None
        self._other_running.cancel()


class KafkaHarness(LogHarness):
    fenced = StoreFenced

    def __init__(self, pool: Pool, other_pool: Pool, dsn: str, kafka: KafkaSettings) -> None:
        self._pool = pool
        self._dsn = dsn
        self.log = KafkaLog(pool, StorePositions(pool), kafka, KAFKA_SETTINGS)
        self.other = KafkaLog(other_pool, StorePositions(other_pool), kafka, KAFKA_SETTINGS)

    async def commit(self, group: str, partition: int, generation: int, next_offset: int) -> None:
        async with self._pool.connection() as connection:
            await commit_position(connection, group, TOPIC, partition, generation, next_offset)

    @asynccontextmanager
    async def stalled(self) -> AsyncIterator[None]:
        async with await AsyncConnection.connect(self._dsn) as connection:
            await connection.execute("LOCK TABLE log_writer IN EXCLUSIVE MODE")
            yield

    async def crash_other(self, consumer: Consumer, group: str, owner: str) -> None:
        assert isinstance(consumer, KafkaConsumer) and consumer._consumer is not None
        await cut_consumer(consumer._consumer)


@asynccontextmanager
async def memory_harness() -> AsyncIterator[LogHarness]:
    harness = MemoryHarness()
    await harness.log.create_topic(TOPIC, PARTITIONS)
    yield harness


@asynccontextmanager
async def postgres_harness(database: Dsns) -> AsyncIterator[LogHarness]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database.app, name="log"))
        other_pool = await stack.enter_async_context(open_pool(database.app, name="other"))
        harness = PostgresHarness(pool, other_pool, database.app)
        await harness.log.create_topic(TOPIC, PARTITIONS)
        async with asyncio.TaskGroup() as group:
            running = await harness.serve(group)
            try:
                yield harness
            finally:
                for task in running:
                    task.cancel()


@asynccontextmanager
async def kafka_harness(database: Dsns, kafka: KafkaSettings) -> AsyncIterator[LogHarness]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database.app, name="log"))
        other_pool = await stack.enter_async_context(open_pool(database.app, name="other"))
        harness = KafkaHarness(pool, other_pool, database.app, kafka)
        await harness.log.create_topic(TOPIC, PARTITIONS)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(log.run()) for log in (harness.log, harness.other)]
            try:
                yield harness
            finally:
                for task in running:
                    task.cancel()
        collect_half_made_connections()
