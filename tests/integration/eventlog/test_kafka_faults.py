"""A broker that stops, dies or falls silent: nothing acknowledged is lost or doubled, all resume unaided."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from msgspec import structs

from benchmarks.broker import LOGIN, Broker
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSecurity
from ioc.eventlog.port import Consumer, LogRejected, LogRetryable, LogUnavailable
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from ioc.store.positions import Fenced, commit_position
from tests.integration.eventlog.kafka_city import (
    SOON_S,
    TOPIC,
    append_surely,
    events,
    read_names,
    running_log,
    settings_for,
    until,
)

SILENCE_S = 30.0


@contextmanager
def stopped(broker: Broker) -> Iterator[None]:
    broker.stop()
    yield
    broker.start()


@contextmanager
def killed(broker: Broker) -> Iterator[None]:
    broker.kill()
    yield
    broker.start()


class Ledger:
    """Reads as a worker does: effect and position in one transaction, over again after any error."""

    def __init__(self, log: KafkaLog, pool: Pool) -> None:
        self._log = log
        self._pool = pool
        self.taken: Counter[str] = Counter()

    async def run(self) -> None:
        while True:
            try:
                async with self._log.consume(TOPIC, "store", "one") as consumer:
                    while True:
                        await self._take(consumer)
            except LogRetryable:
                await asyncio.sleep(0.2)

    async def _take(self, consumer: Consumer) -> None:
        for batch in await consumer.poll(100, 0.5):
            try:
                async with self._pool.connection() as connection:
                    await commit_position(
                        connection, "store", TOPIC, batch.partition, batch.generation, batch.next_offset
                    )
            except Fenced:
                await consumer.rewind(batch.partition)
            else:
                self.taken.update(record.payload.decode() for record in batch.records)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen"])
async def test_a_broker_that_goes_away_and_comes_back_costs_time_and_nothing_else(
    database: Dsns, broker: Broker, fault: str
) -> None:
    harm: AbstractContextManager[None] = {
        "stopped": stopped(broker), "killed": killed(broker), "frozen": broker.frozen()
    }[fault]  # fmt: skip
    async with (
        running_log(database, settings_for(broker.address)) as log,
        open_pool(database.app, name="w") as pool,
    ):
        ledger = Ledger(log, pool)
        acknowledged = 0
        going = True

        async def write() -> None:
            nonlocal acknowledged
            while going:
                names = [f"n{number}" for number in range(acknowledged, acknowledged + 10)]
                await append_surely(log, events(*names))
                acknowledged += 10

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(ledger.run())
            writing = group.create_task(write())
            await until(lambda: len(ledger.taken) >= 100)
            with harm:
                await asyncio.sleep(SILENCE_S if fault == "frozen" else 1.0)
                with pytest.raises(LogUnavailable):
                    await log.append(TOPIC, events("refused while it is away"))
            before = acknowledged
            await until(lambda: acknowledged >= before + 100)
            going = False
            await writing
            await until(lambda: len(ledger.taken) >= acknowledged)
            await asyncio.sleep(1.0)  # whatever would come twice, comes now
            reading.cancel()
    expected = {f"n{number}" for number in range(acknowledged)}
    assert expected <= ledger.taken.keys()
    assert ledger.taken.keys() - expected <= {"refused while it is away"}
    assert set(ledger.taken.values()) == {1}


async def test_a_broker_that_asks_for_a_login_gets_it_and_says_so_where_it_is_wrong(
    database: Dsns, broker: Broker
) -> None:
    user, password = LOGIN
    security = KafkaSecurity(protocol="SASL_PLAINTEXT", mechanism="PLAIN", username=user, password=password)
    async with running_log(database, settings_for(broker.login_address, security=security)) as log:
        await log.append(TOPIC, events("a"))
        async with log.consume(TOPIC, "store", "one") as consumer:
            assert await read_names(consumer, 1) == ["a"]
    wrong = structs.replace(security, password="guessed")
    with pytest.raises(LogRejected, match=r"Invalid username or password; check log\.username"):
        async with running_log(database, settings_for(broker.login_address, security=wrong)):
            pass


async def test_an_unreachable_broker_is_reported_in_bounded_time(database: Dsns, broker: Broker) -> None:
    async with running_log(database, settings_for(broker.address, request_timeout_s=2.0)) as log:
        await log.append(TOPIC, events("a"))
        broker.kill()
        started_s = time.monotonic()
        for call in (
            lambda: log.append(TOPIC, events("b")),
            lambda: log.ends(TOPIC),
            lambda: log.tail(TOPIC),
            lambda: log.consume(TOPIC, "store", "one").__aenter__(),
        ):
            with pytest.raises(LogUnavailable):
                await call()
        assert time.monotonic() - started_s < SOON_S


async def test_without_its_database_nothing_is_acknowledged_and_the_consumer_goes_on_afterwards(
    database: Dsns, kafka: str
) -> None:
    async with (
        running_log(database, settings_for(kafka)) as log,
        running_log(database, log.kafka) as other,
        log.consume(TOPIC, "store", "one") as consumer,
    ):
        await other.append(TOPIC, events("a"))
        assert await read_names(consumer, 1) == ["a"]
        await other.append(TOPIC, events("b"))
        positions = consumer.positions()
        connect = log.stamps._connect
        log.stamps._connect = unreachable  # type: ignore[assignment]
        with pytest.raises(LogUnavailable):
            async with asyncio.timeout(SOON_S):
                while True:
                    await consumer.poll(10, 1.0)
        assert consumer.positions() == positions
        log.stamps._connect = connect
        assert await read_names(consumer, 1) == ["b"]


def unreachable() -> AbstractContextManager[None]:
    raise LogUnavailable("the database is away")
