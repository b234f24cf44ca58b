"""A flat metre plane around the city and deterministic, natural-looking lines on it."""

import hashlib
import math
import random
from collections.abc import Sequence
from itertools import pairwise

Point = tuple[float, float]

ORIGIN: Point = (106.65, 11.15)
_LAT_M = 110_600.0
_LON_M = 111_320.0 * math.cos(math.radians(ORIGIN[1]))
DECIMALS = 5
"""Decimals of written degrees: about one metre."""


def to_plane(lonlat: Sequence[float]) -> Point:
    """Return metres east and north of `ORIGIN` for degrees."""
    return (lonlat[0] - ORIGIN[0]) * _LON_M, (lonlat[1] - ORIGIN[1]) * _LAT_M


def to_lonlat(point: Sequence[float]) -> Point:
    """Return rounded degrees for metres; equal points stay equal."""
    return (
        round(point[0] / _LON_M + ORIGIN[0], DECIMALS),
        round(point[1] / _LAT_M + ORIGIN[1], DECIMALS),
    )


def stream(*parts: object) -> random.Random:
    """Return a random generator that depends on `parts` only: not on call order, process or hash seed."""
    text = "\x1f".join(map(str, parts))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def distance_m(a: Point, b: Point) -> float:
    """Return the straight distance in metres."""
    return math.hypot(a[0] - b[0], a[1] - b[1])


def jitter(line: Sequence[Point], *, share: float, min_m: float, seed: object) -> list[Point]:
    """Return `line` with every segment broken by midpoint displacement down to `min_m`.

    A segment's new vertices depend on its end points and `seed` only, whichever way it is walked, so two
    polygons that share a segment keep sharing it exactly. `share` is the displacement per length.
    """
    out = [line[0]]
    for a, b in pairwise(line):
        if a <= b:
            out += _displace(a, b, share, min_m, stream(seed, a, b))[1:]
        else:
            out += _displace(b, a, share, min_m, stream(seed, b, a))[-2::-1]
    return out


def _displace(a: Point, b: Point, share: float, min_m: float, rng: random.Random) -> list[Point]:
    length_m = distance_m(a, b)
    if length_m < 2 * min_m:
        return [a, b]
    along = rng.uniform(0.4, 0.6)
    side = rng.uniform(-share, share)
    dx, dy = b[0] - a[0], b[1] - a[1]
    middle = (a[0] + dx * along - dy * side, a[1] + dy * along + dx * side)
    return _displace(a, middle, share, min_m, rng)[:-1] + _displace(middle, b, share, min_m, rng)


def smooth(line: Sequence[Point], step_m: float) -> list[Point]:
    """Return a Catmull-Rom curve through `line` with a vertex about every `step_m` metres."""
    padded = [line[0], *line, line[-1]]
    out: list[Point] = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        steps = max(1, round(distance_m(p1, p2) / step_m))
        for index in range(steps):
            t = index / steps
            out.append((_spline(t, p0[0], p1[0], p2[0], p3[0]), _spline(t, p0[1], p1[1], p2[1], p3[1])))
    return [*out, line[-1]]


def _spline(t: float, a: float, b: float, c: float, d: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t**3)
