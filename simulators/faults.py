"""Imperfect devices: what a fault makes of what a device would have said. Pure.

Faults are steps of a scenario, or a background that `background` strews over the whole fleet.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from simulators.city.plane import stream
from simulators.fleet import Fleet
from simulators.scenario import Scenario, Title
from simulators.scenario_checks import FIRST_WORD_S
from simulators.steps import FAULTS, Happening, Kind, Step
from simulators.times import SECOND_US, format_us

Event = dict[str, object]

SPIKE_APART_S: Final = 40.0
"""A noisy detector's wild samples lie this far apart at least: loose contacts chatter, they do not hold."""
BACKGROUND_LOOP_S: Final = 3600.0
MAX_FAULTS: Final = 1_000
"""Background faults an hour."""
_WILD: Final = {"speed_kmh": 3.0, "occupancy": 0.6}


def afflict(
    said: Iterable[tuple[int, Event]], on: Sequence[Happening], seed: int
) -> Iterator[tuple[int, Event]]:
    """Yield what arrives of `said` (true time, event) from a device with the faults among `on`."""
    faults = [item for item in on if item.step.kind in FAULTS]
    for at_us, event in said:
        left: Event | None = event
        for fault in faults:
            if left is not None and fault.start_us <= at_us < fault.end_us:
                left = _with(fault, at_us, left, seed)
        if left is not None:
            yield at_us, left


def _with(fault: Happening, at_us: int, event: Event, seed: int) -> Event | None:
    step, source, kind = fault.step, str(event["source"]), str(event["type"])
    match step.kind:
        case Kind.CAMERA_SILENT | Kind.DETECTOR_SILENT:
            return None
        case Kind.LOST_SAMPLES:
            return None if stream(seed, source, "lost", kind, at_us).random() < step.share else event
        case Kind.CLOCK_DRIFT:
            return event | {"time": format_us(at_us + round(_grown(fault, at_us) * step.seconds * SECOND_US))}
        case Kind.COUNT_DRIFT if kind == "camera.count":
            return event | {"data": _miscounted(event["data"], 1 + _grown(fault, at_us) * (step.factor - 1))}
        case Kind.DETECTOR_STUCK if kind == "traffic.flow":
            return event | {"data": _stuck(event["data"], stream(seed, source, "stuck", fault.start_us))}
        case Kind.DETECTOR_NOISY if kind == "traffic.flow" and _is_wild(fault, source, at_us, seed):
            return event | {"data": _merged(event["data"], _WILD)}
    return event


def _grown(fault: Happening, at_us: int) -> float:
    """Return how far a slow fault has come, 0 to 1."""
    return (at_us - fault.start_us) / max(1, fault.end_us - fault.start_us)


def _miscounted(data: Any, factor: float) -> dict[str, object]:
    wrong = {name: round(data[name] * factor) for name in ("people", "vehicles")}
    return _merged(data, wrong | {"counts": {k: round(v * factor) for k, v in data["counts"].items()}})


def _stuck(data: Any, rng: Any) -> dict[str, object]:
    """Return one plausible sample, the same as long as the fault lasts."""
    speed, occupancy = round(rng.uniform(34, 52), 1), round(rng.uniform(0.05, 0.2), 3)
    return _merged(data, {"speed_kmh": speed, "occupancy": occupancy, "volume_veh": rng.randrange(1, 6)})


def _is_wild(fault: Happening, source: str, at_us: int, seed: int) -> bool:
    apart_us = round(SPIKE_APART_S * SECOND_US)
    since_us = (at_us - fault.start_us) % apart_us
    if since_us >= apart_us // 4:
        return False
    return stream(seed, source, "noise", at_us).random() < fault.step.share


def _merged(data: Any, more: dict[str, Any]) -> dict[str, object]:
    return {**data, **more}


def background(fleet: Fleet, seed: int, per_hour: int) -> Scenario:
    """Return an endless scenario of about `per_hour` faults an hour, strewn over the fleet.

    All faults are borne without an incident, except that what falls silent for long is told as such.
    """
    rng = stream(seed, "background faults")
    makes: list[tuple[Kind, list[str], dict[str, Any]]] = [
        (Kind.LOST_SAMPLES, [*_ids(fleet, "camera"), *_ids(fleet, "detector")], {"share": 0.2}),
        (Kind.COUNT_DRIFT, _ids(fleet, "camera"), {"factor": 1.25}),
        (Kind.CLOCK_DRIFT, _ids(fleet, "camera"), {"seconds": 20.0}),
        (Kind.CAMERA_SILENT, _ids(fleet, "camera"), {}),
        (Kind.DETECTOR_STUCK, _ids(fleet, "detector"), {}),
        (Kind.DETECTOR_NOISY, _ids(fleet, "detector"), {"share": 0.5}),
        (Kind.DETECTOR_SILENT, _ids(fleet, "detector"), {}),
    ]
    makes = [make for make in makes if make[1]]
    steps = []
    for number in range(per_hour):
        kind, devices, parameters = makes[number % len(makes)]
        at = round(rng.uniform(FIRST_WORD_S, BACKGROUND_LOOP_S), 1)
        base = Step(at=at, duration_s=round(rng.uniform(120, 900), 1), kind=kind)
        steps.append(replace(base, source=rng.sample(devices, min(8, len(devices))), **parameters))
    title = Title(vi="Thiết bị trục trặc", en="Faulty devices")
    return Scenario(scenario="background-faults", title=title, steps=steps, loop_s=BACKGROUND_LOOP_S)


def _ids(fleet: Fleet, kind: str) -> list[str]:
    return [unit.id for unit in (fleet.cameras if kind == "camera" else fleet.detectors)]
