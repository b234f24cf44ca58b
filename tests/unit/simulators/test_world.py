"""The city in time: same arguments, same bytes; calm without scenarios; each happening visible in events."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.fleet import Fleet
from simulators.scenario import Kind, Script, named_scenario, parse_scenario
from simulators.senders import ndjson
from simulators.times import SECOND_US, parse_us
from simulators.world import Event, World
from tests.unit.simulators.conftest import START_US


def world(fleet: Fleet, *names: str, seed: int = 1, start_us: int = START_US, speed: float = 1.0) -> World:
    scripts = [Script(named_scenario(name), fleet, start_us) for name in names]
    return World(fleet, scripts, seed=seed, start_us=start_us, speed=speed)


def seconds(made: World, first: float, last: float) -> list[Event]:
    return made.events_between(START_US + round(first * SECOND_US), START_US + round(last * SECOND_US))


def data(event: Event) -> Any:
    return event["data"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(fleet: Fleet) -> None:
    first = ndjson(seconds(world(fleet, "demo"), 0, 60))
    assert ndjson(seconds(world(fleet, "demo"), 0, 60)) == first
    assert ndjson(seconds(world(fleet, "demo", seed=2), 0, 60)) != first


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 40_000_000), max_size=5))
def test_how_time_is_cut_changes_nothing(fleet: Fleet, cuts: list[int]) -> None:
    made = world(fleet, "demo")
    edges = [START_US, *(START_US + cut for cut in sorted(cuts)), START_US + 40_000_000]
    parts = [made.events_between(a, b) for a, b in pairwise(edges)]
    assert [event for part in parts for event in part] == made.events_between(edges[0], edges[-1])


def test_events_are_sorted_unique_and_inside_the_asked_span(fleet: Fleet) -> None:
    events = seconds(world(fleet, "morning-rush"), 700, 1000)
    times = [parse_us(str(event["time"])) for event in events]
    assert times == sorted(times)
    assert times[0] >= START_US + 700 * SECOND_US
    assert times[-1] < START_US + 1000 * SECOND_US
    assert len({(event["source"], event["id"]) for event in events}) == len(events)
    assert {event["specversion"] for event in events} == {"1.0"}


def test_the_default_rate_is_40_to_80_events_a_second(fleet: Fleet) -> None:
    assert 40 <= len(seconds(world(fleet), 0, 120)) / 120 <= 80


@pytest.mark.parametrize("hour", ["00:10", "07:15", "12:00", "17:15", "19:00"])
def test_a_calm_city_stays_clear_of_every_threshold(fleet: Fleet, hour: str) -> None:
    start_us = parse_us(f"2026-11-23T{hour}:00+07:00")
    for event in world(fleet, start_us=start_us).events_between(start_us, start_us + 300 * SECOND_US):
        values = data(event)
        match event["type"]:
            case "traffic.flow":
                assert values["speed_kmh"] > 25
                assert values["occupancy"] <= 0.3
            case "camera.count":
                assert values["people"] < 60
                assert values["stopped_vehicles"] == 0
            case "camera.status":
                assert values["online"]
            case "feedback.report":
                assert values["category"] != "flood"
            case kind:
                assert kind in ("camera.object", "camera.plate")


def test_every_camera_and_detector_speaks_within_15_seconds(fleet: Fleet) -> None:
    heard = {event["source"] for event in seconds(world(fleet), 0, 15)}
    assert heard >= {unit.id for unit in (*fleet.cameras, *fleet.detectors)}


def test_speed_compresses_the_day_but_not_the_event_times(fleet: Fleet) -> None:
    start_us = parse_us("2026-11-23T03:00:00+07:00")

    def volume(speed: float) -> int:
        made = world(fleet, start_us=start_us, speed=speed)
        events = made.events_between(start_us + 60 * SECOND_US, start_us + 120 * SECOND_US)
        assert all(parse_us(str(e["time"])) < start_us + 120 * SECOND_US for e in events)
        return sum(data(event)["volume_veh"] for event in events if event["type"] == "traffic.flow")

    assert volume(170.0) > 5 * volume(1.0)


@pytest.fixture(scope="module")
def staged(fleet: Fleet) -> list[Event]:
    text = """
scenario: stage
title: {vi: a, en: b}
steps:
  - {at: 20, duration_s: 60, kind: congestion, source: det-25747-01}
  - {at: 20, duration_s: 60, kind: wrong_way, source: cam-25747-01, confidence: 0.8}
  - {at: 20, duration_s: 60, kind: stopped_vehicle, source: cam-25747-02, vehicles: 2}
  - {at: 20, duration_s: 60, kind: crowd, source: cam-25747-03, people: 120}
  - {at: 20, duration_s: 60, kind: camera_silent, source: cam-25747-04}
  - {at: 20, duration_s: 60, kind: flood_report, ward: "25942", reports: 3}
  - {at: 20, duration_s: 60, kind: fire_smoke, source: cam-25747-05}
"""
    script = Script(parse_scenario(text, "stage"), fleet, START_US)
    return seconds(World(fleet, [script], seed=3, start_us=START_US), 20, 80)


def of(events: list[Event], source: str, kind: str) -> list[Any]:
    return [event["data"] for event in events if event["source"] == source and event["type"] == kind]


def test_congestion_slows_and_fills_the_detector(staged: list[Event]) -> None:
    flows = of(staged, "det-25747-01", "traffic.flow")
    assert len(flows) == 6
    assert all(flow["speed_kmh"] < 15 and flow["occupancy"] > 0.35 for flow in flows)


def test_alarms_repeat_while_they_last_and_then_end(fleet: Fleet, staged: list[Event]) -> None:
    alarms = of(staged, "cam-25747-01", "camera.alarm")
    assert len(alarms) == 12
    assert {(a["kind"], a["confidence"], a.get("active", True)) for a in alarms} == {("wrong_way", 0.8, True)}
    assert {a["kind"] for a in of(staged, "cam-25747-05", "camera.alarm")} == {"fire_smoke"}


def test_counts_show_stopped_vehicles_and_crowds(staged: list[Event]) -> None:
    assert [c["stopped_vehicles"] for c in of(staged, "cam-25747-02", "camera.count")] == [2] * 4
    assert all(c["people"] > 100 for c in of(staged, "cam-25747-03", "camera.count"))


def test_a_silent_camera_says_nothing_at_all(staged: list[Event]) -> None:
    assert Counter(event["source"] for event in staged)["cam-25747-04"] == 0


def test_flood_reports_come_from_places_in_the_ward(fleet: Fleet, staged: list[Event]) -> None:
    floods = [e for e in staged if e["type"] == "feedback.report" and data(e)["category"] == "flood"]
    assert len(floods) == 3
    cameras = fleet.of_ward("25942", "camera")
    for event in floods:
        lon, lat = event["lon"], event["lat"]
        assert isinstance(lon, float) and isinstance(lat, float)
        assert any(abs(u.lon - lon) < 0.0007 and abs(u.lat - lat) < 0.0007 for u in cameras)


def test_a_camera_sees_what_its_events_tell(fleet: Fleet) -> None:
    script = Script(named_scenario("morning-rush"), fleet, START_US)
    made = World(fleet, [script], seed=3, start_us=START_US)
    at_us = START_US + 700 * SECOND_US
    assert made.view("cam-25747-03", at_us).people > 100
    assert made.view("cam-25813-06", at_us).silent
    assert Kind.STOPPED_VEHICLE in made.view("cam-25945-12", at_us).kinds
    assert Kind.FLOOD_REPORT in made.view("cam-25987-01", START_US + 800 * SECOND_US).kinds
    with pytest.raises(KeyError):
        made.view("det-25747-01", at_us)
