"""Area files: a GeoJSON FeatureCollection becomes areas, or every reason why it cannot.

InvalidAreas    raised by `parse_areas`; `errors` holds one AreaError per finding
AreaError       which feature, which field, what is wrong (data)
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ioc.model.places import Area
from ioc.model.texts import Text

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

MAX_ERRORS = 100
"""Findings listed; the count says how many there are."""
_DEPTH = {"LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_LARGEST = 1 << 53
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_OWN = frozenset({"code", "kind", "name", "name_en", "valid_from", "valid_to", "illustrative"})


@dataclass(frozen=True, slots=True)
class AreaError:
    """One finding. `feature` counts from 0, None where the file as a whole is meant."""

    feature: int | None
    code: str | None
    field: str
    detail: str

    def __str__(self) -> str:
        where = "file" if self.feature is None else f"feature {self.feature}"
        code = f" (code {self.code})" if self.code else ""
        return f"{where}{code}: {self.field}: {self.detail}"


class InvalidAreas(ValueError):
    """The file cannot be imported; nothing of it is."""

    def __init__(self, errors: Sequence[AreaError]) -> None:
        self.errors = tuple(errors)
        lines = [str(error) for error in self.errors[:MAX_ERRORS]]
        if len(self.errors) > MAX_ERRORS:
            lines.append(f"… and {len(self.errors) - MAX_ERRORS} more")
        super().__init__("\n".join(lines))


def parse_areas(content: bytes, *, kind: str | None = None, bounds: Bounds | None = None) -> list[Area]:
    """Return the areas of a GeoJSON FeatureCollection.

    A feature's properties `code`, `name` and optionally `name_en`, `kind`, `valid_from`, `valid_to` (ISO
    dates) and `illustrative` become the area's own; other scalar properties are kept.

    Args:
        content: the file, UTF-8.
        kind: kind of areas without a property `kind`.
        bounds: where the city is; helps to see swapped coordinates.

    Raises:
        InvalidAreas: with every finding.
    """
    features = read_features(content)
    errors: list[AreaError] = []
    areas: list[tuple[int, Area]] = []
    first: dict[tuple[str, str, str], int] = {}
    for number, feature in enumerate(features):
        reader = _Feature(number, feature, kind, bounds)
        area = reader.read()
        errors += reader.errors
        if area is None:
            continue
        key = (area.kind, area.code, area.valid_from)
        if key in first:
            detail = f"{area.code!r} is already the code of feature {first[key]} from {area.valid_from} on"
            errors.append(AreaError(number, area.code, "code", detail))
        first.setdefault(key, number)
        areas.append((number, area))
    errors = errors or list(_overlaps(areas))
    if errors:
        raise InvalidAreas(errors)
    return [area for _, area in areas]


def _overlaps(areas: Iterable[tuple[int, Area]]) -> Iterator[AreaError]:
    """Yield where two areas of one kind and code would be in force on one day: places would be in either."""
    latest: dict[tuple[str, str], tuple[int, Area]] = {}
    for number, area in sorted(areas, key=lambda item: item[1].valid_from):
        before = latest.get((area.kind, area.code))
        if before is not None and (before[1].valid_to is None or before[1].valid_to > area.valid_from):
            since = area.valid_from
            detail = (
                f"{since} is before feature {before[0]} ends: give that one `valid_to`, {since} or before"
            )
            yield AreaError(number, area.code, "valid_from", detail)
        latest[area.kind, area.code] = number, area


def read_features(content: bytes) -> list[Any]:
    """Return the features of a GeoJSON FeatureCollection as they stand, at least one.

    Raises:
        InvalidAreas: not UTF-8, not JSON, no FeatureCollection, or an empty one.
    """
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidAreas([_file_error("encoding", f"not UTF-8 at byte {error.start}")]) from error
    except json.JSONDecodeError as error:
        detail = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        raise InvalidAreas([_file_error("json", detail)]) from error
    except ValueError as error:  # a number of thousands of digits
        raise InvalidAreas([_file_error("json", str(error))]) from error
    except RecursionError as error:
        raise InvalidAreas([_file_error("json", "nested too deeply")]) from error
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection":
        found = document.get("type") if isinstance(document, dict) else type(document).__name__
        raise InvalidAreas([_file_error("type", f"expected a FeatureCollection, found {found!r}")])
    features = document.get("features")
    if not isinstance(features, list) or not features:
        raise InvalidAreas([_file_error("features", "expected a list of at least one feature")])
    return features


def _file_error(field: str, detail: str) -> AreaError:
    return AreaError(None, None, field, detail)


class _Feature:
    """Reads one feature."""

    def __init__(self, number: int, feature: object, kind: str | None, bounds: Bounds | None) -> None:
        self.errors: list[AreaError] = []
        self._number = number
        self._feature: dict[str, Any] = feature if isinstance(feature, dict) else {}
        properties = self._feature.get("properties")
        self._properties: dict[str, Any] = properties if isinstance(properties, dict) else {}
        self._kind = kind
        self._bounds = bounds
        code = self._properties.get("code")
        self._code = code if isinstance(code, str) else str(code) if type(code) is int else None

    def _wrong(self, field: str, detail: str) -> None:
        self.errors.append(AreaError(self._number, self._code, field, detail))

    def read(self) -> Area | None:
        if self._feature.get("type") != "Feature":
            self._wrong("type", f"expected a Feature, found {self._feature.get('type')!r}")
            return None
        code, name = self._code or "", self._text("name")
        if not code.strip():
            self._wrong("code", "is missing or empty")
        kind = self._text("kind") if "kind" in self._properties else self._kind
        if kind is None and "kind" not in self._properties:
            self._wrong("kind", "is missing: give the property or the kind of the whole file")
        valid_from, valid_to = self._day("valid_from"), self._day("valid_to")
        if valid_from and valid_to and valid_to <= valid_from:
            self._wrong("valid_to", f"{valid_to} is not after valid_from {valid_from}")
        self._check_storable()
        self._check_geometry()
        if self.errors:
            return None
        return Area(
            code=code.strip(),
            kind=kind or "",
            name=Text(name or "", str(self._properties.get("name_en") or name or "")),
            geometry={key: self._feature["geometry"][key] for key in ("type", "coordinates")},
            valid_from=valid_from or "1900-01-01",
            valid_to=valid_to,
            illustrative=self._properties.get("illustrative") is True,
            properties={key: value for key, value in self._properties.items() if _is_extra(key, value)},
        )

    def _text(self, field: str) -> str | None:
        value = self._properties.get(field)
        if not isinstance(value, str) or not value.strip():
            self._wrong(
                field, "is missing or empty" if value in (None, "") else f"expected text, found {value!r}"
            )
            return None
        return value.strip()

    def _check_storable(self) -> None:
        """Refuse what PostgreSQL cannot hold."""
        for field, value in self._properties.items():
            if any(isinstance(text, str) and _UNSTORABLE.search(text) for text in (field, value)):
                self._wrong(ascii(field)[1:-1], "holds U+0000 or half a character, which cannot be kept")
            elif isinstance(value, float) and not math.isfinite(value):
                self._wrong(field, f"expected a number, found {value}")

    def _day(self, field: str) -> str | None:
        value = self._properties.get(field)
        if value is None:
            return None
        try:
            return date.fromisoformat(value).isoformat()
        except (TypeError, ValueError):
            self._wrong(field, f"expected a date such as 2025-07-01, found {value!r}")
            return None

    # geometry ---------------------------------------------------------------------------------------------

    def _check_geometry(self) -> None:
        geometry = self._feature.get("geometry")
        found = geometry.get("type") if isinstance(geometry, dict) else geometry
        if not isinstance(geometry, dict) or found not in _DEPTH:
            self._wrong("geometry", f"expected one of {', '.join(_DEPTH)}, found {found!r}")
            return
        closed = str(found).endswith("Polygon")
        parts = list(_parts(geometry.get("coordinates"), _DEPTH[str(found)], ""))
        if not parts:
            self._wrong("coordinates", "are empty")
        for path, part in parts:
            problem = self._part_problem(part, closed)
            if problem:
                self._wrong(f"coordinates{path}", problem)
                return  # one finding per geometry: the rest is usually the same mistake

    def _part_problem(self, part: object, closed: bool) -> str | None:
        what, least = ("ring", 4) if closed else ("line", 2)
        if not isinstance(part, list) or len(part) < least:
            return f"a {what} needs at least {least} positions"
        for number, position in enumerate(part):
            problem = self._position_problem(position)
            if problem:
                return f"position {number}: {problem}"
        if closed and part[0][:2] != part[-1][:2]:
            return f"the ring is not closed: it begins at {part[0][:2]} and ends at {part[-1][:2]}"
        return None

    def _position_problem(self, position: object) -> str | None:
        if not isinstance(position, list) or len(position) < 2 or not all(map(_is_number, position)):
            return f"expected [longitude, latitude], found {position!r}"
        lon, lat = float(position[0]), float(position[1])
        swapped = "longitude and latitude are swapped: GeoJSON has longitude first"
        if abs(lat) > 90 and abs(lon) <= 90:
            return f"{position[:2]}: {swapped}"
        if abs(lon) > 180 or abs(lat) > 90:
            return f"{position[:2]} is not on earth (degrees expected, as in WGS 84)"
        if self._bounds and not _inside(self._bounds, lon, lat) and _inside(self._bounds, lat, lon):
            return f"{position[:2]}: {swapped}"
        return None


def _parts(coordinates: object, depth: int, path: str) -> Iterator[tuple[str, object]]:
    """Yield the lists of positions `depth` levels down, each with its path."""
    if depth == 1:
        yield path, coordinates
    elif not isinstance(coordinates, list) or (not coordinates and path):
        yield path, None
    else:
        for number, inner in enumerate(coordinates):
            yield from _parts(inner, depth - 1, f"{path}[{number}]")


def _is_number(value: object) -> bool:
    # Beyond 2⁵³ there are no degrees, and `isfinite` overflows on a number of hundreds of digits.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -_LARGEST <= value <= _LARGEST
        and math.isfinite(value)
    )


def _is_extra(key: str, value: object) -> bool:
    return key not in _OWN and (value is None or isinstance(value, str | int | float | bool))


def _inside(bounds: Bounds, lon: float, lat: float) -> bool:
    west, south, east, north = bounds
    return west <= lon <= east and south <= lat <= north
