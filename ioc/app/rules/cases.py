"""Rule tests sent as text: played by the functions of `ioc rules test`, told so that they can be drawn."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ioc.api.workbench_ports import CaseOutcome, Compared, EffectMark, EventMark, Finding, TestsPlayed
from ioc.app.rules.tests import FOLDER, play, read_tests
from ioc.model.times import SECOND_US
from ioc.rules.errors import InvalidRules, RuleError
from ioc.rules.scenario import START_US, Arrival
from ioc.rules.testing import Happened, Verdict

MAX_EVENTS: Final = 400
"""Events of one test that are drawn; all are played."""
_DRAWN: Final = 120
"""Characters of what an event says."""


def play_case_texts(file: str, text: str, tests: str) -> TestsPlayed:
    """Play `tests` against the rule file `text`; both are as somebody typed them.

    Tests may describe areas and name no file but that of the rule: nothing is read from disk.
    """
    name = f"{FOLDER}/{Path(file).name}"
    try:
        found = read_tests(name, tests)
        if isinstance(found.areas, str):
            raise InvalidRules([RuleError(name, 1, 1, "areas: a file is not read here", "list the areas")])
        if found.rules not in (None, (Path(file).name,)):
            hint = f"leave `rules` out, or name {Path(file).name}"
            raise InvalidRules([RuleError(name, 1, 1, "rules: other files are not read here", hint)])
        outcome = play(Path(name), found, {file: text}, found.areas)
    except InvalidRules as error:
        in_rule = any(item.file == file for item in error.errors)
        return TestsPlayed(findings=findings_of(error.errors), in_rule=in_rule, cases=[])
    return TestsPlayed(findings=[], in_rule=False, cases=[_case(verdict) for verdict in outcome.verdicts])


def findings_of(errors: Iterable[RuleError]) -> list[Finding]:
    """Return findings without the name of the file."""
    ordered = sorted(errors, key=lambda error: (error.line, error.column))
    return [Finding(error.line, error.column, error.message, error.suggestion) for error in ordered]


def _case(verdict: Verdict) -> CaseOutcome:
    test = verdict.test
    expected = [
        EffectMark(item.what, item.rule, item.key, item.at_us / SECOND_US, item.severity)
        for item in test.expected
    ]
    return CaseOutcome(
        name=test.name,
        line=test.line,
        passed=verdict.passed,
        until_s=test.until_us / SECOND_US,
        events=[_event(arrival) for arrival in test.arrivals[:MAX_EVENTS]],
        events_total=len(test.arrivals),
        expected=expected,
        seen=[_seen(item) for item in verdict.happened if not item.told_by_count],
        comparison=[
            Compared(item.line, item.expected, item.happened, item.note) for item in verdict.comparison
        ],
    )


def _seen(item: Happened) -> EffectMark:
    return EffectMark(item.what, item.rule, item.key, item.at_us / SECOND_US, item.severity)


def _event(arrival: Arrival) -> EventMark:
    event = arrival.event
    data: Mapping[str, object] = msgspec.to_builtins(event.data)
    told = ((key, value) for key, value in data.items() if value not in (None, {}, [], ()) and key != "type")
    words = ", ".join(f"{key} {value}" for key, value in told)
    start_s = START_US / SECOND_US
    return EventMark(
        at_s=round(event.time_us / SECOND_US - start_s, 3),
        arrives_s=round(event.received_us / SECOND_US - start_s, 3),
        source=event.source,
        words=words[:_DRAWN],
    )
