"""A past range as people may ask for it."""

import msgspec
import pytest
from prometheus_client import REGISTRY

from ioc.api.replay import PlaybackBounds
from ioc.model.events import CameraCount, TrafficFlow
from ioc.model.times import HOUR_US, MINUTE_US
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


async def test_bounds_that_are_set_hold_and_what_they_refuse_is_counted(
    users: FakeUsers, browse: Browser
) -> None:
    bounds = PlaybackBounds(span_us=3 * HOUR_US, states_us=HOUR_US, steps=6, buckets=10, values=7)
    history = FakeHistory()
    deps = msgspec.structs.replace(make_deps(users, history=history), playback=bounds)
    asked = {
        "span": ("incidents?from=2026-11-18T06:59:59Z&to=2026-11-18T10:00:00Z", "at most 3 hours"),
        "states": ("states?from=2026-11-18T08:59:59Z&to=2026-11-18T10:00:00Z", "at most 60 minutes"),
        "steps": ("states?from=2026-11-18T09:58:59Z&to=2026-11-18T10:00:00Z", "at most 6 steps"),
        "buckets": ("histogram?bucket_s=60&from=2026-11-18T09:49:59Z&to=2026-11-18T10:00:00Z", "at most 10"),
    }
    before = {bound: refusals(bound) for bound in asked}
    async with browse(deps=deps) as client:
        for path, words in asked.values():
            answer = await client.get(f"{PLAYBACK}/{path}")
            assert (answer.status_code, words in answer.text) == (422, True), answer.text
        await client.get(f"{PLAYBACK}/states?from=2026-11-18T09:59:00Z&to=2026-11-18T10:00:00Z")
    assert {bound: refusals(bound) - before[bound] for bound in asked} == dict.fromkeys(asked, 1)
    assert [each[-1] for each in history.asked if isinstance(each[0], PlaybackRange)] == [7]


def refusals(bound: str) -> float:
    return REGISTRY.get_sample_value("ioc_playback_refused_total", {"bound": bound}) or 0.0


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
