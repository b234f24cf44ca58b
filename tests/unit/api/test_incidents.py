"""Incidents over HTTP, and the form of refusals."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest

from ioc.model.incidents import Incident, Severity
from ioc.store.incidents import IncidentFilter
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FakeIncidents, FakeUsers, make_deps

COMMANDS = "/api/v1/incidents/inc-1/commands"
COMMAND = {"op": "acknowledge", "expect_rev": 1, "idem": "11111111-aaaa"}


async def test_a_list_passes_its_filter_on(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        query = "state=all&severity=high&severity=critical&category=traffic&ward=25747&limit=7&cursor=c"
        query += "&ended_since=2026-11-27T17:00:00Z"
        response = await client.get(f"/api/v1/incidents?{query}")
    assert response.json()["next"] == "more"
    assert response.headers["cache-control"] == "no-store"
    assert incidents.queries == [
        IncidentFilter(
            open_only=False,
            wards=("25747",),
            severities=(Severity.HIGH, Severity.CRITICAL),
            category="traffic",
            ended_since=datetime(2026, 11, 27, 17, tzinfo=UTC),
            limit=7,
            cursor="c",
        )
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("severity=huge", "severity.0"),
        ("cursor=bad", "cursor"),
        ("ended_since=2026-11-27T17:00:00", "ended_since"),
    ],
)
async def test_a_refused_filter_is_named(browse: Browser, query: str, field: str) -> None:
    async with browse() as client:
        response = await client.get(f"/api/v1/incidents?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_an_incident_and_its_history_have_the_agreed_form(browse: Browser) -> None:
    async with browse() as client:
        shown = (await client.get("/api/v1/incidents/inc-1")).json()
        history = (await client.get("/api/v1/incidents/inc-1/history")).json()
    assert (shown["opened"], shown["why"]["event_ids"]) == ("2026-11-18T11:06:40.000Z", [])
    assert history == {
        "items": [
            {
                "rev": 1, "at": "2026-11-18T11:06:40.000Z", "actor": "rule:x", "op": "raised", "from": None,
                "to": "new", "note": None, "details": {},
            }
        ]
    }  # fmt: skip


async def test_a_command_is_carried_out_in_the_persons_name(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        response = await client.post(COMMANDS, json=COMMAND | {"args": {"note": "thấy rồi"}})
    assert (response.status_code, response.json()["rev"], response.json()["handling"]) == (
        200, 2, "acknowledged",
    )  # fmt: skip
    ((incident_id, command, actor),) = incidents.commands
    assert (incident_id, command.note, command.idem, actor) == (
        "inc-1", "thấy rồi", "11111111-aaaa", "operator-0",
    )  # fmt: skip


async def test_a_conflict_shows_what_the_incident_is_now(browse: Browser) -> None:
    async with browse() as client:
        await client.post(COMMANDS, json=COMMAND)
        response = await client.post(COMMANDS, json=COMMAND | {"idem": "22222222"})
    problem = response.json()
    assert (response.status_code, problem["current"]["rev"]) == (409, 2)
    assert problem["title"] == "Conflict"


async def test_a_refused_command_names_the_rule(browse: Browser) -> None:
    async with browse() as client:
        response = await client.post(COMMANDS, json=COMMAND | {"op": "close"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["rule"] == "transition"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"op": "explode"}, "op"),
        ({"expect_rev": 0}, "expect_rev"),
        ({"idem": "short"}, "idem"),
        ({"args": {"notes": "typo"}}, "args.notes"),
        ({"extra": 1}, "extra"),
    ],
)
async def test_a_malformed_command_names_the_field(
    browse: Browser, change: dict[str, object], field: str
) -> None:
    async with browse() as client:
        response = await client.post(COMMANDS, json=COMMAND | change)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["field"] == field and error["rule"] and error["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"args": {"assignee": "A\x00n"}}, "args.assignee"),
        ({"args": {"note": "\x00"}}, "args.note"),
        ({"args": {"note": "\ud800"}}, "args.note"),
        ({"idem": "11111111\x00"}, "idem"),
    ],
)
async def test_a_command_with_characters_that_cannot_be_stored_names_the_field(
    users: FakeUsers, browse: Browser, change: dict[str, object], field: str
) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        body = json.dumps(COMMAND | change)
        response = await client.post(COMMANDS, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, incidents.commands) == (422, [])
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize("name", ["ward", "category", "cursor"])
async def test_a_filter_with_nul_names_the_field(users: FakeUsers, browse: Browser, name: str) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        response = await client.get(f"/api/v1/incidents?{name}=%00")
    assert (response.status_code, incidents.queries) == (422, [])
    (error,) = response.json()["errors"]
    assert (error["field"], error["rule"]) == (name, "no_nul")


async def test_no_incident_has_an_id_with_nul(users: FakeUsers, browse: Browser) -> None:
    class Database(FakeIncidents):
        async def get(self, incident_id: str) -> Incident:
            raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")

    async with browse(deps=make_deps(users, incidents=Database())) as client:
        for path in ("%00", "inc-1%00/history"):
            response = await client.get(f"/api/v1/incidents/{path}")
            assert response.status_code == 404
        response = await client.post("/api/v1/incidents/%00/commands", json=COMMAND)
        assert response.status_code == 404


async def test_what_only_the_database_refuses_is_no_fault_of_ours(users: FakeUsers, browse: Browser) -> None:
    refusing = FakeIncidents(fault=psycopg.DataError("secret detail"))
    async with browse(deps=make_deps(users, incidents=refusing)) as client:
        plain = await client.get("/api/v1/incidents")
        crafted = await client.get("/api/v1/incidents?cursor=MXwA")
    assert (plain.status_code, crafted.status_code) == (422, 422)
    assert crafted.json()["errors"][0]["field"] == "cursor"
    assert "secret" not in plain.text + crafted.text
    assert plain.headers["content-type"] == "application/problem+json"


async def test_what_is_not_json_is_a_bad_request(browse: Browser) -> None:
    async with browse() as client:
        headers = {"Content-Type": "application/json"}
        response = await client.post(COMMANDS, content=b"{nonsense", headers=headers)
    assert (response.status_code, response.json()["errors"][0]["rule"]) == (400, "json_invalid")


@pytest.mark.parametrize(
    ("fault", "status"), [(psycopg.OperationalError("gone"), 503), (RuntimeError("secret detail"), 500)]
)
async def test_a_fault_of_ours_is_a_problem_without_inner_details(
    users: FakeUsers, browse: Browser, fault: Exception, status: int
) -> None:
    async with browse(deps=make_deps(users, incidents=FakeIncidents(fault=fault))) as client:
        response = await client.get("/api/v1/incidents")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text and "gone" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_beyond_the_limit_is_refused(browse: Browser, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    async with browse() as client:
        content: bytes | AsyncIterator[bytes] = chunks() if chunked else b" " * 70 * 1024
        response = await client.post(COMMANDS, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_unknown_address_and_method_are_problems(browse: Browser) -> None:
    async with browse() as client:
        for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/city", 405)):
            response = await client.request(method, path)
            assert response.status_code == status
            assert response.json()["status"] == status


async def test_the_openapi_document_names_answers_and_problems(browse: Browser) -> None:
    async with browse() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert {"IncidentJson", "Me", "AuditList", "ProblemDocument", "City"} <= set(schemas)
    assert "HTTPValidationError" not in schemas
    get = document["paths"]["/api/v1/incidents/{incident_id}"]["get"]
    assert get["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/IncidentJson"
    }
    assert "x-components" not in str(document)


async def test_a_checklist_is_shown_with_its_branches_and_only_a_supervisor_overrides(
    users: FakeUsers, browse: Browser
) -> None:
    incidents = FakeIncidents()
    resolve = COMMAND | {"op": "resolve", "args": {"note": "xong", "override": "camera hỏng"}}
    async with browse(Role.OPERATOR, make_deps(users, incidents=incidents)) as client:
        before = (await client.get("/api/v1/incidents/inc-1/procedure")).json()
        assert [step["id"] for step in before["steps"]] == ["verify"]
        assert (before["done"], before["total"], before["steps"][0]["state"]) == (0, 1, "open")
        assert (await client.get("/api/v1/incidents/inc-2/procedure")).status_code == 404, "it has none"
        refused = await client.post(COMMANDS, json=resolve)
        assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (422, "override_role")
        step = COMMAND | {"op": "step", "args": {"step": "verify", "answer": "yes"}}
        answer = (await client.post(COMMANDS, json=step)).json()
        assert (answer["handling"], answer["checklist"]["done"]) == ("assigned", 1)
        after = (await client.get("/api/v1/incidents/inc-1/procedure")).json()
        assert after["steps"][0]["answer"] == "yes" and len(after["steps"]) > 5
    async with browse(Role.SUPERVISOR, make_deps(users, incidents=incidents)) as client:
        ended = await client.post(COMMANDS, json=resolve | {"expect_rev": 2})
        assert (ended.status_code, ended.json()["level"]) == (200, 1)
