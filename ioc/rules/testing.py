"""Rule tests: plays the events of a test through the engine and compares what it says with what is expected.

    tests, errors = parse_tests("congestion.yaml", text)
    program = program_for(tests, {"congestion.yaml": rule_text}, areas)
    verdict = run_test(tests.tests[0], program)          verdict.passed, verdict.difference

The log's part is played too: one tick a second, a second arrival of the same (source, id) is left out. All
raised and cleared must be listed and every update that raises the severity; updates that only tell a higher
count may be.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import msgspec

from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.model.incidents import Cleared, Effect, Raised, Severity, Updated
from ioc.model.places import Area
from ioc.model.records import Tick
from ioc.model.times import SECOND_US
from ioc.rules.compile import Program, compile_rules
from ioc.rules.engine import PartitionEngine
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.relative import show_us
from ioc.rules.rule import Rule
from ioc.rules.scenario import (
    DUPLICATES,
    START_US,
    Expectation,
    Happening,
    RuleTest,
    RuleTestFile,
    parse_tests,
)
from ioc.rules.schema import parse_rules

__all__ = ["Happened", "RuleTest", "RuleTestFile", "Verdict", "parse_tests", "program_for", "run_test"]

_Row = tuple[int, int, Event | Tick]
"""Time, order within it, record."""
BATCH = 7
"""Records per batch; the effects do not depend on it, an odd number shows that they do not."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One effect, told in the test's own terms. Times count from the start."""

    what: Happening
    rule: str
    at_us: int
    key: str
    severity: Severity | None
    opened_us: int | None
    count: int
    reason: str | None
    told_by_count: bool = False
    """An update that only tells a higher count: it need not be expected."""

    def __str__(self) -> str:
        opened = None if self.opened_us is None else show_us(self.opened_us)
        return _line(
            self.what, self.rule, self.at_us, self.key, self.severity, opened, self.count, self.reason
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """One line of the comparison: expected, happened, or both where they agree. `note` says what differs."""

    line: int | None
    expected: str | None
    happened: str | None
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether expectation and engine agree here."""
        return self.expected is not None and self.happened is not None and not self.note


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one test."""

    test: RuleTest
    happened: tuple[Happened, ...]
    comparison: tuple[Difference, ...]
    """Everything expected and everything that happened, in order of time."""

    @property
    def passed(self) -> bool:
        """Whether everything agrees."""
        return all(item.agrees for item in self.comparison)

    @property
    def difference(self) -> tuple[str, ...]:
        """The comparison as lines to print: `=` agrees, `-` expected, `+` happened; empty where passed."""
        return () if self.passed else tuple(_shown(self.comparison))


def program_for(found: RuleTestFile, rules: Mapping[str, str], areas: Sequence[Area] | None) -> Program:
    """Return the program a file of tests runs: its rules, disabled ones too, on its areas.

    Args:
        found: the tests; rules that an expectation names must exist.
        rules: file name → text of the rule files it names.
        areas: areas in force; None for none.

    Raises:
        InvalidRules: the rules do not compile, or a test names a rule that is not among them.
    """
    program = compile_texts(rules, None if areas is None else AreaIndex(areas))
    errors: list[RuleError] = []
    known = {compiled.rule.name for compiled in program.rules}
    for test in found.tests:
        for item in test.expected:
            if item.rule not in known:
                hint = f"known: {', '.join(sorted(known))}"
                errors.append(RuleError(found.file, item.line, 1, f"no rule {item.rule!r} here", hint))
    if errors:
        raise InvalidRules(errors)
    return program


def compile_texts(rules: Mapping[str, str], index: AreaIndex | None) -> Program:
    """Return the program of rule files (name → text), disabled rules too.

    Raises:
        InvalidRules: they do not compile.
    """
    read: list[Rule] = []
    errors: list[RuleError] = []
    for name, text in rules.items():
        parsed, wrong = parse_rules(name, text)
        read += [replace(rule, enabled=True) for rule in parsed]
        errors += wrong
    if errors:
        raise InvalidRules(errors)
    return compile_rules(read, index)


def run_test(test: RuleTest, program: Program, index: AreaIndex | None = None) -> Verdict:
    """Play one test and compare.

    Args:
        test: what to play and what to expect.
        program: the rules under test.
        index: gives events with a position their ward where they have none, as the gateway does.
    """
    engine = PartitionEngine(program, partition=0, lateness_us=test.lateness_us, expected_sources=test.listen)
    kept, duplicates = _kept(test, index)
    items = list(enumerate(_with_ticks(kept, test.until_us)))
    effects: list[Effect] = []
    for first in range(0, len(items), BATCH):
        effects += engine.on_batch(items[first : first + BATCH])
    happened = tuple(_happened(effects))
    comparison = list(_compared(test, happened))
    comparison += _counted(test, engine, duplicates)
    for name, failure in engine.failures.items():
        comparison.append(Difference(test.line, None, f"rule {name} failed: {failure.message}", "failed"))
    return Verdict(test, happened, tuple(comparison))


def _kept(test: RuleTest, index: AreaIndex | None) -> tuple[list[Event], int]:
    """Return the events in order of arrival without those the log has already, and how many those are."""
    seen: set[tuple[str, str]] = set()
    kept: list[Event] = []
    for arrival in sorted(test.arrivals, key=lambda item: item.event.received_us):
        event = arrival.event
        if (event.source, event.id) in seen:
            continue
        seen.add((event.source, event.id))
        if index is not None and event.ward is None and event.lon is not None and event.lat is not None:
            event = msgspec.structs.replace(event, ward=index.ward_of(event.lon, event.lat))
        kept.append(event)
    return kept, len(test.arrivals) - len(kept)


def _with_ticks(events: Sequence[Event], until_us: int) -> Iterator[Event | Tick]:
    """Yield the log: a tick at every whole second, before what arrives in that second."""
    seconds = range(START_US, START_US + until_us + 1, SECOND_US)
    ticks: Iterator[_Row] = ((now_us, 0, Tick(now_us)) for now_us in seconds)
    arrivals: Iterator[_Row] = ((event.received_us, 1 + number, event) for number, event in enumerate(events))
    for _, _, item in heapq.merge(ticks, arrivals, key=lambda row: row[:2]):
        yield item


def _happened(effects: Sequence[Effect]) -> Iterator[Happened]:
    episodes: dict[str, Raised] = {}
    severities: dict[str, Severity] = {}
    for effect in effects:
        number = effect.incident_id
        if isinstance(effect, Raised):
            episodes[number] = effect
        severity = None if isinstance(effect, Cleared) else effect.severity
        yield Happened(
            _what(effect),
            episodes[number].rule,
            effect.at_us - START_US,
            episodes[number].key,
            severity,
            effect.opened_us - START_US if isinstance(effect, Raised) else None,
            effect.count,
            effect.reason if isinstance(effect, Cleared) else None,
            isinstance(effect, Updated) and severity == severities[number],
        )
        if severity is not None:
            severities[number] = severity


def _what(effect: Effect) -> Happening:
    return "raised" if isinstance(effect, Raised) else "updated" if isinstance(effect, Updated) else "cleared"


# comparing --------------------------------------------------------------------------------------------------


def _compared(test: RuleTest, happened: Sequence[Happened]) -> Iterator[Difference]:
    """Yield what agrees and what does not, by the longest common sequence."""
    expected = sorted(test.expected, key=lambda item: (item.at_us, item.line))
    found = [
        item
        for item in happened
        if not item.told_by_count or any(not _differs(wanted, item) for wanted in expected)
    ]
    pairs = _paired(expected, found)
    left = right = 0
    for i, j in [*pairs, (len(expected), len(found))]:
        yield from _gap(expected[left:i], found[right:j])
        if i < len(expected):
            yield Difference(expected[i].line, _told(expected[i]), str(found[j]))
        left, right = i + 1, j + 1


def _paired(expected: Sequence[Expectation], found: Sequence[Happened]) -> list[tuple[int, int]]:
    """Return the longest sequence of agreeing (expected, found) positions."""
    lengths = [[0] * (len(found) + 1) for _ in range(len(expected) + 1)]
    for i in range(len(expected) - 1, -1, -1):
        for j in range(len(found) - 1, -1, -1):
            if _differs(expected[i], found[j]):
                lengths[i][j] = max(lengths[i + 1][j], lengths[i][j + 1])
            else:
                lengths[i][j] = 1 + lengths[i + 1][j + 1]
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(expected) and j < len(found):
        if not _differs(expected[i], found[j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _gap(expected: Sequence[Expectation], found: Sequence[Happened]) -> Iterator[Difference]:
    """Yield the differences between two agreements: what is alike but for some field side by side."""
    rest = list(found)
    for item in expected:
        near = next((other for other in rest if (other.what, other.rule) == (item.what, item.rule)), None)
        if near is not None and item.key not in (None, near.key):
            near = None
        if near is None:
            yield Difference(item.line, _told(item), None, "did not happen")
        else:
            rest.remove(near)
            yield Difference(item.line, _told(item), str(near), "; ".join(_differs(item, near)))
    for other in rest:
        yield Difference(None, None, str(other), "is not expected")


def _differs(item: Expectation, found: Happened) -> list[str]:
    """Return what of an expectation an effect does not meet."""
    wrong = []
    for spec in fields(Expectation):
        name = spec.name
        if name == "line":
            continue
        wanted, got = getattr(item, name), getattr(found, name)
        if wanted is None or wanted == got:
            continue
        if name.endswith("_us") and got is not None:
            late = "later" if got > wanted else "earlier"
            wrong.append(f"{name.removesuffix('_us')} {show_us(abs(got - wanted))} {late}")
        else:
            wrong.append(f"{name} is {got}, expected {wanted}")
    return wrong


def _counted(test: RuleTest, engine: PartitionEngine, duplicates: int) -> Iterator[Difference]:
    for name, (line, wanted) in test.counters.items():
        got = duplicates if name == DUPLICATES else sum(getattr(c, name) for c in engine.counters.values())
        note = "" if got == wanted else "differs"
        yield Difference(line, f"{name} {wanted}", f"{name} {got}", note)


def _told(item: Expectation) -> str:
    opened = None if item.opened_us is None else show_us(item.opened_us)
    return _line(item.what, item.rule, item.at_us, item.key, item.severity, opened, item.count, item.reason)


def _line(
    what: str, rule: str, at_us: int, key: str | None, severity: Severity | None, opened: str | None,
    count: int | None, reason: str | None,
) -> str:  # fmt: skip
    parts = [show_us(at_us), what, rule]
    parts += [] if key is None else [f"key {key}"]
    parts += [] if severity is None else [severity.value]
    parts += [] if opened is None else [f"opened {opened}"]
    parts += [] if count is None else [f"count {count}"]
    parts += [] if reason is None else [f"({reason})"]
    return " ".join(parts)


def _shown(comparison: Sequence[Difference]) -> Iterator[str]:
    for item in comparison:
        place = f"line {item.line}" if item.line is not None else ""
        if item.agrees:
            yield f"  = {place:>9}  {item.expected}"
            continue
        if item.expected is not None:
            yield f"  - {place:>9}  {item.expected}" + ("" if item.happened else f"   ← {item.note}")
        if item.happened is not None:
            where = place if item.expected is None else ""
            yield f"  + {where:>9}  {item.happened}   ← {item.note}"
