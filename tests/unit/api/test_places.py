"""Places, pictures, history, quarantine, health and the console's files."""

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx
import pytest

from ioc.api.headers import content_security_policy
from ioc.api.pictures import PictureError, PictureProxy, PictureSettings
from ioc.api.ports import Check
from ioc.model.events import CameraPlate, CameraStatus, FeedbackReport
from ioc.model.places import Area, Device, DeviceKind
from ioc.model.texts import Text
from ioc.model.times import HOUR_US
from ioc.outbound.destination import Address, Destinations
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FOREIGN, WARD, FakeHistory, FakePlaces, FakeUsers, make_deps
from tests.unit.stream.samples import T0_US, event

CAMERA = Device(
    id="cam-1", kind=DeviceKind.CAMERA, name="Ngã tư", ward=WARD, lon=106.7, lat=11.0,
    picture_url="http://cam.test/now.jpg",
)  # fmt: skip
FOREIGN_CAMERA = Device(
    id="cam-2", kind=DeviceKind.CAMERA, name="Cầu", ward=FOREIGN, picture_url="http://cam.test/2.jpg"
)
DETECTOR = Device(id="det-1", kind=DeviceKind.DETECTOR, name="Vòng từ", ward=WARD)
AREA = Area(
    code=WARD, kind="ward", name=Text(vi="Phường X", en="Ward X"), illustrative=True,
    geometry={"type": "Point", "coordinates": [1, 2]}, properties={"population": 9},
)  # fmt: skip
JPEG = b"\xff\xd8\xff" + b"x" * 100

Handler = Callable[[httpx.Request], httpx.Response]


def resolving(*addresses: str) -> Callable[[str, int], object]:
    async def resolve(_host: str, _port: int) -> Sequence[Address]:
        return [ip_address(address) for address in addresses]

    return resolve


def proxy(handler: Handler, address: str = "192.0.2.7", **settings: object) -> PictureProxy:
    destinations = Destinations(
        networks=settings.pop("networks", (ip_network("192.0.2.0/24"),)),  # type: ignore[arg-type]
        hosts=settings.pop("hosts", frozenset()),  # type: ignore[arg-type]
    )
    return PictureProxy(
        PictureSettings(destinations=destinations, **settings),  # type: ignore[arg-type]
        transport=httpx.MockTransport(handler),
        resolve=resolving(address),  # type: ignore[arg-type]
    )


def jpeg(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=JPEG, headers={"content-type": "image/jpeg; x=y"})


async def test_areas_are_geojson_and_unchanged_ones_are_not_sent_again(
    users: FakeUsers, browse: Browser
) -> None:
    places = FakePlaces([], [AREA])
    async with browse(deps=make_deps(users, places=places)) as client:
        first = await client.get("/api/v1/areas?kind=ward")
        (feature,) = first.json()["features"]
        assert feature["properties"] == {
            "population": 9, "code": WARD, "kind": "ward", "name": "Phường X", "name_en": "Ward X",
            "illustrative": True, "valid_from": "1900-01-01", "valid_to": None,
        }  # fmt: skip
        again = await client.get("/api/v1/areas?kind=ward", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, places.reads) == (304, b"", 1)
        places.version, places.areas_known = "2", []
        changed = await client.get(
            "/api/v1/areas?kind=ward", headers={"If-None-Match": first.headers["etag"]}
        )
        assert (changed.status_code, changed.json()["features"]) == (200, [])


async def test_devices_show_no_address_and_ward_staff_see_their_own(
    users: FakeUsers, browse: Browser
) -> None:
    deps = make_deps(users, places=FakePlaces([CAMERA, FOREIGN_CAMERA, DETECTOR], [], disabled_ids={"det-1"}))
    async with browse(deps=deps) as operator, browse(Role.WARD, deps) as ward:
        everything = await operator.get("/api/v1/devices")
        own = await ward.get("/api/v1/devices")
    assert [item["id"] for item in everything.json()["items"]] == ["cam-1", "cam-2", "det-1"]
    assert [item["id"] for item in own.json()["items"]] == ["cam-1", "det-1"]
    assert own.json()["version"] == 7, "what the feed's frames of devices go on from"
    assert own.json()["items"][0] == {
        "id": "cam-1", "kind": "camera", "name": "Ngã tư", "ward": WARD, "lon": 106.7, "lat": 11.0,
        "has_picture": True, "disabled": False,
    }  # fmt: skip
    assert "cam.test" not in everything.text
    assert [item["disabled"] for item in everything.json()["items"]] == [False, False, True]


async def test_a_picture_is_passed_on_and_foreign_or_pictureless_devices_are_not_found(
    users: FakeUsers, browse: Browser
) -> None:
    places = FakePlaces([CAMERA, FOREIGN_CAMERA, DETECTOR], [])
    deps = make_deps(users, places=places, pictures=proxy(jpeg))
    async with browse(Role.WARD, deps) as client:
        response = await client.get("/api/v1/cameras/cam-1/picture")
        assert (response.content, response.headers["content-type"]) == (JPEG, "image/jpeg")
        assert response.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert response.headers["x-content-type-options"] == "nosniff"
        for camera in ("cam-2", "det-1", "cam-9"):
            assert (await client.get(f"/api/v1/cameras/{camera}/picture")).status_code == 404
    deps = make_deps(users, places=places, pictures=proxy(lambda _r: httpx.Response(500)))
    async with browse(deps=deps) as client:
        response = await client.get("/api/v1/cameras/cam-1/picture")
        assert (response.status_code, response.headers["content-type"]) == (502, "application/problem+json")


async def test_the_checked_address_is_the_one_that_is_connected_to() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return jpeg(request)

    await proxy(handler).fetch("https://cam.test:8443/now.jpg?x=1")
    assert str(seen[0].url) == "https://192.0.2.7:8443/now.jpg?x=1"
    assert seen[0].headers["host"] == "cam.test:8443"
    assert seen[0].extensions["sni_hostname"] == "cam.test"
    assert "cookie" not in seen[0].headers


@pytest.mark.parametrize(
    ("address", "settings"),
    [
        ("127.0.0.1", {}),
        ("169.254.169.254", {"hosts": frozenset({"cam.test"})}),
        ("127.0.0.1", {"hosts": frozenset({"cam.test"})}),
        ("::ffff:127.0.0.1", {"hosts": frozenset({"cam.test"})}),
        ("10.0.0.1", {"hosts": frozenset({"other.test"})}),
        ("0.0.0.0", {"hosts": frozenset({"cam.test"})}),
    ],
)
async def test_addresses_that_were_not_allowed_are_not_asked(
    address: str, settings: dict[str, object]
) -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return jpeg(request)

    with pytest.raises(PictureError):
        await proxy(handler, address, **settings).fetch("http://cam.test/now.jpg")
    assert asked == []


async def test_a_listed_host_or_network_is_asked() -> None:
    listed = proxy(jpeg, "10.0.0.1", hosts=frozenset({"cam.test"}))
    assert (await listed.fetch("http://CAM.test/x")).data == JPEG
    local = proxy(jpeg, "127.0.0.1", networks=(ip_network("127.0.0.0/8"),))
    assert (await local.fetch("http://localhost/x")).data == JPEG


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(302, headers={"location": "http://169.254.169.254/"}),
        httpx.Response(200, content=b"<script>", headers={"content-type": "text/html"}),
        httpx.Response(200, content=b"<svg/>", headers={"content-type": "image/svg+xml"}),
        httpx.Response(200, content=b"x" * 2000, headers={"content-type": "image/png"}),
        httpx.Response(200, content=b"no type"),
    ],
)
async def test_what_is_no_picture_of_bearable_size_is_refused(answer: httpx.Response) -> None:
    with pytest.raises(PictureError):
        await proxy(lambda _r: answer, max_bytes=1000).fetch("http://cam.test/x")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://cam.test/x", "http://", "gopher://x", "http://[::1"]
)
async def test_other_kinds_of_address_are_refused(url: str) -> None:
    with pytest.raises(PictureError):
        await proxy(jpeg).fetch(url)


async def test_a_slow_camera_is_given_up() -> None:
    async def handler(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(10)
        raise AssertionError("too late")

    with pytest.raises(PictureError, match="within"):
        await proxy(handler, timeout_s=0.02).fetch("http://cam.test/x")  # type: ignore[arg-type]


async def test_concurrent_and_repeated_requests_cause_one_fetch_good_or_bad() -> None:
    fetched: list[str] = []

    async def handler(request: httpx.Request) -> httpx.Response:
        fetched.append(request.url.path)
        await asyncio.sleep(0.01)
        return jpeg(request) if request.url.path == "/good" else httpx.Response(500)

    pictures = proxy(handler)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pictures.fetch("http://cam.test/good")) for _ in range(9)]
    assert {task.result().data for task in tasks} == {JPEG}
    for _ in range(2):
        with pytest.raises(PictureError):
            await pictures.fetch("http://cam.test/bad")
    assert fetched == ["/good", "/bad"]
    await pictures.aclose()


async def test_kept_pictures_are_bounded() -> None:
    pictures = proxy(jpeg, cache_bytes=300)
    for number in range(20):
        await pictures.fetch(f"http://cam.test/{number}")
    assert pictures._kept_bytes <= 300
    assert len(pictures._locks) == len(pictures._hosts) == 0


async def test_history_masks_the_contact_and_passes_the_question_on(
    users: FakeUsers, browse: Browser
) -> None:
    report = FeedbackReport(category="pothole", text="Ổ gà", contact="0901234567", extra={"n": 1})
    history = FakeHistory([event("portal", report), event("cam-1", CameraStatus(online=True))])
    async with browse(deps=make_deps(users, history=history)) as client:
        times = "from=2026-11-18T10:00:00%2B07:00&to=2026-11-18T11:00:00Z"
        query = f"{times}&bbox=106,10,107,11&source=portal&limit=5"
        response = await client.get(f"/api/v1/history/feedback?{query}")
        await client.get("/api/v1/history/camera")
    first, second = response.json()["items"]
    assert first["data"] == {"category": "pothole", "text": "Ổ gà", "contact": "•••"}
    assert (second["type"], second["data"]) == ("camera.status", {"online": True})
    asked, default = history.queries
    assert (asked.bbox, asked.source, asked.limit) == ((106, 10, 107, 11), "portal", 5)
    assert asked.to_us - asked.from_us == 8 * HOUR_US
    assert (default.from_us, default.to_us) == (T0_US - HOUR_US, T0_US)


@pytest.mark.parametrize("role", list(Role))
async def test_history_tells_no_role_whose_plate_or_phone_it_was(
    users: FakeUsers, browse: Browser, role: Role
) -> None:
    seen = [
        event("cam-1", CameraPlate(plate="61A-123.45", extra={"owner": "An"}), subject="61A12345"),
        event("app", FeedbackReport(category="x", text="gọi 0901234567", extra={"a": "An"})),
    ]
    async with browse(role, make_deps(users, history=FakeHistory(seen))) as client:
        answer = await client.get("/api/v1/history/camera")
    for secret in ("123.45", "12345", "234567", "234 567", '"An"'):
        assert secret not in answer.text
    plate, report = answer.json()["items"]
    assert (plate["data"]["plate"], plate["subject"], report["data"]["text"]) == (
        "61A•••45",
        None,
        "gọi •••567",
    )


async def test_ward_staff_ask_only_for_their_wards(users: FakeUsers, browse: Browser) -> None:
    history = FakeHistory()
    async with browse(Role.WARD, make_deps(users, history=history)) as client:
        await client.get("/api/v1/history/camera")
    assert history.queries[0].wards == (WARD,)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-11-18T11:00:00", "to"),
        ("from=2026-11-19T11:00:00Z&to=2026-11-18T11:00:00Z", "from"),
        ("from=2020-11-19T11:00:00Z", "from"),
        ("bbox=1,2,3", "bbox"),
        ("bbox=107,10,106,11", "bbox"),
        ("bbox=nan,10,106,11", "bbox"),
        ("cursor=bad", "cursor"),
        ("limit=5000", "limit"),
        ("to=0001-01-01T00:00:00%2B14:00", "to"),
        ("to=9999-12-31T23:59:59-14:00", "to"),
        ("to=9999-12-31T23:59:59Z", "to"),
        ("from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z", "to"),
        ("from=0001-01-01T00:00:00Z", "from"),
        ("ward=%00", "ward"),
        ("source=%00", "source"),
        ("cursor=%00", "cursor"),
    ],
)
async def test_a_refused_question_names_the_field(browse: Browser, query: str, field: str) -> None:
    async with browse() as client:
        response = await client.get(f"/api/v1/history/camera?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


async def test_quarantine_shows_what_is_text_and_how_long_the_rest_is(browse: Browser) -> None:
    async with browse(Role.ENGINEER) as client:
        first, second = (await client.get("/api/v1/quarantine")).json()["items"]
    assert (first["raw"], first["raw_encoding"]) == ('{"a":1}', "utf-8")
    assert (second["size"], second["masked"]) == (2, True)
    assert (second["raw"], second["raw_encoding"]) == ("", "base64")


async def test_readiness_names_what_is_missing(users: FakeUsers, browse: Browser) -> None:
    async def fine() -> Check:
        return Check(True, "ok")

    async def broken() -> Check:
        raise RuntimeError("secret")

    deps = make_deps(users, readiness={"log": fine})
    async with browse(None, deps) as client:
        assert (await client.get("/readyz")).json() == {
            "ready": True, "checks": {"log": {"ok": True, "detail": "ok"}},
        }  # fmt: skip
        assert (await client.get("/healthz")).json()["ok"] is True
        assert (await client.get("/metrics")).status_code == 200
    async with browse(None, make_deps(users, readiness={"log": fine, "database": broken})) as client:
        response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["database"] == {"ok": False, "detail": "RuntimeError"}


@pytest.fixture
def console(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<title>IOC</title>")
    (dist / "assets" / "app-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    return dist


async def test_the_console_has_one_address_and_an_address_that_is_none_leads_on(
    users: FakeUsers, browse: Browser, console: Path
) -> None:
    html = {"Accept": "text/html,*/*"}
    (console / "404.html").write_text("<title>No such page</title>")
    async with browse(None, make_deps(users, console=console)) as client:
        for path, status, text in (
            ("/", 200, "<title>IOC</title>"),
            ("/index.html", 200, "<title>IOC</title>"),
            ("/incidents/inc-1", 404, "<title>No such page</title>"),
        ):
            page = await client.get(path, headers=html)
            assert (page.status_code, page.text) == (status, text), path
            assert page.headers["cache-control"] == "no-cache"
            policy = page.headers["content-security-policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy and "script-src 'self';" in policy
            assert page.headers["referrer-policy"] == "no-referrer"
        script = await client.get("/assets/app-1a2b.js")
        assert "immutable" in script.headers["cache-control"]


async def test_each_built_page_has_an_address_of_its_own(
    users: FakeUsers, browse: Browser, console: Path
) -> None:
    (console / "board.html").write_text("<title>Board</title>")
    async with browse(None, make_deps(users, console=console)) as client:
        for path in ("/board", "/board/", "/board?kiosk", "/board.html"):
            page = await client.get(path)
            assert (page.status_code, page.text) == (200, "<title>Board</title>"), path
            assert page.headers["content-type"].startswith("text/html")
            assert page.headers["cache-control"] == "no-cache"
            assert page.headers["content-security-policy"] == content_security_policy()
        for path in ("/board/board", "/assets/board", "/..%2fsecret", "/board%00", "/" + "b" * 300):
            assert (await client.get(path)).status_code == 404, path


async def test_what_does_not_exist_is_not_answered_with_the_start_page(
    users: FakeUsers, browse: Browser, console: Path
) -> None:
    html = {"Accept": "text/html,*/*"}
    async with browse(None, make_deps(users, console=console)) as client:
        for path in ("/api/v1/nothing", "/assets/old-9f9f.js", "/..%2fsecret.txt", "/%2e%2e/secret.txt"):
            response = await client.get(path, headers=html)
            assert response.status_code == 404, path
            assert "IOC</title>" not in response.text and "secret" not in response.text
        assert (await client.get("/incidents/inc-1")).status_code == 404, "only a browser's navigation"
        assert (await client.post("/incidents", headers=html)).status_code == 405


@pytest.mark.parametrize("built", [True, False])
async def test_files_are_only_read(users: FakeUsers, browse: Browser, console: Path, built: bool) -> None:
    folder = console if built else console / "absent"
    async with browse(None, make_deps(users, console=folder)) as client:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for path in ("/", "/index.html", "/incidents/inc-1"):
                response = await client.request(method, path, headers={"Accept": "text/html"})
                assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD"), (method, path)
                assert response.headers["content-type"] == "application/problem+json"
        head = await client.head("/")
        assert (head.status_code, head.text) == (200 if built else 503, "")


async def test_a_console_that_was_not_built_says_how_to(
    users: FakeUsers, browse: Browser, tmp_path: Path
) -> None:
    async with browse(None, make_deps(users, console=tmp_path / "absent")) as client:
        for path in ("/", "/incidents/inc-1"):
            page = await client.get(path, headers={"Accept": "text/html"})
            assert (page.status_code, page.text) == (503, "The console is not built: run `make setup`.\n")
        for path in ("/api/v1/nothing", "/assets/app.js"):
            missing = await client.get(path)
            assert (missing.status_code, missing.json()["status"]) == (404, 404)


async def test_the_shadow_of_a_rule_is_shown_beside_it(browse: Browser) -> None:
    async with browse(role=Role.ENGINEER) as client:
        found = (await client.get("/api/v1/rules/underpass-jam/shadow")).json()["items"]
        assert [(item["change"], item["key"], item["active"]) for item in found] == [("gained", "d1", None)]
        assert (await client.get("/api/v1/rules/no-such-rule/shadow")).status_code == 404
        (rule,) = (await client.get("/api/v1/rules")).json()["items"]
        assert (rule["set_version"], rule["failures"], rule["shadow"]) == (1, 0, None)


async def test_everybody_sees_the_map_and_nothing_else_of_the_city(users: FakeUsers, browse: Browser) -> None:
    told: dict[str, dict[str, str | int | float | bool | None]]
    told = {"ward": {"inspector": "Trần An"}, "road": {"class": "primary"}, "water": {}, "school": {}}
    areas = [
        Area(
            kind=kind,
            code=f"{kind}-1",
            name=Text(vi=kind, en=kind),
            geometry={"type": "Point", "coordinates": [106.6, 11.0]},
            properties=properties,
        )
        for kind, properties in told.items()
    ]
    places = FakePlaces([], areas)
    async with browse(None, make_deps(users, places=places)) as client:
        answer = await client.get("/api/v1/public/areas")
        assert answer.headers["content-encoding"] == "gzip"
        found = [feature["properties"] for feature in answer.json()["features"]]
        assert [each["kind"] for each in found] == ["ward", "road", "water"]
        assert found[1]["class"] == "primary"
        assert "Trần An" not in answer.text
        plain = await client.get("/api/v1/public/areas", headers={"Accept-Encoding": "identity"})
        assert plain.json() == answer.json()
        again = await client.get("/api/v1/public/areas", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        places.areas_known, places.version = areas[:1], "2"
        assert len((await client.get("/api/v1/public/areas")).json()["features"]) == 1
        city = (await client.get("/api/v1/public/city")).json()
    assert set(city) == {"name", "center", "bounds", "illustrative", "demo", "wards", "former", "basemap"}
    assert city["wards"] == {"ward-1": {"vi": "ward", "en": "ward"}}
