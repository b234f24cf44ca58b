"""Procedures on the real store: texts outlive their policy, supervisors are told, people see their list."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from ioc.api.procedures import procedure_view
from ioc.app.directory import Directory
from ioc.app.incidents.change_follower import ChangeFollower
from ioc.app.incidents.desk import Desk
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.notifier import queue_notices
from ioc.app.incidents.policy_view import StoredPolicies
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.incidents.service import IncidentService
from ioc.app.settings.sections import NotifySettings
from ioc.incidents.commands import Command, Op, Refused
from ioc.model.incidents import Incident
from ioc.store.change_followers import FollowedChange, begin_following
from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, open_pool
from ioc.store.users import Person, Role
from tests.integration.app.test_incident_service import NOW_US, raised

OWN = {
    "procedures": [
        {
            "title": {"vi": "Của ta", "en": "Ours"},
            "category": "traffic",
            "steps": [
                {"id": "look", "text": {"vi": "Nhìn", "en": "Look"}},
                {"id": "say", "text": {"vi": "Nói", "en": "Say"}, "kind": "note"},
            ],
        }
    ]
}


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


@pytest.fixture
async def desk(pool: Pool) -> Desk:
    directory = Directory(pool)
    await directory.refresh()
    desk = Desk(pool, directory)
    await desk.refresh(keep=True)
    policies = StoredPolicies(pool, desk, directory)
    await policies.put("procedures", OWN, author="an", reason="thử", expect_version=0)
    return desk


async def raise_one(pool: Pool, desk: Desk) -> Incident:
    effect = raised()
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, [effect], desk.policies())
    return await IncidentService(pool).get(effect.incident_id)


def command(incident: Incident, op: Op, **arguments: Any) -> Command:
    return Command(op=op, expect_rev=incident.rev, idem=f"key-{incident.rev}-{op}", **arguments)


async def test_what_has_begun_keeps_its_text_in_every_process(pool: Pool, desk: Desk) -> None:
    incident = await raise_one(pool, desk)
    directory = Directory(pool)
    await directory.refresh()
    policies = StoredPolicies(pool, desk, directory)
    await policies.put("procedures", {"procedures": []}, author="an", reason="bỏ", expect_version=1)
    elsewhere = Desk(pool, directory)
    await elsewhere.refresh()
    service = IncidentService(pool, elsewhere.policies)
    with pytest.raises(Refused, match="open: look, say"):
        await service.command(incident.id, command(incident, Op.RESOLVE, note="xong"), "binh")
    looked = await service.command(incident.id, command(incident, Op.STEP, step="look"), "binh")
    done = await service.command(
        incident.id, command(looked, Op.STEP, step="say", note="gọi 0912 345 678"), "binh"
    )
    procedure = await service.procedure(done)
    assert procedure is not None and done.checklist is not None
    shown = procedure_view(done, done.checklist, procedure, await service.history(done.id))
    assert [(step.id, step.state, step.by, step.note) for step in shown.steps] == [
        ("look", "done", "binh", None), ("say", "done", "binh", "gọi •••678"),
    ]  # fmt: skip
    ended = await service.command(incident.id, command(done, Op.RESOLVE, note="xong"), "binh")
    assert ended.handling == "resolved"
    later = raised(NOW_US + 1, key="cam-2")
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, [later], elsewhere.policies())
    assert (await service.get(later.incident_id)).checklist is None


async def test_supervisors_are_told_of_what_was_left_undone(pool: Pool, desk: Desk) -> None:
    async def queue(connection: AsyncConnection[Any], changes: list[FollowedChange]) -> None:
        await queue_notices(connection, changes, NOW_US)

    async with pool.connection() as connection:
        await begin_following(connection, "notices", from_start=True)
    incident = await raise_one(pool, desk)
    service = IncidentService(pool, desk.policies)
    skipped = await service.command(
        incident.id, command(incident, Op.SKIP, step="look", note="mất hình"), "binh"
    )
    resolve = command(skipped, Op.RESOLVE, note="xong", override="hết ca")
    await service.command(incident.id, resolve, "an", supervises=True)
    follower = ChangeFollower("notices", pool, queue)
    while await follower.step():
        pass
    roles = (Role.SUPERVISOR, Role.OPERATOR)
    people = {role: Person(username=role.value, name="", role=role) for role in roles}
    receivers = StoredReceivers(pool, NotifySettings(), lambda: NOW_US)
    told = {role: (await receivers.notices(person, 10))[0] for role, person in people.items()}
    assert [notice.op for notice in told[Role.SUPERVISOR]] == ["steps_overridden", "step_skipped"]
    assert told[Role.OPERATOR] == []
