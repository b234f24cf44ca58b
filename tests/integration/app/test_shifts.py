"""Hand-over on the real store: live, safe under two people at once, and kept with a hash in the audit log."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence

import pytest

from ioc.api.ports import NotFoundError, RuleInfo
from ioc.app.clock import now_us
from ioc.app.incidents.service import IncidentService
from ioc.app.incidents.shift_service import ShiftService, read_report
from ioc.incidents.commands import Command, Op
from ioc.incidents.policies import Policies
from ioc.incidents.shift import ShiftCommand, ShiftConflict, ShiftOp, ShiftRefused
from ioc.model.incidents import Cleared
from ioc.model.shifts import Item, ItemKind, ShiftState
from ioc.model.texts import Text
from ioc.model.times import HOUR_US
from ioc.store import audit
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from tests.integration.app.test_incident_service import apply, raised

WARDS = Policies(ward_names={"25747": "Phường Thủ Dầu Một", "25750": "Phường Phú Lợi"})
RULES = [
    RuleInfo(rule=name, title=Text(f"{name} {{source}}", name), version="1", severity="high", enabled=enabled)
    for name, enabled in (("crowd", False), ("congestion", True))
]


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test", max_size=4) as pool:
        yield pool


@pytest.fixture
def shifts(pool: Pool) -> ShiftService:
    async def rules() -> Sequence[RuleInfo]:
        return RULES

    return ShiftService(pool, rules)


class Leads:
    """Acts on the current shift, each time under a key of its own."""

    def __init__(self, shifts: ShiftService) -> None:
        self.shifts = shifts
        self.keys = 0

    async def do(self, actor: str, op: ShiftOp, **arguments: object) -> tuple[ShiftCommand, int]:
        shift, _ = await self.shifts.current()
        self.keys += 1
        command = ShiftCommand(op=op, expect_rev=shift.rev, idem=f"key-{self.keys:04d}", **arguments)  # type: ignore[arg-type]
        await self.shifts.command(shift.id, command, actor)
        return command, shift.id

    async def items(self) -> dict[str, Item]:
        return {item.listed.ref: item for item in (await self.shifts.current())[1]}


async def test_a_shift_passes_and_its_report_is_kept(pool: Pool, shifts: ShiftService) -> None:
    now, service, leads = now_us(), IncidentService(pool, lambda: WARDS), Leads(shifts)
    jam, shelved, away = (raised(now, key=f"cam-{n}", rule="wrong-way") for n in range(3))
    silent, dark = (raised(now, key=f"cam-{n}", rule="camera-silent", category="equipment") for n in (8, 9))
    await apply(pool, jam, shelved, away, silent, dark)
    await service.command(
        shelved.incident_id,
        Command(op=Op.SHELVE, expect_rev=1, idem="shelve-1", note="chờ", until_us=now + HOUR_US), "an",
    )  # fmt: skip
    await service.command(
        away.incident_id, Command(op=Op.REROUTE, expect_rev=1, idem="route-1", note="x", ward="25750"), "an"
    )
    await service.command(
        dark.incident_id, Command(op=Op.REJECT, expect_rev=1, idem="reject-1", note="bảo trì"), "an"
    )
    before = await service.get(jam.incident_id)

    with pytest.raises(NotFoundError):
        await shifts.current()
    first = await shifts.begin("an", "begin-0001")
    assert await shifts.begin("an", "begin-0001") == first, "a repeat begins nothing"
    with pytest.raises(ShiftConflict):
        await shifts.begin("binh", "begin-0002")
    await leads.do("an", ShiftOp.START)
    kinds = {ref: item.listed.kind for ref, item in (await leads.items()).items()}
    assert kinds == {
        jam.incident_id: ItemKind.INCIDENT, shelved.incident_id: ItemKind.SHELVED,
        away.incident_id: ItemKind.HANDED_OVER, silent.incident_id: ItemKind.OUTAGE,
        dark.incident_id: ItemKind.OUTAGE, "rule:crowd": ItemKind.RULE,
    }  # fmt: skip
    assert (await leads.items())["rule:crowd"].listed.title.vi == "crowd …"
    await leads.do("an", ShiftOp.NOTE, items=(jam.incident_id,), note="gọi 0912 345 678")
    assert (await leads.items())[jam.incident_id].note == "gọi •••678", "a report is kept for long"
    await leads.do("binh", ShiftOp.OPEN)
    await leads.do("binh", ShiftOp.ACCEPT_REST)

    late = raised(now + 1, key="cam-late")
    await apply(pool, late, Cleared(incident_id=dark.incident_id, at_us=now + 2, reason="hold", count=1))
    with pytest.raises(ShiftRefused, match="1 items are neither"):
        await leads.do("binh", ShiftOp.PASS)
    items = await leads.items()
    assert items[late.incident_id].is_undecided and items[dark.incident_id].gone
    await leads.do("binh", ShiftOp.QUESTION, items=(late.incident_id,), note="vừa xảy ra")
    passing, shift_id = await leads.do("binh", ShiftOp.PASS)

    running, nothing = await shifts.current()
    assert (running.lead, running.state, list(nothing)) == ("binh", ShiftState.RUNNING, [])
    assert await shifts.command(shift_id, passing, "binh") == running, "a repeat passes nothing"
    text, sha256 = await shifts.report(shift_id)
    report = read_report(text)
    assert (report.lead, report.incoming, report.accepted, report.questioned) == ("an", "binh", 5, 1)
    assert report.ended == 1 and hashlib.sha256(text.encode()).hexdigest() == sha256
    assert await service.get(jam.incident_id) == before, "handing over touches no incident and no clock"
    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT op, doc->>'report_sha256' FROM audit_entry"
            " WHERE area = 'city' AND subject = %s ORDER BY seq",
            (f"shift:{shift_id}",),
        )
        told = await found.fetchall()
        assert (await audit.verify(connection, [])).intact
    assert [op for op, _ in told] == [
        "shift_begin", "shift_start", "shift_note", "shift_open", "shift_accept_rest", "shift_question",
        "shift_pass",
    ]  # fmt: skip
    assert told[-1][1] == sha256


async def test_two_people_at_once_decide_each_item_once_and_only_one_takes_over(
    pool: Pool, shifts: ShiftService
) -> None:
    leads = Leads(shifts)
    await shifts.begin("an", "begin-0001")
    await apply(pool, *(raised(now_us(), key=f"cam-{n}", ward=None) for n in range(20)))
    await leads.do("an", ShiftOp.START)
    shift, _ = await shifts.current()

    async def race(commands: Sequence[tuple[str, ShiftCommand]]) -> list[object]:
        async def attempt(actor: str, command: ShiftCommand) -> object:
            try:
                return await shifts.command(shift.id, command, actor)
            except (ShiftRefused, ShiftConflict) as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(*each)) for each in commands]
        return [task.result() for task in tasks]

    def command(n: int, op: ShiftOp, rev: int, *items: str) -> ShiftCommand:
        return ShiftCommand(op=op, expect_rev=rev, idem=f"race-{op}-{n:04d}", items=items)

    opening = await race([(who, command(n, ShiftOp.OPEN, 1)) for n, who in enumerate(("binh", "cuong"))])
    assert sorted(type(each).__name__ for each in opening) == ["Shift", "ShiftRefused"]
    taker = (await shifts.current())[0].incoming or ""
    seen, items = await shifts.current()
    refs = [item.listed.ref for item in items if item.listed.kind is ItemKind.INCIDENT]
    outcomes = await race(
        [(taker, command(n, ShiftOp.ACCEPT, seen.rev, ref)) for n, ref in enumerate(refs * 2)]
    )
    conflicts = [each for each in outcomes if isinstance(each, ShiftConflict)]
    assert len(conflicts) == len(refs), "the second decision on an item had not seen the first"
    rest = {item.listed.ref for item in (await shifts.current())[1] if item.is_undecided}
    assert rest == {"rule:crowd"}


async def test_a_key_used_for_another_command_changes_nothing(pool: Pool, shifts: ShiftService) -> None:
    shift = await shifts.begin("an", "begin-0001")
    start = ShiftCommand(op=ShiftOp.START, expect_rev=1, idem="key-0001")
    await shifts.command(shift.id, start, "an")
    with pytest.raises(ShiftConflict):
        await shifts.command(shift.id, ShiftCommand(op=ShiftOp.CANCEL, expect_rev=2, idem="key-0001"), "an")
    with pytest.raises(ShiftConflict):
        await shifts.command(
            shift.id + 1, ShiftCommand(op=ShiftOp.CANCEL, expect_rev=2, idem="key-0002"), "an"
        )
    assert (await shifts.current())[0].state is ShiftState.HANDING_OVER
    assert [each.id for each in await shifts.list(None, 10)] == [shift.id]
