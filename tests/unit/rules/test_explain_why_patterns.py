"""Explanations of patterns, windows of every kind and cooldowns: which part is missing, and by how much."""

import pytest

from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.rules.backtest import order_of_arrival
from ioc.rules.explain_why import Check, Explanation, explain
from tests.unit.rules.scenes import START_US, count, flow, rule, us, zone

FLOW = "stream: traffic\ntype: traffic.flow\nby: [source]\n"
INDEX = AreaIndex([zone("z1", 105.9995, -0.0005)])
INSIDE, OUTSIDE = {"lon": 106.0, "lat": 0.0}, {"lon": 107.0, "lat": 0.0}


def asked(text: str, events: list[Event], at: float, key: str = "s") -> Explanation:
    return explain(rule(text, index=INDEX), "it", key, us(at), order_of_arrival(events), begin_us=START_US)


def failed(found: Explanation) -> Check:
    (check,) = found.failed
    return check


SEQUENCE = FLOW + (
    "sequence: {steps: [speed_kmh > 60, speed_kmh < 15, speed_kmh < 5], within: 60s}\n"
    "hold: 30s\ncooldown: 60s\n"
)
STEPS = [flow(10, 70), flow(20, 10), flow(25, 3)]


def test_a_sequence_says_which_step_was_never_taken() -> None:
    found = asked(SEQUENCE, STEPS[:2], 30)
    never, steps = found.failed
    assert (never.condition, never.value) == ("step 3: speed_kmh < 5", 0)
    assert (steps.condition, steps.value, steps.threshold, steps.short_by) == ("steps in order", 2, 3, 1.0)


def test_steps_that_all_happened_in_another_order_are_told_apart() -> None:
    steps = failed(asked(SEQUENCE, [flow(10, 3), flow(20, 70), flow(25, 10)], 40))
    assert (steps.condition, steps.value) == ("steps in order", 2)


def test_a_complete_sequence_holds_in_every_part() -> None:
    found = asked(SEQUENCE, STEPS, 30)
    assert (found.fired, found.condition, found.failed) == (True, "open", ())


def test_a_key_at_rest_after_an_episode_says_until_when() -> None:
    cooldown = asked(SEQUENCE, STEPS, 70).failed[-1]
    assert (cooldown.condition, cooldown.detail) == ("cooldown", "rests until 2023-11-14T22:15:15.000Z")
    spell = FLOW + "where: speed_kmh < 15\nhold: 10s\ncooldown: 60s\n"
    assert failed(asked(spell, [flow(10, 5), flow(40, 5)], 45)).condition == "cooldown"
    assert asked(spell, [flow(10, 5), flow(79, 5), flow(81, 5)], 84).fired


DWELLS = "stream: camera\nby: [source]\nfence: {when: dwells 30s, area: {kind: zone}}\n"
ENTERS = "stream: camera\nby: [source]\nfence: {when: enters, area: {kind: zone}}\nhold: 9s\n"


def test_a_dwell_says_how_long_it_has_lasted() -> None:
    dwell = failed(asked(DWELLS, [count(10, **INSIDE)], 20))
    assert (dwell.condition, dwell.value, dwell.threshold, dwell.short_by) == ("fence: dwells, s", 10, 30, 20)
    assert dwell.detail == "inside z1 since 2023-11-14T22:13:30.000Z"
    assert asked(DWELLS, [count(10, **INSIDE), count(41, **INSIDE)], 50).failed == ()


@pytest.mark.parametrize(
    ("events", "where", "detail"),
    [
        ([count(10, **OUTSIDE)], "outside", ""),
        ([count(10, **INSIDE)], "z1", ""),  # its first position is no entering
        ([count(10)], "unknown", "no position of the key"),
    ],
)
def test_a_fence_says_where_the_subject_is(events: list[Event], where: str, detail: str) -> None:
    fence = failed(asked(ENTERS, events, 20))
    assert (fence.condition, fence.value, fence.detail) == ("fence: enters", where, detail)


NEAR = (
    "stream: camera\ntype: camera.count\nby: [ward]\nwhere: people > 3\n"
    "near: {stream: traffic, type: traffic.flow, where: speed_kmh < 25, metres: 300, within: 60s}\n"
    "hold: 30s\n"
)


def met(lon: float, speed: float = 10) -> Explanation:
    ours = count(10, 5, lon=106.0, lat=0.0, ward="w")
    return asked(NEAR, [ours, flow(12, speed, lon=lon, lat=0.0, ward="w")], 20, key="w")


def test_a_correlation_says_how_far_apart_the_nearest_two_were() -> None:
    distance = failed(met(106.01))
    assert (distance.condition, distance.threshold) == ("distance, m", 300)
    assert distance.value == pytest.approx(1112, abs=1)
    assert distance.short_by == pytest.approx(812, abs=1)
    assert met(106.001).failed == ()


def test_a_correlation_says_that_there_was_no_other_event() -> None:
    others, distance = met(106.0, speed=40).failed
    assert (others.condition, others.short_by) == ("events of traffic.flow", 1.0)
    assert (distance.value, distance.detail) == (None, "1 of ours, 0 others remembered")


EWMA = FLOW + "having: ewma_z(speed_kmh) <= -4 within 1h, at least 5\nhold: 30s\n"


def test_an_early_warning_says_what_it_has_learnt() -> None:
    learning = failed(asked(EWMA, [flow(at, 50) for at in (10, 20, 30)], 40))
    assert (learning.condition, learning.value, learning.short_by) == ("readings learnt", 3, 2)
    young = failed(asked(EWMA.replace("5\n", "2, after 1m\n"), [flow(at, 50) for at in (10, 20, 30)], 40))
    assert (young.condition, young.value, young.short_by) == ("learnt for, s", 30, 30)
    usual = [flow(at, 50 + at % 3) for at in range(10, 80, 10)]
    assert failed(asked(EWMA, usual, 90)).detail.startswith("usual 51.")
    warned = asked(EWMA, [*usual, flow(85, 5)], 95)
    assert warned.failed == ()
    z = warned.checks[-1].value
    assert isinstance(z, float)
    assert z < -4


@pytest.mark.parametrize("text", [SEQUENCE, EWMA, ENTERS, NEAR.replace("by: [ward]", "by: [source]")])
def test_a_key_without_events_never_looks_as_if_everything_held(text: str) -> None:
    assert asked(text, [], 20).failed


TUMBLING = FLOW + "having: avg(speed_kmh) < 15 within 60s tumbling\nhold: 60s\n"
P95 = FLOW + "having: p95(speed_kmh) > 60 within 60s, at least 3\nhold: 60s\n"


def test_a_window_side_by_side_that_has_not_closed_says_so() -> None:
    slow = [flow(45, 10), flow(50, 10)]  # the window ends at 100 s
    assert failed(asked(TUMBLING, slow, 60)).detail == "2 events wait for their window to close"
    assert asked(TUMBLING, slow, 110).fired


def test_too_few_numbers_are_told_from_numbers_too_low() -> None:
    few = failed(asked(P95, [flow(10, 90), flow(20, 90)], 30))
    assert (few.value, few.detail) == (None, "2 of at least 3 events")
    low = failed(asked(P95, [flow(at, 50) for at in (10, 20, 30)], 40))
    assert (low.value, low.short_by) == (50.0, 10.0)


def test_events_that_wait_for_their_turn_are_told() -> None:
    text = FLOW + "where: speed_kmh < 15\nhold: 10s\norder: time\n"
    found = asked(text, [flow(10, 5)], 11)
    assert not found.fired
    waiting = found.checks[-1]
    assert (waiting.condition, waiting.value) == ("events waiting for their turn", 1)
    assert asked(text, [flow(10, 5)], 13).fired
