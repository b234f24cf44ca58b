"""The embedded MQTT listener: devices publish events, nobody subscribes.

Written here rather than taken from a broker library because the acknowledgement must follow the durable
append: a connection's packets are taken in order, everything that has arrived goes to the log in one call,
and PUBACK (QoS 1) or PUBREC (QoS 2) is written after it returned. Meanwhile the socket is not read, so a slow
database holds back the sender through TCP and memory per connection stays bounded.

QoS 2 needs no stored packet identifiers: a PUBLISH repeated after a lost PUBREC is a duplicate (source, id)
to the log, so it takes effect once.
"""

import asyncio
import contextlib
import logging
import ssl
from collections import Counter, OrderedDict
from typing import Final

from ioc.ingest import mqtt_codec as codec
from ioc.ingest.ports import BodyRefused, DeviceDisabled, IngestError, NotAuthorised, Unavailable
from ioc.ingest.service import IngestService
from ioc.model.places import Device

log = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 65_536
_CONNECT_MAX_BYTES: Final = 16_384
"""Before authentication nobody may make us hold more."""
_TOPIC_OVERHEAD_BYTES: Final = 1_024
_MAX_SESSIONS: Final = 50_000


def events_topic(device_id: str) -> str:
    """Return the topic of a device that may choose it."""
    return f"{topic_prefix(device_id)}events"


def topic_prefix(device_id: str) -> str:
    """Return what every topic of a device begins with; its decoder is told the rest."""
    return f"ioc/v1/{device_id}/"


class MqttListener:
    """Serves MQTT 3.1.1 on one address until cancelled.

    Args:
        service: takes the payloads; its `limits` bound connections, packets and batches.
        host: address to bind. Without `tls` use a loopback address: keys travel in clear.
        port: 0 lets the system choose; `port` tells which once `started` is set.
        tls: certificate and rules of a TLS listener.
    """

    def __init__(
        self,
        service: IngestService,
        host: str = "127.0.0.1",
        port: int = 1883,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.port = port
        self.started = asyncio.Event()
        self._service = service
        self._host = host
        self._tls = tls
        self._open: set[asyncio.StreamWriter] = set()
        self._by_client: dict[tuple[str, str], asyncio.StreamWriter] = {}
        self._of_device: Counter[str] = Counter()
        self._held = _Held(service.limits.max_mqtt_buffered_bytes)
        self._sessions: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def run(self) -> None:
        """Listen until cancelled; then close every connection (unacknowledged messages are resent)."""
        async with asyncio.TaskGroup() as group:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                if len(self._open) >= self._service.limits.max_mqtt_connections:
                    self._service.metrics.refuse("mqtt", "mqtt_connections")
                    writer.transport.abort()
                    return
                self._open.add(writer)
                group.create_task(self._serve(reader, writer))

            server = await asyncio.start_server(
                connected, self._host, self.port, limit=_CHUNK_BYTES, ssl=self._tls
            )
            self.port = server.sockets[0].getsockname()[1]
            self.started.set()
            try:
                await asyncio.Event().wait()
            finally:
                server.close()
                self.started.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own one connection. Its faults end it, never the listener."""
        metrics = self._service.metrics
        connection = _Connection(reader, writer, self._service, self._held)
        try:
            with metrics.mqtt_connections.track_inprogress():
                await self._guarded(connection)
                await connection.close()
        except Exception:
            log.exception("mqtt: connection closed by a fault of ours; nothing was acknowledged")
        finally:
            connection.forget_held()
            self._open.discard(writer)
            writer.transport.abort()

    async def _guarded(self, connection: "_Connection") -> None:
        """Converse until the connection is to be closed, whatever the reason, and count that."""
        metrics = self._service.metrics
        try:
            await self._converse(connection)
        except codec.Malformed as error:
            metrics.refuse("mqtt", "protocol")
            log.info("mqtt: connection closed: %s", error)
        except _HeldTooMuch:
            metrics.refuse("mqtt", "mqtt_buffered")
        except Unavailable as error:
            # The service has counted it. Without PUBACK the client connects again and resends.
            log.warning("mqtt: connection closed without acknowledgement: %s unavailable", error.reason)
        except DeviceDisabled as error:
            log.info("mqtt: connection closed: %s", error)
        except IngestError as error:
            metrics.refuse("mqtt", "body_bytes" if isinstance(error, BodyRefused) else "forbidden")
            log.info("mqtt: connection closed: %s", error)
        except (OSError, TimeoutError):
            pass  # the peer went away or fell silent

    async def _converse(self, connection: "_Connection") -> None:
        try:
            async with asyncio.timeout(self._service.limits.mqtt_connect_timeout_s):
                packet = await self._greeting(connection)
        except TimeoutError:
            self._service.metrics.refuse("mqtt", "mqtt_connect_timeout")
            return
        if packet is None:
            return
        device, refusal = self._admit(packet)
        if device is None:
            await connection.send(codec.connack(refusal))
            return
        key = (device.id, packet.client_id or f"\x00{id(connection)}")
        previous = self._by_client.get(key)
        if previous is not None:  # [MQTT-3.1.4-2]; only among one device's own clients
            previous.transport.abort()
        self._by_client[key] = connection.writer
        self._of_device[device.id] += 1
        try:
            connection.greet(packet.password or "", packet.keep_alive_s)
            present = self._resume(key, packet.clean_session)
            await connection.send(codec.connack(codec.CONNACK_ACCEPTED, present))
            await connection.take_messages(device.id)
        finally:
            self._of_device[device.id] -= 1
            if not self._of_device[device.id]:
                del self._of_device[device.id]
            if self._by_client.get(key) is connection.writer:
                del self._by_client[key]

    @staticmethod
    async def _greeting(connection: "_Connection") -> codec.Connect | None:
        try:
            packet = await connection.next_packet()
        except codec.UnsupportedProtocol:
            await connection.send(codec.connack(codec.CONNACK_BAD_PROTOCOL))
            raise
        if packet is None or isinstance(packet, codec.Connect):
            return packet
        raise codec.Malformed("the first packet is not CONNECT [MQTT-3.1.0-1]")

    def _admit(self, packet: codec.Connect) -> tuple[Device | None, int]:
        """Return the device that may connect, or None and the code of CONNACK."""
        device = self._authenticate(packet)
        if device is None:
            self._service.metrics.refuse("mqtt", "key")
            return None, codec.CONNACK_NOT_AUTHORISED
        try:
            self._service.require_enabled(device, "mqtt")
        except DeviceDisabled:
            return None, codec.CONNACK_NOT_AUTHORISED
        if not packet.client_id and not packet.clean_session:
            return None, codec.CONNACK_BAD_IDENTIFIER
        if self._of_device[device.id] >= self._service.limits.max_mqtt_connections_per_device:
            self._service.metrics.refuse("mqtt", "mqtt_connections")
            return None, codec.CONNACK_UNAVAILABLE
        return device, codec.CONNACK_ACCEPTED

    def _authenticate(self, packet: codec.Connect) -> Device | None:
        registry = self._service.registry
        if packet.username is None or packet.password is None:
            return None
        if not registry.owns_key(packet.username, packet.password):
            return None
        return registry.device(packet.username)

    def _resume(self, key: tuple[str, str], clean: bool) -> bool:
        """Return whether we know this client's session.

        A publisher's session holds nothing we must keep, yet some clients drop what they have not got
        acknowledged when told that it is gone.
        """
        known = key in self._sessions
        if clean:
            self._sessions.pop(key, None)
            return False
        self._sessions[key] = None
        self._sessions.move_to_end(key)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return known


class _HeldTooMuch(Exception):
    """All connections together hold more of incomplete packets than is allowed."""


class _Held:
    """Bytes of incomplete packets over all connections."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    def change(self, difference: int) -> None:
        self._bytes += difference
        if difference > 0 and self._bytes > self._limit:
            raise _HeldTooMuch


class _Connection:
    """One socket and its parser."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        service: IngestService,
        held: _Held,
    ) -> None:
        self.writer = writer
        self._reader = reader
        self._service = service
        self._parser = codec.PacketParser(_CONNECT_MAX_BYTES)
        self._silence_s: float | None = None
        self._key = ""
        self._all_held = held
        self._held_bytes = 0

    def greet(self, key: str, keep_alive_s: int) -> None:
        """Apply what an authenticated client may do."""
        self._key = key
        limit_s = self._service.limits.mqtt_max_silence_s
        self._silence_s = min(keep_alive_s * 1.5, limit_s) if keep_alive_s else limit_s  # [MQTT-3.1.2-24]
        self._parser.max_packet_bytes = self._service.limits.max_body_bytes + _TOPIC_OVERHEAD_BYTES

    async def next_packet(self) -> codec.Packet | None:
        """Return the next packet, waiting for it; None at the end of the stream."""
        while (packet := self._parser.next_packet()) is None:
            if not await self._receive():
                return None
        return packet

    async def _receive(self) -> bool:
        async with asyncio.timeout(self._silence_s):
            chunk = await self._reader.read(_CHUNK_BYTES)
        self._parser.feed(chunk)
        before, self._held_bytes = self._held_bytes, self._parser.held_bytes
        self._all_held.change(self._held_bytes - before)
        return bool(chunk)

    def forget_held(self) -> None:
        """Give back what this connection held; it is not read any more."""
        self._all_held.change(-self._held_bytes)
        self._held_bytes = 0

    async def send(self, data: bytes) -> None:
        """Write `data`; a peer that does not read it in time is dropped."""
        if not data:
            return
        if self.writer.is_closing():
            # Another connection of the same client took over while we stored.
            raise ConnectionResetError("the connection was closed meanwhile")
        self.writer.write(data)
        async with asyncio.timeout(self._service.limits.mqtt_send_timeout_s):
            await self.writer.drain()

    async def close(self) -> None:
        """Close in order, so that what was written still arrives."""
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self.writer.wait_closed()

    async def take_messages(self, device_id: str) -> None:
        """Serve packets in order until the client leaves.

        Raises:
            codec.Malformed, IngestError: close the connection.
        """
        prefix = topic_prefix(device_id)
        limits = self._service.limits
        batch: list[codec.Publish] = []
        size = 0
        while True:
            try:
                packet = self._parser.next_packet()
                if isinstance(packet, codec.Publish):
                    _check(packet, prefix, limits.max_body_bytes)
            except (codec.Malformed, IngestError):
                await self._store(device_id, batch)  # what came before was in order
                raise
            if isinstance(packet, codec.Publish):
                if batch and packet.topic != batch[0].topic:
                    await self._store(device_id, batch)
                    batch, size = [], 0
                batch.append(packet)
                size += len(packet.payload)
                if len(batch) < limits.mqtt_batch_messages and size < limits.mqtt_batch_bytes:
                    continue
            # The batch ends where the received bytes end, or before any other packet: order is kept.
            await self._store(device_id, batch)
            batch, size = [], 0
            if packet is None:
                if not await self._receive():
                    return
            elif isinstance(packet, codec.Disconnect):
                return
            elif not isinstance(packet, codec.Publish):
                await self.send(_reply(packet))

    async def _store(self, device_id: str, batch: list[codec.Publish]) -> None:
        """Make `batch`, messages of one topic, durable, then acknowledge it."""
        if not batch:
            return
        for qos, count in Counter(publish.qos for publish in batch).items():
            self._service.metrics.messages.labels("mqtt", str(qos)).inc(count)
        registry = self._service.registry
        device = registry.device(device_id)
        # Connections live long: a key withdrawn meanwhile must stop working.
        if device is None or not registry.owns_key(device_id, self._key):
            raise NotAuthorised(401, f"the key of {device_id} was withdrawn")
        self._service.require_enabled(device, "mqtt")
        bodies = [publish.payload for publish in batch]
        topic = batch[0].topic.removeprefix(topic_prefix(device_id))
        await self._service.accept_all(device, bodies, transport="mqtt", topic=topic, wait=True)
        await self.send(b"".join(codec.acknowledgement(publish) for publish in batch))


def _check(publish: codec.Publish, prefix: str, max_body_bytes: int) -> None:
    if not publish.topic.startswith(prefix):
        raise NotAuthorised(403, f"events belong on topics that begin with {prefix}")
    if len(publish.payload) > max_body_bytes:
        raise BodyRefused(413, "max_body_bytes", f"a message has more than {max_body_bytes} bytes")


def _reply(packet: codec.Packet) -> bytes:
    match packet:
        case codec.PingReq():
            return codec.PINGRESP
        case codec.PubRel():
            return codec.pubcomp(packet.packet_id)
        case codec.Subscribe():
            return codec.suback_refusing(packet)
        case codec.Unsubscribe():
            return codec.unsuback(packet.packet_id)
        case _:
            raise codec.Malformed("a second CONNECT [MQTT-3.1.0-2]")
