"""The state lane shows the latest, and nothing older."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraCount,
    CameraObject,
    CameraStatus,
    TrafficFlow,
    TrafficStatus,
)
from ioc.stream.batches import (
    FEW_ENTRIES,
    SMALLEST_VIEW_DEG,
    Place,
    StateBatch,
    StateEntry,
    box_contains,
    state_frames,
    tiled,
    within,
)
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.states import EntityStates
from ioc.stream.wire import EntityState, encode_part
from tests.unit.stream.samples import T0_US, event

SECOND_US = 1_000_000


def shown(batch: StateBatch | None) -> list[dict[str, Any]]:
    assert batch is not None
    return [state for frame in batch.frames(EVERYTHING, None) for state in json.loads(frame.text)["set"]]


places = st.sampled_from([106.0, 106.5, 107.0, 179.9, -179.9])


@given(
    found=st.lists(st.tuples(places, st.none() | places, st.booleans()), min_size=FEW_ENTRIES, max_size=60),
    west=places,
    east=places,
)
def test_many_entries_are_looked_at_as_few_are(
    found: list[tuple[float, float | None, bool]], west: float, east: float
) -> None:
    part = encode_part(EntityState("d", "detector", "2026-11-22T10:00:00Z", 1.0, 1.0, None))
    entries = [
        StateEntry(
            f"d{number}",
            None,
            lon,
            11.0,
            None if gone else part,
            left=None if before is None else Place(None, before, 11.0),
        )
        for number, (lon, before, gone) in enumerate(found)
    ]
    box = (west, 10.0, east, 12.0)
    one_by_one = state_frames(within(entries, box))
    assert [frame.text for frame in StateBatch(entries).frames(EVERYTHING, box)] == [
        frame.text for frame in one_by_one
    ]


def test_a_detector_shows_its_newest_measurement() -> None:
    states = EntityStates()
    states.apply(event("det-1", TrafficFlow(speed_kmh=40.0, occupancy=0.1, volume_veh=9)))
    states.apply(event("det-1", TrafficFlow(speed_kmh=20.0), time_us=T0_US + SECOND_US))
    assert not states.apply(event("det-1", TrafficFlow(speed_kmh=90.0)))
    assert shown(states.collect()) == [
        {
            "id": "det-1", "kind": "detector", "t": "2026-11-18T11:06:41.000Z", "lon": 106.7, "lat": 10.98,
            "ward": "25747", "online": True, "speed_kmh": 20.0, "occupancy": None, "volume_veh": None,
        }
    ]  # fmt: skip
    assert states.collect() is None


def test_lanes_of_one_detector_are_shown_together_and_silent_lanes_drop_out() -> None:
    states = EntityStates()
    old_us = T0_US - 3600 * SECOND_US
    states.apply(event("det-1", TrafficFlow(lane="3", speed_kmh=5.0, volume_veh=50), time_us=old_us))
    states.apply(event("det-1", TrafficFlow(lane="1", speed_kmh=30.0, volume_veh=30, occupancy=0.4)))
    states.apply(event("det-1", TrafficFlow(lane="2", speed_kmh=60.0, volume_veh=10, occupancy=0.2)))
    (state,) = shown(states.collect())
    assert (state["speed_kmh"], state["occupancy"], state["volume_veh"]) == (37.5, 0.3, 40)


def test_a_camera_gathers_count_alarm_and_status() -> None:
    states = EntityStates()
    states.apply(event("cam-1", CameraCount(people=2, vehicles=3)))
    states.apply(event("cam-1", CameraAlarm(kind=AlarmKind.FLOOD)))
    (state,) = shown(states.collect())
    assert (state["objects"], state["alarm"], state["online"]) == (5, "flood", True)
    states.apply(event("cam-1", CameraAlarm(kind=AlarmKind.CROWD, active=False), time_us=T0_US + 1))
    states.apply(event("cam-1", CameraStatus(online=False), time_us=T0_US + 1))
    (state,) = shown(states.collect())
    assert (state["alarm"], state["online"]) == ("flood", False), "another alarm's end changes nothing"
    states.apply(event("cam-1", CameraAlarm(kind=AlarmKind.FLOOD, active=False), time_us=T0_US + 2))
    (state,) = shown(states.collect())
    assert (state["alarm"], state["online"]) == (None, True), "who sends data is online"


def test_a_detector_can_be_offline() -> None:
    states = EntityStates()
    states.apply(event("det-1", TrafficStatus(online=False)))
    assert shown(states.collect())[0]["online"] is False


def test_what_has_no_place_or_no_state_is_not_shown() -> None:
    states = EntityStates()
    assert not states.apply(event("det-1", TrafficFlow(speed_kmh=4.0), lon=None, lat=None))
    assert not states.apply(event("cam-1", CameraObject(label="car")))
    assert states.collect() is None


def test_merged_values_are_counted() -> None:
    states = EntityStates()
    for n in range(5):
        states.apply(event("det-1", TrafficFlow(speed_kmh=float(n)), time_us=T0_US + n))
    batch = states.collect()
    assert batch is not None
    (frame,) = batch.frames(EVERYTHING, None)
    assert json.loads(frame.text)["conflated"] == 4
    assert frame.received_us == T0_US + 5_000
    (again,) = states.everything().frames(EVERYTHING, None)
    assert json.loads(again.text)["conflated"] == 0


def test_the_map_is_bounded_and_says_what_it_let_go() -> None:
    states = EntityStates(max_entities=2)
    for n in (1, 2):
        states.apply(event(f"det-{n}", TrafficFlow(speed_kmh=1.0)))
    states.collect()
    states.apply(event("det-1", TrafficFlow(speed_kmh=2.0), time_us=T0_US + 1))
    states.apply(event("det-3", TrafficFlow(speed_kmh=3.0)))
    batch = states.collect()
    assert batch is not None
    (frame,) = batch.frames(EVERYTHING, None)
    message = json.loads(frame.text)
    assert message["del"] == ["det-2"]
    assert {state["id"] for state in message["set"]} == {"det-1", "det-3"}
    assert {state["id"] for state in shown(states.everything())} == {"det-1", "det-3"}
    assert len(states) == 2


def test_what_comes_back_before_its_removal_was_told_tells_where_it_was() -> None:
    """Else whoever looks at its old place would keep it there for ever."""
    states = EntityStates(max_entities=1)
    states.apply(event("det-1", TrafficFlow(speed_kmh=1.0), lon=106.5))
    states.collect()
    states.apply(event("det-2", TrafficFlow(speed_kmh=1.0)))
    states.apply(event("det-1", TrafficFlow(speed_kmh=2.0), time_us=T0_US + 1, lon=108.0))
    batch = states.collect()
    assert batch is not None
    (frame,) = batch.frames(EVERYTHING, (106.4, 10.0, 106.6, 12.0))
    assert [(state["id"], state["lon"]) for state in json.loads(frame.text)["set"]] == [("det-1", 108.0)]


def test_what_is_let_go_is_told_to_those_who_saw_it_wherever_it_went_since() -> None:
    states = EntityStates(max_entities=1)
    states.apply(event("det-1", TrafficFlow(speed_kmh=1.0), ward="a"))
    states.collect()
    states.apply(event("det-1", TrafficFlow(speed_kmh=2.0), time_us=T0_US + 1, ward="b"))
    states.apply(event("det-2", TrafficFlow(speed_kmh=1.0), ward="c"))
    batch = states.collect()
    assert batch is not None
    (frame,) = batch.frames(Scope(frozenset({"a"})), None)
    assert json.loads(frame.text)["del"] == ["det-1"]


# No place is 1e-310 degrees from the equator, and of such a number even the half is lost.
lon_lat = st.tuples(st.floats(-180, 180, allow_subnormal=False), st.floats(-90, 90, allow_subnormal=False))


@given(one=lon_lat, two=lon_lat, inner=lon_lat)
def test_tiles_cover_the_view_and_little_more(
    one: tuple[float, float], two: tuple[float, float], inner: tuple[float, float]
) -> None:
    box = (one[0], min(one[1], two[1]), two[0], max(one[1], two[1]))
    wide = tiled(box)
    assert -180 <= wide[0] <= 180 and -90 <= wide[1] <= wide[3] <= 90 and -180 <= wide[2] <= 180
    if box_contains(box, *inner):
        assert box_contains(wide, *inner)
    if box[0] <= box[2]:
        longer = max(box[2] - box[0], box[3] - box[1], SMALLEST_VIEW_DEG)
        assert max(box[0] - wide[0], wide[2] - box[2], box[1] - wide[1], wide[3] - box[3]) <= longer / 4
