"""Who holds which device's stream, and how it fares (migration 0135).

A lease by the database's clock: whoever has it holds the stream, and lets go before it ends should it not be
able to renew it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from ioc.model.attachments import Attachment, AttachState
from ioc.model.places import AttachKind
from ioc.model.times import to_us

MAX_ERROR_CHARS: Final = 500
_BEGIN: Final[LiteralString] = """
    INSERT INTO attachment (device_id) SELECT id FROM device WHERE id = ANY(%s) ORDER BY id
    ON CONFLICT DO NOTHING
"""
_CLAIM: Final[LiteralString] = """
    WITH free AS (
        SELECT device_id FROM attachment WHERE device_id = ANY(%(devices)s) AND lease_until < now()
        ORDER BY device_id LIMIT %(room)s FOR UPDATE SKIP LOCKED
    )
    UPDATE attachment a SET owner = %(owner)s, lease_until = now() + %(lease)s FROM free
    WHERE a.device_id = free.device_id
    RETURNING a.device_id, a.failures, CASE WHEN due <= now() THEN 0 ELSE extract(epoch FROM due - now()) END
"""
# Sorted: two processes lock in one order.
_RENEW: Final[LiteralString] = """
    WITH given AS (
        SELECT g.* FROM jsonb_to_recordset(%(rows)s::jsonb) AS g (
            device_id text, state text, seen_us bigint, connects bigint, failures int, wait_s float8,
            error text
        ) ORDER BY g.device_id
    ), held AS (
        SELECT a.device_id FROM attachment a JOIN given USING (device_id) WHERE a.owner = %(owner)s
        ORDER BY a.device_id FOR UPDATE OF a
    )
    UPDATE attachment a SET
        lease_until = now() + %(lease)s,
        changed = CASE WHEN a.state = given.state THEN a.changed ELSE now() END,
        state = given.state,
        seen = coalesce(timestamptz 'epoch' + given.seen_us * interval '1 microsecond', a.seen),
        connects = a.connects + given.connects,
        failures = given.failures,
        due = now() + given.wait_s * interval '1 second',
        error = coalesce(given.error, a.error)
    FROM given JOIN held USING (device_id)
    WHERE a.device_id = given.device_id
    RETURNING a.device_id
"""
_RELEASE: Final[LiteralString] = """
    UPDATE attachment SET owner = NULL, lease_until = '-infinity', state = 'waiting', changed = now()
    WHERE owner = %s AND device_id = ANY(%s)
"""
_UNHELD: Final[LiteralString] = """
    SELECT count(*) FROM attachment WHERE device_id = ANY(%s) AND lease_until < now()
"""
_LIST: Final[LiteralString] = """
    SELECT d.id, d.attach, d.attach_url, l.login_user, a.lease_until >= now() AS held, a.state, a.changed,
        a.seen, a.connects, CASE WHEN a.due > now() THEN a.due END AS due, a.error
    FROM device d LEFT JOIN attachment a ON a.device_id = d.id LEFT JOIN device_login l ON l.device_id = d.id
    WHERE d.attach IS NOT NULL AND NOT EXISTS (
        SELECT FROM device_outage o WHERE o.device_id = d.id AND o.ends IS NULL
    ) ORDER BY d.id
"""


class Claimed(NamedTuple):
    """A stream that is now ours, how often in a row it failed, and how long to wait before trying it."""

    device_id: str
    failures: int
    wait_s: float


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a stream of ours fares; `connects` since it was last told."""

    device_id: str
    state: AttachState
    seen_us: int | None
    connects: int
    failures: int
    wait_s: float
    error: str | None


async def claim(
    connection: AsyncConnection[Any], owner: str, devices: Sequence[str], lease: timedelta, room: int
) -> list[Claimed]:
    """Take up to `room` of the streams that nobody holds."""
    async with connection.transaction():
        await connection.execute(_BEGIN, (list(devices),))
        parameters = {"owner": owner, "devices": list(devices), "lease": lease, "room": room}
        found = await connection.execute(_CLAIM, parameters)
        return [Claimed(device, failures, float(wait)) async for device, failures, wait in found]


async def renew(
    connection: AsyncConnection[Any], owner: str, standings: Sequence[Standing], lease: timedelta
) -> set[str]:
    """Renew the leases, say how the streams fare, and return which of them are still ours."""
    rows = msgspec.json.encode(standings).decode()
    found = await connection.execute(_RENEW, {"rows": rows, "owner": owner, "lease": lease})
    return {device async for (device,) in found}


async def release(connection: AsyncConnection[Any], owner: str, devices: Sequence[str]) -> None:
    """Let others take streams of ours at once."""
    await connection.execute(_RELEASE, (owner, list(devices)))


async def count_unheld(connection: AsyncConnection[Any], devices: Sequence[str]) -> int:
    """Return how many of the streams nobody holds."""
    row = await (await connection.execute(_UNHELD, (list(devices),))).fetchone()
    return int(row[0]) if row else 0


async def read_attachments(connection: AsyncConnection[Any]) -> list[Attachment]:
    """Return every enabled device whose events are fetched, and how that fares, by id."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LIST)
        return [_attachment(row) async for row in cursor]


def _attachment(row: dict[str, Any]) -> Attachment:
    return Attachment(
        device_id=row["id"],
        kind=AttachKind(row["attach"]),
        url=row["attach_url"],
        login_user=row["login_user"],
        state=AttachState(row["state"]) if row["held"] else AttachState.WAITING,
        changed_us=row["changed"] and to_us(row["changed"]),
        seen_us=row["seen"] and to_us(row["seen"]),
        connects=row["connects"] or 0,
        due_us=row["due"] and to_us(row["due"]),
        error=row["error"],
    )
