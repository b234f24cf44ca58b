"""Where devices stand, what `--block` closes, who sets out, and the network made of the city's roads."""

import math
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from shapely.geometry import LineString, Point

from simulators.fleet import Fleet, Unit
from simulators.sumo import SumoError
from simulators.sumo.closures import Block, blocks, resolve
from simulators.sumo.demand import Demand
from simulators.sumo.files import Files, checked, origin_of
from simulators.sumo.roads import CLASSES, plan, split
from simulators.sumo.snap import Map, Sites, snap
from simulators.sumo.traffic import Instrument, Lane
from simulators.times import SECOND_US
from tests.unit.simulators.conftest import DEMO, START_US

DATA = Path(__file__).parents[2] / "data" / "sumo"


def lane(edge: str, index: int, y_m: float, length_m: float = 1000.0) -> Lane:
    """A lane east at height `y_m`, west where its edge bears a minus; drawn a kilometre long."""
    shape = ((0.0, y_m), (1000.0, y_m))
    return Lane(f"{edge}_{index}", edge, index, length_m, shape[::-1] if edge.startswith("-") else shape)


NETWORK = Map(
    [lane("a", 0, -5), lane("a", 1, -2), lane("-a", 1, 2), lane("-a", 0, 5), lane("b", 0, 300, 500)]
)


def unit(name: str, x_m: float, y_m: float) -> Unit:
    return Unit(name, "camera" if name.startswith("cam") else "detector", name, "1", x_m, y_m)


def placed(*units: Unit, own: tuple[Instrument, ...] = (), reach_m: float = 60.0) -> Sites:
    return snap(units, NETWORK, lambda lon, lat: (lon, lat), own, reach_m)


def test_a_detector_gets_a_loop_in_each_lane_of_the_carriageway_as_drawn() -> None:
    (site,) = placed(unit("det-1", 400, 1)).detectors
    assert (site.edge, site.at_m, site.gap_m) == ("a", 400.0, 1.0)
    assert [(loop.id, loop.lane, loop.at_m) for loop in site.loops] == [
        ("det-1_0", "a_0", 400.0),
        ("det-1_1", "a_1", 400.0),
    ]


def test_a_lane_is_as_long_as_the_network_says_and_a_loop_is_not_at_its_end() -> None:
    (far, near) = placed(unit("det-1", 400, 310), unit("det-2", -10, 300)).detectors
    assert (far.edge, far.at_m) == ("b", 200.0)
    assert near.at_m == 5.0


def test_who_is_too_far_is_left_out_and_said_so() -> None:
    found = placed(unit("det-1", 400, 0), unit("det-2", 400, 100), unit("cam-1", math.inf, 0))
    assert [site.device for site in found.detectors] == ["det-1"]
    assert found.left_out == {"det-2": 95.0, "cam-1": math.inf}
    assert len(placed(unit("det-2", 400, 100), reach_m=100).detectors) == 1
    with pytest.raises(SumoError, match=r"no lane within 60 m .*det-2, is 95 m away.*--reach"):
        placed(unit("det-2", 400, 100))


def test_a_camera_sees_the_lanes_around_it_either_way() -> None:
    (view,) = placed(unit("cam-1", 30, 0)).cameras
    assert [stretch.lane for stretch in view.stretches] == ["-a_0", "-a_1", "a_0", "a_1"]
    ahead, back = view.stretches[3], view.stretches[1]
    assert (ahead.from_m, ahead.to_m) == (0.0, pytest.approx(90, abs=0.2))
    assert (back.from_m, back.to_m) == (pytest.approx(910, abs=0.2), 1000.0)


def test_a_loop_of_the_networks_own_is_the_detectors_whose_name_it_bears() -> None:
    own = (Instrument("det-1_left", "b_0", 77.0), Instrument("other", "a_0", 1.0))
    (site,) = placed(unit("det-1", 400, 0), own=own).detectors
    assert (site.edge, site.loops) == ("b", own[:1])


def test_a_block_is_an_edge_a_lane_or_the_road_behind_a_detector() -> None:
    sites = placed(unit("det-1", 400, 0))
    at = {place: resolve(Block(place, 0, 1), NETWORK, sites) for place in ("a", "a_1", "det-1")}
    assert (at["a"].lanes, at["a"].at_m) == (("a_0", "a_1"), 500.0)
    assert (at["a_1"].lanes, at["a_1"].at_m) == (("a_1",), 500.0)
    assert (at["det-1"].lanes, at["det-1"].at_m) == (("a_0", "a_1"), 440.0)
    with pytest.raises(SumoError, match="did you mean det-1"):
        resolve(Block("det-11", 0, 1), NETWORK, sites)
    with pytest.raises(SumoError, match="ends right behind it"):
        resolve(Block("det-2", 0, 1), NETWORK, placed(unit("det-2", 1000, 0)))


def test_each_block_has_both_its_times() -> None:
    assert blocks(["a", "b"], [0, 10], [60, 70]) == [Block("a", 0, 60), Block("b", 10, 70)]
    for places, at_s, for_s, words in (
        (["a"], [], [60.0], "1 --block, 0 --at and 1 --for"),
        (["a"], [-1.0], [60.0], "--at -1"),
        (["a"], [0.0], [0.0], "--for 0"),
        (["a"] * 101, [0.0] * 101, [1.0] * 101, "100 at most"),
    ):
        with pytest.raises(SumoError, match=words):
            blocks(places, at_s, for_s)


def test_demand_follows_the_rhythm_of_the_day_and_the_seed() -> None:
    lanes = [lane("a", 0, 0), lane("b", 0, 10), lane("c", 0, 20)]

    def hour(at_us: int, seed: int = 1) -> list[object]:
        demand = Demand(lanes, seed, 3600.0)
        times = [at_us + second * SECOND_US for second in range(1800)]
        return [trip for time_us in times for trip in demand.trips(time_us, time_us)]

    peak, night = hour(START_US + 1800 * SECOND_US), hour(START_US - 5 * 3600 * SECOND_US)
    assert len(peak) > 900 > 200 > len(night)
    assert hour(START_US) == hour(START_US) != hour(START_US, seed=2)
    kinds = [trip.kind for trip in peak]  # type: ignore[attr-defined]
    assert set(kinds) == {"motorcycle", "car", "truck", "bus"}
    assert 0.75 < kinds.count("motorcycle") / len(kinds) < 0.95
    assert Demand(lanes, 1).trips_per_h > 0


def test_roads_become_streets_between_their_crossings_each_the_way_its_road_runs() -> None:
    roads = [
        ("r1", "primary", LineString([(0, 0), (1000, 0)])),
        ("r2", "secondary", LineString([(500, 400), (500, -400)])),
        ("r3", "secondary", LineString([(90_000, 0), (91_000, 0)])),
    ]
    streets = split(roads, Point(500, 0).buffer(5000))
    assert {street.id for street in streets} == {"r1.0", "r1.1", "r2.0", "r2.1"}
    for street in streets:
        (x0, y0), (x1, y1) = street.line[0], street.line[-1]
        assert x1 > x0 if street.rank == "primary" else y1 < y0


def test_the_citys_plan_joins_streets_at_nodes_with_a_carriageway_either_way(fleet: Fleet) -> None:
    made = plan(DEMO / "areas.geojson", fleet, ["25747", "25750"])
    nodes = {node.get("id") for node in fromstring(made.nodes)}
    edges = {edge.get("id"): edge for edge in fromstring(made.edges)}
    assert len(edges) > 50
    for name, edge in edges.items():
        assert name is not None
        assert {edge.get("from"), edge.get("to")} <= nodes
        back = edges[name[1:] if name.startswith("-") else f"-{name}"]
        assert (back.get("from"), back.get("to")) == (edge.get("to"), edge.get("from"))
        assert int(str(edge.get("numLanes"))) in {rank.lanes for rank in CLASSES.values()}
    assert 50_000 < made.length_m < 200_000
    assert plan(DEMO / "areas.geojson", fleet).length_m > 900_000


def test_a_plan_needs_roads_and_wards_that_there_are(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(SumoError, match=r"--ward 1: no device .*there are 2"):
        plan(DEMO / "areas.geojson", fleet, ["1"])
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(SumoError, match=r"no main roads .*--net"):
        plan(tmp_path / "none.geojson", fleet)


def test_files_are_known_for_what_they_are_before_sumo_reads_them(tmp_path: Path) -> None:
    good = Files(DATA / "boulevard.net.xml", DATA / "boulevard.rou.xml")
    assert checked(good) == good
    (tmp_path / "cut.net.xml").write_text("<net><location")
    (tmp_path / "flat.net.xml").write_text('<net><location projParameter="!"/></net>')
    for files, words in (
        (Files(tmp_path / "gone.net.xml"), "--net .*gone.net.xml: cannot be read"),
        (Files(tmp_path / "cut.net.xml"), "--net .*cannot be read"),
        (Files(DATA / "boulevard.rou.xml"), "a file of <routes>, not of <net>"),
        (Files(good.net, routes=good.net), "--routes .*a file of <net>"),
        (Files(good.net, additional=good.net), "--additional .*a file of <net>"),
        (Files(tmp_path / "flat.net.xml"), "no projection.*--origin lon,lat"),
    ):
        with pytest.raises(SumoError, match=words):
            checked(files)
    placed_net = Files(tmp_path / "flat.net.xml", origin=(106.65, 10.98))
    assert checked(placed_net) == placed_net


def test_an_origin_is_a_longitude_and_a_latitude() -> None:
    assert origin_of("106.65, 10.98") == (106.65, 10.98)
    for text in ("106.65", "a,b", "1,2,3", "10.98,106.65", "nan,0"):
        with pytest.raises(SumoError, match="--origin"):
            origin_of(text)
