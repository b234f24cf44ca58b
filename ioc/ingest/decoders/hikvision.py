"""Hikvision ISAPI: `EventNotificationAlert` in XML or JSON, alone or in multipart with its pictures.

A camera that sees something posts its alarm again each second, with `activePostCount` one higher and
`dateTime` one second later. The moment it began is therefore the same in all of these, and so is the id.
"""

from collections.abc import Iterator
from typing import Final

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import MAX_NAME_CHARS, Refused
from ioc.ingest.decoders.fields import (
    Tree,
    channel_source,
    extra_of,
    flag_of,
    heading_deg,
    id_of,
    known_text_of,
    map_of,
    maps_of,
    number_of,
    parse_object,
    plate_text_of,
    rejection,
    speed_of,
    text_of,
    tree_of,
)
from ioc.ingest.decoders.hikvision_counts import COUNTING, counts_of
from ioc.ingest.decoders.hikvision_targets import targets_of
from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES, split_objects
from ioc.ingest.decoders.media import MULTIPART_TYPES, XML_TYPES
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.multipart import documents
from ioc.ingest.decoders.onvif_topics import alarm_in
from ioc.ingest.decoders.xml import parse_xml
from ioc.model.events import AlarmKind, CameraAlarm, CameraObject, CameraPlate, CameraStatus, EventData

_ROOT: Final = "EventNotificationAlert"
_SECOND_US: Final = 1_000_000
_MAX_REGIONS: Final = 64
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_REVERSE: Final = frozenset({"reverse", "backward", "leave", "away"})

KINDS: Final[dict[str, AlarmKind]] = {
    "vmd": AlarmKind.MOTION,
    "motiondetection": AlarmKind.MOTION,
    "pir": AlarmKind.MOTION,
    "linedetection": AlarmKind.LINE_CROSSING,
    "crossline": AlarmKind.LINE_CROSSING,
    "fielddetection": AlarmKind.INTRUSION,
    "regionentrance": AlarmKind.INTRUSION,
    "regionexiting": AlarmKind.INTRUSION,
    "regionexit": AlarmKind.INTRUSION,
    "intrusion": AlarmKind.INTRUSION,
    "loitering": AlarmKind.LOITERING,
    "group": AlarmKind.CROWD,
    "crowd": AlarmKind.CROWD,
    "persondensitydetection": AlarmKind.CROWD,
    "shelteralarm": AlarmKind.TAMPER,
    "tamperdetection": AlarmKind.TAMPER,
    "scenechangedetection": AlarmKind.TAMPER,
    "defocus": AlarmKind.TAMPER,
    "firedetection": AlarmKind.FIRE_SMOKE,
    "smokedetection": AlarmKind.FIRE_SMOKE,
    "smokeandfiredetection": AlarmKind.FIRE_SMOKE,
    "fire": AlarmKind.FIRE_SMOKE,
    "smoke": AlarmKind.FIRE_SMOKE,
    "parking": AlarmKind.ILLEGAL_STOP,
    "illegalparking": AlarmKind.ILLEGAL_STOP,
    "parkingviolation": AlarmKind.ILLEGAL_STOP,
    "abnormalparking": AlarmKind.ILLEGAL_STOP,
    "wrongdirection": AlarmKind.WRONG_WAY,
    "reversedriving": AlarmKind.WRONG_WAY,
    "inverse": AlarmKind.WRONG_WAY,
    "conversedriving": AlarmKind.WRONG_WAY,
    "retrograde": AlarmKind.WRONG_WAY,
    "runredlight": AlarmKind.RED_LIGHT,
    "redlight": AlarmKind.RED_LIGHT,
    "falldown": AlarmKind.FALL,
    "falldowndetection": AlarmKind.FALL,
    "waterlevel": AlarmKind.FLOOD,
    "waterleveldetection": AlarmKind.FLOOD,
    "flood": AlarmKind.FLOOD,
}
"""By `eventType` in lower case, letters and digits only; any other by its words, or else `other`."""

_ALARM_EXTRA: Final = (
    ("channelName", "channel_name"),
    ("targetType", "target"),
    ("detectionTarget", "target"),
    ("direction", "direction"),
    ("ruleID", "rule"),
    ("inputIOPortID", "input"),
    ("dynInputIOPortID", "input"),
)
_PLATE_EXTRA: Final = (
    ("direction", "direction"),
    ("line", "lane"),
    ("laneNo", "lane"),
    ("plateType", "plate_type"),
    ("plateColor", "plate_color"),
    ("country", "country"),
    ("region", "region"),
    ("vehicleListName", "list"),
    ("dangmark", "dangerous_goods"),
)
_VEHICLE_EXTRA: Final = (
    ("vehicleColor", "color"),
    ("vehicleLogo", "brand"),
    ("brand", "brand"),
    ("color", "color"),
    ("vehicleLogoRecog", "brand_code"),
    ("vehicleBrand", "brand"),
)


class Hikvision:
    """Decoder of what Hikvision's cameras and recorders push, and of their alert stream."""

    content_types = (*XML_TYPES, JSON_TYPES[0], *NDJSON_TYPES, *MULTIPART_TYPES, "text/plain")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of each alert; one alert is refused as a whole. See `Decoder`."""
        found = documents(body, context)
        result = Decode(rejections=found.rejections, pictures=found.pictures)
        for part in found.parts:
            for line, raw in _alerts(part.body, part.line, context, result.rejections):
                try:
                    alerts = _read(raw)
                except Refused as refused:
                    result.rejections.append(rejection(line, raw, refused))
                    continue
                for alert in alerts:
                    _add(alert, line, raw, context, result)
        return result


def _add(alert: Tree, line: int, raw: bytes, context: DecodeContext, result: Decode) -> None:
    try:
        events = list(_events(alert, line, raw, context))
    except Refused as refused:
        result.rejections.append(rejection(line, raw, refused))
        return
    if len(result.events) + len(events) > context.max_events:
        raise TooManyEvents(len(result.events) + len(events), context.max_events)
    result.events += events


def _alerts(
    document: bytes, line: int, context: DecodeContext, rejections: list[Rejection]
) -> list[tuple[int, bytes]]:
    if _is_xml(document):
        if len(document) > context.max_event_bytes:
            detail = f"the event has {len(document)} bytes, at most {context.max_event_bytes} are taken"
            rejections.append(Rejection(line=line, rule="max_event_bytes", detail=detail, raw=document))
            return []
        return [(line, document)]
    pieces, refused = split_objects(document, context)
    rejections.extend(refused)
    return [(line + number - 1, piece) for number, piece in pieces]


def _read(raw: bytes) -> list[Tree]:
    if not _is_xml(raw):
        value = parse_object(raw)
        return list(maps_of(value.get(_ROOT, value)))
    root = parse_xml(raw)
    alerts = [tree_of(element) for element in root.iter(_ROOT)]
    if not alerts:
        raise Refused("known_document", f"expected <{_ROOT}>, got <{str(root.tag)[:64]}>")
    return [alert if isinstance(alert, dict) else {} for alert in alerts]


def _is_xml(document: bytes) -> bool:
    return document.startswith(_UTF16) or document[:64].lstrip(b"\xef\xbb\xbf \t\r\n\0").startswith(b"<")


def _events(alert: Tree, line: int, raw: bytes, context: DecodeContext) -> Iterator[Decoded]:
    stated = text_of(alert, "eventType")
    if stated is None:
        raise Refused("required", "this field is required", "eventType")
    source = channel_source(text_of(alert, "dynChannelID") or text_of(alert, "channelID"), context)
    time_us = _time_us(alert, context)
    lon, lat = _position(alert)
    for key, when_us, data in _found(alert, stated, time_us, context):
        yield Decoded(
            line=line,
            id=id_of(source, *key) if time_us is not None else id_of(source, context.now_us, raw, *key),
            source=source,
            time_us=when_us,
            data=data,
            raw=raw,
            lon=lon,
            lat=lat,
        )


def _found(
    alert: Tree, stated: str, time_us: int | None, context: DecodeContext
) -> Iterator[tuple[tuple[object, ...], int, EventData]]:
    """Yield what an alert tells: what makes its id, its time and its data."""
    kind = _plain(stated)
    when_us = context.now_us if time_us is None else time_us
    active = (text_of(alert, "eventState") or "active").lower() != "inactive"
    if kind in ("heartbeat", "videoloss"):
        lost = kind == "videoloss" and active
        # The idle alert stream says that no video is lost; that is its heartbeat.
        reason = "videoloss" if lost else "heartbeat"
        began_us = _began_us(alert, when_us) if lost else when_us
        yield ("status", lost, began_us), when_us, CameraStatus(online=not lost, reason=reason)
    elif kind == "anpr" or "ANPR" in alert:
        reads = list(maps_of(alert.get("ANPR"))) or [alert if "licensePlate" in alert else {}]
        for number, read in enumerate(reads):
            yield from _vehicle(alert, read, number, when_us, context)
    elif kind in COUNTING or "peopleCounting" in alert:
        counted = counts_of(alert, kind, when_us, context)
        for counts in counted:
            yield ("count", kind, counts.key, counts.time_us), counts.time_us, counts.data
        if not counted:
            yield from _alarms(alert, stated, when_us, active)
    elif targets := list(targets_of(alert)):
        for key, data in targets:
            yield ("target", when_us, *key), when_us, data
    else:
        yield from _alarms(alert, stated, when_us, active)


def _alarms(
    alert: Tree, stated: str, when_us: int, active: bool
) -> Iterator[tuple[tuple[object, ...], int, EventData]]:
    subtype = next((text for name in _SUBTYPES if (text := _deep_text(alert, name))), _lasting(alert))
    kind = _kind_of(stated) or _kind_of(subtype or "") or AlarmKind.OTHER
    began_us = _began_us(alert, when_us) if active else when_us
    target = text_of(alert, "targetID") or text_of(alert, "UUID")
    for region in _regions(alert):
        zone = (
            text_of(region, "regionID", "DetectionRegionEntry.")
            or text_of(region, "regionName", "DetectionRegionEntry.")
            or text_of(alert, "inputIOPortID")
        )
        extra = {"event": stated, **extra_of(alert, _ALARM_EXTRA), **extra_of(region, _ALARM_EXTRA)}
        if subtype is not None:
            extra["event_subtype"] = subtype
        data = CameraAlarm(kind=kind, active=active, zone=zone, track_id=target, extra=extra)
        seen = (stated, subtype, active, began_us, zone, target, extra.get("target"), extra.get("input"))
        yield ("alarm", *seen), when_us, data


_SUBTYPES: Final = ("aidType", "AIDType", "eventSubType", "subEventType", "illegalType", "eventName")
"""Where the families of traffic and access events say what it is."""


def _lasting(alert: Tree) -> str | None:
    """Return which event it is that an alert of type `duration` says goes on."""
    return next(
        (text_of(each, "relationEvent") for each in maps_of(map_of(alert, "DurationList").get("Duration"))),
        None,
    )


def _deep_text(alert: Tree, name: str) -> str | None:
    for tree in (alert, *maps_of(list(alert.values()))):
        if isinstance(tree.get(name), str):
            return text_of(tree, name)
    return None


def _regions(alert: Tree) -> list[Tree]:
    listed = maps_of(alert.get("DetectionRegionList"))
    entries = [
        entry
        for each in listed
        for entry in maps_of(each.get("DetectionRegionEntry", each.get("DetectionRegion", each)))
    ]
    # A region twice in one alert is one target more in it, not one alarm more.
    unique = {(str(entry.get("regionID")), str(entry.get("detectionTarget"))): entry for entry in entries}
    return list(unique.values())[:_MAX_REGIONS] or [alert]


def _vehicle(
    alert: Tree, read: Tree, number: int, when_us: int, context: DecodeContext
) -> Iterator[tuple[tuple[object, ...], int, EventData]]:
    vehicle = map_of(read, "vehicleInfo") or map_of(alert, "vehicleInfo")
    plate = plate_text_of(read, "licensePlate", "ANPR.") or plate_text_of(read, "plateNo", "ANPR.")
    confidence = number_of(read, "confidenceLevel", 0, 100, "ANPR.")
    if confidence is None:
        confidence = number_of(read, "confidence", 0, 100, "ANPR.")
    kind = known_text_of(read, "vehicleType", "ANPR.") or known_text_of(
        vehicle, "vehicleType", "ANPR.vehicleInfo."
    )
    speed_kmh = speed_of(vehicle, "speed", "ANPR.vehicleInfo.") or speed_of(read, "speed", "ANPR.")
    extra = {
        **extra_of(alert, (("channelName", "channel_name"),)),
        **extra_of(read, _VEHICLE_EXTRA),
        **extra_of(vehicle, _VEHICLE_EXTRA),
        **extra_of(read, _PLATE_EXTRA),
    }
    if limit := number_of(read, "speedLimit", 0, 1_000, "ANPR."):
        extra["speed_limit_kmh"] = limit
    if flag_of(alert, "isDataRetransmission"):
        extra["retransmitted"] = True
    if flag_of(read, "twoWheelVehicle"):
        kind = "two_wheeler"
    uuid = text_of(alert, "UUID")
    seen = (
        (uuid, *([number] if number else []))
        if uuid
        else (when_us, plate, extra.get("lane"), vehicle.get("index"))
    )
    data: EventData
    if plate is None:
        # A vehicle was there; that its plate could not be read makes it no plate.
        data = CameraObject(label=kind or "vehicle", speed_kmh=speed_kmh, extra=extra)
    else:
        data = CameraPlate(
            plate=plate,
            confidence=_share(confidence),
            vehicle=kind,
            direction_deg=heading_deg(text_of(read, "direction", "ANPR."), context, _REVERSE),
            speed_kmh=speed_kmh,
            extra=extra,
        )
    yield ("vehicle", *seen), when_us, data
    illegal = map_of(read, "illegalInfo")
    what = known_text_of(illegal, "illegalName", "ANPR.illegalInfo.")
    code = known_text_of(illegal, "illegalCode", "ANPR.illegalInfo.")
    # An orderly passage is told as code 0, "Normal".
    if code not in (None, "0") or (code is None and what and what.lower() != "normal"):
        about = {
            "event": "ANPR",
            **extra_of(illegal, (("illegalName", "offence"), ("illegalCode", "offence_code"))),
        }
        alarm = CameraAlarm(kind=_kind_of(what or "") or AlarmKind.OTHER, extra=about)
        yield ("offence", *seen), when_us, alarm


def _share(confidence: float | None) -> float:
    """Return a confidence as a fraction: it is in per cent, and of some senders a fraction already."""
    if confidence is None:
        return 1.0
    return confidence if 0 < confidence < 1 else confidence / 100


def _began_us(alert: Tree, when_us: int) -> int:
    posts = number_of(alert, "activePostCount", 0, 2**31) or 1
    return when_us - (max(int(posts), 1) - 1) * _SECOND_US


def _time_us(alert: Tree, context: DecodeContext) -> int | None:
    for name in ("dateTime", "triggerTime", "eventTime"):
        text = alert.get(name)
        if text:
            if not isinstance(text, str):
                raise Refused("type", "expected a text", name)
            return _moment_us(text, context, name)
    return None


def _moment_us(text: str, context: DecodeContext, field: str) -> int:
    if len(text) > MAX_NAME_CHARS:
        raise Refused("iso8601", "expected ISO 8601, e.g. 2026-11-22T10:00:00+07:00", field)
    return moment_us(text, context.zone, field)


def _position(alert: Tree) -> tuple[float | None, float | None]:
    gps = map_of(alert, "DeviceGPSInfo") or map_of(alert, "GPSInfo")
    if not gps:
        return None, None
    return (
        _degrees(gps, "Longitude", 180, _is_of(gps, "longitudeType", "w")),
        _degrees(gps, "Latitude", 90, _is_of(gps, "latitudeType", "s")),
    )


def _is_of(gps: Tree, name: str, hemisphere: str) -> bool:
    return str(gps.get(name)).strip().lower().startswith(hemisphere)


def _degrees(gps: Tree, name: str, limit: int, negative: bool) -> float | None:
    """Return degrees of degree, minute and second, or of a plain number; a place that is none is no place."""
    at = gps.get(name, gps.get(name.lower()))
    try:
        if isinstance(at, dict):
            parts = [number_of(at, unit, 0, limit) or 0.0 for unit in ("degree", "minute", "sec")]
            value: float | None = parts[0] + parts[1] / 60 + parts[2] / 3600
        else:
            value = number_of(gps, name if name in gps else name.lower(), -limit, limit)
    except Refused:
        return None
    return -value if value is not None and negative else value


def _kind_of(name: str) -> AlarmKind | None:
    """Return the kind of a name: as the table has it or, of other families and firmware, by its words."""
    plain = _plain(name)
    kind = KINDS.get(plain)
    return kind if kind is not None else alarm_in(plain)


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
