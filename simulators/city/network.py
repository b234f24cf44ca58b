"""Roads, water and local streets, all approximate, on the metre plane."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from shapely import contains_xy, prepare, unary_union
from shapely.geometry import LineString, MultiLineString, Polygon
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from simulators.city.partition import Ward
from simulators.city.plane import Point, distance_m, jitter, smooth, stream, to_plane


class Road(msgspec.Struct, frozen=True):
    """One road; `rank` is the map's class, `line` is in metres."""

    code: str
    name: str
    name_en: str
    rank: str
    line: LineString | MultiLineString


class Water(msgspec.Struct, frozen=True):
    """One river or lake as a polygon in metres."""

    code: str
    name: str
    name_en: str
    shape: Polygon


_SPACING_M = {3: 170.0, 2: 270.0, 1: 420.0, 0: 900.0}
_KEEP = {3: 0.93, 2: 0.74, 1: 0.5, 0: 0.34}
_STREET_REACH_M = {3: 1500.0, 2: 1300.0, 1: 1000.0, 0: 1500.0}
"""How far from a main road streets remain likely."""


def rivers_and_lakes(drawn: Mapping[str, Any], rim: LineString, seed: int) -> list[Water]:
    """Return the water of `lines.json`; rivers on the border follow `rim`, the wards' common outline."""
    found: list[Water] = []
    for item in drawn["water"]:
        if "points" in item:
            line = LineString(_curved(item["points"], 150.0, 0.10, seed))
        else:
            line = _along(rim, to_plane(item["outline_from"]), to_plane(item["outline_to"]))
        shape = line.simplify(12.0).buffer(item["width_m"] / 2, quad_segs=2).simplify(8.0)
        found.append(Water(item["code"], item["name"], item["name_en"], shape))
    for item in drawn["lakes"]:
        ring = [to_plane(point) for point in item["points"]]
        rough = jitter([*ring, ring[0]], share=0.32, min_m=180.0, seed=("lake", seed))
        shape = Polygon(rough).buffer(0)
        if not isinstance(shape, Polygon):
            shape = max((part for part in shape.geoms), key=lambda part: float(part.area))
        found.append(Water(item["code"], item["name"], item["name_en"], shape))
    return found


def main_roads(drawn: Mapping[str, Any], wards: Sequence[Ward], land: BaseGeometry, seed: int) -> list[Road]:
    """Return named roads and the roads between neighbouring wards' centres, cut to `land`."""
    found: list[Road] = []
    for item in drawn["roads"]:
        line = _longest(LineString(_curved(item["points"], 220.0, 0.05, seed)).intersection(land))
        found.append(Road(item["code"], item["name"], item["name_en"], item["class"], line))
    for a, b in _neighbours(wards):
        ends = [to_plane(a.center), to_plane(b.center)]
        line = _longest(
            LineString(smooth(jitter(ends, share=0.2, min_m=900.0, seed=seed), 260.0)).intersection(land)
        )
        code = f"road-{a.code}-{b.code}"
        name, name_en = f"Đường liên khu {a.short} – {b.short}", f"{a.short_en} – {b.short_en} Road"
        found.append(Road(code, name, name_en, "secondary", line))
    return found


def local_streets(
    ward: Ward, shape: Polygon, roads: Sequence[Road], blocked: BaseGeometry, seed: int
) -> list[Road]:
    """Return a ward's street mesh as up to two roads of many parts: `tertiary` and `local`."""
    spacing_m = _SPACING_M[ward.urban]
    allowed = shape.buffer(-40.0).difference(blocked)
    mains = unary_union([road.line for road in roads]).intersection(shape.buffer(500.0))
    reach_m = _STREET_REACH_M[ward.urban]
    prepare(allowed)
    centre = to_plane(ward.center)
    prepare(mains)

    def likely(point: Point) -> float:
        near_m: float = min(mains.distance(ShapelyPoint(point)), distance_m(point, centre) / 1.5)
        return _KEEP[ward.urban] * min(1.0, max(0.12, 1.35 - near_m / reach_m))

    grades: dict[str, list[LineString]] = {"tertiary": [], "local": []}
    for index, line in _warped_grid(ward, shape, spacing_m, _bearing(mains, centre), seed):
        grade = "tertiary" if index % 4 == 0 else "local"
        keep = 1.6 if grade == "tertiary" else 1.0
        grades[grade] += _kept_runs(line, likely, keep, allowed, stream("street", seed, ward.code, index))
    return [
        Road(
            f"street-{ward.code}-{grade}",
            f"Đường nội bộ {ward.short}",
            f"{ward.short_en} local streets",
            grade,
            MultiLineString(parts),
        )
        for grade, parts in grades.items()
        if parts
    ]


def _warped_grid(
    ward: Ward, shape: Polygon, spacing_m: float, bearing: float, seed: int
) -> list[tuple[int, list[Point]]]:
    """Return grid lines turned by `bearing` and bent by a slow wave."""
    rng = stream("grid", seed, ward.code)
    cx, cy = to_plane(ward.center)
    corners = list(shape.exterior.coords)
    reach_m = max(distance_m((cx, cy), (x, y)) for x, y in corners)
    waves = [(rng.uniform(900, 2600), rng.uniform(0, 7), rng.uniform(0.1, 0.3)) for _ in range(4)]
    cos, sin = math.cos(bearing), math.sin(bearing)

    def bend(u: float, v: float) -> Point:
        for length_m, phase, size in waves[:2]:
            u += size * spacing_m * math.sin(v / length_m * 6 + phase)
        for length_m, phase, size in waves[2:]:
            v += size * spacing_m * math.sin(u / length_m * 6 + phase)
        return cx + u * cos - v * sin, cy + u * sin + v * cos

    steps = int(reach_m / spacing_m) + 1
    offsets = [spacing_m * (k + rng.uniform(-0.3, 0.3)) for k in range(-steps, steps + 1)]
    lines: list[tuple[int, list[Point]]] = []
    for number, fixed in enumerate(offsets):
        lines.append((2 * number, [bend(fixed, moving) for moving in offsets]))
        lines.append((2 * number + 1, [bend(moving, fixed) for moving in offsets]))
    return [(index // 2, line) for index, line in lines]


def _kept_runs(
    line: Sequence[Point],
    likely: Callable[[Point], float],
    keep: float,
    allowed: BaseGeometry,
    rng: random.Random,
) -> list[LineString]:
    runs: list[LineString] = []
    run: list[Point] = []
    # Both ends first: most segments of the grid lie outside the ward.
    inside = contains_xy(allowed, np.array(line))
    for (a, a_inside), (b, b_inside) in pairwise(zip(line, inside, strict=True)):
        within = a_inside and b_inside and allowed.contains(LineString([a, b]))
        if within and rng.random() < keep * likely(a):
            run = [*run, b] if run else [a, b]
        elif run:
            runs.append(LineString(run))
            run = []
    if run:
        runs.append(LineString(run))
    return runs


def _bearing(mains: BaseGeometry, centre: Point) -> float:
    """Return the direction (radians) of the main road nearest to `centre`."""
    parts = [part for part in getattr(mains, "geoms", [mains]) if isinstance(part, LineString)]
    if not parts:
        return 0.0
    here = ShapelyPoint(centre)
    nearest = min(parts, key=lambda part: float(part.distance(here)))
    (ax, ay), (bx, by) = nearest.coords[0], nearest.coords[-1]
    return math.atan2(by - ay, bx - ax)


def _neighbours(wards: Sequence[Ward]) -> list[tuple[Ward, Ward]]:
    """Return pairs with no third ward nearer to both (relative neighbourhood graph)."""
    at = {ward.code: to_plane(ward.center) for ward in wards}
    pairs: list[tuple[Ward, Ward]] = []
    for i, a in enumerate(wards):
        for b in wards[i + 1 :]:
            gap = distance_m(at[a.code], at[b.code])
            if not any(
                max(distance_m(at[c.code], at[a.code]), distance_m(at[c.code], at[b.code])) < gap * 0.98
                for c in wards
                if c is not a and c is not b
            ):
                pairs.append((a, b))
    return pairs


def _curved(points: Sequence[Sequence[float]], step_m: float, share: float, seed: int) -> list[Point]:
    rough = jitter([to_plane(point) for point in points], share=share, min_m=700.0, seed=("line", seed))
    return smooth(rough, step_m)


def _along(rim: LineString, start: Point, end: Point) -> LineString:
    """Return the part of the closed `rim` from `start` to `end`, the way that misses the rest."""
    a, b = (rim.project(ShapelyPoint(point)) for point in (start, end))
    direct = substring(rim, min(a, b), max(a, b))
    around = LineString(
        [*substring(rim, max(a, b), rim.length).coords, *substring(rim, 0, min(a, b)).coords[1:]]
    )
    return min(direct, around, key=lambda line: float(line.length))


def _longest(geometry: BaseGeometry) -> LineString:
    parts = [part for part in getattr(geometry, "geoms", [geometry]) if isinstance(part, LineString)]
    return max(parts, key=lambda part: float(part.length))
