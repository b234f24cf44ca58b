"""Explanations of patterns, windows of every kind and cooldowns: which part is missing, and by how much."""

import pytest

from ioc.geo.index import AreaIndex
from ioc.model.events import CameraPlate, Event
from ioc.rules.backtest import order_of_arrival
from ioc.rules.explain_why import Check, Explanation, explain
from tests.unit.rules.scenes import START_US, count, event, flow, rule, us, zone

FLOW = "stream: traffic\ntype: traffic.flow\nby: [source]\n"
INDEX = AreaIndex([zone("z1", 105.9995, -0.0005)])
TEN = "2023-11-14T22:13:30.000Z"
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
    ("when", "events", "where", "detail", "short"),
    [
        ("enters", [count(10, lon=106.0015, lat=0.0)], "outside", "111 m from the border", 111.2),
        # its first position is no entering, and there is no way left to go
        ("enters", [count(10, **INSIDE)], "z1", f"inside since {TEN}, 56 m from the border", None),
        ("enters", [count(10)], "unknown", "no position of the key", None),
        ("crosses", [count(10, lon=106.0015, lat=0.0)], "outside", "111 m from the border", 111.2),
        ("inside", [count(10, lon=106.0015, lat=0.0)], "outside", "111 m from the border", 111.2),
        ("leaves", [count(10, **INSIDE)], "z1", f"inside since {TEN}, 56 m from the border", 55.6),
        ("leaves", [count(10, lon=106.0015, lat=0.0)], "outside", "111 m from the border", None),
    ],
)
def test_a_fence_says_where_the_subject_is_and_how_far_it_has_to_go(
    when: str, events: list[Event], where: str, detail: str, short: float | None
) -> None:
    text = ENTERS.replace("enters", when)
    fence = failed(asked(text if when != "inside" else text.replace("hold: 9s\n", ""), events, 20))
    assert (fence.condition, fence.value, fence.detail) == (f"fence: {when}", where, detail)
    assert fence.short_by == (None if short is None else pytest.approx(short, abs=0.2))


@pytest.mark.parametrize(
    ("when", "before", "after"),
    [("enters", OUTSIDE, INSIDE), ("leaves", INSIDE, OUTSIDE), ("crosses", OUTSIDE, INSIDE)],
)
def test_a_border_that_was_crossed_leaves_nothing_to_ask(
    when: str, before: dict[str, float], after: dict[str, float]
) -> None:
    found = asked(ENTERS.replace("enters", when), [count(10, **before), count(12, **after)], 15)
    assert (found.fired, found.failed) == (True, ())


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
    unusual = failed(asked(EWMA, [*usual, flow(82, 49)], 95))
    assert isinstance(unusual.value, float)
    assert -4 < unusual.value < -2
    assert (unusual.threshold, unusual.short_by) == (-4, pytest.approx(unusual.value + 4))
    assert unusual.detail.startswith("usual 5")
    # the newest reading is as usual, the nearest was not
    past = failed(asked(EWMA, [*usual, flow(82, 49), flow(88, 51)], 95))
    assert past.detail.endswith(f"nearest: {unusual.value:g} at 2023-11-14T22:14:46.000Z")
    warned = asked(EWMA, [*usual, flow(85, 5)], 95)
    assert warned.failed == ()
    z = warned.checks[-1].value
    assert isinstance(z, float)
    assert z < -4


@pytest.mark.parametrize("text", [SEQUENCE, EWMA, ENTERS, NEAR.replace("by: [ward]", "by: [source]")])
def test_a_key_without_events_never_looks_as_if_everything_held(text: str) -> None:
    assert asked(text, [], 20).failed


def test_a_warning_that_came_while_the_key_rests_says_so_and_nothing_else() -> None:
    usual = [flow(at, 50 + at % 3) for at in range(10, 80, 10)]
    found = asked(EWMA, [*usual, flow(85, 5), flow(120, 4)], 125)  # over at 115 s, then rests for 10 min
    assert [check.condition for check in found.failed] == ["cooldown"]


WIDE = (
    "stream: camera\ntype: camera.plate\nwhere: confidence >= 0.85\nby: [plate]\n"
    "having: distinct(ward) >= 3 within 3m\nhold: 5m\n"
)


def read(at: float, ward: str, plate: str = "61A-1", confidence: float = 0.9) -> Event:
    data = CameraPlate(plate=plate, confidence=confidence)
    return event(at, data, source=f"cam-{ward}", ward=ward)


def test_a_rule_keyed_beyond_a_ward_says_how_many_wards_are_missing() -> None:
    seen = [read(10, "a"), read(20, "b"), read(25, "b"), read(30, "c", plate="61A-2")]
    wards = failed(asked(WIDE, seen, 40, key="61A-1"))
    assert (wards.condition, wards.value, wards.short_by) == ("distinct(ward) >= 3 within 3m", 2.0, 1.0)
    assert asked(WIDE, [*seen, read(35, "c")], 40, key="61A-1").failed == ()
    unsure = asked(WIDE, [read(10, "a", confidence=0.8)], 40, key="61A-1")
    assert unsure.failed[0].short_by == pytest.approx(0.05)
    assert asked(WIDE, seen, 40, key="61A-3").other_keys == ("61A-1", "61A-2")


SILENT = "stream: camera\nby: [source]\nabsence: 90s\n"


def test_a_silence_says_how_much_longer_it_would_have_to_be() -> None:
    silent = failed(asked(SILENT, [count(10)], 60))
    assert (silent.condition, silent.value, silent.threshold, silent.short_by) == ("silence, s", 50, 90, 40)
    assert asked(SILENT, [count(10)], 120).failed == ()


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
