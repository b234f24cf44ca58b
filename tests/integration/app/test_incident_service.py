"""Effects and commands on a real PostgreSQL, where several partitions and people meet."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.keeper import IncidentKeeper
from ioc.app.incidents.service import IncidentService
from ioc.incidents.commands import Command, KeyReused, Op
from ioc.model.incidents import Cleared, Condition, Handling, Raised, Severity, Updated, Why, incident_id
from ioc.model.texts import Text
from ioc.model.times import SECOND_US
from ioc.store.embedded import Dsns
from ioc.store.incidents import read_incident
from ioc.store.pool import Pool, open_pool

NOW_US = 1_700_000_000 * SECOND_US
WHY = Why(rule_version="v1", summary=Text("vì", "why"))


def raised(at_us: int = NOW_US, key: str = "cam-1", **changes: object) -> Raised:
    effect = Raised(
        incident_id=incident_id("wrong-way", key, at_us),
        rule="wrong-way",
        key=key,
        category="traffic",
        severity=Severity.HIGH,
        title=Text("Xe chạy ngược chiều", "Wrong way"),
        why=WHY,
        opened_us=at_us,
        at_us=at_us,
        ward="25747",
    )
    return msgspec.structs.replace(effect, **changes)


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[Pool]:
    async with open_pool(database.app, name="test") as pool:
        yield pool


async def apply(pool: Pool, *effects: Raised | Updated | Cleared) -> None:
    async with pool.connection() as connection, connection.transaction():
        await apply_effects(connection, effects)


async def test_an_episode_that_begins_on_another_partition_ends_the_one_before(pool: Pool) -> None:
    """A camera's ward was corrected: its key now comes from a partition that knows nothing of the first."""
    first, second = raised(NOW_US, ward="25747"), raised(NOW_US + SECOND_US, ward="25750")
    await apply(pool, first)
    await apply(pool, second)
    await apply(pool, Cleared(incident_id=first.incident_id, at_us=NOW_US + 9, reason="hold", count=1))
    service = IncidentService(pool)
    old, new = await service.get(first.incident_id), await service.get(second.incident_id)
    assert (old.condition, new.condition) == (Condition.CLEARED, Condition.ACTIVE)
    assert [audit.details.get("reason") for audit in await service.history(old.id)] == [None, "superseded"]


async def test_clear_and_raise_of_one_key_in_one_batch_leave_the_new_episode_active(pool: Pool) -> None:
    first, second = raised(NOW_US), raised(NOW_US + SECOND_US)
    cleared = Cleared(incident_id=first.incident_id, at_us=NOW_US + 5, reason="hold", count=2)
    await apply(pool, first, cleared, second)
    async with pool.connection() as connection:
        old = await read_incident(connection, first.incident_id)
        new = await read_incident(connection, second.incident_id)
    assert old
    assert new
    assert (old.condition, new.condition) == (Condition.CLEARED, Condition.ACTIVE)


async def test_effects_applied_twice_change_nothing_the_second_time(pool: Pool) -> None:
    effect = raised()
    await apply(pool, effect)
    before = await IncidentService(pool).get(effect.incident_id)
    await apply(pool, effect)
    assert await IncidentService(pool).get(effect.incident_id) == before


async def test_a_key_used_for_another_incident_is_refused(pool: Pool) -> None:
    one, two = raised(key="cam-1"), raised(key="cam-2")
    await apply(pool, one, two)
    service = IncidentService(pool)
    command = Command(op=Op.ACKNOWLEDGE, expect_rev=1, idem="same-key")
    assert (await service.command(one.incident_id, command, "an")).handling is Handling.ACKNOWLEDGED
    with pytest.raises(KeyReused, match="another command"):
        await service.command(two.incident_id, command, "an")
    assert (await service.get(two.incident_id)).handling is Handling.NEW


async def test_critical_incidents_nobody_looked_at_do_not_keep_others_open(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ioc.app.incidents.keeper.KEEPER_BATCH", 3)
    effects: list[Raised | Updated | Cleared] = []
    for number in range(6):
        severity = Severity.CRITICAL if number < 4 else Severity.LOW
        effect = raised(key=f"cam-{number}", severity=severity)
        effects += [effect, Cleared(incident_id=effect.incident_id, at_us=NOW_US, reason="hold", count=1)]
    await apply(pool, *effects)
    assert await IncidentKeeper(pool, 600).sweep(NOW_US + 601 * SECOND_US) == 2
