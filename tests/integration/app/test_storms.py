"""Storms in four wards at once, people and the keeper: groups stay whole and nobody waits for ever."""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Sequence

import psycopg
import pytest

from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.keeper import IncidentKeeper
from ioc.app.incidents.service import IncidentService
from ioc.incidents.commands import Command, Conflict, Op, Refused
from ioc.incidents.policies import Policies
from ioc.model.incidents import Cleared, Condition, Effect, Handling, Incident, Severity, Updated
from ioc.model.times import HOUR_US, SECOND_US
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter
from ioc.store.pool import Pool, open_pool
from tests.integration.app.test_incident_service import NOW_US, WHY, raised

WARDS = ("25747", "25750", "25760", "25771")
POLICIES = Policies(ward_names={ward: f"Phường {ward}" for ward in WARDS})
ALARMS = 120
"""Per ward, within ten minutes and a few hundred metres."""
RULES = (("congestion", "traffic"), ("stopped-vehicle", "traffic"), ("camera-silent", "equipment"))
OPS = (Op.ACKNOWLEDGE, Op.UNMERGE, Op.MERGE, Op.REROUTE, Op.RESOLVE, Op.REOPEN, Op.SHELVE, Op.ASSIGN)


def storm(ward: str) -> list[list[Effect]]:
    """Return the effects of a ward's rules in batches as one partition's worker would commit them."""
    chance = random.Random(ward)
    effects: list[Effect] = []
    for number in range(ALARMS):
        at_us = NOW_US + number * 5 * SECOND_US
        rule, category = chance.choice(RULES)
        alarm = raised(
            at_us,
            f"{ward}-{number}",
            rule=rule,
            category=category,
            severity=chance.choice(list(Severity)),
            ward=ward,
            lon=106.65 + chance.randrange(4) * 0.001,
            lat=11.0,
        )
        effects.append(alarm)
        if chance.random() < 0.3:
            grown = chance.choice(list(Severity))
            effects.append(
                Updated(incident_id=alarm.incident_id, at_us=at_us, severity=grown, why=WHY, count=2)
            )
        if chance.random() < 0.5:
            effects.append(Cleared(incident_id=alarm.incident_id, at_us=at_us, reason="hold", count=1))
    batches = []
    while effects:
        size = chance.randint(1, 8)
        batches.append(effects[:size])
        effects = effects[size:]
    return batches


async def commit(pool: Pool, batches: Sequence[Sequence[Effect]]) -> None:
    for batch in batches:
        async with pool.connection() as connection, connection.transaction():
            await apply_effects(connection, batch, POLICIES)


async def everything(service: IncidentService) -> dict[str, Incident]:
    found: dict[str, Incident] = {}
    cursor = None
    while True:
        page, cursor = await service.page(IncidentFilter(open_only=False, limit=500, cursor=cursor))
        found |= {incident.id: incident for incident in page}
        if cursor is None:
            return found


async def meddle(service: IncidentService, actor: str, outcomes: Counter[str], until: asyncio.Event) -> None:
    """Do what comes to mind with any incident, until the storms are over."""
    chance = random.Random(actor)
    for number in itertools.count():
        known = list((await everything(service)).values())
        if until.is_set():
            return
        if not known:
            continue
        for incident in chance.sample(known, min(5, len(known))):
            command = Command(
                op=chance.choice(OPS),
                expect_rev=incident.rev,
                idem=f"{actor}-{number}-{incident.id}",
                note="ghi chú",
                assignee="Tổ 1",
                ward=chance.choice(WARDS),
                into=chance.choice(known).id,
                until_us=NOW_US + HOUR_US,
            )
            try:
                await service.command(incident.id, command, actor)
                outcomes["done"] += 1
            except Conflict:
                outcomes["conflict"] += 1
            except Refused:
                outcomes["refused"] += 1


@pytest.mark.slow
async def test_storms_people_and_the_keeper_at_once_leave_every_group_whole(database: Dsns) -> None:
    async with open_pool(database.app, name="storm") as pool:
        service, keeper = IncidentService(pool, lambda: POLICIES), IncidentKeeper(pool, 1, lambda: POLICIES)
        outcomes: Counter[str] = Counter()
        over = asyncio.Event()

        async def sweep() -> None:
            while not over.is_set():
                await keeper.sweep(NOW_US + HOUR_US)
                await keeper.remind(NOW_US + HOUR_US)
                await asyncio.sleep(0)

        async with asyncio.timeout(120), asyncio.TaskGroup() as beside:
            for actor in ("an", "binh", "cuong"):
                beside.create_task(meddle(service, actor, outcomes, over))
            beside.create_task(sweep())
            async with asyncio.TaskGroup() as storms:
                for ward in WARDS:
                    storms.create_task(commit(pool, storm(ward)))
            over.set()

        found = await everything(service)
        assert len(found) == ALARMS * len(WARDS)
        assert outcomes["done"] > 0
        members = defaultdict(list)
        for incident in found.values():
            assert (incident.handling is Handling.MERGED) == (incident.merged_into is not None)
            if incident.merged_into:
                members[incident.merged_into].append(incident)
        assert members, "a storm makes groups"
        for incident in found.values():
            assert incident.members == len(members[incident.id])
            active = sum(member.condition is Condition.ACTIVE for member in members[incident.id])
            assert incident.members_active == active
            assert {member.ward for member in members[incident.id]} <= {incident.ward}
            audits = await service.history(incident.id)
            assert [audit.rev for audit in audits] == list(range(1, incident.rev + 1))


@pytest.mark.slow
async def test_wards_in_a_storm_at_once_are_grouped_as_one_after_the_other(database: Dsns) -> None:
    async with open_pool(database.app, name="storm") as pool:
        async with asyncio.TaskGroup() as storms:
            for ward in WARDS:
                storms.create_task(commit(pool, storm(ward)))
        at_once = {
            incident.id: (incident.merged_into, incident.merged_by, incident.severity)
            for incident in (await everything(IncidentService(pool))).values()
        }
    await asyncio.to_thread(_forget, database)
    async with open_pool(database.app, name="storm") as pool:
        for ward in WARDS:
            for effect in itertools.chain(*storm(ward)):
                await commit(pool, [[effect]])
        in_turn = {
            incident.id: (incident.merged_into, incident.merged_by, incident.severity)
            for incident in (await everything(IncidentService(pool))).values()
        }
    assert at_once == in_turn


def _forget(database: Dsns) -> None:
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("audit_entry", "incident_audit", "incident_change", "incident"):
            connection.execute(f"DELETE FROM {table}".encode())
