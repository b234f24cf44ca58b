"""Policies, previews, the forecast and the further commands over HTTP."""

import pytest

from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FOREIGN, WARD, FakeIncidents, FakePolicies, FakeUsers, make_deps

PUT = {"doc": {"metres": 80}, "reason": "gộp ít hơn", "expect_version": 2}


async def test_a_policy_is_changed_in_the_persons_name_and_with_a_reason(
    users: FakeUsers, browse: Browser
) -> None:
    policies = FakePolicies()
    async with browse(Role.SUPERVISOR, make_deps(users, policies=policies)) as client:
        answer = await client.put("/api/v1/policies/grouping", json=PUT)
        unreasoned = await client.put("/api/v1/policies/grouping", json=PUT | {"reason": ""})
    assert (answer.status_code, answer.json()["version"]) == (200, 3)
    assert policies.put_calls == [("grouping", {"metres": 80}, "supervisor-0", "gộp ít hơn", 2)]
    assert unreasoned.json()["errors"][0]["field"] == "reason"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.WARD, Role.LEADER, Role.ENGINEER])
async def test_everybody_reads_policies_and_few_change_them(browse: Browser, role: Role) -> None:
    async with browse(role) as client:
        assert (await client.get("/api/v1/policies")).status_code == 200
        assert (await client.get("/api/v1/policies/grouping/versions")).status_code == 200
        assert (await client.put("/api/v1/policies/grouping", json=PUT)).status_code == 403
        assert (await client.post("/api/v1/policies/preview", json={"authority": {}})).status_code == 403


async def test_a_policy_that_somebody_else_changed_meanwhile_is_a_conflict(browse: Browser) -> None:
    async with browse(Role.ADMIN) as client:
        answer = await client.put("/api/v1/policies/grouping", json=PUT | {"expect_version": 1})
        absent = await client.get("/api/v1/policies/weather/versions")
    assert (answer.status_code, answer.json()["version"]) == (409, 2)
    assert answer.json()["errors"][0]["field"] == "expect_version"
    assert absent.status_code == 404


async def test_a_policy_that_cannot_be_names_the_field(browse: Browser) -> None:
    async with browse(Role.ADMIN) as client:
        answer = await client.put("/api/v1/policies/grouping", json=PUT | {"doc": {"metres": 0}})
        preview = await client.post("/api/v1/policies/preview", json={"authority": {"rows": [{}]}})
        nothing = await client.post("/api/v1/policies/preview", json={})
        no_areas = await client.post("/api/v1/policies/preview", json={"areas": {"type": "Point"}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "doc.metres")
    assert preview.json()["errors"][0]["field"] == "authority.rows[0]"
    assert nothing.json()["errors"][0]["rule"] == "something_to_try"
    assert (no_areas.status_code, no_areas.json()["errors"][0]["field"]) == (422, "areas")


async def test_a_preview_takes_the_boundaries_of_a_province(users: FakeUsers, browse: Browser) -> None:
    ring = [[106.5 + n / 1e6, 11.0 + (n % 2) / 10] for n in range(8_000)]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    feature = {
        "type": "Feature",
        "properties": {"code": "1", "kind": "ward", "name": "x"},
        "geometry": polygon,
    }
    async with browse(Role.SUPERVISOR) as client:
        body = {"areas": {"type": "FeatureCollection", "features": [feature]}}
        answer = await client.post("/api/v1/policies/preview", json=body)
        elsewhere = await client.put("/api/v1/policies/clocks", json=PUT | {"doc": {"x": ring}})
    assert (answer.status_code, answer.json()["looked_at"]) == (200, 7)
    assert elsewhere.status_code == 413


async def test_a_forecast_shows_people_their_own_wards(browse: Browser) -> None:
    async with browse(Role.WARD) as client:
        own = await client.get("/api/v1/forecast?hours=48")
        foreign = await client.get("/api/v1/forecast", params={"ward": FOREIGN})
        refused = await client.get("/api/v1/forecast?hours=0")
    assert [item["ward"] for item in own.json()["items"]] == [WARD]
    assert own.json()["items"][0]["first_breach"] == "2026-11-18T11:06:40.000Z"
    assert (foreign.status_code, refused.status_code) == (404, 422)


async def test_the_arguments_of_every_command_arrive(users: FakeUsers, browse: Browser) -> None:
    incidents = FakeIncidents()
    async with browse(deps=make_deps(users, incidents=incidents)) as client:
        await client.post(
            "/api/v1/incidents/inc-1/commands",
            json={
                "op": "comment",
                "expect_rev": 1,
                "idem": "11111111-aaaa",
                "args": {
                    "note": "x", "ward": FOREIGN, "into": "inc-2", "until": "2026-11-18T19:00:00+07:00",
                    "reason": "waiting_for_agency", "photo": "p.jpg",
                },
            },
        )  # fmt: skip
    ((_, command, _),) = incidents.commands
    assert (command.ward, command.into, command.reason, command.photo) == (
        FOREIGN, "inc-2", "waiting_for_agency", "p.jpg",
    )  # fmt: skip
    assert command.until_us == 1_795_003_200_000_000


async def test_ward_staff_cannot_merge_into_or_look_into_what_they_do_not_see(
    users: FakeUsers, browse: Browser
) -> None:
    incidents = FakeIncidents()
    command = {"op": "comment", "expect_rev": 1, "idem": "11111111-aaaa", "args": {"into": "inc-2"}}
    async with browse(Role.WARD, make_deps(users, incidents=incidents)) as client:
        assert (await client.post("/api/v1/incidents/inc-1/commands", json=command)).status_code == 404
        members = (await client.get("/api/v1/incidents/inc-1/members")).json()["items"]
        foreign = await client.get("/api/v1/incidents/inc-2/members")
    assert incidents.commands == []
    assert [item["id"] for item in members] == ["inc-3"]
    assert foreign.status_code == 404


async def test_a_conflict_names_the_field_and_the_rule(browse: Browser) -> None:
    async with browse() as client:
        body = {"op": "acknowledge", "expect_rev": 9, "idem": "11111111-aaaa"}
        answer = await client.post("/api/v1/incidents/inc-1/commands", json=body)
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["field"], error["rule"]) == (409, "expect_rev", "revision")
    assert answer.json()["current"]["id"] == "inc-1"
