"""Smart Data Models: what becomes of an NGSI entity, one function per entity type.

A reader takes what it understands out of the entity's values; what is left goes to `extra`.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import MAX_NAME_CHARS, NESTED, NUMBERS, Refused, as_number, computable
from ioc.ingest.decoders.fields import is_plate
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.ngsi_entity import Entity
from ioc.model.times import SECOND_US

_KMH_OF: Final = {"KMH": 1.0, "MTS": 3.6, "HM": 1.609344, "KNT": 1.852}
"""UN/CEFACT codes of speeds."""
_PERCENT: Final = "P1"
_SEVERITIES: Final = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "low": "low",
    "informational": "low",
}
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s\-]+")
_SPEEDS: Final = ("averageVehicleSpeed", "averageSpeed")
_INTENSITIES: Final = ("intensity", "vehicleCount")
"""The model's own name before what is written for it."""
_LOOKS: Final = (
    ("brand", "brand"),
    ("model", "model"),
    ("color", "color"),
    ("plateColor", "plate_color"),
    ("country", "country"),
)
_AT_WORK: Final = frozenset({"open", "started", "inprogress", "ongoing", "nonauthorizedworks"})
"""States of works that are being done, not planned or completed."""
_DEAD: Final = (
    "numPassengersDead",
    "numPedestrianDead",
    "totalDeadPeopleWithin24Hours",
    "totalDeadPeopleWithin30Days",
)
_INJURED: Final = ("totalInjured", "numPassengersInjured", "numPedestrianInjured")
_MOMENTS: Final = ("TimeInstant", "dateModified", "modifiedAt")
_FINE: Final = ("amountCollected", "paymentStatus", "mediaURL")
"""Of a violation: about a person, and nothing that an operations centre acts on."""
_HOUR_S: Final = 3_600.0


class Read(msgspec.Struct, gc=False):
    """What a table makes of an entity."""

    kind: str
    fields: dict[str, Any]
    time_us: int
    measures: bool = True
    """Whether the entity is a source of its own."""
    holds: bool = False
    """Whether a situation is stated to hold now, however long ago it was told."""


def _traffic_flow(entity: Entity, context: DecodeContext) -> Read:
    time_us, interval_s = _interval(entity, context, "intensity")
    fields: dict[str, Any] = {
        "speed_kmh": _speed(entity, _first(entity, _SPEEDS)),
        "occupancy": _occupancy(entity, context),
        "volume_veh": _volume(entity, context, interval_s),
        "lane": _text(entity.values.pop("laneId", None)),
    }
    if interval_s:
        fields["interval_s"] = interval_s
    return Read("traffic.flow", fields, time_us)


def _item_flow(entity: Entity, context: DecodeContext) -> Read:
    time_us, interval_s = _interval(entity, context, "intensity")
    people = entity.values.get("itemType") == "people"
    count = _volume(entity, context, interval_s)
    fields: dict[str, Any] = {"people" if people else "vehicles": count, "interval_s": interval_s}
    return Read("camera.count", fields, time_us)


def _crowd_flow(entity: Entity, context: DecodeContext) -> Read:
    time_us, interval_s = _interval(entity, context, "peopleCount")
    fields = {"people": _whole(as_number(entity.values.pop("peopleCount", None))), "interval_s": interval_s}
    return Read("camera.count", fields, time_us)


def _anpr_flow(entity: Entity, context: DecodeContext) -> Read:
    time_us, _ = _interval(entity, context, "observedVehicle")
    vehicle = entity.values.pop("observedVehicle", None)
    plate = vehicle.get("licensePlate") if isinstance(vehicle, dict) else None
    read, confidence = plate, None
    if isinstance(plate, dict):
        read, confidence = plate.get("identifier"), plate.get("confidence")
    if not isinstance(vehicle, dict) or not (vehicle or entity.values.get("vehiclePlateNotRead")):
        raise Refused("required", "no plate was read", "observedVehicle.licensePlate")
    kind = _text(vehicle.get("vehicleType") or vehicle.get("type"))
    fields: dict[str, Any] = {"speed_kmh": vehicle.get("speed"), "direction": vehicle.get("direction")}
    for name, ours in _LOOKS:
        part = vehicle.get(name)
        fields[ours] = part.get("name", part.get("code")) if isinstance(part, dict) else part
    if not isinstance(read, str) or not is_plate(read):
        # A vehicle was there; that its plate could not be read makes it no plate.
        return Read("camera.object", {**fields, "label": kind or "vehicle"}, time_us)
    return Read("camera.plate", {**fields, "plate": read, "confidence": confidence, "vehicle": kind}, time_us)


def _alert(entity: Entity, context: DecodeContext) -> Read:
    deleted = entity.values.pop("deletedAt", None)
    issued_us = _time_us(
        entity, context, ("dateModified", "modifiedAt", "dateIssued", "dateObserved", "validFrom")
    )
    until = entity.values.get("validTo")
    over = isinstance(until, str) and moment_us(until, context.zone, "validTo") <= context.now_us
    fields = {
        "situation_id": entity.id,
        "kind": _snake(entity.values.get("subCategory") or entity.values.get("category") or "alert"),
        "active": deleted is None and not over,
        "severity": _SEVERITIES.get(str(entity.values.pop("severity", None)).lower()),
        "text": _text(entity.values.pop("description", None)),
        "road": _road(entity),
    }
    holds = fields["active"] is True and isinstance(until, str)
    return Read("traffic.situation", fields, issued_us or context.now_us, measures=False, holds=holds)


def _accident(entity: Entity, context: DecodeContext) -> Read:
    deleted = entity.values.pop("deletedAt", None)
    modified_us = _time_us(entity, context, ("dateModified", "modifiedAt"))
    happened_us = _time_us(entity, context, ("accidentDate", "dateObserved", "dateCreated"))
    status = entity.values.pop("status", None)
    severity = "medium"
    if _any_positive(entity, _DEAD):
        severity = "critical"
    elif _any_positive(entity, _INJURED):
        severity = "high"
    fields = {
        "situation_id": entity.id,
        "kind": "accident",
        "active": deleted is None and str(status or "onGoing").lower() == "ongoing",
        "severity": severity,
        "text": _text(entity.values.pop("description", None)),
        "road": _road(entity),
    }
    told_us = modified_us
    if told_us is None or (happened_us is not None and happened_us > told_us):
        told_us = happened_us
    return Read("traffic.situation", fields, context.now_us if told_us is None else told_us, measures=False)


def _city_work(entity: Entity, context: DecodeContext) -> Read:
    """Return works in the street: in force while they are open, from their beginning to their end."""
    deleted = entity.values.pop("deletedAt", None)
    told_us = _time_us(
        entity,
        context,
        ("dateModified", "modifiedAt", "dateLastReported", "workLastDateUpdate", "dateCreated", "createdAt"),
    )
    begun = _is_past(entity, context, "startDate")
    over = _is_past(entity, context, "endDate")
    state = str(entity.values.get("workState", "open")).lower()
    fields = {
        "situation_id": entity.id,
        "kind": "city_work",
        "active": deleted is None and state in _AT_WORK and begun is not False and over is not True,
        "text": _text(entity.values.pop("description", None)),
        "road": _road(entity),
    }
    holds = fields["active"] is True and over is False
    return Read("traffic.situation", fields, told_us or context.now_us, measures=False, holds=holds)


def _is_past(entity: Entity, context: DecodeContext, name: str) -> bool | None:
    """Return whether a time has passed, None where it is not told."""
    told = entity.values.get(name)
    return moment_us(told, context.zone, name) <= context.now_us if isinstance(told, str) and told else None


def _anomaly(entity: Entity, context: DecodeContext) -> Read:
    detected_us = _time_us(entity, context, ("dateDetected", "dateModified", "modifiedAt"))
    fields = {
        "situation_id": entity.id,
        "kind": "anomaly",
        "active": entity.values.pop("deletedAt", None) is None,
    }
    return Read("traffic.situation", fields, detected_us or context.now_us, measures=False)


def _violation(entity: Entity, context: DecodeContext) -> Read:
    """Return what equipment recorded of a driver: over when it is told, so it raises nothing by itself."""
    seen_us = _time_us(entity, context, ("observationDateTime", "dateObserved", *_MOMENTS))
    for private in _FINE:
        entity.values.pop(private, None)
    fields = {
        "situation_id": entity.id,
        "kind": "traffic_violation",
        "active": False,
        "text": _text(entity.values.pop("description", None)),
        "road": _road(entity),
    }
    return Read("traffic.situation", fields, seen_us or context.now_us, measures=False)


READERS: Final[dict[str, Callable[[Entity, DecodeContext], Read]]] = {
    "TrafficFlowObserved": _traffic_flow,
    "ItemFlowObserved": _item_flow,
    "CrowdFlowObserved": _crowd_flow,
    "AnprFlowObserved": _anpr_flow,
    "Alert": _alert,
    "WeatherAlert": _alert,
    "CityWork": _city_work,
    "RoadAccident": _accident,
    "Anomaly": _anomaly,
    "TrafficViolation": _violation,
}
"""Entity types of Smart Data Models, and who reads them."""


# Times


def _time_us(entity: Entity, context: DecodeContext, names: tuple[str, ...]) -> int | None:
    """Return the first time that is stated under one of `names`."""
    for name in names:
        if name in entity.values:
            value = entity.values.pop(name)
            if isinstance(value, str) and value:
                return moment_us(value, context.zone, name)
    return None


def _interval(entity: Entity, context: DecodeContext, observed: str) -> tuple[int, float | None]:
    """Return when an observation ended, and over how many seconds it went.

    It is stated by two attributes, or in one as `from/to`, or only its moment is.
    """
    values = entity.values
    begin = values.pop("dateObservedFrom", None)
    end = values.pop("dateObservedTo", None)
    whole = values.pop("dateObserved", None)
    stated = isinstance(begin, str) and isinstance(end, str)
    if not stated and isinstance(whole, str) and "/" in whole:
        begin, _, end = whole.partition("/")
        stated = True
    if stated:
        begin_us = moment_us(begin, context.zone, "dateObservedFrom")
        end_us = moment_us(end, context.zone, "dateObservedTo")
        if end_us >= begin_us:
            return end_us, (end_us - begin_us) / SECOND_US
        raise Refused("interval", "the observation ends before it begins", "dateObservedTo")
    for moment in (end, whole, begin):
        if isinstance(moment, str):
            return moment_us(moment, context.zone, "dateObserved"), None
    moment = entity.note(observed, "observedAt") or entity.note(observed, "TimeInstant")
    if moment is None:
        return _time_us(entity, context, _MOMENTS) or context.now_us, None
    if not isinstance(moment, str):
        raise Refused("iso8601", "expected ISO 8601, e.g. 2026-11-22T10:00:00+07:00", "dateObserved")
    return moment_us(moment, context.zone, "dateObserved"), None


# Values


def _first(entity: Entity, names: tuple[str, ...]) -> str:
    """Return the first of `names` that an entity has, the model's own name where it has none."""
    for name in names:
        if name in entity.values:
            return name
    return names[0]


def _speed(entity: Entity, name: str) -> Any:
    value, unit = as_number(entity.values.pop(name, None)), entity.note(name, "unitCode")
    if unit is None or not computable(value):
        return value
    if not isinstance(unit, str) or unit not in _KMH_OF:
        raise Refused("unit", f"{unit!r} is no speed; known: {', '.join(_KMH_OF)}", f"{name}.unitCode")
    return value * _KMH_OF[unit]


def _occupancy(entity: Entity, context: DecodeContext) -> Any:
    value = as_number(entity.values.pop("occupancy", None))
    if not computable(value):
        return value
    percent = (
        entity.note("occupancy", "unitCode") == _PERCENT or context.options.get("occupancy") == "percent"
    )
    return value / 100 if percent else value


def _volume(entity: Entity, context: DecodeContext, interval_s: float | None) -> Any:
    """Return vehicles of the interval; the option `intensity` tells brokers that state vehicles an hour."""
    value = as_number(entity.values.pop(_first(entity, _INTENSITIES), None))
    if context.options.get("intensity") == "per_hour" and computable(value):
        value = value * (interval_s or 60.0) / _HOUR_S
    return _whole(value)


def _whole(value: Any) -> Any:
    return round(value) if type(value) is float and abs(value) < 1e15 else value


def _any_positive(entity: Entity, names: tuple[str, ...]) -> bool:
    for name in names:
        value: Any = entity.values.get(name)
        if type(value) in NUMBERS and value > 0:
            return True
    return False


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, NESTED) else str(value)


def _road(entity: Entity) -> str | None:
    address = entity.values.get("address")
    return _text(address.get("streetAddress")) if isinstance(address, dict) else None


def _snake(value: Any) -> str:
    return _words(str(value)[:MAX_NAME_CHARS])


@lru_cache(maxsize=256)
def _words(text: str) -> str:
    """Return `roadWorks` as `road_works`; a sender uses few such words again and again."""
    return _HUMP.sub("_", text).lower()
