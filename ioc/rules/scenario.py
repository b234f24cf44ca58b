"""Reads rule tests: YAML text in, tests and findings out. Times are relative to the test's start.

rules: [congestion.yaml]                 # default: the file of the same name beside the folder `tests`
areas: wards.geojson                     # or a list: - {kind: underpass, code: a, box: [w, s, e, n]}
tests:
  - name: fires once it has lasted
    input:
      - series: traffic.flow             # one event every 10 s: six slow ones, a pause, two fast ones
        source: det-1
        every: 10s
        data: {speed_kmh: 12x6 _ 30x2, occupancy: 0.5}
      - {event: traffic.flow, at: 15s, arrives: 40s, again: [41s, 50s], source: det-1, data: {…}}
    expect:
      - {at: 40s, raised: congestion, key: det-1, severity: high, opened: 20s}
      - {at: 100s, cleared: congestion, key: det-1}
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, cast

import msgspec
import numpy as np
import yaml

from ioc.model.events import DATA_TYPES, Event, EventData
from ioc.model.incidents import Severity
from ioc.model.places import Area
from ioc.model.texts import Text
from ioc.model.times import SECOND_US, parse_us
from ioc.rules.errors import RuleError, did_you_mean
from ioc.rules.machine import RuleCounters
from ioc.rules.nodes import Findings, Form, documents
from ioc.rules.relative import parse_series, relative_us
from ioc.rules.silence import ExpectedSource

START_US: Final = parse_us("2026-01-01T00:00:00Z")
"""Time 0 of every test."""
MAX_EVENTS: Final = 20_000
"""Events of one test."""
MAX_FILE_EVENTS: Final = 200_000
"""Events of all tests of one file."""
MAX_LENGTH_US: Final = 48 * 3600 * SECOND_US
"""Longest test."""
AFTERWARDS_US: Final = 60 * SECOND_US
"""A test goes on so long after everything it names, so that what should not happen has time to."""

DUPLICATES: Final = "duplicates"
COUNTERS: Final = (*RuleCounters.__dataclass_fields__, DUPLICATES)
"""What `counters` may name: those of the rules, summed, and the events the log would not have kept."""

_WHOLE = re.compile("[0-9]{1,18}")
_FILE_KEYS = ("rules", "areas", "tests")
_TEST_KEYS = ("name", "lateness", "until", "listen", "input", "expect", "counters")
_EVENT_KEYS = ("id", "source", "subject", "ward", "lon", "lat", "data")
_SERIES_KEYS = ("series", "every", "from", "delay", *_EVENT_KEYS)
_SINGLE_KEYS = ("event", "at", "arrives", "again", *_EVENT_KEYS)
_EXPECT_KEYS = ("at", "raised", "updated", "cleared", "key", "severity", "opened", "count", "reason")

Happening = Literal["raised", "updated", "cleared"]
_HAPPENINGS: tuple[Happening, ...] = ("raised", "updated", "cleared")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One effect that must happen; what is None is not compared. Times count from the start."""

    line: int
    what: Happening
    rule: str
    at_us: int
    key: str | None = None
    severity: Severity | None = None
    opened_us: int | None = None
    count: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event reaching the log at `event.received_us`, from the input at `line`."""

    line: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One test. `arrivals` are as sent: duplicates included, in the order of the file."""

    name: str
    line: int
    arrivals: tuple[Arrival, ...]
    expected: tuple[Expectation, ...]
    until_us: int
    """When the ticks end, from the start."""
    lateness_us: int = 2 * SECOND_US
    listen: Mapping[str, ExpectedSource] = field(default_factory=dict)
    """Devices that should talk though they may never have."""
    counters: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Counter → (line, value)."""


@dataclass(frozen=True, slots=True)
class RuleTestFile:
    """One file of tests."""

    file: str
    rules: tuple[str, ...] | None
    """Names of rule files; None for the file of the same name."""
    areas: tuple[Area, ...] | str | None
    """Areas written here, or the name of a GeoJSON file beside this one."""
    tests: tuple[RuleTest, ...]


def parse_tests(file: str, text: str) -> tuple[RuleTestFile, list[RuleError]]:
    """Return the tests of one file's `text` and everything wrong with it; a test with a finding is left out.

    Args:
        file: the name findings carry.
        text: YAML of the form above.
    """
    findings = Findings(file)
    roots = documents(findings, text)
    if not roots:
        if not findings.errors:
            findings.errors.append(RuleError(file, 1, 1, "no tests here", "begin with `tests:`"))
        return RuleTestFile(file, None, None, ()), findings.errors
    if len(roots) > 1:
        findings.at(roots[1], "a file of tests holds one document", "list the tests under `tests:`")
    form = Form(findings, roots[0], _FILE_KEYS, "a file of tests")
    rules = tuple(str(node.value) for node in form.scalars("rules")) if "rules" in form else None
    tests: list[RuleTest] = []
    events = 0
    for node in _forms(form, "tests", required=True):
        before = len(findings.errors)
        test = _TestReader(findings, node).read()
        events += 0 if test is None else len(test.arrivals)
        if events > MAX_FILE_EVENTS:
            findings.at(node, f"more than {MAX_FILE_EVENTS} events in one file")
            break
        if test is not None and len(findings.errors) == before:
            tests.append(test)
    return RuleTestFile(file, rules, _areas(findings, form), tuple(tests)), findings.errors


def _forms(form: Form, key: str, *, required: bool = False) -> list[yaml.MappingNode]:
    """Return the mappings listed under `key`."""
    node = form.get(key)
    if node is None:
        if required:
            form.findings.at(form.node, f"{key!r} is missing")
        return []
    if not isinstance(node, yaml.SequenceNode):
        form.findings.at(node, f"{key}: expected a list")
        return []
    for item in node.value:
        if not isinstance(item, yaml.MappingNode):
            form.findings.at(item, f"{key}: expected a mapping")
    return [item for item in node.value if isinstance(item, yaml.MappingNode)]


def _areas(findings: Findings, form: Form) -> tuple[Area, ...] | str | None:
    node = form.get("areas")
    if node is None or isinstance(node, yaml.ScalarNode):
        return form.text("areas")
    found: list[Area] = []
    for item in _forms(form, "areas"):
        area = Form(findings, item, ("kind", "code", "box", "polygon"), "an area")
        kind, code = area.text("kind", required=True), area.text("code", required=True)
        ring = _ring(findings, area)
        if kind is not None and code is not None and ring is not None:
            geometry = {"type": "Polygon", "coordinates": [ring]}
            found.append(Area(code=code, kind=kind, name=Text(code, code), geometry=geometry))
    return tuple(found)


_Ring = Annotated[list[tuple[float, float]], msgspec.Meta(min_length=3)]


def _ring(findings: Findings, area: Form) -> list[list[float]] | None:
    node = area.get("box") or area.get("polygon")
    if node is None:
        findings.at(area.node, "an area needs box or polygon", "as in box: [106.6, 11.0, 106.7, 11.1]")
        return None
    shape: Any = _Ring if "polygon" in area else tuple[float, float, float, float]
    try:
        found: Any = msgspec.convert(_value(node), shape)
        if not np.isfinite(found).all():
            raise msgspec.ValidationError("expected degrees")
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        findings.at(
            node, f"not a list of coordinates: {error}", "[west, south, east, north] or [[lon, lat], …]"
        )
        return None
    if "polygon" in area:
        ring = [list(corner) for corner in found]
        return [*ring, ring[0]] if ring[0] != ring[-1] else ring
    west, south, east, north = found
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _value(node: yaml.Node) -> Any:
    """Return a node as YAML's own types.

    Raises:
        yaml.YAMLError: a tag beyond YAML's own, or a value that its tag cannot be.
    """
    try:
        return yaml.constructor.SafeConstructor().construct_document(node)
    except ValueError as error:  # such as 2026-13-45
        raise yaml.YAMLError(str(error)) from error


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _TestReader:
    """Reads one test."""

    def __init__(self, findings: Findings, node: yaml.MappingNode) -> None:
        self._findings = findings
        self._form = Form(findings, node, _TEST_KEYS, "a test")

    def read(self) -> RuleTest | None:
        form = self._form
        name = form.text("name", required=True)
        lateness_us = self._time(form, "lateness")
        arrivals: list[Arrival] = []
        for number, node in enumerate(_forms(form, "input")):
            arrivals += self._input(number, node)
            if len(arrivals) > MAX_EVENTS:
                self._findings.at(form.node, f"more than {MAX_EVENTS} events")
                break
        expected = [item for node in _forms(form, "expect", required=True) if (item := self._expect(node))]
        last_us = max(
            [item.event.received_us - START_US for item in arrivals] + [item.at_us for item in expected],
            default=0,
        )
        until_us = self._time(form, "until")
        if until_us is None:
            until_us = last_us + AFTERWARDS_US
        elif until_us < last_us:
            self._findings.at(form.node, "until: before the last event or expectation")
        if until_us > MAX_LENGTH_US:
            self._findings.at(form.node, f"longer than {MAX_LENGTH_US // (3600 * SECOND_US)} h")
        if name is None:
            return None
        return RuleTest(
            name=name,
            line=_line(form.node),
            arrivals=tuple(arrivals),
            expected=tuple(expected),
            until_us=until_us,
            lateness_us=2 * SECOND_US if lateness_us is None else lateness_us,
            listen=self._listen(),
            counters=self._counters(),
        )

    def _time(self, form: Form, key: str, *, required: bool = False) -> int | None:
        node = form.scalar(key, required=required)
        return None if node is None else self._time_of(key, node)

    def _time_of(self, key: str, node: yaml.ScalarNode) -> int | None:
        try:
            return relative_us(node.value)
        except ValueError as error:
            self._findings.at(node, f"{key}: {error}")
            return None

    # input ------------------------------------------------------------------------------------------------

    def _input(self, number: int, node: yaml.MappingNode) -> list[Arrival]:
        keys = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
        if "series" in keys:
            return self._series(number, Form(self._findings, node, _SERIES_KEYS, "a series"))
        if "event" in keys:
            return self._single(number, Form(self._findings, node, _SINGLE_KEYS, "an event"))
        self._findings.at(node, "an input is a `series` or an `event`", "as in series: traffic.flow")
        return []

    def _series(self, number: int, form: Form) -> list[Arrival]:
        every_us = self._time(form, "every", required=True)
        start_us, delay_us = self._time(form, "from") or 0, self._time(form, "delay") or 0
        steps = self._steps(form)
        if every_us is None or steps is None:
            return []
        found: list[Arrival] = []
        for step, data in enumerate(steps):
            if data is not None:
                at_us = start_us + step * every_us
                found += self._arrivals(form, "series", f"{number}.{step}", data, at_us, [at_us + delay_us])
        return found

    def _steps(self, form: Form) -> list[dict[str, Any] | None] | None:
        """Return the data of every step, None where nothing is sent."""
        columns: dict[str, list[Any]] = {}
        node = form.get("data")
        if not isinstance(node, yaml.MappingNode):
            self._findings.at(node or form.node, "a series needs data", "as in data: {speed_kmh: 12x6}")
            return None
        for key, value in node.value:
            try:
                whole = _value(value)
                quoted = isinstance(value, yaml.ScalarNode) and value.style is not None
                if isinstance(whole, str) and not quoted:
                    whole = parse_series(whole)
                columns[str(key.value)] = whole if isinstance(whole, list) else [whole]
            except (ValueError, yaml.YAMLError) as error:
                self._findings.at(value, f"{key.value}: {error}")
                return None
        length = max((len(column) for column in columns.values()), default=0)
        for (key, value), column in zip(node.value, columns.values(), strict=False):
            if len(column) not in (1, length):
                hint = "one value stands for all"
                self._findings.at(value, f"{key.value}: {len(column)} values, others have {length}", hint)
                return None
        wide = {name: column * length if len(column) == 1 else column for name, column in columns.items()}
        steps = [{name: column[step] for name, column in wide.items()} for step in range(length)]
        return [None if any(value is ... for value in step.values()) else step for step in steps]

    def _single(self, number: int, form: Form) -> list[Arrival]:
        at_us = self._time(form, "at", required=True)
        arrives_us = self._time(form, "arrives")
        again = [self._time_of("again", node) for node in form.scalars("again")]
        node = form.get("data")
        try:
            data = {} if node is None else _value(node)
        except yaml.YAMLError as error:
            self._findings.at(cast(yaml.Node, node), f"data: {error}")
            return []
        if not isinstance(data, dict):
            self._findings.at(node or form.node, "data: expected a mapping")
            return []
        if at_us is None or None in again:
            return []
        times = [at_us if arrives_us is None else arrives_us, *(time for time in again if time is not None)]
        return self._arrivals(form, "event", str(number), data, at_us, times)

    def _arrivals(
        self, form: Form, key: str, number: str, data: dict[str, Any], at_us: int, arrives_us: list[int]
    ) -> list[Arrival]:
        kind, source = form.scalar(key, required=True), form.text("source", required=True)
        found = None if kind is None else self._data(kind, form.get("data") or form.node, data)
        if found is None or source is None:
            return []
        for time_us in arrives_us:
            if time_us < 0:
                self._findings.at(form.node, "arrives before the test starts", "give a later `arrives`")
        event = Event(
            id=form.text("id") or number,
            source=source,
            time_us=START_US + at_us,
            received_us=0,
            data=found,
            ward=form.text("ward"),
            lon=self._degrees(form, "lon"),
            lat=self._degrees(form, "lat"),
            subject=form.text("subject"),
        )
        sent = [msgspec.structs.replace(event, received_us=START_US + time_us) for time_us in arrives_us]
        return [Arrival(_line(form.node), item) for item in sent]

    def _data(self, kind: yaml.ScalarNode, at: yaml.Node, data: dict[str, Any]) -> EventData | None:
        structure = DATA_TYPES.get(kind.value)
        if structure is None:
            hint = did_you_mean(kind.value, DATA_TYPES) or f"known: {', '.join(DATA_TYPES)}"
            self._findings.at(kind, f"{kind.value!r} is no type of event", hint)
            return None
        known = structure.__struct_fields__
        unknown = [str(name) for name in data if name not in known]
        if unknown:
            hint = did_you_mean(unknown[0], known) or "a source's own fields go under extra"
            self._findings.at(at, f"{unknown[0]!r} is not a field of {kind.value}", hint)
            return None
        try:
            return cast(EventData, msgspec.convert({**data, "type": kind.value}, structure))
        except msgspec.ValidationError as error:
            self._findings.at(at, f"data: {error}")
            return None

    def _degrees(self, form: Form, key: str) -> float | None:
        node = form.scalar(key)
        if node is None:
            return None
        with suppress(ValueError):
            if math.isfinite(found := float(node.value)):
                return found
        self._findings.at(node, f"{key}: expected degrees")
        return None

    def _listen(self) -> dict[str, ExpectedSource]:
        found: dict[str, ExpectedSource] = {}
        for node in _forms(self._form, "listen"):
            form = Form(
                self._findings, node, ("source", "stream", "ward", "lon", "lat"), "a device listened for"
            )
            source, stream = form.text("source", required=True), form.text("stream", required=True)
            if source is not None and stream is not None:
                lon, lat = self._degrees(form, "lon"), self._degrees(form, "lat")
                found[source] = ExpectedSource(stream, form.text("ward"), lon, lat)
        return found

    # output -----------------------------------------------------------------------------------------------

    def _expect(self, node: yaml.MappingNode) -> Expectation | None:
        form = Form(self._findings, node, _EXPECT_KEYS, "an expectation")
        what = [name for name in _HAPPENINGS if name in form]
        at_us = self._time(form, "at", required=True)
        if len(what) != 1:
            self._findings.at(node, "expected one of raised, updated, cleared", "as in raised: congestion")
            return None
        rule, severity = form.text(what[0]), form.scalar("severity")
        levels = [item.value for item in Severity]
        if severity is not None and severity.value not in levels:
            hint = did_you_mean(severity.value, levels) or f"known: {', '.join(levels)}"
            self._findings.at(severity, f"severity: {severity.value!r} is unknown", hint)
            return None
        for key, allowed in (
            ("opened", ("raised",)),
            ("reason", ("cleared",)),
            ("severity", _HAPPENINGS[:2]),
        ):
            if key in form and what[0] not in allowed:
                self._findings.at(form.get(key) or node, f"{key}: {what[0]} has none")
        count = form.scalar("count")
        if count is not None and not _WHOLE.fullmatch(count.value):
            self._findings.at(count, f"count: expected a whole number, found {count.value!r}")
            return None
        if at_us is None or rule is None:
            return None
        return Expectation(
            line=_line(node),
            what=what[0],
            rule=rule,
            at_us=at_us,
            key=form.text("key"),
            severity=None if severity is None else Severity(severity.value),
            opened_us=self._time(form, "opened"),
            count=None if count is None else int(count.value),
            reason=form.text("reason"),
        )

    def _counters(self) -> dict[str, tuple[int, int]]:
        form = self._form.form("counters", COUNTERS)
        found: dict[str, tuple[int, int]] = {}
        for name in COUNTERS if form is not None else ():
            node = form.scalar(name) if form is not None else None
            if node is not None and not _WHOLE.fullmatch(node.value):
                self._findings.at(node, f"{name}: expected a whole number, found {node.value!r}")
            elif node is not None:
                found[name] = (_line(node), int(node.value))
        return found
