"""Vehicles of Dahua's traffic cameras: in the event stream, and as ITSAPI pushes them, pictures inside."""

from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import Refused, refusal
from ioc.ingest.decoders.fields import (
    NUL_ESCAPE,
    Tree,
    channel_source,
    extra_of,
    heading_deg,
    known_text_of,
    map_of,
    number_of,
    text_of,
)
from ioc.ingest.decoders.jsonlines import JSON_ERRORS
from ioc.ingest.decoders.moments import moment_us
from ioc.model.events import CameraObject, CameraPlate, EventData

MAX_TOLLGATE_BYTES: Final = 16 << 20
TRAFFIC_PLATES: Final = frozenset(
    {"TrafficJunction", "TrafficGate", "TrafficTollGate", "TrafficManualSnap", "TrafficSnapManual"}
)
"""Codes that say nothing but that a vehicle passed."""

_AGAINST: Final = frozenset({"reverse", "leave", "away"})
_DAY_S: Final = 86_400
_PLATE_EXTRA: Final = (("PlateColor", "plate_color"), ("PlateType", "plate_type"), ("Region", "region"))
_VEHICLE_EXTRA: Final = (
    ("VehicleColor", "color"),
    ("VehicleSign", "brand"),
    ("VehicleSeries", "model"),
    ("VehicleSize", "size"),
    ("CarType", "car_type"),
    ("MainColor", "color"),
)


_ABSENT: Final = msgspec.Raw()


class Tollgate(msgspec.Struct, frozen=True):
    """One vehicle of ITSAPI."""

    source: str
    time_us: int
    key: tuple[object, ...]
    data: EventData


class Pushed(msgspec.Struct, frozen=True):
    """A message of ITSAPI without its pictures."""

    plate: Tree
    vehicle: Tree
    snap: Tree
    text: bytes
    """What was sent, but for the pictures."""
    pictures: int


class _Picture(msgspec.Struct):
    """What is read of `Picture`; `NormalPic` and its like hold whole pictures, which are skipped unread."""

    Plate: dict[str, Any] | None = None
    Vehicle: dict[str, Any] | None = None
    SnapInfo: dict[str, Any] | None = None
    NormalPic: msgspec.Raw = _ABSENT
    CutoutPic: msgspec.Raw = _ABSENT
    VehiclePic: msgspec.Raw = _ABSENT
    CombinedPic: msgspec.Raw = _ABSENT


class _Push(msgspec.Struct):
    Picture: _Picture | None = None


_push_decoder = msgspec.json.Decoder(_Push)


def read_push(raw: bytes) -> Pushed | None:
    """Return what ITSAPI pushes, None for a message that is none of its own.

    Raises:
        Refused: its parts are no objects.
    """
    if b'"Picture"' not in raw:
        return None
    try:
        picture = _push_decoder.decode(raw).Picture
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    except JSON_ERRORS:
        return None  # whoever reads it next says what is wrong
    if picture is None:
        return None
    plate, vehicle, snap = picture.Plate or {}, picture.Vehicle or {}, picture.SnapInfo or {}
    text = msgspec.json.encode({"Picture": {"Plate": plate, "Vehicle": vehicle, "SnapInfo": snap}})
    shown = (picture.NormalPic, picture.CutoutPic, picture.VehiclePic, picture.CombinedPic)
    return Pushed(plate, vehicle, snap, text, sum(memoryview(each).nbytes > len("null") for each in shown))


def tollgate(pushed: Pushed, context: DecodeContext) -> Tollgate:
    """Return the vehicle that ITSAPI pushes.

    Raises:
        Refused: something in it is wrong.
    """
    if NUL_ESCAPE in pushed.text:
        raise Refused("no_nul", "the character U+0000 cannot be stored")
    plate, vehicle, snap = pushed.plate, pushed.vehicle, pushed.snap
    time_us = _snap_us(snap, context)
    number = known_text_of(plate, "PlateNumber", "Picture.Plate.")
    kind = known_text_of(vehicle, "VehicleType", "Picture.Vehicle.")
    direction = known_text_of(snap, "Direction", "Picture.SnapInfo.")
    channel = text_of(plate, "Channel", "Picture.Plate.")
    extra = {
        **extra_of(vehicle, _VEHICLE_EXTRA),
        **extra_of(plate, _PLATE_EXTRA),
        **extra_of(snap, (("Direction", "direction"), ("LanNo", "lane"), ("Lane", "lane"))),
    }
    if snap.get("BlockUser") is True:
        extra["list"] = "blocked"
    elif snap.get("AllowUser") is True:
        extra["list"] = "allowed"
    data = _vehicle(
        number,
        _confidence(plate, "Picture.Plate."),
        kind,
        number_of(vehicle, "Speed", 0, 1_000, "Picture.Vehicle.")
        or number_of(snap, "Speed", 0, 1_000, "Picture.SnapInfo."),
        heading_deg(direction, context, _AGAINST),
        extra,
    )
    key = (
        time_us,
        number,
        kind,
        extra.get("lane"),
        plate.get("UploadNum"),
        str(vehicle.get("VehicleBoundingBox")),
    )
    return Tollgate(channel_source(channel, context), time_us, key, data)


def vehicle_of(data: Tree, context: DecodeContext) -> tuple[tuple[object, ...], EventData] | None:
    """Return the vehicle of a traffic event with what tells it from others, None where there is none.

    A vehicle is photographed up to three times; these share a group, and are one passage.

    Raises:
        Refused: something in it is wrong.
    """
    car, vehicle, read = map_of(data, "TrafficCar"), map_of(data, "Vehicle"), map_of(data, "Object")
    if not (car or vehicle):
        return None
    number = (
        known_text_of(car, "PlateNumber", "data.TrafficCar.")
        or known_text_of(read, "Text", "data.Object.")
        or known_text_of(map_of(map_of(data, "NonMotor"), "Plate"), "Text", "data.NonMotor.Plate.")
    )
    kind = known_text_of(vehicle, "Category", "data.Vehicle.") or known_text_of(
        vehicle, "ObjectType", "data.Vehicle."
    )
    speed = number_of(car, "Speed", 0, 1_000, "data.TrafficCar.") or number_of(
        data, "Speed", 0, 1_000, "data."
    )
    direction = known_text_of(data, "JunctionDirection", "data.") or _first(car.get("DrivingDirection"))
    extra = {
        **extra_of(vehicle, (("Text", "brand"),)),
        **extra_of(car, (*_VEHICLE_EXTRA, ("PlateColor", "plate_color"), ("PlateType", "plate_type"))),
        **extra_of(data, (("Lane", "lane"), ("JunctionDirection", "direction"))),
    }
    found = _vehicle(
        number,
        _confidence(read, "data.Object."),
        kind,
        speed,
        heading_deg(direction, context, _AGAINST),
        extra,
    )
    group = text_of(data, "GroupID", "data.")
    several = number_of(data, "CountInGroup", 0, 1_000, "data.") or 0
    if group and several > 1:
        day = (
            number_of(data, "UTC", 0, 1e11, "data.") or 0
        ) // _DAY_S  # groups are numbered from each start on
        return ("group", day, group, number), found
    return ("vehicle", number, text_of(read, "ObjectID", "data.Object."), extra.get("lane"), group), found


def _vehicle(
    plate: str | None,
    confidence: float | None,
    kind: str | None,
    speed: float | None,
    heading: float | None,
    extra: dict[str, Any],
) -> EventData:
    if plate is None:
        # A vehicle was there; that its plate could not be read makes it no plate.
        return CameraObject(label=kind or "vehicle", speed_kmh=speed or None, extra=extra)
    return CameraPlate(
        plate=plate,
        confidence=1.0 if confidence is None else confidence,
        vehicle=kind,
        direction_deg=heading,
        speed_kmh=speed or None,
        extra=extra,
    )


def _confidence(tree: Tree, under: str) -> float | None:
    """Return a confidence as a fraction: of 100, or of 255 where it is more than that; 0 says nothing."""
    value = number_of(tree, "Confidence", 0, 255, under)
    if not value:
        return None
    return value / 100 if value <= 100 else value / 255


def _snap_us(snap: Tree, context: DecodeContext) -> int:
    for name in ("AccurateTime", "SnapTime"):
        text = text_of(snap, name, "Picture.SnapInfo.")
        if text is not None:
            return moment_us(text, context.zone, f"Picture.SnapInfo.{name}")
    raise Refused("required", "this field is required", "Picture.SnapInfo.AccurateTime")


def _first(value: Any) -> str | None:
    first = value[0] if isinstance(value, list) and value else value
    return first[:64] if isinstance(first, str) and first else None
