"""The spill over a real broker that goes away and comes back."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from msgspec import structs

from benchmarks.broker import Broker
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogReader, LogRejected, LogUnavailable
from ioc.eventlog.spill import SpillSettings
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.positions import commit_position
from tests.integration.eventlog.kafka_city import (
    PARTITIONS,
    TOPIC,
    events,
    read_names,
    running_log,
    settings_for,
    until,
)

SPILLING = SpillSettings(topics=frozenset([TOPIC]), drain_s=0.05)
START = dict.fromkeys(range(PARTITIONS), 0)


@asynccontextmanager
async def draining_log(database: Dsns, kafka: KafkaSettings) -> AsyncIterator[KafkaLog]:
    async with running_log(database, kafka, spilling=SPILLING) as log, asyncio.TaskGroup() as group:
        draining = group.create_task(log.drain_spill())
        yield log
        draining.cancel()


async def read_by_partition(reader: LogReader, count: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = defaultdict(list)
    async with asyncio.timeout(60.0):
        while sum(map(len, found.values())) < count:
            for batch in await reader.poll(100, 1.0):
                found[batch.partition] += [record.payload.decode() for record in batch.records]
    return found


async def spilled_names(log: KafkaLog, names: list[str]) -> bool:
    return [each.spilled for each in await log.append(TOPIC, events(*names))] == [True] * len(names)


@contextmanager
def killed(broker: Broker) -> Iterator[None]:
    broker.kill()
    yield
    broker.start()


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_what_is_spilled_while_the_broker_is_away_comes_in_order_before_what_follows(
    database: Dsns, broker: Broker, fault: str
) -> None:
    async with draining_log(database, settings_for(broker.address)) as log:
        other = "test.other"
        await log.create_topic(other, 1)
        await log.append(TOPIC, events("first"))
        reader = await log.tail(TOPIC, START)
        names = [f"n{number}" for number in range(40)]
        with killed(broker) if fault == "killed" else broker.frozen():
            assert await spilled_names(log, names[:20])
            assert await spilled_names(log, names[20:])
            with pytest.raises(LogUnavailable):
                await log.append(other, events("not to be spilled"))
            assert all(each.duplicate for each in await log.append(TOPIC, events("first", *names)))
            assert sum(each.records for each in await log.spilled()) == len(names)
        async with asyncio.timeout(60.0):
            number = 0
            while (await log.append(TOPIC, events(f"after {number}")))[0].spilled:
                number += 1
                await asyncio.sleep(0.05)
            while await log.spilled():  # noqa: ASYNC110 - of the database
                await asyncio.sleep(0.05)
        after = [f"after {number}" for number in range(number + 1)]
        sent = ["first", *names, *after]
        found = await read_by_partition(reader, len(sent))
        assert sorted(itertools.chain(*found.values())) == sorted(sent)
        for coming in found.values():
            assert coming == sorted(coming, key=sent.index)


async def test_a_start_without_the_broker_spills_and_sees_later_that_the_log_is_the_same(
    database: Dsns, broker: Broker
) -> None:
    kafka = settings_for(broker.address)
    async with draining_log(database, kafka):
        pass
    broker.kill()
    async with draining_log(database, kafka) as log:
        assert await spilled_names(log, ["a", "b", "c"])
        for call in (lambda: log.ends(TOPIC), lambda: log.tail(TOPIC)):
            with pytest.raises(LogUnavailable, match="not been there since the start"):
                await call()
        with pytest.raises(LogUnavailable):
            log.consume(TOPIC, "store", "one")
        broker.start()
        await until(lambda: not log._unchecked)
        reader = await log.tail(TOPIC, START)
        assert sorted(await read_names(reader, 3)) == ["a", "b", "c"]


async def test_a_start_without_the_broker_that_finds_another_log_later_ends_and_carries_nothing_there(
    database: Dsns, broker: Broker
) -> None:
    kafka = settings_for(broker.address)
    async with draining_log(database, kafka) as log:
        await log.append_ticks(TOPIC, 1)
        async with open_pool(database.app, name="w", max_size=1) as pool, pool.connection() as connection:
            generation, _ = await log.positions.claim("store", TOPIC, 0, "one")
            await commit_position(connection, "store", TOPIC, 0, generation, 1)
    other = structs.replace(kafka, prefix=f"{kafka.prefix}other.")
    broker.kill()
    with pytest.raises(ExceptionGroup) as caught:
        async with draining_log(database, other) as log:
            assert await spilled_names(log, ["b"])
            broker.start()
            await asyncio.sleep(60.0)
    assert caught.group_contains(LogRejected, match="belong to Kafka", depth=None)
    async with draining_log(database, kafka) as log:
        reader = await log.tail(TOPIC, START)
        assert (await read_names(reader, PARTITIONS + 1))[-1] == "b"


async def test_a_first_start_needs_the_broker(database: Dsns, broker: Broker) -> None:
    broker.kill()
    with pytest.raises(LogUnavailable):
        async with draining_log(database, settings_for(broker.address)):
            pass
