"""Correlation across streams: x our alarm, r a report of the other stream, with metres east of the alarm."""

import pytest

from ioc.model.incidents import Raised
from ioc.model.texts import Text
from ioc.rules import PartitionEngine
from ioc.rules.near import MAX_KEPT
from tests.unit.rules.scenes import Item, alarm, play, report, rule, timeline, us, with_ticks

NEAR = rule(
    "stream: camera\ntype: camera.alarm\nwhere: kind == 'flood'\n"
    "near: {stream: feedback, type: feedback.report, where: category == 'flood', metres: 300, within: 20s}\n"
    "hold: 10s\n"
)


def place(metres: float, **more: object) -> dict[str, object]:
    return {"lon": 106.0 + metres / 111_195.08, "lat": 0.0, "ward": "w1", **more}


def x(at: float, **more: object) -> Item:
    return alarm(at, "flood", **place(0, **more))  # type: ignore[arg-type]


def r(at: float, metres: float = 100, category: str = "flood", **more: object) -> Item:
    return report(at, category, source="an", **place(metres, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        #  0x  5r            either may come first
        ([x(0), r(5)], ["8 raised", "17 cleared"]),
        ([r(0), x(5)], ["8 raised", "17 cleared"]),
        #  5r arrives first
        ([r(1), x(0, arrives=1.5)], ["4 raised", "13 cleared"]),
        #  boundaries: less than 20 s, at most 300 m
        ([x(0), r(19.9)], ["22 raised", "32 cleared"]),
        ([x(0), r(20)], []),
        ([x(0), r(5, 299.9)], ["8 raised", "17 cleared"]),
        ([x(0), r(5, 300.1)], []),
        #  another ward, another category, no position
        ([x(0), r(5, ward="w2")], []),
        ([x(0), r(5, category="trash")], []),
        ([x(0), r(5, lon=None)], []),
        #  late
        ([x(0), r(5, arrives=20)], []),
        #  a duplicate prolongs nothing: same moment
        ([x(0), r(5), r(5)], ["8 raised", "17 cleared"]),
        #  ours alone, theirs alone
        ([x(0), x(1)], []),
        ([r(0), r(1)], []),
    ],
)
def test_an_alarm_and_a_report_meet(events: list[Item], expected: list[str]) -> None:
    assert timeline(NEAR, events, 60) == expected  # type: ignore[arg-type]


def test_an_incident_explains_the_meeting() -> None:
    engine = PartitionEngine(NEAR, partition=0)
    raised = play(engine, with_ticks([r(0, 250), r(1, 100), x(5)], 10))[0]  # type: ignore[list-item]
    assert isinstance(raised, Raised)
    assert (raised.key, raised.source, raised.lon, raised.opened_us) == ("w1", "s", 106.0, us(5))
    assert raised.why.event_ids == ("an@1", "s@5")
    assert [(e.name, e.value, e.threshold) for e in raised.why.evidence] == [
        ("kind", "flood", "flood"),
        ("distance", 100.0, 300.0),
        ("apart", 4.0, 20.0),
        ("other", "an", None),
    ]
    assert raised.why.summary == Text(
        "Cách an 100 m (ngưỡng ≤ 300), 4 giây (ngưỡng < 20 giây)",
        "100 m from an (threshold ≤ 300), 4 s apart (threshold < 20 s)",
    )
    play(engine, with_ticks([], 60, since=11))
    assert engine.key_counts == {"it": 0}


def test_templates_show_the_limits() -> None:
    head = "rule: it\ntitle: {vi: '{value} m, {threshold} m, {window}', en: '{key} {count}'}\nseverity: low\n"
    program = rule(
        "stream: camera\nnear: {stream: feedback, metres: 300, within: 20s}\nhold: 10s\n", head=head
    )
    raised = play(PartitionEngine(program, partition=0), with_ticks([r(0, 250), x(5)], 10))[0]  # type: ignore[list-item]
    assert isinstance(raised, Raised)
    assert raised.title == Text("250 m, 300 m, 20 giây", "w1 1")


def test_what_is_kept_is_bounded() -> None:
    engine = PartitionEngine(NEAR, partition=0)
    play(engine, with_ticks([r(t / 10) for t in range(MAX_KEPT + 5)], 14))  # type: ignore[list-item]
    assert engine.counters["it"].overflowed == 5
