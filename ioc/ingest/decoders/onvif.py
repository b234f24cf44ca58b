"""ONVIF: Profile M's JSON over MQTT (`onvif-ej`, `onvif-mj`), and metadata streams and notifications in XML.

A message's content says what it is; the MQTT topic adds the event's topic, which JSON does not repeat.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, tzinfo
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, TooManyEvents
from ioc.ingest.decoders.data import NESTED, Refused, refuse_nul
from ioc.ingest.decoders.gathering import Gathering, part_of, pieces_of, put_extra
from ioc.ingest.decoders.jsonlines import JSON_ERRORS, JSON_TYPES, NDJSON_TYPES
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.onvif_forms import JsonMessage
from ioc.ingest.decoders.onvif_notices import Notice, Told, read_notice
from ioc.ingest.decoders.onvif_scene import objects_of
from ioc.ingest.decoders.onvif_tree import Tree, attribute, each, first, items, number, text, tree_of
from ioc.ingest.decoders.xml import parse_xml, whole_elements, xml_of
from ioc.model.events import Extra

_MARKS: Final = ("onvif-ej", "onvif-mj", "onvif-sj")
_XML_STARTS: Final = (b"<", b"\xef\xbb\xbf<", b"\xff\xfe", b"\xfe\xff")
_CHANNELS: Final = (
    "VideoSourceToken",
    "VideoSource",
    "VideoSourceConfigurationToken",
    "Source",
    "source",
    "channel",
)
_AROUND: Final = b"\xef\xbb\xbf \t\r\n\0"
_DECLARATION: Final = re.compile(rb"<\?xml[^>]*\?>")
_PREFIX: Final = re.compile(rb"[</\s]([A-Za-z_][A-Za-z0-9_-]{0,31}):[A-Za-z]")
_MAX_PREFIXES: Final = 64
_LEAVES: Final = frozenset({"Frame", "SensorData", "NotificationMessage"})
_HOLDERS: Final = frozenset({"MetadataStream", "PullMessagesResponse", "Notify", "VideoAnalytics", "Event"})
"""Elements that may rightly hold nothing: a stream's beginning, an answer after a quiet minute."""


_message_decoder: Final = msgspec.json.Decoder(JsonMessage)


def is_xml(body: bytes, context: DecodeContext) -> bool:
    """Return whether `body` is meant to be XML."""
    return context.content_type in XML_TYPES or body[:64].lstrip().startswith(_XML_STARTS)


class Onvif:
    """Decoder of ONVIF events and scene descriptions."""

    content_types = (*JSON_TYPES[:1], *NDJSON_TYPES, *XML_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per message and object; see `ioc.ingest.decoders.base.Decoder`."""
        return decode_xml(body, context) if is_xml(body, context) else _decode_json(body, context)


def topic_parts(topic: str | None) -> tuple[str, str]:
    """Return the name before ONVIF's mark in an MQTT topic, "" for none, and the event's topic behind it.

    `cam-7/onvif-ej/RuleEngine/LineDetector/Crossed/&1/2/rule` is `cam-7` and
    `RuleEngine/LineDetector/Crossed`: what follows `/&` repeats values of the source.
    """
    if not topic:
        return "", ""
    before, after = "", topic
    for mark in _MARKS:
        head, found, tail = f"/{topic}/".partition(f"/{mark}/")
        if found:
            before, after = head.strip("/"), tail
            break
    return before, after.partition("/&")[0].strip("/")


class Writer:
    """Puts what messages say into a gathering, each for the source it is of."""

    def __init__(self, context: DecodeContext, camera: str = "") -> None:
        self.gathering = Gathering(context)
        self._context = context
        self._camera = camera
        self._split = context.options.get("split") == "video-source"
        local = context.options.get("utc_time") == "local"
        self._zone: tzinfo | None = context.zone if local else UTC

    def time_us(self, written: Any, field: str) -> int:
        """Return a message's time, UTC where it names no zone; the time of receipt where it has none."""
        if written in (None, ""):
            return self._context.now_us
        if not isinstance(written, str):
            raise Refused("type", "expected a time as text", field)
        return moment_us(written, self._zone, field)

    def source_of(self, source: Tree) -> str:
        """Return who says so: the sender, the camera its topic names, or a channel where these are split."""
        names = [self._camera] if self._camera else []
        if self._split:
            names += [str(source[name]) for name in _CHANNELS if _is_token(source.get(name))][:1]
        return part_of(self._context, "-".join(names), "Source") if names else self._context.device_id

    def notice(self, line: int, raw: bytes, identity: bytes, notice: Notice, written: Any) -> None:
        """Take one event message; `written` is its time."""
        source = self.source_of(notice.source)
        time_us = self.time_us(written, "UtcTime")
        if not written:
            identity = _untimed(identity, time_us)
        for told in read_notice(notice, self._context.options):
            own = identity + told.type_name.encode()
            self.told(line, raw, told, source, time_us, own)

    def told(self, line: int, raw: bytes, told: Told, source: str, time_us: int, identity: bytes) -> None:
        """Take what was read."""
        self.gathering.result.dropped_fields += told.dropped
        self.gathering.take(
            line, raw, told.type_name, told.fields, source=source, time_us=time_us, identity=identity
        )

    def frame(self, line: int, raw: bytes, identity: bytes, frame: Any) -> None:
        """Take the objects of a frame, each apart: an object that cannot be read leaves the others.

        An empty identity stands for the object's own content.
        """
        written = attribute(frame, "UtcTime")
        time_us = self.time_us(written, "Frame.UtcTime")
        source = self.source_of({})
        for node, found in objects_of(frame):
            own = identity or _written(time_us, attribute(frame, "Source"), node)
            if not written:
                own = _untimed(own, time_us)
            self.gathering.result.dropped_fields += found.dropped
            told = [("camera.object", found.fields, own)]
            if found.plate is not None:
                told.append(("camera.plate", found.plate, own + b"plate"))
            try:
                for type_name, fields, own in told:
                    self.gathering.take(
                        line, raw, type_name, fields, source=source, time_us=time_us, identity=own
                    )
            except Refused as refused:
                self.gathering.refuse(line, raw, refused, source)

    def sensor(self, line: int, raw: bytes, identity: bytes, node: Any) -> None:
        """Take a sensor's reading: no alarm is on, but rules may look at it."""
        written = attribute(node, "UtcTime")
        time_us = self.time_us(written, "SensorData.UtcTime")
        extra: Extra = {"topic": "SensorData"}
        notice = {"Type": text(first(node, "Type")), "SensorID": attribute(node, "SensorID")}
        for name, value in notice.items():
            put_extra(extra, name, value)
        put_extra(extra, "Value", number(first(node, "Value")))
        fields = {"kind": "other", "active": False, "extra": extra}
        self.told(line, raw, Told("camera.alarm", fields, 0), self.source_of({}), time_us, identity)


def _is_token(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _written(*parts: Any) -> bytes:
    return repr(parts).encode("utf-8", "backslashreplace")


def _untimed(identity: bytes, time_us: int) -> bytes:
    """Without a time of its own, the same message later is another happening."""
    return identity + b"@%d" % time_us


# --- JSON -------------------------------------------------------------------------------------------------


def read_json(
    body: bytes, context: DecodeContext, writer: Writer, take: Callable[[int, bytes], None]
) -> Decode:
    """Let `take` read each message of a body, by its line and bytes; what it raises refuses that message."""
    pieces, rejections = pieces_of(body, context)
    result = writer.gathering.result
    result.rejections = rejections
    for line, raw in pieces:
        try:
            refuse_nul(raw)
            take(line, raw)
        except (Refused, *JSON_ERRORS) as error:
            writer.gathering.refuse(line, raw, error)
    result.rejections.sort(key=lambda rejection: rejection.line)
    return result


def _decode_json(body: bytes, context: DecodeContext) -> Decode:
    camera, topic = topic_parts(context.topic)
    writer = Writer(context, camera)

    def take(line: int, raw: bytes) -> None:
        _take_message(writer, line, raw, _message_decoder.decode(raw), topic)

    return read_json(body, context, writer, take)


def _take_message(writer: Writer, line: int, raw: bytes, message: JsonMessage, topic: str) -> None:
    identity = topic.encode("utf-8", "replace") + b"\0" + raw
    if message.Frame is not None or message.VideoAnalytics is not None or message.MetadataStream is not None:
        _metadata(writer, line, raw, identity, message)
    elif message.SensorData is not None:
        for node in each(message.SensorData):
            writer.sensor(line, raw, identity, node)
    elif message.Message is not None:
        _notification(writer, line, raw, identity, {"Topic": message.Topic, "Message": message.Message})
    elif _is_unread(message):
        return  # metadata all the same, several times a second: nothing to refuse
    elif message.UtcTime is None and message.Source is None and message.Data is None:
        raise Refused("known_type", "no event (UtcTime, Source, Data) and no metadata (Frame)")
    else:
        notice = Notice(
            text(message.Topic) or topic,
            (message.PropertyOperation or "").lower(),
            _group(message.Source, "Source"),
            _group(message.Key, "Key"),
            _group(message.Data, "Data"),
        )
        writer.notice(line, raw, identity, notice, message.UtcTime)


def _metadata(writer: Writer, line: int, raw: bytes, identity: bytes, message: JsonMessage) -> None:
    """Take frames and notifications, bare or inside what XML has around them."""
    stream = message.MetadataStream
    frames = [] if message.Frame is None else each(message.Frame)
    if message.VideoAnalytics is not None:
        frames += each(message.VideoAnalytics, "Frame")
    if stream is not None:
        frames += each(stream, "VideoAnalytics", "Frame")
    for frame in frames:
        if not isinstance(frame, dict):
            raise Refused("type", "expected an object with UtcTime and Object", "Frame")
        writer.frame(line, raw, identity, frame)
    for node in each(stream, "Event", "NotificationMessage"):
        _notification(writer, line, raw, identity, node)


def _is_unread(message: JsonMessage) -> bool:
    """Return whether it is metadata of the camera itself or of sound."""
    return not (
        message.PTZ is None
        and message.PTZStatus is None
        and message.AudioAnalytics is None
        and message.AudioDescriptor is None
    )


def _group(node: Any, field: str) -> Tree:
    if node is None or node == "":
        return {}
    if not isinstance(node, NESTED):
        raise Refused("type", f"expected an object, got {type(node).__name__}", field)
    return items(node)


def _notification(writer: Writer, line: int, raw: bytes, identity: bytes, node: Any) -> None:
    """Take a `wsnt:NotificationMessage`; its `wsnt:Message` may hold several `tt:Message`."""
    topic = text(first(node, "Topic"))
    holder = first(node, "Message")
    inside = first(holder, "Message") or first(holder, "_value_1") or holder
    for message in each(inside):
        if not isinstance(message, dict):
            raise Refused("required", "a notification holds no message", "Message")
        notice = Notice(
            topic,
            text(attribute(message, "PropertyOperation")).lower(),
            *(items(message.get(name)) for name in ("Source", "Key", "Data")),
        )
        writer.notice(line, raw, identity, notice, attribute(message, "UtcTime"))


# --- XML --------------------------------------------------------------------------------------------------


def decode_xml(body: bytes, context: DecodeContext) -> Decode:
    """Return what a metadata stream, a notification or a SOAP envelope around them holds.

    Of one that breaks off, what is whole.
    """
    writer = Writer(context, topic_parts(context.topic)[0])
    gathering = writer.gathering
    try:
        root = _parse(body)
        found = list(_leaves(root))
        if not found and not any(element.tag in _HOLDERS for element in root.iter()):
            raise Refused("known_type", f"no metadata stream, notification or frame in {str(root.tag)[:64]}")
        if len(found) > context.max_events:
            raise TooManyEvents(len(found), context.max_events)
    except Refused as refused:
        found = whole_elements(body, _LEAVES) if refused.rule == "xml" else []
        if len(found) > context.max_events:
            raise TooManyEvents(len(found), context.max_events) from None
        gathering.refuse(len(found) + 1, body, refused)
    for line, element in enumerate(found, 1):
        # Of many, each is kept by itself: a thousand refusals must not keep the body a thousand times.
        raw = body if len(found) == 1 and not gathering.result.rejections else xml_of(element)[: len(body)]
        try:
            _take_element(writer, line, raw, element)
        except Refused as refused:
            gathering.refuse(line, raw, refused)
    return gathering.result


def _parse(body: bytes) -> Element:
    """Return the root of `body`, or of an element around it where it is a piece cut out of a stream.

    Recorders and gateways pass on single frames, or several in a row, without the declarations of prefixes
    that stood before them.
    """
    try:
        return parse_xml(body)
    except Refused as refused:
        if refused.rule != "xml" or body.startswith(_XML_STARTS[2:]):
            raise
        inside = _DECLARATION.sub(b"", body.strip(_AROUND))
        prefixes = sorted(set(_PREFIX.findall(inside)) - {b"xml", b"xmlns"})[:_MAX_PREFIXES]
        declared = b" ".join(b'xmlns:%b="urn:%b"' % (prefix, prefix) for prefix in prefixes)
        try:
            return parse_xml(b"<fragment %b>%b</fragment>" % (declared, inside))
        except Refused:
            raise refused from None


def _leaves(element: Element) -> Iterator[Element]:
    """Yield frames, notifications and sensor readings in document order, wherever they stand."""
    told = element.tag in _LEAVES
    told = told or (element.tag == "Message" and "UtcTime" in element.attrib)
    if told or {"Topic", "Message"} <= {child.tag for child in element}:
        yield element
    else:
        for child in element:
            yield from _leaves(child)


def _take_element(writer: Writer, line: int, raw: bytes, element: Element) -> None:
    tree = tree_of(element)
    if element.tag == "Frame":
        writer.frame(line, raw, b"", tree)
    elif element.tag == "SensorData":
        writer.sensor(line, raw, _written(tree), tree)
    else:
        node = tree if element.tag != "Message" else {"Message": tree}
        told = (first(node, "Topic"), first(node, "Message"))
        _notification(writer, line, raw, _written(*told), node)
