"""Who may do what: every route, every role, every foreign ward."""

import httpx
import psycopg
import pytest

from ioc.api.access_table import ROUTES, Audience
from ioc.api.application import create_api
from ioc.store.second_factor import CodeNeededError, Enrolment
from ioc.store.users import Role, login_id
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_counter import CODE
from tests.unit.api.fakes import FOREIGN, WARD, FakeIncidents, FakeUsers, make_deps, socket_of

OPEN_TO_ALL = {
    route.split(" ")[1] for route, door in ROUTES.items() if door.audience is Audience.EVERYBODY
} - {"/api/v1/session"}
COMMAND = {"op": "acknowledge", "expect_rev": 1, "idem": "11111111-aaaa"}


def routes(users: FakeUsers) -> list[tuple[str, str]]:
    app = create_api(make_deps(users))
    found: list[tuple[str, str]] = []
    for path, operations in app.openapi()["paths"].items():
        found += [(method.upper(), path) for method in operations]
    assert len(found) > 12
    return found


def filled(path: str) -> str:
    known = {
        "{incident_id}": "inc-1",
        "{device_id}": "cam-1",
        "{window_id}": "1",
        "{camera_id}": "cam-1",
        "{stream}": "camera",
        "{rule}": "underpass-jam",
        "{receiver_id}": "other",
        "{name}": "grouping",
        "{message_id}": "1",
        "{report_id}": "r-1",
        "{code}": CODE,
        "{token}": CODE,
        "{service_code}": "light",
        "{request_id}": "r-1",
        "{kind}": "json",
        "{ref}": "photo-1",
        "{shift_id}": "1",
        "{figure}": "open",
        "{job}": "1",
    }
    for name, value in known.items():
        path = path.replace(name, value)
    assert "{" not in path
    return path


async def test_nobody_gets_anything_without_a_session(users: FakeUsers, browse: Browser) -> None:
    async with browse(role=None) as client:
        for method, path in routes(users):
            if (
                path in OPEN_TO_ALL
                or path.startswith(("/api/v1/public/", "/open311/v2/"))
                or (path == "/api/v1/session" and method in ("POST", "DELETE"))
            ):
                continue
            response = await client.request(method, filled(path), json=COMMAND if method == "POST" else None)
            assert response.status_code == 401, (method, path)
            assert response.headers["content-type"] == "application/problem+json"
        client.cookies.set("ioc_session", "x" * 5_000)
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_an_unsafe_request_without_our_header_is_refused(users: FakeUsers, browse: Browser) -> None:
    async with browse(header=False) as client:
        for method, path in routes(users):
            # Programs of Open311 send no cookie: the key in their form is all that counts.
            if method in ("POST", "PUT", "PATCH", "DELETE") and not path.startswith("/open311/"):
                response = await client.request(method, filled(path), json=COMMAND)
                assert response.status_code == 403, (method, path)
                assert response.json()["errors"][0]["field"] == "X-IOC"


async def test_a_request_that_names_its_person_is_served_as_nobody_else(browse: Browser) -> None:
    async with browse() as client:
        name = (await client.get("/api/v1/session")).json()["user"]
        for meant, status in ((name, 200), ("somebody-else", 403), ("Nguy%E1%BB%85n", 403)):
            answer = await client.get("/api/v1/incidents", headers={"X-IOC-User": meant})
            assert answer.status_code == status, meant
        assert answer.json()["errors"][0]["rule"] == "other_user"


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_reads_what_it_may(browse: Browser, role: Role) -> None:
    quarantine = role in (Role.SUPERVISOR, Role.ENGINEER, Role.ADMIN)
    async with browse(role) as client:
        for path in ("session", "city", "areas", "devices", "incidents", "rules", "history/traffic"):
            assert (await client.get(f"/api/v1/{path}")).status_code == 200, path
        assert (await client.get("/api/v1/quarantine")).status_code == (200 if quarantine else 403)


@pytest.mark.parametrize(
    ("role", "op", "allowed"),
    [
        (Role.OPERATOR, "reject", True),
        (Role.WARD, "acknowledge", True),
        (Role.WARD, "reject", False),
        (Role.LEADER, "acknowledge", False),
        (Role.ENGINEER, "acknowledge", False),
    ],
)
async def test_each_role_does_what_it_may(browse: Browser, role: Role, op: str, allowed: bool) -> None:
    async with browse(role) as client:
        body = COMMAND | {"op": op, "args": {"note": "vì sao"}}
        response = await client.post("/api/v1/incidents/inc-1/commands", json=body)
        assert response.status_code == (200 if allowed else 403)


async def test_a_foreign_ward_does_not_exist_for_ward_staff(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(Role.WARD, make_deps(users, incidents=incidents)) as client:
        answers: list[httpx.Response] = [
            await client.get("/api/v1/incidents/inc-2"),
            await client.get("/api/v1/incidents/inc-2/history"),
            await client.post("/api/v1/incidents/inc-2/commands", json=COMMAND),
            await client.get("/api/v1/incidents", params={"ward": FOREIGN}),
            await client.get("/api/v1/history/camera", params={"ward": FOREIGN}),
        ]
        missing = await client.get("/api/v1/incidents/never-existed")
        assert [answer.status_code for answer in answers] == [404] * 5
        assert {answer.text for answer in answers} == {missing.text}, "the answer tells nothing"
        assert incidents.commands == []
        listed = await client.get("/api/v1/incidents")
        assert [item["id"] for item in listed.json()["items"]] == ["inc-1"]
        assert (await client.get("/api/v1/incidents", params={"ward": WARD})).status_code == 200


async def test_log_in_sets_a_cookie_that_scripts_cannot_read(users: FakeUsers, browse: Browser) -> None:
    users.add(Role.WARD, (WARD,))
    async with browse(role=None) as client:
        response = await client.post("/api/v1/session", json={"username": "ward-0", "password": "secret"})
        assert response.json() == {
            "user": "ward-0", "name": "Ward-0", "role": "ward", "wards": [WARD], "lang": "vi",
        }  # fmt: skip
        cookie = response.headers["set-cookie"].lower()
        assert cookie.startswith("ioc_session=opened-")
        assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
        assert "secure" not in cookie
        assert (await client.get("/api/v1/session")).json()["user"] == "ward-0"
        assert users.addresses == ["10.9.8.7"]


async def test_over_https_or_where_configured_the_cookie_is_secure(users: FakeUsers, browse: Browser) -> None:
    users.add(Role.ADMIN)
    login = {"username": "admin-0", "password": "secret"}
    async with browse(None) as client:
        response = await client.post("https://ioc.test/api/v1/session", json=login)
        assert "Secure" in response.headers["set-cookie"]
    async with browse(None, make_deps(users, secure_cookies=True)) as client:
        assert "Secure" in (await client.post("/api/v1/session", json=login)).headers["set-cookie"]


async def test_a_wrong_password_says_no_more_than_that(users: FakeUsers, browse: Browser) -> None:
    users.add(Role.ADMIN)
    async with browse(None) as client:
        for username in ("admin-0", "nobody"):
            login = {"username": username, "password": "hunter2"}
            response = await client.post("/api/v1/session", json=login)
            assert (response.status_code, response.json()["detail"]) == (
                401, "The name or the password is wrong.",
            )  # fmt: skip
        users.throttled = True
        response = await client.post("/api/v1/session", json=login)
        assert (response.status_code, response.headers["retry-after"]) == (429, "77")


async def test_a_login_that_needs_a_code_says_so_and_shows_a_new_app_what_it_needs(
    users: FakeUsers, browse: Browser
) -> None:
    users.add(Role.ADMIN)
    login = {"username": "admin-0", "password": "secret"}
    enrolment = Enrolment("ABCD2345", "otpauth://totp/IOC:admin-0?secret=ABCD2345")
    async with browse(None) as client:
        users.asked = CodeNeededError("code_required", enrolment)
        asked = await client.post("/api/v1/session", json=login)
        assert (asked.status_code, asked.json()["errors"][0]["rule"]) == (401, "code_required")
        assert asked.json()["enrolment"]["secret"] == "ABCD2345"
        assert asked.json()["enrolment"]["picture"].startswith("data:image/svg+xml")
        assert asked.headers["cache-control"] == "no-store" and "set-cookie" not in asked.headers
        users.asked = CodeNeededError("code_required")
        assert "enrolment" not in (await client.post("/api/v1/session", json=login)).json()
        assert (await client.post("/api/v1/session", json=login | {"code": "123 456"})).status_code == 200


async def test_a_refused_login_does_not_repeat_the_password(browse: Browser) -> None:
    async with browse(None) as client:
        response = await client.post("/api/v1/session", json={"username": 7, "password": ["hunter2"]})
        assert response.status_code == 422 and "hunter2" not in response.text


async def test_log_out_ends_the_session_and_its_sockets(users: FakeUsers, browse: Browser) -> None:
    deps = make_deps(users)
    async with browse(deps=deps) as client:
        token = client.cookies["ioc_session"]
        socket = socket_of(deps.hub, token)
        other = socket_of(deps.hub, "another login")
        assert (await client.delete("/api/v1/session")).status_code == 204
        assert token not in users.sessions
        assert socket.session.closing.code == 4401  # type: ignore[attr-defined]
        assert other.session.closing is None  # type: ignore[attr-defined]
        assert (await client.get("/api/v1/session")).status_code == 401
        assert (await client.delete("/api/v1/session")).status_code == 204


async def test_the_event_stream_refuses_in_the_form_of_every_other_error(
    users: FakeUsers, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    deps = make_deps(users)
    async with browse(None, deps) as nobody, browse(deps=deps) as operator:
        refused = await nobody.get("/api/v1/feed/sse")
        token = operator.cookies["ioc_session"]
        person = users.sessions[token]
        for _ in range(deps.hub.settings.max_clients_per_user):
            deps.hub.admit(Viewer(person, login_id(token), EVERYTHING))
        too_many = await operator.get("/api/v1/feed/sse")

        async def gone(_token: str) -> None:
            raise psycopg.OperationalError("gone")

        monkeypatch.setattr(users, "read_session", gone)
        away = await operator.get("/api/v1/feed/sse")
    answers = [(refused, 401), (too_many, 429), (away, 503)]
    for answer, status in answers:
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
    assert (too_many.headers["retry-after"], away.headers["retry-after"]) == ("30", "2")
