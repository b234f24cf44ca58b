"""NGSI entities of a FIWARE context broker: NGSI-LD and NGSIv2, normalised, concise and key-values.

A body is a notification (`{"data": […]}`), an entity, an array of entities or one per line, or GeoJSON
features. Attributes are reduced to their values first, so that one function per entity type serves every
representation. What an attribute says besides (`observedAt`, `unitCode`) counts where it changes the meaning.

Entities that measure come from a source of their own, behind `DecodeContext.part`; what is told of the road
comes from the sender. The option `source` set to `sender` lets everything come from it.
"""

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import NESTED, Refused, as_number, computable, typed_data
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
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.times import SECOND_US

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
_NOT_VALUES: Final = frozenset({"@context", "id", "@id", "type", "@type", "scope"})
_LANGUAGES: Final = ("vi", "en")
_HOUR_S: Final = 3_600.0


class _Entity:
    """An entity reduced to values: `values` by attribute, `notes` what attributes say besides.

    Readers pop the values that they understand; what is left goes to `extra`.
    """

    __slots__ = ("id", "notes", "type", "values")

    def __init__(self, raw: dict[str, Any]) -> None:
        if raw.get("type") == "Feature" and isinstance(raw.get("properties"), dict):
            geometry = raw.get("geometry")
            raw = {"id": raw.get("id"), "location": geometry, **raw["properties"]}
        self.id = _name(raw.get("id", raw.get("@id")), "id")
        self.type = _type(raw.get("type", raw.get("@type")))
        self.notes: dict[str, dict[str, Any]] = {}
        values: dict[str, Any] = {}
        self.values = values
        for key, attribute in raw.items():
            if key in _NOT_VALUES:
                continue
            # Expanded where the sender's context was not applied.
            name = key.rpartition("/")[2].rpartition("#")[2] if "/" in key else key
            if not isinstance(attribute, NESTED):
                values[name] = attribute
                continue
            values[name], notes = _reduced(attribute)
            if notes:
                self.notes[name] = notes

    def note(self, attribute: str, name: str) -> Any:
        """Return what an attribute says besides, e.g. its `unitCode`."""
        notes = self.notes.get(attribute)
        if notes is None:
            return None
        if name not in notes and isinstance(notes.get("metadata"), dict):  # NGSIv2
            found = notes["metadata"].get(name)
            return found.get("value") if isinstance(found, dict) else None
        return notes.get(name)


class _Read(NamedTuple):
    """What a table makes of an entity."""

    kind: str
    fields: dict[str, Any]
    time_us: int
    measures: bool = True
    """Whether the entity is a source of its own."""


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
    kind, fields, time_us, measures = read(entity, context)
    told = fields | entity.values | fields  # what was read goes first, and before what the sender calls so
    data, dropped = typed_data(kind, {name: value for name, value in told.items() if value is not None})
    content = msgspec.json.encode(raw)
    if b"\\u0000" in content:
        raise Refused("no_nul", "the character U+0000 cannot be stored")
    digest = blake2b(msgspec.msgpack.encode((entity.id, time_us, data)), digest_size=12).hexdigest()
    own = measures and context.options.get("source") != "sender"
    return (
        Decoded(
            line=line,
            id=digest,
            source=context.part(entity.id.removeprefix(f"urn:ngsi-ld:{entity.type}:"))
            if own
            else context.device_id,
            time_us=time_us,
            data=data,
            raw=content[: context.max_event_bytes],
            lon=None if point is None else point[0],
            lat=None if point is None else point[1],
            subject=entity.id,
        ),
        dropped,
    )


def _rejection(line: int, raw: Any, refused: Refused) -> Rejection:
    try:
        content = msgspec.json.encode(raw)
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
    if (
        isinstance(attribute, list)
        and attribute
        and isinstance(attribute[0], dict)
        and "value" in attribute[0]
    ):
        # Several instances; the one without `datasetId` is the default one.
        instances = [one for one in attribute if isinstance(one, dict)]
        attribute = next((one for one in instances if "datasetId" not in one), instances[0])
    if not isinstance(attribute, dict):
        return attribute, None
    for key in ("value", "object", "json", "vocab"):
        if key in attribute:
            value = attribute[key]
            if isinstance(value, dict) and "@value" in value:
                value = value["@value"]
            return value, attribute
    if isinstance(texts := attribute.get("languageMap"), dict):
        chosen = next((texts[code] for code in _LANGUAGES if code in texts), next(iter(texts.values()), None))
        return chosen, attribute
    return attribute.get("@value", attribute), None


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
    names = [_name(one, "type") for one in (value if isinstance(value, list) else [value])]
    short = [name.rpartition("/")[2].rpartition("#")[2] for name in names]
    return next((name for name in short if name in _READERS), short[0] if short else _name(None, "type"))


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
        value = entity.values.pop(name, None)
        if isinstance(value, str) and value:
            return moment_us(value, context.zone, name)
    return None


def _interval(entity: _Entity, context: DecodeContext, observed: str) -> tuple[int, float | None]:
    """Return when an observation ended, and over how many seconds it went.

    It is stated by two attributes, or in one as `from/to`, or only its moment is.
    """
    begin = entity.values.pop("dateObservedFrom", None)
    end = entity.values.pop("dateObservedTo", None)
    whole = entity.values.pop("dateObserved", None)
    if not (isinstance(begin, str) and isinstance(end, str)) and isinstance(whole, str) and "/" in whole:
        begin, _, end = whole.partition("/")
    if isinstance(begin, str) and isinstance(end, str):
        begin_us = moment_us(begin, context.zone, "dateObservedFrom")
        end_us = moment_us(end, context.zone, "dateObservedTo")
        if end_us >= begin_us:
            return end_us, (end_us - begin_us) / SECOND_US
        raise Refused("interval", "the observation ends before it begins", "dateObservedTo")
    moment = next((text for text in (end, whole, begin) if isinstance(text, str)), None)
    if moment is None:
        moment = entity.note(observed, "observedAt") or entity.note(observed, "TimeInstant")
    if moment is None:
        return _time_us(
            entity, context, ("TimeInstant", "dateModified", "modifiedAt")
        ) or context.now_us, None
    if not isinstance(moment, str):
        raise Refused("iso8601", "expected ISO 8601, e.g. 2026-11-22T10:00:00+07:00", "dateObserved")
    return moment_us(moment, context.zone, "dateObserved"), None


# One function per entity type


def _traffic_flow(entity: _Entity, context: DecodeContext) -> _Read:
    time_us, interval_s = _interval(entity, context, "intensity")
    fields: dict[str, Any] = {
        "speed_kmh": _speed(entity, "averageVehicleSpeed"),
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
    fields = {"people": _whole(entity.values.pop("peopleCount", None)), "interval_s": interval_s}
    return _Read("camera.count", fields, time_us)


def _anpr_flow(entity: _Entity, context: DecodeContext) -> _Read:
    time_us, _ = _interval(entity, context, "observedVehicle")
    vehicle = entity.values.pop("observedVehicle", None)
    plate = vehicle.get("licensePlate") if isinstance(vehicle, dict) else None
    read, confidence = plate, None
    if isinstance(plate, dict):
        read, confidence = plate.get("identifier"), plate.get("confidence")
    if not isinstance(read, str) or not read:
        raise Refused("required", "no plate was read", "observedVehicle.licensePlate")
    fields: dict[str, Any] = {
        "plate": read,
        "confidence": confidence,
        "speed_kmh": vehicle.get("speed"),
        "vehicle": _text(vehicle.get("vehicleType") or vehicle.get("type")),
    }
    for name in ("brand", "model", "color"):
        part = vehicle.get(name)
        fields[name] = part.get("name") if isinstance(part, dict) else part
    return _Read("camera.plate", fields, time_us)


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
    return _Read("traffic.situation", fields, issued_us or context.now_us, measures=False)


def _accident(entity: _Entity, context: DecodeContext) -> _Read:
    deleted = entity.values.pop("deletedAt", None)
    modified_us = _time_us(entity, context, ("dateModified", "modifiedAt"))
    happened_us = _time_us(entity, context, ("accidentDate", "dateObserved", "dateCreated"))
    status = entity.values.pop("status", None)
    dead = [entity.values.get(name) for name in ("numPassengersDead", "numPedestrianDead")]
    dead += [entity.values.get(f"totalDeadPeopleWithin{span}") for span in ("24Hours", "30Days")]
    fields = {
        "situation_id": entity.id,
        "kind": "accident",
        "active": deleted is None and status in (None, "onGoing"),
        "severity": "critical" if any(map(_positive, dead)) else _of_injured(entity),
        "text": _text(entity.values.pop("description", None)),
        "road": _road(entity),
    }
    times = [time for time in (modified_us, happened_us) if time is not None]
    return _Read("traffic.situation", fields, max(times, default=context.now_us), measures=False)


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
    "RoadAccident": _accident,
    "Anomaly": _anomaly,
}
"""Entity types of Smart Data Models, and who reads them."""


# Values


def _speed(entity: _Entity, name: str) -> Any:
    value, unit = as_number(entity.values.pop(name, None)), entity.note(name, "unitCode")
    if unit is None or not computable(value):
        return value
    if not isinstance(unit, str) or unit not in _KMH_OF:
        raise Refused("unit", f"{unit!r} is no speed; known: {', '.join(_KMH_OF)}", f"{name}.unitCode")
    return value * _KMH_OF[unit]


def _occupancy(entity: _Entity, context: DecodeContext) -> Any:
    value = as_number(entity.values.pop("occupancy", None))
    percent = (
        entity.note("occupancy", "unitCode") == _PERCENT or context.options.get("occupancy") == "percent"
    )
    return value / 100 if percent and computable(value) else value


def _volume(entity: _Entity, context: DecodeContext, interval_s: float | None) -> Any:
    """Return vehicles of the interval; the option `intensity` tells brokers that state vehicles an hour."""
    value = as_number(entity.values.pop("intensity", None))
    if context.options.get("intensity") == "per_hour" and computable(value):
        value = value * (interval_s or 60.0) / _HOUR_S
    return _whole(value)


def _whole(value: Any) -> Any:
    value = as_number(value)
    return round(value) if type(value) is float and abs(value) < 1e15 else value


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and value > 0


def _of_injured(entity: _Entity) -> str:
    names = ("totalInjured", "numPassengersInjured", "numPedestrianInjured")
    return "high" if any(_positive(entity.values.get(name)) for name in names) else "medium"


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, NESTED) else str(value)


def _road(entity: _Entity) -> str | None:
    address = entity.values.get("address")
    return _text(address.get("streetAddress")) if isinstance(address, dict) else None


def _snake(value: Any) -> str:
    return _HUMP.sub("_", str(value)).lower()
