"""The MQTT listener over real sockets, with aiomqtt (paho) as the device."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import pytest

from ioc.ingest import mqtt_codec as codec
from ioc.ingest.limits import IngestLimits
from ioc.ingest.mqtt import MqttListener
from ioc.model.records import NewRecord
from tests.unit.ingest.fakes import KEYS, City, FakeLog, LogDown, Outcome, cloud_event, snapshot

TOPIC = "ioc/v1/cam-1/events"


@asynccontextmanager
async def listening(city: City) -> AsyncIterator[MqttListener]:
    listener = MqttListener(city.service, port=0)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(listener.run())
        await listener.started.wait()
        try:
            yield listener
        finally:
            task.cancel()


def client(listener: MqttListener, device: str = "cam-1", **options: Any) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1",
        listener.port,
        **{"username": device, "password": KEYS[device], "timeout": 5, **options},
    )


def payload(number: int | str = 1, **changes: Any) -> bytes:
    return json.dumps(cloud_event(number, **changes)).encode()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the fakes have no event for everything
            await asyncio.sleep(0.002)


async def test_puback_only_after_the_append_is_durable() -> None:
    city = City()
    city.log.gate.clear()
    async with listening(city) as listener, client(listener) as device, asyncio.TaskGroup() as group:
        published = group.create_task(device.publish(TOPIC, payload(), qos=1))
        await until(lambda: city.log.waiting == 1)
        await asyncio.sleep(0.05)  # time in which a wrong PUBACK would arrive
        assert not published.done()
        assert city.log.records == []
        city.log.gate.set()
        await published
        assert city.log.ids == ["e-1"]


async def test_no_puback_while_the_log_is_down_and_the_resend_is_stored_once() -> None:
    city = City()
    city.log.down = True
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(TOPIC, payload(), qos=1)
        assert city.log.records == []
        city.log.down = False
        for _ in range(2):
            async with client(listener) as device:
                await device.publish(TOPIC, payload(), qos=1)
    assert city.log.ids == ["e-1"]
    assert city.metric("ioc_ingest_events_total", result="duplicate", stream="camera") == 1
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="log") == 1


async def test_quarantine_down_means_no_puback() -> None:
    city = City()
    city.quarantine.down = True
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(TOPIC, b"not json", qos=1)


async def test_an_invalid_message_is_quarantined_and_acknowledged() -> None:
    city = City()
    async with listening(city) as listener, client(listener) as device:
        await device.publish(TOPIC, b"not json", qos=1)
        await device.publish(TOPIC, payload(2), qos=1)
    assert [(row.reason, row.raw) for row in city.quarantine.rows] == [("json", b"not json")]
    assert city.log.ids == ["e-2"]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_order_is_kept_per_client_at_every_qos(qos: int) -> None:
    city = City()
    numbers = range(200)
    async with listening(city) as listener, client(listener) as device:
        for number in numbers:
            await device.publish(TOPIC, payload(number), qos=qos)
        await until(lambda: len(city.log.records) == 200)
    assert city.log.ids == [f"e-{number}" for number in numbers]
    assert city.metric("ioc_ingest_messages_total", transport="mqtt", qos=str(qos)) == 200


async def test_what_waits_together_is_appended_together() -> None:
    city = City()
    city.log.gate.clear()
    async with listening(city) as listener, client(listener) as device, asyncio.TaskGroup() as group:
        for number in range(15):
            group.create_task(device.publish(TOPIC, payload(number), qos=1))
        await until(lambda: city.log.waiting == 1)
        await asyncio.sleep(0.05)
        city.log.gate.set()
    assert sorted(city.log.ids) == sorted(f"e-{number}" for number in range(15))
    assert len(city.log.calls) < 15


async def test_an_array_and_lines_are_taken() -> None:
    city = City()
    async with listening(city) as listener, client(listener) as device:
        await device.publish(TOPIC, json.dumps([cloud_event(1), cloud_event(2)]), qos=1)
        await device.publish(TOPIC, payload(3) + b"\n" + payload(4), qos=1)
    assert city.log.ids == ["e-1", "e-2", "e-3", "e-4"]


@pytest.mark.parametrize(
    "options",
    [
        {"password": "wrong"},
        {"password": KEYS["det-1"]},
        {"username": "nobody"},
        {"password": None},
        {"username": None, "password": None},
    ],
)
async def test_a_wrong_key_is_refused(options: dict[str, Any]) -> None:
    city = City()
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, **options):
                pass
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="key") == 1


@pytest.mark.parametrize("topic", ["ioc/v1/det-1/events", "other", "ioc/v1/cam-10/events", "$SYS/x"])
async def test_a_foreign_topic_ends_the_connection(topic: str) -> None:
    city = City()
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(topic, payload(), qos=1)
    assert city.log.records == []
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="forbidden") == 1


@pytest.mark.parametrize("topic", ["#", "ioc/v1/+/events", TOPIC])
async def test_devices_cannot_subscribe(topic: str) -> None:
    city = City()
    async with listening(city) as listener, client(listener) as device:
        codes = await device.subscribe(topic, qos=1)
        assert [str(code) for code in codes] == ["Unspecified error"]
        await device.publish(TOPIC, payload(), qos=1)  # the connection goes on
    assert city.log.ids == ["e-1"]


async def test_an_event_of_a_foreign_source_is_quarantined_not_stored() -> None:
    city = City()
    async with listening(city) as listener, client(listener) as device:
        await device.publish(TOPIC, payload(1, source="det-1"), qos=1)
    assert city.log.records == []
    assert [row.reason for row in city.quarantine.rows] == ["may_send_for"]


async def test_a_key_withdrawn_during_a_connection_stops_working() -> None:
    city = City()
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(TOPIC, payload(1), qos=1)
                city.registry.replace(snapshot({"cam-1": "new key"}))
                await device.publish(TOPIC, payload(2), qos=1)
    assert city.log.ids == ["e-1"]


async def test_a_device_disabled_during_a_connection_is_cut_and_may_not_connect_until_it_is_enabled() -> None:
    city = City()
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(TOPIC, payload(1), qos=1)
                city.registry.replace(snapshot(None, "cam-1"))
                await device.publish(TOPIC, payload(2), qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener):
                pass
        refused = {"transport": "mqtt", "reason": "disabled"}
        assert city.metric("ioc_ingest_refused_total", **refused) == 2
        city.registry.replace(snapshot())
        async with client(listener) as device:
            await device.publish(TOPIC, payload(2), qos=1)
    assert city.log.ids == ["e-1", "e-2"]
    assert city.quarantine.rows == []


async def test_a_message_over_the_cap_ends_the_connection() -> None:
    city = City(IngestLimits(max_body_bytes=2_000))
    async with listening(city) as listener:
        with pytest.raises(aiomqtt.MqttError):
            async with client(listener, timeout=3) as device:
                await device.publish(TOPIC, b"x" * 10_000, qos=1)
    assert city.quarantine.rows == []


class Raw:
    """A socket that says exactly what a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def expect(self, data: bytes) -> None:
        async with asyncio.timeout(5):
            assert await self.reader.readexactly(len(data)) == data

    async def expect_end(self) -> bytes:
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def raw(listener: MqttListener, connect: bool = True, clean: bool = True) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    peer = Raw(reader, writer)
    try:
        if connect:
            writer.write(connect_packet(clean=clean))
        yield peer
    finally:
        writer.close()


def text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def packet(first: int, content: bytes) -> bytes:
    return bytes([first]) + codec.encode_length(len(content)) + content


def connect_packet(device: str = "cam-1", clean: bool = True, level: int = 4, client_id: str = "c") -> bytes:
    flags = 0xC0 | (2 if clean else 0)
    head = text("MQTT") + bytes([level, flags]) + (30).to_bytes(2, "big")
    return packet(0x10, head + text(client_id) + text(device) + text(KEYS[device]))


def publish_packet(data: bytes, packet_id: int, qos: int = 1, topic: str = TOPIC) -> bytes:
    return packet(0x30 | qos << 1, text(topic) + packet_id.to_bytes(2, "big") + data)


async def test_a_known_session_is_present_only_for_persistent_clients() -> None:
    city = City()
    async with listening(city) as listener:
        for clean, present in ((False, 0), (False, 1), (True, 0), (False, 0)):
            async with raw(listener, clean=clean) as peer:
                await peer.expect(bytes((0x20, 2, present, 0)))


async def test_the_same_client_id_takes_over() -> None:
    city = City()
    async with listening(city) as listener, raw(listener) as first:
        await first.expect(codec.connack(0))
        async with raw(listener) as second:
            await second.expect(codec.connack(0))
            assert await first.expect_end() == b""
            second.writer.write(b"\xc0\x00")
            await second.expect(codec.PINGRESP)


async def test_another_protocol_version_is_told_so() -> None:
    city = City()
    async with listening(city) as listener, raw(listener, connect=False) as peer:
        peer.writer.write(connect_packet(level=5))
        assert await peer.expect_end() == codec.connack(codec.CONNACK_BAD_PROTOCOL)


async def test_messages_before_a_malformed_packet_are_stored_and_acknowledged() -> None:
    city = City()
    async with listening(city) as listener, raw(listener) as peer:
        await peer.expect(codec.connack(0))
        peer.writer.write(publish_packet(payload(1), 7) + b"\xf0\x00")
        await peer.expect(b"\x40\x02\x00\x07")
        assert await peer.expect_end() == b""
    assert city.log.ids == ["e-1"]
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="protocol") == 1


async def test_silence_before_connect_is_ended() -> None:
    city = City(IngestLimits(mqtt_connect_timeout_s=0.05))
    async with listening(city) as listener, raw(listener, connect=False) as peer:
        assert await peer.expect_end() == b""
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="mqtt_connect_timeout") == 1


async def test_connections_over_the_limit_are_closed_at_once() -> None:
    city = City(IngestLimits(max_mqtt_connections=1))
    async with listening(city) as listener, raw(listener) as first:
        await first.expect(codec.connack(0))
        async with raw(listener) as second:
            assert await second.expect_end() == b""
        first.writer.write(b"\xc0\x00")
        await first.expect(codec.PINGRESP)


async def test_one_device_cannot_take_all_connections() -> None:
    city = City(IngestLimits(max_mqtt_connections_per_device=1))
    async with listening(city) as listener, raw(listener) as first:
        await first.expect(codec.connack(0))
        async with raw(listener, connect=False) as second:
            second.writer.write(connect_packet(client_id="other"))
            assert await second.expect_end() == codec.connack(codec.CONNACK_UNAVAILABLE)
        async with raw(listener, connect=False) as foreign:
            foreign.writer.write(connect_packet("det-1"))
            await foreign.expect(codec.connack(0))


async def test_incomplete_packets_are_bounded_over_all_connections() -> None:
    city = City(IngestLimits(max_mqtt_buffered_bytes=100_000))
    async with listening(city) as listener:
        for _ in range(2):  # the second time shows that what was held is given back
            async with raw(listener) as peer:
                await peer.expect(codec.connack(0))
                peer.writer.write(publish_packet(b"x" * 500_000, 1)[:400_000])
                assert await peer.expect_end() == b""
        async with raw(listener) as peer:
            await peer.expect(codec.connack(0))
            peer.writer.write(publish_packet(payload(1, data={"kind": "flood", "note": "x" * 50_000}), 9))
            await peer.expect(b"\x40\x02\x00\x09")
    assert city.metric("ioc_ingest_refused_total", transport="mqtt", reason="mqtt_buffered") == 2


async def test_a_fault_of_ours_ends_one_connection_without_acknowledging() -> None:
    city = City()
    city.service._log = Faulty()
    async with listening(city) as listener:
        async with raw(listener) as peer:
            await peer.expect(codec.connack(0))
            peer.writer.write(publish_packet(payload(1), 1))
            assert await peer.expect_end() == b""
        async with raw(listener) as peer:
            await peer.expect(codec.connack(0))


class Faulty:
    async def append(self, topic: str, records: Any) -> Any:
        raise ZeroDivisionError


class FlakyLog(FakeLog):
    """Fails at random, before or after having stored, as a network would."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = random.Random(seed)

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Outcome]:
        fate = self._random.random()
        if fate < 0.2:
            raise LogDown
        outcomes = await super().append(topic, records)
        if fate < 0.4:
            raise LogDown
        return outcomes


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_fails_acknowledged_events_are_stored_and_each_once(seed: int) -> None:
    """Ledger: a device that resends what is unacknowledged, over a log that fails at random."""
    city = City()
    flaky = FlakyLog(seed)
    city.service._log = flaky
    unacknowledged = dict.fromkeys(range(1, 301))
    async with listening(city) as listener:
        while unacknowledged:
            async with raw(listener) as peer:
                await peer.expect(codec.connack(0))
                for number in list(unacknowledged)[:40]:
                    peer.writer.write(publish_packet(payload(number), number))
                while True:
                    try:
                        async with asyncio.timeout(5):
                            ack = await peer.reader.readexactly(4)
                    except (asyncio.IncompleteReadError, ConnectionError):
                        break
                    number = int.from_bytes(ack[2:], "big")
                    assert f"e-{number}" in flaky.ids
                    del unacknowledged[number]
                    if not unacknowledged or len(unacknowledged) % 40 == 20:
                        break
    assert sorted(flaky.ids) == sorted(f"e-{number}" for number in range(1, 301))


async def test_a_slow_log_holds_back_the_socket_and_bounds_memory() -> None:
    """While an append waits nothing more is read: the sender's own writes stall."""
    city = City()
    city.log.gate.clear()
    message = publish_packet(payload(1, data={"kind": "flood", "note": "x" * 50_000}), 1)
    async with listening(city) as listener, raw(listener) as peer:
        await peer.expect(codec.connack(0))
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                while sent < 200_000_000:
                    peer.writer.write(message)
                    await peer.writer.drain()
                    sent += len(message)
        assert sent < 32_000_000  # what the kernel's buffers hold, not what we do
        assert city.log.waiting == 1
        city.log.gate.set()
        await until(lambda: city.log.calls)
