"""Vehicles of Dahua's traffic cameras: in the event stream, and as ITSAPI pushes them, pictures inside."""

from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.dahua_forms import Push
from ioc.ingest.decoders.data import Refused, refusal, refuse_nul
from ioc.ingest.decoders.fields import (
    Tree,
    channel_source,
    extra_of,
    heading_deg,
    known_text_of,
    map_of,
    number_of,
    plate_text_of,
    speed_of,
    text_of,
)
from ioc.ingest.decoders.jsonlines import JSON_ERRORS
from ioc.ingest.decoders.moments import moment_us
from ioc.model.events import CameraObject, CameraPlate, EventData

MAX_TOLLGATE_BYTES: Final = 16 << 20
TRAFFIC_PLATES: Final = frozenset(
    {
        *("TrafficJunction", "TrafficGate", "TrafficTollGate", "TrafficManualSnap", "TrafficSnapManual"),
        "TrafficCarMeasurement",
    }
)
"""Codes that say nothing but that a vehicle passed."""
SEEN_VEHICLES: Final = frozenset({"VehicleDetect", "NonMotorDetect"})
"""Codes that say that a vehicle is seen, where they show one."""

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
_CAR_EXTRA: Final = (("PlateColor", "plate_color"), ("PlateType", "plate_type"), ("Lane", "lane"))
_WEIGHTS: Final = (("TotalWeight", "weight_kg"), ("OverWeight", "overweight_kg"), ("AxleNum", "axles"))


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


_push_decoder: Final = msgspec.json.Decoder(Push)


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
    refuse_nul(pushed.text)
    plate, vehicle, snap = pushed.plate, pushed.vehicle, pushed.snap
    time_us = _snap_us(snap, context)
    number = plate_text_of(plate, "PlateNumber", "Picture.Plate.")
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
        speed_of(vehicle, "Speed", "Picture.Vehicle.") or speed_of(snap, "Speed", "Picture.SnapInfo."),
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


def vehicles_of(data: Tree, context: DecodeContext) -> list[tuple[tuple[object, ...], EventData]]:
    """Return the vehicles of a traffic event, each with what tells it from others.

    A motorcycle or bicycle stands apart (`NonMotor`), alone or beside a car. Where both have one plate, or
    the car has neither plate nor looks, it is the one vehicle.

    Raises:
        Refused: something in it is wrong.
    """
    rider = map_of(data, "NonMotor")
    car = _car_of(data, context)
    if not rider:
        return [] if car is None else [car]
    plate = next(filter(None, (plate_text_of(*at) for at in _rider_plates(rider))), None)
    if car is not None and isinstance(car[1], CameraPlate) and not map_of(data, "Vehicle"):
        if plate is None or _signs(plate) == _signs(car[1].plate):
            plate, car = car[1].plate, None
    elif car is not None and not map_of(data, "Vehicle"):
        car = None
    found = _rider_of(data, rider, plate)
    return [found] if car is None else [car, found]


def _rider_plates(rider: Tree) -> tuple[tuple[Tree, str, str], ...]:
    return (
        (map_of(rider, "Plate"), "Text", "data.NonMotor.Plate."),
        (map_of(rider, "Plate"), "PlateNumber", "data.NonMotor.Plate."),
        (rider, "PlateNumber", "data.NonMotor."),
    )


def _signs(plate: str) -> str:
    return "".join(filter(str.isalnum, plate)).upper()


def _rider_of(data: Tree, rider: Tree, plate: str | None) -> tuple[tuple[object, ...], EventData]:
    kind = known_text_of(rider, "Category", "data.NonMotor.")
    car = map_of(data, "TrafficCar")
    extra = {
        **extra_of(car, (("Lane", "lane"),)),
        **extra_of(data, (("Lane", "lane"), ("JunctionDirection", "direction"))),
        **extra_of(rider, (("Color", "color"), ("NumOfCycling", "riders"))),
    }
    speed = (
        speed_of(rider, "Speed", "data.NonMotor.")
        or speed_of(car, "Speed", "data.TrafficCar.")
        or speed_of(data, "Speed", "data.")
    )
    confidence = _confidence(map_of(rider, "Plate"), "data.NonMotor.Plate.")
    track = text_of(rider, "ObjectID", "data.NonMotor.")
    found = _vehicle(plate, confidence, kind or "NonMotor", speed, None, extra)
    return _passage(data, "nonmotor", plate, track, extra.get("lane")), found


def _car_of(data: Tree, context: DecodeContext) -> tuple[tuple[object, ...], EventData] | None:
    """Return the car of a traffic event with what tells it from others, None where there is none."""
    car, vehicle, read = map_of(data, "TrafficCar"), map_of(data, "Vehicle"), map_of(data, "Object")
    if str(read.get("ObjectType", "Plate")).lower() != "plate":
        read = {}  # the text of a vehicle is its make
    apart = map_of(data, "Plate")
    if not (car or vehicle or apart or read.get("Text")):
        return None
    number = (
        plate_text_of(car, "PlateNumber", "data.TrafficCar.")
        or plate_text_of(read, "Text", "data.Object.")
        or plate_text_of(apart, "PlateNumber", "data.Plate.")
    )
    kind = known_text_of(vehicle, "Category", "data.Vehicle.") or known_text_of(
        vehicle, "ObjectType", "data.Vehicle."
    )
    speed = speed_of(car, "Speed", "data.TrafficCar.") or speed_of(data, "Speed", "data.")
    direction = known_text_of(data, "JunctionDirection", "data.") or _driving(car)
    extra = {
        **extra_of(vehicle, (("Text", "brand"), ("SubText", "model"))),
        **extra_of(car, (*_VEHICLE_EXTRA, *_CAR_EXTRA)),
        **extra_of(data, (("Lane", "lane"),)),
        **extra_of(map_of(data, "CarWeightInfo"), _WEIGHTS),
    }
    if direction is not None:
        extra["direction"] = direction
    confidence = (
        _confidence(read, "data.Object.")
        or _confidence(apart, "data.Plate.")
        or _confidence(car, "data.TrafficCar.")
    )
    found = _vehicle(number, confidence, kind, speed, heading_deg(direction, context, _AGAINST), extra)
    track = text_of(read, "ObjectID", "data.Object.")
    return _passage(data, "vehicle", number, track, extra.get("lane")), found


def _passage(data: Tree, kind: str, plate: str | None, track: str | None, lane: object) -> tuple[object, ...]:
    """Return what tells a passage from others.

    A vehicle is photographed up to three times; these share a group, and are one passage.
    """
    group = text_of(data, "GroupID", "data.")
    several = number_of(data, "CountInGroup", 0, 1_000, "data.") or 0
    if group and several > 1:
        # Groups are numbered from each start on.
        day = (number_of(data, "UTC", 0, 1e11, "data.") or 0) // _DAY_S
        return ("group", day, group, plate, *(() if kind == "vehicle" else (kind,)))
    return (kind, plate, track, lane, group)


def _driving(car: Tree) -> str | None:
    """Return where a car drives as seen by the camera; lines of a subscription have a name for each place."""
    return _first(car.get("DrivingDirection", car.get("DrivingDirection[0]")))


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
        return CameraObject(label=kind or "vehicle", speed_kmh=speed, extra=extra)
    return CameraPlate(
        plate=plate,
        confidence=1.0 if confidence is None else confidence,
        vehicle=kind,
        direction_deg=heading,
        speed_kmh=speed,
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
