"""What is cut out of a recording, and what is counted in it."""

import pytest

from ioc.app.recordings.entries import Entry
from ioc.app.recordings.selection import Selection
from ioc.app.recordings.summary import Summary
from ioc.model.events import CameraCount, Event, EventData, TrafficFlow
from ioc.model.records import Tick
from ioc.model.times import MINUTE_US, SECOND_US


def event(source: str, at_us: int, data: EventData, ward: str | None = "w1") -> Event:
    return Event(id=f"{source}{at_us}", source=source, time_us=0, received_us=at_us, data=data, ward=ward)


ENTRIES: list[Entry] = [
    event("cam-1", 10, CameraCount()),
    event("det-1", 20, TrafficFlow()),
    Tick(30),
    event("cam-2", 30, CameraCount(), "w2"),
    Tick(40),
]


def kept(**fields: object) -> list[Entry]:
    chosen = Selection(**fields)  # type: ignore[arg-type]
    return [entry for entry in ENTRIES if chosen.wants(entry) and chosen.in_time(entry)]


def test_ticks_belong_to_every_selection() -> None:
    ticks = [Tick(30), Tick(40)]
    assert kept(streams=frozenset({"traffic"})) == [ENTRIES[1], *ticks]
    assert kept(types=frozenset({"camera.count"})) == [ENTRIES[0], ticks[0], ENTRIES[3], ticks[1]]
    assert kept(sources=frozenset({"cam-*"}), wards=frozenset({"w2"})) == [ticks[0], ENTRIES[3], ticks[1]]
    assert kept(sources=frozenset({"det-1"})) == [ENTRIES[1], *ticks]


def test_a_time_ends_with_its_own_tick_and_before_its_own_events() -> None:
    assert kept(from_us=20, to_us=30) == [ENTRIES[1], Tick(30)]
    chosen = Selection(to_us=30)
    assert [chosen.is_over(entry) for entry in ENTRIES] == [False, False, True, False, True]


def test_an_unknown_stream_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'trafic': expected one of camera, traffic"):
        Selection(streams=frozenset({"trafic"}))


def test_a_summary_counts_by_type_source_ward_and_minute_and_finds_gaps() -> None:
    summary = Summary(gap_s=2.0)
    summary.add([event("a", SECOND_US, CameraCount()), Tick(2 * SECOND_US)])
    summary.add([Tick(3 * SECOND_US), event("b", MINUTE_US, TrafficFlow(), None), Tick(MINUTE_US)])
    summary.add([Tick(59 * SECOND_US)])
    found = summary.as_dict()
    assert (found["events"], found["ticks"], found["clock_put_back"]) == (2, 4, 1)
    assert found["types"] == {"camera.count": 1, "traffic.flow": 1}
    assert found["wards"] == {"": 1, "w1": 1}
    assert found["minutes"] == {"1970-01-01T00:00:00.000Z": 1, "1970-01-01T00:01:00.000Z": 1}
    assert found["gaps"] == [{"from": "1970-01-01T00:00:03.000Z", "to": "1970-01-01T00:01:00.000Z"}]
    assert found["last"] == "1970-01-01T00:01:00.000Z"
