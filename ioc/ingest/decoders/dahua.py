"""Dahua: event stream (`Code=…;action=…;index=…;data={…}`), its JSON forms, and ITSAPI's plates.

Whatever the form, an event is one map: `Code`, `Action`, `Index` and `Data`. Only named fields of `Data` are
kept, since recognised faces and their owners stand there too.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.ingest.decoders.dahua_vehicles import (
    MAX_TOLLGATE_BYTES,
    TRAFFIC_PLATES,
    read_push,
    tollgate,
    vehicle_of,
)
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.fields import (
    Tree,
    channel_source,
    count_of,
    extra_of,
    id_of,
    known_text_of,
    map_of,
    maps_of,
    number_of,
    parse_object,
    rejection,
    text_of,
)
from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES, split_objects
from ioc.ingest.decoders.media import MULTIPART_TYPES
from ioc.ingest.decoders.moments import epoch_us, moment_us
from ioc.ingest.decoders.multipart import Part, documents
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraStatus, EventData

_CODE: Final = re.compile(rb"(?:^|\n)[ \t]*[Cc]ode=")
_FLAT: Final = re.compile(r"\s*(Events\[\d{1,4}\])\.([^=]{1,200})=(.*)")
_MAX_FLAT_FIELDS: Final = 2_000
_ACTIONS: Final = {"start": True, "stop": False, "pulse": True, "state": True, "appear": True}
_HEARTBEATS: Final = ("heartbeat", "keepalive")

KINDS: Final[dict[str, AlarmKind]] = {
    "VideoMotion": AlarmKind.MOTION,
    "SmartMotionHuman": AlarmKind.MOTION,
    "SmartMotionVehicle": AlarmKind.MOTION,
    "MoveDetection": AlarmKind.MOTION,
    "PIRAlarm": AlarmKind.MOTION,
    "CrossLineDetection": AlarmKind.LINE_CROSSING,
    "CrossRegionDetection": AlarmKind.INTRUSION,
    "CrossFenceDetection": AlarmKind.INTRUSION,
    "PasteDetection": AlarmKind.INTRUSION,
    "WanderDetection": AlarmKind.LOITERING,
    "StayDetection": AlarmKind.LOITERING,
    "RioterDetection": AlarmKind.CROWD,
    "CrowdDetection": AlarmKind.CROWD,
    "GatherDetection": AlarmKind.CROWD,
    "CrowdSituation": AlarmKind.CROWD,
    "VideoBlind": AlarmKind.TAMPER,
    "SceneChange": AlarmKind.TAMPER,
    "VideoUnFocus": AlarmKind.TAMPER,
    "VideoAbnormalDetection": AlarmKind.TAMPER,
    "FireDetection": AlarmKind.FIRE_SMOKE,
    "FireWarning": AlarmKind.FIRE_SMOKE,
    "SmokeDetection": AlarmKind.FIRE_SMOKE,
    "FireSmokeDetection": AlarmKind.FIRE_SMOKE,
    "TumbleDetection": AlarmKind.FALL,
    "FallDownDetection": AlarmKind.FALL,
    "ParkingDetection": AlarmKind.ILLEGAL_STOP,
    "TrafficParking": AlarmKind.ILLEGAL_STOP,
    "TrafficParkingB": AlarmKind.ILLEGAL_STOP,
    "TrafficParkingC": AlarmKind.ILLEGAL_STOP,
    "TrafficParkingD": AlarmKind.ILLEGAL_STOP,
    "TrafficParkingOnYellowBox": AlarmKind.ILLEGAL_STOP,
    "TrafficStay": AlarmKind.ILLEGAL_STOP,
    "RetrogradeDetection": AlarmKind.WRONG_WAY,
    "TrafficRetrograde": AlarmKind.WRONG_WAY,
    "TrafficRunRedLight": AlarmKind.RED_LIGHT,
    "WaterLevelDetection": AlarmKind.FLOOD,
    "WaterStageMonitor": AlarmKind.FLOOD,
    "FloodDetection": AlarmKind.FLOOD,
}
"""By `Code`; any other becomes `other`, its code in extra."""

_COUNTS: Final = {
    "NumberStat": ("Number", "InsideSubtotal"),
    "ManNumDetection": ("ManNum", "AreaManNum", "Number"),
    "CrowdDetection": ("PeopleNum", "GlobalPeopleNum"),
}
"""Codes that count, and where `Data` says how many people are in view."""
_SEEN: Final = ("EventID", "EventSeq", "GroupID", "RuleID", "Name")
"""What tells two happenings of one moment apart."""
_PASSED: Final = (
    ("EnteredNumber", "entered"),
    ("EnteredSubtotal", "entered"),
    ("ExitedNumber", "exited"),
    ("ExitedSubtotal", "exited"),
    ("PassedNumber", "passed"),
    ("PassedSubtotal", "passed"),
)
_EXTRA: Final = (
    ("Name", "rule"),
    ("Class", "class"),
    ("Direction", "direction"),
    ("ActionType", "region_action"),
    ("Lane", "lane"),
    ("PresetID", "preset"),
    ("SenseMethod", "sense"),
)


class Dahua:
    """Decoder of what Dahua's cameras, recorders and traffic cameras push or stream."""

    content_types = (JSON_TYPES[0], *NDJSON_TYPES, *MULTIPART_TYPES, "text/plain")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of each message; an event is refused as a whole. See `Decoder`."""
        found = documents(body, context)
        result = Decode(rejections=found.rejections, pictures=found.pictures)
        for part in found.parts:
            for line, raw, event in _messages(part, context, result):
                try:
                    events = list(_events(event, line, raw, context))
                except Refused as refused:
                    result.rejections.append(rejection(line, raw, refused))
                    continue
                if len(result.events) + len(events) > context.max_events:
                    raise TooManyEvents(len(result.events) + len(events), context.max_events)
                result.events += events
        return result


def _messages(part: Part, context: DecodeContext, result: Decode) -> Iterator[tuple[int, bytes, Tree]]:
    """Yield line, bytes and event of what a document holds; note what cannot be read."""
    text = part.body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.startswith((b"{", b"[")):
        for line, raw in _records(part):
            try:
                if len(raw) > context.max_event_bytes:
                    detail = f"the event has {len(raw)} bytes, at most {context.max_event_bytes} are taken"
                    raise Refused("max_event_bytes", detail)
                yield from ((line, raw, event) for event in _of_text(raw))
            except Refused as refused:
                result.rejections.append(rejection(line, raw, refused))
        return
    # ITSAPI writes its pictures into the JSON; without them it is a small message.
    roomy = _with_room(context)
    pieces, refused_pieces = split_objects(part.body, roomy)
    result.rejections.extend(refused_pieces)
    for number, piece in pieces:
        line, raw = part.line + number - 1, piece
        try:
            pushed = read_push(raw)
            if pushed is not None:
                raw = pushed.text
                result.pictures += pushed.pictures
                yield line, raw, {"tollgate": tollgate(pushed, context)}
            elif len(raw) > context.max_event_bytes:
                detail = f"the event has {len(raw)} bytes, at most {context.max_event_bytes} are taken"
                raise Refused("max_event_bytes", detail)
            else:
                yield from ((line, raw, event) for event in _of_json(parse_object(raw)))
        except Refused as refused:
            result.rejections.append(rejection(line, raw, refused))


def _with_room(context: DecodeContext) -> DecodeContext:
    if context.max_event_bytes >= MAX_TOLLGATE_BYTES:
        return context
    return DecodeContext(
        device_id=context.device_id,
        now_us=context.now_us,
        content_type=context.content_type,
        max_event_bytes=MAX_TOLLGATE_BYTES,
        max_events=context.max_events,
    )


def _records(part: Part) -> Iterator[tuple[int, bytes]]:
    """Cut text into one record per `Code=` at the start of a line; several may follow one another."""
    single = part.body.lower().count(b"code=") < 2
    starts = [] if single else [found.start() for found in _CODE.finditer(part.body)]
    if len(starts) < 2:
        yield part.line, part.body.strip()
        return
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(part.body)], strict=True)):
        yield part.line + number, part.body[start:end].strip()


def _of_text(raw: bytes) -> Iterator[Tree]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("utf8", f"not UTF-8: {error.reason}") from None
    if "\0" in text:
        raise Refused("no_nul", "the character U+0000 cannot be stored")
    if text.lower() in _HEARTBEATS:
        yield {"heartbeat": True}
    elif text[:5].lower() == "code=":
        yield _record(text)
    elif text.startswith("Events["):
        yield from _flat(text)
    else:
        raise Refused("known_document", "expected Code=…;action=…;index=…, Events[0].…=… or Heartbeat")


def _record(text: str) -> Tree:
    head, _, data = text.partition(";data=")
    fields = {}
    for field in head.split(";"):
        key, _, value = field.partition("=")
        fields[key.strip().lower()] = value.strip()
    event: Tree = {"Code": fields.get("code"), "Action": fields.get("action"), "Index": fields.get("index")}
    if data.strip():
        event["Data"] = _data(data)
    return event


def _data(text: str) -> Tree:
    # What follows the object on its own line belongs to the stream, not to it.
    body = text[: text.rfind("}") + 1] if text.lstrip().startswith("{") else text
    try:
        return parse_object(body.encode())
    except Refused as refused:
        if refused.rule == "object":
            return {}  # `data=null` and lists say nothing that is kept
        raise Refused(refused.rule, refused.detail, "data") from None


def _flat(text: str) -> Iterator[Tree]:
    """Yield the events of `Events[0].A.B=value` lines, the form of the picture subscription."""
    found: dict[str, Tree] = {}
    for number, line in enumerate(text.splitlines()):
        match = _FLAT.match(line)
        if match is None or number >= _MAX_FLAT_FIELDS:
            continue
        tree = found.setdefault(match[1], {})
        *path, name = match[2].strip().split(".")
        for step in path[:8]:
            below = tree.setdefault(step, {})
            tree = below if isinstance(below, dict) else {}
        tree[name] = match[3].strip()
    yield from map(_whole, found.values())


def _whole(event: Tree) -> Tree:
    """Return an event whose data lies beside its code, or beside `EventBaseInfo`, as one that has `Data`."""
    if "Data" in event:
        return event
    base = map_of(event, "EventBaseInfo")
    return {**{name: base.get(name, event.get(name)) for name in ("Code", "Action", "Index")}, "Data": event}


def _of_json(value: Tree) -> Iterator[Tree]:
    if str(value.get("Active", value.get("active", ""))).lower() == "keepalive":
        yield {"heartbeat": True}
        return
    listed = map_of(value, "params").get("eventList", value.get("eventList", value.get("Events")))
    if isinstance(listed, list):
        yield from map(_whole, maps_of(listed))
    elif "Code" in value or "EventBaseInfo" in value:
        yield _whole(value)
    elif "code" in value:
        yield {name.capitalize(): field for name, field in value.items() if isinstance(name, str)}
    else:
        raise Refused("known_document", "expected Picture, Code, eventList or Active", None)


def _events(event: Tree, line: int, raw: bytes, context: DecodeContext) -> Iterator[Decoded]:
    if (plate := event.get("tollgate")) is not None:
        yield Decoded(
            line=line,
            id=id_of(plate.source, "vehicle", *plate.key),
            source=plate.source,
            time_us=plate.time_us,
            data=plate.data,
            raw=raw,
        )
        return
    if "heartbeat" in event:
        status = CameraStatus(online=True, reason="heartbeat")
        yield Decoded(
            line=line,
            id=id_of(context.device_id, "heartbeat", context.now_us, line),
            source=context.device_id,
            time_us=context.now_us,
            data=status,
            raw=raw,
        )
        return
    code = text_of(event, "Code")
    if code is None:
        raise Refused("required", "this field is required", "Code")
    data = map_of(event, "Data")
    channel = number_of(event, "Index", 0, 65_535)
    source = channel_source(None if channel is None else str(int(channel) + 1), context)
    time_us = _time_us(data, context)
    for key, found in _found(event, code, data, context):
        # Without a time of its own nothing tells a resend from the next happening.
        when = (time_us,) if time_us is not None else (context.now_us, line)
        yield Decoded(
            line=line,
            id=id_of(source, code, *key, *(() if key[0] == "group" else when)),
            source=source,
            time_us=context.now_us if time_us is None else time_us,
            data=found,
            raw=raw,
        )


def _found(
    event: Tree, code: str, data: Tree, context: DecodeContext
) -> Iterator[tuple[tuple[object, ...], EventData]]:
    """Yield what an event tells, with what tells it from others of its code and time."""
    action = (text_of(event, "Action") or "Pulse").lower()
    active = _ACTIONS.get(action)
    if active is None:
        raise Refused("known_value", "expected Start, Stop, Pulse or State", "action")
    if code == "VideoLoss":
        yield (
            ("status", active),
            CameraStatus(online=not active, reason="videoloss" if active else "heartbeat"),
        )
        return
    seen = [text_of(data, name, "data.") for name in _SEEN]
    counts = _counts(code, data)
    if counts is not None:
        yield ("count", action, *seen), counts
        if code not in KINDS:
            return
    vehicle = vehicle_of(data, context) if code.startswith("Traffic") else None
    if vehicle is not None:
        yield vehicle
    if code in TRAFFIC_PLATES:
        if vehicle is None:
            raise Refused("required", "neither plate nor vehicle is in it", "data")
        return
    seen_object = next(maps_of(data.get("Object", data.get("Objects"))), {})
    extra = {"event": code, **extra_of(data, _EXTRA), **extra_of(seen_object, (("ObjectType", "target"),))}
    track = known_text_of(seen_object, "ObjectID", "data.Object.")
    yield (
        ("alarm", active, track, *seen),
        CameraAlarm(
            kind=KINDS.get(code, AlarmKind.OTHER),
            active=active,
            zone=text_of(data, "AreaID", "data.") or text_of(data, "Name", "data."),
            track_id=track,
            extra=extra,
        ),
    )


def _counts(code: str, data: Tree) -> CameraCount | None:
    names = _COUNTS.get(code)
    if names is None:
        return None
    people = next((count for name in names if (count := count_of(data, name, "data.")) is not None), None)
    passed = {ours: count for wire, ours in _PASSED if (count := count_of(data, wire, "data.")) is not None}
    if people is None and isinstance(data.get("ManList"), list):
        people = len(data["ManList"])
    if people is None and not passed:
        if code in KINDS:
            return None
        raise Refused("required", "no count is in it", f"data.{names[0]}")
    extra = extra_of(data, (("Name", "rule"), ("AreaID", "zone"), ("Type", "trigger")))
    return CameraCount(people=people or 0, counts=passed, extra=extra)


def _time_us(data: Tree, context: DecodeContext) -> int | None:
    """Return when it happened.

    `UTC` is local time on some firmware and true on other; `RealUTC` is always true, and `LocaleTime` is
    where the device's zone is known.
    """
    part_ms = number_of(data, "UTCMS", 0, 999, "data.") or 0
    real = number_of(data, "RealUTC", 0, 1e11, "data.")
    if real:
        return epoch_us(real, "data.RealUTC") + int(part_ms) * 1_000
    local: Any = data.get("LocaleTime")
    if isinstance(local, str) and local.strip() and context.zone is not None:
        return moment_us(local[:64], context.zone, "data.LocaleTime") + int(part_ms) * 1_000
    stated = number_of(data, "UTC", 0, 1e11, "data.")
    return epoch_us(stated, "data.UTC") + int(part_ms) * 1_000 if stated else None
