"""MQTT 3.1.1 packets of an ingest-only server: bytes to packets and back. No I/O.

Only what a publisher needs is understood (OASIS MQTT 3.1.1, section numbers below). Everything else, and
everything malformed, ends the connection, as the standard demands [MQTT-4.8.0-1].
"""

from typing import Final

import msgspec

CONNACK_ACCEPTED: Final = 0
CONNACK_BAD_PROTOCOL: Final = 1
CONNACK_BAD_IDENTIFIER: Final = 2
CONNACK_UNAVAILABLE: Final = 3
CONNACK_BAD_CREDENTIALS: Final = 4
CONNACK_NOT_AUTHORISED: Final = 5

PINGRESP: Final = b"\xd0\x00"
_SUBACK_FAILURE: Final = 0x80


class Malformed(ValueError):
    """The peer does not speak MQTT 3.1.1 as we require it: close the connection."""


class UnsupportedProtocol(Malformed):
    """A CONNECT of another protocol version: answer CONNACK_BAD_PROTOCOL, then close."""


class Connect(msgspec.Struct, frozen=True):
    """§3.1. A will is read and ignored: nobody subscribes here."""

    client_id: str
    clean_session: bool
    keep_alive_s: int
    username: str | None
    password: str | None


class Publish(msgspec.Struct, frozen=True):
    """§3.3. `packet_id` is 0 for QoS 0."""

    topic: str
    qos: int
    packet_id: int
    payload: bytes


class PubRel(msgspec.Struct, frozen=True):
    """§3.6, third packet of QoS 2."""

    packet_id: int


class Subscribe(msgspec.Struct, frozen=True):
    """§3.8; only the number of filters matters, all are refused."""

    packet_id: int
    filters: int


class Unsubscribe(msgspec.Struct, frozen=True):
    """§3.10."""

    packet_id: int


class PingReq(msgspec.Struct, frozen=True):
    """§3.12."""


class Disconnect(msgspec.Struct, frozen=True):
    """§3.14."""


Packet = Connect | Publish | PubRel | Subscribe | Unsubscribe | PingReq | Disconnect


class PacketParser:
    """Cuts a byte stream into packets.

    Call `feed` with what arrived, then `next_packet` until it returns None, then read again. Holds at most
    `max_packet_bytes` and one chunk: a longer packet is refused from its header, before it arrives.
    """

    def __init__(self, max_packet_bytes: int) -> None:
        self.max_packet_bytes = max_packet_bytes
        self._buffer = bytearray()
        self._at = 0

    @property
    def held_bytes(self) -> int:
        """How much has arrived that `next_packet` has not returned yet."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Add bytes from the peer."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next_packet(self) -> Packet | None:
        """Return the next complete packet, or None until more bytes arrive.

        Raises:
            Malformed: close the connection; the parser is not to be used again.
        """
        header = self._fixed_header()
        if header is None:
            return None
        first, start, length = header
        if len(self._buffer) < start + length:
            return None
        body = bytes(memoryview(self._buffer)[start : start + length])
        self._at = start + length
        return _parse(first >> 4, first & 0x0F, body)

    def _fixed_header(self) -> tuple[int, int, int] | None:
        """Return first byte, start and length of the remaining part (§2.2), None while incomplete."""
        length = 0
        for position in range(4):
            at = self._at + 1 + position
            if at >= len(self._buffer):
                return None
            byte = self._buffer[at]
            length |= (byte & 0x7F) << (7 * position)
            if length > self.max_packet_bytes:
                raise Malformed(f"a packet has more than {self.max_packet_bytes} bytes")
            if byte < 0x80:
                return self._buffer[self._at], at + 1, length
        raise Malformed("the remaining length has more than four bytes")


class _Fields:
    """Reads the fields of one packet's body in order."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        end = self._at + count
        if end > len(self._body):
            raise Malformed("a packet ends too early")
        taken = self._body[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def uint16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        number = self.uint16()
        if number == 0:
            raise Malformed("packet identifier 0 [MQTT-2.3.1-1]")
        return number

    def binary(self) -> bytes:
        return self.take(self.uint16())

    def text(self) -> str:
        try:
            text = self.binary().decode()
        except UnicodeDecodeError as error:
            raise Malformed("text is not UTF-8 [MQTT-1.5.3-1]") from error
        if "\x00" in text:
            raise Malformed("text holds U+0000 [MQTT-1.5.3-2]")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    def done(self) -> bool:
        return self._at == len(self._body)

    def end(self) -> None:
        if not self.done():
            raise Malformed("a packet is longer than its fields")


def _parse(kind: int, flags: int, body: bytes) -> Packet:
    fields = _Fields(body)
    if kind == 3:
        return _publish(flags, fields)
    required_flags = 2 if kind in (6, 8, 10) else 0
    if flags != required_flags:
        raise Malformed(f"reserved flags of packet type {kind} [MQTT-2.2.2-2]")
    packet: Packet
    match kind:
        case 1:
            packet = _connect(fields)
        case 6:
            packet = PubRel(fields.packet_id())
        case 8:
            packet = _subscribe(fields)
        case 10:
            packet = _unsubscribe(fields)
        case 12:
            packet = PingReq()
        case 14:
            packet = Disconnect()
        case _:
            raise Malformed(f"packet type {kind} is not for a server that publishes nothing")
    fields.end()
    return packet


def _connect(fields: _Fields) -> Connect:
    name = fields.binary()
    level = fields.byte()
    if name not in (b"MQTT", b"MQIsdp"):
        raise Malformed("the protocol name is not MQTT [MQTT-3.1.2-1]")
    if name != b"MQTT" or level != 4:
        raise UnsupportedProtocol(f"protocol level {level}: only MQTT 3.1.1 is spoken here")
    flags = fields.byte()
    has_will, has_password, has_username = flags & 0x04, flags & 0x40, flags & 0x80
    will_bits = flags & 0x38
    if flags & 0x01 or (not has_will and will_bits) or (flags >> 3) & 3 == 3:
        raise Malformed("connect flags [MQTT-3.1.2-3]")
    if has_password and not has_username:
        raise Malformed("a password without a user name [MQTT-3.1.2-22]")
    keep_alive_s = fields.uint16()
    client_id = fields.text()
    if has_will:
        fields.text()
        fields.binary()
    username = fields.text() if has_username else None
    password = fields.binary() if has_password else None
    return Connect(
        client_id=client_id,
        clean_session=bool(flags & 0x02),
        keep_alive_s=keep_alive_s,
        username=username,
        password=None if password is None else password.decode("utf-8", "replace"),
    )


def _publish(flags: int, fields: _Fields) -> Publish:
    qos = (flags >> 1) & 3
    if qos == 3:
        raise Malformed("QoS 3 [MQTT-3.3.1-4]")
    topic = fields.text()
    if not topic or "+" in topic or "#" in topic:
        raise Malformed("no topic, or one with wildcards [MQTT-3.3.2-2]")
    packet_id = fields.packet_id() if qos else 0
    return Publish(topic, qos, packet_id, fields.rest())


def _subscribe(fields: _Fields) -> Subscribe:
    packet_id = fields.packet_id()
    filters = 0
    while not fields.done():
        fields.text()
        if fields.byte() > 2:
            raise Malformed("requested QoS [MQTT-3.8.3-4]")
        filters += 1
    if not filters:
        raise Malformed("no topic filter [MQTT-3.8.3-3]")
    return Subscribe(packet_id, filters)


def _unsubscribe(fields: _Fields) -> Unsubscribe:
    packet_id = fields.packet_id()
    if fields.done():
        raise Malformed("no topic filter [MQTT-3.10.3-2]")
    while not fields.done():
        fields.text()
    return Unsubscribe(packet_id)


def connack(code: int, session_present: bool = False) -> bytes:
    """§3.2. The session is never present with a refusal [MQTT-3.2.2-4]."""
    return bytes((0x20, 2, int(session_present and code == CONNACK_ACCEPTED), code))


def acknowledgement(publish: Publish) -> bytes:
    """PUBACK for QoS 1, PUBREC for QoS 2, nothing for QoS 0 (§3.4, §3.5)."""
    if publish.qos == 0:
        return b""
    return bytes((0x40 if publish.qos == 1 else 0x50, 2)) + publish.packet_id.to_bytes(2, "big")


def pubcomp(packet_id: int) -> bytes:
    """§3.7."""
    return b"\x70\x02" + packet_id.to_bytes(2, "big")


def suback_refusing(subscribe: Subscribe) -> bytes:
    """§3.9: failure for every filter."""
    body = subscribe.packet_id.to_bytes(2, "big") + bytes([_SUBACK_FAILURE]) * subscribe.filters
    return b"\x90" + encode_length(len(body)) + body


def unsuback(packet_id: int) -> bytes:
    """§3.11."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


def encode_length(length: int) -> bytes:
    """Return a remaining length (§2.2.3)."""
    encoded = bytearray()
    while True:
        length, byte = length >> 7, length & 0x7F
        encoded.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(encoded)
