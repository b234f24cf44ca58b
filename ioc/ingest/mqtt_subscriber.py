"""Takes events from an external MQTT broker (Mosquitto, EMQX): a persistent session, QoS 1, manual PUBACK.

The broker authenticates devices and must confine each to `ioc/v1/{its id}/#`; the topic then names the
sender, and what follows is told to its decoder. Routes name the device of other topics (`mqtt_routes`); who
may write these is the broker's to say. A message is acknowledged to the broker only after its
events are durable, so a crash, a slow database or a lost connection leaves it with the broker, which delivers
it again.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import aiomqtt
import msgspec

from ioc.ingest.mqtt_routes import parse_routes, sender_of
from ioc.ingest.ports import IngestError
from ioc.ingest.service import IngestService
from ioc.model.places import Device, DeviceKind

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    _MessageQueue = asyncio.Queue[aiomqtt.Message]
else:
    _MessageQueue = asyncio.Queue


_REFUSED: Final = 0x80
"""Answer to a subscription that is not granted [MQTT-3.9.3]."""


class SubscriberSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and how much we hold of what it sends."""

    hostname: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    identifier: str = "ioc-ingest"
    """The session's name at the broker; one subscriber at a time may use it."""
    topic: str = "ioc/v1/+/#"
    """May be a shared subscription, `$share/ioc/ioc/v1/+/#`, where several subscribers run; "" for none."""
    routes: Mapping[str, str] = {}
    """Other topics to read: filter, which may be shared as well, and id of the device it stands for."""
    max_queued_messages: int = 1_000
    """Received but not yet stored; at least the broker's in-flight limit (Mosquitto: 20). Beyond: the
    connection is renewed, the broker delivers again what is unacknowledged."""
    retry_min_s: float = 0.5
    retry_max_s: float = 30.0
    keepalive_s: int = 30


class MqttSubscriber:
    """Feeds one external broker's events into the service until cancelled."""

    def __init__(
        self, service: IngestService, settings: SubscriberSettings, tls: ssl.SSLContext | None = None
    ) -> None:
        self._service = service
        self._settings = settings
        self._tls = tls
        self._routes = parse_routes(settings.routes)

    async def run(self) -> None:
        """Subscribe, and connect again with growing, jittered pauses whenever the connection is lost."""
        pause_s = self._settings.retry_min_s
        while True:
            try:
                async with self._client(overflow := asyncio.Event()) as client:
                    await self._subscribe(client)
                    pause_s = self._settings.retry_min_s
                    await self._take_messages(client, overflow)
            except aiomqtt.MqttError as error:
                log.warning("mqtt subscriber: %s; connecting again in about %.1f s", error, pause_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, self._settings.retry_max_s)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        filters = [each for each in (self._settings.topic, *self._settings.routes) if each]
        answers = await client.subscribe([(each, 1) for each in filters])
        for each, answer in zip(filters, answers, strict=False):
            code: Any = getattr(answer, "value", answer)  # a ReasonCode, which has no types
            if code >= _REFUSED:
                log.error("mqtt subscriber: the broker does not let us read %s; grant it to our login", each)

    def _client(self, overflow: asyncio.Event) -> aiomqtt.Client:
        class BoundedQueue(_MessageQueue):
            """aiomqtt drops what does not fit with a log line; we must know, to get it again."""

            def put_nowait(self, item: aiomqtt.Message) -> None:
                if self.full():
                    overflow.set()
                super().put_nowait(item)

        settings = self._settings
        client = aiomqtt.Client(
            settings.hostname,
            settings.port,
            username=settings.username,
            password=settings.password,
            identifier=settings.identifier,
            clean_session=False,
            keepalive=settings.keepalive_s,
            queue_type=BoundedQueue,
            max_queued_incoming_messages=settings.max_queued_messages,
            tls_context=self._tls,
        )
        # aiomqtt (2.5) has no option for it; paho, which it wraps, does. A test holds us to it.
        client._client.manual_ack_set(True)
        return client

    async def _take_messages(self, client: aiomqtt.Client, overflow: asyncio.Event) -> None:
        messages = client.messages
        async for first in messages:
            batch = [first]
            # Each `__anext__` returns at once while messages are queued.
            while len(messages) and len(batch) < self._service.limits.mqtt_batch_messages:
                batch.append(await anext(messages))
            by_topic: dict[str, list[aiomqtt.Message]] = {}
            for message in batch:
                by_topic.setdefault(message.topic.value, []).append(message)
            for topic, group in by_topic.items():
                await self._store(client, topic, group)
            if overflow.is_set():
                raise aiomqtt.MqttError("more messages than we may hold")

    async def _store(self, client: aiomqtt.Client, topic: str, group: list[aiomqtt.Message]) -> None:
        """Make one sender's messages durable, however long that takes, then acknowledge them."""
        pause_s = self._settings.retry_min_s
        for message in group:
            self._service.metrics.messages.labels("subscriber", str(message.qos)).inc()
        bodies = [bytes(message.payload) for message in group]
        while True:
            try:
                device, rest = self._sender(topic)
                await self._service.accept_all(device, bodies, transport="subscriber", topic=rest, wait=True)
                break
            except IngestError as error:
                log.warning("mqtt subscriber: not stored, trying again in %.1f s: %s", pause_s, error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._settings.retry_max_s)
        for message in group:
            client._client.ack(message.mid, message.qos)

    def _sender(self, topic: str) -> tuple[Device, str]:
        """Return the device the topic names or is routed to, and the topic told to its decoder.

        An unregistered one, or nobody, becomes a sender without authority, so that its messages end in
        quarantine.
        """
        device_id, rest = sender_of(topic, self._routes)
        known = None if device_id is None else self._service.registry.device(device_id)
        # No device's id holds a slash, so no device is throttled or counted for what has no route.
        named = f"/{topic}" if device_id is None else device_id
        return known or Device(id=named[:128], kind=DeviceKind.GATEWAY, name=named[:128]), rest
