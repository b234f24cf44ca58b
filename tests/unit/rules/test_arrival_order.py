"""Rules by order of time: which event arrives first within the lateness allowed makes no difference."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.model.events import Event
from ioc.model.incidents import Effect, Raised
from ioc.rules import PartitionEngine, load
from ioc.rules.engine import DEFAULT_LATENESS_US
from ioc.rules.machine import MAX_WAITING
from ioc.rules.spell import LEAD_US, SpellMachine
from tests.unit.rules.scenes import HEAD, alarm, count, flow, play, rule, timeline, told, with_ticks

LATENESS_S = DEFAULT_LATENESS_US / 1e6
RULES = """
rule: jam
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
having: count >= 3 within 20s
for: 8s
clear_when: speed_kmh > 25
hold: 4s
severity: high
---
rule: jam-soon
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
having: count >= 2 within 6s
for: 1s
clear_when: speed_kmh > 25
severity: high
---
rule: window
title: {vi: a, en: a}
stream: camera
type: camera.count
having: avg(people) >= 6 within 10s
order: time
hold: 3s
cooldown: 4s
severity: [{at: 6, level: medium}, {at: 8, level: high}]
---
rule: different
title: {vi: a, en: a}
stream: camera
by: ward
having: distinct(source) >= 2 within 4s
order: time
hold: 2s
severity: low
---
rule: tumbling
title: {vi: a, en: a}
stream: camera
type: camera.count
having: max(people) >= 9 within 5s tumbling
for: 2s
clear_when: people < 3
severity: low
---
rule: alarm
title: {vi: a, en: a}
stream: camera
type: camera.alarm
where: kind == "flood" && active
order: time
hold: 3s
severity: high
---
rule: alarm-until-over
title: {vi: a, en: a}
stream: camera
type: camera.alarm
where: active
clear_when: '!active'
order: time
severity: high
---
rule: slow-for-long
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
for: 3s
order: time
hold: 5s
severity: low
"""
PROGRAM = load({"rules.yaml": RULES})


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, str, int, str]]:
    """Time, kind, value and source of events, at times of their own or shared."""
    now, rows = 0.0, []
    for _ in range(draw(st.integers(2, 40))):
        now += draw(st.sampled_from([0.0, 0.2, 0.5, 1.0, 1.0, 2.0, 6.0]))
        rows.append((now, draw(st.sampled_from("ffffcca")), draw(st.integers(0, 12)), draw(SOURCES)))
    return rows


SOURCES = st.sampled_from(["a", "a", "b"])


def build(number: int, row: tuple[float, str, int, str], arrives: float) -> Event:
    at, kind, value, source = row
    if kind == "f":
        found = flow(at, value * 3.0, source=source, ward="w", arrives=arrives)
    elif kind == "c":
        found = count(at, value, source=source, ward="w", arrives=arrives)
    else:
        found = alarm(at, "flood", active=value > 4, source=source, ward="w", arrives=arrives)
    return msgspec.structs.replace(found, id=f"e{number}")


def effects_of(rows: list[tuple[float, str, int, str]], delays: list[float]) -> list[Effect]:
    engine = PartitionEngine(PROGRAM, partition=0)
    events = [build(n, row, row[0] + delay) for n, (row, delay) in enumerate(zip(rows, delays, strict=True))]
    effects = play(engine, with_ticks(events, rows[-1][0] + 60, since=-5))
    assert not engine.failures
    assert not any(counters.late for counters in engine.counters.values())
    return effects


@given(st.data(), histories())
@settings(max_examples=300, deadline=None)
def test_arrivals_shuffled_within_the_lateness_give_the_same_effects(
    data: st.DataObject, rows: list[tuple[float, str, int, str]]
) -> None:
    delay = st.sampled_from([-3.0, -0.5, 0.0, 0.1, 0.3, 0.9, 1.4, LATENESS_S])
    delays = data.draw(st.lists(delay, min_size=len(rows), max_size=len(rows)))
    assert effects_of(rows, delays) == effects_of(rows, [0.0] * len(rows))


def test_the_shuffled_histories_reach_every_rule() -> None:
    raised: set[str] = set()

    @given(histories())
    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    def collect(rows: list[tuple[float, str, int, str]]) -> None:
        found = effects_of(rows, [0.0] * len(rows))
        raised.update(effect.rule for effect in found if isinstance(effect, Raised))

    collect()
    assert raised == {item.rule.name for item in PROGRAM.rules}


ALARM = "stream: camera\ntype: camera.alarm\nwhere: active\nclear_when: '!active'\n"


def test_the_end_of_an_alarm_that_overtakes_its_beginning_ends_it() -> None:
    #  time    10 on   11 off        arrival: off at 11.0, on at 11.5
    events = [alarm(11, active=False), alarm(10, arrives=11.5)]
    assert timeline(rule(ALARM + "order: time\n"), events, 30) == ["13 raised", "14 cleared"]
    assert timeline(rule(ALARM), events, 30) == ["11.5 raised"]  # at once, and blind to what came before


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ("where: speed_kmh < 9\nhold: 9s\n", "arrival"),
        ("where: speed_kmh < 9\nhold: 9s\nfor: 5s\n", "arrival"),
        ("having: count > 3 within 9s\n", "arrival"),
        ("having: count > 3 within 9s\nfor: 0s\n", "arrival"),
        ("having: count > 3 within 9s\nfor: 5s\n", "time"),
        ("having: count > 3 within 9s\nfor: 5s\norder: arrival\n", "arrival"),
        ("where: speed_kmh < 9\nhold: 9s\norder: time\n", "time"),
    ],
)
def test_only_a_window_that_must_last_waits_unless_the_rule_says_so(body: str, order: str) -> None:
    assert rule("stream: traffic\ntype: traffic.flow\n" + body).rules[0].rule.order == order


def test_events_waiting_survive_a_change_of_order() -> None:
    body = "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 9\nhold: 9s\n"
    engine = PartitionEngine(rule(body + "order: time\n"), partition=0)
    assert play(engine, with_ticks([flow(10, 1)], 11)) == []
    engine.adopt(rule(body))
    assert told(play(engine, with_ticks([], 20, since=12))) == ["13 raised"]


def test_events_waiting_for_the_watermark_are_bounded_and_counted() -> None:
    engine = PartitionEngine(
        rule("stream: traffic\ntype: traffic.flow\nhaving: count > 999 within 60s\norder: time\n"),
        partition=0,
    )
    play(engine, [flow(t / 1000, 1) for t in range(MAX_WAITING + 5)])
    assert engine.counters["it"].overflowed == 5


def test_what_contradicts_a_window_is_kept_only_where_it_can_matter() -> None:
    jam = "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 9\nclear_when: speed_kmh > 30\n"

    def minds_all(body: str) -> bool:
        machine = PartitionEngine(load({"it.yaml": HEAD + jam + body}), partition=0)._machines["it"]
        assert isinstance(machine, SpellMachine)
        return machine.minds_all

    least_s = round((DEFAULT_LATENESS_US + LEAD_US) / 1e6)
    assert not minds_all(f"having: count > 2 within 60s\nfor: {least_s + 1}s\n")
    assert minds_all(f"having: count > 2 within 60s\nfor: {least_s}s\n")
    assert not minds_all("for: 1s\n")  # by arrival
    assert minds_all("for: 60s\norder: time\n")
