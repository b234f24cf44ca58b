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
    SEEN_VEHICLES,
    TRAFFIC_PLATES,
    read_push,
    tollgate,
    vehicles_of,
)
from ioc.ingest.decoders.data import COUNT_MAX, Refused
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
from ioc.ingest.decoders.onvif_topics import alarm_in
from ioc.model.events import AlarmKind, CameraAlarm, CameraCount, CameraStatus, EventData

_CODE: Final = re.compile(rb"(?:^|\n)[ \t]*[Cc]ode=")
_FLAT: Final = re.compile(r"\s*(?:Return)?(Events\[\d{1,4}\])\.([^=]{1,200})=(.*)")
_MAX_FLAT_FIELDS: Final = 2_000
_ACTIONS: Final = {"start": True, "stop": False, "pulse": True, "state": True, "appear": True}
_NAMES: Final = frozenset({"code", "action", "index", "data"})
_GREETINGS: Final = frozenset({"DeviceModel", "DeviceName", "DeviceType", "MACAddress", "Manufacturer"})
_HEARTBEATS: Final = ("heartbeat", "keepalive")
_HEARTBEAT_CODES: Final = ("code=heartbeat", "code=keepalive")
_CODE_CHARS: Final = 16

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
"""By `Code`; any other is understood by its words, or becomes `other`; its code is in extra."""

_INPUTS: Final = frozenset({"AlarmLocal", "AlarmOutput"})
_DISKS: Final = frozenset({"StorageFailure", "StorageLowSpace", "StorageNotExist"})
"""Codes whose `index` is no channel: the device itself says so."""

_OWN_AFFAIRS: Final = frozenset(
    {
        *(
            "VideoMotionInfo",
            "NewFile",
            "NTPAdjustTime",
            "TimeChange",
            "RtspSessionDisconnect",
            "IntelliFrame",
        ),
        *("InterVideoAccess", "LeFunctionStatusSync", "RecordDelete", "SIPRegisterResult", "KeepLightOn"),
        *("StorageChange", "SystemState", "BackKeyLight", "DGSErrorReport", "ConfigChange", "UpdateFile"),
    }
)
"""Codes of the device's own affairs: that it writes a file or sets its clock is no alarm."""

_FLOWS: Final = ("FlowStates", "FlowStats", "TrafficFlowStats")
_FLOW: Final = ("Flow", "Vehicles")
_INSIDE: Final = "InsideSubtotal"
_ZONES: Final = ("AreaID", "RegionName", "Name")
_COUNTS: Final = {
    "NumberStat": ("Number", _INSIDE),
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
    ("JamRealLength", "jam_length_m"),
    ("JamLenght", "jam_percent"),
    ("JamLength", "jam_percent"),
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
                for event in _of_text(raw):
                    if (unread := event.pop("unread", None)) is not None:
                        result.rejections.append(rejection(line, raw, unread))
                    yield line, raw, event
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
    if text.lower() in _HEARTBEATS or text[:_CODE_CHARS].partition(";")[0].lower() in _HEARTBEAT_CODES:
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
        try:
            event["Data"] = _data(data)
        except Refused as refused:
            if event["Code"] in TRAFFIC_PLATES or event["Code"] in _COUNTS:
                raise  # these say nothing without
            event["unread"] = refused
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
    if str(value.get("Active", value.get("active", ""))).lower() == "keepalive" or _is_greeting(value):
        yield {"heartbeat": True}
        return
    value = {name.capitalize() if name in _NAMES else name: field for name, field in value.items()}
    listed = map_of(value, "params").get("eventList", value.get("eventList", value.get("Events")))
    if isinstance(listed, list):
        yield from map(_whole, maps_of(listed))
    elif "Code" in value or "EventBaseInfo" in value:
        yield _whole(value)
    else:
        raise Refused("known_document", "expected Picture, Code, eventList or Active", None)


def _is_greeting(value: Tree) -> bool:
    """Return whether ITSAPI's camera says who it is, as it does when it begins to push."""
    return "DeviceInfo" in value or ("DeviceID" in value and not value.keys().isdisjoint(_GREETINGS))


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
    own = channel is None or code in _INPUTS or code in _DISKS
    source = context.device_id if own else channel_source(str(int(channel or 0) + 1), context)
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
    seen = [data.get(name) for name in _SEEN]
    counts = _counts(code, data)
    if counts is not None:
        yield ("count", action, *seen), counts
        if code not in KINDS:
            return
    seen_only = code in SEEN_VEHICLES
    vehicles = vehicles_of(data, context) if seen_only or code.startswith("Traffic") else []
    yield from vehicles
    if code in TRAFFIC_PLATES and not vehicles:
        raise Refused("required", "neither plate nor vehicle is in it", "data")
    if code in TRAFFIC_PLATES or (seen_only and vehicles):
        return
    seen_object = next(maps_of(data.get("Object", data.get("Objects"))), {})
    extra = {"event": code, **extra_of(data, _EXTRA), **extra_of(seen_object, (("ObjectType", "target"),))}
    track = known_text_of(seen_object, "ObjectID", "data.Object.")
    zone = next((text for name in _ZONES if (text := _first_text(data, name))), None)
    if code in _INPUTS:
        zone = str(int(number_of(event, "Index", 0, 65_535) or 0) + 1)
        extra["input"] = zone
    yield (
        ("alarm", active, track, zone, *seen),
        CameraAlarm(
            kind=KINDS.get(code) or alarm_in(code.lower()) or AlarmKind.OTHER,
            active=active and code not in _OWN_AFFAIRS,
            zone=zone,
            track_id=track,
            extra=extra,
        ),
    )


def _first_text(data: Tree, name: str) -> str | None:
    """Return the text at `name`, of a list the first."""
    value = data.get(name)
    return text_of({name: value[0] if isinstance(value, list) and value else value or None}, name, "data.")


def _people(code: str, data: Tree) -> int | None:
    """Return how many people are in view; of several regions together."""
    for name in _COUNTS[code]:
        if name == _INSIDE and (number_of(data, name, -COUNT_MAX, COUNT_MAX, "data.") or 0) < 0:
            continue  # entered less left, where some were not seen to enter
        if (count := count_of(data, name, "data.")) is not None:
            return count
    regions = [count_of(each, "PeopleNum", "data.RegionList.") for each in maps_of(data.get("RegionList"))]
    told = [count for count in regions if count is not None]
    return min(sum(told), int(COUNT_MAX)) if told else None


def _flow(data: Tree) -> CameraCount | None:
    """Return vehicles by lane over a period that is not told: they stand in `counts` alone."""
    lanes = [lane for name in _FLOWS for lane in maps_of(data.get(name))]
    counts: dict[str, int] = {}
    for lane in lanes:
        name = text_of(lane, "Lane", "data.FlowStates.")
        count = next((found for of in _FLOW if (found := count_of(lane, of, "data.FlowStates."))), 0)
        if name is not None:
            counts[f"lane_{name[:64]}"] = count
    return CameraCount(counts=counts, extra={"event": "TrafficFlowStat"}) if counts else None


def _counts(code: str, data: Tree) -> CameraCount | None:
    if code == "TrafficFlowStat":
        return _flow(data)
    if code not in _COUNTS:
        return None
    people = _people(code, data)
    passed = {ours: count for wire, ours in _PASSED if (count := count_of(data, wire, "data.")) is not None}
    if people is None and isinstance(data.get("ManList"), list):
        people = len(data["ManList"])
    if people is None and not passed:
        if code in KINDS:
            return None
        raise Refused("required", "no count is in it", f"data.{_COUNTS[code][0]}")
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
    written = data.get("UTC")
    if isinstance(written, str) and ":" in written:
        return moment_us(written[:64], context.zone, "data.UTC")
    stated = number_of(data, "UTC", 0, 1e11, "data.")
    return epoch_us(stated, "data.UTC") + int(part_ms) * 1_000 if stated else None
