"""Axis: its JSON events over MQTT and WebSocket, its scene frames, and ONVIF metadata with its topics."""

from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.gathering import part_of, put_extra, tidy
from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.moments import epoch_us
from ioc.ingest.decoders.onvif import Onvif, Writer, decode_xml, is_xml, read_json
from ioc.ingest.decoders.onvif_notices import Notice, Told, read_notice
from ioc.ingest.decoders.onvif_scene import fraction
from ioc.ingest.decoders.onvif_tree import Tree, each, first, number, text
from ioc.model.events import Extra

_BEFORE_TOPIC: Final = "event/"
"""Axis publishes to `PREFIX/event/TOPIC`, where the prefix is `axis/SERIAL` or chosen by the operator."""


class _Content(msgspec.Struct):
    source: dict[str, Any] | None = None
    key: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


class _Notification(msgspec.Struct):
    topic: str | None = None
    timestamp: int | float | str | None = None
    message: _Content | None = None


class _Params(msgspec.Struct):
    notification: _Notification | None = None


class _Message(_Notification):
    serial: str | None = None
    params: _Params | None = None
    """Of the data stream over WebSocket."""
    frame: dict[str, Any] | None = None
    """Of the scene description."""
    UtcTime: Any = None
    Frame: Any = None


_message_decoder = msgspec.json.Decoder(_Message)
_onvif = Onvif()


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


def _take_message(writer: Writer, line: int, raw: bytes, message: _Message, context: DecodeContext) -> None:
    source = context.device_id
    if message.serial and context.options.get("split") == "serial":
        source = part_of(context, message.serial, "serial")
    if message.frame is not None:
        _take_frame(writer, line, raw, message.frame, source)
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
    return (topic or "").rpartition(_BEFORE_TOPIC)[2]


def _time_us(writer: Writer, written: Any, field: str) -> int:
    if isinstance(written, int | float):
        return epoch_us(written, field)
    return writer.time_us(written, field)


def _take_frame(writer: Writer, line: int, raw: bytes, frame: Tree, source: str) -> None:
    """Take the observations of a frame: boxes are fractions of the picture already."""
    time_us = _time_us(writer, frame.get("timestamp"), "frame.timestamp")
    for observation in each(frame, "observations"):
        if not isinstance(observation, dict):
            raise Refused("type", "expected an object", "frame.observations")
        dropped = 0
        extra: Extra = {}
        fields: dict[str, Any] = {
            "label": tidy(text(first(observation, "class", "type"))).lower() or "object",
            "extra": extra,
        }
        if (track := tidy(str(observation.get("track_id", "")))) and track != "None":
            fields["track_id"] = track
        if (share := fraction(number(first(observation, "class", "score")))) is not None:
            fields["confidence"] = share
        if (box := first(observation, "bounding_box")) is not None:
            fields["box"] = _box(box)
            dropped += fields["box"] is None
        for name, value in observation.items():
            if name not in ("class", "bounding_box", "track_id", "timestamp"):
                dropped += not put_extra(extra, name, value)
        put_extra(extra, "color", first(observation, "class", "colors", "name"))
        writer.told(line, raw, Told("camera.object", fields, dropped), source, time_us, raw)


def _box(node: Any) -> tuple[float, float, float, float] | None:
    edges = [number(first(node, side)) for side in ("left", "top", "right", "bottom")]
    left, top, right, bottom = (-1.0 if edge is None else edge for edge in edges)
    if not (-0.5 <= left <= right <= 1.5 and -0.5 <= top <= bottom <= 1.5):
        return None
    return (left, top, round(right - left, 6), round(bottom - top, 6))
