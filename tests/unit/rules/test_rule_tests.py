"""Rule tests: the shipped ones hold and guard every threshold; the notation; what a failing test prints."""

# ruff: noqa: E501 - tables read better with one case a line

from pathlib import Path

import pytest

from ioc.app.rules.files import RuleFolder
from ioc.app.rules.tests import cover_files, find_test_files, play_file, untested
from ioc.rules.relative import parse_series, relative_us, show_us
from ioc.rules.testing import Verdict, parse_tests, program_for, run_test

RULES = Path(__file__).parents[3] / "rules"
FILES = find_test_files([RULES])

SLOW = """
rule: slow
title: {vi: Chậm, en: Slow}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
hold: 30s
severity: high
"""


def verdicts(text: str, rule: str = SLOW) -> list[Verdict]:
    found, errors = parse_tests("t.yaml", text)
    assert not errors
    program = program_for(found, {"slow.yaml": rule}, None)
    return [run_test(item, program) for item in found.tests]


# the shipped rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_the_shipped_rules_pass(file: Path) -> None:
    outcome = play_file(file)
    assert not outcome.errors
    assert [line for verdict in outcome.verdicts for line in verdict.difference] == []


def test_every_shipped_rule_has_tests_and_loading_rules_leaves_them_alone() -> None:
    assert untested(RULES) == []
    loaded = RuleFolder(RULES)
    assert len(loaded.rules) == len(list(RULES.glob("*.yaml"))) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_no_threshold_of_a_shipped_rule_can_change_and_no_disorder_be_misread_unnoticed(file: Path) -> None:
    count, covered = cover_files([play_file(file)])
    (found,) = covered
    assert count == 1
    for rule in found.rules:
        assert rule.tried >= 2
        assert (dict(rule.missing), [str(mutant) for mutant in rule.unnoticed]) == ({}, [])


# the notation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("12", [12]),
        ("12x3", [12, 12, 12]),
        ("0+10x4", [0, 10, 20, 30]),
        ("30-2.5x3", [30, 27.5, 25]),
        ("1 _ 2x2 _x2", [1, ..., 2, 2, ..., ...]),
        ("null truex2 false", [None, True, True, False]),
        ("-3x2", [-3, -3]),
        ("wrong_way", ["wrong_way"]),
        ("51A-123", ["51A-123"]),
        ("12-34", ["12-34"]),
    ],
)
def test_series_notation(text: str, values: list[object]) -> None:
    assert parse_series(text) == values


def test_relative_times() -> None:
    assert relative_us("1m30s") == relative_us("90s") == 90_000_000
    assert relative_us("0") == 0
    assert relative_us("-1.5s") == -1_500_000
    assert (show_us(90_000_000), show_us(-1_250_000)) == ("90s", "-1.25s")
    with pytest.raises(ValueError, match="expected a time from the start such as 90s"):
        relative_us("90")


def test_a_step_without_event_and_an_event_without_value_are_different() -> None:
    series = "{series: traffic.flow, source: d, every: 10s, data: {speed_kmh: 12 _ null 12}}"
    found, errors = parse_tests("t.yaml", f"tests: [{{name: n, input: [{series}], expect: []}}]")
    assert not errors
    speeds = [
        (a.event.time_us % 60_000_000 // 1_000_000, a.event.data.speed_kmh) for a in found.tests[0].arrivals
    ]  # type: ignore[union-attr]
    assert speeds == [(0, 12.0), (20, None), (30, 12.0)]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "t.yaml:1:1: no tests here (begin with `tests:`)"),
        ("test: []", "t.yaml:1:1: unknown key 'test' in a file of tests (did you mean 'tests'?)"),
        ("tests: [{expect: []}]", "t.yaml:1:9: 'name' is missing"),
        ("tests:\n- {name: n, input: [{at: 1s}], expect: []}", "t.yaml:2:21: an input is a `series` or an `event`"),
        ("tests:\n- {name: n, input: [{event: traffic.flo, at: 1s, source: d}], expect: []}", "t.yaml:2:29: 'traffic.flo' is no type of event (did you mean 'traffic.flow'?)"),
        ("tests:\n- {name: n, input: [{event: traffic.flow, at: 1s, source: d, data: {speed: 3}}], expect: []}", "t.yaml:2:68: 'speed' is not a field of traffic.flow (did you mean 'speed_kmh'?)"),
        ("tests:\n- {name: n, input: [{event: traffic.flow, at: 1s, source: d, data: {speed_kmh: x}}], expect: []}", "t.yaml:2:68: data: Expected `float | null`, got `str` - at `$.speed_kmh`"),
        ("tests:\n- {name: n, input: [{event: traffic.flow, at: 10, source: d}], expect: []}", "t.yaml:2:47: at: expected a time from the start such as 90s or 1m30s, found '10'"),
        ("tests:\n- {name: n, input: [{series: traffic.flow, every: 1s, source: d, data: {speed_kmh: 1x3, occupancy: 1x2}}], expect: []}", "t.yaml:2:100: occupancy: 2 values, others have 3 (one value stands for all)"),
        ("tests:\n- {name: n, expect: [{at: 1s, raise: slow}]}", "t.yaml:2:31: unknown key 'raise' in an expectation (did you mean 'raised'?)"),
        ("tests:\n- {name: n, expect: [{at: 1s, raised: slow, severity: hi}]}", "t.yaml:2:55: severity: 'hi' is unknown"),
        ("tests:\n- {name: n, expect: [{at: 1s, cleared: slow, opened: 1s}]}", "t.yaml:2:54: opened: cleared has none"),
        ("tests:\n- {name: n, until: 5s, expect: [{at: 9s, raised: slow}]}", "t.yaml:2:3: until: before the last event or expectation"),
        ("tests:\n- {name: n, until: 49h, expect: []}", "t.yaml:2:3: longer than 48 h"),
        (f"tests:\n- {{name: n, until: {'9' * 400}h, expect: []}}", "t.yaml:2:20: until: expected a time from the start"),
        ("tests:\n- {name: n, expect: [{at: 1s, raised: slow, count: ²}]}", "t.yaml:2:52: count: expected a whole number, found '²'"),
        (f"tests:\n- {{name: n, counters: {{late: {'9' * 5000}}}, expect: []}}", "t.yaml:2:30: late: expected a whole number"),
        ("tests:\n- {name: n, input: [{event: traffic.flow, at: 1s, source: d, data: {lane: 2026-13-45}}], expect: []}", "t.yaml:2:68: data: month must be in 1..12"),
        (f"tests:\n- {{name: n, input: [{{series: traffic.flow, every: 1s, source: d, data: {{speed_kmh: {'9' * 400}+0.5x2}}}}], expect: []}}", "t.yaml:2:72: data: Expected `float | null`, got `str`"),
        ("tests:\n- {name: n, input: [{event: traffic.flow, at: 1s, source: d, lon: nan, lat: 1}], expect: []}", "t.yaml:2:67: lon: expected degrees"),
        ("areas: [{kind: a, code: b, polygon: [[1, 2]]}]\ntests:\n- {name: n, expect: []}", "t.yaml:1:37: not a list of coordinates: Expected `array` of length >= 3"),
        ("areas: [{kind: a, code: b, polygon: [[1], [2], [3]]}]\ntests:\n- {name: n, expect: []}", "t.yaml:1:37: not a list of coordinates: Expected `array` of length 2"),
        ("areas: [{kind: a, code: b, box: [1, 2, .nan, 4]}]\ntests:\n- {name: n, expect: []}", "t.yaml:1:33: not a list of coordinates: expected degrees"),
    ],
)  # fmt: skip
def test_mistakes_in_a_test_file_name_the_place(text: str, finding: str) -> None:
    _, errors = parse_tests("t.yaml", text)
    assert any(str(error).startswith(finding) for error in errors), [str(error) for error in errors]


def test_reading_stops_at_the_most_events_a_test_and_a_file_may_have() -> None:
    one = "{series: traffic.flow, every: 1ms, source: d, data: {speed_kmh: 1x9999}}"
    _, errors = parse_tests("t.yaml", f"tests:\n- {{name: n, input: [{', '.join([one] * 500)}], expect: []}}")
    assert [error.message for error in errors] == ["more than 20000 events"]
    tests = "\n".join(f"- {{name: n{n}, input: [{one}], expect: []}}" for n in range(500))
    found, errors = parse_tests("t.yaml", f"tests:\n{tests}")
    assert [error.message for error in errors] == ["more than 200000 events in one file"]
    assert sum(len(test.arrivals) for test in found.tests) <= 200_000


def test_an_expected_rule_must_exist() -> None:
    found, _ = parse_tests("t.yaml", "tests:\n- {name: n, expect: [{at: 1s, raised: slwo}]}")
    with pytest.raises(Exception, match=r"t\.yaml:2:1: no rule 'slwo' here \(known: slow\)"):
        program_for(found, {"slow.yaml": SLOW}, None)


# outcomes ---------------------------------------------------------------------------------------------------

TESTS = """
tests:
  - name: a slow one
    input:
      - {event: traffic.flow, at: 10s, source: d, data: {speed_kmh: 12}}
    expect:
      - {at: 10s, raised: slow, key: d}
      - {at: 42s, cleared: slow, key: d}
"""


def test_a_test_that_holds_prints_nothing() -> None:
    (verdict,) = verdicts(TESTS)
    assert verdict.passed
    assert verdict.difference == ()


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (("at: 42s", "at: 41s"), ["  =    line 7  10s raised slow key d", "  -    line 8  41s cleared slow key d", "  +            42s cleared slow key d count 1 (no further events)   ← at 1s later"]),
        (("10s, raised", "10s, severity: low, raised"), ["  -    line 7  10s raised slow key d low", "  +            10s raised slow key d high opened 10s count 1   ← severity is high, expected low", "  =    line 8  42s cleared slow key d"]),
        (("raised: slow, key: d", "raised: slow, key: e"), ["  -    line 7  10s raised slow key e   ← did not happen", "  +            10s raised slow key d high opened 10s count 1   ← is not expected", "  =    line 8  42s cleared slow key d"]),
        (("speed_kmh: 12", "speed_kmh: 20"), ["  -    line 7  10s raised slow key d   ← did not happen", "  -    line 8  42s cleared slow key d   ← did not happen"]),
        (("    expect:", "    counters: {matched: 2}\n    expect:"), ["  =    line 8  10s raised slow key d", "  =    line 9  42s cleared slow key d", "  -    line 6  matched 2", "  +            matched 1   ← differs"]),
    ],
)  # fmt: skip
def test_a_failing_test_shows_expected_and_happened_side_by_side(
    change: tuple[str, str], lines: list[str]
) -> None:
    (verdict,) = verdicts(TESTS.replace(*change))
    assert not verdict.passed
    assert list(verdict.difference) == lines


def test_a_repeated_event_is_left_out_as_the_log_would() -> None:
    again = TESTS.replace("at: 10s, source", "at: 10s, again: [11s, 20s], source")
    (verdict,) = verdicts(
        again.replace("    expect:", "    counters: {duplicates: 2, matched: 1}\n    expect:")
    )
    assert verdict.difference == ()


def test_a_disabled_rule_can_be_tested() -> None:
    (verdict,) = verdicts(TESTS, SLOW + "enabled: false\n")
    assert verdict.passed


def test_a_rule_that_raises_fails_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("ioc.rules.spell.SpellMachine.feed", broken)
    (verdict,) = verdicts(TESTS)
    assert "rule slow failed: RuntimeError: out of order" in verdict.difference[-1]
