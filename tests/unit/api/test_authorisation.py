"""Generated: every route of the OpenAPI document × every role, every token scope, against the one table."""

import re

import httpx
import pytest

from ioc.api.access_table import ROUTES, Audience, Door, TokenScope
from ioc.api.application import create_api
from ioc.api.security import RIGHTS
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_counter import CODE
from tests.unit.api.fakes import WARD, FakePersonal, FakeTokens, FakeUsers, make_deps

KNOWN = {"incident_id": "inc-1", "camera_id": "cam-1", "stream": "camera", "rule": "underpass-jam",
         "receiver_id": "other", "message_id": "1", "name": "grouping", "report_id": "r-1",
         "code": CODE, "token": CODE, "service_code": "light", "request_id": "r-1", "kind": "json",
         "ref": "photo-1", "shift_id": "1", "figure": "open", "job": "1",
         "device_id": "cam-1", "window_id": "1"}  # fmt: skip
BODIES = {
    "commands": {"op": "comment", "expect_rev": 1, "idem": "11111111-aaaa", "args": {"note": "x"}},
    "release": {"released": False, "reason": "có mặt người trong ảnh"},
    "unmask": {"reason": "gọi lại cho người báo tin"},
    "read": {"up_to": 0},
    "session": {"username": "nobody", "password": "wrong"},
    "{name}": {"doc": {}, "reason": "diễn tập", "expect_version": 2},
    "preview": {"authority": {}},
    "answer": {"text": "đã xử lý xong"},
    "vote": {"satisfied": True},
    "duplicates": {"service": "road"},
    "reports": {"service": "road", "text": "ổ gà sâu", "address": "1 Yersin", "idem": "0123456789abcdef"},
    "{receiver_id}": {"kind": "in_app", "target": "operator"},
}
QUERIES = {"moment": {"ward": WARD}, "series": {"source": "cam-1"},
           "import": {"format": "csv"}}  # fmt: skip
FEED = {"WEBSOCKET /api/v1/feed", "GET /api/v1/feed/sse"}
ELSEWHERE = {
    "POST /api/v1/ingest/events",
    "POST /api/v1/ingest/clock",
    "POST /api/v1/ingest/hooks/{key}",
    "POST /api/v1/ingest/hooks/{key}/{rest}",
}
"""Included by whoever runs ingest; its own tests cover the device's key."""


RULE_FILE = {"file": "jam.yaml", "text": "rule: underpass-jam"}
REMOVAL = "DELETE /api/v1/registry/devices/{device_id}"
OF_ROUTE: dict[str, dict[str, object]] = {
    "PUT /api/v1/registry/devices/{device_id}": {"kind": "camera", "name": "Cổng"},
    "POST /api/v1/registry/devices/{device_id}/maintenance": {"to": "2030-01-01T00:00:00Z", "reason": "thử"},
    "POST /api/v1/registry/devices/{device_id}/keys": {"overlap_h": 0},
    "POST /api/v1/registry/devices/{device_id}/disable": {"reason": "thử"},
    "PUT /api/v1/registry/devices/{device_id}/login": {"user": "admin", "password": "bí mật"},
    "POST /api/v1/receivers/{receiver_id}/deliveries/resend": {"notices": ["inc-1.1"]},
    "POST /api/v1/shifts": {"idem": "begin-anew"},
    "POST /api/v1/workbench/check": RULE_FILE,
    "POST /api/v1/workbench/test": RULE_FILE | {"tests": "tests: []"},
    "POST /api/v1/workbench/backtests": RULE_FILE,
    "POST /api/v1/workbench/push": RULE_FILE | {"expect_version": 3, "reason": "thử", "trial": "1"},
    "POST /api/v1/workbench/why": {"rule": "underpass-jam", "key": "det-1", "at": "2026-11-28T00:00:00Z"},
    "POST /api/v1/workbench/rules/{rule}/switch": {"on": False, "expect_version": 3, "reason": "thử"},
    "POST /api/v1/shifts/{shift_id}/commands": {"op": "open", "expect_rev": 1, "idem": "11111111-aaaa"},
}


def documented_routes() -> list[str]:
    paths = create_api(make_deps(FakeUsers())).openapi()["paths"]
    return [f"{method.upper()} {path}" for path, operations in paths.items() for method in operations]


def doors(audience: Audience) -> list[tuple[str, Door]]:
    documented = set(documented_routes())
    found = [
        (route, door) for route, door in ROUTES.items() if door.audience is audience and route in documented
    ]
    # What is deleted is gone for those that come after: the device last.
    return sorted(found, key=lambda item: (item[0].startswith("DELETE"), item[0] == REMOVAL))


async def ask(client: httpx.AsyncClient, route: str, **headers: str) -> httpx.Response:
    method, path = route.split(" ")
    body = OF_ROUTE.get(route) or BODIES.get(path.rsplit("/", 1)[-1]) if method in ("POST", "PUT") else None
    if route == "POST /api/v1/shifts/{shift_id}/commands":
        path = path.replace("{shift_id}", "2")
    filled = re.sub(r"\{(\w+)\}", lambda match: KNOWN[match[1]], path)
    query = QUERIES.get(path.rsplit("/", 1)[-1])
    return await client.request(method, filled, json=body, params=query, headers=headers)


def test_every_documented_route_has_a_line_in_the_table() -> None:
    documented = set(documented_routes())
    assert documented - set(ROUTES) == set(), "say in ioc/api/access_table.py what opens these routes"
    assert set(ROUTES) - documented - FEED - ELSEWHERE == set(), "these routes do not exist (any more)"


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_passes_exactly_the_doors_of_its_rights(browse: Browser, role: Role) -> None:
    async with browse(role) as client:
        answers = {route: await ask(client, route) for route, _ in doors(Audience.PERSON)}
    for route, door in doors(Audience.PERSON):
        status, allowed = answers[route].status_code, door.rights <= RIGHTS[role]
        assert (status == 403) == (not allowed), (route, status)
        # The camera has no picture in these fakes.
        assert status < 300 or not allowed or (status == 404 and "picture" in route), (route, status)


async def test_nobody_passes_a_door_for_persons(browse: Browser) -> None:
    async with browse(None) as client:
        for route, _ in doors(Audience.PERSON):
            assert (await ask(client, route)).status_code == 401, route
        for route, _ in doors(Audience.EVERYBODY):
            answer = await ask(client, route)
            assert answer.status_code != 403 and (answer.status_code != 401 or route.startswith("POST")), (
                route
            )


@pytest.mark.parametrize("scope", list(TokenScope))
async def test_a_token_opens_the_routes_of_its_scope_and_no_others(
    users: FakeUsers, browse: Browser, scope: TokenScope
) -> None:
    tokens = FakeTokens()
    token = tokens.add(scope.value)
    async with browse(None, make_deps(users, tokens=tokens), header=False) as client:
        opened = {
            route
            for route, _ in doors(Audience.PERSON)
            if (await ask(client, route, authorization=f"Bearer {token}")).status_code != 403
        }
        for route, _ in doors(Audience.PARTNER):
            answer = await client.post(route.split(" ")[1].format(kind="json"), data={"api_key": token})
            opened |= set() if answer.status_code == 403 else {route}
    known = doors(Audience.PERSON) + doors(Audience.PARTNER)
    assert opened == {route for route, door in known if scope in door.scopes}
    assert opened


def test_who_may_only_export_sees_incidents_in_no_other_form() -> None:
    opened = {route for route, door in ROUTES.items() if TokenScope.INCIDENTS_EXPORT in door.scopes}
    assert opened == {route for route in ROUTES if route.startswith("GET /api/v1/export/")}


@pytest.mark.parametrize("role", list(Role))
async def test_what_citizens_told_is_seen_by_whoever_answers_them(browse: Browser, role: Role) -> None:
    async with browse(role) as client:
        status = (await client.get("/api/v1/incidents/inc-1/reports")).status_code
    assert status == (403 if role in (Role.LEADER, Role.ENGINEER) else 200)


async def test_a_token_counts_alone_and_a_bad_one_opens_nothing(users: FakeUsers, browse: Browser) -> None:
    tokens = FakeTokens()
    token = tokens.add(TokenScope.INCIDENTS_READ.value, Role.WARD, (WARD,))
    async with browse(Role.ADMIN, make_deps(users, tokens=tokens)) as client:
        answer = await client.get("/api/v1/incidents", headers={"authorization": f"Bearer {token}"})
        assert [item["id"] for item in answer.json()["items"]] == ["inc-1"], "not the administrator's view"
        foreign = await client.get("/api/v1/incidents/inc-2", headers={"authorization": f"Bearer {token}"})
        assert foreign.status_code == 404
        for bad in ("Bearer ioct_x", "Bearer " + "x" * 5_000, "bearer"):
            answer = await client.get("/api/v1/incidents", headers={"authorization": bad})
            assert answer.status_code == 401, bad


async def test_a_cookie_needs_our_header_even_beside_an_empty_bearer(browse: Browser) -> None:
    command = BODIES["commands"]
    async with browse(Role.ADMIN, header=False) as client:
        path = "/api/v1/incidents/inc-1/commands"
        assert (await client.post(path, json=command)).status_code == 403
        answer = await client.post(path, json=command, headers={"authorization": "Bearer "})
        assert answer.status_code == 401, "the cookie does not count beside a bearer token"


async def test_unmasking_needs_a_reason_and_has_an_end(users: FakeUsers, browse: Browser) -> None:
    personal = FakePersonal(left=2)
    path = "/api/v1/incidents/inc-1/unmask"
    async with browse(Role.OPERATOR, make_deps(users, personal=personal)) as client:
        for bad in ({}, {"reason": "     x      "}, {"reason": "x" * 501}, {"reason": "a\x00aaaaaaaaaaaa"}):
            assert (await client.post(path, json=bad)).status_code == 422, bad
        assert personal.reasons == []
        answer = await client.post(path, json={"reason": "  gọi lại cho người báo tin "})
        assert answer.json()["note"] == "gọi 0912 345 678"
        assert personal.reasons == [("inc-1", "operator-0", "gọi lại cho người báo tin")]
        assert (
            await client.post("/api/v1/incidents/nothing/unmask", json=BODIES["unmask"])
        ).status_code == 404
        answer = await client.post(path, json=BODIES["unmask"])
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")


@pytest.mark.parametrize("role", list(Role))
async def test_engineers_see_refused_messages_as_they_came_and_no_citizens_number(
    browse: Browser, role: Role
) -> None:
    of_people = ("/api/v1/incidents/inc-1/unmask", "/api/v1/reports/r-1/unmask")
    async with browse(role) as client:
        opened = {
            path
            for path in (*of_people, "/api/v1/quarantine/1/unmask")
            if (await client.post(path, json=BODIES["unmask"])).status_code == 200
        }
    people = set(of_people) if role in (Role.OPERATOR, Role.SUPERVISOR, Role.WARD) else set()
    messages = {"/api/v1/quarantine/1/unmask"} if role in (Role.SUPERVISOR, Role.ENGINEER) else set()
    assert opened == people | messages


async def test_a_shadow_rules_firings_in_other_wards_are_no_ward_staffs_business(browse: Browser) -> None:
    path = "/api/v1/rules/underpass-jam/shadow"
    async with browse(Role.WARD) as ward, browse(Role.OPERATOR) as centre:
        assert (await ward.get(path)).json()["items"] == []
        assert len((await centre.get(path)).json()["items"]) == 1
