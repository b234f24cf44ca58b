"""Positions of consumer groups: committed in the transaction of the effects, fenced by generation."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection

from ioc.store.pool import Pool

_COMMIT: Final[LiteralString] = """
    UPDATE log_owner SET next_offset = %(next_offset)s
    WHERE group_name = %(group)s AND topic = %(topic)s AND partition = %(partition)s
        AND generation = %(generation)s AND next_offset <= %(next_offset)s
"""
_OWNED: Final[LiteralString] = """
    SELECT FROM log_owner
    WHERE group_name = %(group)s AND topic = %(topic)s AND partition = %(partition)s
        AND generation = %(generation)s
"""
_CLAIM: Final[LiteralString] = """
    INSERT INTO log_owner AS o (group_name, topic, partition, owner, generation, next_offset)
    VALUES (%(group)s, %(topic)s, %(partition)s, %(owner)s, 1, %(start)s)
    ON CONFLICT (group_name, topic, partition)
        DO UPDATE SET owner = excluded.owner, generation = o.generation + 1
    RETURNING generation, next_offset
"""
_HELD: Final[LiteralString] = """
    SELECT partition, generation, next_offset FROM log_owner
    WHERE group_name = %(group)s AND topic = %(topic)s AND owner = %(owner)s
"""
_STANDINGS: Final[LiteralString] = """
    SELECT group_name, topic, partition, owner, generation, next_offset FROM log_owner
    ORDER BY group_name, topic, partition
"""
_GROW: Final[LiteralString] = """
    INSERT INTO log_owner (group_name, topic, partition)
    SELECT known.group_name, %(topic)s, added
    FROM (SELECT DISTINCT group_name FROM log_owner WHERE topic = %(topic)s) AS known
    CROSS JOIN generate_series(%(former)s::int, %(partitions)s::int - 1) AS added
    ON CONFLICT DO NOTHING
"""
_FENCE: Final[LiteralString] = """
    UPDATE log_owner SET generation = generation + 1, owner = NULL WHERE topic = %s
"""


class Fenced(Exception):
    """The partition has another owner now: roll back and drop the work, its owner does it again."""


class Claimed(NamedTuple):
    """A partition now owned: commits present `generation`, reading starts at `next_offset`."""

    generation: int
    next_offset: int


class Standing(NamedTuple):
    """How far a group has come in one partition; its lag is the partition's end less `next_offset`."""

    group: str
    topic: str
    partition: int
    owner: str | None
    generation: int
    next_offset: int


async def commit_position(
    connection: AsyncConnection[Any],
    group: str,
    topic: str,
    partition: int,
    generation: int,
    next_offset: int,
) -> None:
    """Record, in the caller's transaction, that everything before `next_offset` has taken effect.

    Call it first in the transaction: a former owner then fails before it works, and nobody can take the
    partition over until the transaction ends.

    Raises:
        Fenced: `generation` is not the owner's, or the position would move back. Let the transaction roll
            back.
    """
    parameters = {
        "group": group,
        "topic": topic,
        "partition": partition,
        "generation": generation,
        "next_offset": next_offset,
    }
    done = await connection.execute(_COMMIT, parameters)
    if done.rowcount != 1:
        raise Fenced(f"{group}, {topic}/{partition}: generation {generation} may not commit {next_offset}")


async def check_owner(
    connection: AsyncConnection[Any], group: str, topic: str, partition: int, generation: int
) -> None:
    """See that the partition is still owned by `generation`, for whoever reads what its owners commit.

    Raises:
        Fenced: it has another owner, who may have committed more than was asked for.
    """
    where = {"group": group, "topic": topic, "partition": partition, "generation": generation}
    if (await connection.execute(_OWNED, where)).rowcount != 1:
        raise Fenced(f"{group}, {topic}/{partition}: generation {generation} does not own it")


class StorePositions:
    """Claims for logs that assign partitions by themselves (Kafka); `ioc.eventlog.port.Positions`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(self, group: str, topic: str, partition: int, owner: str, start: int = 0) -> Claimed:
        """Make `owner` the owner with a new generation, after any commit that is under way.

        A group that has never been here begins at `start`.

        Raises:
            psycopg.OperationalError: nothing is claimed; try again.
        """
        parameters = {"group": group, "topic": topic, "partition": partition, "owner": owner, "start": start}
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_CLAIM, parameters)).fetchone()
        assert row is not None
        return Claimed(*row)

    async def held(self, group: str, topic: str, owner: str) -> dict[int, Claimed]:
        """Return what `owner` owns, by partition.

        Raises:
            psycopg.OperationalError: try again.
        """
        parameters = {"group": group, "topic": topic, "owner": owner}
        async with self._pool.connection() as connection:
            found = await connection.execute(_HELD, parameters)
            return {partition: Claimed(*claimed) async for partition, *claimed in found}


async def grow_positions(connection: AsyncConnection[Any], topic: str, former: int, partitions: int) -> None:
    """Let every group begin partitions beyond `former` at 0, and fence whoever owns a partition now."""
    await connection.execute(_GROW, {"topic": topic, "former": former, "partitions": partitions})
    await connection.execute(_FENCE, (topic,))


async def standings(connection: AsyncConnection[Any]) -> list[Standing]:
    """Return where every group stands."""
    return [Standing(*row) async for row in await connection.execute(_STANDINGS)]


async def lags(connection: AsyncConnection[Any], topic: str, ends: Mapping[int, int]) -> Counter[str]:
    """Return how many records of `topic` before `ends` each of its groups has not committed."""
    behind: Counter[str] = Counter()
    for standing in await standings(connection):
        # Offsets of one topic say nothing of another's.
        if standing.topic == topic:
            behind[standing.group] += max(0, ends.get(standing.partition, 0) - standing.next_offset)
    return behind


async def behind(connection: AsyncConnection[Any], topic: str, group: str, ends: Mapping[int, int]) -> int:
    """Return how many records of `topic` before `ends` a group has not committed.

    Unlike in `lags`, a partition that it has never committed counts whole.
    """
    found = await standings(connection)
    taken = {each.partition: each.next_offset for each in found if (each.group, each.topic) == (group, topic)}
    return sum(max(0, end - taken.get(partition, 0)) for partition, end in ends.items())
