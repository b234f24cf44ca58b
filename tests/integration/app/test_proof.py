"""What was resolved and is not over, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from psycopg import AsyncConnection

from ioc.app.incidents.change_follower import ChangeFollower
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.keeper import IncidentKeeper
from ioc.app.incidents.notifier import queue_notices
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.incidents.service import IncidentService
from ioc.app.settings.sections import NotifySettings
from ioc.incidents.commands import Command, Op
from ioc.incidents.policies import Policies
from ioc.model.incidents import Cleared, Condition, Effect, Handling, Incident, Raised
from ioc.model.times import HOUR_US, MINUTE_US
from ioc.store.change_followers import FollowedChange, begin_following
from ioc.store.embedded import Dsns
from ioc.store.incidents import IncidentFilter
from ioc.store.pool import Pool, open_pool
from ioc.store.users import Person, Role
from tests.integration.app.test_incident_service import NOW_US, raised

POLICIES = Policies(ward_names={"25747": "Phường Thủ Dầu Một"})


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


@pytest.fixture
def service(pool: Pool) -> IncidentService:
    return IncidentService(pool, lambda: POLICIES)


def flood(at_us: int, key: str = "cam-1") -> Raised:
    return msgspec.structs.replace(raised(at_us, key=key), rule="flood-alarm", category="flood")


async def apply(pool: Pool, *effects: Effect) -> None:
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, effects, POLICIES)


async def resolve(service: IncidentService, incident_id: str) -> Incident:
    now = await service.get(incident_id)
    idem = f"{incident_id}-{now.rev}"
    command = Command(op=Op.RESOLVE, expect_rev=now.rev, idem=idem, note="xong", override="đã rõ")
    return await service.command(incident_id, command, "an", supervises=True)


async def test_the_keeper_opens_again_what_goes_on_and_does_so_once(
    pool: Pool, service: IncidentService
) -> None:
    going, over = flood(NOW_US), flood(NOW_US, "cam-2")
    await apply(pool, going, over)
    await apply(pool, Cleared(incident_id=over.incident_id, at_us=NOW_US + 1, reason="hold", count=1))
    done = await resolve(service, going.incident_id)
    await resolve(service, over.incident_id)
    assert done.resolved_us is not None
    keeper = IncidentKeeper(pool, 600, lambda: POLICIES)
    due_us = done.resolved_us + HOUR_US
    assert await keeper.prove(due_us - 1) == []
    assert [change.incident.id for change in await keeper.prove(due_us)] == [going.incident_id]
    assert await keeper.prove(due_us) == []
    page, _ = await service.page(IncidentFilter())
    assert [(item.id, item.handling) for item in page] == [(going.incident_id, Handling.NEW)]


async def test_a_look_that_does_not_end_goes_on_where_the_last_one_stopped(
    pool: Pool, service: IncidentService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ioc.app.incidents.keeper.KEEPER_BATCH", 2)
    alarms = [flood(NOW_US, f"cam-{n}") for n in range(5)]
    await apply(pool, *alarms)
    ends = [await resolve(service, alarm.incident_id) for alarm in alarms]
    keeper = IncidentKeeper(pool, 600, lambda: POLICIES)
    due_us = max(end.resolved_us or 0 for end in ends) + HOUR_US
    found = [len(await keeper.prove(due_us)) for _ in range(3)]
    assert found == [2, 2, 1]


async def test_an_alarm_that_comes_back_is_one_incident_with_what_was_resolved(
    pool: Pool, service: IncidentService
) -> None:
    first = flood(NOW_US)
    await apply(pool, first)
    done = await resolve(service, first.incident_id)
    assert done.resolved_us is not None
    # The old episode has not even ended in the log: the new one ends it.
    second = flood(done.resolved_us + 20 * MINUTE_US)
    await apply(pool, second)
    page, _ = await service.page(IncidentFilter())
    (item,) = page
    assert (item.id, item.handling, item.members, item.members_active) == (
        first.incident_id,
        Handling.NEW,
        1,
        1,
    )
    assert item.condition is Condition.CLEARED
    ops = [audit.op for audit in await service.history(first.incident_id)]
    assert ops == ["raised", "resolve", "cleared", "reopen", "joined"]
    (member,) = await service.members(first.incident_id)
    assert (member.id, member.merged_by) == (second.incident_id, "returned")
    await apply(pool, second)
    assert (await service.get(first.incident_id)).rev == item.rev, "a repeat of the log changes nothing"


async def test_supervisors_are_told_that_a_result_was_none(pool: Pool, service: IncidentService) -> None:
    async def queue(connection: AsyncConnection[Any], changes: list[FollowedChange]) -> None:
        await queue_notices(connection, changes, NOW_US)

    async with pool.connection() as connection:
        await begin_following(connection, "notices", from_start=True)
    alarm = flood(NOW_US)
    await apply(pool, alarm)
    done = await resolve(service, alarm.incident_id)
    assert done.resolved_us is not None
    await IncidentKeeper(pool, 600, lambda: POLICIES).prove(done.resolved_us + HOUR_US)
    follower = ChangeFollower("notices", pool, queue)
    while await follower.step():
        pass
    supervisor = Person(username="binh", name="", role=Role.SUPERVISOR)
    notices, _ = await StoredReceivers(pool, NotifySettings(), lambda: NOW_US).notices(supervisor, 10)
    assert [notice.op for notice in notices][:1] == ["result_disproved"]
