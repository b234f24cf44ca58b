"""What the tests of a rule would notice: changed thresholds, repeats, disorder and lateness. Pure.

A case counts by what is played, never by a test's name:

boundary       every mutant of the rule (see mutants.py) makes a test fail
late           an event arrives behind the watermark; left out or dated by its arrival it fails a test
out of order   an event arrives after a later one of its key, and not late; as above
duplicate      an event arrives again; were it taken again, a test would fail
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import msgspec

from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.model.times import SECOND_US
from ioc.rules.compile import Program
from ioc.rules.errors import InvalidRules
from ioc.rules.machine import key_reader
from ioc.rules.mutants import Mutant, mutants
from ioc.rules.rule import Rule
from ioc.rules.scenario import DUPLICATES, Arrival, RuleTest
from ioc.rules.testing import compile_texts, run_test

MAX_MUTANTS: Final = 500
"""Changes tried per file of rules; what is beyond is told as a gap."""

CASES: Final = ("boundary", "late", "duplicate", "out of order")


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests that pass, with what they are played on."""

    texts: Mapping[str, str]
    """Rule file → text."""
    tests: Sequence[RuleTest]
    index: AreaIndex | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tests of one rule notice."""

    rule: str
    missing: Mapping[str, str]
    """Case → why it is not covered."""
    tried: int
    """Mutants played."""
    unnoticed: tuple[Mutant, ...]

    @property
    def complete(self) -> bool:
        """Whether every case is covered."""
        return not self.missing


def cover(file: str, text: str, suites: Sequence[Suite]) -> list[Coverage]:
    """Return what `suites`, all of which play the rule file, notice of each of its rules.

    Args:
        file: the rule file, as the suites' `texts` name it.
        text: its text.
        suites: their tests pass.
    """
    found: dict[str, list[tuple[Mutant, bool]]] = {}
    changes = mutants(file, text)
    for mutant in islice(changes, MAX_MUTANTS):
        caught = any(_fails(suite, suite.tests, {file: mutant.text}) for suite in suites)
        found.setdefault(mutant.rule, []).append((mutant, caught))
    cut = next(changes, None) is not None
    program = compile_texts({file: text}, suites[0].index)
    return [
        _coverage(compiled.rule, suites, found.get(compiled.rule.name, []), cut=cut)
        for compiled in program.rules
    ]


def _coverage(
    rule: Rule, suites: Sequence[Suite], tried: Sequence[tuple[Mutant, bool]], *, cut: bool
) -> Coverage:
    unnoticed = tuple(mutant for mutant, caught in tried if not caught)
    missing: dict[str, str] = {}
    if unnoticed:
        missing["boundary"] = f"{len(unnoticed)} of {len(tried)} changes of the rule make no test fail"
    elif cut:
        missing["boundary"] = f"the file holds more than {MAX_MUTANTS} numbers; put rules into several files"
    for case, wrongly in _WRONGLY.items():
        if why := _missing(case, rule, suites, wrongly):
            missing[case] = why
    return Coverage(rule.name, missing, len(tried), unnoticed)


def _missing(case: str, rule: Rule, suites: Sequence[Suite], wrongly: "Wrongly") -> str | None:
    """Return why a case is not covered, None where it is."""
    changed = [(suite, [item for test in suite.tests for item in wrongly(test, rule)]) for suite in suites]
    if not any(tests for _, tests in changed):
        return f"no test holds an event that {_SHOWN[case]}"
    if any(_fails(suite, tests, {}) for suite, tests in changed):
        return None
    return f"no test fails when an event that {_SHOWN[case]} is {_TAKEN[case]}"


def _fails(suite: Suite, tests: Sequence[RuleTest], changed: Mapping[str, str]) -> bool:
    """Return whether one of `tests` fails; a program that does not compile fails all of them."""
    if not tests or not changed.keys() <= suite.texts.keys():
        return False
    try:
        program: Program = compile_texts({**suite.texts, **changed}, suite.index)
    except InvalidRules:
        return True
    return any(not run_test(test, program, suite.index).passed for test in tests)


# records taken wrongly --------------------------------------------------------------------------------------

Wrongly = Callable[[RuleTest, Rule], Sequence[RuleTest]]
"""Returns a test with records taken wrongly, in every way; nothing where it holds none of the kind."""


def _repeats(test: RuleTest, rule: Rule) -> Sequence[RuleTest]:
    """Take every repeat as an event of its own."""
    seen: set[tuple[str, str]] = set()
    arrivals: list[Arrival] = []
    for number, arrival in _by_arrival(test):
        event = arrival.event
        if (event.source, event.id) in seen and _tag(event) in rule.listens:
            event = msgspec.structs.replace(event, id=f"{event.id} again {number}")
        seen.add((event.source, event.id))
        arrivals.append(Arrival(arrival.line, event))
    if len(seen) == len({(item.event.source, item.event.id) for item in test.arrivals}):
        return ()
    # How many were left out is the player's own count: it would notice without the rule's doing.
    counters = {name: asked for name, asked in test.counters.items() if name != DUPLICATES}
    return (replace(test, arrivals=tuple(arrivals), counters=counters),)


def _late(test: RuleTest, rule: Rule) -> Sequence[RuleTest]:
    return _misdated(test, {number for number, late in _disorder(test, rule) if late})


def _overtaken(test: RuleTest, rule: Rule) -> Sequence[RuleTest]:
    return _misdated(test, {number for number, late in _disorder(test, rule) if not late})


def _misdated(test: RuleTest, which: set[int]) -> Sequence[RuleTest]:
    """Leave arrivals out; date them by their arrival."""
    if not which:
        return ()
    dated = [
        Arrival(item.line, msgspec.structs.replace(item.event, time_us=item.event.received_us))
        if number in which
        else item
        for number, item in enumerate(test.arrivals)
    ]
    left = [item for number, item in enumerate(test.arrivals) if number not in which]
    return tuple(replace(test, arrivals=tuple(arrivals)) for arrivals in (left, dated))


def _disorder(test: RuleTest, rule: Rule) -> Iterator[tuple[int, bool]]:
    """Yield the arrivals (by number in the test) that are late (True) or overtaken by one of their key."""
    newest: dict[str, int] = {}
    read = key_reader(rule.by)
    seen: set[tuple[str, str]] = set()
    for number, arrival in _by_arrival(test):
        event = arrival.event
        if _tag(event) not in rule.listens or (event.source, event.id) in seen:
            continue
        seen.add((event.source, event.id))
        key = read(event)
        watermark_us = event.received_us - event.received_us % SECOND_US - test.lateness_us
        if event.time_us < watermark_us:
            yield number, True
        elif key is not None and event.time_us < newest.get(key, event.time_us):
            yield number, False
        if key is not None:
            newest[key] = max(newest.get(key, event.time_us), event.time_us)


def _by_arrival(test: RuleTest) -> list[tuple[int, Arrival]]:
    return sorted(enumerate(test.arrivals), key=lambda item: item[1].event.received_us)


def _tag(event: Event) -> str:
    return str(event.data.__struct_config__.tag)


_WRONGLY: Final[Mapping[str, Wrongly]] = {"late": _late, "duplicate": _repeats, "out of order": _overtaken}
_SHOWN: Final = {
    "late": "arrives late, behind the watermark,",
    "duplicate": "arrives a second time",
    "out of order": "arrives after a later one of its key, but not late,",
}
_TAKEN: Final = {
    "late": "left out or dated by its arrival",
    "duplicate": "taken again",
    "out of order": "left out or dated by its arrival",
}
