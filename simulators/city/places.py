"""Small areas along the roads: underpasses, schools, markets, flood spots, squares, industrial parks."""

import math
import random
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from shapely import contains_xy, prepare, unary_union
from shapely.geometry import LineString, MultiLineString, Polygon
from shapely.geometry.base import BaseGeometry

from simulators.city.network import Road
from simulators.city.partition import Ward
from simulators.city.plane import Point, distance_m, stream, to_plane


class NamedPlace(msgspec.Struct, frozen=True):
    """One line of `places.json`: what it is called and in which ward it lies."""

    kind: str
    ward: str
    name: str
    name_en: str


class Place(msgspec.Struct, frozen=True):
    """A named place with its invented polygon (metres)."""

    code: str
    kind: str
    ward: str
    name: str
    name_en: str
    shape: Polygon
    centre: Point


class _Spot(msgspec.Struct, frozen=True):
    point: Point
    bearing: float
    main: bool


_SIZE_M = {
    "underpass": (280.0, 70.0),
    "school": (150.0, 110.0),
    "market": (130.0, 100.0),
    "flood_spot": (240.0, 200.0),
    "square": (180.0, 140.0),
    "industrial": (1300.0, 900.0),
}
_BESIDE_M = {"school": 120.0, "market": 95.0, "square": 130.0, "industrial": 560.0}
"""Distance of the middle from the road; underpasses and flood spots lie on it."""
_CODE = {"flood_spot": "flood"}


def lay_out(
    named: Sequence[NamedPlace],
    wards: Mapping[str, Ward],
    shapes: Mapping[str, Polygon],
    roads: Sequence[Road],
    water: BaseGeometry,
    seed: int,
) -> list[Place]:
    """Return every named place with a polygon inside its ward, apart from the others and from water.

    Raises:
        ValueError: a ward has no room for one of its places.
    """
    spots = _road_spots(roads)
    found: list[Place] = []
    numbers: dict[str, int] = {}
    for place in named:
        numbers[place.kind] = numbers.get(place.kind, 0) + 1
        code = f"{_CODE.get(place.kind, place.kind)}-{numbers[place.kind]:02d}"
        margin_m = 60.0
        room = shapes[place.ward].buffer(-margin_m).difference(water.buffer(40.0))
        taken = [other.shape.buffer(150.0) for other in found if other.ward == place.ward]
        free = room.difference(unary_union(taken)) if taken else room
        prepare(free)
        fit = _fit(place, wards[place.ward], free, spots, stream("place", seed, code))
        if fit is None:
            raise ValueError(f"no room for {place.name} in ward {place.ward}")
        shape, centre = fit
        found.append(Place(code, place.kind, place.ward, place.name, place.name_en, shape, centre))
    return found


def _fit(
    place: NamedPlace, ward: Ward, free: BaseGeometry, spots: Sequence[_Spot], rng: random.Random
) -> tuple[Polygon, Point] | None:
    centre = to_plane(ward.center)
    inside = contains_xy(free, np.array([spot.point for spot in spots]))
    usable = [
        spot
        for spot, lies_inside in zip(spots, inside, strict=True)
        if lies_inside and (spot.main or place.kind != "underpass")
    ]
    spread_m = 600.0 if place.kind in ("school", "market", "square") else 1400.0
    ordered = sorted(usable, key=lambda spot: distance_m(spot.point, centre) + rng.random() * spread_m)
    for size in (1.0, 0.75, 0.5):
        for spot in ordered:
            for side in (1.0, -1.0):
                shape, middle = _shape(place.kind, spot.point, spot.bearing, side, size)
                if free.contains(shape):
                    return shape, middle
    return None


def _road_spots(roads: Sequence[Road]) -> list[_Spot]:
    spots: list[_Spot] = []
    for road in roads:
        for step in range(1, int(road.line.length / 90.0)):
            point, bearing = on_line(road.line, step * 90.0)
            spots.append(_Spot(point, bearing, road.rank != "secondary"))
    return spots


def _shape(kind: str, point: Point, bearing: float, side: float, size: float) -> tuple[Polygon, Point]:
    long_m, wide_m = (size * value for value in _SIZE_M[kind])
    beside_m = size * _BESIDE_M.get(kind, 0.0) * side
    cos, sin = math.cos(bearing), math.sin(bearing)
    middle = (point[0] - sin * beside_m, point[1] + cos * beside_m)

    def turn(u: float, v: float) -> Point:
        return middle[0] + u * cos - v * sin, middle[1] + u * sin + v * cos

    if kind == "flood_spot":
        bumps = stream("blob", round(point[0]), round(point[1]))
        angles = [2 * math.pi * step / 12 for step in range(12)]
        sizes = [bumps.uniform(0.36, 0.52) for _ in angles]
        ring = [
            turn(math.cos(angle) * r * long_m, math.sin(angle) * r * wide_m)
            for angle, r in zip(angles, sizes, strict=True)
        ]
    else:
        half, depth = long_m / 2, wide_m / 2
        notch = 0.0 if kind == "underpass" else 0.22
        ring = [
            turn(-half, -depth),
            turn(half, -depth),
            turn(half, depth * (1 - notch)),
            turn(half * (1 - notch), depth),
            turn(-half, depth),
        ]
    return Polygon(ring), middle


def on_line(line: LineString | MultiLineString, distance: float) -> tuple[Point, float]:
    """Return the point `distance` metres along `line` and its bearing in radians."""
    a, b = line.interpolate(distance), line.interpolate(min(line.length, distance + 15.0))
    if a.equals(b):
        a = line.interpolate(max(0.0, distance - 15.0))
    return (a.x, a.y), math.atan2(b.y - a.y, b.x - a.x)
