"""Axis: its JSON events over MQTT and WebSocket, its scene metadata, and ONVIF metadata with its topics."""

from typing import Any, Final

import msgspec

from ioc.ingest.decoders.axis_forms import Message, Scene
from ioc.ingest.decoders.axis_scene import frame_of, plate_told, track_told
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.gathering import part_of
from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.moments import epoch_us
from ioc.ingest.decoders.onvif import Onvif, Writer, decode_xml, is_xml, read_json
from ioc.ingest.decoders.onvif_notices import Notice, read_notice

_BEFORE_TOPIC: Final = "event/"
"""Axis publishes to `PREFIX/event/TOPIC`, where the prefix is `axis/SERIAL` or chosen by the operator."""


_message_decoder: Final = msgspec.json.Decoder(Message)
_onvif: Final = Onvif()


class Axis:
    """Decoder of what Axis cameras publish."""

    content_types = (*JSON_TYPES[:1], *NDJSON_TYPES, *XML_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per message and object; see `ioc.ingest.decoders.base.Decoder`."""
        if is_xml(body, context):
            return decode_xml(body, context)
        if context.topic is not None and "onvif-" in context.topic:
            return _onvif.decode(body, context)  # these cameras speak Profile M as well
        writer = Writer(context)

        def take(line: int, raw: bytes) -> None:
            _take_message(writer, line, raw, _message_decoder.decode(raw), context)

        return read_json(body, context, writer, take)


def _take_message(writer: Writer, line: int, raw: bytes, message: Message, context: DecodeContext) -> None:
    source = context.device_id
    if message.serial and context.options.get("split") == "serial":
        source = part_of(context, message.serial, "serial")
    if message.is_scene():
        _take_scene(writer, line, raw, message, source)
        return
    if message.plate is not None:
        time_us = _time_us(writer, message.capture_timestamp, "capture_timestamp")
        writer.told(line, raw, plate_told(message), source, time_us, raw)
        return
    notification = message.params.notification if message.params is not None else message
    if notification is None or notification.message is None:
        raise Refused("required", "this field is required", "message")
    topic = notification.topic or _told_by(context.topic)
    content = notification.message
    time_us = _time_us(writer, notification.timestamp, "timestamp")
    notice = Notice(topic, "", content.source or {}, content.key or {}, content.data or {})
    identity = topic.encode("utf-8", "replace") + b"\0" + raw
    if notification.timestamp is None:
        identity += b"@%d" % time_us
    for told in read_notice(notice, context.options):
        writer.told(line, raw, told, source, time_us, identity + told.type_name.encode())


def _told_by(topic: str | None) -> str:
    """Return the event's topic from MQTT's, for cameras that are told to leave it out of the message."""
    return (topic or "").rpartition(_BEFORE_TOPIC)[2].partition("/$")[0]  # $source and $key repeat values


def _time_us(writer: Writer, written: Any, field: str) -> int:
    if isinstance(written, str) and written.isdecimal():
        written = float(written)
    if isinstance(written, int | float):
        return epoch_us(written, field)
    return writer.time_us(written, field)


def _take_scene(writer: Writer, line: int, raw: bytes, scene: Scene, source: str) -> None:
    """Take the objects of a frame, each apart, or a whole track, which is told of when it has ended."""
    if scene.classes is not None:
        time_us = _time_us(writer, scene.end_time or scene.start_time, "end_time")
        writer.told(line, raw, track_told(scene), source, time_us, raw)
        return
    written, objects = frame_of(scene)
    time_us = _time_us(writer, written, "frame.timestamp")
    for told in objects:
        if isinstance(told, Refused):
            writer.gathering.refuse(line, raw, told, source)
            continue
        try:
            writer.told(line, raw, told, source, time_us, raw)
        except Refused as refused:
            writer.gathering.refuse(line, raw, refused, source)
