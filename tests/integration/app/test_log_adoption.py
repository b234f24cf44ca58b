"""A database whose positions belong to another log: a start refuses, and `ioc log adopt` is the way on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import structs

from benchmarks.broker import Broker
from benchmarks.service import kafka_environment
from ioc.app.eventlog.adoption import AdoptionError, Beginning, adopt_log
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected
from ioc.eventlog.postgres import PostgresLog
from ioc.eventlog.settings import LogSettings
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from ioc.store.positions import StorePositions, commit_position
from tests.integration.app.test_init import ioc
from tests.integration.eventlog.kafka_city import (
    LIMITS,
    collect_half_made_connections,
    events,
    read_names,
    settings_for,
)

Log = PostgresLog | KafkaLog
COUNT = 3


@asynccontextmanager
async def unserved(
    database: Dsns, kafka: KafkaSettings | None, limits: LogSettings = LIMITS
) -> AsyncIterator[Log]:
    """A log of one process that does not run yet."""
    async with open_pool(database.app, name="log") as pool:
        log: Log = (
            KafkaLog(pool, StorePositions(pool), kafka, limits)
            if kafka
            else PostgresLog(pool, database.app, limits)
        )
        try:
            yield log
        finally:
            if isinstance(log, KafkaLog):
                await log.close()
            collect_half_made_connections()


@asynccontextmanager
async def opened(database: Dsns, kafka: KafkaSettings | None) -> AsyncIterator[Log]:
    """A log of one process, running; no topic is made."""
    async with unserved(database, kafka) as log, asyncio.TaskGroup() as group:
        running = group.create_task(log.run())
        try:
            yield log
        finally:
            running.cancel()


async def start(log: Log, partitions: int = COUNT) -> None:
    """Do what every start does with the log."""
    await log.create_topic(WIDE_TOPIC, await log.create_topic(EVENTS_TOPIC, partitions))


async def take(log: Log, *names: str) -> list[str]:
    """Append `names`, and let the group `store` take and commit all there is."""
    await log.append(EVENTS_TOPIC, events(*names))
    return await take_waiting(log, len(names))


async def take_waiting(log: Log, count: int) -> list[str]:
    async with log.consume(EVENTS_TOPIC, "store", "one") as consumer:
        found = await read_names(consumer, count)
        for partition, offset in consumer.positions().items():
            generation = consumer.assigned()[partition]
            async with log.connection() as connection:
                await commit_position(connection, "store", EVENTS_TOPIC, partition, generation, offset)
    return sorted(found)


@dataclass(frozen=True)
class Change:
    """From one log to another."""

    before: KafkaSettings | None
    after: KafkaSettings | None


@pytest.fixture(params=["another prefix", "embedded to Kafka", "Kafka to embedded"])
def change(request: pytest.FixtureRequest, kafka: str) -> Change:
    if request.param == "another prefix":
        return Change(settings_for(kafka), settings_for(kafka))
    if request.param == "embedded to Kafka":
        return Change(None, settings_for(kafka))
    return Change(settings_for(kafka), None)


async def test_another_log_is_refused_and_adopting_it_loses_and_repeats_nothing(
    database: Dsns, change: Change
) -> None:
    async with opened(database, change.before) as log:
        await start(log)
        assert await take(log, "a", "b", "c") == ["a", "b", "c"]
    async with opened(database, change.after) as log:
        with pytest.raises(LogRejected, match=r"positions in this database belong to .*ioc log adopt"):
            await start(log)
        places = await adopt_log(log, 9, None)
        assert {topic: set(offsets.values()) for topic, offsets in places.items()} == {
            EVENTS_TOPIC: {0},
            WIDE_TOPIC: {0},
        }
        assert len(places[EVENTS_TOPIC]) == COUNT, "as many partitions as before, whatever the setting says"
        await start(log)
        assert await take(log, "d", "e") == ["d", "e"]
    async with opened(database, change.before) as log:
        with pytest.raises(LogRejected, match="positions in this database belong to"):
            await start(log)


async def test_a_database_that_nothing_was_read_into_takes_any_log(database: Dsns, kafka: str) -> None:
    for settings in (settings_for(kafka), settings_for(kafka), None):
        async with opened(database, settings) as log:
            await start(log)


@pytest.mark.parametrize("remade", [False, True])
async def test_a_topic_that_was_deleted_or_made_anew_is_refused_and_not_made_silently(
    database: Dsns, kafka: str, remade: bool
) -> None:
    settings = settings_for(kafka)
    async with opened(database, settings) as log:
        await start(log)
        await take(log, *"abcdefgh")
    await delete_topic(kafka, settings.prefix + EVENTS_TOPIC)
    async with opened(database, settings) as log:
        if remade:
            await log.make_topic(EVENTS_TOPIC, COUNT)
        complaint = "ends at 0, and" if remade else "is not there, and"
        with pytest.raises(LogRejected, match=f"{complaint} a group stands at .*ioc log adopt"):
            await start(log)
        await adopt_log(log, COUNT, None)
        await start(log)
        assert await take(log, "i", "j") == ["i", "j"]


async def test_another_cluster_of_the_same_prefix_is_refused(
    database: Dsns, kafka: str, broker: Broker
) -> None:
    settings = settings_for(kafka)
    async with opened(database, settings) as log:
        await start(log)
        await take(log, "a")
    moved = structs.replace(settings, bootstrap_servers=broker.address)
    async with opened(database, moved) as log:
        with pytest.raises(LogRejected, match="positions in this database belong to Kafka"):
            await start(log)


@pytest.mark.parametrize(("beginning", "expected"), [(Beginning.START, ["x", "y"]), (Beginning.END, [])])
async def test_where_the_other_log_holds_records_one_has_to_say_where_to_begin(
    database: Dsns, kafka: str, beginning: Beginning, expected: list[str]
) -> None:
    async with opened(database, settings_for(kafka)) as log:
        await start(log)
        await take(log, "a", "b")
    async with opened(database, settings_for(kafka)) as log:
        await log.make_topic(EVENTS_TOPIC, COUNT)
        await log.append(EVENTS_TOPIC, events("x", "y"))
        before = owners(database)
        with pytest.raises(AdoptionError, match="holds 2 records in that log: say --from start"):
            await adopt_log(log, COUNT, None)
        assert owners(database) == before
        await adopt_log(log, COUNT, beginning)
        await start(log)
        await log.append(EVENTS_TOPIC, events("z"))
        assert await take_waiting(log, len(expected) + 1) == [*expected, "z"]


async def test_a_log_with_other_partitions_is_not_adopted(database: Dsns, kafka: str) -> None:
    async with opened(database, settings_for(kafka)) as log:
        await start(log)
        await take(log, "a")
    async with opened(database, settings_for(kafka)) as log:
        await log.make_topic(EVENTS_TOPIC, COUNT + 1)
        before = owners(database)
        with pytest.raises(AdoptionError, match="has 4 partitions in that log and 3 in this database"):
            await adopt_log(log, COUNT, Beginning.END)
        assert owners(database) == before


async def test_whoever_still_works_on_the_former_log_can_commit_nothing_more(
    database: Dsns, kafka: str
) -> None:
    async with opened(database, settings_for(kafka)) as log:
        await start(log)
        await log.append(EVENTS_TOPIC, events("a"))
        async with log.consume(EVENTS_TOPIC, "store", "one") as consumer:
            assert await read_names(consumer, 1) == ["a"]
            assigned = consumer.assigned()
            for partition, generation in assigned.items():
                async with log.connection() as connection:
                    await commit_position(connection, "store", EVENTS_TOPIC, partition, generation, 0)
            async with opened(database, settings_for(kafka)) as other:
                await adopt_log(other, COUNT, None)
            generations = {partition: generation for partition, generation, _ in owners(database)}
    assert all(generations[partition] > generation for partition, generation in assigned.items())


@pytest.mark.slow
def test_the_command_that_a_refused_start_names_lets_the_next_one_through(
    database: Dsns,
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = kafka_environment(kafka, COUNT) | {
        "IOC_DATABASE__ADMIN_DSN": database.admin,
        "IOC_DATABASE__APP_DSN": database.app,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert ioc(monkeypatch, "init") == 0
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "INSERT INTO log_owner (group_name, topic, partition, next_offset)"
            " SELECT 'rules', 'ioc.events', generate_series(0, 2), 7"
        )
    monkeypatch.setenv("IOC_LOG__PREFIX", environment["IOC_LOG__PREFIX"] + "new.")
    assert ioc(monkeypatch, "init") == 1
    assert "`ioc log adopt`" in " ".join(capsys.readouterr().err.split())
    assert ioc(monkeypatch, "log", "adopt") == 0
    assert "ioc.events: groups go on at 0:0, 1:0, 2:0" in capsys.readouterr().out
    assert ioc(monkeypatch, "init") == 0


def owners(database: Dsns) -> list[tuple[int, int, int]]:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "SELECT partition, generation, next_offset FROM log_owner ORDER BY partition"
        ).fetchall()


async def delete_topic(address: str, topic: str) -> None:
    """Delete a topic and wait until the broker has forgotten it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(30):
            while topic in await admin.list_topics():  # noqa: ASYNC110 - another process forgets it
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
