"""Explanations: which condition failed, and by how much."""

import pytest

from ioc.model.events import Event
from ioc.rules.backtest import order_of_arrival
from ioc.rules.explain_why import Explanation, explain, shortfall
from ioc.rules.predicate import compile_predicate
from ioc.rules.predicate.text import render
from ioc.rules.silence import ExpectedSource
from tests.unit.rules.scenes import START_US, alarm, flow, rule, us

JAM = (
    "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15 && occupancy > 0.35\nby: [source]\n"
    "having: count >= 3 within 60s\nfor: 20s\nclear_when: speed_kmh > 25\nhold: 30s\n"
)


def asked(text: str, events: list[Event], at: float, key: str = "s", **more: object) -> Explanation:
    ordered = order_of_arrival(events)
    return explain(rule(text), "it", key, us(at), ordered, begin_us=START_US, **more)  # type: ignore[arg-type]


def test_the_number_that_was_not_reached_is_named_with_what_was_missing() -> None:
    found = asked(JAM, [flow(at, 19.5 - at / 100) for at in range(10, 100, 10)], 100)
    failed = {check.condition: check for check in found.failed}
    assert (found.fired, found.condition) == (False, "idle")
    speed = failed["speed_kmh < 15"]
    assert (speed.op, speed.threshold) == ("<", 15)
    assert speed.value == pytest.approx(18.6)
    assert speed.short_by == pytest.approx(3.6)  # the nearest of the window, not the last by chance
    assert speed.detail == "0 of 5 events"
    assert failed["count >= 3 within 60s"].short_by == 3
    assert failed["for, s"].short_by == 20
    assert "occupancy > 0.35" not in failed


def test_a_window_one_event_short_says_so_and_when_it_came_nearest() -> None:
    found = asked(JAM, [flow(at, 10) for at in (10, 20)], 60)
    having = next(check for check in found.checks if check.condition.startswith("count"))
    assert (having.held, having.value, having.short_by) == (False, 2.0, 1.0)
    assert having.detail.startswith("nearest: 2 at ")


@pytest.mark.parametrize("measured", ["count", "rate", "sum(speed_kmh)"])
def test_the_window_of_a_key_of_which_no_event_matched_measures_none(measured: str) -> None:
    text = JAM.replace("count", measured)
    found = asked(text, [flow(10, 50)], 60)
    having = next(check for check in found.checks if check.condition.startswith(measured))
    assert (having.held, having.value, having.short_by, having.detail) == (False, 0.0, 3.0, "")


def test_a_condition_not_held_long_enough_says_how_long_it_did() -> None:
    found = asked(JAM, [flow(at, 10) for at in (10, 20, 30)], 40)
    (lasting,) = found.failed
    assert (found.condition, lasting.condition) == ("pending", "for, s")
    assert (lasting.value, lasting.short_by) == (8.0, 12.0)  # 40 s less 2 s of lateness, since 30 s


def test_what_fired_is_shown_with_its_evidence() -> None:
    found = asked(JAM, [flow(at, 10) for at in range(10, 100, 10)], 100)
    assert found.fired
    assert found.failed == ()
    assert found.condition == "open"
    assert {item.name for item in found.evidence} == {"speed_kmh", "occupancy", "count"}
    assert found.episode is not None
    assert found.episode.opened_us == us(30)


def test_the_moment_decides_not_what_came_later() -> None:
    events = [flow(at, 10) for at in range(10, 200, 10)]
    assert not asked(JAM, events, 29).fired
    assert asked(JAM, events, 120).fired


def test_a_key_without_events_is_told_and_near_keys_are_suggested() -> None:
    events = [flow(10, 5, source="det-25966-02"), flow(10, 5, source="cam-1")]
    found = asked(JAM, events, 20, key="det-25966-03")
    (events_check,) = found.failed
    assert events_check.detail == "none of this key at all"
    assert found.other_keys[0] == "det-25966-02"


def test_an_old_event_is_told_with_its_time() -> None:
    found = asked(JAM, [flow(10, 5)], 1000)
    (events_check,) = found.failed
    assert "the last was at" in events_check.detail


def test_conditions_that_held_but_never_together_are_told_apart() -> None:
    found = asked(JAM, [flow(10, 10, 0.1), flow(20, 40, 0.5)], 30)
    assert "all of these in one event" in [check.condition for check in found.failed]


def test_a_missing_value_is_called_missing() -> None:
    found = asked(JAM, [flow(10, None)], 20)
    speed = next(check for check in found.checks if check.condition == "speed_kmh < 15")
    assert (speed.held, speed.value, speed.short_by) == (False, None, None)
    assert "missing" in speed.detail


def test_silence_says_when_the_key_was_heard_last() -> None:
    text = "stream: traffic\nby: [source]\nabsence: 60s\n"
    expected = {"s": ExpectedSource("traffic")}
    found = asked(text, [flow(10, 30)], 50, expected=expected)
    (silence,) = found.failed
    assert (silence.value, silence.threshold, silence.short_by) == (40.0, 60.0, 20.0)
    assert asked(text, [flow(10, 30)], 90, expected=expected).fired
    assert asked(text, [], 90, expected=expected).fired  # never heard, but expected


def test_wards_are_a_condition_too() -> None:
    text = "stream: camera\ntype: camera.alarm\nwhere: confidence > 0.5\n"
    text += "ward: ['25747']\nby: [source]\nhold: 9s\n"
    found = asked(text, [alarm(10, ward="25999")], 12)
    (ward,) = found.failed
    assert (ward.condition, ward.value) == ("ward", "25999")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("speed_kmh < 15", 5.0),
        ("speed_kmh < 25", 0.0),
        ("!(speed_kmh >= 15)", 5.0),
        ("speed_kmh < 15 || occupancy > 0.9", 0.4),
        ("speed_kmh < 15 && occupancy > 0.9", 5.0),
        ("!(speed_kmh > 10 || occupancy > 0.1)", 10.0),
        ("volume_veh > 3", None),
        ('source == "x"', None),
        ("speed_kmh * 2 < 30", 10.0),
    ],
)
def test_how_far_an_event_is_from_a_condition(text: str, missing: float | None) -> None:
    condition = compile_predicate(text, ("traffic.flow",)).condition
    found = shortfall(condition, flow(0, 20, 0.5))
    assert found == (None if missing is None else pytest.approx(missing))


@pytest.mark.parametrize(
    "text",
    [
        "speed_kmh < 15 && (occupancy > 0.3 || volume_veh == 2)",
        'source in ["a", "b"]',
        'lane.startsWith("1")',
        "!(has(lane))",
        "(speed_kmh + 2) > 3",
        "volume_veh == 1234567 || speed_kmh < 12.3456789",
        r'source == "a\"b\\c\n"',
    ],
)
def test_a_condition_is_rendered_as_it_is_written(text: str) -> None:
    assert render(compile_predicate(text, ("traffic.flow",)).condition) == text
