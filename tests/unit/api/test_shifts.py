"""Shifts over HTTP: the form of answers and refusals, and a page that runs nothing."""

import base64
import hashlib
import re

from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import FakeShifts, FakeUsers, make_deps

COMMANDS = "/api/v1/shifts/2/commands"
OPEN = {"op": "open", "expect_rev": 3, "idem": "11111111-aaaa"}


async def test_a_hand_over_by_http(users: FakeUsers, browse: Browser) -> None:
    shifts = FakeShifts()
    async with browse(Role.SUPERVISOR, make_deps(users, shifts=shifts)) as client:
        before = (await client.get("/api/v1/shifts/current")).json()
        assert before["shift"]["state"] == "handing_over"
        assert before["items"][0]["verdict"] == "open"
        early = await client.post(COMMANDS, json=OPEN | {"op": "accept_rest"})
        assert (early.status_code, early.json()["errors"][0]["rule"]) == (422, "not_opened")
        opened = (await client.post(COMMANDS, json=OPEN)).json()
        assert opened["shift"]["incoming"] == "supervisor-0"
        accept = {"op": "accept", "expect_rev": 3, "idem": "22222222-aaaa", "args": {"items": ["inc-2"]}}
        after = (await client.post(COMMANDS, json=accept)).json()
        assert after["items"][0]["verdict"] == "accepted"
        again = await client.post(COMMANDS, json=accept | {"idem": "33333333-aaaa"})
        assert (again.status_code, again.json()["current"]["rev"]) == (409, after["shift"]["rev"])
        elsewhere = await client.post("/api/v1/shifts/9/commands", json=OPEN)
        assert (elsewhere.status_code, elsewhere.json()["current"]["id"]) == (409, 2)


async def test_a_body_that_cannot_be_names_its_field(browse: Browser) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"op": "take"}, "op"),
        ({"expect_rev": 0}, "expect_rev"),
        ({"idem": "short"}, "idem"),
        ({"args": {"items": ["x"] * 501}}, "args.items"),
        ({"args": {"items": ["a\x00"]}}, "args.items.0"),
        ({"args": {"to": "an"}}, "args.to"),
    ]
    async with browse(Role.SUPERVISOR) as client:
        for change, field in wrong:
            answer = await client.post(COMMANDS, json=OPEN | change)
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["field"] == field
        for path in (
            "/api/v1/shifts/0/report",
            "/api/v1/shifts/1/report?lang=fr",
            "/api/v1/shifts?limit=201",
        ):
            assert (await client.get(path)).status_code == 422, path
        assert (await client.get("/api/v1/shifts/5/report")).status_code == 404


async def test_the_printed_report_shows_its_style_and_runs_nothing(browse: Browser) -> None:
    async with browse(Role.LEADER) as client:
        as_json = await client.get("/api/v1/shifts/1/report")
        page = await client.get("/api/v1/shifts/1/report", params={"format": "html", "lang": "en"})
    digest = hashlib.sha256(as_json.content).hexdigest()
    assert as_json.headers["etag"] == page.headers["etag"] == f'"{digest}"'
    assert digest in page.text and "Hand-over report" in page.text
    style = re.search("<style>(.*?)</style>", page.text)
    assert style
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = page.headers["content-security-policy"]
    assert f"style-src 'sha256-{allowed}'" in policy and policy.startswith("default-src 'none'")
    vi = "<b>Ùn tắc</b>"
    async with browse(Role.LEADER) as client:
        page = await client.get("/api/v1/shifts/1/report", params={"format": "html"})
    assert vi not in page.text and "&lt;b&gt;Ùn tắc&lt;/b&gt;" in page.text
