"""Event streams of cameras that do not push: held, authorised as the device, durable, bounded, and let go."""

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme

from ioc.ingest.registry import RegistrySnapshot
from ioc.model.attachments import AttachState
from ioc.model.places import AttachKind
from ioc.outbound.camera import Login
from ioc.store.pool import Pool
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.integration.app.attach_room import Room, camera, until
from tests.integration.app.fake_cameras import (
    HEARTBEAT,
    JPEG,
    LINE,
    XML,
    Answer,
    Asked,
    Camera,
    once,
    part,
    serving,
    streaming,
)

ALERTS = "/ISAPI/Event/notification/alertStream"


@pytest.fixture
def service_pool(pool: ScopedPool) -> Pool:
    return pool.of(SERVICE)


@pytest.fixture
def room(service_pool: Pool) -> Room:
    return Room(service_pool)


async def test_alerts_come_as_if_pushed_and_pictures_beside_them_are_passed_over(room: Room) -> None:
    stream = part(XML % 1) + part(JPEG, b"image/jpeg") + part(HEARTBEAT % 2) + part(XML % 3, length=None)
    chopped = [stream[at : at + 97] for at in range(0, len(stream), 97)]
    async with serving(Camera(streaming(*chopped), "admin", "bí mật")) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        room.logins["cam-1"] = Login("admin", "bí mật")
        async with room.running():
            await until(lambda: len(room.kinds) == 3)
            assert room.kinds == ["intrusion", "camera.status", "intrusion"]
            assert {event.source for event in room.city.log.events} == {"cam-1"}
            found = await room.stands(AttachState.CONNECTED)
            assert (found.connects, found.error, found.due_us) == (1, None, None)
        assert {asked.path for asked in cam.asked} == {ALERTS}
        assert room.city.service.device_counts.take()[0].device_id == "cam-1", "its health is counted"
        assert not room.city.quarantine.rows


async def test_dahua_is_asked_for_everything_and_for_heartbeats(room: Room) -> None:
    chunks = [
        part(LINE % 1, b"text/plain"),
        part(b"Heartbeat", b"text/plain", None),
        part(LINE % 2, b"text/plain", 3),
    ]
    answer = streaming(*chunks, media="multipart/x-mixed-replace; boundary=myboundary")
    async with serving(Camera(answer, "admin", "x")) as cam:
        await room.register(camera(AttachKind.DAHUA, cam.url + "/"))
        room.logins["cam-1"] = Login("admin", "x")
        async with room.running(heartbeat_s=7):
            await until(lambda: room.kinds == ["line_crossing", "camera.status", "line_crossing"])
        assert cam.asked[0].path == "/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat=7"


async def test_a_wrong_password_is_sent_once_and_a_new_one_at_once(room: Room) -> None:
    async with serving(Camera(streaming(part(XML % 1)), "admin", "right")) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        room.logins["cam-1"] = Login("admin", "wrong")
        async with room.running():
            found = await room.stands(AttachState.REFUSED)
            assert found.error == "refuses the login of 'admin'"
            assert found.due_us is not None
            assert len(cam.asked) == 2, "a question and an answer"
        async with room.running():
            await asyncio.sleep(0.3)  # several looks: another process, or this one restarted, waits as well
            assert len(cam.asked) == 2
            room.logins["cam-1"] = Login("admin", "right")
            await room.stands(AttachState.CONNECTED)


async def test_the_stream_of_a_disabled_device_is_closed_and_opened_again_once_it_is_enabled(
    room: Room,
) -> None:
    async with serving(Camera(streaming(part(XML % 1)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running():
            await room.stands(AttachState.CONNECTED)
            room.city.registry.replace(RegistrySnapshot(room.devices, [], ["cam-1"]))
            await room.stands(AttachState.WAITING)
            await asyncio.sleep(0.3)  # several looks
            assert len(cam.asked) == 1
            room.city.registry.replace(RegistrySnapshot(room.devices, []))
            await room.stands(AttachState.CONNECTED, connects=2)
    assert len(cam.asked) == 2


WRONG: dict[str, tuple[Answer, AttachState, str]] = {
    "no-login": (once("401 Unauthorized"), AttachState.REFUSED, "asks for a login, and none is registered"),
    "locked": (once("403 Forbidden", b"<locked/>"), AttachState.REFUSED, "answered 403"),
    "busy": (once("503 Busy"), AttachState.WAITING, "answered 503"),
    "page": (once("200 OK", b"<html>", "Content-Type: text/html"), AttachState.WAITING, "expected multipart"),
    "packed": (once("200 OK", b"", "Content-Encoding: gzip"), AttachState.WAITING, "compressed"),
    "no-parts": (streaming(b"x" * 70_000, media="multipart/mixed"), AttachState.WAITING, "no boundary"),
    "hangs-up": (streaming(part(HEARTBEAT % 1), then="close"), AttachState.WAITING, "ended the stream"),
}


async def test_what_is_wrong_is_said_of_each(room: Room) -> None:
    async with AsyncExitStack() as stack:
        urls = {
            name: (await stack.enter_async_context(serving(Camera(answer)))).url
            for name, (answer, _, _) in WRONG.items()
        }
        await room.register(*(camera(AttachKind.HIKVISION, url, name) for name, url in urls.items()))
        await stack.enter_async_context(room.running(max_part_bytes=65_536, retry_min_s=60, retry_max_s=60))
        for name, (_, state, trouble) in WRONG.items():
            found = await room.trouble(name)
            assert (found.state, trouble in (found.error or "")) == (state, True), name


async def test_a_redirect_is_not_followed_and_no_login_reaches_another_host(room: Room) -> None:
    async with serving(Camera(streaming())) as other:
        answer = once("302 Found", b"", f"Location: {other.url}{ALERTS}")
        async with serving(Camera(answer, "admin", "x")) as cam:
            await room.register(camera(AttachKind.HIKVISION, cam.url))
            room.logins["cam-1"] = Login("admin", "x")
            async with room.running(retry_min_s=60, retry_max_s=60):
                found = await room.trouble()
    assert "not followed" in (found.error or "")
    assert not other.asked


async def test_an_address_outside_the_networks_of_cameras_is_never_connected_to(service_pool: Pool) -> None:
    room = Room(service_pool, networks="192.0.2.0/24")
    async with serving(Camera(streaming())) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running(retry_min_s=60, retry_max_s=60):
            found = await room.trouble()
        assert not cam.asked
    assert "not among the hosts and networks" in (found.error or "")


async def test_a_password_is_sent_readable_only_where_the_device_allows_it(room: Room) -> None:
    async with serving(Camera(streaming(part(XML % 1)), "admin", "x", scheme="basic")) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        room.logins["cam-1"] = Login("admin", "x")
        async with room.running():
            assert "readable" in ((await room.stands(AttachState.REFUSED)).error or "")
            assert not any("authorization" in asked.headers for asked in cam.asked)
            await room.register(camera(AttachKind.HIKVISION, cam.url, basic_over_http=True))
            await until(lambda: room.kinds == ["intrusion"])


async def test_a_certificate_is_checked_unless_the_device_says_otherwise(room: Room) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(tls)
    async with serving(Camera(streaming(part(XML % 1))), tls) as cam:
        url = cam.url.replace("http:", "https:")
        await room.register(camera(AttachKind.HIKVISION, url))
        async with room.running():
            assert "certificate is not trusted" in ((await room.trouble()).error or "")
            assert not cam.asked
            await room.register(camera(AttachKind.HIKVISION, url, tls_verify=False))
            await until(lambda: room.kinds == ["intrusion"])


async def test_a_silent_stream_is_taken_for_dead_and_heartbeats_keep_it(room: Room) -> None:
    async with serving(Camera(streaming(part(HEARTBEAT % 1)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running(heartbeat_s=1, idle_s=1.05):
            found = await room.stands(AttachState.CONNECTED, connects=2)
    assert found.error == "sent nothing for too long"


async def test_changes_of_the_registry_are_followed(room: Room) -> None:
    async with (
        serving(Camera(streaming(part(XML % 1)))) as first,
        serving(Camera(streaming(part(XML % 2)))) as second,
        room.running(),
    ):
        await room.register(camera(AttachKind.HIKVISION, first.url))
        await until(lambda: first.open == 1 and len(room.kinds) == 1)
        await room.register(camera(AttachKind.HIKVISION, first.url, picture_url=first.url))
        await room.register(camera(AttachKind.HIKVISION, second.url))
        await until(lambda: (first.open, second.open) == (0, 1) and len(room.kinds) == 2)
        assert len(first.asked) == 1, "a change that does not concern the stream leaves it"
        room.devices = []
        await until(lambda: second.open == 0)


async def test_nothing_more_is_read_while_the_log_takes_nothing_and_nothing_is_left_out(room: Room) -> None:
    total, sent, stalled = 400, 0, asyncio.Event()

    async def answer(_asked: Asked, writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed\r\n\r\n")
        for number in range(total):
            dated = XML.replace(b"17:00:%02d", b"%02d:%02d:00" % divmod(number, 60))
            writer.write(part(dated.replace(b"</Event", b"<pad>" + b"x" * 60_000 + b"</pad></Event")))
            while True:
                try:
                    async with asyncio.timeout(0.2):
                        await writer.drain()
                    break
                except TimeoutError:
                    stalled.set()
            sent = number + 1
        return False

    room.city.log.gate.clear()
    async with serving(Camera(answer)) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running():
            await until(lambda: room.city.log.waiting == 1)
            async with asyncio.timeout(30):
                await stalled.wait()
            assert sent < total
            assert not room.kinds
            room.city.log.gate.set()
            await until(lambda: len(room.kinds) + len(room.city.quarantine.rows) == total)


async def test_what_cannot_be_stored_is_tried_again_before_more_is_taken(room: Room) -> None:
    room.city.log.down = True
    async with serving(Camera(streaming(part(XML % 1), part(XML % 2)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running():
            await until(lambda: room.city.service.metrics.refused.labels("attach", "log")._value.get() >= 2)
            room.city.log.down = False
            await until(lambda: len(room.kinds) == 2)
        assert len(cam.asked) == 1


async def test_a_stop_lets_what_is_being_stored_become_durable(room: Room) -> None:
    room.city.log.gate.clear()
    async with serving(Camera(streaming(part(XML % 1), part(XML % 2)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running() as attacher:
            await until(lambda: room.city.log.waiting == 1)
            await attacher.stop()
            room.city.log.gate.set()
        assert len(room.kinds) >= 1
        await until(lambda: cam.open == 0)
    assert (await room.standing()).state is AttachState.WAITING


async def test_a_stop_does_not_wait_for_a_log_that_takes_nothing(room: Room) -> None:
    room.city.log.gate.clear()
    async with serving(Camera(streaming(part(XML % 1)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running():
            await until(lambda: room.city.log.waiting == 1)
    assert not room.kinds


async def test_one_process_holds_a_stream_and_another_takes_over(room: Room) -> None:
    async with serving(Camera(streaming(part(HEARTBEAT % 1)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running(room.attacher(lease_s=3)):
            async with room.running(room.attacher(lease_s=3)):
                await room.stands(AttachState.CONNECTED)
                await asyncio.sleep(1.2)  # longer than a renewal takes
                assert (cam.open, len(cam.asked)) == (1, 1)
            await until(lambda: cam.open == 1)
            found = await room.stands(AttachState.CONNECTED)
            assert found.connects == len(cam.asked)
        await until(lambda: cam.open == 0)


async def test_each_process_holds_as_many_as_it_may_and_leaves_the_others(room: Room) -> None:
    async with serving(Camera(streaming(part(HEARTBEAT % 1)))) as cam:
        await room.register(*(camera(AttachKind.HIKVISION, cam.url, f"cam-{n}") for n in range(3)))
        async with room.running(room.attacher(max_streams=2)):
            await until(lambda: cam.open == 2)
            async with room.running(room.attacher(max_streams=2)):
                await until(lambda: cam.open == 3)
        assert {asked.path for asked in cam.asked} == {ALERTS}


async def test_old_recorders_are_asked_where_they_have_it(room: Room) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        held = asked.path == "/Event/notification/alertStream"
        return await (streaming(part(XML % 1)) if held else once("404 Not Found"))(asked, writer)

    async with serving(Camera(answer)) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running():
            await until(lambda: room.kinds == ["intrusion"])


async def test_a_giant_part_costs_itself_and_is_counted(room: Room) -> None:
    giant = part(b"<EventNotificationAlert>" + b"x" * 200_000 + b"</EventNotificationAlert>")
    async with serving(Camera(streaming(part(XML % 1), giant, part(XML % 2)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running(max_part_bytes=65_536):
            await until(lambda: len(room.kinds) == 2)
            assert (await room.trouble()).error == "a part was too large and passed over"


async def test_streams_are_let_go_before_others_may_take_them(room: Room, service_pool: Pool) -> None:
    class Away:
        """A pool whose database can be away."""

        gone = False

        def connection(self) -> object:
            if self.gone:
                raise TimeoutError("the database does not answer")
            return service_pool.connection()

    pool = Away()
    async with serving(Camera(streaming(part(HEARTBEAT % 1)))) as cam:
        await room.register(camera(AttachKind.HIKVISION, cam.url))
        async with room.running(room.attacher(pool, lease_s=3)):  # type: ignore[arg-type]
            await until(lambda: cam.open == 1)
            pool.gone = True
            await until(lambda: cam.open == 0)
            pool.gone = False
            await until(lambda: cam.open == 1)
