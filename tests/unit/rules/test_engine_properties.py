"""The engine's promises about batches, restarts and isolation, over drawn histories."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.model.incidents import Cleared, Effect, Raised, Updated
from ioc.model.records import Tick
from ioc.rules import ExpectedSource, PartitionEngine, load
from ioc.rules.silence import Away
from tests.unit.rules.scenes import START_US, Item, alarm, count, flow, report, us, zone

RULES = """
rule: window-with-clear
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
having: count >= 3 within 20s
for: 5s
clear_when: speed_kmh > 25
hold: 4s
severity: high
---
rule: window
title: {vi: a, en: a}
stream: camera
type: camera.count
having: avg(people) >= 6 within 10s
for: 2s
hold: 6s
severity: [{at: 6, level: medium}, {at: 8, level: high}]
---
rule: distinct
title: {vi: a, en: a}
stream: camera
by: ward
having: distinct(source) >= 2 within 8s
hold: 3s
severity: low
---
rule: alarm
title: {vi: "{confidence}", en: a}
stream: camera
type: camera.alarm
where: kind == "wrong_way" && active
hold: 7s
severity: critical
---
rule: alarm-until-over
title: {vi: a, en: a}
stream: camera
type: camera.alarm
where: kind == "wrong_way"
clear_when: '!active'
severity: critical
---
rule: alarm-in-order
title: {vi: a, en: a}
stream: camera
type: camera.alarm
where: kind == "wrong_way"
clear_when: '!active'
order: time
severity: critical
---
rule: slow-for-long
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
for: 8s
hold: 12s
severity: low
---
rule: little
title: {vi: a, en: a}
stream: feedback
type: feedback.report
by: [ward, category]
having: sum(lat) <= 20 within 6s
severity: low
---
rule: tumbling
title: {vi: a, en: a}
stream: camera
type: camera.count
having: avg(people) >= 5 within 6s tumbling, at least 2
for: 3s
hold: 4s
cooldown: 5s
severity: [{at: 5, level: medium}, {at: 8, level: high}]
---
rule: tumbling-until-clear
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
having: p50(speed_kmh) <= 20 within 9s tumbling
clear_when: speed_kmh > 25
order: time
hold: 3s
late: amend
severity: low
---
rule: quantile
title: {vi: a, en: a}
stream: camera
type: camera.count
having: p95(people) >= 6 within 10s, at least 2
for: 2s
cooldown: 20s
late: amend
severity: low
---
rule: deviation
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
having: stddev(speed_kmh) > 8 within 30s
severity: low
---
rule: rate
title: {vi: a, en: a}
stream: camera
type: camera.count
having: rate > 12 within 10s tumbling
severity: low
---
rule: alarm-cooled
title: {vi: a, en: a}
stream: camera
type: camera.alarm
where: kind == "flood"
hold: 5s
order: time
cooldown: 9s
late: amend
severity: low
---
rule: slow-cooled
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
clear_when: speed_kmh > 25
for: 1s
cooldown: 40s
severity: low
---
rule: sequence
title: {vi: a, en: a}
stream: camera
by: [ward]
sequence:
  steps:
    - {type: camera.count, where: people > 3}
    - {type: [camera.count, camera.alarm], where: source == "a"}
  within: 20s
hold: 8s
cooldown: 5s
late: amend
severity: low
---
rule: inside
title: {vi: a, en: a}
stream: camera
by: [source]
fence: {when: inside, area: {kind: zone}, margin_m: 20, lost: 30s}
hold: 2s
late: amend
severity: low
---
rule: dwells
title: {vi: a, en: a}
stream: camera
by: [source]
fence: {when: dwells 3s, area: {kind: zone}, lost: 20s}
cooldown: 5s
severity: low
---
rule: enters
title: {vi: a, en: a}
stream: camera
type: camera.count
by: [source]
fence: {when: enters, area: {kind: zone, code: z1}, initial: outside}
hold: 4s
severity: low
---
rule: leaves
title: {vi: a, en: a}
stream: traffic
by: [source]
fence: {when: leaves, area: {kind: zone}}
hold: 4s
severity: low
---
rule: crosses
title: {vi: a, en: a}
stream: camera
by: [source]
fence: {when: crosses, area: {kind: zone}}
hold: 4s
severity: low
---
rule: near
title: {vi: a, en: a}
stream: camera
where: source == "a"
near: {stream: traffic, type: traffic.flow, where: speed_kmh < 25, metres: 300, within: 15s}
hold: 6s
severity: low
---
rule: unusual
title: {vi: a, en: a}
stream: camera
type: camera.count
having: ewma_z(people) >= 1 within 20s, at least 3
hold: 3s
cooldown: 4s
severity: [{at: 1, level: low}, {at: 2, level: high}]
---
rule: camera-silent
title: {vi: a, en: a}
stream: camera
absence: 9s
severity: low
---
rule: slow-silent
title: {vi: a, en: a}
stream: traffic
type: traffic.flow
where: speed_kmh < 15
absence: 11s
severity: low
"""
INDEX = AreaIndex([zone("z1", 105.9995, -0.0005), zone("z2", 106.0005, -0.0005)])
PROGRAM = load({"rules.yaml": RULES}, INDEX)
EXPECTED = {
    "cam-9": ExpectedSource("camera", "w1", 106.0, 11.0),
    "a": ExpectedSource("camera", "w1", 106.0, 0.0, away=(Away(us(10), us(35)), Away(us(50), us(70)))),
}

SOURCES = st.sampled_from(["a", "b"])
WARDS = st.sampled_from(["w1", "w2", None])
LONS = st.sampled_from([106.0, 106.0, 106.001, 106.003, None])
LATS = st.sampled_from([0.0, 0.0, 0.0, 0.0006, 15.0])
DELAYS = st.sampled_from([0.0, 0.0, 0.0, 0.4, 3.0, 15.0, 70.0, -90.0])


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Log order with delays, out-of-order times, pauses and clocks that run ahead."""
    now, items = 0.0, []
    for _ in range(draw(st.integers(1, 60))):
        now += draw(st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0, 2.0, 5.0, 30.0]))
        kind = draw(st.sampled_from("tttfffccaar"))
        if kind == "t":
            items.append(Tick(us(now)))
            continue
        more = {"source": draw(SOURCES), "ward": draw(WARDS), "arrives": now}
        more |= {"lon": draw(LONS), "lat": draw(LATS)}
        at = now - draw(DELAYS)
        if kind == "f":
            items.append(flow(at, draw(st.sampled_from([5.0, 10.0, 20.0, 30.0, None])), **more))
        elif kind == "c":
            items.append(count(at, draw(st.integers(0, 12)), **more))
        elif kind == "a":
            items.append(
                alarm(at, draw(st.sampled_from(["wrong_way", "flood"])), active=draw(st.booleans()), **more)
            )
        else:
            items.append(report(at, **more))
    return items


def engine() -> PartitionEngine:
    return PartitionEngine(PROGRAM, partition=0, expected_sources=EXPECTED)


def batches(items: list[Item], edges: list[int]) -> list[list[tuple[int, Item]]]:
    return [list(enumerate(items[a:b], a)) for a, b in pairwise(edges)]


@given(st.data(), histories())
@settings(max_examples=200, deadline=None)
def test_effects_do_not_depend_on_batch_boundaries(data: st.DataObject, items: list[Item]) -> None:
    one_by_one, drawn = engine(), engine()
    expected = [
        effect for number, item in enumerate(items) for effect in one_by_one.on_batch([(number, item)])
    ]
    edges = sorted({0, len(items), *data.draw(st.lists(st.integers(0, len(items)), max_size=8))})
    effects: list[Effect] = []
    for batch in batches(items, edges):
        effects += drawn.on_batch(batch)
    assert effects == expected
    assert not drawn.failures
    assert drawn.counters == one_by_one.counters
    assert sorted(drawn.drain_changes()) == sorted(one_by_one.drain_changes())


@given(st.data(), histories())
@settings(max_examples=200, deadline=None)
def test_restarting_anywhere_changes_nothing(data: st.DataObject, items: list[Item]) -> None:
    whole = engine()
    expected = whole.on_batch(list(enumerate(items)))
    edges = sorted({0, len(items), *data.draw(st.lists(st.integers(0, len(items)), max_size=8))})
    stored: dict[tuple[str, str], bytes] = {}
    running, effects = engine(), []
    for batch in batches(items, edges):
        effects += running.on_batch(batch)
        for rule, key, row in running.drain_changes():
            if row is None:
                stored.pop((rule, key), None)
            else:
                stored[rule, key] = row
        rows = [(rule, key, row) for (rule, key), row in stored.items()]
        running = PartitionEngine.restore(PROGRAM, 0, rows, expected_sources=EXPECTED)
    assert effects == expected
    for rule, key, row in whole.drain_changes():
        assert stored.get((rule, key)) == row


@given(histories())
@settings(max_examples=200, deadline=None)
def test_episodes_alternate_and_ids_never_repeat(items: list[Item]) -> None:
    running = engine()
    open_ids: dict[tuple[str, str], str] = {}
    keys: dict[str, tuple[str, str]] = {}
    times: dict[str, int] = {}
    for effect in running.on_batch(list(enumerate(items))):
        if isinstance(effect, Raised):
            key = (effect.rule, effect.key)
            assert key not in open_ids, "one open episode per rule and key"
            assert effect.incident_id not in keys, "an id is used once"
            open_ids[key], keys[effect.incident_id] = effect.incident_id, key
            assert len(effect.why.event_ids) <= 20
        elif isinstance(effect, Updated):
            assert open_ids[keys[effect.incident_id]] == effect.incident_id
        else:
            assert isinstance(effect, Cleared)
            assert open_ids.pop(keys[effect.incident_id]) == effect.incident_id
        assert effect.at_us >= times.get(effect.incident_id, START_US - 10**9)
        times[effect.incident_id] = effect.at_us


@given(histories())
@settings(max_examples=100, deadline=None)
def test_keys_stay_within_their_bound(items: list[Item]) -> None:
    running = PartitionEngine(PROGRAM, partition=0, max_keys=1)
    running.on_batch(list(enumerate(items)))
    assert all(size <= 1 for size in running.key_counts.values())


@given(histories())
@settings(max_examples=100, deadline=None)
def test_adopting_the_same_program_changes_nothing(items: list[Item]) -> None:
    plain, swapped = engine(), engine()
    for number, item in enumerate(items):
        expected = plain.on_batch([(number, item)])
        swapped.adopt(PROGRAM)
        assert swapped.on_batch([(number, item)]) == expected


def test_histories_reach_every_rule() -> None:
    """The drawn histories would prove nothing if rules slept through them."""
    raised: set[str] = set()

    @given(histories())
    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    def collect(items: list[Item]) -> None:
        effects = engine().on_batch(list(enumerate(items)))
        raised.update(effect.rule for effect in effects if isinstance(effect, Raised))

    collect()
    assert raised == {item.rule.name for item in PROGRAM.rules}


def test_events_of_one_run_keep_their_order_across_types() -> None:
    events: list[Event] = [count(1, source="a", ward="w1"), alarm(1.1, source="b", ward="w1")]
    effects = engine().on_batch(list(enumerate(events)))
    assert [effect.rule for effect in effects if isinstance(effect, Raised)] == [
        "alarm",
        "alarm-until-over",
        "distinct",
    ]
