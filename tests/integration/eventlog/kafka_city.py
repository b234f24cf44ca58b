"""A log over Kafka with names of its own, running."""

import asyncio
import gc
import secrets
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from msgspec import structs

from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogReader, LogUnavailable
from ioc.eventlog.settings import LogSettings
from ioc.eventlog.spill import SpillSettings
from ioc.model.records import NewRecord, RecordKind
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.positions import StorePositions

TOPIC = "test.events"
PARTITIONS = 4
SOON_S = 60.0
LIMITS = LogSettings(linger_s=0.001, heartbeat_s=0.3, lease_s=6.0)


def settings_for(address: str, **changes: object) -> KafkaSettings:
    """Settings for one broker, with topics and groups of this test's own."""
    plain = KafkaSettings(
        bootstrap_servers=address, prefix=f"t{secrets.token_hex(4)}.", replication=1, min_insync=1
    )
    return structs.replace(plain, **changes)


@asynccontextmanager
async def running_log(
    database: Dsns,
    kafka: KafkaSettings,
    limits: LogSettings = LIMITS,
    spilling: SpillSettings | None = None,
) -> AsyncIterator[KafkaLog]:
    """A log as one process has it, with its topic made."""
    async with open_pool(database.app, name="log") as pool:
        log = KafkaLog(pool, StorePositions(pool), kafka, limits, spilling)
        try:
            await log.create_topic(TOPIC, PARTITIONS)
            async with asyncio.TaskGroup() as group:
                running = group.create_task(log.run())
                try:
                    yield log
                finally:
                    running.cancel()
        finally:
            await log.close()
            collect_half_made_connections()


def collect_half_made_connections() -> None:
    """Let go of connections that aiokafka was making when its task was cancelled: it does not close them.

    The garbage collector does, and complains; here, and not in the middle of whatever test comes next.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def events(*names: str) -> list[NewRecord]:
    """One record per name, each in a partition that its name decides."""
    return [NewRecord(RecordKind.EVENT, name, name.encode(), ("cam", name)) for name in names]


async def until(met: Callable[[], bool]) -> None:
    """Wait until `met()` is true."""
    async with asyncio.timeout(SOON_S):
        while not met():  # noqa: ASYNC110 - looks at what other processes do, too
            await asyncio.sleep(0.05)


async def append_surely(log: KafkaLog, records: Sequence[NewRecord]) -> None:
    """Append as a gateway's client does: again until it is acknowledged."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await log.append(TOPIC, records)
            except LogUnavailable:
                await asyncio.sleep(0.2)
            else:
                return


async def read_names(reader: LogReader, count: int) -> list[str]:
    """Poll until `count` records have come, waiting for a log that is away."""
    found: list[str] = []
    async with asyncio.timeout(SOON_S):
        while len(found) < count:
            try:
                batches = await reader.poll(1000, 1.0)
            except LogUnavailable:
                await asyncio.sleep(0.2)
                continue
            found += [
                record.payload.decode(errors="replace") for batch in batches for record in batch.records
            ]
    return found
