"""The subscriber against a scripted broker on a real socket: PUBACK only after the append, no loss."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from ioc.ingest import mqtt_codec as codec
from ioc.ingest.mqtt_subscriber import MqttSubscriber, SubscriberSettings
from ioc.model.events import CameraStatus
from tests.unit.ingest.fakes import City, cloud_event

TOPIC = "ioc/v1/cam-1/events"


class Broker:
    """Accepts one client at a time; the test decides what it publishes."""

    def __init__(self) -> None:
        self.subscribed = asyncio.Event()
        self.acks: asyncio.Queue[int] = asyncio.Queue()
        self.connects: list[bytes] = []
        self.writer: asyncio.StreamWriter | None = None
        self.answers: defaultdict[str, int] = defaultdict(lambda: 1)
        """Filter of a subscription → what is granted: a QoS, or 128 for refused."""
        self.read: list[str] = []

    def _filters(self, content: bytes) -> list[str]:
        found = []
        while content:
            length = int.from_bytes(content[:2], "big")
            found.append(content[2 : 2 + length].decode())
            content = content[3 + length :]
        self.read = found
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while True:
                first = (await reader.readexactly(1))[0]
                content = await reader.readexactly(await self._length(reader))
                if first == 0x10:
                    self.connects.append(content)
                    writer.write(codec.connack(0, len(self.connects) > 1))
                elif first == 0x82:
                    answers = bytes(self.answers[each] for each in self._filters(content[2:]))
                    writer.write(b"\x90" + codec.encode_length(2 + len(answers)) + content[:2] + answers)
                    self.subscribed.set()
                elif first == 0x40:
                    self.acks.put_nowait(int.from_bytes(content, "big"))
                elif first == 0xE0:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @staticmethod
    async def _length(reader: asyncio.StreamReader) -> int:
        length, shift = 0, 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return length

    def publish(self, packet_id: int, payload: bytes, topic: str = TOPIC) -> None:
        assert self.writer is not None
        content = len(topic).to_bytes(2, "big") + topic.encode() + packet_id.to_bytes(2, "big") + payload
        self.writer.write(b"\x32" + codec.encode_length(len(content)) + content)

    async def acked(self) -> int:
        async with asyncio.timeout(5):
            return await self.acks.get()

    def drop(self) -> None:
        assert self.writer is not None
        self.subscribed.clear()
        self.writer.transport.abort()


@asynccontextmanager
async def subscribed(
    city: City,
    max_queued_messages: int = 1_000,
    routes: Mapping[str, str] | None = None,
    refused: str | None = None,
) -> AsyncIterator[Broker]:
    broker = Broker()
    if refused is not None:
        broker.answers[refused] = 0x80
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = SubscriberSettings(
        hostname="127.0.0.1",
        port=port,
        retry_min_s=0.01,
        max_queued_messages=max_queued_messages,
        routes=routes or {},
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(MqttSubscriber(city.service, settings).run())
        async with asyncio.timeout(5):
            await broker.subscribed.wait()
        try:
            yield broker
        finally:
            task.cancel()
    server.close()


def payload(number: int) -> bytes:
    return json.dumps(cloud_event(number)).encode()


async def test_a_message_is_acknowledged_only_after_it_is_durable() -> None:
    city = City()
    city.log.gate.clear()
    async with subscribed(city) as broker:
        broker.publish(7, payload(1))
        async with asyncio.timeout(5):
            while not city.log.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)  # time in which a wrong PUBACK would arrive
        assert broker.acks.empty()
        city.log.gate.set()
        assert await broker.acked() == 7
        assert city.log.ids == ["e-1"]


async def test_the_session_is_persistent_and_a_redelivery_takes_effect_once() -> None:
    city = City()
    async with subscribed(city) as broker:
        assert not broker.connects[0][7] & 0x02  # clean session flag
        broker.publish(1, payload(1))
        await broker.acked()
        broker.drop()
        async with asyncio.timeout(5):
            await broker.subscribed.wait()
        broker.publish(1, payload(1))
        broker.publish(2, payload(2))
        assert {await broker.acked(), await broker.acked()} == {1, 2}
    assert city.log.ids == ["e-1", "e-2"]


async def test_while_the_log_is_down_nothing_is_acknowledged_and_it_is_tried_again() -> None:
    city = City()
    city.log.down = True

    def tried() -> float:
        return city.metric("ioc_ingest_refused_total", transport="subscriber", reason="log")

    async with subscribed(city) as broker:
        broker.publish(1, payload(1))
        async with asyncio.timeout(5):
            while tried() < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert broker.acks.empty()
        city.log.down = False
        assert await broker.acked() == 1
    assert city.log.ids == ["e-1"]


async def test_what_cannot_be_used_is_quarantined_and_acknowledged() -> None:
    city = City()
    async with subscribed(city) as broker:
        broker.publish(1, b"nonsense")
        broker.publish(2, payload(2), "ioc/v1/det-1/events")
        broker.publish(3, json.dumps(cloud_event(3, source="ghost")).encode(), "ioc/v1/ghost/events")
        assert {await broker.acked(), await broker.acked(), await broker.acked()} == {1, 2, 3}
    assert {row.reason for row in city.quarantine.rows} == {"json", "may_send_for", "registered_source"}
    assert city.log.records == []


async def test_more_than_fits_is_delivered_again_after_reconnecting() -> None:
    city = City()
    city.log.gate.clear()
    async with subscribed(city, max_queued_messages=2) as broker:
        for number in range(1, 6):
            broker.publish(number, payload(number))
        async with asyncio.timeout(5):
            while not city.log.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        for number in range(6, 12):
            broker.publish(number, payload(number))
        await asyncio.sleep(0.05)
        broker.subscribed.clear()
        city.log.gate.set()
        async with asyncio.timeout(5):
            await broker.subscribed.wait()
        acked = {broker.acks.get_nowait() for _ in range(broker.acks.qsize())}
        missing = set(range(1, 12)) - acked
        assert missing
        for number in missing:
            broker.publish(number, payload(number))
            await broker.acked()
    assert set(city.log.ids) == {f"e-{number}" for number in range(1, 12)}


async def test_hardware_with_topics_of_its_own_is_the_device_its_route_names() -> None:
    city = City()
    async with subscribed(city, routes={"frigate/#": "nvr-1", "$share/ioc/+/onvif-ej/#": "gw-1"}) as broker:
        assert broker.read == ["ioc/v1/+/#", "frigate/#", "$share/ioc/+/onvif-ej/#"]
        broker.publish(1, b"offline", "frigate/gate/status/detect")
        broker.publish(2, json.dumps(cloud_event(2)).encode(), "Cam1/onvif-ej/Device/Trigger/DigitalInput")
        broker.publish(3, payload(3))
        assert {await broker.acked(), await broker.acked(), await broker.acked()} == {1, 2, 3}
    [status] = [event for event in city.log.events if event.source == "nvr-1-gate"]
    assert status.data == CameraStatus(online=False, reason="detect offline")
    assert {"e-2", "e-3"} <= set(city.log.ids)


async def test_a_route_to_nobody_ends_in_quarantine() -> None:
    city = City()
    async with subscribed(city, routes={"other/#": "ghost"}) as broker:
        broker.publish(1, payload(1), "other/events")
        await broker.acked()
    assert [row.device for row in city.quarantine.rows] == ["ghost"]
    assert city.log.records == []


async def test_a_topic_without_a_route_speaks_for_no_device_even_where_it_begins_with_ones_id() -> None:
    """A route that is gone lives on in the session, and who may write there is anybody."""
    city = City()
    async with subscribed(city) as broker:
        broker.publish(1, payload(1), TOPIC.removeprefix("ioc/v1/"))
        await broker.acked()
    assert [row.device for row in city.quarantine.rows] == ["/" + TOPIC.removeprefix("ioc/v1/")]
    assert city.log.records == []


async def test_a_topic_that_the_broker_does_not_let_us_read_is_told(caplog: pytest.LogCaptureFixture) -> None:
    city = City()
    with caplog.at_level(logging.ERROR):
        async with subscribed(city, routes={"frigate/#": "nvr-1"}, refused="frigate/#") as broker:
            broker.publish(1, payload(1))
            await broker.acked()
    assert "does not let us read frigate/#" in caplog.text
    assert "ioc/v1" not in caplog.text
