"""How many partitions a topic's keys are spread over, as the database knows it.

A ward's partition follows from that number, and the rules' state lies where it says. So all processes must
agree on it, and with the log: a start compares, an append and an owner's claim are checked behind the lock
that `ioc log partitions` takes, and what runs with another number ends.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from ioc.eventlog.port import LogRejected

Connection = AsyncConnection[Any]

_READ: Final[LiteralString] = """
    SELECT partition, first_offset FROM log_layout WHERE topic = %s ORDER BY partition
"""
_ADD: Final[LiteralString] = """
    INSERT INTO log_layout (topic, partition, first_offset)
    SELECT %s, * FROM unnest(%s::int[], %s::bigint[])
    ON CONFLICT (topic, partition) DO UPDATE SET first_offset = excluded.first_offset
"""
_FIRST: Final[LiteralString] = """
    INSERT INTO log_layout (topic, partition) SELECT %(topic)s, generate_series(0, %(partitions)s - 1)
    WHERE NOT EXISTS (SELECT FROM log_layout WHERE topic = %(topic)s) ON CONFLICT DO NOTHING
"""
_FORGET: Final[LiteralString] = "DELETE FROM log_layout WHERE topic = ANY(%s)"
_COUNTS: Final[LiteralString] = (
    "SELECT topic, count(*) FROM log_layout WHERE topic = ANY(%s) GROUP BY topic ORDER BY topic"
)


async def read_layout(connection: Connection, topic: str) -> dict[int, int]:
    """Return the first offset that is laid out so, by partition; empty for a topic not known yet."""
    return dict(await (await connection.execute(_READ, (topic,))).fetchall())


async def lay_out(connection: Connection, topic: str, partitions: int) -> None:
    """Note how a new topic is laid out; of a known one, see that it is still laid out so.

    Raises:
        LogRejected: the log has another number of partitions.
    """
    await connection.execute(_FIRST, {"topic": topic, "partitions": partitions})
    known = len(await read_layout(connection, topic))
    if known < partitions:
        raise LogRejected(
            f"{topic} has {partitions} partitions, and this database is laid out for {known}: stop every"
            f" role, then `ioc log partitions {partitions}`, see Adding partitions in docs/operations.md"
        )
    if known > partitions:
        raise LogRejected(
            f"{topic} has {partitions} partitions, and this database is laid out for {known}: it was made"
            " anew, or the settings name another one; bring it back, see Another log in docs/operations.md"
        )


async def change_layout(connection: Connection, topic: str, firsts: Mapping[int, int]) -> None:
    """Lay `topic` out over the partitions of `firsts`, each from its offset on, as the caller commits."""
    await connection.execute(_FORGET, ([topic],))
    await connection.execute(_ADD, (topic, list(firsts), list(firsts.values())))


async def forget_layout(connection: Connection, topics: Iterable[str]) -> None:
    """Forget how topics are laid out of which nothing was ever read."""
    await connection.execute(_FORGET, (list(topics),))


async def check_layout(connection: Connection, partitions: Mapping[str, int]) -> None:
    """See that topics are still laid out over as many partitions as this process works with.

    Raises:
        LogRejected: partitions were added meanwhile.
    """
    found = await connection.execute(_COUNTS, (list(partitions),), prepare=True)
    refuse_other(dict(await found.fetchall()), partitions)


def refuse_other(found: Mapping[str, int], partitions: Mapping[str, int]) -> None:
    """Compare the layouts `found` with the numbers of `partitions` that this process works with.

    Raises:
        LogRejected: one differs.
    """
    for topic, worked_with in partitions.items():
        if (laid_out := found.get(topic, worked_with)) != worked_with:
            raise LogRejected(
                f"{topic} has {laid_out} partitions now, and this process works with {worked_with}: start it"
                " again"
            )
