"""Early warning: no flapping, one episode at a time, forecasts come to an end, blindness is no calm."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.brake_policy import Brake, BrakePolicy
from ioc.incidents.brakes import (
    HELD_US,
    MAX_POINTS,
    Memory,
    Observed,
    Outcome,
    Point,
    Stage,
    Warning,
    beyond,
    evaluate,
    is_clear,
    queue_path,
    slope,
    withdrawn,
)
from ioc.incidents.policies import PolicyError, parse_policy
from ioc.model.texts import Text
from ioc.model.times import HOUR_US, MINUTE_US, parse_us

NOON_US = parse_us("2026-11-25T12:00:00+07:00")
TITLE = Text("Quá hạn", "Overdue")
OVERDUE = Brake(name="overdue", title=TITLE, figure="overdue", above=10, clear=5, forecast="2h")
RATE = Brake(
    name="rate", title=TITLE, figure="processing_rate", below=0.8, clear=0.9, min_n=10, min_coverage=0.5
)


def at(minute: int, value: float | None, n: int = 100, coverage: float | None = 1.0) -> Observed:
    return Observed(at_us=NOON_US + minute * MINUTE_US, value=value, n=n, coverage=coverage)


def run(brake: Brake, seen: Iterable[Observed]) -> list[Outcome]:
    memory, found = Memory(), []
    for each in seen:
        outcome = evaluate(brake, memory, each, "25747")
        memory = outcome.memory
        found.append(outcome)
    return found


def stages(outcomes: Iterable[Outcome]) -> list[str]:
    return [each.warning.stage for each in outcomes if each.changed and each.warning]


def test_a_warning_opens_beyond_the_threshold_and_ends_at_the_clear_value() -> None:
    found = run(
        msgspec.structs.replace(OVERDUE, forecast=None),
        [at(n, v) for n, v in enumerate((10, 11, 6, 9, 5, 7))],
    )
    assert stages(found) == ["crossed", "cleared"]
    assert [each.memory.warning is not None for each in found] == [False, True, True, True, False, False]


def test_a_figure_that_should_be_high_warns_below() -> None:
    assert stages(run(RATE, [at(0, 0.8), at(1, 0.79), at(2, 0.89), at(3, 0.9)])) == ["crossed", "cleared"]


VALUES = st.lists(st.floats(0, 20), min_size=1, max_size=80)


@given(VALUES)
def test_between_threshold_and_clear_value_nothing_changes(values: list[float]) -> None:
    brake = msgspec.structs.replace(OVERDUE, forecast=None)
    found = run(brake, [at(n, value) for n, value in enumerate(values)])
    side, expected = False, []
    for value in values:
        if not side and value > 10:
            side = True
            expected.append("crossed")
        elif side and value <= 5:
            side = False
            expected.append("cleared")
    assert stages(found) == expected


@given(st.lists(st.tuples(st.floats(0, 20) | st.none(), st.integers(1, 90), st.integers(0, 20)), max_size=60))
def test_episodes_follow_one_another_and_each_stage_is_told_once(
    steps: list[tuple[float | None, int, int]],
) -> None:
    brake = msgspec.structs.replace(OVERDUE, min_n=5)
    minute, seen = 0, []
    for value, wait, n in steps:
        minute += wait
        seen.append(at(minute, value, n))
    found = run(brake, seen)
    history: dict[str, list[str]] = {}
    for outcome in found:
        if outcome.changed and outcome.warning:
            history.setdefault(outcome.warning.id, []).append(outcome.warning.stage)
            assert outcome.warning.rev == len(history[outcome.warning.id])
    legal = (["forecast"], ["crossed"], ["forecast", "crossed"], ["forecast", "cleared"],
             ["crossed", "cleared"], ["forecast", "crossed", "cleared"])  # fmt: skip
    assert all(each in legal for each in history.values())
    # Only the last may still be open: one at a time.
    assert all(each[-1] == "cleared" for each in list(history.values())[:-1])


def test_a_rising_line_warns_before_it_crosses_and_says_when() -> None:
    found = run(OVERDUE, [at(10 * n, 4 + n / 2) for n in range(16)])
    assert stages(found) == ["forecast", "crossed"]
    first = next(each.warning for each in found if each.changed)
    assert first
    assert first.forecast_us
    # 1/20 a minute: from 4 it passes 10 after 120 minutes.
    assert abs(first.forecast_us - (NOON_US + 120 * MINUTE_US)) <= 20 * MINUTE_US
    assert first.opened_us < NOON_US + 60 * MINUTE_US


def test_a_forecast_that_does_not_come_true_ends() -> None:
    rising = [at(10 * n, 4 + n / 2) for n in range(8)]
    falling = [at(80 + 10 * n, max(1.0, 7.5 - n)) for n in range(20)]
    found = run(OVERDUE, [*rising, *falling])
    assert stages(found) == ["forecast", "cleared"]
    assert found[-1].memory.warning is None


def test_a_forecast_stays_for_a_while_however_the_line_turns() -> None:
    path = [Point(NOON_US + HOUR_US, 20.0)]
    first = evaluate(OVERDUE, Memory(), msgspec.structs.replace(at(0, 3), path=path), "x")
    calm = msgspec.structs.replace(at(1, 0), path=[Point(NOON_US + HOUR_US, 0.0)])
    second = evaluate(OVERDUE, first.memory, calm, "x")
    assert second.warning
    assert second.warning.stage is Stage.FORECAST
    later = msgspec.structs.replace(calm, at_us=NOON_US + HELD_US)
    third = evaluate(OVERDUE, second.memory, later, "x")
    assert third.warning
    assert third.warning.stage is Stage.CLEARED


@pytest.mark.parametrize(
    "seen", [at(5, None), at(5, 1.0, n=9), at(5, 1.0, coverage=0.49), at(5, 1.0, coverage=None)]
)
def test_too_little_data_neither_opens_nor_ends_a_warning(seen: Observed) -> None:
    assert run(RATE, [seen])[0].blind
    found = run(RATE, [at(0, 0.5), seen, at(6, 0.5)])
    assert found[1].blind
    assert found[1].memory.warning
    assert found[1].memory.warning.blind
    assert not found[1].changed
    assert found[2].memory.warning
    assert not found[2].memory.warning.blind
    assert stages(found) == ["crossed"]


@given(st.integers(1, 200), st.integers(1, 30))
def test_what_is_remembered_is_bounded_and_of_the_same_day(count: int, wait: int) -> None:
    found = run(OVERDUE, [at(wait * n, 3.0) for n in range(count)])
    points = found[-1].memory.points
    assert len(points) <= MAX_POINTS
    last_us = NOON_US + wait * (count - 1) * MINUTE_US
    assert all(last_us - point.at_us <= 2 * HOUR_US for point in points)
    midnight = NOON_US + 12 * HOUR_US
    assert len({point.at_us >= midnight for point in points}) <= 1 or last_us < midnight


def test_a_line_through_midnight_is_no_trend() -> None:
    """Figures of today begin anew: 0.5 before midnight and 0 after it is not a fall."""
    brake = Brake(name="rate", title=TITLE, figure="processing_rate", below=0.2, clear=0.3, forecast="2h")
    night = [at(12 * 60 - 60 + 5 * n, 0.9) for n in range(12)]
    morning = [at(12 * 60 + 5 * n, 0.35) for n in range(4)]
    assert stages(run(brake, [*night, *morning])) == []


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 120), st.integers(1, 9)), max_size=20),
    st.floats(0, 50),
)
def test_a_queue_without_pace_overdue_all_and_more_pace_is_never_worse(
    overdue: int, due: list[tuple[int, int]], pace: float
) -> None:
    ahead = sorted((NOON_US + minute * MINUTE_US, n) for minute, n in due)
    none = queue_path(overdue, ahead, 0, NOON_US, 2 * HOUR_US)
    some = queue_path(overdue, ahead, pace, NOON_US, 2 * HOUR_US)
    assert none[-1].value == overdue + sum(n for _, n in ahead)
    assert all(fast.value <= slow.value for fast, slow in zip(some, none, strict=True))
    assert all(point.value >= 0 for point in some)


def test_a_line_is_fitted_by_least_squares() -> None:
    assert slope([Point(0, 1.0)]) is None
    assert slope([Point(5, 1.0), Point(5, 3.0)]) is None
    assert slope([Point(0, 1.0), Point(10, 2.0), Point(20, 3.0)]) == pytest.approx(0.1)


def test_a_brake_that_is_taken_away_ends_its_warning() -> None:
    (outcome,) = run(RATE, [at(0, 0.1)])
    assert outcome.warning
    ended: Warning = withdrawn(outcome.warning, NOON_US + 9)
    assert (ended.stage, ended.rev, ended.cleared_us) == (Stage.CLEARED, 2, NOON_US + 9)


def test_the_shipped_brakes_warn_of_1022_and_clear_on_the_good_side() -> None:
    brakes = BrakePolicy().brakes
    assert {"triage-1022", "result-1022", "backlog-1022"} <= {brake.name for brake in brakes}
    for brake in brakes:
        assert not beyond(brake, brake.threshold)
        assert is_clear(brake, brake.clear)
        assert not beyond(brake, brake.clear)


BASE = {"name": "x", "title": {"vi": "a", "en": "b"}, "figure": "overdue", "above": 10, "clear": 5}


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"figure": "weather"}, "brakes[0].figure", "figure"),
        ({"below": 3}, "brakes[0].above", "one_threshold"),
        ({"above": None}, "brakes[0].above", "one_threshold"),
        ({"clear": 11}, "brakes[0].clear", "hysteresis"),
        ({"figure": "overdue_share"}, "brakes[0].above", "range"),
        ({"wards": ["1"]}, "brakes[0].wards", "scope"),
        ({"figure": "alarms_per_operator_hour", "scope": "ward"}, "brakes[0].scope", "city_only"),
        ({"forecast": "25h"}, "brakes[0].forecast", "range"),
        ({"forecast": "1wd"}, "brakes[0].forecast", "elapsed"),
        ({"severity": "red"}, "brakes[0].severity", "policy_shape"),
    ],
)
def test_a_brake_that_cannot_be_is_refused_by_field_and_rule(
    change: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy("brakes", {"brakes": [BASE | change]})
    assert (caught.value.field, caught.value.rule) == (field, rule)


def test_a_name_is_used_once() -> None:
    with pytest.raises(PolicyError, match="twice"):
        parse_policy("brakes", {"brakes": [BASE, BASE]})
