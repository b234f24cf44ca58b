"""Receivers over the API: how long a former secret signs, and which failed deliveries are sent again."""

from typing import Any

import httpx
import pytest

from ioc.model.times import format_us
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fakes import T0_US, FakeReceivers, FakeUsers, make_deps

RESEND = "/api/v1/receivers/other/deliveries/resend"


@pytest.fixture
def receivers() -> FakeReceivers:
    return FakeReceivers()


@pytest.fixture
def admin(users: FakeUsers, browse: Browser, receivers: FakeReceivers) -> httpx.AsyncClient:
    return browse(Role.ADMIN, make_deps(users, receivers=receivers))


async def test_a_new_secret_says_until_when_the_former_one_signs(admin: httpx.AsyncClient) -> None:
    for body, until in (
        (None, format_us(T0_US)),
        ({"overlap_h": 48}, format_us(T0_US)),
        ({"overlap_h": 0}, None),
    ):
        answer = await admin.post("/api/v1/receivers/other/secret", json=body)
        assert (answer.status_code, answer.json()["former_until"]) == (200, until)
    for overlap_h in (-1, 24 * 90 + 1, "long"):
        answer = await admin.post("/api/v1/receivers/other/secret", json={"overlap_h": overlap_h})
        assert answer.status_code == 422
        assert "overlap_h" in answer.text


async def test_failed_deliveries_are_asked_for_by_notice_or_since_a_time(
    admin: httpx.AsyncClient, receivers: FakeReceivers
) -> None:
    for body in ({"notices": ["inc-1.1"]}, {"since": "2026-11-22T07:00:00+07:00"}):
        answer = await admin.post(RESEND, json=body)
        assert (answer.status_code, answer.json()) == (200, {"again": 1, "left": 0})
    since_us = 1_795_305_600_000_000
    assert receivers.resent == [("admin-0", ["inc-1.1"], 0), ("admin-0", None, since_us)]
    assert (await admin.post(RESEND.replace("other", "nobody"), json={"notices": ["x"]})).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "since"),
        ({"notices": ["inc-1.1"], "since": "2026-11-22T00:00:00Z"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"notices": []}, "notices"),
        ({"notices": ["x"] * 201}, "notices"),
        ({"all": True}, "all"),
    ],
)
async def test_what_does_not_say_which_is_refused_by_field(
    admin: httpx.AsyncClient, receivers: FakeReceivers, body: dict[str, Any], field: str
) -> None:
    answer = await admin.post(RESEND, json=body)
    assert (answer.status_code, receivers.resent) == (422, [])
    assert field in answer.text


async def test_deliveries_are_listed_by_state_and_time(admin: httpx.AsyncClient) -> None:
    page = "/api/v1/receivers/other/deliveries"
    assert [item["resent"] for item in (await admin.get(page)).json()["items"]] == [0]
    assert (await admin.get(page, params={"state": "failed"})).json()["items"] == []
    assert (await admin.get(page, params={"since": "2199-01-01T00:00:00Z"})).json()["items"] == []
    assert (await admin.get(page, params={"state": "lost"})).status_code == 422
