"""Other systems over Kafka: an event of a foreign topic comes out as an incident in `ioc.incidents`."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.workload import Workload
from ioc.model.records import INCIDENTS_TOPIC
from ioc.store.embedded import Dsns
from tests.acceptance.kafka_roles import KafkaRoles

ANSWER_S = 60.0


@pytest.fixture
def foreign_topic() -> str:
    """A topic of another system."""
    return f"cameras-{secrets.token_hex(4)}"


@pytest.fixture
def roles(
    tmp_path: Path, kafka: str, database: Dsns, foreign_topic: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KafkaRoles]:
    bridge = {"topic": foreign_topic, "decoder": "cloudevents", "device": "gw-all"}
    monkeypatch.setenv("IOC_RELAY__ENABLED", "true")
    monkeypatch.setenv("IOC_BRIDGE__TOPICS", json.dumps([bridge]))
    roles = KafkaRoles(tmp_path / "roles", kafka, database)
    yield roles
    for name in list(roles.processes):
        roles.kill(name)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_alarm_of_a_foreign_topic_comes_out_as_an_incident(
    roles: KafkaRoles, kafka: str, foreign_topic: str
) -> None:
    roles.prepare()
    for role in ("ingest", "rules", "store"):
        roles.start(role)
    cameras = [str(row[0]) for row in roles.rows("SELECT id FROM device WHERE kind = 'camera' ORDER BY id")]
    camera, alarm = Workload(cameras, cameras).probe()
    event = asyncio.run(_exchange(kafka, foreign_topic, alarm, roles.prefix + INCIDENTS_TOPIC))
    assert event["type"] == "ioc.incident.changed"
    assert event["data"]["source"] == camera
    stored = {(str(row[0]), int(str(row[1]))) for row in roles.rows("SELECT id, rev FROM incident")}
    assert (event["data"]["id"], event["data"]["rev"]) in stored
    roles.stop()


async def _exchange(address: str, topic: str, body: bytes, answers: str) -> dict[str, dict[str, object]]:
    """Write `body` to `topic` and return the first message of `answers`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        await producer.send_and_wait(topic, body)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(answers, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(ANSWER_S):
            return dict(json.loads((await consumer.getone()).value))
    finally:
        await consumer.stop()
