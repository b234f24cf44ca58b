"""Event messages of cameras, ONVIF's and those built alike: alarms, counts and plates.

A notice has a topic and three groups of named values: Source (which rule of which channel), Key (which
object) and Data (what is the matter). `Initialized`, `Changed`, `Deleted` tell how a state came to be said.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.data import COUNT_MAX, MAX_EXTRA_KEY_CHARS, NESTED, as_number
from ioc.ingest.decoders.fields import is_plate
from ioc.ingest.decoders.gathering import kind_option, put_extra, tidy
from ioc.ingest.decoders.onvif_scene import PICTURE, box_of, fraction, inner, kmh, plate_of, read_object
from ioc.ingest.decoders.onvif_topics import Topic, label_in, topic_of, words_mean
from ioc.ingest.decoders.onvif_tree import Tree, first, number, text
from ioc.model.events import AlarmKind, Extra

_NAMES_OF_STATES: Final = frozenset(
    {
        *("state", "active", "detected", "triggered", "logicalstate", "alarmactive", "failed", "open"),
        *("status", "sensor_level", "running", "connected"),
    }
)
_WORDS: Final = (str, int)
_SURE: Final = {"true": True, "false": False}
_LENGTHS: Final = frozenset(range(4, 9))
_NO_STATES: Final = frozenset(
    {"direction", "level", "port", "channel", "id", "value", "count", "counter", "speed"}
)
"""Numbers, though a topic may have their name."""
_TRUE: Final = frozenset({"true", "1", "on", "active", "yes"})
_FALSE: Final = frozenset({"false", "0", "off", "inactive", "no"})
_RULES: Final = ("Rule", "RuleName", "rule", "ruleName")
_OBJECTS: Final = ("ObjectId", "objectId", "ObjectID", "objectID")
_CLASSES: Final = ("ClassTypes", "classTypes", "ClassType", "ObjectType", "objectType", "Class")
_SHARES: Final = ("Likelihood", "Confidence", "confidence", "Score", "score")
_COUNTS: Final = ("Count", "count", "Value", "value", "PeopleCount", "Total", "total")
_SURE_PLATES: Final = ("PlateNumber", "plateNumber", "LicensePlate", "licensePlate", "Plate", "plate")
"""Names that mean a plate under any topic: it must not stand in `extra`, where nothing masks it."""
_PLATES: Final = (*_SURE_PLATES, "text", "Text")
_MAX_TOTALS: Final = 16
_TOTAL: Final = "total"
_IN_AREA: Final = frozenset({"human", "car", "bus", "truck", "bike", "otherVehicle"})
"""What Axis calls those that it counts in an area; those that crossed a line it calls `totalHuman`."""
_PERSONAL: Final = frozenset({"Label", "EnrollmentID", "ImageUri", "ImageURI", "RefImageUri", "Name"})
"""What recognises a person: never kept of a face."""
_GONE: Final = frozenset({"exit", "exiting", "exited", "disappear", "disappearing"})
_PEOPLE: Final = frozenset({"person", "people", "human", "pedestrian"})
_VEHICLES: Final = frozenset(
    {"vehicle", "car", "truck", "bus", "van", "motorcycle", "motorbike", "bike", "bicycle", "othervehicle"}
)


class Notice(msgspec.Struct):
    """One event message, whatever its syntax."""

    topic: str
    operation: str
    """`initialized`, `changed`, `deleted`, or "" where it is no property."""
    source: Tree
    key: Tree
    data: Tree


class Told(msgspec.Struct):
    """One event's type and data."""

    type_name: str
    fields: dict[str, Any]
    dropped: int


def read_notice(notice: Notice, options: Mapping[str, str]) -> list[Told]:
    """Return what `notice` says: one event, and where an alarm shows a plate, that plate too.

    `options` are the device's: `kind.NAME`, `counts`.
    """
    topic = topic_of(notice.topic)
    rest = {**notice.source, **notice.key, **notice.data}
    node = inner(rest.pop("Object", None), "Object")
    found = None if node is None else read_object(node)
    plate = _plate(rest, _PLATES if topic.what == "plate" else _SURE_PLATES)
    if plate is None and found is not None:
        plate = found.plate
    if plate is not None and _is_over(notice):
        plate = None  # it was read before, and told then
    told = [] if plate is None else [_told("camera.plate", plate, rest, topic, notice)]
    if plate is not None and (topic.what == "plate" or topic.kind is AlarmKind.OTHER):
        return told
    if topic.what == "track" and found is not None:
        return [*told, _told("camera.object", found.fields, rest, topic, notice)]
    counted = topic.what in ("count", "occupancy") or (topic.scenario and _TOTAL in rest)
    if counted and (count := _count(topic, rest, options)) is not None:
        return [*told, _told("camera.count", count, rest, topic, notice)]
    seen = {} if found is None else found.fields
    return [_told("camera.alarm", _alarm(topic, notice, rest, seen, options), rest, topic, notice), *told]


def _is_over(notice: Notice) -> bool:
    """Return whether a notice tells of what has been: that it ended, or its last value to who subscribes.

    A key makes a property of each object, and `Initialized` is then the first that is said of it.
    """
    if notice.operation == "initialized":
        return not notice.key
    return notice.operation == "deleted" or notice.data.get("carState") == "lost"


def _told(type_name: str, fields: dict[str, Any], rest: Tree, topic: Topic, notice: Notice) -> Told:
    """Keep what is left of `rest` as the source's own."""
    extra: Extra = fields.setdefault("extra", {})
    dropped = 0
    if topic.text:
        extra["topic"] = topic.text
    if notice.operation:
        extra["operation"] = tidy(notice.operation, 32)
    for name, value in rest.items():
        if (topic.what == "face" and name in _PERSONAL) or not put_extra(extra, name, _plain(value)):
            dropped += 1
    return Told(type_name, fields, dropped)


def _plain(value: Any) -> Any:
    """Return what a text spells: quotes are optional in ONVIF's JSON, and XML has nothing else."""
    if not isinstance(value, str):
        return value
    if len(value) in (4, 5) and (low := value.lower()) in ("true", "false"):
        return low == "true"
    return as_number(value)


def _take(rest: Tree, names: tuple[str, ...]) -> Any:
    """Remove and return the first of `names` that says something."""
    if rest.keys().isdisjoint(names):
        return None
    for name in names:
        if rest.get(name) not in (None, "") and not isinstance(rest[name], NESTED):
            return rest.pop(name)
    return None


def _name(rest: Tree, names: tuple[str, ...]) -> str | None:
    value = _take(rest, names)
    return None if value is None or isinstance(value, bool) else (tidy(str(value)) or None)


def _alarm(
    topic: Topic, notice: Notice, rest: Tree, seen: dict[str, Any], options: Mapping[str, str]
) -> dict[str, Any]:
    """Return the alarm; `seen` is the object that it is about, as `camera.object`."""
    extra: Extra = {}
    fields: dict[str, Any] = {"extra": extra}
    zone = _name(rest, _RULES) or topic.scenario
    track = _name(rest, _OBJECTS) or seen.get("track_id")
    share = fraction(number(_take(rest, _SHARES)))
    if share is None:
        share = seen.get("confidence")
    if zone is not None:
        fields["zone"] = zone
    if track is not None:
        fields["track_id"] = track
    if share is not None:
        fields["confidence"] = share
    states = {
        name: flag
        for name in notice.data
        if (flag := _state(name, notice.data[name], topic.words)) is not None
    }
    said = next((name for name, flag in states.items() if flag), next(iter(states))) if states else None
    kind = _chosen(options, zone, topic) or _kind(topic, rest, said)
    fields["kind"] = kind
    fields["active"] = _active(topic, notice, kind, states)
    for name in states:
        if name in rest and (name.lower() in _NAMES_OF_STATES or len(states) == 1):
            del rest[name]
    label = seen.get("label") or topic.label or (label_in(said.lower()) if said else None)
    if label and label != "object":
        extra["label"] = label
    return fields


def _chosen(options: Mapping[str, str], zone: str | None, topic: Topic) -> AlarmKind | None:
    """Return the kind that the operator says a rule, a scenario or a topic means."""
    if not options:
        return None
    return kind_option(options, (zone, topic.scenario, "/".join(topic.path), *topic.path[::-1]))


def _kind(topic: Topic, rest: Tree, said: str | None) -> AlarmKind:
    """Return the kind from the topic, or from the words of the data where the topic is general."""
    if topic.kind not in (AlarmKind.OTHER, AlarmKind.MOTION):
        return topic.kind
    scenario = rest.get("scenarioType")
    if isinstance(scenario, str) and topic.scenario:
        kind = AlarmKind.LINE_CROSSING if scenario.lower() == "fence" else words_mean("/" + scenario.lower())
    else:
        kind = words_mean("/" + said.lower().removeprefix("is")) if said else AlarmKind.OTHER
    if kind in (AlarmKind.OTHER, AlarmKind.MOTION) and not rest.keys().isdisjoint(_CLASSES):
        classes = " ".join(text(rest.get(name)) for name in _CLASSES).lower()
        if "fire" in classes or "smoke" in classes:
            kind = AlarmKind.FIRE_SMOKE
    return topic.kind if kind is AlarmKind.OTHER else kind


def _active(topic: Topic, notice: Notice, kind: AlarmKind, states: dict[str, bool]) -> bool:
    if notice.operation == "deleted" or (topic.what == "plate" and _is_over(notice)):
        return False
    action = notice.data.get("Action")
    if kind is AlarmKind.INTRUSION and isinstance(action, str) and action.lower() in _GONE:
        return False
    if states:
        return any(states.values())
    classes = [notice.data[name] for name in _CLASSES if name in notice.data]
    if classes and not any(classes):
        return False  # a list of what is in view that has become empty
    return not (topic.report or (topic.pulse and notice.operation == "initialized"))


def _state(name: str, value: Any, topic: str) -> bool | None:
    """Return the state an item tells, None where it tells none.

    `true` and `false` are one under any name, 1 and 0 under a name of states or one that the topic has.
    """
    if not isinstance(value, _WORDS):
        return None
    low = name.lower()
    if isinstance(value, bool):
        flag: bool | None = value
    elif low in _NAMES_OF_STATES or low.startswith("is") or (_in(low, topic) and low not in _NO_STATES):
        word = str(value).strip().lower() if isinstance(value, str) or abs(value) <= 1 else ""
        flag = True if word in _TRUE else False if word in _FALSE else None
    else:
        flag = _SURE.get(value.strip().lower()) if isinstance(value, str) and len(value) in _LENGTHS else None
    return not flag if flag is not None and low.startswith("isnot") else flag


def _in(name: str, topic: str) -> bool:
    """Return whether a topic has an item's name: `fan_failure` is of `FanFailure`."""
    return name in topic or ("_" in name and name.replace("_", "") in topic)


def _plate(rest: Tree, names: tuple[str, ...]) -> dict[str, Any] | None:
    fields = plate_of(rest) if "LicensePlateInfo" in rest else None
    if fields is None:
        plate = _name(rest, names)
        if plate is None or not is_plate(plate):
            return None
        fields = {"plate": plate, "extra": {}}
    rest.pop("LicensePlateInfo", None)
    if (share := fraction(number(_take(rest, _SHARES)))) is not None:
        fields.setdefault("confidence", share)
    vehicle = inner(rest.pop("VehicleInfo", None), "VehicleInfo")
    if vehicle is not None:
        fields["vehicle"] = tidy(text(first(vehicle, "Type"))).lower() or None
        for name in ("Brand", "Model"):
            put_extra(fields["extra"], name.lower(), tidy(text(first(vehicle, name))).lower())
    elif (written := _name(rest, ("VehicleType", "vehicleType", "vehicle_type"))) is not None:
        fields["vehicle"] = written.lower()
    if (speed := kmh(number(rest.get("Speed")))) is not None:
        fields["speed_kmh"] = speed
        del rest["Speed"]
    if (box := box_of(inner(rest.get("BoundingBox"), "BoundingBox"), PICTURE)) is not None:
        fields["extra"] |= dict(zip(("box_left", "box_top", "box_width", "box_height"), box, strict=True))
        del rest["BoundingBox"]
    return fields


def _count(topic: Topic, rest: Tree, options: Mapping[str, str]) -> dict[str, Any] | None:
    """Return counted objects.

    A counter runs until it is reset: what it says is not in view, and stands in `counts` alone.
    """
    counts: dict[str, int] = {}
    crossed = _totals(rest)
    for name in crossed or [name for name in rest if name in _IN_AREA]:
        if (count := _whole(rest[name])) is not None:
            counts[tidy(name.removeprefix(_TOTAL), MAX_EXTRA_KEY_CHARS).lower()] = count
            del rest[name]
    total = _whole(_take(rest, _COUNTS))
    rule = _name(rest, _RULES) or topic.scenario
    if total is None and not counts:
        return None
    classes = tidy(text(next((rest[name] for name in _CLASSES if name in rest), ""))).lower()
    of = options.get("counts") or classes or topic.label or ""
    cumulative = topic.what == "count" or (
        bool(crossed) and "occupancy" not in text(rest.get("scenarioType")).lower()
    )
    people = sum(count for name, count in counts.items() if name in _PEOPLE)
    vehicles = sum(count for name, count in counts.items() if name in _VEHICLES)
    if total is not None:
        if not counts:
            people = total if of in _PEOPLE else 0
            vehicles = total if of in _VEHICLES or of == "vehicles" else 0
        counts[(rule or _TOTAL)[:MAX_EXTRA_KEY_CHARS]] = total
    extra: Extra = {"cumulative": cumulative}
    if rule:
        extra["rule"] = rule
    if cumulative:
        return {"counts": counts, "extra": extra}
    return {"people": people, "vehicles": vehicles, "counts": counts, "extra": extra}


def _totals(rest: Tree) -> list[str]:
    """Return the names of Axis' counts by class of what crossed: `totalHuman`, `totalCar`."""
    found = [name for name in rest if name.startswith(_TOTAL) and len(name) > len(_TOTAL)]
    return found[:_MAX_TOTALS]


def _whole(value: Any) -> int | None:
    found = number(value)
    return int(found) if found is not None and 0 <= found <= COUNT_MAX else None
