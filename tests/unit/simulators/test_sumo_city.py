"""The city over a simulation, without SUMO: what devices say of it, its truth, what the rules make of it."""

from typing import Any

import pytest

from simulators.fleet import Fleet
from simulators.senders import ndjson
from simulators.steps import Kind
from simulators.sumo import SumoError
from simulators.sumo.city import SumoCity, Wishes
from simulators.sumo.closures import Block
from simulators.times import SECOND_US, parse_us
from simulators.world import Event, World
from tests.scoring import judged
from tests.unit.simulators.conftest import START_US
from tests.unit.simulators.fake_traffic import FakeTraffic

DETECTOR = "det-25747-01"
BLOCK = Block(DETECTOR, 60.0, 240.0)
CAMERA = "cam-25747-13"
NO_TRIPS = 0.0


@pytest.fixture(scope="module")
def few(fleet: Fleet) -> Fleet:
    """The devices of one ward: a city that is quick to make."""
    return Fleet(unit for unit in fleet.units.values() if unit.ward == "25747")


def city(
    fleet: Fleet, *blocks: Block, start_us: int = START_US, at: str = DETECTOR, **wishes: Any
) -> SumoCity:
    """Return a city whose road leads past the device `at`, 700 m behind its beginning."""
    unit = fleet.units[at]
    world = World(fleet, [], seed=1, start_us=start_us)
    traffic = FakeTraffic((unit.lon, unit.lat))
    return SumoCity(world, traffic, Wishes(trips_per_h=NO_TRIPS, blocks=blocks, **wishes))


def played(of: SumoCity, seconds: int, every_s: int = 1) -> list[Event]:
    found: list[Event] = []
    for second in range(0, seconds, every_s):
        from_us = of.start_us + second * SECOND_US
        found += of.events_between(from_us, from_us + every_s * SECOND_US)
    return found


def flows(events: list[Event]) -> list[dict[str, Any]]:
    return [e["data"] for e in events if e["source"] == DETECTOR and e["type"] == "traffic.flow"]  # type: ignore[misc]


def test_a_closed_road_makes_a_jam_that_the_shipped_rules_find_once(few: Fleet) -> None:
    start_us = parse_us("2026-11-23T09:00:00+07:00")
    jammed = city(few, BLOCK, start_us=start_us, only_simulated=True)
    list(jammed.warm_up(60))
    sent = [(parse_us(str(event["time"])), event) for event in played(jammed, 480)]
    result = judged(
        "block",
        lambda t0_us, t1_us: [item for item in sent if t0_us <= item[0] < t1_us],
        jammed.truth(480 + 600),
        start_us,
        480,
        silence=False,
    ).score
    assert result.detection == 1.0
    assert ("congestion", DETECTOR) in {(e.rule, e.source) for e in jammed.truth(1080)}
    assert {figures.rule: figures.detected for figures in result.rules}["congestion"] == 1
    assert result.total.repeated == 0
    assert result.false == []
    moving = city(few, start_us=start_us, only_simulated=True)
    played(moving, 480)
    assert moving.truth(1080) == [], "without a block nothing stands"


def test_a_detector_measures_what_drives_over_it(few: Fleet) -> None:
    free, jam = (flows(played(city(few, *blocks, per_lane=False), 300)) for blocks in ((), (BLOCK,)))
    assert {data["interval_s"] for data in free} == {10.0}
    last = free[-1]
    # Two lanes, a car each three seconds at 14 m/s.
    assert 5 <= last["volume_veh"] <= 8
    assert last["speed_kmh"] == pytest.approx(50.4, abs=1.0)
    assert last["occupancy"] == pytest.approx(5.6 / 14 / 3, abs=0.04)
    assert jam[-1]["volume_veh"] == 0
    assert jam[-1]["occupancy"] > 0.9
    assert jam[-1]["speed_kmh"] < 3


def test_the_lanes_speak_for_themselves_where_asked(few: Fleet) -> None:
    events = [e for e in played(city(few, per_lane=True), 60) if e["source"] == DETECTOR]
    assert {e["data"]["lane"] for e in events} == {"1", "2"}  # type: ignore[index]
    assert len({e["id"] for e in events}) == len(events) == 2 * 6


def test_who_is_off_the_network_goes_on_as_the_model_has_it_or_says_nothing(few: Fleet) -> None:
    whole, bare = city(few), city(few, only_simulated=True)
    here = {site.device for site in whole.sites.detectors} | {view.device for view in whole.sites.cameras}
    assert DETECTOR in here
    assert len(here) + len(whole.sites.left_out) == len(few.detectors) + len(few.cameras)
    model = World(few, [], seed=1, start_us=START_US).events_between(START_US, START_US + 60 * SECOND_US)
    said = played(whole, 60)
    assert [(e["id"], e["source"]) for e in said] == [(e["id"], e["source"]) for e in model]
    off = [e for e in model if e["source"] not in here]
    assert [e for e in said if e["source"] not in here] == off
    assert {e["source"] for e in played(bare, 60)} == here


def test_the_same_city_gives_the_same_bytes_however_time_is_cut(few: Fleet) -> None:
    pieces = [ndjson(played(city(few, BLOCK), 180, every_s)) for every_s in (1, 20, 180)]
    assert len(set(pieces)) == 1


def test_a_camera_sees_who_has_broken_down_and_not_who_waits_behind(few: Fleet) -> None:
    before = city(few, Block("road_0", 30.0, 240.0), at=CAMERA, only_simulated=True)
    counts: list[Any] = [e["data"] for e in played(before, 240) if e["source"] == CAMERA]
    assert {data["stopped_vehicles"] for data in counts[:3]} == {0}
    assert counts[-1]["stopped_vehicles"] == 1
    assert counts[-1]["vehicles"] > 10, "a queue is in view"
    assert set(counts[-1]["counts"]) == {"car", "motorcycle"}
    assert sum(counts[-1]["counts"].values()) == counts[-1]["vehicles"]


def test_the_truth_knows_which_cameras_see_a_breakdown_and_for_how_long(few: Fleet) -> None:
    closed = city(few, Block("road_0", 30.0, 120.0), at=CAMERA)
    list(closed.warm_up(60))
    played(closed, 240)
    (stopped,) = [h for h in closed.happenings() if h.step.kind is Kind.STOPPED_VEHICLE]
    assert stopped.target == CAMERA
    assert 30 <= stopped.step.at <= 40
    assert stopped.step.at + stopped.step.duration_s == pytest.approx(150, abs=1)
    assert ("stopped-vehicle", CAMERA) in {(item.rule, item.source) for item in closed.truth(840)}


def test_what_was_slept_through_is_left_out_of_the_simulation(few: Fleet) -> None:
    here = city(few)
    played(here, 30)
    later_us = START_US + 3600 * SECOND_US
    events = here.events_between(later_us, later_us + 10 * SECOND_US)
    assert {e["time"] >= "2026-11-23T00:45" for e in events} == {True}  # type: ignore[operator]
    assert here._second == 40


def test_a_warm_up_fills_the_road_and_belongs_to_no_truth(few: Fleet) -> None:
    here = city(few, Block(DETECTOR, 0.0, 100.0))
    vehicles = list(here.warm_up(120))
    assert vehicles[-1] > 50 > vehicles[10]
    here.begin(START_US + 5 * SECOND_US)
    assert here.start_us == START_US + 5 * SECOND_US
    assert flows(played(here, 20))[0]["volume_veh"] > 3
    assert all(happening.start_us >= here.start_us for happening in here.happenings())


def test_a_network_elsewhere_fits_no_device(few: Fleet) -> None:
    world = World(few, [], seed=1, start_us=START_US)
    with pytest.raises(SumoError, match=r"no lane within 60 m of any detector or camera .*--net"):
        SumoCity(world, FakeTraffic((100.0, 5.0)), Wishes())
