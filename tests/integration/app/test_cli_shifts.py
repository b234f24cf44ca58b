"""`ioc shifts …` against a real database: the report as it was written, and one that was touched."""

import asyncio
import json
from collections.abc import Sequence

import psycopg
import pytest

from ioc.api.ports import RuleInfo
from ioc.app.incidents.shift_service import ShiftService
from ioc.incidents.shift import ShiftCommand, ShiftOp
from ioc.model.texts import Text
from ioc.store.embedded import Dsns
from ioc.store.pool import open_pool
from tests.integration.app.test_cli import Ioc, ioc

__all__ = ["ioc"]


async def hand_over(dsns: Dsns) -> None:
    """Let one shift pass, with a disabled rule as the only thing on its list."""

    async def rules() -> Sequence[RuleInfo]:
        title = Text("Đám đông", "Crowd")
        return [RuleInfo(rule="crowd", title=title, version="1", severity="high", enabled=False)]

    async with open_pool(dsns.app, name="test") as pool:
        shifts = ShiftService(pool, rules)
        shift = await shifts.begin("an", "begin-0001")
        for n, (actor, op) in enumerate(
            [
                ("an", ShiftOp.START),
                ("binh", ShiftOp.OPEN),
                ("binh", ShiftOp.ACCEPT_REST),
                ("binh", ShiftOp.PASS),
            ]
        ):
            command = ShiftCommand(op=op, expect_rev=100, idem=f"key-{n:04d}")
            await shifts.command(shift.id, command, actor)


@pytest.fixture
def passed(ioc: Ioc, database: Dsns) -> Ioc:
    assert json.loads(ioc("shifts", "list", "--json")[1]) == []
    asyncio.run(hand_over(database))
    return ioc


def test_shifts_are_listed_and_reported(passed: Ioc) -> None:
    rows = json.loads(passed("shifts", "list", "--json")[1])
    assert [(row["state"], row["lead"], row["incoming"]) for row in rows] == [
        ("running", "binh", None), ("passed", "an", "binh"),
    ]  # fmt: skip
    number = str(rows[1]["shift"])
    report = json.loads(passed("shifts", "report", number)[1])
    assert [(line["ref"], line["verdict"]) for line in report["lines"]] == [("rule:crowd", "accepted")]
    assert "Quy tắc đang tắt" in passed("shifts", "report", number, "--html")[1]
    assert "Disabled rule" in passed("shifts", "report", number, "--html", "--lang", "en")[1]
    code, _, err = passed("shifts", "report", str(rows[0]["shift"]))
    assert (code, "has no report" in err) == (1, True)
    assert passed("shifts", "report", number, "--html", "--lang", "fr")[0] == 1


def test_a_report_that_was_touched_is_not_shown_as_if_it_were_whole(passed: Ioc, database: Dsns) -> None:
    with psycopg.connect(database.admin) as connection:
        connection.execute("UPDATE shift SET report = replace(report, 'accepted', 'ACCEPTED')")
    code, out, err = passed("shifts", "report", "1")
    assert (code, out) == (1, "")
    assert "is not what was written" in err
