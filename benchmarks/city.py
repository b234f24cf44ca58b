"""The committed city of the engine benchmark: wards, fences, rules and events, all from one seed.

Wards tile a rectangle of 54 × 66 km without gaps: neighbours share one fractal border of 500 vertices, so
each of the 36 has about 2,000, as the real ones do. Fences are 1,000 uneven polygons of 30 vertices, 100 to
400 m across, in five kinds. One event in twenty is *hot*: its values reach thresholds; the others' never do.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from ioc.model.places import Area
from ioc.model.texts import Text

WEST, SOUTH, EAST, NORTH = 106.40, 10.90, 106.90, 11.50
WARDS_PER_SIDE = 6
BORDER_VERTICES = 500
FENCES = {"school": 420, "market": 200, "hospital": 140, "site": 200, "underpass": 40}
FENCE_VERTICES = 30
SOURCES = 14_000
"""Detectors, and as many cameras: a big city's, so that keys are many."""
HOT_SHARE = 0.05
START = datetime(2026, 11, 22, 10, tzinfo=UTC)
EVENTS_PER_S = 5_000
"""Of the events' own clock; says how often a tick comes."""

Point = tuple[float, float]


def areas(seed: int = 1) -> list[Area]:
    """Return 36 wards and 1,000 fences."""
    chance = random.Random(seed)
    return [*_wards(chance), *_fences(chance)]


def _wards(chance: random.Random) -> Iterator[Area]:
    side = range(WARDS_PER_SIDE + 1)
    corner = {
        (i, j): (
            WEST + (EAST - WEST) * i / WARDS_PER_SIDE,
            SOUTH + (NORTH - SOUTH) * j / WARDS_PER_SIDE,
        )
        for i, j in itertools.product(side, side)
    }
    level = {(i, j): _border(chance, corner[i, j], corner[i + 1, j]) for i in side[:-1] for j in side}
    upright = {(i, j): _border(chance, corner[i, j], corner[i, j + 1]) for i in side for j in side[:-1]}
    for number, (i, j) in enumerate(itertools.product(side[:-1], side[:-1])):
        ring = level[i, j][:-1] + upright[i + 1, j][:-1]
        ring += level[i, j + 1][:0:-1] + upright[i, j][:0:-1]
        yield _area(f"{25700 + number}", "ward", [*ring, ring[0]])


def _border(chance: random.Random, start: Point, end: Point) -> list[Point]:
    """Return a line from start to end that wanders sideways at every scale, least at its ends."""
    steps = np.linspace(0.0, 1.0, BORDER_VERTICES + 1)
    sideways = sum(
        math.pow(2.0, -k) * np.sin(math.pi * math.pow(2.0, k) * steps + chance.uniform(0, 6.28))
        for k in range(1, 8)
    )
    sideways = sideways * 0.12 * np.minimum(steps, 1 - steps)
    width, height = end[0] - start[0], end[1] - start[1]
    lon = start[0] + width * steps - height * sideways
    lat = start[1] + height * steps + width * sideways
    return list(zip(lon.tolist(), lat.tolist(), strict=True))


def _fences(chance: random.Random) -> Iterator[Area]:
    for kind, count in FENCES.items():
        for number in range(count):
            yield _area(f"{kind}-{number}", kind, _fence(chance))


def _fence(chance: random.Random) -> list[Point]:
    lon, lat = chance.uniform(WEST + 0.01, EAST - 0.01), chance.uniform(SOUTH + 0.01, NORTH - 0.01)
    radius_deg = chance.uniform(0.0005, 0.002)
    ring = []
    for step in range(FENCE_VERTICES):
        angle, reach_deg = 2 * math.pi * step / FENCE_VERTICES, radius_deg * chance.uniform(0.7, 1.0)
        ring.append((lon + reach_deg * math.cos(angle), lat + reach_deg * math.sin(angle)))
    return [*ring, ring[0]]


def _area(code: str, kind: str, ring: Sequence[Point]) -> Area:
    geometry = {"type": "Polygon", "coordinates": [[list(point) for point in ring]]}
    return Area(code=code, kind=kind, name=Text(code, code), geometry=geometry)


_FLOW, _COUNT = "traffic traffic.flow", "camera camera.count"
_TEMPLATES = (
    (_FLOW, "speed_kmh < {a} && occupancy > 0.35", "source", "having: count >= 40 within 1h"),
    (_FLOW, "occupancy > 0.{b}", "source", "having: avg(speed_kmh) < 2 within 30m"),
    (_FLOW, "speed_kmh < {a} && volume_veh > 30", "ward", "having: distinct(source) >= 900 within 30m"),
    (_COUNT, "people > {b}", "source", "having: avg(people) >= 99 within 30m"),
    (_COUNT, "stopped_vehicles >= {c} && vehicles > 20", "source", "for: 10m\nhold: 30m"),
    (
        "camera camera.alarm",
        'kind in ["wrong_way", "intrusion"] && confidence >= 0.{b}',
        "source",
        "hold: 30m",
    ),
    (
        "camera camera.object",
        'label == "person" && confidence > 0.{b}',
        "source",
        "having: count >= 9 within 10m",
    ),
    (
        "feedback feedback.report",
        'category == "flood" || category.startsWith("fire")',
        "ward",
        "having: count >= 90 within 1h",
    ),
)


def rules(count: int, seed: int = 2) -> str:
    """Return `count` rules as YAML over three streams.

    Each template once over the whole city; then alternately by kind of fence, one fence, or ward, with one of
    ten thresholds each, as rules written per place are.
    """
    chance = random.Random(seed)
    kinds = list(FENCES)
    texts = []
    for number in range(count):
        events, where, by, condition = _TEMPLATES[number % len(_TEMPLATES)]
        stream, kind = events.split()
        wide = number < len(_TEMPLATES)
        where = where.format(a=10 + number % 10, b=60 + number % 10, c=3 + number % 10)
        lines = [
            f"rule: bench-{number}",
            f"title: {{vi: Thử {number}, en: Bench {number}}}",
            f"stream: {stream}",
            f"type: {kind}",
            f"where: '{where}'",
            f"by: [{by}]",
            "severity: medium",
            condition,
        ]
        if not wide:
            fence = chance.choice(kinds)
            lines.append(
                (
                    f"area: {{kind: {fence}}}",
                    f"area: {{kind: {fence}, code: [{fence}-{chance.randrange(FENCES[fence])}]}}",
                    f"ward: ['{25700 + chance.randrange(36)}']",
                )[number // len(_TEMPLATES) % 3]
            )
        texts.append("\n".join(lines))
    return "\n---\n".join(texts)


class Traffic:
    """Makes bodies of CloudEvents, one event per line."""

    def __init__(self, seed: int = 3) -> None:
        self._chance = random.Random(seed)
        self._ids = itertools.count()
        place = random.Random(seed + 1)
        self._places = [
            (round(place.uniform(WEST, EAST), 6), round(place.uniform(SOUTH, NORTH), 6))
            for _ in range(SOURCES)
        ]

    def hot_everywhere(self) -> Iterator[dict[str, object]]:
        """Yield events that give every detector and every camera a live key."""
        for source in range(SOURCES):
            yield self._event(source, "traffic.flow", self._flow(hot=True))
            yield self._event(source, "camera.count", self._count(hot=True))

    def events(self, count: int) -> Iterator[dict[str, object]]:
        """Yield events of all three streams, `HOT_SHARE` of them hot."""
        for _ in range(count):
            hot, choice = self._chance.random() < HOT_SHARE, self._chance.random()
            source = self._chance.randrange(SOURCES)
            if choice < 0.40:
                yield self._event(source, "traffic.flow", self._flow(hot))
            elif choice < 0.80:
                yield self._event(source, "camera.count", self._count(hot))
            elif choice < 0.93:
                seen = {"label": "person" if hot else "car", "confidence": 0.9, "track_id": f"t{source % 97}"}
                yield self._event(source, "camera.object", seen)
            elif choice < 0.98:
                alarm = {"kind": "wrong_way" if hot else "motion", "confidence": 0.93}
                yield self._event(source, "camera.alarm", alarm)
            else:
                report = {"category": "flood" if hot else "noise", "text": "Nước ngập trước nhà"}
                yield self._event(source, "feedback.report", report)

    def _flow(self, hot: bool) -> dict[str, object]:
        chance = self._chance
        if hot:
            speed_kmh, volume_veh = round(chance.uniform(3.0, 9.9), 1), chance.randint(31, 60)
            return {"speed_kmh": speed_kmh, "occupancy": 0.72, "volume_veh": volume_veh, "interval_s": 10}
        return {
            "speed_kmh": round(chance.uniform(25.0, 60.0), 1),
            "occupancy": round(chance.uniform(0.02, 0.3), 2),
            "volume_veh": chance.randint(0, 30),
            "interval_s": 10,
        }

    def _count(self, hot: bool) -> dict[str, object]:
        chance = self._chance
        if hot:
            return {
                "people": chance.randint(71, 90),
                "vehicles": chance.randint(21, 40),
                "stopped_vehicles": 13,
            }
        return {"people": chance.randint(0, 50), "vehicles": chance.randint(0, 40), "stopped_vehicles": 1}

    def _event(self, source: int, kind: str, data: Mapping[str, object]) -> dict[str, object]:
        number = next(self._ids)
        lon, lat = self._places[source]
        moment = START + timedelta(milliseconds=number * 1000 // EVENTS_PER_S)
        return {
            "specversion": "1.0",
            "id": f"bench-{number:08d}",
            "source": f"{kind.partition('.')[0]}-{source:05d}",
            "type": kind,
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "lon": lon,
            "lat": lat,
            "data": data,
        }


def bodies(events: Iterator[dict[str, object]], size: int) -> list[bytes]:
    """Return `events` as NDJSON bodies of `size` events."""
    found = []
    while lines := [msgspec.json.encode(event) for event in itertools.islice(events, size)]:
        found.append(b"\n".join(lines))
    return found
