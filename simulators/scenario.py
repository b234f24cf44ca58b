"""Scenario files: what happens where and when, checked against a schema with line numbers.

A scenario is a list of steps on its own clock (seconds from the start). With `loop_s` it begins again for
ever; a step that lists several places takes the next one in each round.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from simulators import SimulatorError
from simulators.fleet import Fleet
from simulators.scenario_checks import (
    LEAST_LENGTH_S,
    MOST_S,
    explained,
    given_fields,
    start_fault,
    step_faults,
)
from simulators.steps import CITY, Happening, Kind, Step, happens_to
from simulators.times import SECOND_US
from simulators.unfold import unfold

__all__ = [
    "Happening",
    "Kind",
    "Scenario",
    "ScenarioError",
    "Script",
    "Step",
    "Title",
    "load_scenario",
    "named_scenario",
    "parse_scenario",
    "shipped_names",
]


class ScenarioError(SimulatorError):
    """A scenario file is wrong; the message begins with `file:line:`."""


class Title(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scenario's name in both languages."""

    vi: str
    en: str


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole file."""

    scenario: str
    title: Title
    steps: list[Step]
    loop_s: float | None = None
    start: str | None = None
    """When it is meant to begin, RFC 3339: the day of the week and the hour make the traffic."""
    duration_s: float | None = None
    """How much of it shows everything."""


class Script:
    """A scenario bound to a fleet and a start: what happens between two moments."""

    def __init__(self, scenario: Scenario, fleet: Fleet, start_us: int) -> None:
        """Resolve every place, and what follows from each step.

        Raises:
            ScenarioError: a step names a place the fleet does not have.
        """
        self.scenario = scenario
        self._start_us = start_us
        self._acts = [
            [unfold(step, target, fleet) for target in _targets(step, fleet, index)]
            for index, step in enumerate(scenario.steps)
        ]
        """Of each step, of each of its places: the simple steps it comes to, and where."""
        acts = [act for places in self._acts for place in places for act in place]
        self._longest_s = max(step.at + step.duration_s for step, _ in acts)

    def between(self, t0_us: int, t1_us: int) -> Iterator[Happening]:
        """Yield what overlaps [t0, t1), by start and then by step."""
        loop_us = round(self.scenario.loop_s * SECOND_US) if self.scenario.loop_s else 0
        rounds = [0]
        if loop_us:
            reach = 1 + int(self._longest_s * SECOND_US) // loop_us
            first = max(0, (t0_us - self._start_us) // loop_us - reach)
            rounds = list(range(first, max(first, (t1_us - self._start_us) // loop_us) + 1))
        found: list[Happening] = []
        for number in rounds:
            for places in self._acts:
                for step, target in places[number % len(places)]:
                    start_us = self._start_us + number * loop_us + round(step.at * SECOND_US)
                    end_us = start_us + round(step.duration_s * SECOND_US)
                    if start_us < t1_us and end_us >= t0_us:
                        found.append(Happening(step, target, number, start_us, end_us))
        yield from sorted(found, key=lambda happening: happening.start_us)


def load_scenario(path: Path) -> Scenario:
    """Return the scenario of a YAML file.

    Raises:
        ScenarioError: unreadable, not YAML, or against the schema; with the line at fault.
    """
    try:
        return parse_scenario(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError as problem:
        known = ", ".join(shipped_names())
        raise ScenarioError(
            f"{path}: there is no such file, nor a scenario of that name ({known})"
        ) from problem
    except OSError as problem:
        raise ScenarioError(f"{path}: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise ScenarioError(f"{path}: not UTF-8 at byte {problem.start}") from problem


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
        _refuse_aliases(text, name)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        plain: Any = None if tree is None else _built(tree, name)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise ScenarioError(f"{name}:{line}: {problem.problem}") from problem
    except yaml.YAMLError as problem:
        raise ScenarioError(f"{name}: not YAML: {problem}") from problem
    except RecursionError as problem:
        raise ScenarioError(f"{name}: lists within lists without end") from problem
    if tree is None:
        raise ScenarioError(f"{name}:1: the file is empty")
    lines = dict(_lines(tree, "$"))
    try:
        scenario = msgspec.convert(plain, Scenario)
    except msgspec.ValidationError as problem:
        line = _line_of(str(problem), lines)
        raise ScenarioError(f"{name}:{line}: {explained(str(problem))}") from problem
    for path, fault in _faults(scenario, plain):
        raise ScenarioError(f"{name}:{lines.get(path, 1)}: {fault} - at `{path}`")
    return scenario


def _refuse_aliases(text: str, name: str) -> None:
    """Refuse aliases: a few lines of them may stand for more than fits into memory."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader) if "*" in text else ():
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ScenarioError(f"{name}:{line}: YAML aliases (*{event.anchor}) are not taken; write it out")


def _built(tree: yaml.Node, name: str) -> Any:
    """Return what `tree` says; a value that is none, such as the 45th of a month, is named with its line."""
    loader = yaml.SafeLoader("")
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                loader.construct_object(node)
            except ValueError as problem:
                line = node.start_mark.line + 1
                raise ScenarioError(f"{name}:{line}: {node.value[:40]!r} is no value: {problem}") from problem
        elif isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        else:
            waiting += node.value
    return yaml.SafeLoader("").construct_document(tree)


def _faults(scenario: Scenario, plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not scenario.steps:
        yield "$.steps", "a scenario needs at least one step"
    wrong = start_fault(scenario.start) if scenario.start is not None else None
    if wrong:
        yield "$.start", wrong
    for name in ("loop_s", "duration_s"):
        length_s = getattr(scenario, name)
        if length_s is not None and not LEAST_LENGTH_S <= length_s <= MOST_S:
            yield f"$.{name}", f"{name} is {LEAST_LENGTH_S:.0f} second at least, {MOST_S:,.0f} at most"
    for index, step in enumerate(scenario.steps):
        here = f"$.steps[{index}]"
        given = given_fields(plain, index)
        for field, fault in step_faults(step, given, scenario.loop_s):
            yield f"{here}.{field}" if field in given else here, fault


def _targets(step: Step, fleet: Fleet, index: int) -> list[str]:
    kind = happens_to(step.kind)
    if kind == CITY:
        return [CITY]
    names = next(place for place in (step.source, step.area, step.ward) if place is not None)
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        if kind == "ward":
            # Citizens report from near a camera.
            hit = [name] if fleet.of_ward(name, "camera") else []
        elif step.source is not None:
            unit = fleet.units.get(name)
            fits = unit is not None and unit.kind in (("camera", "detector") if kind == "device" else (kind,))
            hit = [name] if fits else []
        else:
            units = fleet.of_area(name, kind) if step.area is not None else fleet.of_ward(name, kind)
            hit = [units[0].id] if units else []
        if not hit:
            wanted = "ward with a camera" if kind == "ward" else kind
            raise ScenarioError(f"step {index + 1} ({step.kind}): there is no {wanted} for {name!r}")
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
