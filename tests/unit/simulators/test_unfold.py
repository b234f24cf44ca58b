"""What follows from a step: queues, floods of the rain, planned events; and what the truth makes of it."""

import pytest

from simulators.fleet import Fleet
from simulators.scenario import Script, parse_scenario
from simulators.steps import Happening, Kind
from simulators.times import SECOND_US
from simulators.truth import truth
from simulators.world import World
from tests.unit.simulators.conftest import START_US


def script_of(fleet: Fleet, steps: str) -> Script:
    text = "scenario: t\ntitle: {vi: a, en: b}\nsteps:\n" + steps
    return Script(parse_scenario(text, "t"), fleet, START_US)


def happenings(script: Script) -> list[Happening]:
    return list(script.between(START_US, START_US + 100_000 * SECOND_US))


def test_a_queue_grows_back_detector_by_detector_and_lasts_shorter_the_further_it_reaches(
    fleet: Fleet,
) -> None:
    line = "  - {at: 100, duration_s: 1500, kind: congestion, source: det-25978-02, spread_m: 5000}\n"
    jams = happenings(script_of(fleet, line))
    upstream = [unit.id for unit, back_m in fleet.upstream("det-25978-02") if back_m <= 5000]
    assert len(upstream) >= 3
    assert [jam.target for jam in jams] == ["det-25978-02", *upstream]
    lasting = [jam.end_us - jam.start_us for jam in jams]
    assert lasting == sorted(lasting, reverse=True)
    assert len(set(lasting)) == len(lasting)


def test_a_queue_ends_where_it_may_not_grow_further_and_where_nothing_is_left_of_it(fleet: Fleet) -> None:
    line = "  - {at: 100, duration_s: %d, kind: congestion, source: det-25978-02, spread_m: %d}\n"
    assert len(happenings(script_of(fleet, line % (1500, 0)))) == 1
    assert len(happenings(script_of(fleet, line % (80, 9000)))) == 1


def test_upstream_of_a_detector_are_those_before_it_on_its_road_nearest_first(fleet: Fleet) -> None:
    found = fleet.upstream("det-25978-02")
    assert [unit.id for unit, _ in found][:2] == ["det-25978-05", "det-25978-01"]
    assert [back_m for _, back_m in found] == sorted(back_m for _, back_m in found)
    assert fleet.upstream("det-25987-04") == ()


def test_more_rain_floods_more_low_points_and_a_drizzle_none(fleet: Fleet) -> None:
    def flooded(intensity: float) -> set[str]:
        line = f"  - {{at: 0, duration_s: 5400, kind: rain, intensity: {intensity}}}\n"
        return {
            item.target
            for item in happenings(script_of(fleet, line))
            if item.step.kind is Kind.FLOOD and item.end_us > item.start_us
        }

    assert flooded(0.1) == set()
    assert flooded(0.5) < flooded(1.0)
    assert len(flooded(1.0)) >= 10
    assert flooded(0.0) == set()


def test_rain_is_expected_to_raise_what_its_floods_raise(fleet: Fleet) -> None:
    script = script_of(fleet, "  - {at: 0, duration_s: 5400, kind: rain, intensity: 1.0}\n")
    wards = {unit.id: unit.ward for unit in fleet.units.values()}
    rules = {item.rule for item in truth(script, wards, START_US, 6000)}
    assert rules == {"flood-alarm", "flood-report"}


@pytest.mark.parametrize(("people", "rules"), [(150, {"crowd", "congestion"}), (45, set())])
def test_a_big_event_fills_its_place_and_the_streets_afterwards_a_small_one_neither(
    fleet: Fleet, people: int, rules: set[str]
) -> None:
    line = f"  - {{at: 100, duration_s: 2000, kind: planned_event, area: square-03, people: {people}}}\n"
    script = script_of(fleet, line)
    wards = {unit.id: unit.ward for unit in fleet.units.values()}
    expected = truth(script, wards, START_US, 6000)
    assert {item.rule for item in expected} == rules
    assert all(item.from_s > 2100 for item in expected if item.rule == "congestion")


def test_a_queue_that_outlasts_a_round_is_still_there_in_the_next(fleet: Fleet) -> None:
    text = (
        "scenario: t\ntitle: {vi: a, en: b}\nloop_s: 300\nsteps:\n"
        "  - {at: 200, duration_s: 300, kind: congestion, source: det-25978-02, spread_m: 4000}\n"
    )
    script = Script(parse_scenario(text, "t"), fleet, START_US)
    whole = set(script.between(START_US, START_US + 3000 * SECOND_US))
    moment_us = START_US + 1900 * SECOND_US
    there = {item for item in whole if item.start_us <= moment_us < item.end_us}
    now = set(script.between(moment_us, moment_us + 1))
    assert {item for item in now if item.start_us <= moment_us < item.end_us} == there
    assert max(item.round for item in there) - min(item.round for item in there) >= 2


def test_rain_slows_and_thins_the_traffic_but_jams_nothing(fleet: Fleet) -> None:
    def means(steps: str) -> tuple[float, float]:
        world = World(fleet, [script_of(fleet, steps)], seed=1, start_us=START_US)
        events = world.events_between(START_US + 600 * SECOND_US, START_US + 720 * SECOND_US)
        flows = [event["data"] for event in events if event["type"] == "traffic.flow"]
        assert all(flow["speed_kmh"] > 20 and flow["occupancy"] < 0.35 for flow in flows)  # type: ignore[index]
        speeds = [flow["speed_kmh"] for flow in flows]  # type: ignore[index]
        volumes = [flow["volume_veh"] for flow in flows]  # type: ignore[index]
        return sum(speeds) / len(speeds), sum(volumes) / len(volumes)

    dry = means("  - {at: 9000, duration_s: 60, kind: rain}\n")
    wet = means("  - {at: 0, duration_s: 3600, kind: rain, intensity: 0.9}\n")
    assert wet[0] < 0.85 * dry[0]
    assert wet[1] < 0.9 * dry[1]
