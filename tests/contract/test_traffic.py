"""One suite for every traffic simulation: our fake keeps what SUMO keeps, by libsumo and by TraCI."""

import shutil
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from simulators.fleet import load_fleet
from simulators.sumo import SumoError
from simulators.sumo.engine import Driver, Sumo
from simulators.sumo.files import Files
from simulators.sumo.snap import Map, Sites, snap
from simulators.sumo.traffic import Traffic, Trip
from tests.unit.simulators.conftest import DEMO
from tests.unit.simulators.fake_traffic import FakeTraffic

DATA = Path(__file__).parents[1] / "data" / "sumo"
DETECTOR = "det-25747-01"


@pytest.fixture(params=["fake", "libsumo", "traci"])
def traffic(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traffic]:
    """A simulation of one road, past the demo city's detector, with vehicles on it."""
    if request.param == "fake":
        unit = load_fleet(DEMO / "devices.geojson").units[DETECTOR]
        yield FakeTraffic((unit.lon, unit.lat))
        return
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: make sumo")
    if request.param == "traci" and not (find_spec("sumo") or shutil.which("sumo")):
        pytest.skip("SUMO's programs are not installed: make sumo")
    files = Files(DATA / "boulevard.net.xml", DATA / "boulevard.rou.xml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sumo = Sumo(files, tmp_path, seed=1, stuck_s=900, driver=Driver(request.param))
    try:
        yield sumo
    finally:
        sumo.close()


def placed(traffic: Traffic) -> Sites:
    fleet = load_fleet(DEMO / "devices.geojson")
    sites = snap([fleet.units[DETECTOR]], Map(traffic.lanes()), traffic.place)
    traffic.install(sites.detectors[0].loops)
    return sites


def test_degrees_and_lanes_agree_on_where_the_detector_is(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    assert not site.edge.startswith("-")
    assert site.gap_m < 10
    assert [loop.lane for loop in site.loops] == [
        lane.id for lane in traffic.lanes() if lane.edge == site.edge
    ]
    assert [lane.id for lane in traffic.lanes()] == sorted(lane.id for lane in traffic.lanes())


def test_passages_are_ordered_in_time_and_each_vehicle_leaves_once(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    left: list[str] = []
    for second in range(180):
        assert traffic.step() >= 0
        for loop in site.loops:
            for passage in traffic.passages(loop.id):
                assert passage.entered_s <= second + 1
                if passage.left_s is not None:
                    assert second <= passage.left_s <= second + 1
                    assert passage.entered_s < passage.left_s
                    speed_kmh = passage.length_m / (passage.left_s - passage.entered_s) * 3.6
                    assert 20 < speed_kmh < 80
                    left.append(passage.vehicle)
    assert len(left) == len(set(left)) > 30
    assert traffic.told()["departed"] >= len(left)


def test_a_breakdown_makes_a_queue_and_its_end_dissolves_it(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    for _ in range(100):
        traffic.step()
    names = [f"block-{loop.lane}" for loop in site.loops]
    for name, loop in zip(names, site.loops, strict=True):
        traffic.stand(name, loop.lane, site.at_m + 40)
    assert not any(map(traffic.stands, names))
    for _ in range(150):
        traffic.step()
    assert all(map(traffic.stands, names))
    zones = [traffic.zone(loop.id) for loop in site.loops]
    assert all(zone.covered > 0.4 and zone.speed_kmh < 10 and zone.vehicles > 5 for zone in zones)
    for loop in site.loops:
        ahead = [v for v in traffic.seen(loop.lane) if v.at_m <= site.at_m + 41]
        first = max(ahead, key=lambda vehicle: vehicle.at_m)
        assert first.at_m == pytest.approx(site.at_m + 40, abs=1.5)
        assert first.standing_s > 60
        assert {vehicle.kind for vehicle in ahead} == {"car", "motorcycle"}
    for name in names:
        traffic.clear(name)
    for _ in range(120):
        traffic.step()
    assert all(traffic.zone(loop.id).speed_kmh > 20 for loop in site.loops if traffic.zone(loop.id).vehicles)
    assert not any(map(traffic.stands, names))


def test_where_nobody_comes_a_car_breaks_down_all_the_same(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    lane = f"-{site.loops[0].lane}"
    traffic.stand("alone", lane, 500.0)
    for _ in range(20):
        traffic.step()
    assert traffic.stands("alone")
    (car,) = traffic.seen(lane)
    assert (car.kind, car.at_m) == ("car", pytest.approx(500, abs=1.5))
    assert car.standing_s >= 10
    traffic.clear("alone")
    for _ in range(3):
        traffic.step()
    assert not traffic.stands("alone")


def test_a_breakdown_that_ends_before_it_begins_befalls_nobody(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    for _ in range(60):
        traffic.step()
    traffic.stand("early", site.loops[0].lane, site.at_m + 300)
    traffic.step()
    traffic.clear("early")
    for _ in range(60):
        traffic.step()
    assert not traffic.stands("early")
    here = [v for v in traffic.seen(site.loops[0].lane) if v.standing_s > 5]
    assert here == []


def test_a_trip_needs_a_way(traffic: Traffic) -> None:
    (site,) = placed(traffic).detectors
    assert traffic.add(Trip("t1", "bus", site.edge, site.edge))
    traffic.step()
    kinds = {v.kind for lane in traffic.lanes() for v in traffic.seen(lane.id)}
    assert "bus" in kinds


@pytest.mark.skipif(find_spec("libsumo") is None, reason="libsumo is not installed: make sumo")
def test_a_breakdown_befalls_another_where_its_vehicle_is_gone(tmp_path: Path) -> None:
    sumo = Sumo(Files(DATA / "boulevard.net.xml"), tmp_path, seed=1, stuck_s=300, driver=Driver.LIBSUMO)
    try:
        sumo.install([])
        sumo.stand("first", "road-ql13.0_1", 800.0)
        for _ in range(5):
            sumo.step()
        assert sumo.stands("first")
        sumo._sumo.vehicle.remove("first")
        sumo.step()
        for _ in range(5):
            sumo.step()
        assert sumo.stands("first"), "a car comes again"
        sumo._sumo.vehicle.remove("first")
        sumo.clear("first")
        sumo.step()
    finally:
        sumo.close()


@pytest.mark.skipif(find_spec("libsumo") is None, reason="libsumo is not installed: make sumo")
def test_what_sumo_does_not_take_is_said_in_one_line_and_another_can_follow(tmp_path: Path) -> None:
    (tmp_path / "bad.rou.xml").write_text(
        '<routes><vehicle id="a" depart="0"><route edges="nowhere"/></vehicle></routes>'
    )
    net = DATA / "boulevard.net.xml"
    with pytest.raises(SumoError, match=r"SUMO does not take .*nowhere"):
        Sumo(Files(net, tmp_path / "bad.rou.xml"), tmp_path, seed=1, stuck_s=300, driver=Driver.LIBSUMO)
    sumo = Sumo(Files(net), tmp_path, seed=1, stuck_s=300, driver=Driver.LIBSUMO)
    with pytest.raises(SumoError, match="nothing"):
        sumo.seen("nothing")
    sumo.close()
