"""Pull points of ONVIF cameras: subscribed, pulled, renewed, let go, and made anew when one is forgotten."""

import asyncio
from datetime import timedelta

import pytest

from ioc.model.attachments import AttachState
from ioc.model.places import AttachKind
from ioc.outbound.camera import Login
from ioc.store.pool import Pool
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.integration.app.attach_room import Room, camera, until
from tests.integration.app.fake_cameras import Camera, once, serving
from tests.integration.app.fake_onvif import OnvifCamera


@pytest.fixture
def service_pool(pool: ScopedPool) -> Pool:
    return pool.of(SERVICE)


@pytest.fixture
def room(service_pool: Pool) -> Room:
    room = Room(service_pool)
    room.logins["cam-1"] = Login("admin", "x")
    return room


async def test_a_pull_point_is_held_and_let_go_whatever_the_camera_thinks_of_time_and_of_its_address(
    room: Room,
) -> None:
    onvif = OnvifCamera(ahead=timedelta(hours=-9))
    onvif.tell(1, 2, 2, 3)
    async with serving(Camera(onvif.answer)) as cam:
        await room.register(camera(AttachKind.ONVIF, cam.url))
        async with room.running():
            await until(lambda: len(room.kinds) == 3 and onvif.renewed)
            assert (await room.stands(AttachState.CONNECTED)).error is None
        assert room.kinds == ["line_crossing"] * 3
        assert (onvif.subscriptions, onvif.alive) == (1, set())
        assert onvif.asked[:4] == [
            "GetSystemDateAndTime", "GetCapabilities", "CreatePullPointSubscription", "PullMessages"
        ]  # fmt: skip
        assert onvif.asked[-1] == "Unsubscribe"


async def test_a_camera_that_forgets_is_subscribed_to_anew_and_one_that_cannot_renew_is_pulled_on(
    room: Room,
) -> None:
    onvif = OnvifCamera()
    onvif.renews = False
    async with serving(Camera(onvif.answer)) as cam:
        await room.register(camera(AttachKind.ONVIF, cam.url))
        async with room.running():
            await until(lambda: "Renew" in onvif.asked)
            assert onvif.subscriptions == 1
            onvif.alive.clear()  # it was switched off and on
            onvif.tell(5)
            await until(lambda: room.kinds == ["line_crossing"])
            found = await room.stands(AttachState.CONNECTED, connects=2)
        assert "no such subscription" in (found.error or "")


async def test_a_login_that_is_not_taken_is_said_and_not_tried_again_soon(room: Room) -> None:
    onvif = OnvifCamera(password="another")
    async with serving(Camera(onvif.answer)) as cam:
        await room.register(camera(AttachKind.ONVIF, cam.url))
        async with room.running():
            found = await room.stands(AttachState.REFUSED)
            assert "NotAuthorized" in (found.error or "")
            asked = len(onvif.asked)
            await asyncio.sleep(0.3)  # several looks
            assert len(onvif.asked) == asked


async def test_a_camera_that_wants_digest_by_http_gets_it(room: Room) -> None:
    onvif = OnvifCamera()
    onvif.tell(1)
    async with serving(Camera(onvif.answer, "admin", "x")) as cam:
        await room.register(camera(AttachKind.ONVIF, cam.url))
        async with room.running():
            await until(lambda: room.kinds == ["line_crossing"])
        refused = len(cam.asked) - len(cam.let_in)
        assert refused == 1, "what it wants to know is remembered"


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (once("200 OK", b"<html></html>"), "expected a SOAP envelope"),
        (once("404 Not Found", b"no"), "answered 404"),
        (once("200 OK", b"<" + b"x" * 70_000), "more than 65536 bytes"),
    ],
    ids=["no soap", "absent", "giant"],
)
async def test_answers_that_are_none_are_said(room: Room, answer: object, trouble: str) -> None:
    async with serving(Camera(answer)) as cam:  # type: ignore[arg-type]
        await room.register(camera(AttachKind.ONVIF, cam.url))
        async with room.running(max_part_bytes=65_536, retry_min_s=60, retry_max_s=60):
            assert trouble in ((await room.trouble(saying=trouble)).error or "")
