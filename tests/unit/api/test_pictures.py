"""Pictures of cameras that only have a moving one, and what a hostile or slow camera may cost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address, ip_network

import httpx
import pytest

from ioc.api.mjpeg import FirstFrame, NotMjpegError
from ioc.api.pictures import PictureError, PictureProxy, PictureSettings
from ioc.model.places import Device, DeviceKind
from ioc.outbound.camera import PLAIN, Login, Reach
from ioc.outbound.destination import Address, Destinations
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import WARD, FakePlaces, FakeUsers, make_deps

JPEG = b"\xff\xd8\xff" + b"x" * 50 + b"\r\n--not the end" + b"\xff\xd9"
PART = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n"
SIZED = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(JPEG) + JPEG + b"\r\n"
MOVING = {"content-type": "multipart/x-mixed-replace; boundary=frame"}


async def resolve(_host: str, _port: int) -> list[Address]:
    return [ip_address("192.0.2.7")]


def proxy(transport: httpx.AsyncBaseTransport, reach: Reach = PLAIN, **settings: object) -> PictureProxy:
    allowed = Destinations(networks=(ip_network("192.0.2.0/24"),))
    return PictureProxy(
        PictureSettings(destinations=allowed, **settings),  # type: ignore[arg-type]
        transport=transport,
        resolve=resolve,
        reach_of=lambda _device: reach,
    )


@pytest.mark.parametrize("part", [PART, SIZED])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_first_picture_of_a_stream_is_found_however_it_is_cut(part: bytes, size: int) -> None:
    reader, stream = FirstFrame(), part * 3
    found = [frame for at in range(0, len(stream), size) if (frame := reader.feed(stream[at : at + size]))]
    assert found[0] == JPEG


@pytest.mark.parametrize(
    "stream", [b"--f\r\nContent-Type: text/html\r\n\r\n<html>", b"--f\r\n\r\n\xff\xd8", b"x" * 5_000]
)
def test_a_stream_of_something_else_is_none_of_pictures(stream: bytes) -> None:
    with pytest.raises(NotMjpegError):
        FirstFrame().feed(stream)


class Endless(httpx.AsyncByteStream):
    """A camera that never stops; remembers whether we hung up."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self.first, self.rest, self.closed = first, rest, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.first
        while True:
            await asyncio.sleep(0)
            yield self.rest

    async def aclose(self) -> None:
        self.closed = True


async def test_a_moving_picture_gives_its_first_and_the_connection_is_closed() -> None:
    stream = Endless(PART, PART)
    pictures = proxy(httpx.MockTransport(lambda _r: httpx.Response(200, stream=stream, headers=MOVING)))
    picture = await pictures.fetch("http://cam.test/video.mjpg")
    assert (picture.media_type, picture.data, stream.closed) == ("image/jpeg", JPEG, True)
    await pictures.aclose()


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (lambda: httpx.Response(200, stream=Endless(PART[:60], b"y" * 900), headers=MOVING), "larger than"),
        (lambda: httpx.Response(200, content=PART[:60], headers=MOVING), "ended before its first picture"),
        (lambda: httpx.Response(200, content=b"--f\r\nContent-Type: a/b\r\n\r\n", headers=MOVING), "a/b"),
        (
            lambda: httpx.Response(
                200,
                stream=Endless(b"", b""),
                headers={"content-type": "image/jpeg", "content-encoding": "br"},
            ),
            "compressed",
        ),
        (lambda: httpx.Response(302, headers={"location": "http://169.254.169.254/"}), "answered 302"),
    ],
)
async def test_what_a_hostile_camera_may_cost_is_bounded(
    answer: Callable[[], httpx.Response], finding: str
) -> None:
    pictures = proxy(httpx.MockTransport(lambda _request: answer()), max_bytes=2_000)
    with pytest.raises(PictureError, match=finding):
        await pictures.fetch("http://cam.test/video.mjpg")
    await pictures.aclose()


async def test_one_host_is_not_asked_for_everything_at_once_and_others_need_not_wait() -> None:
    open_now: dict[str, int] = {}
    most: dict[str, int] = {}
    busy, release = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        host = request.headers["host"]
        open_now[host] = open_now.get(host, 0) + 1
        most[host] = max(most.get(host, 0), open_now[host])
        if open_now.get("nvr.test") == 2:
            busy.set()
        if host == "nvr.test":
            await release.wait()
        open_now[host] -= 1
        return httpx.Response(200, content=JPEG, headers={"content-type": "image/jpeg"})

    pictures = proxy(httpx.MockTransport(slow), timeout_s=60.0, max_fetches=4, max_fetches_per_host=2)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(pictures.fetch(f"http://nvr.test/{number}.jpg"))
        await busy.wait()
        assert (await pictures.fetch("http://cam.test/1.jpg")).data == JPEG
        release.set()
    assert most["nvr.test"] == 2
    await pictures.aclose()


@pytest.mark.parametrize(
    ("stream_url", "has_picture"),
    [
        ("http://cam.test/video.mjpg", True), ("rtsp://cam.test/live", False), (None, False),
        ("https://cam.test/live.m3u8", False),
    ],
)  # fmt: skip
async def test_a_camera_with_an_mjpeg_address_has_pictures_and_one_with_rtsp_or_hls_has_not(
    users: FakeUsers, browse: Browser, stream_url: str | None, has_picture: bool
) -> None:
    camera = Device(id="cam-1", kind=DeviceKind.CAMERA, name="C", ward=WARD, stream_url=stream_url)
    transport = httpx.MockTransport(
        lambda _r: httpx.Response(200, stream=Endless(PART, PART), headers=MOVING)
    )
    deps = make_deps(users, places=FakePlaces([camera], []), pictures=proxy(transport))
    async with browse(deps=deps) as client:
        (item,) = (await client.get("/api/v1/devices")).json()["items"]
        answer = await client.get("/api/v1/cameras/cam-1/picture")
    assert item["has_picture"] is has_picture
    assert (answer.status_code, answer.content == JPEG) == (200 if has_picture else 404, has_picture)


class Locked:
    """A camera that asks for a login; `challenges` are what it asks for."""

    def __init__(self, *challenges: str) -> None:
        self.challenges = challenges
        self.given: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        given = request.headers.get("authorization")
        self.given.append(given)
        assert "@" not in str(request.url)
        if given and "wrong" not in given and "d3Jvbmc=" not in given:
            return httpx.Response(200, content=JPEG, headers={"content-type": "image/jpeg"})
        return httpx.Response(401, headers=[("www-authenticate", text) for text in self.challenges])


DIGEST = 'Digest qop="auth", realm="IP Camera(C)", nonce="abc", stale="FALSE"'
BASIC = 'Basic realm="IP Camera"'
LOCKED = Device(id="cam-1", kind=DeviceKind.CAMERA, name="C")


@pytest.mark.parametrize("challenges", [(DIGEST,), (BASIC, DIGEST), (f"{BASIC}, {DIGEST}",)])
async def test_a_camera_is_logged_in_to_by_digest_wherever_it_offers_it(challenges: tuple[str, ...]) -> None:
    cam = Locked(*challenges)
    pictures = proxy(httpx.MockTransport(cam), Reach(Login("admin", "right")), fresh_s=0.0)
    for _ in range(2):
        assert (await pictures.fetch("http://cam.test/1.jpg", LOCKED)).data == JPEG
    assert [(given or "")[:6] for given in cam.given] == ["", "Digest", "Digest"], "the nonce is used again"
    await pictures.aclose()


@pytest.mark.parametrize(
    ("url", "reach", "readable"),
    [
        ("http://cam.test/1.jpg", Reach(Login("admin", "x")), False),
        ("http://admin:x@cam.test/1.jpg", Reach(), False),
        ("http://cam.test/1.jpg", Reach(Login("admin", "x"), basic_over_http=True), True),
        ("https://cam.test/1.jpg", Reach(Login("admin", "x")), True),
    ],
)
async def test_a_password_is_sent_readable_over_https_or_where_that_is_allowed(
    url: str, reach: Reach, readable: bool
) -> None:
    cam = Locked(BASIC)
    pictures = proxy(httpx.MockTransport(cam), reach)
    if readable:
        assert (await pictures.fetch(url, LOCKED)).data == JPEG
    else:
        with pytest.raises(PictureError, match=r"readable \(Basic\) over http"):
            await pictures.fetch(url, LOCKED)
    assert [given is not None for given in cam.given] == [False, *[True] * readable]
    await pictures.aclose()


async def test_a_refused_login_is_not_sent_with_every_look_and_a_new_one_is_at_once() -> None:
    now_us, reach = [0], [Reach(Login("admin", "wrong"), basic_over_http=True)]
    cam = Locked(BASIC)
    allowed = Destinations(networks=(ip_network("192.0.2.0/24"),))
    pictures = PictureProxy(
        PictureSettings(destinations=allowed, fresh_s=0.0, login_wait_s=300.0),
        transport=httpx.MockTransport(cam), resolve=resolve,
        reach_of=lambda _device: reach[0], clock_us=lambda: now_us[0],
    )  # fmt: skip
    cam.challenges = (DIGEST.replace("abc", "wrong"),)
    for at_s in (0, 1, 299, 301, 800, 902):  # after 300 s, then after 600
        now_us[0] = at_s * 1_000_000
        with pytest.raises(PictureError, match="refuses the login of 'admin'"):
            await pictures.fetch("http://cam.test/1.jpg", LOCKED)
    assert [given is not None for given in cam.given] == [False, True] * 3, "asked, and answered once"
    cam.challenges = (DIGEST,)
    reach[0] = Reach(Login("admin", "right"))
    assert (await pictures.fetch("http://cam.test/1.jpg", LOCKED)).data == JPEG
    await pictures.aclose()
