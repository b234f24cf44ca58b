"""Scenario files: what happens where and when, checked against a schema with line numbers.

A scenario is a list of steps on its own clock (seconds from the start). With `loop_s` it begins again for
ever; a step that lists several places takes the next one in each round.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from importlib import resources
from pathlib import Path

import msgspec
import yaml

from simulators import SimulatorError
from simulators.fleet import Fleet
from simulators.times import SECOND_US


class ScenarioError(SimulatorError):
    """A scenario file is wrong; the message begins with `file:line:`."""


class Kind(StrEnum):
    """What can happen."""

    CONGESTION = "congestion"
    WRONG_WAY = "wrong_way"
    STOPPED_VEHICLE = "stopped_vehicle"
    CROWD = "crowd"
    CAMERA_SILENT = "camera_silent"
    FLOOD_REPORT = "flood_report"
    FIRE_SMOKE = "fire_smoke"


class Title(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario's name in both languages."""

    vi: str
    en: str


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that happens. Exactly one of `source`, `area` and `ward` says where.

    `area` and `ward` mean the first fitting device there (for `flood_report`, the ward itself).
    """

    at: float
    duration_s: float
    kind: Kind
    source: str | list[str] | None = None
    area: str | list[str] | None = None
    ward: str | list[str] | None = None
    speed_kmh: float = 9.0
    """Congestion: mean speed."""
    occupancy: float = 0.58
    """Congestion: mean occupancy, 0 to 1."""
    people: int = 130
    """Crowd: people in view."""
    vehicles: int = 1
    """Stopped vehicle: how many stand."""
    confidence: float = 0.9
    """Alarms: what the camera claims, 0 to 1."""
    reports: int = 3
    """Flood: citizens who report, evenly over the duration."""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole file."""

    scenario: str
    title: Title
    steps: list[Step]
    loop_s: float | None = None


class Happening(msgspec.Struct, frozen=True):
    """One step of one round at one place. `target` is a device id, or a ward code for reports."""

    step: Step
    target: str
    round: int
    start_us: int
    end_us: int


FIRST_WORD_S = 20.0
"""Every camera has spoken once by then; silence before it is no silence to anybody."""
_TARGET_KIND = {Kind.CONGESTION: "detector", Kind.FLOOD_REPORT: "ward"}


class Script:
    """A scenario bound to a fleet and a start: what happens between two moments."""

    def __init__(self, scenario: Scenario, fleet: Fleet, start_us: int) -> None:
        """Resolve every place.

        Raises:
            ScenarioError: a step names a place the fleet does not have.
        """
        self.scenario = scenario
        self._start_us = start_us
        self._targets = [_targets(step, fleet, index) for index, step in enumerate(scenario.steps)]

    def between(self, t0_us: int, t1_us: int) -> Iterator[Happening]:
        """Yield what overlaps [t0, t1), by start and then by step."""
        loop_us = round(self.scenario.loop_s * SECOND_US) if self.scenario.loop_s else 0
        rounds = [0]
        if loop_us:
            # A step may reach into the next round, never further (checked on loading).
            first = max(0, (t0_us - self._start_us) // loop_us - 1)
            rounds = list(range(first, max(first, (t1_us - self._start_us) // loop_us) + 1))
        found: list[Happening] = []
        for number in rounds:
            for step, targets in zip(self.scenario.steps, self._targets, strict=True):
                start_us = self._start_us + number * loop_us + round(step.at * SECOND_US)
                end_us = start_us + round(step.duration_s * SECOND_US)
                if start_us < t1_us and end_us >= t0_us:
                    found.append(Happening(step, targets[number % len(targets)], number, start_us, end_us))
        yield from sorted(found, key=lambda happening: happening.start_us)


def load_scenario(path: Path) -> Scenario:
    """Return the scenario of a YAML file.

    Raises:
        ScenarioError: unreadable, not YAML, or against the schema; with the line at fault.
    """
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), path.name)
    except OSError as problem:
        raise ScenarioError(f"{path}: {problem.strerror or problem}") from problem


def named_scenario(name: str) -> Scenario:
    """Return a shipped scenario by name, or the file of that path."""
    shipped = resources.files("simulators").joinpath("scenarios", f"{name}.yaml")
    if "/" not in name and shipped.is_file():
        return parse_scenario(shipped.read_text(encoding="utf-8"), f"{name}.yaml")
    return load_scenario(Path(name))


def shipped_names() -> list[str]:
    """Return the names of the shipped scenarios."""
    folder = resources.files("simulators").joinpath("scenarios")
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def parse_scenario(text: str, name: str) -> Scenario:
    """Return the scenario in `text`; `name` stands in error messages.

    Raises:
        ScenarioError: with the line at fault.
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        plain = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise ScenarioError(f"{name}:{line}: {problem.problem}") from problem
    if tree is None:
        raise ScenarioError(f"{name}:1: the file is empty")
    lines = dict(_lines(tree, "$"))
    try:
        scenario = msgspec.convert(plain, Scenario)
    except msgspec.ValidationError as problem:
        raise ScenarioError(f"{name}:{_line_of(str(problem), lines)}: {problem}") from problem
    for path, fault in _faults(scenario):
        raise ScenarioError(f"{name}:{lines.get(path, 1)}: {fault} - at `{path}`")
    return scenario


def _faults(scenario: Scenario) -> Iterator[tuple[str, str]]:
    if not scenario.steps:
        yield "$.steps", "a scenario needs at least one step"
    for index, step in enumerate(scenario.steps):
        here = f"$.steps[{index}]"
        if sum(place is not None for place in (step.source, step.area, step.ward)) != 1:
            yield here, "say where by exactly one of source, area and ward"
        if step.kind is Kind.FLOOD_REPORT and step.ward is None:
            yield here, "citizens report from a ward: use ward"
        if step.kind is Kind.CAMERA_SILENT and step.at < FIRST_WORD_S:
            yield f"{here}.at", f"a camera must speak before it falls silent: at {FIRST_WORD_S:.0f} or later"
        if step.at < 0:
            yield f"{here}.at", "at counts seconds from the start: 0 or more"
        if step.duration_s <= 0:
            yield f"{here}.duration_s", "duration_s must be above 0"
        if scenario.loop_s is not None and step.duration_s > scenario.loop_s:
            yield f"{here}.duration_s", "a step may not outlast the loop"
        for field in ("occupancy", "confidence"):
            if not 0 <= getattr(step, field) <= 1:
                yield f"{here}.{field}", f"{field} is a fraction, 0 to 1"
        if step.speed_kmh < 0 or min(step.people, step.vehicles, step.reports) < 1:
            yield here, "people, vehicles and reports are at least 1, speed_kmh at least 0"


def _targets(step: Step, fleet: Fleet, index: int) -> list[str]:
    kind = _TARGET_KIND.get(step.kind, "camera")
    names = next(place for place in (step.source, step.area, step.ward) if place is not None)
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        if kind == "ward":
            hit = [name] if name in fleet.wards else []
        elif step.source is not None:
            hit = [name] if name in fleet.units and fleet.units[name].kind == kind else []
        else:
            units = fleet.of_area(name, kind) if step.area is not None else fleet.of_ward(name, kind)
            hit = [units[0].id] if units else []
        if not hit:
            raise ScenarioError(f"step {index + 1} ({step.kind}): there is no {kind} for {name!r}")
        found += hit
    if not found:
        raise ScenarioError(f"step {index + 1} ({step.kind}): the list of places is empty")
    return found


def _lines(node: yaml.Node, path: str) -> Iterator[tuple[str, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{path}.{key.value}", key.start_mark.line + 1
            if not isinstance(value, yaml.ScalarNode):
                yield from _lines(value, f"{path}.{key.value}")
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, f"{path}[{index}]")


def _line_of(message: str, lines: dict[str, int]) -> int:
    """Return the line for a msgspec message such as: Expected `float`, got `str` - at `$.steps[0].at`."""
    place = re.search(r"at `(\$[^`]*)`", message)
    path = place.group(1) if place else "$"
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown:
        path = f"{path}.{unknown.group(1)}"
    return lines.get(path, 1)
