"""MQTT packets: paho's own bytes are understood, and arbitrary bytes raise only `Malformed`."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.ingest import mqtt_codec as codec


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(first: int, content: bytes) -> bytes:
    return bytes([first]) + codec.encode_length(len(content)) + content


def parse(data: bytes, limit: int = 1_000) -> list[codec.Packet]:
    parser = codec.PacketParser(limit)
    parser.feed(data)
    packets = []
    while (found := parser.next_packet()) is not None:
        packets.append(found)
    return packets


def connect(flags: int = 0xC2, rest: bytes = b"", name: bytes = b"MQTT", level: int = 4) -> bytes:
    return packet(0x10, text(name) + bytes([level, flags, 0, 60]) + rest)


IDENTITY = text(b"client") + text(b"cam-1") + text(b"key")


def test_connect_is_read_with_and_without_will() -> None:
    expected = codec.Connect("client", True, 60, "cam-1", "key")
    assert parse(connect(rest=IDENTITY)) == [expected]
    will = text(b"client") + text(b"will/topic") + text(b"\xff") + text(b"cam-1") + text(b"key")
    assert parse(connect(0xC2 | 0x0C, will)) == [expected]
    assert parse(connect(0x00, text(b""))) == [codec.Connect("", False, 60, None, None)]


@pytest.mark.parametrize(("name", "level"), [(b"MQTT", 5), (b"MQIsdp", 3), (b"MQTT", 3)])
def test_other_versions_are_told_apart_from_nonsense(name: bytes, level: int) -> None:
    with pytest.raises(codec.UnsupportedProtocol):
        parse(connect(rest=IDENTITY, name=name, level=level))


def test_publish_is_read_at_every_qos() -> None:
    assert parse(packet(0x30, text(b"t") + b"data")) == [codec.Publish("t", 0, 0, b"data")]
    assert parse(packet(0x3B, text(b"t") + b"\x00\x07data")) == [codec.Publish("t", 1, 7, b"data")]
    assert parse(packet(0x34, text(b"t") + b"\x01\x00")) == [codec.Publish("t", 2, 256, b"")]


def test_the_other_packets_of_a_publisher_are_read() -> None:
    assert parse(packet(0x62, b"\x00\x07")) == [codec.PubRel(7)]
    assert parse(packet(0x82, b"\x00\x07" + (text(b"#") + b"\x01") * 2)) == [codec.Subscribe(7, 2)]
    assert parse(packet(0xA2, b"\x00\x07" + text(b"#"))) == [codec.Unsubscribe(7)]
    assert parse(b"\xc0\x00\xe0\x00") == [codec.PingReq(), codec.Disconnect()]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\xf0\x00",
        b"\x40\x02\x00\x01",
        b"\xc1\x00",
        b"\xc0\x01\x00",
        packet(0x36, text(b"t") + b"\x00\x01"),
        packet(0x32, text(b"t") + b"\x00\x00"),
        packet(0x32, text(b"t") + b"\x00"),
        packet(0x30, text(b"")),
        packet(0x30, text(b"a/+")),
        packet(0x30, text(b"#")),
        packet(0x30, text(b"a\x00")),
        packet(0x30, text(b"\xff")),
        packet(0x30, b"\x00\x05ab"),
        packet(0x80, b"\x00\x07" + text(b"#") + b"\x00"),
        packet(0x82, b"\x00\x07"),
        packet(0x82, b"\x00\x07" + text(b"#") + b"\x03"),
        packet(0xA2, b"\x00\x07"),
        packet(0x62, b"\x00\x00"),
        connect(0xC3, IDENTITY),
        connect(0x42, text(b"c") + text(b"k")),
        connect(0xC2 | 0x08, IDENTITY),
        connect(0xC2 | 0x1C, IDENTITY),
        connect(rest=IDENTITY + b"x"),
        connect(rest=IDENTITY, name=b"HTTP"),
        b"\x30\xff\xff\xff\xff\x01",
        b"\x30\xe9\x07",
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(codec.Malformed):
        parse(data)


def test_a_packet_over_the_limit_is_refused_from_its_header() -> None:
    parser = codec.PacketParser(100)
    parser.feed(b"\x30\x65")
    with pytest.raises(codec.Malformed, match="100 bytes"):
        parser.next_packet()


def test_acknowledgements_have_the_bytes_of_the_standard() -> None:
    assert codec.connack(0, True) == b"\x20\x02\x01\x00"
    assert codec.connack(5, True) == b"\x20\x02\x00\x05"
    assert codec.acknowledgement(codec.Publish("t", 0, 0, b"")) == b""
    assert codec.acknowledgement(codec.Publish("t", 1, 258, b"")) == b"\x40\x02\x01\x02"
    assert codec.acknowledgement(codec.Publish("t", 2, 258, b"")) == b"\x50\x02\x01\x02"
    assert codec.pubcomp(1) == b"\x70\x02\x00\x01"
    assert codec.suback_refusing(codec.Subscribe(1, 2)) == b"\x90\x04\x00\x01\x80\x80"
    assert codec.unsuback(1) == b"\xb0\x02\x00\x01"


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16_383, b"\xff\x7f"),
        (268_435_455, b"\xff\xff\xff\x7f"),
    ],
)
def test_lengths_are_those_of_the_standards_table(length: int, encoded: bytes) -> None:
    assert codec.encode_length(length) == encoded


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_arbitrary_bytes_raise_only_malformed(data: bytes) -> None:
    with contextlib.suppress(codec.Malformed):
        parse(data)


publishes = st.builds(
    lambda topic, qos, packet_id, payload: codec.Publish(topic, qos, packet_id if qos else 0, payload),
    st.text(st.characters(codec="utf-8", exclude_characters="+#\x00"), min_size=1, max_size=20),
    st.integers(0, 2),
    st.integers(1, 65_535),
    st.binary(max_size=300),
)


@given(st.lists(publishes, max_size=6), st.integers(1, 50))
def test_packets_are_the_same_however_the_bytes_are_cut(sent: list[codec.Publish], size: int) -> None:
    data = b"".join(
        packet(
            0x30 | p.qos << 1,
            text(p.topic.encode()) + (p.packet_id.to_bytes(2, "big") if p.qos else b"") + p.payload,
        )
        for p in sent
    )
    parser = codec.PacketParser(1_000)
    received = []
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
        while (found := parser.next_packet()) is not None:
            received.append(found)
    assert received == sent
