"""The state at a past moment and 5-minute series, as people may ask for them."""

import pytest

from ioc.model.events import CameraCount, CameraPlate, Stream, TrafficFlow
from ioc.model.times import DAY_US, MINUTE_US, SECOND_US
from ioc.store.series import Point, SeriesQuery
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FOREIGN, WARD, FakeHistory, FakeUsers, make_deps
from tests.unit.stream.samples import T0_US, event


async def test_a_moment_is_told_in_the_words_of_the_feed(users: FakeUsers, browse: Browser) -> None:
    seen = [
        event("det-1", TrafficFlow(speed_kmh=40.0, volume_veh=3, lane="1"), lon=106.6, lat=11.0),
        event("det-1", TrafficFlow(speed_kmh=20.0, volume_veh=1, lane="2"), lon=106.6, lat=11.0),
        event("cam-1", CameraCount(people=2, vehicles=3), lon=106.7, lat=11.1),
        event("cam-2", CameraPlate(plate="61A-123.45"), lon=106.7, lat=11.1),
    ]
    history = FakeHistory(seen)
    async with browse(deps=make_deps(users, history=history)) as client:
        answer = await client.get(
            "/api/v1/history/moment", params={"ward": WARD, "at": "2026-11-18T10:00:00Z", "window_s": 60}
        )
    found = answer.json()
    assert (found["at"], found["window_s"]) == ("2026-11-18T10:00:00.000Z", 60)
    detector, camera = found["items"]
    assert (detector["id"], detector["kind"], detector["speed_kmh"], detector["volume_veh"]) == (
        "det-1",
        "detector",
        35.0,
        4,
    )
    assert (camera["id"], camera["objects"]) == ("cam-1", 5)
    ((wards, _, window_us),) = history.asked  # type: ignore[misc]
    assert (wards, window_us) == ((WARD,), 60 * SECOND_US)


async def test_a_series_names_source_or_ward_and_carries_its_values(
    users: FakeUsers, browse: Browser
) -> None:
    history = FakeHistory(points=[Point(T0_US - T0_US % (5 * MINUTE_US), WARD, {"measurements": 3})])
    async with browse(deps=make_deps(users, history=history)) as client:
        answer = await client.get("/api/v1/history/traffic/series", params={"source": "det-1"})
        await client.get("/api/v1/history/camera/series", params={"ward": WARD})
    assert answer.json()["bucket_s"] == 300
    assert answer.json()["points"][0]["values"] == {"measurements": 3}
    by_source, by_ward = history.asked
    assert by_source == SeriesQuery(
        stream=Stream.TRAFFIC, from_us=T0_US - DAY_US, to_us=T0_US, source="det-1"
    )
    assert by_ward == SeriesQuery(
        stream=Stream.CAMERA, from_us=T0_US - DAY_US, to_us=T0_US, ward=WARD, wards=(WARD,)
    )


async def test_ward_staff_get_their_ward_and_no_other(users: FakeUsers, browse: Browser) -> None:
    history = FakeHistory()
    async with browse(Role.WARD, make_deps(users, history=history)) as client:
        assert (await client.get("/api/v1/history/moment")).status_code == 200
        await client.get("/api/v1/history/traffic/series", params={"source": "det-1"})
        for path in ("moment", "traffic/series"):
            answer = await client.get(f"/api/v1/history/{path}", params={"ward": FOREIGN})
            assert answer.status_code == 404
    moment, series = history.asked
    assert moment[0] == (WARD,)  # type: ignore[index]
    assert isinstance(series, SeriesQuery)
    assert series.wards == (WARD,)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("moment", "ward"),
        (f"moment?ward={WARD}&at=yesterday", "at"),
        (f"moment?ward={WARD}&window_s=0", "window_s"),
        (f"moment?ward={WARD}&window_s=3601", "window_s"),
        ("moment?ward=%00", "ward"),
        ("feedback/series?source=x", "stream"),
        ("traffic/series", "source"),
        (f"traffic/series?source=x&ward={WARD}", "source"),
        ("traffic/series?source=%00", "source"),
        ("traffic/series?source=x&from=2020-01-01T00:00:00Z", "from"),
        ("traffic/series?source=x&to=0001-01-01T00:00:00Z", "to"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_the_field(
    browse: Browser, path: str, field: str
) -> None:
    async with browse() as client:
        answer = await client.get(f"/api/v1/history/{path}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
