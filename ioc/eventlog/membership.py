"""How the members of a group share a topic's partitions in PostgreSQL: leases, fair shares, generations."""

import secrets
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from ioc.eventlog.port import Claim
from ioc.eventlog.sharing import fair_quota

Connection = AsyncConnection[Any]

# Rebalances of one group take turns; they are short and hold no row that a position commit needs.
_LOCK: Final[LiteralString] = (
    "SELECT pg_advisory_xact_lock(hashtextextended(%(group)s || E'\\n' || %(topic)s, 17))"
)
_CREATE: Final[LiteralString] = """
    INSERT INTO log_owner (group_name, topic, partition, next_offset)
    SELECT %(group)s, p.topic, p.partition,
        coalesce((SELECT b.end_offset - b.count FROM log_batch b
                  WHERE b.topic = p.topic AND b.partition = p.partition ORDER BY b.end_offset LIMIT 1),
                 p.next_offset)
    FROM log_partition p WHERE p.topic = %(topic)s
    ON CONFLICT DO NOTHING
"""
_FORGET_FORMER: Final[LiteralString] = """
    DELETE FROM log_member WHERE group_name = %(group)s AND topic = %(topic)s
        AND (starts_with(owner, %(former)s) OR lease_until < now() - interval '1 hour')
"""
_BEAT: Final[LiteralString] = """
    INSERT INTO log_member (group_name, topic, owner, lease_until)
    VALUES (%(group)s, %(topic)s, %(owner)s, clock_timestamp() + make_interval(secs => %(lease_s)s))
    ON CONFLICT (group_name, topic, owner) DO UPDATE SET lease_until = excluded.lease_until
"""
_LIVING: Final[LiteralString] = """
    SELECT owner FROM log_member
    WHERE group_name = %(group)s AND topic = %(topic)s AND lease_until > clock_timestamp()
"""
_OWNED: Final[LiteralString] = """
    SELECT partition, owner, generation, next_offset FROM log_owner
    WHERE group_name = %(group)s AND topic = %(topic)s ORDER BY partition
"""
# A row that a commit holds at this moment is skipped and left to a later rebalance.
_CLAIM: Final[LiteralString] = """
    UPDATE log_owner SET owner = %(owner)s, generation = generation + 1
    WHERE group_name = %(group)s AND topic = %(topic)s AND partition IN (
        SELECT partition FROM log_owner
        WHERE group_name = %(group)s AND topic = %(topic)s AND partition = ANY(%(wanted)s)
        ORDER BY partition FOR UPDATE SKIP LOCKED)
    RETURNING partition, generation, next_offset
"""
_RELEASE: Final[LiteralString] = """
    UPDATE log_owner SET owner = NULL
    WHERE group_name = %(group)s AND topic = %(topic)s AND partition IN (
        SELECT partition FROM log_owner
        WHERE group_name = %(group)s AND topic = %(topic)s AND partition = ANY(%(surplus)s)
            AND owner = %(owner)s
        ORDER BY partition FOR UPDATE SKIP LOCKED)
    RETURNING partition
"""
_LEAVE: Final[LiteralString] = """
    WITH gone AS (DELETE FROM log_member
                  WHERE group_name = %(group)s AND topic = %(topic)s AND owner = %(owner)s)
    UPDATE log_owner SET owner = NULL
    WHERE group_name = %(group)s AND topic = %(topic)s AND owner = %(owner)s
"""
_COMMITTED: Final[LiteralString] = """
    SELECT generation, next_offset FROM log_owner
    WHERE group_name = %(group)s AND topic = %(topic)s AND partition = %(partition)s AND owner = %(owner)s
"""


class Member:
    """One member's SQL. Each incarnation has a name of its own, so a former one cannot pass for it."""

    def __init__(self, topic: str, group: str, owner: str, lease_s: float) -> None:
        self._names = {"topic": topic, "group": group, "owner": f"{owner}#{secrets.token_hex(4)}"}
        self._former = f"{owner}#"
        self._lease_s = lease_s

    async def enter(self, connection: Connection) -> None:
        """Prepare the group's positions and put an end to any former incarnation of the same owner."""
        async with connection.transaction():
            await connection.execute(_LOCK, self._names)
            await connection.execute(_CREATE, self._names)
            await connection.execute(_FORGET_FORMER, {**self._names, "former": self._former})

    async def renew(self, connection: Connection) -> None:
        """Extend the lease. Waits for nobody, so that a slow commit elsewhere costs no one a partition."""
        async with connection.transaction():
            await connection.execute(_BEAT, {**self._names, "lease_s": self._lease_s})

    async def rebalance(self, connection: Connection, *, expired: bool) -> dict[int, Claim]:
        """Give back or take partitions up to the fair share, and return what is owned.

        After an `expired` lease everything is claimed anew: the consumer has already told its user that the
        partitions are gone, so they must come back as new generations, from the committed positions.
        """
        async with connection.transaction():
            await connection.execute(_LOCK, self._names)
            living = {str(owner) async for (owner,) in await connection.execute(_LIVING, self._names)}
            rows = await (await connection.execute(_OWNED, self._names)).fetchall()
            me = self._names["owner"]
            others = living - {me}
            owned = {} if expired else {row[0]: Claim(row[2], row[3]) for row in rows if row[1] == me}
            free = [row[0] for row in rows if row[0] not in owned and row[1] not in others]
            quota = fair_quota(me, [*others, me], len(rows))
            if surplus := sorted(owned)[quota:]:
                released = await connection.execute(_RELEASE, {**self._names, "surplus": surplus})
                async for (partition,) in released:
                    del owned[partition]
            if wanted := free[: max(0, quota - len(owned))]:
                claimed = await connection.execute(_CLAIM, {**self._names, "wanted": wanted})
                owned |= {row[0]: Claim(row[1], row[2]) async for row in claimed}
        return owned

    async def leave(self, connection: Connection) -> None:
        """Give everything back, so that others need not wait for the lease to end."""
        async with connection.transaction():
            await connection.execute(_LEAVE, self._names)

    async def committed(self, connection: Connection, partition: int) -> Claim | None:
        """Return where the group stands in an owned partition; None where it has another owner."""
        found = await connection.execute(_COMMITTED, {**self._names, "partition": partition})
        row = await found.fetchone()
        return Claim(*row) if row else None
