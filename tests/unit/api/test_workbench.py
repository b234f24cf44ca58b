"""The workbench of rules over HTTP: who may, what is refused before anything is done, how refusals read."""

import pytest

from ioc.api.workbench import BODY_BYTES
from ioc.api.workbench_ports import (
    BacktestAsk,
    BenchRefusedError,
    BusyError,
    Finding,
    InvalidTextError,
    Push,
    StaleRuleError,
    Switch,
)
from ioc.rules.nodes import MAX_FILE_CHARS
from ioc.store.users import Role
from tests.unit.api.conftest import Browser
from tests.unit.api.fake_workbench import SOURCE, FakeWorkbench
from tests.unit.api.fakes import FakeUsers, make_deps

BENCH = "/api/v1/workbench"
FILE = {"file": "jam.yaml", "text": "rule: underpass-jam"}
PUSH = FILE | {"expect_version": 3, "reason": "ngưỡng mới", "trial": "ab12"}


@pytest.fixture
def bench() -> FakeWorkbench:
    return FakeWorkbench()


async def test_an_engineer_limited_to_wards_gets_no_rules_of_the_whole_city(
    users: FakeUsers, browse: Browser
) -> None:
    async with browse(None) as client:
        client.cookies.set("ioc_session", users.add(Role.ENGINEER, ("25747",)))
        answer = await client.get(f"{BENCH}/rules")
    assert answer.status_code == 403
    assert "whole city" in answer.json()["detail"]


async def test_a_push_is_made_in_the_persons_name_and_with_a_reason(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        answer = await client.post(f"{BENCH}/push", json=PUSH)
        blank = await client.post(f"{BENCH}/push", json=PUSH | {"reason": "  "})
        unseen = await client.post(
            f"{BENCH}/push", json={k: v for k, v in PUSH.items() if k != "expect_version"}
        )
    assert (answer.status_code, answer.json()) == (200, {"version": 4})
    (told,) = bench.told
    push = Push(**FILE, expect_version=3, shadow=False, reason="ngưỡng mới", trial="ab12")
    assert told == ("engineer-0", push)
    assert (blank.status_code, blank.json()["errors"][0]["field"]) == (422, "reason")
    assert (unseen.status_code, unseen.json()["errors"][0]["field"]) == (422, "expect_version")


async def test_another_sites_page_can_push_nothing(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench), header=False) as client:
        assert (await client.post(f"{BENCH}/push", json=PUSH)).status_code == 403
    assert bench.told == []


async def test_what_somebody_else_changed_meanwhile_is_a_conflict_that_shows_what_is_in_force(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    bench.failing = StaleRuleError(SOURCE, "an has changed underpass-jam meanwhile.")
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        answer = await client.post(f"{BENCH}/push", json=PUSH)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "expect_version")
    assert answer.json()["present"]["version"] == 3


@pytest.mark.parametrize(
    ("failing", "status", "field"),
    [
        (BenchRefusedError("trial", "trial", "Try it first."), 422, "trial"),
        (BenchRefusedError("accept_flood", "budget", "Too many."), 422, "accept_flood"),
        (InvalidTextError([Finding(4, 7, "unknown key 'wher'", "did you mean 'where'?")]), 422, "text"),
    ],
)
async def test_a_refusal_names_its_field(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench, failing: Exception, status: int, field: str
) -> None:
    bench.failing = failing
    async with browse(Role.ADMIN, make_deps(users, workbench=bench)) as client:
        answer = await client.post(f"{BENCH}/push", json=PUSH)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)
    if isinstance(failing, InvalidTextError):
        assert answer.json()["findings"][0]["line"] == 4


async def test_beyond_the_bound_of_jobs_the_answer_says_when_to_come_again(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    bench.failing = BusyError("A backtest of yours is running.")
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        answer = await client.post(f"{BENCH}/backtests", json=FILE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


async def test_a_backtest_runs_over_the_time_asked_for(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    first, last = "2026-11-28T07:00:00+07:00", "2026-11-28T08:00:00+07:00"
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        begun = await client.post(f"{BENCH}/backtests", json=FILE | {"from": first, "to": last})
        wrong = [
            (await client.post(f"{BENCH}/backtests", json=FILE | more)).json()["errors"][0]["field"]
            for more in ({"from": "hôm qua"}, {"from": last, "to": first}, {"trial": True, "from": first})
        ]
    assert begun.status_code == 202
    (told,) = bench.told
    assert told == ("engineer-0", BacktestAsk(**FILE, from_us=1795824000000000, to_us=1795827600000000))
    assert wrong == ["from", "to", "trial"]


async def test_texts_names_and_bodies_are_bounded(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        long = await client.post(f"{BENCH}/check", json=FILE | {"text": "x" * (MAX_FILE_CHARS + 1)})
        huge = await client.post(f"{BENCH}/check", json=FILE | {"text": "x" * BODY_BYTES})
        place = await client.post(f"{BENCH}/check", json=FILE | {"file": "a\nb"})
        name = await client.get(f"{BENCH}/rules/..%2f..")
    assert (long.status_code, long.json()["errors"][0]["field"]) == (422, "text")
    assert huge.status_code == 413
    assert place.json()["errors"][0]["field"] == "file"
    assert name.status_code in (404, 422)
    assert bench.told == []


async def test_a_shadow_is_ended_and_never_switched_on(
    users: FakeUsers, browse: Browser, bench: FakeWorkbench
) -> None:
    body = {"on": False, "shadow": True, "expect_version": 3, "reason": "đã đủ"}
    async with browse(Role.ENGINEER, make_deps(users, workbench=bench)) as client:
        ended = await client.post(f"{BENCH}/rules/underpass-jam/switch", json=body)
        begun = await client.post(f"{BENCH}/rules/underpass-jam/switch", json=body | {"on": True})
    assert ended.status_code == 200
    (told,) = bench.told
    assert told == ("engineer-0", Switch(rule="underpass-jam", **body))
    assert (begun.status_code, begun.json()["errors"][0]["field"]) == (422, "on")
