"""Which log the positions in the database belong to, so that nobody looks for offsets of one log in another.

Positions carry neither Kafka's prefix nor its cluster. With another log they would point at other records, or
beyond its end, and events would be left out or repeated silently; so a start refuses, and `adopt` is the way
on.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, LiteralString, NamedTuple

from psycopg import AsyncConnection

from ioc.eventlog.layout import change_layout, forget_layout
from ioc.eventlog.port import LogRejected
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC

_WAY_OUT: Final = "or begin in this one with `ioc log adopt`, see Another log in docs/operations.md"
_REMEMBER: Final[LiteralString] = """
    INSERT INTO log_origin (kind, cluster, prefix) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_REPLACE: Final[LiteralString] = """
    INSERT INTO log_origin (kind, cluster, prefix) VALUES (%s, %s, %s)
    ON CONFLICT (only_row) DO UPDATE
        SET kind = excluded.kind, cluster = excluded.cluster, prefix = excluded.prefix, since = now()
"""
_KNOWN: Final[LiteralString] = "SELECT kind, cluster, prefix FROM log_origin"
_USED: Final[LiteralString] = "SELECT EXISTS (SELECT FROM log_owner WHERE next_offset > 0)"
_FURTHEST: Final[LiteralString] = """
    SELECT partition, max(next_offset) FROM log_owner WHERE topic = %s GROUP BY partition
"""
_MOVE: Final[LiteralString] = """
    UPDATE log_owner SET next_offset = %s, generation = generation + 1, owner = NULL
    WHERE topic = %s AND partition = %s
"""


class Origin(NamedTuple):
    """A log as positions know it."""

    kind: Literal["embedded", "kafka"]
    cluster: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        """Name it for people."""
        return (
            "the embedded log" if self.kind == "embedded" else f"Kafka {self.cluster}, prefix {self.prefix!r}"
        )


async def check_origin(connection: AsyncConnection[Any], origin: Origin) -> None:
    """Remember `origin` at the first start; later see that it is still the same.

    Raises:
        LogRejected: the database's positions are another log's.
    """
    await connection.execute(_REMEMBER, origin)
    row = await (await connection.execute(_KNOWN)).fetchone()
    assert row is not None
    if (known := Origin(*row)) == origin:
        return
    used = await (await connection.execute(_USED)).fetchone()
    if used is not None and used[0]:
        raise LogRejected(
            f"the positions in this database belong to {known}, and the settings name {origin}; "
            f"set the log back to that one, {_WAY_OUT}"
        )
    # Nothing was read yet: nothing can be mistaken.
    await forget_layout(connection, (EVENTS_TOPIC, WIDE_TOPIC))
    await connection.execute(_REPLACE, origin)


async def furthest(connection: AsyncConnection[Any], topic: str) -> dict[int, int]:
    """Return the position of the group that has come furthest, by partition."""
    return dict(await (await connection.execute(_FURTHEST, (topic,))).fetchall())


def check_ends(topic: str, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
    """See that `positions`, taken before `ends`, lie inside the log.

    Raises:
        LogRejected: the topic is not the one that they were taken from.
    """
    beyond = {p: position for p, position in sorted(positions.items()) if position > ends.get(p, 0)}
    for partition, position in beyond.items():
        end = f"ends at {ends[partition]}" if partition in ends else "is not there"
        raise LogRejected(
            f"{topic}/{partition} {end}, and a group stands at {position}: the topic was deleted or made"
            f" anew, or the database is newer than the log; bring the topic back, {_WAY_OUT}"
        )


async def adopt(
    connection: AsyncConnection[Any], origin: Origin, places: Mapping[str, Mapping[int, int]]
) -> None:
    """Let every group go on in the log of `origin` at `places`, by topic and partition.

    Each partition gets a new generation: whoever still works on the former log can commit nothing more. One
    transaction of the caller's.
    """
    for topic, offsets in places.items():
        for partition, offset in offsets.items():
            await connection.execute(_MOVE, (offset, topic, partition))
        await change_layout(connection, topic, dict.fromkeys(offsets, 0))
    await connection.execute(_REPLACE, origin)
