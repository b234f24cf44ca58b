"""A rule is changed while something of it is under way: what follows is by the new rule, restart or not."""

import pytest

from ioc.geo.index import AreaIndex
from ioc.model.incidents import Cleared, Effect
from ioc.rules import PartitionEngine, Program
from tests.unit.rules.scenes import Item, count, flow, play, rule, told, us, with_ticks, zone

FLOW = "stream: traffic\ntype: traffic.flow\n"
SILENT = "stream: camera\ntype: camera.count\nabsence: 90s\n"
CLEARED_BY = FLOW + "where: speed_kmh < 10\nclear_when: speed_kmh > 30\nhold: 5s\n"


def changed(before: Program, first: list[Item], after: Program, *, restarted: bool) -> PartitionEngine:
    """An engine that ran `before` over `first` and runs `after` now, perhaps `restarted` since."""
    engine = PartitionEngine(before, partition=0)
    play(engine, first)
    rows = {change[:2]: change for change in engine.drain_changes()}
    engine.adopt(after)
    if restarted:
        engine.on_batch([])
        rows |= {change[:2]: change for change in engine.drain_changes()}
        engine = PartitionEngine.restore(after, 0, [row for row in rows.values() if row.data is not None])
    return engine


def told_by(
    before: Program, first: list[Item], after: Program, then: list[Item], *, restarted: bool
) -> list[str]:
    return told(play(changed(before, first, after, restarted=restarted), then))


def reasons(effects: list[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Cleared)]


restarted_or_not = pytest.mark.parametrize("restarted", [False, True])


@restarted_or_not
@pytest.mark.parametrize(("least", "expected"), [(5, []), (2, ["4 raised"])])
def test_the_number_of_events_asked_for_is_that_of_the_new_rule(
    restarted: bool, least: int, expected: list[str]
) -> None:
    text = FLOW + "having: avg(speed_kmh) < 20 within 60s, at least {}\nhold: 5s\n"
    #  0x  | at least 3 becomes 5, or 2      4x  5x
    first, then = with_ticks([flow(0, 10)], 3), with_ticks([flow(4, 10), flow(5, 10)], 20, since=4)
    found = told_by(rule(text.format(3)), first, rule(text.format(least)), then, restarted=restarted)
    assert found == expected


@restarted_or_not
def test_a_tumbling_window_that_closes_after_the_change_is_judged_by_the_new_rule(restarted: bool) -> None:
    text = FLOW + "having: avg(speed_kmh) < 20 within 60s tumbling, at least {}\nhold: 5s\n"
    #  41x 43 | at least 1 becomes 3   45x         100: the minute closes
    first, then = with_ticks([flow(41, 10)], 43), with_ticks([flow(45, 10)], 120, since=44)
    assert told_by(rule(text.format(1)), first, rule(text.format(1)), then, restarted=restarted) == [
        "102 raised"
    ]
    assert told_by(rule(text.format(1)), first, rule(text.format(3)), then, restarted=restarted) == []


@restarted_or_not
def test_what_no_longer_reaches_the_threshold_does_not_fire_when_its_for_is_over(restarted: bool) -> None:
    text = FLOW + "having: count >= {} within 10m\nfor: 60s\nhold: 5s\n"
    #  1x 2x 3x  | 3 becomes 100                     61: `for` would be over
    first, then = with_ticks([flow(at, 10) for at in (1, 2, 3)], 10), with_ticks([], 120, since=11)
    assert told_by(rule(text.format(3)), first, rule(text.format(3)), then, restarted=restarted) == [
        "65 raised"
    ]
    assert told_by(rule(text.format(3)), first, rule(text.format(100)), then, restarted=restarted) == []


@restarted_or_not
def test_what_is_pending_by_a_condition_of_before_begins_anew(restarted: bool) -> None:
    text = FLOW + "where: speed_kmh < {}\nfor: 60s\nhold: 5m\n"
    first, then = with_ticks([flow(1, 15)], 10), with_ticks([], 120, since=11)
    assert told_by(rule(text.format(20)), first, rule(text.format(20)), then, restarted=restarted) == [
        "63 raised"
    ]
    assert told_by(rule(text.format(20)), first, rule(text.format(5)), then, restarted=restarted) == []


@pytest.mark.parametrize("change", ["ward: [w1]\n", "where: people > 3\n"])
def test_who_is_not_listened_for_any_more_is_not_silent(change: str) -> None:
    talking = [count(at, source="x", ward="w2") for at in range(11, 300, 5)]
    engine = changed(
        rule(SILENT),
        with_ticks([count(1, source="x", ward="w2")], 10),
        rule(SILENT + change),
        restarted=False,
    )
    assert told(play(engine, with_ticks(talking, 300, since=11))) == []


def test_an_incident_that_only_an_event_ends_does_not_stay_where_the_rule_looks_no_more() -> None:
    engine = PartitionEngine(rule(CLEARED_BY), partition=0)
    assert told(play(engine, with_ticks([flow(1, 5, ward="w2"), flow(1, 5, source="b", ward="w1")], 10))) == [
        "1 raised",
        "1 raised",
    ]
    engine.adopt(rule(CLEARED_BY + "ward: [w1]\n"))
    effects = engine.on_batch([])
    assert (told(effects), reasons(effects)) == (["10 cleared"], ["rule changed"])
    assert engine.key_counts == {"it": 1}


def test_boundaries_that_move_end_what_they_leave_outside() -> None:
    body = CLEARED_BY + "area: {kind: zone}\n"
    before, after = (rule(body, index=AreaIndex([zone("z", west, 0.0)])) for west in (106.0, 107.0))
    engine = PartitionEngine(before, partition=0)
    inside = flow(1, 5, lon=106.0005, lat=0.0005)
    assert told(play(engine, with_ticks([inside], 10))) == ["1 raised"]
    engine.adopt(before)
    assert engine.on_batch([]) == []
    engine.adopt(after)
    assert reasons(engine.on_batch([])) == ["rule changed"]
    assert us(10) == engine.now_us
