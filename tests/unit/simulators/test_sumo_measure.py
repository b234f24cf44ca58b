"""Passages become flow, vehicles in view become counts, standing traffic becomes the truth about jams."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.steps import Kind
from simulators.sumo.jams import BREAK_US, ON_US, State, Watch, state_of
from simulators.sumo.measure import Flow, Loop, count, joined
from simulators.sumo.snap import Stretch
from simulators.sumo.traffic import Passage, Seen, Zone
from simulators.times import SECOND_US

ROAD = [Stretch("a_0", 100.0, 200.0, 300.0)]


def loop(*passages: Passage, now_s: float = 10.0) -> Loop:
    found = Loop(keep_s=11.0)
    found.note(passages, now_s)
    return found


def seen(at_m: float, standing_s: float = 0.0, kind: str = "car") -> Seen:
    return Seen(f"{kind}-{at_m}", kind, at_m, 5.0, standing_s)


def test_flow_is_volume_occupancy_and_speed_of_who_passed() -> None:
    flow = loop(Passage("a", 6.0, 1.0, 1.5), Passage("b", 4.0, 4.0, 4.5)).flow(0.0, 10.0)
    assert flow == Flow(2, pytest.approx(0.1), pytest.approx((43.2 + 28.8) / 2))
    assert flow.data(10.0) == {"occupancy": 0.1, "volume_veh": 2, "speed_kmh": 36.0, "interval_s": 10.0}
    assert flow.data(10.0, 2)["lane"] == "2"


def test_who_stands_on_the_loop_covers_it_is_slow_and_is_not_counted() -> None:
    flow = loop(Passage("a", 6.0, 2.0, None)).flow(0.0, 10.0)
    assert flow == Flow(0, pytest.approx(0.8), pytest.approx(6.0 / 8 * 3.6))


def test_a_vehicle_counts_in_the_interval_in_which_it_leaves_and_covers_both() -> None:
    over = loop(Passage("a", 6.0, 9.0, 11.0), now_s=11.0)
    first, second = over.flow(0.0, 10.0), over.flow(10.0, 20.0)
    assert (first.volume_veh, second.volume_veh) == (0, 1)
    assert (first.occupancy, second.occupancy) == (pytest.approx(0.1), pytest.approx(0.1))


def test_nobody_there_has_no_speed() -> None:
    assert loop().flow(0.0, 10.0) == Flow(0, 0.0, None)
    assert "speed_kmh" not in loop().flow(0.0, 10.0).data(10.0)


def test_what_is_older_than_asked_for_is_forgotten() -> None:
    over = loop(Passage("a", 6.0, 1.0, 1.5), now_s=2.0)
    over.note([], 20.0)
    assert over.flow(0.0, 10.0).volume_veh == 0


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(0.01, 6), st.booleans()), max_size=30),
)
def test_occupancy_is_a_share_whoever_overlaps(raw: list[tuple[float, float, bool]]) -> None:
    passages = [
        Passage(str(n), 5.0, start, None if there else start + took)
        for n, (start, took, there) in enumerate(raw)
    ]
    flow = loop(*passages).flow(0.0, 10.0)
    assert 0.0 <= flow.occupancy <= 1.0
    assert flow.speed_kmh is None or 0.0 < flow.speed_kmh <= 200.0


def test_lanes_join_to_all_vehicles_mean_occupancy_and_speed_by_volume() -> None:
    assert joined([Flow(3, 0.2, 60.0), Flow(1, 0.4, 20.0), Flow(0, 0.0, None)]) == Flow(
        4, pytest.approx(0.2), pytest.approx(50.0)
    )


def test_a_camera_counts_kinds_in_view_only() -> None:
    found = count(ROAD, {"a_0": [seen(99.0), seen(150.0), seen(160.0, kind="bus"), seen(201.0)]}.__getitem__)
    assert (found.vehicles, found.stopped, found.kinds) == (2, 0, {"bus": 1, "car": 1})


@pytest.mark.parametrize(
    ("others", "standing_s", "lane_m", "stopped"),
    [
        ([], 30.0, 300.0, 1),
        ([], 5.0, 300.0, 0),
        ([seen(158.0)], 30.0, 300.0, 0),
        ([seen(180.0)], 30.0, 300.0, 1),
        ([], 30.0, 160.0, 0),
    ],
    ids=["free road", "a moment only", "a queue", "a gap ahead", "at a junction"],
)
def test_stopped_is_who_stands_with_free_road_ahead(
    others: list[Seen], standing_s: float, lane_m: float, stopped: int
) -> None:
    vehicles = [*others, seen(150.0, standing_s)]
    assert count([Stretch("a_0", 100.0, 200.0, lane_m)], lambda _: vehicles).stopped == stopped


def test_traffic_is_jammed_where_it_is_slow_and_dense_over_all_lanes() -> None:
    jam = state_of([Zone(0.6, 8, 4.0), Zone(0.4, 4, 7.0)])
    assert jam == State(True, pytest.approx(0.5), pytest.approx(5.0))
    one_lane_only = state_of([Zone(0.6, 8, 4.0), Zone(0.0, 0, 0.0)])
    assert one_lane_only == State(False, pytest.approx(0.3), pytest.approx(4.0))
    one_stands = state_of([Zone(0.1, 1, 0.0), Zone(0.3, 4, 50.0)])
    assert one_stands == State(False, pytest.approx(0.2), pytest.approx(40.0))
    assert state_of([Zone(0.6, 8, 30.0)]) is None
    assert state_of([Zone(0.0, 0, 0.0)]) is None


JAM, SLOW = State(True, 0.6, 5.0), State(False, 0.3, 20.0)


def test_a_jam_lasts_as_long_as_it_stands_and_short_movement_does_not_end_it() -> None:
    watch = Watch(Kind.CONGESTION)
    breaks = BREAK_US // SECOND_US
    for second in [*range(11, 100), *range(99 + breaks, 200), *range(201 + breaks, 300)]:
        watch.note("det-1", second * SECOND_US, JAM)
    first, second = watch.happenings(0, 1000 * SECOND_US)
    assert (first.start_us, first.end_us) == (10 * SECOND_US, 199 * SECOND_US)
    assert (first.step.at, first.step.duration_s) == (10, 189)
    assert second.start_us == (200 + breaks) * SECOND_US
    assert (second.step.speed_kmh, second.step.occupancy) == (pytest.approx(5.0), pytest.approx(0.6))


def test_a_jam_begins_where_traffic_slowed_down_into_it_and_slow_traffic_alone_is_none() -> None:
    watch = Watch(Kind.CONGESTION)
    for second in range(100):
        watch.note("det-1", second * SECOND_US, JAM if 30 <= second < 60 else SLOW)
        watch.note("det-2", second * SECOND_US, SLOW)
    (jam,) = watch.happenings(0, 1000 * SECOND_US)
    assert (jam.target, jam.start_us, jam.end_us) == ("det-1", 0, 59 * SECOND_US)
    assert jam.step.duration_s == 30, "what decides whether a rule must fire is the jam itself"
    assert (jam.step.speed_kmh, jam.step.occupancy) == (pytest.approx(5.0), pytest.approx(0.6))


def test_what_still_stands_in_the_end_is_taken_to_go_on_and_what_was_before_the_start_is_not_its() -> None:
    watch = Watch(Kind.CONGESTION)
    for second in range(-50, 100):
        watch.note("det-1", second * SECOND_US, JAM)
    (jam,) = watch.happenings(0, 100 * SECOND_US)
    assert (jam.start_us, jam.end_us) == (0, 99 * SECOND_US + ON_US)
    assert watch.happenings(200 * SECOND_US, 300 * SECOND_US) == []
