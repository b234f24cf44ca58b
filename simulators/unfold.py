"""What follows from a step: queues grow back along the road, rain floods low points, a match fills streets.

Each step comes to simple steps that one device or ward carries by itself. Pure: the same for the same fleet.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from simulators.city.plane import stream
from simulators.fleet import Fleet, gap_m
from simulators.steps import Kind, Step

Act = tuple[Step, str]
"""A simple step and its target."""

JAM_WAVE_KMH: Final = 16.0
"""How fast the end of a queue moves back along the road."""
RELEASE_WAVE_KMH: Final = 22.0
"""How fast its release does; faster, so that a queue dissolves and is shortest where it reached last."""
FLOOD_SLOWS_M: Final = 900.0
EVENT_STREETS_M: Final = 2500.0
EVENT_ARRIVAL_S: Final = 900.0
EVENT_DEPARTURE_S: Final = 1200.0
BIG_EVENT_PEOPLE: Final = 100
"""People in one camera's view; from here on the departure is a jam."""
_SLOW: Final = {"speed_kmh": 22.0, "occupancy": 0.3}
"""Slow, but no jam to any rule."""
_MIN_JAM_S: Final = 60.0


def unfold(step: Step, target: str, fleet: Fleet) -> list[Act]:
    """Return the simple steps that `step` at `target` comes to, itself first."""
    match step.kind:
        case Kind.CONGESTION:
            return [(step, target), *_queue(step, target, fleet)]
        case Kind.FLOOD:
            return list(_flood(step, target, fleet))
        case Kind.RAIN:
            return [(step, target), *_low_points(step, fleet)]
        case Kind.PLANNED_EVENT:
            return list(_event(step, target, fleet))
    return [(step, target)]


def _queue(step: Step, target: str, fleet: Fleet) -> Iterator[Act]:
    for upstream, back_m in fleet.upstream(target):
        if back_m > step.spread_m:
            return
        begin_s = step.at + back_m / (JAM_WAVE_KMH / 3.6)
        end_s = step.at + step.duration_s + back_m / (RELEASE_WAVE_KMH / 3.6)
        if end_s - begin_s >= _MIN_JAM_S:
            yield replace(step, at=begin_s, duration_s=end_s - begin_s, spread_m=0.0), upstream.id


def _flood(step: Step, target: str, fleet: Fleet) -> Iterator[Act]:
    """Yield the camera's alarm, the reports of its ward and slow traffic around it."""
    camera = fleet.units[target]
    yield step, target
    reports = replace(step, kind=Kind.FLOOD_REPORT, at=step.at + 60, duration_s=min(step.duration_s, 600.0))
    yield reports, camera.ward
    for detector in fleet.near(camera, "detector", FLOOD_SLOWS_M):
        yield replace(step, kind=Kind.CONGESTION, **_SLOW), detector.id


def _low_points(rain: Step, fleet: Fleet) -> Iterator[Act]:
    """Yield a flood for each ward's first low point that this much water reaches.

    How much a low point bears is its own: hours of rain of intensity 1, drawn from its code.
    """
    seen: set[str] = set()
    for code in fleet.areas_of("flood"):
        cameras = fleet.of_area(code, "camera")
        if not cameras or cameras[0].ward in seen:
            continue
        seen.add(cameras[0].ward)
        bears_h = stream("low point", code).uniform(0.2, 0.8)
        if rain.intensity == 0 or (after_s := 3600 * bears_h / rain.intensity) >= rain.duration_s - 300:
            continue
        lasts_s = rain.duration_s - after_s + 600
        flood = replace(rain, kind=Kind.FLOOD, at=rain.at + after_s, duration_s=lasts_s, reports=4)
        yield from _flood(flood, cameras[0].id, fleet)


def _event(step: Step, target: str, fleet: Fleet) -> Iterator[Act]:
    """Yield the crowd before its camera, slow traffic on arrival, and a jam on departure if it is big."""
    camera = fleet.units[target]
    yield replace(step, kind=Kind.CROWD), target
    around = sorted(fleet.near(camera, "detector", EVENT_STREETS_M), key=lambda unit: gap_m(camera, unit))
    for detector in around:
        yield replace(step, kind=Kind.CONGESTION, duration_s=EVENT_ARRIVAL_S, **_SLOW), detector.id
    leaving = replace(
        step,
        kind=Kind.CONGESTION,
        at=step.at + step.duration_s,
        duration_s=EVENT_DEPARTURE_S,
        **({"spread_m": 2000.0} if step.people >= BIG_EVENT_PEOPLE else _SLOW),
    )
    for detector in around[:2]:
        yield leaving, detector.id
        yield from _queue(leaving, detector.id, fleet)
