"""The bridge over a real Kafka: positions are committed only after the append, poison is set aside."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

from ioc.eventlog.kafka_foreign import open_foreign
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected, LogUnavailable
from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.kafka_bridge import BridgeMetrics, BridgeSettings, KafkaBridge
from ioc.ingest.registry import RegistrySnapshot
from ioc.model.places import Device, DeviceKind
from tests.integration.eventlog.kafka_city import collect_half_made_connections, settings_for, until
from tests.unit.ingest.fakes import City, cloud_event

pytestmark = pytest.mark.slow


class Foreign:
    """Somebody else's topic, and what is known of our group on it."""

    def __init__(self, address: str) -> None:
        self.kafka: KafkaSettings = settings_for(address)
        self.topic = f"foreign-{secrets.token_hex(4)}"
        self._address = address
        self._prometheus = CollectorRegistry()
        self._metrics = BridgeMetrics(self._prometheus)

    def metric(self, name: str, **labels: str) -> float:
        return self._prometheus.get_sample_value(name, {"topic": self.topic, **labels}) or 0.0

    async def create(self, partitions: int = 1) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(self.topic, partitions, 1)])
        finally:
            await admin.close()

    async def write(self, *values: bytes | None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._address)
        await producer.start()
        try:
            for value in values:
                # A tombstone needs a key.
                await producer.send_and_wait(self.topic, value, key=b"k", partition=0)
        finally:
            await producer.stop()

    async def committed(self) -> int:
        """Where partition 0 goes on for our group; 0 while nothing was committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._address)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(f"{self.kafka.prefix}bridge")
        finally:
            await admin.close()
        place = found.get(TopicPartition(self.topic, 0))
        return 0 if place is None else int(place.offset)

    async def until_committed(self, offset: int) -> None:
        async with asyncio.timeout(60):
            while await self.committed() != offset:  # noqa: ASYNC110 - of Kafka
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def bridged(
        self, city: City, decoder: str = "cloudevents", device: str = "cam-1", batch_records: int = 500
    ) -> AsyncIterator[None]:
        settings = BridgeSettings(
            topic=self.topic,
            decoder=decoder,
            device=device,
            group="bridge",
            batch_records=batch_records,
            poll_s=0.1,
            retry_min_s=0.05,
            retry_max_s=0.2,
        )
        bridge = KafkaBridge(
            city.service,
            settings,
            lambda topic, group: open_foreign(self.kafka, topic, group),
            self._metrics,
            (LogUnavailable, LogRejected),
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bridge.run())
            try:
                yield
            finally:
                running.cancel()


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Leave no half-made connection of aiokafka to whatever test comes next."""
    yield
    collect_half_made_connections()


@pytest.fixture
async def foreign(kafka: str) -> Foreign:
    """A topic of this test's own, with one partition."""
    foreign = Foreign(kafka)
    await foreign.create()
    return foreign


def payload(number: int, source: str = "cam-1") -> bytes:
    return json.dumps(cloud_event(number, source=source)).encode()


async def test_a_position_is_committed_only_after_its_records_are_durable(foreign: Foreign) -> None:
    city = City()
    city.log.gate.clear()
    await foreign.write(payload(1), payload(2))
    async with foreign.bridged(city):
        await until(lambda: city.log.waiting > 0)
        assert await foreign.committed() == 0
        city.log.gate.set()
        await foreign.until_committed(2)
    assert city.log.ids == ["e-1", "e-2"]
    assert foreign.metric("ioc_bridge_records_total", result="taken") == 2
    assert foreign.metric("ioc_bridge_connected") == 0


async def test_a_bridge_that_ends_before_the_commit_takes_the_records_again_and_they_take_effect_once(
    foreign: Foreign,
) -> None:
    city = City()
    await foreign.write(payload(1), payload(2))
    city.quarantine.down = True
    await foreign.write(b"nonsense")
    async with foreign.bridged(city):
        # The good ones are in the log, the batch is not durable as a whole.
        await until(lambda: city.log.ids == ["e-1", "e-2"])
        await until(lambda: foreign.metric("ioc_bridge_retries_total") > 1)
        assert await foreign.committed() == 0
    city.quarantine.down = False
    async with foreign.bridged(city):
        await foreign.until_committed(3)
    assert city.log.ids == ["e-1", "e-2"]
    assert [row.raw for row in city.quarantine.rows] == [b"nonsense"]


async def test_while_the_log_is_down_nothing_is_committed_and_no_more_than_a_batch_is_held(
    foreign: Foreign,
) -> None:
    city = City()
    city.log.down = True
    await foreign.write(*(payload(number) for number in range(40)))
    async with foreign.bridged(city, batch_records=10):
        await until(lambda: foreign.metric("ioc_bridge_retries_total") > 2)
        assert await foreign.committed() == 0
        city.log.down = False
        await foreign.until_committed(40)
    assert city.log.ids == [f"e-{number}" for number in range(40)]
    assert max(city.log.calls) <= 10


class Fragile:
    """A decoder with a fault of ours: it fails on one body."""

    content_types: Sequence[str] = DECODERS["cloudevents"].content_types

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        if body == b"the one":
            raise ZeroDivisionError
        return DECODERS["cloudevents"].decode(body, context)


async def test_poison_goes_to_quarantine_with_its_bytes_and_the_partition_goes_on(foreign: Foreign) -> None:
    city = City()
    decoders: Mapping[str, object] = {"fragile": Fragile()}
    city.service._decoders = decoders  # type: ignore[assignment]
    huge = b"x" * 100_000
    bad = [b"nonsense", b"the one", payload(7, source="det-1"), huge]
    await foreign.write(payload(1), *bad, None, payload(2))
    async with foreign.bridged(city, decoder="fragile"):
        await foreign.until_committed(7)
    assert city.log.ids == ["e-1", "e-2"]
    reasons = {row.raw: row.reason for row in city.quarantine.rows}
    assert reasons.pop(b"the one") == "decoder_failed"
    assert reasons.pop(b"nonsense") == "json"
    assert len(city.quarantine.rows) == len(bad)
    assert {row.device for row in city.quarantine.rows} == {"cam-1"}
    assert any(row.truncated and huge.startswith(row.raw) for row in city.quarantine.rows)
    assert foreign.metric("ioc_bridge_records_total", result="empty") == 1


async def test_nothing_is_taken_until_the_device_is_registered(foreign: Foreign) -> None:
    city = City()
    await foreign.write(payload(1, source="new-1"))
    async with foreign.bridged(city, device="new-1"):
        await until(lambda: foreign.metric("ioc_bridge_retries_total") > 2)
        assert await foreign.committed() == 0
        assert city.quarantine.rows == []
        device = Device(id="new-1", kind=DeviceKind.CAMERA, name="New", ward="25747", decoder="opendatacam")
        city.registry.replace(RegistrySnapshot((device,), ()))
        await foreign.until_committed(1)
    assert city.log.ids == ["e-1"]


async def test_a_topic_that_does_not_exist_yet_is_waited_for_and_never_made(kafka: str) -> None:
    foreign, city = Foreign(kafka), City()
    async with foreign.bridged(city):
        await until(lambda: foreign.metric("ioc_bridge_retries_total") > 1)
        await foreign.create()
        await foreign.write(payload(1))
        await foreign.until_committed(1)
    assert city.log.ids == ["e-1"]


async def test_two_bridges_of_one_group_share_the_partitions_and_lose_nothing_when_one_ends(
    kafka: str,
) -> None:
    foreign, city = Foreign(kafka), City()
    await foreign.create(partitions=4)
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        async with foreign.bridged(city):
            other = City()
            other.service._log = city.log
            async with foreign.bridged(other):
                for number in range(100):
                    await producer.send_and_wait(foreign.topic, payload(number), partition=number % 4)
                await until(lambda: len(city.log.ids) >= 50)
            for number in range(100, 200):
                await producer.send_and_wait(foreign.topic, payload(number), partition=number % 4)
            await until(lambda: len(city.log.ids) == 200)
    finally:
        await producer.stop()
    assert set(city.log.ids) == {f"e-{number}" for number in range(200)}
