"""Followers of incident changes: each has a position of its own, and one process at a time moves it."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection

from ioc.model.incidents import Incident
from ioc.model.times import to_us

_BEGIN: Final[LiteralString] = """
    INSERT INTO change_follower (name, after_offset)
    SELECT %s, CASE WHEN %s THEN 0 ELSE next_offset - 1 END FROM feed_position
    ON CONFLICT (name) DO NOTHING
"""
_LOCK: Final[LiteralString] = (
    "SELECT after_offset FROM change_follower WHERE name = %s FOR UPDATE SKIP LOCKED"
)
_READ: Final[LiteralString] = """
    SELECT c."offset", a.op, a.at, c.doc,
           a.op IN ('skip', 'resolve', 'reopen') AND a.details ? 'level'
    FROM incident_change c JOIN incident_audit a ON a.incident_id = c.incident_id AND a.rev = c.rev
    WHERE c."offset" > %s ORDER BY c."offset" LIMIT %s
"""
_decoder = msgspec.msgpack.Decoder(Incident)


class FollowedChange(msgspec.Struct, frozen=True):
    """One change of the feed with the operation that made it."""

    offset: int
    op: str
    at_us: int
    incident: Incident
    alerts: bool = False
    """True where supervisors are to know of it: a required step left undone, a result that was none."""


async def begin_following(connection: AsyncConnection[Any], name: str, *, from_start: bool) -> None:
    """Give `name` a position unless it has one: before the oldest change kept, or after the newest."""
    await connection.execute(_BEGIN, (name, from_start))


async def lock_follower(connection: AsyncConnection[Any], name: str) -> int | None:
    """Return the offset `name` has come to, locked until commit; None while another process has it."""
    row = await (await connection.execute(_LOCK, (name,))).fetchone()
    return None if row is None else int(row[0])


async def read_after(connection: AsyncConnection[Any], after: int, limit: int) -> Sequence[FollowedChange]:
    """Return up to `limit` changes above `after`, in order."""
    rows = await connection.execute(_READ, (after, limit))
    return [
        FollowedChange(offset, op, to_us(at), _decoder.decode(doc), alerts)
        async for offset, op, at, doc, alerts in rows
    ]


async def move_follower(connection: AsyncConnection[Any], name: str, after: int) -> None:
    """Record that everything up to `after` has been taken."""
    await connection.execute("UPDATE change_follower SET after_offset = %s WHERE name = %s", (after, name))
