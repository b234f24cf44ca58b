"""Isolation, bounds, program changes, places and stored state of the engine."""

# ruff: noqa: E501 - tables read better with one case a line

from pathlib import Path

import pytest

from ioc.geo.index import AreaIndex
from ioc.model.events import DATA_TYPES, TrafficSituation
from ioc.model.incidents import Cleared, Effect, Raised, Severity
from ioc.model.places import Area
from ioc.model.records import Tick
from ioc.model.texts import Text
from ioc.rules import ExpectedSource, PartitionEngine, Program, StateChange, load
from ioc.rules.engine import Failure
from ioc.rules.spell import SpellMachine
from tests.unit.rules.scenes import alarm, count, event, flow, play, report, rule, told, us, with_ticks

ALARM = """
rule: {name}
title: {{vi: a, en: a}}
stream: camera
type: camera.alarm
where: kind == "wrong_way" && confidence > {least}
hold: {hold}
severity: high
"""


def alarms(*names: str, least: float = 0.5, hold: str = "60s") -> Program:
    return load({f"{name}.yaml": ALARM.format(name=name, least=least, hold=hold) for name in names})


def rules_of(effects: list[Effect]) -> list[str]:
    return [effect.rule for effect in effects if isinstance(effect, Raised)]


# isolation --------------------------------------------------------------------------------------------------


def break_rule(engine: PartitionEngine, name: str, method: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    setattr(engine._machines[name], method, fail)


def test_a_failing_rule_is_counted_disabled_and_shown_while_others_go_on() -> None:
    engine = PartitionEngine(alarms("bad", "good"), partition=0)
    break_rule(engine, "bad", "feed")
    events = [alarm(t, source=f"cam-{t}") for t in range(5)]
    assert rules_of(play(engine, events)) == ["good"] * 5
    failure = engine.failures["bad"]
    assert (failure.count, failure.disabled, failure.message) == (3, True, "RuntimeError: broken")
    assert engine.counters["bad"].failed == 3
    assert "good" not in engine.failures


def test_a_failure_in_a_mask_touches_only_its_event_and_rule() -> None:
    class Odd(str):
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("odd")

        __hash__ = str.__hash__

    program = load({"good.yaml": ALARM.format(name="good", least=0.1, hold="9s"), "lane.yaml": """
rule: lane
title: {vi: a, en: a}
stream: traffic
where: source == "s" || source == "odd"
hold: 9s
severity: low
---
rule: quiet
title: {vi: a, en: a}
stream: traffic
where: source == "s" || source == "odd"
absence: 9s
severity: low
"""})  # fmt: skip
    engine = PartitionEngine(program, partition=0)
    batch = [flow(0, 1), flow(1, 1, source=Odd("odd")), alarm(2), flow(3, 1, source="s"), *[flow(4, 1)] * 6]
    effects = engine.on_batch(list(enumerate(batch)))
    assert sorted(rules_of(effects)) == ["good", "lane"]
    assert {name: f.count for name, f in engine.failures.items()} == {"lane": 1, "quiet": 1}


def test_a_failing_timer_is_isolated_too() -> None:
    program = load({"a.yaml": ALARM.format(name="a", least=0.5, hold="5s"), "q.yaml": """
rule: quiet
title: {vi: a, en: a}
stream: camera
absence: 5s
severity: low
"""})  # fmt: skip
    engine = PartitionEngine(program, partition=0)
    break_rule(engine, "quiet", "on_silence")
    break_rule(engine, "a", "on_watermark")
    play(engine, with_ticks([alarm(1)], 20))
    assert {name: f.disabled for name, f in engine.failures.items()} == {"a": True, "quiet": True}


def test_a_failing_silence_rule_is_disabled() -> None:
    engine = PartitionEngine(rule("stream: camera\nabsence: 9s\n"), partition=0)
    break_rule(engine, "it", "feed")
    play(engine, [count(t) for t in range(5)])
    assert engine.failures["it"].count == 3


def test_failures_survive_a_restart_and_end_with_a_new_version() -> None:
    program = alarms("bad")
    engine = PartitionEngine(program, partition=0)
    break_rule(engine, "bad", "feed")
    play(engine, [alarm(t) for t in range(3)])
    rows = engine.drain_changes()
    again = PartitionEngine.restore(program, 0, rows)
    assert again.failures["bad"].disabled
    assert play(again, [alarm(9)]) == []
    again.adopt(program)
    assert again.failures["bad"].disabled
    again.adopt(alarms("bad", least=0.6))
    assert not again.failures
    assert rules_of(play(again, [alarm(9)])) == ["bad"]
    assert not PartitionEngine.restore(alarms("bad", least=0.6), 0, rows).failures


# bounds -----------------------------------------------------------------------------------------------------


def test_the_key_longest_idle_is_forgotten_first() -> None:
    program = rule("stream: traffic\ntype: traffic.flow\nhaving: count >= 2 within 60s\nhold: 1s\n")
    engine = PartitionEngine(program, partition=0, max_keys=2)
    assert play(engine, [flow(0, 1, source="a"), flow(1, 1, source="b"), flow(2, 1, source="c")]) == []
    assert engine.counters["it"].evicted == 1
    assert rules_of(play(engine, [flow(3, 1, source="b")])) == ["it"]


def test_an_open_episode_that_must_be_forgotten_is_cleared() -> None:
    engine = PartitionEngine(alarms("a"), partition=0, max_keys=1)
    effects = play(engine, [alarm(0, source="x"), alarm(1, source="y")])
    assert told(effects) == ["0 raised", "1 cleared", "1 raised"]
    assert isinstance(effects[1], Cleared)
    assert effects[1].reason == "evicted"


def test_silence_rules_are_bounded_too() -> None:
    sources = {f"cam-{n}": ExpectedSource("camera") for n in range(5)}
    program = rule("stream: camera\nabsence: 90s\n")
    engine = PartitionEngine(program, partition=0, max_keys=2, expected_sources=sources)
    play(engine, with_ticks([count(60, source="new")], 95))
    assert engine.key_counts == {"it": 2}
    assert engine.counters["it"].evicted == 1


# places -----------------------------------------------------------------------------------------------------


def box(code: str, kind: str, west: float) -> Area:
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    return Area(
        code=code, kind=kind, name=Text(code, code), geometry={"type": "Polygon", "coordinates": [ring]}
    )


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_rule_sees_only_its_areas_and_wards(size: int) -> None:
    index = AreaIndex([box("u1", "underpass", 0), box("u2", "underpass", 5)])
    text = ALARM.format(name="a", least=0.1, hold="9s") + "area: {kind: underpass}\nward: [w1, w2]\n"
    engine = PartitionEngine(load({"a": text}, index), partition=0)
    places = {
        "in-1": (0.5, 0.5),
        "in-2": (5.5, 0.5),
        "border": (1.0, 0.5),
        "out": (2.0, 0.5),
        "unknown": (None, None),
    }
    events = [alarm(0, source=name, ward="w1", lon=lon, lat=lat) for name, (lon, lat) in places.items()]
    events += [alarm(0, source="elsewhere", ward="w3", lon=0.5, lat=0.5)] * 3
    effects = play(engine, events, size=size)
    assert [effect.key for effect in effects if isinstance(effect, Raised)] == ["in-1", "in-2", "border"]


def test_expected_sources_outside_the_area_are_not_missed() -> None:
    index = AreaIndex([box("u1", "underpass", 0)])
    head = "rule: it\ntitle: {vi: a, en: a}\nseverity: low\n"
    program = load({"a": head + "stream: camera\nabsence: 9s\narea: {kind: underpass}\n"}, index)
    sources = {
        "in": ExpectedSource("camera", None, 0.5, 0.5),
        "out": ExpectedSource("camera", None, 3.0, 0.5),
    }
    engine = PartitionEngine(
        program, partition=0, expected_sources={**sources, "where": ExpectedSource("camera")}
    )
    assert engine.key_counts == {"it": 1}


def test_clearing_events_outside_the_area_do_not_clear() -> None:
    index = AreaIndex([box("u1", "underpass", 0)])
    text = ALARM.format(name="a", least=0.5, hold="0s") + "clear_when: confidence < 0.2\narea: {code: u1}\n"
    engine = PartitionEngine(load({"a": text}, index), partition=0)
    inside, outside = {"lon": 0.5, "lat": 0.5}, {"lon": 3.0, "lat": 0.5}
    events = [alarm(0, **inside), alarm(1, confidence=0.1, **outside), alarm(2, confidence=0.1, **inside)]
    assert told(play(engine, events)) == ["0 raised", "2 cleared"]


def test_a_rule_keyed_by_data_clears_too() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nclear_when: speed_kmh > 25\nby: [lane, source]\n"
    )
    engine = PartitionEngine(program, partition=0)
    events = [flow(0, 10), flow(1, 30)]
    assert play(engine, events) == []
    assert engine.counters["it"].unkeyed == 1
    by_volume = rule(
        "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nclear_when: speed_kmh > 25\nby: occupancy\n"
    )
    assert told(play(PartitionEngine(by_volume, partition=0), events)) == ["0 raised", "1 cleared"]


# changing the program ---------------------------------------------------------------------------------------


def test_a_threshold_edit_keeps_the_episode_open() -> None:
    engine = PartitionEngine(alarms("a"), partition=0)
    opened = play(engine, with_ticks([alarm(1)], 10))
    engine.adopt(alarms("a", least=0.7, hold="20s"))
    effects = play(engine, with_ticks([], 40, since=11))
    assert told(effects) == ["23 cleared"]
    assert isinstance(opened[0], Raised)
    assert isinstance(effects[0], Cleared)
    assert opened[0].incident_id == effects[0].incident_id


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (alarms("other"), "rule removed"),
        (load({"a": ALARM.format(name="a", least=0.5, hold="60s") + "by: [ward]\n"}), "rule changed"),
    ],
)
def test_a_removed_or_reshaped_rule_closes_its_episodes(new: Program, reason: str) -> None:
    program = alarms("a")
    engine = PartitionEngine(program, partition=0)
    opened = play(engine, with_ticks([alarm(1), alarm(1, "fall", source="x")], 10))
    stored = {(rule, key): data for rule, key, data in engine.drain_changes() if data is not None}
    rows = [StateChange(rule, key, data) for (rule, key), data in stored.items()]
    engine.adopt(new)
    restarted = PartitionEngine.restore(new, 0, rows)
    for running in (engine, restarted):
        effects = running.on_batch([])
        assert isinstance(opened[0], Raised)
        assert effects == [Cleared(incident_id=opened[0].incident_id, at_us=us(10), reason=reason, count=1)]
        assert running.on_batch([]) == []
        assert StateChange("a", "s", None) in running.drain_changes()


def test_a_removed_silence_rule_closes_its_episodes() -> None:
    program = rule("stream: camera\nabsence: 9s\n")
    engine = PartitionEngine(program, partition=0)
    play(engine, with_ticks([count(0)], 20))
    rows = engine.drain_changes()
    restarted = PartitionEngine.restore(alarms("a"), 0, rows)
    assert told(restarted.on_batch([])) == ["20 cleared"]


def test_a_kind_of_rule_that_changes_starts_fresh() -> None:
    engine = PartitionEngine(alarms("it"), partition=0)
    play(engine, with_ticks([alarm(1)], 10))
    engine.adopt(rule("stream: camera\nabsence: 9s\n"))
    assert told(engine.on_batch([])) == ["10 cleared"]
    engine.adopt(alarms("it"))
    assert engine.on_batch([]) == []


# state ------------------------------------------------------------------------------------------------------


def test_only_changed_rows_are_written() -> None:
    engine = PartitionEngine(alarms("a"), partition=0)
    assert [change[:2] for change in engine.drain_changes()] == [("", "")]
    assert engine.drain_changes() == []
    play(engine, [alarm(0), alarm(0, "fall", source="y")])
    assert [change[:2] for change in engine.drain_changes()] == [("a", "s")]
    engine.on_batch([(0, Tick(us(0)))])
    assert [change[:2] for change in engine.drain_changes()] == [("", "")]
    play(engine, with_ticks([], 130, since=1))
    assert engine.drain_changes()[0] == StateChange("a", "s", None)


def test_a_key_that_comes_back_under_a_new_shape_is_written_not_deleted() -> None:
    engine = PartitionEngine(alarms("a"), partition=0)
    play(engine, [alarm(1)])
    assert [change.data is None for change in engine.drain_changes() if change.rule] == [False]
    engine.adopt(load({"a.yaml": ALARM.format(name="a", least=0.5, hold="60s") + "by: [source, ward]\n"}))
    play(engine, [alarm(2)])
    engine.adopt(alarms("a"))
    play(engine, [alarm(3)])
    rows = [change for change in engine.drain_changes() if (change.rule, change.key) == ("a", "s")]
    assert [row.data is None for row in rows] == [False]


def test_a_talking_source_is_written_once_per_grain() -> None:
    engine = PartitionEngine(rule("stream: camera\nabsence: 100s\n"), partition=0)
    written = 0
    for item in with_ticks([count(t / 2) for t in range(200)], 100):
        engine.on_batch([(0, item)])
        written += sum(change.rule == "it" for change in engine.drain_changes())
    assert written <= 12


def test_restoring_nothing_is_a_fresh_start() -> None:
    engine = PartitionEngine.restore(alarms("a"), 3, [])
    assert (engine.partition, engine.watermark_us, engine.key_counts) == (3, None, {"a": 0})


def test_ticks_before_a_rule_was_added_count() -> None:
    engine = PartitionEngine(alarms("a"), partition=0)
    play(engine, with_ticks([], 50))
    engine.adopt(alarms("a", "b"))
    assert told(play(engine, with_ticks([alarm(51, arrives=51)], 52, since=51))) == ["51 raised", "51 raised"]
    assert isinstance(engine._machines["b"], SpellMachine)


# shipped rules ----------------------------------------------------------------------------------------------

SHIPPED = Path(__file__).parents[3] / "rules"


def shipped() -> Program:
    return load({path.name: path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml"))})


def test_shipped_rules_are_valid_and_speak_both_languages() -> None:
    program = shipped()
    assert len(program.rules) >= 7
    for item in program.rules:
        assert item.rule.title.vi != item.rule.title.en
        # What citizens tell has the legal clock, which the policies state.
        assert item.rule.clocks.acknowledge_s is not None or item.rule.name == "citizen-report"
        assert item.rule.file == f"{item.rule.name}.yaml"
        assert set(item.rule.types) <= set(DATA_TYPES)


def test_shipped_rules_fire_on_what_they_are_for() -> None:
    events = [
        *(flow(t, 10, source="det-jam") for t in range(0, 61, 10)),
        *(flow(t, 40, source="det-free") for t in range(0, 61, 10)),
        alarm(5, "wrong_way", 0.7, source="cam-way"),
        alarm(5, "wrong_way", 0.5, source="cam-doubt"),
        alarm(6, "fire_smoke", 0.9, source="cam-fire"),
        *(count(t, stopped=1, source="cam-stop") for t in (10, 20, 30, 40)),
        *(count(t, people=70, source="cam-crowd") for t in (10, 20)),
        count(30, people=400, source="cam-crowd"),
        report(10, source="app", ward="w1"),
        report(60, source="app", ward="w1"),
        report(60, source="app", ward="w2"),
    ]
    effects = play(PartitionEngine(shipped(), partition=0), with_ticks(events, 200))
    raised = {(effect.rule, effect.key): effect for effect in effects if isinstance(effect, Raised)}
    alarmed = {key for key in raised if "silent" not in key[0]}
    assert alarmed == {
        ("congestion", "det-jam"),
        ("wrong-way", "cam-way"),
        ("fire-smoke", "cam-fire"),
        ("stopped-vehicle", "cam-stop"),
        ("crowd", "cam-crowd"),
        ("flood-report", "w1"),
    }
    assert {rule for rule, _ in raised} >= {"camera-silent", "detector-silent"}
    assert raised["wrong-way", "cam-way"].severity is Severity.CRITICAL
    assert raised["crowd", "cam-crowd"].severity is Severity.MEDIUM
    assert any("updated high" in line for line in told(effects))
    assert raised["flood-report", "w1"].why.summary.vi == "2 phản ánh ngập tại phường, xã w1 trong 15 phút"


def test_texts_show_a_field_in_the_words_of_the_rule_and_another_value_as_it_came() -> None:
    text = """
rule: it
title: {vi: "Cảnh báo: {kind}", en: "Warning: {kind}"}
summary: {vi: "{kind}, mức {severity}, nguồn {source}", en: "{kind}, {severity}, from {source}"}
words:
  accident: {vi: tai nạn, en: an accident}
  high: {vi: cao, en: high}
  pub: {vi: không phải nguồn, en: no source}
stream: traffic
type: traffic.situation
where: active
by: [source, situation_id]
clear_when: "!active"
severity: high
"""
    events = [
        event(at, TrafficSituation(situation_id=kind, kind=kind, severity=Severity.HIGH), source="pub")
        for at, kind in ((1, "accident"), (2, "landslip"))
    ]
    effects = play(PartitionEngine(load({"it.yaml": text}), partition=0), with_ticks(events, 9))
    raised = [effect for effect in effects if isinstance(effect, Raised)]
    assert [effect.title for effect in raised] == [
        Text("Cảnh báo: tai nạn", "Warning: an accident"),
        Text("Cảnh báo: landslip", "Warning: landslip"),
    ]
    assert [effect.why.summary for effect in raised] == [
        Text("tai nạn, mức cao, nguồn pub", "an accident, high, from pub"),
        Text("landslip, mức cao, nguồn pub", "landslip, high, from pub"),
    ]


def test_a_forgiven_rule_runs_again_and_stays_so_after_a_restart() -> None:
    program = rule("stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 9\nby: [source]\nhold: 9s\n")
    engine = PartitionEngine(program, partition=0)
    engine.failures["it"] = Failure(program.rules[0].rule.version, 3, "broken")
    assert play(engine, with_ticks([flow(1, 5)], until=2)) == []
    engine.forgive("it")
    restored = PartitionEngine.restore(program, 0, engine.drain_changes())
    for each in (engine, restored):
        assert each.failures == {}
        assert len(play(each, with_ticks([flow(3, 5)], since=3, until=4))) == 1


def test_the_stopwatch_measures_every_rule_and_decides_nothing() -> None:
    program = rule("stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 9\nby: [source]\nhold: 9s\n")
    items = with_ticks([flow(at, at % 20) for at in range(40)], until=60)
    plain, timed = PartitionEngine(program, partition=0), PartitionEngine(program, partition=0)
    readings = iter(range(10_000))
    timed.stopwatch = lambda: float(next(readings))
    assert play(plain, items) == play(timed, items)
    assert timed.seconds["it"] >= 61
    assert plain.seconds == {}
