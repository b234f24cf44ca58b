"""Coverage of rule tests: every condition's numbers are moved, and a case counts by what is played."""

# ruff: noqa: E501 - tables read better with one case a line

import pytest

from ioc.rules.coverage import Coverage, Suite, cover
from ioc.rules.mutants import mutants
from ioc.rules.testing import parse_tests

SLOW = """
rule: slow
title: {vi: Chậm, en: Slow}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
hold: 30s
severity: high
"""
HEAD = "rule: r\ntitle: {vi: a, en: b}\n"
BOUNDARY = """
tests:
  - name: just slow enough, and not
    input:
      - {event: traffic.flow, at: 10s, source: a, data: {speed_kmh: 14.9}}
      - {event: traffic.flow, at: 10s, source: b, data: {speed_kmh: 15}}
      - {event: traffic.flow, at: 10s, source: c, data: {speed_kmh: 14}}
    expect:
      - {at: 10s, raised: slow, key: a}
      - {at: 10s, raised: slow, key: c}
      - {at: 42s, cleared: slow, key: a}
      - {at: 42s, cleared: slow, key: c}
"""


def covered(*tests: str, rule: str = SLOW) -> Coverage:
    suites = []
    for text in tests:
        found, errors = parse_tests("t.yaml", text)
        assert not errors
        suites.append(Suite({"slow.yaml": rule}, found.tests))
    (item,) = cover("slow.yaml", rule, suites)
    return item


def changes(rule: str) -> set[tuple[str, str, str]]:
    return {(mutant.condition, mutant.written, mutant.changed) for mutant in mutants("r.yaml", HEAD + rule)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "stream: traffic\ntype: traffic.flow\nseverity: low\nwhere: occupancy <= 0.35 && volume_veh == 2\n"
            "clear_when: '!(occupancy < 0.5)'",
            {("<=", "<"), ("0.35", "0.36"), ("0.35", "0.34"), ("2", "3"), ("2", "1")}
            | {("<", "<="), ("0.5", "0.6"), ("0.5", "0.4")},
        ),
        (
            'stream: camera\ntype: camera.plate\nseverity: low\nwhere: plate.startsWith("51A < 9")\nhold: 9s',
            {("9s", "10s"), ("9s", "8s")},
        ),
        (
            "stream: traffic\nseverity: low\nwhere: source == 's 1'\nfor: 20s\nhold: 2m",
            {("20s", "21s"), ("20s", "19s"), ("2m", "121s"), ("2m", "119s")},
        ),
        (
            "stream: camera\ntype: camera.count\nhaving: p95(people) > 60 within 1m\n"
            "severity: [{at: 60, level: low}, {at: 90, level: high}]",
            {(">", ">="), ("60", "61"), ("60", "59"), ("1m", "61s"), ("1m", "59s"), ("90", "91"), ("90", "89")},
        ),
        (
            "stream: traffic\ntype: traffic.flow\nseverity: low\n"
            "sequence: {steps: ['speed_kmh > 60', {where: 'volume_veh >= 1'}], within: 1m}\nhold: 9s",
            {("9s", "10s"), ("9s", "8s"), (">", ">="), ("60", "61"), ("60", "59"), (">=", ">"), ("1", "2"), ("1", "0"), ("1m", "61s"), ("1m", "59s")},
        ),
        (
            "stream: camera\nseverity: low\nfence: {when: dwells 90s, area: {kind: school, code: [a1]}}",
            {("90s", "91s"), ("90s", "89s")},
        ),
    ],
)  # fmt: skip
def test_every_number_and_bound_of_the_conditions_is_moved_and_nothing_else(
    rule: str, expected: set[tuple[str, str]]
) -> None:
    assert {(written, changed) for _, written, changed in changes(rule)} == expected


def test_a_change_says_its_line_and_column_and_changes_nothing_else() -> None:
    first = next(mutants("slow.yaml", SLOW))
    assert str(first) == "6:18: <= for < in `speed_kmh < 15`"
    assert first.text == SLOW.replace("<", "<=")


def test_what_is_no_rule_after_the_change_is_left_out() -> None:
    assert ("hold", "0s") not in {(m.condition, m.changed) for m in mutants("r.yaml", SLOW)}
    assert changes("stream: camera\nseverity: low\nabsence: 5s") == {("5s", "5s", "6s")}  # 5 s is the least


def test_a_number_whose_change_no_test_would_notice_is_named() -> None:
    weak = BOUNDARY.replace("speed_kmh: 15}", "speed_kmh: 17}")
    assert "boundary" not in covered(BOUNDARY).missing
    found = covered(weak)
    assert found.missing["boundary"] == "2 of 5 changes of the rule make no test fail"
    assert [(m.written, m.changed) for m in found.unnoticed] == [("<", "<="), ("15", "16")]
    # what one file of tests leaves out another may hold
    assert "boundary" not in covered(weak, BOUNDARY).missing


def played(events: str, expect: str, counters: str = "{}") -> str:
    return f"tests:\n- {{name: n, input: [{events}], expect: [{expect}], counters: {counters}}}"


def slow(at: int, more: str = "") -> str:
    return f"{{event: traffic.flow, at: {at}s, {more} source: a, data: {{speed_kmh: 9}}}}"


RAISED = "{at: 10s, raised: slow}"


@pytest.mark.parametrize(
    ("case", "events", "expect"),
    [
        ("late", f"{slow(10)}, {slow(3, 'arrives: 20s,')}", f"{RAISED}, {{at: 42s, cleared: slow, count: 2}}"),
        ("out of order", f"{slow(10)}, {slow(9, 'arrives: 11s,')}", f"{RAISED}, {{at: 42s, cleared: slow, count: 2}}"),
        ("duplicate", slow(10, "again: [11s],"), f"{RAISED}, {{at: 42s, cleared: slow, count: 1}}"),
    ],
)  # fmt: skip
def test_a_case_is_covered_by_what_is_played_and_told(case: str, events: str, expect: str) -> None:
    assert "holds an event" in covered(BOUNDARY).missing[case]
    assert case not in covered(BOUNDARY, played(events, expect)).missing
    # the same records, but nothing is said that depends on them
    blind = played(events, RAISED).replace("expect", "until: 25s, expect")
    assert "no test fails when" in covered(BOUNDARY, blind).missing[case]


def test_an_event_far_behind_is_late_and_not_merely_overtaken() -> None:
    late = played(
        f"{slow(10)}, {slow(3, 'arrives: 20s,')}", f"{RAISED}, {{at: 42s, cleared: slow, count: 2}}"
    )
    assert set(covered(BOUNDARY, late).missing) == {"out of order", "duplicate"}


def test_events_of_other_keys_or_types_make_no_disorder() -> None:
    other = slow(9, "arrives: 11s,").replace("source: a", "source: b")
    status = "{event: traffic.status, at: 1s, arrives: 20s, source: a, data: {online: true}}"
    text = played(f"{slow(10)}, {other}, {status}", f"{RAISED}, {{at: 11s, raised: slow}}").replace(
        "expect", "until: 25s, expect"
    )
    assert {"late", "out of order"} <= set(covered(BOUNDARY, text).missing)


def test_the_count_of_repeats_alone_proves_nothing() -> None:
    text = played(slow(10, "again: [11s],"), RAISED, "{duplicates: 1}").replace(
        "expect", "until: 25s, expect"
    )
    assert "taken again" in covered(BOUNDARY, text).missing["duplicate"]
