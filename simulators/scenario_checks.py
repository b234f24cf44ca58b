"""What a scenario file may say beyond its types: each fault with its path and what is expected there."""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from simulators.steps import PARAMETERS, Alarm, Kind, Step, happens_to
from simulators.times import parse_us

FIRST_WORD_S: Final = 20.0
"""Every device has spoken once by then; silence before it is no silence to anybody."""
COMMON: Final = ("at", "duration_s", "kind", "source", "area", "ward")
MAX_REPORTS: Final = 1_000
LEAST_LENGTH_S: Final = 1.0
"""Of a scenario or a loop."""
MOST_S: Final = 366 * 86_400.0
"""Of any time in a scenario."""
_NUMBERS: Final = tuple(field.name for field in msgspec.structs.fields(Step) if field.type is float)
MOST_NUMBER: Final = 1e6
"""Of anything else."""
_TIMES: Final = ("at", "duration_s", "seconds")
_FRACTIONS: Final = ("occupancy", "confidence", "missed", "intensity", "share")
_COUNTS: Final = ("people", "vehicles", "reports")


def step_faults(step: Step, given: Collection[str], loop_s: float | None) -> Iterator[tuple[str, str]]:
    """Yield (field or empty, fault) for one step whose file names the fields `given`."""
    for name in given:
        if name not in COMMON and name not in PARAMETERS[step.kind]:
            takes = ", ".join(PARAMETERS[step.kind]) or "no parameters"
            owners = " and ".join(kind for kind, fields in PARAMETERS.items() if name in fields)
            yield name, f"{name} belongs to {owners}; {step.kind} takes {takes}"
    yield from _place_faults(step)
    for name in _NUMBERS:
        value, most = getattr(step, name), MOST_S if name in _TIMES else MOST_NUMBER
        if not (math.isfinite(value) and abs(value) <= most):
            yield name, f"{name} is a number up to {most:,.0f}"
    if step.at < 0:
        yield "at", "at counts seconds from the start: 0 or more"
    if step.kind in (Kind.CAMERA_SILENT, Kind.DETECTOR_SILENT) and step.at < FIRST_WORD_S:
        yield "at", f"a device must speak before it falls silent: at {FIRST_WORD_S:.0f} or later"
    if step.duration_s <= 0:
        yield "duration_s", "duration_s must be above 0"
    if loop_s is not None and step.duration_s > loop_s:
        yield "duration_s", "a step may not outlast the loop"
    for name in _FRACTIONS:
        if not 0 <= getattr(step, name) <= 1:
            yield name, f"{name} is a fraction, 0 to 1"
    for name in _COUNTS:
        if getattr(step, name) < 1:
            yield name, f"{name} is at least 1"
    if step.reports > MAX_REPORTS:
        yield "reports", f"reports is {MAX_REPORTS:,} at most"
    for name in ("speed_kmh", "spread_m", "factor"):
        if getattr(step, name) < 0:
            yield name, f"{name} is at least 0"


def _place_faults(step: Step) -> Iterator[tuple[str, str]]:
    named = [name for name in ("source", "area", "ward") if getattr(step, name) is not None]
    match happens_to(step.kind):
        case "city":
            for name in named:
                yield name, f"{step.kind} falls on the whole city: leave {name} out"
            return
        case "ward" if named != ["ward"]:
            yield (named or [""])[0], "citizens report from a ward: use ward"
        case "device" if named != ["source"]:
            yield (named or [""])[0], f"{step.kind} happens to one device: use source"
    if len(named) != 1:
        yield "", "say where by exactly one of source, area and ward"


def start_fault(text: str) -> str | None:
    """Return what is wrong with a scenario's `start`, None if nothing."""
    try:
        parse_us(text)
    except ValueError as problem:
        return f'start is RFC 3339 with its zone, e.g. "2026-11-23T06:45:00+07:00": {problem}'
    return None


def explained(message: str) -> str:
    """Return msgspec's `message` with what would have been right: the kinds there are, the nearest field."""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown:
        known = (*COMMON, *sorted({name for names in PARAMETERS.values() for name in names}))
        if "steps[" not in message:
            known = ("scenario", "title", "start", "duration_s", "loop_s", "steps")
        near = difflib.get_close_matches(unknown.group(1), known, n=1)
        return f"{message}; did you mean {near[0]}?" if near else f"{message}; known: {', '.join(known)}"
    if "Invalid enum value" in message:
        values: tuple[str, ...] = tuple(Alarm) if ".alarm`" in message else tuple(Kind)
        return f"{message}; one of: {', '.join(values)}"
    if "Expected `str`, got `datetime`" in message:
        return f"{message}; put the time in quotation marks"
    return message


def given_fields(plain: Mapping[str, Any], index: int) -> list[str]:
    """Return the fields that step `index` of a parsed file names."""
    return [str(name) for name in plain["steps"][index]]
