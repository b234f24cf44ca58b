"""An NGSI entity reduced to values, however it is represented: normalised, concise, key-values, GeoJSON."""

from collections.abc import Container
from typing import Any, Final

from ioc.ingest.decoders.data import NESTED, Refused, as_number
from ioc.ingest.decoders.geometry import Point, point_of
from ioc.ingest.decoders.wire import MAX_ID_CHARS

_NOT_VALUES: Final = ("@context", "id", "@id", "type", "@type", "scope")
_COMPOUND: Final = frozenset(NESTED)
_VALUES: Final = ("value", "object", "json", "vocab")
"""What an attribute states its value under, the usual one first."""
_STATES_VALUE: Final = frozenset({*_VALUES, "languageMap", "@value"})
"""An object with none of them is itself the value, as key-values has it."""
_LANGUAGES: Final = ("vi", "en")


class Entity:
    """An entity reduced to values: `values` by attribute, `notes` what attributes say besides.

    Readers pop the values that they understand; what is left goes to `extra`.
    """

    __slots__ = ("id", "notes", "type", "values")

    def __init__(self, raw: dict[str, Any], known: Container[str]) -> None:
        if raw.get("type") == "Feature" and isinstance(raw.get("properties"), dict):
            geometry = raw.get("geometry")
            raw = {"id": raw.get("id"), "location": geometry, **raw["properties"]}
        self.id = _name(raw["id"] if "id" in raw else raw.get("@id"), "id")
        self.type = _type(raw["type"] if "type" in raw else raw.get("@type"), known)
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

    def position(self) -> Point | None:
        """Return where the entity is; an unreadable place is none, and the registry's counts."""
        location = self.values.pop("location", None)
        if isinstance(location, str):  # NGSIv2 `geo:point`: latitude first
            numbers = [as_number(part.strip()) for part in location.split(",", 2)]
            location = {"type": "Point", "coordinates": numbers[1::-1]}
        return point_of(location)


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


def _type(value: Any, known: Container[str]) -> str:
    """Return the short name of a type; of several the first that we know."""
    if isinstance(value, str) and value in known:
        return value
    names = [_short(_name(one, "type")) for one in (value if isinstance(value, list) else [value])]
    for name in names:
        if name in known:
            return name
    return names[0] if names else _name(None, "type")


def _short(name: str) -> str:
    """Return the last part of an expanded name."""
    return name.rpartition("/")[2].rpartition("#")[2]
