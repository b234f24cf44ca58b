"""NGSI entities of a FIWARE context broker: NGSI-LD and NGSIv2, normalised, concise and key-values.

A body is a notification (`{"data": […]}`), an entity, an array of entities or one per line, or GeoJSON
features. Attributes are reduced to their values first, so that one function per entity type serves every
representation. What an attribute says besides (`observedAt`, `unitCode`) counts where it changes the meaning.

Entities that measure come from a source of their own, behind `DecodeContext.part`; what is told of the road
comes from the sender. The option `source` set to `sender` lets everything come from it. What is told of the
road lasts, so it is of now while it is fresh or states that it holds; when it was told is in `stated`.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import (
    MAX_NAME_CHARS,
    NESTED,
    NUMBERS,
    Refused,
    as_number,
    computable,
    refuse_nul,
    typed_data_of,
)
from ioc.ingest.decoders.fields import is_plate
from ioc.ingest.decoders.geometry import Point, point_of
from ioc.ingest.decoders.jsonlines import (
    BLANK,
    BOM,
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    parse_any,
    split_objects,
    why_unreadable,
)
from ioc.ingest.decoders.moments import lasting_us, moment_us
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.times import SECOND_US, format_us

LD_TYPES: Final = ("application/ld+json", "application/geo+json")

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
_NOT_VALUES: Final = ("@context", "id", "@id", "type", "@type", "scope")
_COMPOUND: Final = frozenset(NESTED)
_VALUES: Final = ("value", "object", "json", "vocab")
"""What an attribute states its value under, the usual one first."""
_STATES_VALUE: Final = frozenset({*_VALUES, "languageMap", "@value"})
"""An object with none of them is itself the value, as key-values has it."""
_LANGUAGES: Final = ("vi", "en")
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
_HOUR_S: Final = 3_600.0
_json: Final = msgspec.json.Encoder().encode
_msgpack: Final = msgspec.msgpack.Encoder().encode


class _Entity:
    """An entity reduced to values: `values` by attribute, `notes` what attributes say besides.

    Readers pop the values that they understand; what is left goes to `extra`.
    """

    __slots__ = ("id", "notes", "type", "values")

    def __init__(self, raw: dict[str, Any]) -> None:
        if raw.get("type") == "Feature" and isinstance(raw.get("properties"), dict):
            geometry = raw.get("geometry")
            raw = {"id": raw.get("id"), "location": geometry, **raw["properties"]}
        self.id = _name(raw["id"] if "id" in raw else raw.get("@id"), "id")
        self.type = _type(raw["type"] if "type" in raw else raw.get("@type"))
        values = raw.copy()
        for key in _NOT_VALUES:
            values.pop(key, None)
        notes: dict[str, dict[str, Any]] = {}
        for name, attribute in values.items():
            if type(attribute) not in _COMPOUND:
                continue
            if isinstance(attribute, dict) and "value" in attribute:  # as most of them are told
                value = attribute["value"]
                values[name] = value["@value"] if type(value) is dict and "@value" in value else value
                notes[name] = attribute
                continue
            values[name], says = _reduced(attribute)
            if says:
                notes[name] = says
        if "/" in "".join(values):  # expanded where the sender's context was not applied
            values = _by_short_names(values)
            notes = _by_short_names(notes)
        self.values = values
        self.notes = notes

    def note(self, attribute: str, name: str) -> Any:
        """Return what an attribute says besides, e.g. its `unitCode`."""
        notes = self.notes.get(attribute)
        if notes is None:
            return None
        if name in notes:
            return notes[name]
        metadata = notes.get("metadata")
        found = metadata.get(name) if isinstance(metadata, dict) else None  # NGSIv2
        return found.get("value") if isinstance(found, dict) else None


class _Read(msgspec.Struct, gc=False):
    """What a table makes of an entity."""

    kind: str
    fields: dict[str, Any]
    time_us: int
    measures: bool = True
    """Whether the entity is a source of its own."""
    holds: bool = False
    """Whether a situation is stated to hold now, however long ago it was told."""


class Ngsi:
    """Decoder of NGSI-LD and NGSIv2 entities and notifications."""

    content_types = (JSON_TYPES[0], *LD_TYPES, *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per entity; each is refused by itself. See `Decoder`."""
        result = Decode()
        try:
            entities = _entities(body, context, result.rejections)
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            return Decode(rejections=[Rejection(line=1, rule=rule, detail=detail, raw=body)])
        if len(entities) > context.max_events:
            raise TooManyEvents(len(entities), context.max_events)
        for line, entity in entities:
            try:
                decoded, dropped = _decoded(line, entity, context)
            except Refused as refused:
                result.rejections.append(_rejection(line, entity, refused))
                continue
            result.events.append(decoded)
            result.dropped_fields += dropped
        if len(result.rejections) > 1:
            result.rejections.sort(key=lambda rejection: rejection.line)
        return result


def _entities(body: bytes, context: DecodeContext, rejections: list[Rejection]) -> list[tuple[int, Any]]:
    """Return each entity with its number in the body.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: the body is no JSON.
    """
    text = body.removeprefix(BOM).strip(BLANK)
    if text and context.content_type in NDJSON_TYPES:
        return _entities_by_line(body, context, rejections)
    found = parse_any(text) if text else []
    if isinstance(found, dict):
        inner = found.get("features") if found.get("type") == "FeatureCollection" else found.get("data")
        found = inner if isinstance(inner, list) else [found]
    elif not isinstance(found, list):
        found = [found]
    if not found:
        rejections.append(Rejection(line=1, rule="empty", detail="the body holds no entity", raw=b""))
    return list(enumerate(found, 1))


def _entities_by_line(
    body: bytes, context: DecodeContext, rejections: list[Rejection]
) -> list[tuple[int, Any]]:
    pieces, refused = split_objects(body, context)
    rejections += refused
    entities: list[tuple[int, Any]] = []
    for line, raw in pieces:
        try:
            entities.append((line, parse_any(raw)))
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            rejections.append(Rejection(line=line, rule=rule, detail=detail, raw=raw))
    return entities


def _decoded(line: int, raw: Any, context: DecodeContext) -> tuple[Decoded, int]:
    """Return the event of an entity and how many of its fields were dropped.

    Raises:
        Refused: what is wrong with it.
    """
    if not isinstance(raw, dict):
        raise Refused("object", f"expected an entity, got {type(raw).__name__}")
    entity = _Entity(raw)
    read = _READERS.get(entity.type)
    if read is None:
        known = ", ".join(_READERS)
        raise Refused("known_type", f"no entity type of ours: {entity.type}. Known: {known}", "type")
    point = _position(entity)
    found = read(entity, context)
    fields, time_us = found.fields, found.time_us
    if not found.measures:
        fields["stated"] = format_us(time_us)
    data, dropped = typed_data_of(found.kind, fields, entity.values)
    content = _json(raw)
    refuse_nul(content)
    digest = blake2b(_msgpack((entity.id, time_us, data)), digest_size=12).hexdigest()
    source = context.device_id
    if not found.measures:  # it lasts; the id is of when it was stated
        time_us = lasting_us(time_us, context.now_us if found.holds else time_us, context.now_us)
    elif context.options.get("source") != "sender":
        source = context.part(entity.id.removeprefix(f"urn:ngsi-ld:{entity.type}:"))
    lon, lat = point or (None, None)
    return (
        Decoded(
            line=line,
            id=digest,
            source=source,
            time_us=time_us,
            data=data,
            raw=content[: context.max_event_bytes],
            lon=lon,
            lat=lat,
            subject=entity.id,
        ),
        dropped,
    )


def _rejection(line: int, raw: Any, refused: Refused) -> Rejection:
    try:
        content = _json(raw)
    except (ValueError, RecursionError):
        content = b""
    named = raw.get("id") if isinstance(raw, dict) else None
    return Rejection(
        line=line,
        rule=refused.rule,
        detail=refused.detail[:500],
        raw=content,
        id=named[:MAX_ID_CHARS] if isinstance(named, str) and named.isprintable() else None,
        field=refused.field,
    )


# From representation to values


def _reduced(attribute: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return an attribute's value and what it says besides."""
    if isinstance(attribute, list):
        attribute = _default_instance(attribute)
    if not isinstance(attribute, dict) or _STATES_VALUE.isdisjoint(attribute):
        return attribute, None
    for key in _VALUES:
        if key in attribute:
            value = attribute[key]
            if isinstance(value, dict) and "@value" in value:
                value = value["@value"]
            return value, attribute
    if isinstance(texts := attribute.get("languageMap"), dict):
        for code in _LANGUAGES:
            if code in texts:
                return texts[code], attribute
        return next(iter(texts.values()), None), attribute
    return attribute.get("@value", attribute), None


def _default_instance(attribute: list[Any]) -> Any:
    """Return of several instances the one without `datasetId`; another list is itself the value."""
    if not attribute or not isinstance(attribute[0], dict) or "value" not in attribute[0]:
        return attribute
    for one in attribute:
        if isinstance(one, dict) and "datasetId" not in one:
            return one
    return attribute[0]


def _by_short_names(attributes: dict[str, Any]) -> dict[str, Any]:
    return {_short(name) if "/" in name else name: value for name, value in attributes.items()}


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise Refused("required", "this field is required", field)
    if len(value) > MAX_ID_CHARS or not value.isprintable():
        raise Refused("printable", f"expected at most {MAX_ID_CHARS} printable characters", field)
    return value


def _type(value: Any) -> str:
    """Return the short name of a type; of several the first that we know."""
    if isinstance(value, str) and value in _READERS:
        return value
    names = [_short(_name(one, "type")) for one in (value if isinstance(value, list) else [value])]
    for name in names:
        if name in _READERS:
            return name
    return names[0] if names else _name(None, "type")


def _short(name: str) -> str:
    """Return the last part of an expanded name."""
    return name.rpartition("/")[2].rpartition("#")[2]


def _position(entity: _Entity) -> Point | None:
    """Return where the entity is; an unreadable place is none, and the registry's counts."""
    location = entity.values.pop("location", None)
    if isinstance(location, str):  # NGSIv2 `geo:point`: latitude first
        numbers = [as_number(part.strip()) for part in location.split(",", 2)]
        location = {"type": "Point", "coordinates": numbers[1::-1]}
    return point_of(location)


# Times


def _time_us(entity: _Entity, context: DecodeContext, names: tuple[str, ...]) -> int | None:
    """Return the first time that is stated under one of `names`."""
    for name in names:
        if name in entity.values:
            value = entity.values.pop(name)
            if isinstance(value, str) and value:
                return moment_us(value, context.zone, name)
    return None


def _interval(entity: _Entity, context: DecodeContext, observed: str) -> tuple[int, float | None]:
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


# One function per entity type


def _traffic_flow(entity: _Entity, context: DecodeContext) -> _Read:
    time_us, interval_s = _interval(entity, context, "intensity")
    fields: dict[str, Any] = {
        "speed_kmh": _speed(entity, _first(entity, _SPEEDS)),
        "occupancy": _occupancy(entity, context),
        "volume_veh": _volume(entity, context, interval_s),
        "lane": _text(entity.values.pop("laneId", None)),
    }
    if interval_s:
        fields["interval_s"] = interval_s
    return _Read("traffic.flow", fields, time_us)


def _item_flow(entity: _Entity, context: DecodeContext) -> _Read:
    time_us, interval_s = _interval(entity, context, "intensity")
    people = entity.values.get("itemType") == "people"
    count = _volume(entity, context, interval_s)
    fields: dict[str, Any] = {"people" if people else "vehicles": count, "interval_s": interval_s}
    return _Read("camera.count", fields, time_us)


def _crowd_flow(entity: _Entity, context: DecodeContext) -> _Read:
    time_us, interval_s = _interval(entity, context, "peopleCount")
    fields = {"people": _whole(as_number(entity.values.pop("peopleCount", None))), "interval_s": interval_s}
    return _Read("camera.count", fields, time_us)


def _anpr_flow(entity: _Entity, context: DecodeContext) -> _Read:
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
        return _Read("camera.object", {**fields, "label": kind or "vehicle"}, time_us)
    return _Read(
        "camera.plate", {**fields, "plate": read, "confidence": confidence, "vehicle": kind}, time_us
    )


def _alert(entity: _Entity, context: DecodeContext) -> _Read:
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
    return _Read("traffic.situation", fields, issued_us or context.now_us, measures=False, holds=holds)


def _accident(entity: _Entity, context: DecodeContext) -> _Read:
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
    return _Read("traffic.situation", fields, context.now_us if told_us is None else told_us, measures=False)


def _city_work(entity: _Entity, context: DecodeContext) -> _Read:
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
    return _Read("traffic.situation", fields, told_us or context.now_us, measures=False, holds=holds)


def _is_past(entity: _Entity, context: DecodeContext, name: str) -> bool | None:
    """Return whether a time has passed, None where it is not told."""
    told = entity.values.get(name)
    return moment_us(told, context.zone, name) <= context.now_us if isinstance(told, str) and told else None


def _anomaly(entity: _Entity, context: DecodeContext) -> _Read:
    detected_us = _time_us(entity, context, ("dateDetected", "dateModified", "modifiedAt"))
    fields = {
        "situation_id": entity.id,
        "kind": "anomaly",
        "active": entity.values.pop("deletedAt", None) is None,
    }
    return _Read("traffic.situation", fields, detected_us or context.now_us, measures=False)


_READERS: Final[dict[str, Callable[[_Entity, DecodeContext], _Read]]] = {
    "TrafficFlowObserved": _traffic_flow,
    "ItemFlowObserved": _item_flow,
    "CrowdFlowObserved": _crowd_flow,
    "AnprFlowObserved": _anpr_flow,
    "Alert": _alert,
    "WeatherAlert": _alert,
    "CityWork": _city_work,
    "RoadAccident": _accident,
    "Anomaly": _anomaly,
}
"""Entity types of Smart Data Models, and who reads them."""


# Values


def _first(entity: _Entity, names: tuple[str, ...]) -> str:
    """Return the first of `names` that an entity has, the model's own name where it has none."""
    for name in names:
        if name in entity.values:
            return name
    return names[0]


def _speed(entity: _Entity, name: str) -> Any:
    value, unit = as_number(entity.values.pop(name, None)), entity.note(name, "unitCode")
    if unit is None or not computable(value):
        return value
    if not isinstance(unit, str) or unit not in _KMH_OF:
        raise Refused("unit", f"{unit!r} is no speed; known: {', '.join(_KMH_OF)}", f"{name}.unitCode")
    return value * _KMH_OF[unit]


def _occupancy(entity: _Entity, context: DecodeContext) -> Any:
    value = as_number(entity.values.pop("occupancy", None))
    if not computable(value):
        return value
    percent = (
        entity.note("occupancy", "unitCode") == _PERCENT or context.options.get("occupancy") == "percent"
    )
    return value / 100 if percent else value


def _volume(entity: _Entity, context: DecodeContext, interval_s: float | None) -> Any:
    """Return vehicles of the interval; the option `intensity` tells brokers that state vehicles an hour."""
    value = as_number(entity.values.pop(_first(entity, _INTENSITIES), None))
    if context.options.get("intensity") == "per_hour" and computable(value):
        value = value * (interval_s or 60.0) / _HOUR_S
    return _whole(value)


def _whole(value: Any) -> Any:
    return round(value) if type(value) is float and abs(value) < 1e15 else value


def _any_positive(entity: _Entity, names: tuple[str, ...]) -> bool:
    for name in names:
        value: Any = entity.values.get(name)
        if type(value) in NUMBERS and value > 0:
            return True
    return False


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, NESTED) else str(value)


def _road(entity: _Entity) -> str | None:
    address = entity.values.get("address")
    return _text(address.get("streetAddress")) if isinstance(address, dict) else None


def _snake(value: Any) -> str:
    return _words(str(value)[:MAX_NAME_CHARS])


@lru_cache(maxsize=256)
def _words(text: str) -> str:
    """Return `roadWorks` as `road_works`; a sender uses few such words again and again."""
    return _HUMP.sub("_", text).lower()
