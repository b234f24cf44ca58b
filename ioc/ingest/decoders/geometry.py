"""One point for a thing that has a shape: an event stands at one place of the map."""

from typing import Any, Final

from ioc.ingest.decoders.data import NUMBERS, as_number

Point = tuple[float, float]
"""Longitude and latitude in degrees, WGS 84."""

MAX_DEPTH: Final = 4
"""Of GeoJSON's nested coordinates: a MultiPolygon has four levels."""


def point_of(geometry: Any) -> Point | None:
    """Return a point of a GeoJSON geometry, None where there is none to be read.

    A point is itself, a line its middle vertex, an area the middle of its first ring's bounds. A place of
    several parts is where its first part is.
    """
    if not isinstance(geometry, dict):
        return None
    at = geometry.get("coordinates")
    if (point := _pair(at)) is not None:
        return point
    parts = geometry.get("geometries")
    if isinstance(parts, list):
        return next((found for part in parts[:1] if (found := point_of(part)) is not None), None)
    kind = geometry.get("type")
    for _ in range(MAX_DEPTH):
        if not isinstance(at, list) or not at:
            return None
        if not isinstance(at[0], list):
            return _pair(at)
        if isinstance(at[0][0] if at[0] else None, list):
            at = at[0]
        elif isinstance(kind, str) and kind.endswith("Polygon"):
            return middle_of_bounds([pair for pair in map(_pair, at) if pair is not None])
        elif isinstance(kind, str) and kind.startswith("MultiPoint"):
            at = at[0]
        else:
            at = at[len(at) // 2]
    return None


def degrees_of(value: Any) -> float | None:
    """Return a coordinate told as a number or as text, None for anything else."""
    number = as_number(value)
    return float(number) if type(number) in (int, float) and abs(number) <= 360 else None


def middle_of_bounds(points: list[Point]) -> Point | None:
    """Return the middle of the smallest box around `points`, None for none."""
    if not points:
        return None
    lons, lats = [lon for lon, _ in points], [lat for _, lat in points]
    return (min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2


def _pair(at: Any) -> Point | None:
    if not isinstance(at, list) or len(at) < 2:
        return None
    lon, lat = at[0], at[1]
    if type(lon) not in NUMBERS or type(lat) not in NUMBERS:
        return None
    # Not-a-number and integers too large for a float fail too.
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        return None
    return float(lon), float(lat)
