"""Positions commit with their effects, once, and only for the owner."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from ioc.store.pool import Pool
from ioc.store.positions import Claimed, Fenced, StorePositions, commit_position, standings
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import event

GROUP, TOPIC = "store", "t"


class Crash(Exception):
    pass


async def rows(pool: Pool) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM traffic_measurement")).fetchone()
    assert row is not None
    return int(row[0])


async def store(pool: Pool, claim: Claimed, end: int, crash_after: str = "") -> None:
    """What the store role does with the records from the claimed position up to `end`."""
    async with pool.connection() as connection, connection.transaction():
        await commit_position(connection, GROUP, TOPIC, 0, claim.generation, end)
        if crash_after == "position":
            raise Crash
        await HistoryWriter().write(connection, [event(number) for number in range(claim.next_offset, end)])
        if crash_after == "effects":
            raise Crash


@pytest.mark.parametrize("crash_after", ["position", "effects"])
async def test_a_crash_between_effects_and_position_loses_and_doubles_nothing(
    pool: Pool, crash_after: str
) -> None:
    positions = StorePositions(pool)
    await store(pool, await positions.claim(GROUP, TOPIC, 0, "a"), 5)
    claim = await positions.claim(GROUP, TOPIC, 0, "a")
    with pytest.raises(Crash):
        await store(pool, claim, 12, crash_after)
    assert await rows(pool) == 5
    claim = await positions.claim(GROUP, TOPIC, 0, "b")
    assert claim.next_offset == 5
    await store(pool, claim, 12)
    assert await rows(pool) == 12


async def test_a_former_owner_changes_nothing(pool: Pool) -> None:
    positions = StorePositions(pool)
    former = await positions.claim(GROUP, TOPIC, 0, "a")
    owner = await positions.claim(GROUP, TOPIC, 0, "b")
    assert owner.generation == former.generation + 1
    with pytest.raises(Fenced):
        await store(pool, former, 5)
    assert await rows(pool) == 0
    await store(pool, owner, 5)


async def test_a_claim_waits_for_a_commit_under_way(pool: Pool) -> None:
    positions = StorePositions(pool)
    former = await positions.claim(GROUP, TOPIC, 0, "a")
    async with pool.connection() as connection:
        await commit_position(connection, GROUP, TOPIC, 0, former.generation, 5)
        async with pool.connection() as other:
            await other.execute("SET LOCAL lock_timeout = '50ms'")
            with pytest.raises(Exception, match="lock timeout"):
                await other.execute("UPDATE log_owner SET generation = generation + 1")
    assert (await positions.claim(GROUP, TOPIC, 0, "b")).next_offset == 5


async def test_an_unclaimed_partition_cannot_be_committed(connection: AsyncConnection[Any]) -> None:
    with pytest.raises(Fenced):
        await commit_position(connection, GROUP, TOPIC, 3, 0, 1)


async def test_standings_tell_the_lag(pool: Pool) -> None:
    claim = await StorePositions(pool).claim(GROUP, TOPIC, 0, "a")
    await store(pool, claim, 5)
    async with pool.connection() as connection:
        (standing,) = await standings(connection)
    assert (standing.group, standing.partition, standing.owner, standing.next_offset) == (GROUP, 0, "a", 5)
