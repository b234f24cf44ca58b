"""One position for what a message describes by a point, a line or an area. Longitude, latitude; WGS 84."""

from collections.abc import Sequence
from itertools import pairwise
from math import cos, hypot, radians
from typing import Final
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.geometry import Point, middle_of_bounds
from ioc.ingest.decoders.xml import children

MAX_POINTS: Final = 100_000

_DISPLAY: Final = ("coordinatesForDisplay", "locationForDisplay")


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


def position_of(location: Element | None) -> Point | None:
    """Return the position of a DATEX II location: where it is to be shown, else the middle of its geometry.

    Locations by code of a table (Alert-C, TPEG names, predefined ones) have none here.
    """
    if location is None:
        return None
    for name in _DISPLAY:
        for shown in location.iter(name):
            if (points := _coordinates(shown)) and points[0] is not None:
                return points[0]
    if next(location.iter("posList"), None) is not None:
        for line in location.iter():
            if line.find("posList") is not None:
                return middle(_pos_list(line))
    return middle(_coordinates(location))


def _coordinates(element: Element) -> list[Point]:
    latitudes = [_number(found.text) for found in element.iter("latitude")]
    longitudes = [_number(found.text) for found in element.iter("longitude")]
    if len(latitudes) != len(longitudes):
        return []
    pairs = zip(longitudes, latitudes, strict=True)
    return [p for lon, lat in pairs if lon is not None and lat is not None and (p := plausible(lon, lat))]


def _pos_list(line: Element) -> list[Point]:
    """Return the points of a `posList`: latitude before longitude, with a height where it says three."""
    texts = " ".join(found.text or "" for found in children(line, "posList")).split()
    step = 3 if line.get("srsDimension") == "3" else 2
    numbers = [_number(text) for text in texts[: MAX_POINTS * step]]
    points = []
    for lat, lon in zip(numbers[::step], numbers[1::step], strict=False):
        if lat is not None and lon is not None and (point := plausible(lon, lat)):
            points.append(point)
    return points


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
