"""What rules do over time. Timelines are drawn: x a matching event, o one that does not match, c one that
`clear_when` matches; one column is the number of seconds written beside it."""

# ruff: noqa: E501 - tables read better with one case a line

import pytest

from ioc.model.events import TrafficFlow
from ioc.model.incidents import Cleared, Raised, Severity, incident_id
from ioc.model.texts import Text
from ioc.rules import ExpectedSource, PartitionEngine, load
from ioc.rules.silence import FOREVER_US, Away
from tests.unit.rules.scenes import (
    HEAD,
    Item,
    alarm,
    count,
    event,
    flow,
    play,
    report,
    rule,
    timeline,
    told,
    us,
    with_ticks,
)

# without a window -------------------------------------------------------------------------------------------

ALARM = rule('stream: camera\ntype: camera.alarm\nwhere: kind == "wrong_way" && active\nhold: 60s\n')


def test_an_alarm_is_raised_at_once_and_ends_after_silence_of_hold() -> None:
    #  0    10        70 + 2 s lateness
    #  x     x         |
    assert timeline(ALARM, [alarm(0.5), alarm(10.5)], 80) == ["0.5 raised", "73 cleared"]


def test_an_event_without_having_is_not_contradicted_by_others_of_its_source() -> None:
    events = [alarm(1), alarm(2, "flood"), alarm(3, confidence=0.1)]
    assert timeline(ALARM, events, 70) == ["1 raised", "65 cleared"]


def test_a_new_episode_gets_a_new_id_and_opens_at_its_first_event() -> None:
    effects = play(PartitionEngine(ALARM, partition=0), with_ticks([alarm(1), alarm(100)], 200))
    raised = [effect for effect in effects if isinstance(effect, Raised)]
    assert [effect.opened_us for effect in raised] == [us(1), us(100)]
    assert raised[0].incident_id == incident_id("it", "s", us(1)) != raised[1].incident_id


SLOW = rule("stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nfor: 20s\nhold: 30s\n")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0   10   20         true for 20 s: fires with the event at 20
        ([flow(0, 10), flow(10, 10), flow(20, 10)], ["20 raised", "52 cleared"]),
        #  0   10              nobody contradicts: fires when the watermark passes 20
        ([flow(0, 10), flow(10, 10)], ["22 raised", "42 cleared"]),
        #  0   10o  15         contradicted: starts anew at 15
        ([flow(0, 10), flow(10, 40), flow(15, 10)], ["37 raised", "47 cleared"]),
        #  0   10o             never true for 20 s
        ([flow(0, 10), flow(10, 40)], []),
        #  0   10  5o(late)    an older event says nothing against a newer one
        ([flow(0, 10), flow(10, 10), flow(5, 40, arrives=11)], ["22 raised", "42 cleared"]),
        #  a missing speed neither matches nor is slow: it contradicts
        ([flow(0, 10), flow(10, None)], []),
    ],
)
def test_for_needs_the_condition_all_the_time(events: list[Item], expected: list[str]) -> None:
    assert timeline(SLOW, events, 60) == expected  # type: ignore[arg-type]


def test_a_pending_condition_nobody_confirms_within_hold_is_dropped() -> None:
    program = rule("stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nfor: 60s\nhold: 30s\n")
    assert timeline(program, [flow(0, 10)], 100) == []


UNTIL_OVER = rule(
    'stream: camera\ntype: camera.alarm\nwhere: kind == "flood"\nclear_when: "!active"\nhold: 5s\n'
)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0x  3c              cleared 5 s after the source said so
        ([alarm(0, "flood"), alarm(3, "flood", active=False)], ["0 raised", "10 cleared"]),
        #  0x  3c  6x          taken back within hold
        ([alarm(0, "flood"), alarm(3, "flood", active=False), alarm(6, "flood")], ["0 raised"]),
        #  0x  3c  6o          another alarm of the key is no clearance either
        ([alarm(0, "flood"), alarm(3, "flood", active=False), alarm(6, "fall")], ["0 raised"]),
        #  0x                  silence is not recovery
        ([alarm(0, "flood")], ["0 raised"]),
        #  c                   an event that clears never begins an episode
        ([alarm(0, "flood", active=False)], []),
        #  5x  3c(late)        an older clearance does not count against a newer match
        ([alarm(5, "flood"), alarm(3, "flood", active=False, arrives=6)], ["5 raised"]),
        #  0x  3c  4c          clearing goes on from the first c
        (
            [alarm(0, "flood"), alarm(3, "flood", active=False), alarm(4, "flood", active=False)],
            ["0 raised", "10 cleared"],
        ),
        #  0x  3c      9c      the event's own time shows that hold is over before any tick does
        ([alarm(0, "flood"), alarm(3, "flood", active=False), alarm(9, "flood", arrives=9)], ["0 raised", "9 cleared", "9 raised"]),
    ],
)  # fmt: skip
def test_clear_when_ends_an_episode_when_it_lasts(events: list[Item], expected: list[str]) -> None:
    assert timeline(UNTIL_OVER, events, 60) == expected  # type: ignore[arg-type]


def test_clear_when_without_hold_ends_at_once() -> None:
    program = rule('stream: camera\ntype: camera.alarm\nwhere: kind == "flood"\nclear_when: "!active"\n')
    events = [alarm(1, "flood"), alarm(1, "flood", active=False), alarm(1, "flood")]
    assert timeline(program, events, 5) == ["1 raised", "1 cleared", "1 raised"]


def test_a_pending_condition_is_cancelled_by_clear_when() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15\nfor: 10s\nclear_when: speed_kmh > 25\n"
    )
    assert timeline(program, [flow(0, 10), flow(5, 30)], 20) == []
    assert timeline(program, [flow(0, 10)], 20) == ["12 raised"]


# with a window ----------------------------------------------------------------------------------------------

JAM = rule(
    "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh < 15 && occupancy > 0.35\n"
    "having: count >= 3 within 60s\nfor: 20s\nclear_when: speed_kmh > 25\nhold: 30s\n"
)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0  10  20 |3 reached      40 = 20 + for; said when the watermark is there, 2 s later
        ([flow(t, 10) for t in (0, 10, 20, 30, 40)], ["42 raised"]),
        #  0  10  20                  and so it is without the event at 40
        ([flow(t, 10) for t in (0, 10, 20)], ["42 raised"]),
        #  0  10      60              event 0 has left the window when the third comes
        ([flow(t, 10) for t in (0, 10, 60)], []),
        #  0  10      59              59 < 60: in; at 60 it leaves, before for is over
        ([flow(t, 10) for t in (0, 10, 59)], []),
        #  congestion, then 27 km/h from 50 on for 30 s: until 80
        ([*(flow(t, 10) for t in (0, 10, 20, 40)), *(flow(t, 27) for t in (50, 60, 70, 80))], ["42 raised", "82 cleared"]),
        #  20 km/h is neither slow nor clear: the clearing begins anew at 70
        ([*(flow(t, 10) for t in (0, 10, 20, 40)), flow(50, 27), flow(60, 20), flow(70, 27)], ["42 raised", "102 cleared"]),
        #  the window begins empty after a clearance: one slow reading does not raise again
        ([*(flow(t, 10) for t in (0, 10, 20, 40)), flow(41, 27), flow(71, 27), flow(72, 10)], ["42 raised", "73 cleared"]),
        #  no data at all: still open
        ([flow(t, 10) for t in (0, 10, 20, 40)], ["42 raised"]),
    ],
)  # fmt: skip
def test_congestion_is_raised_and_cleared_with_hysteresis(events: list[Item], expected: list[str]) -> None:
    assert timeline(JAM, events, 120) == expected  # type: ignore[arg-type]


REPORTS = rule(
    'stream: feedback\ntype: feedback.report\nwhere: category == "flood"\nby: [ward]\n'
    "having: count >= 2 within 15m\nhold: 30m\n"
)


def test_two_reports_in_a_ward_make_one_incident_of_the_ward() -> None:
    events = [
        report(0, ward="w1", source="an", lon=106.6, lat=11.0),
        report(1, "trash", ward="w1", source="ba"),
        report(2, ward="w2", source="cu"),
        report(899, ward="w1", source="du", lon=106.7, lat=11.1),
        report(900, ward=None, source="nowhere"),
    ]
    engine = PartitionEngine(REPORTS, partition=0)
    effects = play(engine, with_ticks(events, 3700))
    assert told(effects) == ["899 raised", "2702 cleared"]
    raised = effects[0]
    assert isinstance(raised, Raised)
    assert (raised.key, raised.ward, raised.source, raised.lon, raised.lat) == ("w1", "w1", "du", 106.7, 11.1)
    assert raised.why.event_ids == ("an@0", "du@899")
    assert engine.counters["it"].unkeyed == 1
    assert engine.counters["it"].matched == 3
    assert engine.key_counts == {"it": 0}, "nothing is remembered of what is over"


def test_a_window_condition_that_returns_within_hold_keeps_the_episode() -> None:
    program = rule("stream: camera\ntype: camera.count\nhaving: avg(people) >= 60 within 10s\nhold: 8s\n")
    #  70 at 0, 10 at 3 (avg 40), 110 at 6 (avg 63): over for 3 s only; all left at 16, hold over at 24
    events = [count(0, 70), count(3, 10), count(6, 110)]
    assert timeline(program, events, 40) == ["0 raised", "26 cleared"]
    assert timeline(program, events[:2], 40) == ["0 raised", "13 cleared"]


def test_a_window_may_become_true_by_what_leaves_it() -> None:
    program = rule("stream: camera\ntype: camera.count\nhaving: avg(people) >= 60 within 10s\nhold: 1s\n")
    assert timeline(program, [count(0, 10), count(4, 80)], 11) == []
    assert timeline(program, [count(0, 10), count(4, 80)], 12) == ["12 raised"]


def test_a_low_threshold_fires_on_what_was_measured() -> None:
    program = rule("stream: traffic\ntype: traffic.flow\nhaving: min(speed_kmh) < 5 within 10s\nhold: 1s\n")
    assert timeline(program, [flow(0, None), flow(1, 30)], 5) == []
    assert timeline(program, [flow(0, 4), flow(1, 30)], 20) == ["0 raised", "13 cleared"]


def test_distinct_counts_different_values() -> None:
    program = rule("stream: camera\nby: [ward]\nhaving: distinct(source) >= 2 within 10s\nhold: 1s\n")
    events = [count(0, source="a", ward="w"), count(1, source="a", ward="w"), alarm(2, source="b", ward="w")]
    assert timeline(program, events, 5) == ["2 raised"]


# severity and updates ---------------------------------------------------------------------------------------

CROWD = rule(
    "stream: camera\ntype: camera.count\nhaving: avg(people) >= 60 within 60s\nhold: 60s\n"
    "severity: [{at: 60, level: medium}, {at: 120, level: high}]\n",
    head="rule: it\ntitle: {vi: Thử, en: Test}\n",
)


def test_a_higher_severity_is_told_at_once_a_lower_one_never() -> None:
    events = [count(1, 80), count(2, 200), count(3, 0), count(4, 0)]
    assert timeline(CROWD, events, 10) == ["1 raised", "2 updated high x2"]
    effects = play(PartitionEngine(CROWD, partition=0), with_ticks([count(0, 130)], 1))
    assert isinstance(effects[0], Raised)
    assert effects[0].severity is Severity.HIGH


def test_a_doubled_count_is_told_at_most_every_thirty_seconds() -> None:
    events = [alarm(float(t)) for t in range(100)]
    assert timeline(ALARM, events, 100) == ["0 raised", "30 updated medium x31", "61 updated medium x62"]


# time -------------------------------------------------------------------------------------------------------


def test_late_events_are_counted_and_dropped() -> None:
    engine = PartitionEngine(JAM, partition=0)
    events = [flow(100 + t, 10, arrives=200 + t) for t in range(5)]
    assert play(engine, with_ticks(events, 300)) == []
    assert engine.counters["it"].late == 5
    assert engine.counters["it"].matched == 0


def test_an_event_late_for_its_own_key_is_counted() -> None:
    engine = PartitionEngine(REPORTS, partition=0)
    play(engine, [report(1000, ward="w"), report(30, ward="w")])
    assert engine.counters["it"].late == 1


def test_a_delayed_alarm_is_not_lost() -> None:
    assert timeline(ALARM, [alarm(10, arrives=50)], 60) == ["50 raised"]
    assert timeline(ALARM, [alarm(10, arrives=50)], 90) == ["50 raised", "72 cleared"]


def test_a_clock_that_runs_ahead_blinds_its_key_for_a_minute_at_most() -> None:
    events = [flow(500, 10, arrives=1), *(flow(t, 10) for t in (70, 80, 90, 110))]
    assert timeline(JAM, events, 120) == ["102 raised"]


def test_the_watermark_trails_the_newest_tick_and_never_goes_back() -> None:
    engine = PartitionEngine(ALARM, partition=0)
    assert engine.watermark_us is None
    seen = []
    for item in with_ticks([], 3):
        engine.on_batch([(0, item)])
        seen.append(engine.watermark_us)
    engine.on_batch([(0, with_ticks([], 0)[0])])
    assert seen == [us(-2), us(-1), us(0), us(1)]
    assert engine.watermark_us == us(1)


# silence ----------------------------------------------------------------------------------------------------

SILENT = rule("stream: camera\nabsence: 90s\n")


def ticking(events: list[Item], until: int) -> list[str]:
    return timeline(SILENT, events, until)  # type: ignore[arg-type]


def test_silence_fires_and_the_next_event_clears() -> None:
    #  heard at 5, grain 9 s: counted from 9, fires at 99
    assert ticking([count(5.0), count(150.5)], 160) == ["99 raised", "150.5 cleared"]
    assert ticking([count(5.0)], 98) == []


def test_any_type_of_the_stream_counts_and_other_streams_do_not() -> None:
    assert ticking([count(0), alarm(60.0), flow(61, 10)], 150) == []
    assert ticking([count(0), alarm(60.0), flow(61, 10)], 153) == ["153 raised"]


def test_a_pause_of_the_log_is_not_silence() -> None:
    before, after = with_ticks([count(0)], 60), with_ticks([], 1080, since=1000)
    #  60 s before the pause, 20 after it are less than 90
    assert told(play(PartitionEngine(SILENT, partition=0), [*before, *after[:30]])) == []
    assert told(play(PartitionEngine(SILENT, partition=0), [*before, *after])) == ["1030 raised"]


def test_expected_sources_are_missed_though_never_heard() -> None:
    sources = {
        "cam-1": ExpectedSource("camera", "w1", 106.5, 11.0),
        "det-1": ExpectedSource("traffic", "w1", 106.5, 11.0),
    }
    engine = PartitionEngine(SILENT, partition=0, expected_sources=sources)
    effects = play(engine, with_ticks([], 95))
    assert told(effects) == ["90 raised"]
    raised = effects[0]
    assert isinstance(raised, Raised)
    assert (raised.key, raised.source, raised.ward, raised.lon) == ("cam-1", "cam-1", "w1", 106.5)
    assert raised.why.evidence[0].value == 90.0
    assert raised.why.summary.vi == "Không có dữ liệu hơn 90 giây"


def test_a_source_that_left_service_is_no_longer_missed() -> None:
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": ExpectedSource("camera")})
    assert told(play(engine, with_ticks([], 95))) == ["90 raised"]
    engine.expect({"b": ExpectedSource("camera")})
    assert told(engine.on_batch([])) == ["95 cleared"]
    assert engine.key_counts == {"it": 1}


@pytest.mark.parametrize("heard", [False, True])
def test_a_source_that_leaves_while_nobody_listens_is_no_longer_missed(heard: bool) -> None:
    expected = {"a": ExpectedSource("camera"), "b": ExpectedSource("camera")}
    engine = PartitionEngine(SILENT, partition=0, expected_sources=expected)
    effects = play(engine, with_ticks([count(1, source="a")] if heard else [], 120))
    assert {effect.key for effect in effects if isinstance(effect, Raised)} == {"a", "b"}
    rows = engine.drain_changes()
    del expected["a"]
    restored = PartitionEngine.restore(SILENT, 0, rows, expected_sources=expected)
    assert told(restored.on_batch([])) == ["120 cleared"]
    assert restored.key_counts == {"it": 1}
    assert ("it", "a", None) in restored.drain_changes()


def test_a_source_heard_that_nobody_expected_is_listened_for_after_a_restart_too() -> None:
    engine = PartitionEngine(SILENT, partition=0)
    assert told(play(engine, with_ticks([count(1, source="a")], 60))) == []
    restored = PartitionEngine.restore(SILENT, 0, engine.drain_changes())
    assert told(play(restored, with_ticks([], 120, since=60))) == ["99 raised"]  # a grain of nine seconds


def test_a_device_in_maintenance_is_not_missed_and_has_its_full_time_to_come_back() -> None:
    #  0        60 [ maintenance ] 200         290 = 200 + 90
    away = ExpectedSource("camera", "w1", 106.5, 11.0, away=(Away(us(60), us(200)),))
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": away, "b": away._replace(away=())})
    effects = play(engine, with_ticks([], 400))
    raised = {effect.key: effect.at_us for effect in effects if isinstance(effect, Raised)}
    assert raised["b"] == us(90)
    assert us(289) <= raised["a"] <= us(299)  # a grain of nine seconds


def test_maintenance_ends_the_alarm_of_a_device_that_is_silent_already() -> None:
    away = ExpectedSource("camera", "w1", 106.5, 11.0, away=(Away(us(120), us(150)),))
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": away})
    effects = play(engine, with_ticks([], 160))
    assert told(effects) == ["90 raised", "120 cleared"]
    assert isinstance(effects[1], Cleared)
    assert effects[1].reason == "in maintenance"


def test_an_outage_ends_the_alarm_of_a_silent_device_which_is_missed_again_once_it_is_back() -> None:
    #  0   90 raised   120 [ disabled ] 300         390 = 300 + 90
    out = ExpectedSource("camera", "w1", away=(Away(us(120), us(300), "device disabled"),))
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": out})
    effects = play(engine, with_ticks([], 400))
    assert told(effects[:2]) == ["90 raised", "120 cleared"]
    assert isinstance(effects[1], Cleared)
    assert effects[1].reason == "device disabled"
    assert us(389) <= effects[2].at_us <= us(399)


def test_a_device_that_promised_nothing_is_excused_too_once_it_was_heard() -> None:
    away = ExpectedSource("camera", "w1", away=(Away(us(60), FOREVER_US),), promised=False)
    heard = with_ticks([count(5, source="a", ward="w1"), count(5, source="b", ward="w1")], 400)
    engine = PartitionEngine(SILENT, partition=0, expected_sources={"a": away})
    assert engine.key_counts == {"it": 0}, "nobody misses what was promised by nobody and never came"
    raised = [effect.key for effect in play(engine, heard) if isinstance(effect, Raised)]
    assert raised == ["b"]
    engine.expect({})
    assert engine.on_batch([]) == [], "no promise of it has ended"


def test_expected_sources_follow_ward_and_key_of_the_rule() -> None:
    sources = {"a": ExpectedSource("camera", "w1"), "b": ExpectedSource("camera", "w2")}
    by_ward = rule("stream: camera\nabsence: 90s\nby: [ward]\n")
    in_ward = rule("stream: camera\nabsence: 90s\nward: w2\n")
    assert PartitionEngine(by_ward, partition=0, expected_sources=sources).key_counts == {"it": 0}
    engine = PartitionEngine(in_ward, partition=0, expected_sources=sources)
    assert told(play(engine, with_ticks([count(50, source="a", ward="w1")], 95))) == ["90 raised"]


def test_silence_may_be_of_a_kind_of_event() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nwhere: speed_kmh > 0\nabsence: 20s\nby: [lane, source]\n"
    )
    events = [flow(0, 10), flow(10, 0)]
    assert timeline(program, events, 30) == []
    lanes = rule("stream: traffic\ntype: traffic.flow\nwhere: speed_kmh > 0\nabsence: 20s\n")
    assert timeline(lanes, events, 30) == ["20 raised"]


# what an incident says --------------------------------------------------------------------------------------


def test_an_incident_explains_itself() -> None:
    effects = play(
        PartitionEngine(JAM, partition=0), with_ticks([flow(t, 11.25) for t in (0, 10, 20, 40)], 42)
    )
    raised = effects[0]
    assert isinstance(raised, Raised)
    assert [(e.name, e.value, e.op, e.threshold, e.unit) for e in raised.why.evidence] == [
        ("speed_kmh", 11.25, "<", 15.0, "km/h"),
        ("occupancy", 0.5, ">", 0.35, None),
        ("count", 3.0, ">=", 3.0, None),
    ]
    assert raised.why.summary.vi == (
        "Tốc độ 11,25 km/h (ngưỡng < 15); độ chiếm dụng 0,5 (ngưỡng > 0,35); "
        "3 lần trong 1 phút (ngưỡng ≥ 3); kéo dài từ 20 giây"
    )
    assert raised.why.summary.en == (
        "Speed 11.25 km/h (threshold < 15); occupancy 0.5 (threshold > 0.35); "
        "3 times within 1 min (threshold ≥ 3); lasting 20 s or more"
    )
    assert raised.why.rule_version == JAM.rules[0].rule.version
    assert (raised.count, raised.opened_us, raised.category) == (3, us(20), "traffic")


def test_only_the_last_twenty_event_ids_are_kept() -> None:
    program = rule("stream: camera\ntype: camera.count\nhaving: count >= 30 within 60s\nhold: 1s\n")
    effects = play(PartitionEngine(program, partition=0), with_ticks([count(t) for t in range(40)], 40))
    assert isinstance(effects[0], Raised)
    assert effects[0].why.event_ids == tuple(f"s@{t}" for t in range(10, 30))


def test_templates_show_values_in_both_languages() -> None:
    program = load(
        {
            "it.yaml": """
rule: it
title: {vi: "Đông tại {source}", en: "Crowd at {source}"}
summary:
  vi: "{value} người trong {window}, ngưỡng {threshold}, {count} lần, {ward}, {key}, {people}, {subject}, {extra.ok}"
  en: "{value} people within {window}, threshold {threshold}"
stream: camera
type: camera.count
having: avg(people) >= 60.5 within 90s
hold: 1s
severity: low
"""
        }
    )
    events = [count(1, 70, ward="w1"), count(1, 71, ward="w1")]
    raised = play(PartitionEngine(program, partition=0), with_ticks(events, 1))[0]
    assert isinstance(raised, Raised)
    assert raised.title.en == "Crowd at s"
    assert raised.why.summary.vi == "70 người trong 90 giây, ngưỡng 60,5, 1 lần, w1, s, 70, –, –"
    assert raised.why.summary.en == "70 people within 90 s, threshold 60.5"


@pytest.mark.parametrize(
    ("where", "evidence", "summary"),
    [
        ('kind in ["fall", "flood"]', ("kind", "flood", "in", "fall, flood"), "Thử"),
        ("active && kind == 'flood'", ("active", True, "==", True), "Thử"),
        ("!(!active) && !active || confidence > 0.5", None, "Thử"),
        ("confidence > 0.5 && !(confidence < 0.1)", ("confidence", 0.9, ">", 0.5), "Độ tin cậy 0,9 (ngưỡng > 0,5)"),
        ("!active && confidence > 0.5", ("active", False, "==", False), "Độ tin cậy 0,9 (ngưỡng > 0,5)"),
        ("has(zone) || confidence * 2 > 1", None, "Thử"),
        ("duration_s > 1.5 || true", None, "Thử"),
        ("confidence > 0.1 && lon == 1000000000000000000", None, None),
    ],
)  # fmt: skip
def test_evidence_is_what_had_to_hold(
    where: str, evidence: tuple[object, ...] | None, summary: str | None
) -> None:
    program = rule(
        f'stream: camera\ntype: camera.alarm\nwhere: "{where.replace(chr(34), chr(39))}"\nhold: 1s\n'
    )
    effects = play(
        PartitionEngine(program, partition=0),
        with_ticks([alarm(0, "flood", active="!active" not in where or "!(" in where)], 0),
    )
    if summary is None:
        assert effects == []
        return
    raised = effects[0]
    assert isinstance(raised, Raised)
    first = raised.why.evidence[:1]
    assert [(e.name, e.value, e.op, e.threshold) for e in first] == ([evidence] if evidence else [])
    assert raised.why.summary.vi == summary


def test_keys_of_several_parts_never_collide() -> None:
    program = rule(
        "stream: camera\ntype: camera.count\nhaving: count >= 2 within 60s\nhold: 1s\nby: [ward, subject]\n"
    )
    events = [count(0, ward="a|b", subject="c"), count(1, ward="a", subject="b|c"), count(2, ward="a")]
    engine = PartitionEngine(program, partition=0)
    assert play(engine, with_ticks(events, 3)) == []
    assert engine.counters["it"].unkeyed == 1
    numbers = rule("stream: camera\ntype: camera.count\nwhere: people > 0\nhold: 1s\nby: people\n", head=HEAD)
    effects = play(PartitionEngine(numbers, partition=0), [count(0, 7)])
    assert [effect.key for effect in effects if isinstance(effect, Raised)] == ["7"]


def test_counts_travel_to_the_end() -> None:
    effects = play(PartitionEngine(ALARM, partition=0), with_ticks([alarm(1), alarm(2), alarm(3)], 90))
    assert isinstance(effects[-1], Cleared)
    assert (effects[-1].count, effects[-1].reason) == (3, "no further events")


def test_measured_expressions_and_odd_durations_are_explained() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nwhere: volume_veh > 2\n"
        "having: max(speed_kmh * 2) >= 20 within 1500ms\nhold: 1s\nfor: 0s\n"
    )
    one = event(0, TrafficFlow(speed_kmh=11, volume_veh=3))
    raised = play(PartitionEngine(program, partition=0), [one])[0]
    assert isinstance(raised, Raised)
    assert raised.why.summary == Text(
        "Lưu lượng 3 xe (ngưỡng > 2); cao nhất speed_kmh * 2 22 trong 1,5 giây (ngưỡng ≥ 20)",
        "Volume 3 vehicles (threshold > 2); highest speed_kmh * 2 22 within 1.5 s (threshold ≥ 20)",
    )


def test_truths_are_shown_in_words() -> None:
    program = load(
        {
            "it.yaml": """
rule: it
title: {vi: "{active}", en: "{active}"}
stream: camera
type: camera.alarm
where: kind == "flood"
hold: 1s
severity: low
"""
        }
    )
    texts = []
    for active in (True, False):
        raised = play(PartitionEngine(program, partition=0), [alarm(0, "flood", active=active)])[0]
        assert isinstance(raised, Raised)
        texts.append((raised.title.vi, raised.title.en))
    assert texts == [("có", "yes"), ("không", "no")]


def test_events_out_of_order_within_the_window_count() -> None:
    #  arrival 10 20 5: the third belongs before both, and is inside; there are three from 20 on
    assert timeline(JAM, [flow(10, 10), flow(20, 10), flow(5, 10, arrives=21)], 70) == ["42 raised"]


def test_late_events_neither_clear_nor_contradict() -> None:
    events = [alarm(0, "flood"), alarm(1, "flood", active=False, arrives=100)]
    assert timeline(UNTIL_OVER, events, 120) == ["0 raised"]


def test_rules_over_several_types_follow_log_order() -> None:
    program = rule("stream: camera\nby: [source]\nhaving: count >= 3 within 60s\nhold: 1s\n")
    engine = PartitionEngine(program, partition=0)
    effects = engine.on_batch(list(enumerate([alarm(1), count(2), alarm(3)])))
    assert isinstance(effects[0], Raised)
    assert effects[0].why.event_ids == ("s@1", "s@2", "s@3")
    quiet = PartitionEngine(rule("stream: camera\nabsence: 9s\nby: [subject]\n"), partition=0)
    quiet.on_batch(list(enumerate([alarm(1, subject="x"), count(2), alarm(3)])))
    assert (quiet.key_counts, quiet.counters["it"].unkeyed) == ({"it": 1}, 2)
