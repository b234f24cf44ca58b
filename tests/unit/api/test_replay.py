"""A past range as people may ask for it."""

import pytest

from ioc.model.events import CameraCount, TrafficFlow
from ioc.model.times import MINUTE_US
from ioc.store.playback import PlaybackRange
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FOREIGN, WARD, FakeHistory, FakeUsers, make_deps
from tests.unit.stream.samples import T0_US, event

PLAYBACK = "/api/v1/playback"


async def test_frames_hold_everything_first_and_then_what_changed(users: FakeUsers, browse: Browser) -> None:
    history = FakeHistory(
        [
            event("det-1", TrafficFlow(speed_kmh=40.0, volume_veh=3), lon=106.6, lat=11.0),
            event("cam-1", CameraCount(people=2), lon=106.6, lat=11.0),
        ],
        stepped=[(3, event("det-1", TrafficFlow(speed_kmh=9.0, volume_veh=1), lon=106.6, lat=11.0))],
    )
    span: dict[str, str | int] = {"from": "2026-11-18T10:00:00Z", "to": "2026-11-18T10:01:00Z", "step_s": 10}
    async with browse(deps=make_deps(users, history=history)) as client:
        answer = await client.get(f"{PLAYBACK}/states", params=span)
    first, later = answer.json()["frames"]
    assert first["at"] == "2026-11-18T10:00:00.000Z"
    assert {item["id"] for item in first["items"]} == {"det-1", "cam-1"}
    assert later["at"] == "2026-11-18T10:00:30.000Z"
    assert [(item["id"], item["speed_kmh"]) for item in later["items"]] == [("det-1", 9.0)]


async def test_ward_staff_play_their_ward_and_no_other(users: FakeUsers, browse: Browser) -> None:
    history = FakeHistory()
    async with browse(Role.WARD, make_deps(users, history=history)) as client:
        for path in ("incidents", "histogram"):
            assert (await client.get(f"{PLAYBACK}/{path}")).status_code == 200
            assert (await client.get(f"{PLAYBACK}/{path}?ward={FOREIGN}")).status_code == 404
    own = PlaybackRange(from_us=T0_US - 15 * MINUTE_US, to_us=T0_US, wards=(WARD,))
    assert history.asked == [(own, 0, 500), (own, 60)]


async def test_more_than_an_answer_holds_is_refused_with_what_to_do(
    users: FakeUsers, browse: Browser
) -> None:
    async with browse(deps=make_deps(users, history=FakeHistory(too_much=True))) as client:
        answer = await client.get(f"{PLAYBACK}/states")
    assert answer.status_code == 422
    assert "ask for a shorter range" in answer.text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("states?from=yesterday", "from"),
        ("states?from=2026-11-18T08:00:00Z&to=2026-11-18T10:00:00Z&step_s=60", "from"),
        ("states?from=2026-11-18T09:30:00Z&to=2026-11-18T10:00:00Z&step_s=1", "step_s"),
        ("states?step_s=0", "step_s"),
        ("incidents?from=2026-11-16T10:00:00Z&to=2026-11-18T10:00:00Z", "from"),
        ("incidents?from=2026-11-18T10:00:00Z&to=2026-11-18T10:00:00Z", "from"),
        ("incidents?after=-1", "after"),
        ("incidents?limit=1001", "limit"),
        ("histogram?bucket_s=1", "bucket_s"),
        ("histogram?ward=%00", "ward"),
    ],
)
async def test_a_bad_range_is_refused_by_field(
    users: FakeUsers, browse: Browser, path: str, field: str
) -> None:
    async with browse(deps=make_deps(users, history=FakeHistory())) as client:
        answer = await client.get(f"{PLAYBACK}/{path}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
