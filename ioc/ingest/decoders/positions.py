"""One position for what a message describes by a point, a line or an area. Longitude, latitude; WGS 84."""

from collections.abc import Sequence
from itertools import pairwise
from math import cos, hypot, radians
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.geometry import Point, middle_of_bounds

MAX_POINTS: Final = 100_000

_LINE: Final = "posList"
_ROADS: Final = frozenset({"roadNumber", "roadName"})
_DIRECTIONS: Final = (
    "tpegDirection",
    "directionBoundAtPoint",
    "directionBoundOnLinearSection",
    "alertCDirectionCoded",
)
"""Of the compass before the direction of a table of locations."""
_SAID: Final = frozenset(
    {
        *("latitude", _LINE, "coordinatesForDisplay", "locationForDisplay", "carriageway", "lane"),
        *(*_ROADS, *_DIRECTIONS),
    }
)
_LANE: Final = ("laneUsage", "laneNumber", "value")


def plausible(lon: float, lat: float) -> Point | None:
    """Return a position of the earth; latitude and longitude are put right where only that can be meant."""
    if not -90 <= lat <= 90 and -90 <= lon <= 90:
        lon, lat = lat, lon
    if not (-180 <= lon <= 180 and -90 <= lat <= 90) or (lon, lat) == (0.0, 0.0):
        return None
    return lon, lat


def middle(points: Sequence[Point]) -> Point | None:
    """Return the point half-way along a line, or the middle of an area's bounds where the line is closed."""
    if len(points) < 2:
        return points[0] if points else None
    if len(points) > 3 and points[0] == points[-1]:
        return middle_of_bounds(list(points))
    shrink = cos(radians(points[0][1]))
    lengths = [hypot((b[0] - a[0]) * shrink, b[1] - a[1]) for a, b in pairwise(points)]
    left = sum(lengths) / 2
    for (start, end), length in zip(pairwise(points), lengths, strict=True):
        if left <= length and length > 0:
            share = left / length
            return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share
        left -= length
    return points[0]


class Place(msgspec.Struct, gc=False):
    """What a DATEX II location says of where it is."""

    points: list[Point] = []
    shown: Point | None = None
    """Where it is to be shown."""
    line: dict[str, Any] | None = None
    """What holds the first `posList`."""
    roads: dict[str, list[Any]] = {}
    """What stands as `roadNumber` and as `roadName`."""
    carriageways: dict[str, None] = {}
    lanes: dict[str, None] = {}
    directions: dict[str, str] = {}
    """By the name of the member that says so."""

    def position(self) -> Point | None:
        """Return where it is to be shown, else the middle of its geometry.

        Locations by code of a table (Alert-C, TPEG names, predefined ones) have none here.
        """
        return self.shown or middle(self.points if self.line is None else _pos_list(self.line))

    def direction(self) -> str | None:
        """Return which way it affects: of the compass, else of a table of locations."""
        if self.directions:
            for name in _DIRECTIONS:
                if name in self.directions:
                    return self.directions[name]
        return None


def place_of(location: dict[str, Any]) -> Place:
    """Return what a location, an object as JSON has it, says anywhere below itself.

    It is a point, a line, an area, a route or a group of them, referenced in a dozen ways: members are looked
    up by name and not by their path.
    """
    place = Place()
    below = [location]
    while below:
        told = below.pop()
        above = len(below)
        for name, inner in told.items():
            if name in _SAID and inner is not None:
                _take(place, name, inner, told)
            if isinstance(inner, dict):
                below.append(inner)
            elif isinstance(inner, list):
                below += [each for each in inner if isinstance(each, dict)]
        if len(below) - above > 1:
            below[above:] = below[above:][::-1]  # the first of them is taken from the end first
    return place


def _take(place: Place, name: str, said: Any, told: dict[str, Any]) -> None:
    """Take what an object says as its member `name`."""
    if name == "latitude":
        if point := _point(told.get("longitude"), said):
            place.points.append(point)
    elif name == _LINE:
        place.line = place.line or told
    elif name == "lane":
        for each in said if isinstance(said, list) else (said,):
            if lane := _lane(each):
                place.lanes[lane] = None
    elif name == "carriageway":
        if carriageway := _text(said).strip():
            place.carriageways[carriageway] = None
    elif name in _DIRECTIONS:
        if direction := _text(said).strip():
            place.directions.setdefault(name, direction)
    elif name in _ROADS:
        place.roads.setdefault(name, []).extend(said if isinstance(said, list) else (said,))
    elif place.shown is None and isinstance(said, dict):
        place.shown = _point(said.get("longitude"), said.get("latitude"))


def _lane(told: Any) -> str | None:
    """Return a lane: versions 1 and 2 name it, version 3 has its number and use."""
    if not isinstance(told, dict):
        return _text(told).strip() or None
    return next((text for name in _LANE if (text := _text(told.get(name)).strip())), None)


def _point(told_lon: Any, told_lat: Any) -> Point | None:
    lon = told_lon if isinstance(told_lon, float) else _degrees(told_lon)
    lat = told_lat if isinstance(told_lat, float) else _degrees(told_lat)
    return None if lon is None or lat is None else plausible(lon, lat)


def _pos_list(line: dict[str, Any]) -> list[Point]:
    """Return the points of a `posList`: latitude before longitude, with a height where it says three."""
    told = line[_LINE]
    texts = " ".join([_text(each) for each in (told if isinstance(told, list) else [told])]).split()
    step = 3 if _text(line.get("srsDimension")) == "3" else 2
    texts = texts[: MAX_POINTS * step]
    points = map(_point, texts[1::step], texts[::step])
    return [point for point in points if point]


def _degrees(told: Any) -> float | None:
    try:
        return float(_text(told))
    except ValueError:
        return None


def _text(told: Any) -> str:
    if isinstance(told, list):
        told = told[0] if told else None
    if isinstance(told, dict):
        told = told.get("value")
    return "" if told is None else str(told)
