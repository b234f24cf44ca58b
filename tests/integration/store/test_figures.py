"""Figures counted as incidents change are what counting anew gives, over random lives of incidents."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from math import floor as whole
from math import log
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from ioc.api.figure_ports import FigureQuery
from ioc.app.figures.view import StoredFigures
from ioc.app.incidents.effects import apply_effects
from ioc.incidents.commands import Command, Op, Refused
from ioc.incidents.figures import CELL_RATIO, CELLS, FIGURES, MAX_ERROR, Clock, Part
from ioc.incidents.lifecycle import Context, on_command
from ioc.incidents.periods import ORIGIN_US, Grain, Period, floor, spans_of, window
from ioc.incidents.policies import Policies, ProcedurePolicy
from ioc.model.incidents import (
    Handling,
    Incident,
    PauseReason,
    Raised,
    Severity,
    Why,
    incident_id,
)
from ioc.model.texts import Text
from ioc.model.times import DAY_US, MINUTE_US, SECOND_US, parse_us
from ioc.store import figures
from ioc.store.embedded import Dsns
from ioc.store.figures import By, Scope, Span
from ioc.store.incidents import IncidentFilter, lock_groups, read_page, write_changes
from ioc.store.migrate import migrate
from ioc.store.pool import Pool, open_pool
from ioc.store.row_scope import NOBODY, RowScope, ScopedPool

WARDS = ("25747", "25750", "25753")
CATEGORIES = ("traffic", "citizen")
# Without checklists: what is resolved here has been done.
POLICIES = Policies(ward_names=dict.fromkeys(WARDS, "Phường"), procedures=ProcedurePolicy(procedures=()))
NOW_US = parse_us("2026-11-25T15:20:00+07:00")
COMMANDS = (
    Op.ACKNOWLEDGE, Op.ACKNOWLEDGE, Op.START, Op.RESOLVE, Op.RESOLVE, Op.CLOSE, Op.REJECT, Op.REOPEN,
    Op.REROUTE, Op.PAUSE, Op.RESUME, Op.MERGE, Op.UNMERGE, Op.INVOLVE,
)  # fmt: skip


class City:
    """Random incidents that live through random commands, in their order in time."""

    def __init__(self, connection: AsyncConnection[Any], seed: int) -> None:
        self.connection = connection
        self.chance = random.Random(seed)
        self.reopened: list[tuple[int, str | None, str]] = []
        self.ids: list[str] = []

    async def live(self, incidents: int, steps: int, days: tuple[int, int] = (0, 100)) -> None:
        """Raise and command at random moments that lie `days` before now."""
        newest, oldest = (NOW_US - each * DAY_US for each in days)
        moments = sorted(self.chance.randrange(oldest, newest) for _ in range(incidents + steps))
        moments = [at - at % SECOND_US for at in moments]
        raises = set(self.chance.sample(range(len(moments)), incidents))
        for n, at_us in enumerate(moments):
            if n in raises or not self.ids:
                await self.raise_one(at_us)
            else:
                await self.command(self.chance.choice(self.ids[-12:]), at_us)

    async def raise_one(self, at_us: int) -> None:
        key = f"k-{len(self.ids)}"
        effect = Raised(
            incident_id=incident_id("r", key, at_us), rule="r", key=key,
            category=self.chance.choice(CATEGORIES), severity=self.chance.choice(list(Severity)),
            title=Text("Sự cố", "Incident"), why=Why(rule_version="1", summary=Text("vì", "why")),
            opened_us=at_us - MINUTE_US, at_us=at_us, ward=self.chance.choice((*WARDS, None)),
        )  # fmt: skip
        async with self.connection.transaction():
            await apply_effects(self.connection, [effect], POLICIES)
        self.ids.append(effect.incident_id)

    async def command(self, chosen: str, at_us: int) -> None:
        op = self.chance.choice(COMMANDS)
        into = self.chance.choice(self.ids[-6:]) if op is Op.MERGE else None
        async with self.connection.transaction():
            known = await lock_groups(self.connection, [chosen, *([into] if into else [])], with_members=True)
            incident = known[chosen]
            command = Command(
                op=op, expect_rev=incident.rev, idem="x" * 8, note="ghi chú", assignee=f"Đội {at_us}",
                ward=self.chance.choice(WARDS), into=into, reason=PauseReason.CITIZEN,
            )  # fmt: skip
            head = known.get(into or incident.merged_into or "")
            members = [each for each in known.values() if each.merged_into == incident.id]
            try:
                changes = on_command(
                    incident, command, actor="an", now_us=at_us, context=Context(POLICIES, head, members)
                )
            except Refused:
                return
            await write_changes(self.connection, changes)
        if op is Op.REOPEN:
            self.reopened.append((at_us, incident.ward, incident.category))


def cell(from_us_: int, to_us_: int) -> int:
    seconds = max(1.0, (to_us_ - from_us_) / SECOND_US)
    return min(CELLS - 1, max(0, whole(log(seconds) / log(CELL_RATIO))))


def parts_of(incident: Incident) -> list[tuple[int, int]]:
    """Return (moment, part) of an incident, from the definitions of the figures: not as the database does."""
    if incident.handling is Handling.MERGED:
        return []
    found: list[tuple[int | None, int]] = [(incident.detected_us, Part.DETECTED)]
    done_us = None if incident.is_open else incident.resolved_us or incident.closed_us
    rejected = incident.handling is Handling.REJECTED
    if done_us:
        found.append((done_us, Part.FINISHED))
    if rejected:
        found.append((incident.closed_us, Part.REJECTED))
    due_us = incident.resolve_due_us
    if due_us and not rejected and incident.paused_us is None:
        found.append((due_us, Part.DUE))
        if done_us:
            found.append((due_us, Part.DUE_DONE))
            if done_us <= due_us:
                found.append((due_us, Part.DUE_KEPT))
    seen_us = incident.acknowledged_us
    if incident.ack_due_us and (seen_us or incident.is_open):
        found.append((incident.ack_due_us, Part.ACK_DUE))
        if seen_us and seen_us <= incident.ack_due_us:
            found.append((incident.ack_due_us, Part.ACK_KEPT))
    if incident.is_open:
        found.append((ORIGIN_US, Part.OPEN))
        found += [(ORIGIN_US, Part.UNSEEN)] if seen_us is None else []
        found += [(ORIGIN_US, Part.UNSTARTED)] if incident.responded_us is None else []
    for moment, clock in (
        (seen_us, Clock.ACKNOWLEDGE),
        (incident.responded_us, Clock.RESPOND),
        (None if incident.is_open else incident.resolved_us, Clock.RESOLVE),
    ):
        if moment is not None:
            found.append((moment, clock + cell(incident.detected_us, moment)))
    return [(at_us, part) for at_us, part in found if at_us is not None]


async def everything(connection: AsyncConnection[Any]) -> list[Incident]:
    found, cursor = [], None
    while True:
        page, cursor = await read_page(connection, IncidentFilter(open_only=False, limit=500, cursor=cursor))
        found += page
        if cursor is None:
            return found


def counted(
    city: City, incidents: list[Incident], period: Period, scope: Scope, by: By
) -> dict[tuple[str, str], Counter[int]]:
    """Return counts by (segment, key), each incident looked at anew."""
    found = window(period, NOW_US)
    moments = [(i.ward, i.category, at, part) for i in incidents for at, part in parts_of(i)]
    moments += [(ward, category, at, Part.REOPENED) for at, ward, category in city.reopened]
    total: dict[tuple[str, str], Counter[int]] = {}
    for ward, category, at_us, part in moments:
        if scope.wards is not None and ward not in scope.wards:
            continue
        if scope.category is not None and category != scope.category:
            continue
        key = {By.WARD: ward or "", By.CATEGORY: category}.get(by, "")
        for segment, start_us, end_us in (
            ("before", found.start_us - found.shift_us, found.compared_us - found.shift_us),
            ("compared", found.start_us, found.compared_us),
            ("rest", found.compared_us, floor(NOW_US, Grain.HOUR)),
            ("stock", ORIGIN_US, ORIGIN_US + 1),
        ):
            if start_us <= at_us < end_us:
                total.setdefault((segment, key), Counter())[int(part)] += 1
    return total


def arranged(counts: list[figures.Count]) -> dict[tuple[str, str], Counter[int]]:
    total: dict[tuple[str, str], Counter[int]] = {}
    for segment, key, part, n in counts:
        if segment != "running":
            total.setdefault((segment, key), Counter())[part] = n
    return total


@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_what_counting_everything_anew_gives(pool: Pool, seed: int) -> None:
    async with pool.connection() as connection:
        city = City(connection, seed)
        for days in ((50, 100), (12, 50), (1, 12), (0, 1)):
            await city.live(25, 90, days)
            # Half of what is asked has been folded, half has not.
            async with connection.transaction():
                await figures.fold(connection, NOW_US, rows=city.chance.randrange(1, 400))
        incidents = await everything(connection)
        assert len({incident.handling for incident in incidents}) >= 5
        assert len(city.reopened) > 3
        for period in (Period.TODAY, Period.WEEK, Period.MONTH, Period.QUARTER):
            spans = [Span(*span) for span in spans_of(window(period, NOW_US))]
            for scope in (
                Scope(),
                Scope(category="citizen"),
                Scope(wards=("25747", "25750")),
                Scope(("25753",), "traffic"),
            ):
                for by in (By.NOTHING, By.WARD, By.CATEGORY):
                    found = arranged(await figures.read_counts(connection, spans, scope, by))
                    assert found == counted(city, incidents, period, scope, by), (period, scope, by)
        # Folding to the end changes nothing of it.
        while await figures.fold(connection, NOW_US):
            pass
        spans = [Span(*span) for span in spans_of(window(Period.QUARTER, NOW_US))]
        found = arranged(await figures.read_counts(connection, spans, Scope(), By.WARD))
        assert found == counted(city, incidents, Period.QUARTER, Scope(), By.WARD)
        await figures.forget_hours(connection, NOW_US)
        row = await (
            await connection.execute("SELECT count(*) FROM figure_sum WHERE parts = '{}'")
        ).fetchone()
        assert row == (0,)


async def test_the_lists_behind_figures_hold_exactly_what_they_count(pool: Pool) -> None:
    async with pool.connection() as connection:
        city = City(connection, 7)
        await city.live(60, 240)
        incidents = {incident.id: incident for incident in await everything(connection)}
    view = StoredFigures(ScopedPool(pool, RowScope("service")), dict, lambda: NOW_US)
    for period in (Period.WEEK, Period.QUARTER):
        query = FigureQuery(period=period)
        report = await view.report(query)
        by_id = {reading.figure: reading for reading in report.groups[0].figures}
        listed: dict[str, set[str]] = {}
        for figure in by_id:
            if FIGURES[figure].selection is None:
                continue
            ids, cursor = [], None
            while True:
                page, cursor = await view.incidents(figure, query, 7, cursor)
                ids += [incident.id for incident in page]
                if cursor is None:
                    break
            assert figure == "reopened_share" or len(ids) == len(set(ids)), figure
            listed[figure] = set(ids)
        due = by_id["within_time"].n
        assert len(listed["open"]) == by_id["open"].n
        assert len(listed["overdue"]) == by_id["overdue"].value
        assert len(listed["detected"]) == by_id["detected"].n
        assert len(listed["within_time"]) == round(due * (1 - (by_id["within_time"].value or 0)))
        assert len(listed["processing_rate"]) == round(due * (1 - (by_id["processing_rate"].value or 0)))
        for clock in ("acknowledge", "respond", "resolve"):
            assert len(listed[f"{clock}_median"]) == by_id[f"{clock}_median"].n
        late = by_id["seen_within_time"]
        assert len(listed["seen_within_time"]) == round(late.n * (1 - (late.value or 0)))
        assert all(incidents[each].handling is Handling.REJECTED for each in listed["rejected_share"])


async def test_medians_are_right_within_the_stated_error(pool: Pool) -> None:
    chance = random.Random(4)
    spent = sorted(round(chance.lognormvariate(5, 2)) + 2 for _ in range(301))
    async with pool.connection() as connection:
        city = City(connection, 1)
        for n, seconds in enumerate(spent):
            at_us = NOW_US - DAY_US - n * SECOND_US
            await city.raise_one(at_us - seconds * SECOND_US)
            (incident,) = (await lock_groups(connection, [city.ids[-1]])).values()
            command = Command(op=Op.ACKNOWLEDGE, expect_rev=1, idem="x" * 8)
            (change,) = on_command(incident, command, actor="an", now_us=at_us, context=Context(POLICIES))
            await write_changes(connection, [change])
    view = StoredFigures(ScopedPool(pool, RowScope("service")), dict, lambda: NOW_US)
    report = await view.report(
        FigureQuery(period=Period.WEEK, figures=("acknowledge_median", "acknowledge_p90"))
    )
    median, p90 = report.groups[0].figures
    assert (median.n, median.coverage) == (301, 1.0)
    assert median.value == pytest.approx(spent[150], rel=MAX_ERROR + 1e-9)
    assert p90.value == pytest.approx(spent[270], rel=MAX_ERROR + 1e-9)


async def test_writers_of_one_ward_do_not_wait_for_each_other_over_its_counts(database: Dsns) -> None:
    async def connect() -> AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(database.app, options="-c ioc.scope=service")

    one, other = await connect(), await connect()
    async with one, other:
        statement = (
            "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title, why,"
            " opened, detected, updated, ward) VALUES (%s, 1, 'r', %s, 'traffic', 'high', 'active', 'new',"
            " '{}', '{}', now(), now(), now(), '25747')"
        )
        await one.execute(statement, ("a", "a"))
        async with asyncio.timeout(20):
            await other.execute(statement, ("b", "b"))
            await other.commit()
        await one.rollback()
        spans = [Span(*span) for span in spans_of(window(Period.TODAY, NOW_US))]
        counts = await figures.read_counts(other, spans, Scope(), By.NOTHING)
        assert {(each.part, each.n) for each in counts if each.segment == "stock"} == {
            (Part.OPEN, 1), (Part.UNSEEN, 1), (Part.UNSTARTED, 1),
        }  # fmt: skip


async def test_ward_staff_see_the_figures_of_their_ward_alone_folded_or_not(database: Dsns) -> None:
    async with open_pool(database.app, name="fill", max_size=2) as fill, fill.connection() as connection:
        city = City(connection, 5)
        await city.live(40, 60)
        async with connection.transaction():
            await figures.fold(connection, NOW_US, rows=150)
        incidents = await everything(connection)
    own = sum(1 for incident in incidents if incident.ward == "25747" and incident.is_open)
    assert 0 < own < sum(1 for incident in incidents if incident.is_open)
    async with open_pool(database.app, name="people", max_size=2, scope=NOBODY) as people:
        for scope, seen in ((RowScope.of_person("cuong", ("25747",)), own), (NOBODY, 0)):
            view = StoredFigures(ScopedPool(people, scope), dict, lambda: NOW_US)
            for wards in (("25747",), ("25747", "25750"), WARDS):
                query = FigureQuery(
                    figures=("open", "overdue", "detected"), wards=wards, period=Period.QUARTER
                )
                report = await view.report(query, By.WARD)
                values = {group.key: group.figures[0].value for group in report.groups}
                assert values[None] == seen, (scope, wards)
                assert sum(value or 0 for key, value in values.items() if key not in (None, "25747")) == 0
            # Asked without any ward, the sums of the whole city stay closed.
            everywhere = await view.report(FigureQuery(figures=("open", "detected"), period=Period.QUARTER))
            assert everywhere.groups[0].figures[1].value == 0 or scope is not NOBODY
            page, _ = await view.incidents("open", FigureQuery())
            assert len(page) == seen


async def test_incidents_from_before_the_counting_are_counted_by_the_migration(empty_database: Dsns) -> None:
    """What the migration computes at once is what the trigger counts one by one."""
    migrate(empty_database.admin)
    async with await psycopg.AsyncConnection.connect(
        empty_database.app, autocommit=True, options="-c ioc.scope=service"
    ) as connection:
        city = City(connection, 11)
        await city.live(40, 160)
        while await figures.fold(connection, NOW_US):
            pass
        counted_ones = await _sums(connection)
    with psycopg.connect(empty_database.admin, autocommit=True) as admin, admin.transaction():
        admin.execute("SELECT set_config('ioc.scope', 'service', true)")
        admin.execute("SELECT ioc_count_figures()")
    async with await psycopg.AsyncConnection.connect(
        empty_database.app, autocommit=True, options="-c ioc.scope=service"
    ) as connection:
        assert await _sums(connection) == counted_ones


async def _sums(connection: AsyncConnection[Any]) -> Mapping[tuple[str, ...], list[tuple[int, int]]]:
    found = await connection.execute(
        "SELECT grain, category, ward, bucket::text, parts, counts FROM figure_sum"
        " WHERE parts <> '{}' AND grain <> 'hour'"
    )
    return {tuple(key): sorted(zip(parts, counts, strict=True)) async for *key, parts, counts in found}
