"""The relay over a real Kafka: every change arrives, in order, masked, whatever dies in between."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from benchmarks.broker import Broker
from ioc.app.incidents.relay import IncidentRelay, change_message
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.model.incidents import Evidence, Why
from ioc.model.records import INCIDENTS_TOPIC
from ioc.model.texts import Text
from ioc.model.times import SECOND_US
from ioc.store.change_followers import FollowedChange, read_after
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from tests.integration.app.test_incident_service import NOW_US, apply, raised
from tests.integration.eventlog.kafka_city import SOON_S, collect_half_made_connections, settings_for

ROOT = Path(__file__).parents[3]
PLATE, PHONE = "61A-123.45", "0912345678"


class Reader:
    """Another system: reads the topic from its beginning until it has seen what it waits for."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._consumer = AIOKafkaConsumer(
            kafka.prefix + INCIDENTS_TOPIC,
            bootstrap_servers=kafka.bootstrap_servers,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self.keys: list[str] = []
        self.events: list[dict[str, object]] = []
        self.headers: set[tuple[str, bytes]] = set()

    async def read_until(self, ids: set[str]) -> None:
        await self._consumer.start()
        try:
            async with asyncio.timeout(SOON_S):
                while not ids <= {str(event["id"]) for event in self.events}:
                    message = await self._consumer.getone()
                    self.keys.append(message.key.decode())
                    self.headers |= set(message.headers)
                    self.events.append(json.loads(message.value))
        finally:
            await self._consumer.stop()


async def changes_of(pool: Pool) -> Sequence[FollowedChange]:
    async with pool.connection() as connection:
        return await read_after(connection, 0, 100_000)


def ids_of(changes: Sequence[FollowedChange]) -> set[str]:
    return {f"{change.incident.id}.{change.incident.rev}" for change in changes}


async def relay_until_read(pool: Pool, kafka: KafkaSettings) -> Reader:
    """Run a relay in this process until another system has read every change."""
    reader = Reader(kafka)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(IncidentRelay(pool, kafka, 3).run())
        await reader.read_until(ids_of(await changes_of(pool)))
        running.cancel()
    return reader


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Leave no half-made connection of aiokafka to whatever test comes next."""
    yield
    collect_half_made_connections()


@pytest.mark.slow
async def test_every_change_arrives_as_a_masked_cloud_event_in_a_compacted_topic(
    database: Dsns, kafka: str
) -> None:
    settings = settings_for(kafka)
    why = Why(
        rule_version="1",
        summary=Text(f"Xe {PLATE}", f"Car {PLATE}"),
        evidence=(Evidence(name="plate", value=PLATE, op="==", threshold=PLATE),),
        event_ids=("e-1",),
    )
    title = Text(f"Gọi {PHONE}", f"Call {PHONE}")
    async with open_pool(database.app, name="relay") as pool:
        await apply(pool, raised(key="cam-1", why=why, title=title))
        await apply(pool, raised(at_us=NOW_US + SECOND_US, key="cam-2"))
        reader = await relay_until_read(pool, settings)
    first = next(event for event in reader.events if event["subject"] == reader.keys[0])
    assert {event["specversion"] for event in reader.events} == {"1.0"}
    assert {event["type"] for event in reader.events} == {"ioc.incident.changed"}
    assert [event["subject"] for event in reader.events] == reader.keys
    assert first["op"] == "raised"
    assert reader.headers == {("content-type", b"application/cloudevents+json; charset=UTF-8")}
    text = json.dumps(reader.events, ensure_ascii=False)
    assert "•••" in text
    assert PLATE not in text
    assert PHONE not in text
    assert await _cleanup_policy(settings) == "compact"


async def _cleanup_policy(kafka: KafkaSettings) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        topic = ConfigResource(ConfigResourceType.TOPIC, kafka.prefix + INCIDENTS_TOPIC)
        (answer,) = await admin.describe_configs([topic])
        entries = answer.resources[0][4]
        return next(str(entry[1]) for entry in entries if entry[0] == "cleanup.policy")
    finally:
        await admin.close()


def relay_process(database: Dsns, kafka: KafkaSettings) -> subprocess.Popen[bytes]:
    """A relay in a process of its own, to be killed."""
    code = (
        "import asyncio, sys\n"
        "from ioc.app.incidents.relay import IncidentRelay\n"
        "from ioc.eventlog.kafka_settings import KafkaSettings\n"
        "from ioc.store.pool import open_pool\n"
        "async def main():\n"
        "    kafka = KafkaSettings(bootstrap_servers=sys.argv[2], prefix=sys.argv[3], replication=1)\n"
        "    async with open_pool(sys.argv[1], name='relay') as pool:\n"
        "        await IncidentRelay(pool, kafka, 3).run()\n"
        "asyncio.run(main())\n"
    )
    arguments = [sys.executable, "-c", code, database.app, kafka.bootstrap_servers, kafka.prefix]
    return subprocess.Popen(arguments, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
async def test_what_kafka_has_not_acknowledged_when_the_relay_is_killed_is_published_by_the_next_one(
    database: Dsns, broker: Broker
) -> None:
    settings = settings_for(broker.address)
    async with open_pool(database.app, name="city") as pool:
        await apply(pool, raised(key="first"))
        process = relay_process(database, settings)
        try:
            await _until_position(pool, above=0)
            position = await _position(pool)
            with broker.frozen():
                for number in range(20):
                    await apply(pool, raised(at_us=NOW_US + number * SECOND_US, key=f"cam-{number}"))
                await asyncio.sleep(2)  # time in which a relay that does not wait would move on
                assert await _position(pool) == position
                process.kill()
        finally:
            process.kill()
            process.wait()
        changes = await changes_of(pool)
        reader = await relay_until_read(pool, settings)
    assert len(changes) == 21
    assert ids_of(changes) == {str(event["id"]) for event in reader.events}


@pytest.mark.slow
async def test_a_relay_outlives_a_broker_that_is_killed_and_comes_back(
    database: Dsns, broker: Broker
) -> None:
    settings = settings_for(broker.address)
    async with open_pool(database.app, name="city") as pool:
        await apply(pool, raised(key="first"))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(IncidentRelay(pool, settings, 3).run())
            await _until_position(pool, above=0)
            broker.kill()
            await apply(pool, raised(key="second"))
            broker.start()
            await _until_position(pool, above=await _position(pool))
            running.cancel()
        reader = await relay_until_read(pool, settings)
        assert ids_of(await changes_of(pool)) == {str(event["id"]) for event in reader.events}


@pytest.mark.slow
async def test_a_relay_killed_at_any_moment_leaves_no_gap_and_no_newer_revision_behind_an_older(
    database: Dsns, kafka: str
) -> None:
    """Killed while it works, three times; what another system then has is what the database has."""
    settings = settings_for(kafka)
    async with open_pool(database.app, name="city") as pool:
        for round_number in range(3):
            process = relay_process(database, settings)
            try:
                position = max(await _position(pool), 0)
                for number in range(700):
                    at_us = NOW_US + (1_000 * round_number + number) * SECOND_US
                    await apply(pool, raised(at_us=at_us, key=f"cam-{number % 50}"))
                await _until_position(pool, above=position)
            finally:
                process.kill()
                process.wait()
        changes = await changes_of(pool)
        reader = await relay_until_read(pool, settings)
    newest = {change.incident.id: change.incident.rev for change in changes}
    kept: dict[str, int] = {}
    for event in reader.events:
        data = event["data"]
        assert isinstance(data, dict)
        kept[str(event["subject"])] = int(data["rev"])
    assert ids_of(changes) == {str(event["id"]) for event in reader.events}
    assert kept == newest


async def _until_position(pool: Pool, above: int) -> None:
    async with asyncio.timeout(SOON_S):
        while await _position(pool) <= above:  # noqa: ASYNC110 - may be another process's
            await asyncio.sleep(0.01)


async def _position(pool: Pool) -> int:
    async with pool.connection() as connection:
        found = await connection.execute("SELECT after_offset FROM change_follower WHERE name = 'relay'")
        row = await found.fetchone()
    return -1 if row is None else int(row[0])


async def test_a_message_names_its_incident_and_revision(database: Dsns) -> None:
    async with open_pool(database.app, name="city") as pool:
        await apply(pool, raised())
        (change,) = await changes_of(pool)
    message = change_message(change)
    event = json.loads(message.value)
    assert message.key.decode() == event["subject"] == event["data"]["id"] == change.incident.id
    assert (event["id"], event["data"]["rev"]) == (f"{change.incident.id}.1", 1)
    assert event["time"].endswith("Z")
