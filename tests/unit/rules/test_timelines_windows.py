"""Tumbling windows, quantiles, cooldown and late policy over time; timelines drawn as in `test_timelines`."""

import pytest

from ioc.model.incidents import Raised, Updated
from ioc.model.texts import Text
from ioc.rules import PartitionEngine
from tests.unit.rules.scenes import Item, alarm, count, flow, play, rule, timeline, told, us, with_ticks

# START_US is a multiple of 20 s, so windows of 20 s begin at 0, 20, 40 …
SLOW = rule("stream: traffic\ntype: traffic.flow\nhaving: avg(speed_kmh) < 15 within 20s tumbling\n")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  |5 10   |          the first window closes at 20, known at 22; nothing follows: lapses at 40
        ([flow(0, 5), flow(10, 5)], ["22 raised", "42 cleared"]),
        #  |      x|          19.999999 belongs to the first window,
        ([flow(19.999999, 5)], ["22 raised", "42 cleared"]),
        #  |       |x         20 to the second
        ([flow(20, 5)], ["42 raised", "62 cleared"]),
        #  |x      |x      |  the second is slow too: one episode
        ([flow(0, 5), flow(20, 5)], ["22 raised", "62 cleared"]),
        #  |x      |o      |  the second is not
        ([flow(0, 5), flow(20, 30)], ["22 raised", "42 cleared"]),
        #  |x    o |          the mean of 5 and 30 is not slow
        ([flow(0, 5), flow(10, 30)], []),
        #  |x      |o  o(19)  out of order: the watermark is at 19 when it comes, it still counts
        ([flow(0, 5), flow(21, 30), flow(19, 60, arrives=21.5)], []),
        #  |x      |   o(19)  late: the window has closed
        ([flow(0, 5), flow(19, 60, arrives=23)], ["22 raised", "42 cleared"]),
        #  |x  x(duplicate)|  a mean does not mind
        ([flow(0, 5), flow(0, 5)], ["22 raised", "42 cleared"]),
    ],
)  # fmt: skip
def test_a_tumbling_window_is_judged_once_when_it_closes(events: list[Item], expected: list[str]) -> None:
    assert timeline(SLOW, events, 80) == expected  # type: ignore[arg-type]


def test_a_late_event_of_a_closed_window_is_counted() -> None:
    engine = PartitionEngine(SLOW, partition=0)
    play(engine, with_ticks([flow(0, 5), flow(19, 60, arrives=23)], 30))
    assert engine.counters["it"].late == 1


def test_an_incident_of_a_tumbling_window_explains_itself() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nhaving: p95(speed_kmh) >= 60 within 20s tumbling, at least 3\n"
    )
    events = [flow(t, 10.0 * t) for t in range(8)]
    raised = play(PartitionEngine(program, partition=0), with_ticks(events, 22))[0]
    assert isinstance(raised, Raised)
    assert (raised.opened_us, raised.count) == (us(20), 8)
    assert raised.why.evidence[0].value == 70.0
    assert raised.why.summary == Text(
        "Phân vị 95 tốc độ 70 trong mỗi 20 giây, từ 3 mẫu (ngưỡng ≥ 60)",
        "95th percentile of speed 70 within each 20 s, of 3 or more (threshold ≥ 60)",
    )
    assert timeline(program, events[-2:], 60) == [], "two events are too few"


def test_a_rate_is_events_per_minute() -> None:
    program = rule("stream: camera\ntype: camera.count\nhaving: rate >= 6 within 30s\nhold: 1s\n")
    #  0 1 2: three in half a minute are six a minute; at 30 one leaves
    assert timeline(program, [count(t) for t in (0, 1, 2)], 60) == ["2 raised", "33 cleared"]
    raised = play(PartitionEngine(program, partition=0), with_ticks([count(t) for t in (0, 1, 2)], 5))[0]
    assert isinstance(raised, Raised)
    assert raised.why.summary.vi == "6 lần mỗi phút trong 30 giây (ngưỡng ≥ 6)"


def test_too_few_samples_have_no_value() -> None:
    program = rule(
        "stream: traffic\ntype: traffic.flow\nhaving: avg(speed_kmh) < 15 within 20s, at least 3\nhold: 1s\n"
    )
    assert timeline(program, [flow(0, 5), flow(1, 5)], 10) == []
    #  0 1 2 raised; at 20 two are left: no value, so no longer true
    assert timeline(program, [flow(t, 5) for t in (0, 1, 2)], 40) == ["2 raised", "23 cleared"]


COOLED = rule("stream: camera\ntype: camera.alarm\nwhere: active\nhold: 10s\ncooldown: 30s\n")


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0x       12 cleared at 10, cool until 40    45x: past it
        ([alarm(0), alarm(45)], ["0 raised", "12 cleared", "45 raised", "57 cleared"]),
        #  40x      the boundary: at 40 it is over
        ([alarm(0), alarm(40)], ["0 raised", "12 cleared", "40 raised", "52 cleared"]),
        #  20x      within: nothing, and stale before 40
        ([alarm(0), alarm(20)], ["0 raised", "12 cleared"]),
        #  35x      within, but still true when the cooldown ends
        ([alarm(0), alarm(35)], ["0 raised", "12 cleared", "42 raised", "47 cleared"]),
        #  another key is not cooled
        ([alarm(0), alarm(20, source="b")], ["0 raised", "12 cleared", "20 raised", "32 cleared"]),
    ],
)  # fmt: skip
def test_nothing_is_raised_during_a_cooldown(events: list[Item], expected: list[str]) -> None:
    assert timeline(COOLED, events, 80) == expected  # type: ignore[arg-type]


def test_events_during_a_cooldown_are_counted_and_the_key_is_forgotten_after_it() -> None:
    engine = PartitionEngine(COOLED, partition=0)
    play(engine, with_ticks([alarm(0), alarm(20), alarm(21)], 43))
    assert engine.counters["it"].cooled == 2
    assert engine.key_counts == {"it": 1}
    play(engine, with_ticks([], 200, since=44))
    assert engine.key_counts == {"it": 0}


def late(policy: str) -> PartitionEngine:
    program = rule(
        "stream: camera\ntype: camera.alarm\nwhere: kind == 'flood' && active\nclear_when: '!active'\n"
        f"late: {policy}\n"
    )
    return PartitionEngine(program, partition=0)


def test_a_late_event_amends_an_open_episode_and_is_counted_either_way() -> None:
    #  100x raised            150: 40 comes 110 s late           200: 120 out of its grace
    events = [alarm(100, "flood"), alarm(45, "flood", arrives=150), alarm(120, "flood", arrives=200)]
    dropped, amended = late("drop"), late("amend")
    assert told(play(dropped, with_ticks(events, 210))) == ["100 raised"]
    effects = play(amended, with_ticks(events, 210))
    assert told(effects) == ["100 raised", "150 updated medium x2", "200 updated medium x3"]
    assert isinstance(effects[2], Updated)
    assert effects[2].why.event_ids == ("s@120", "s@45", "s@100")
    assert (dropped.counters["it"].late, dropped.counters["it"].amended) == (2, 0)
    assert (amended.counters["it"].late, amended.counters["it"].amended) == (2, 2)


def test_a_late_event_never_begins_an_episode() -> None:
    engine = late("amend")
    assert play(engine, with_ticks([alarm(10, "flood", arrives=200)], 210)) == []
    assert (engine.counters["it"].late, engine.counters["it"].amended) == (1, 0)


def test_an_event_long_before_the_episode_does_not_amend_it() -> None:
    engine = late("amend")
    play(engine, with_ticks([alarm(100, "flood"), alarm(39, "flood", arrives=150)], 210))
    assert (engine.counters["it"].late, engine.counters["it"].amended) == (1, 0)
