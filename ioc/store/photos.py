"""Pictures beside what they are pictures of: put, claimed, read, shown to the public, let go."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from ioc.model.photos import Made

SLICE_ROWS: Final = 200
"""Rows hold megabytes: a slice is smaller than that of other data."""
MAX_RELEASED: Final = 50
ENDED: Final[LiteralString] = (
    "NOT EXISTS (SELECT FROM incident i LEFT JOIN incident head ON head.id = i.merged_into"
    " WHERE i.id = p.incident_id"
    " AND coalesce(head.handling, i.handling) NOT IN ('resolved', 'closed', 'rejected', 'merged'))"
)
"""Of a picture `p`: nothing is open that it belongs to, be it what its incident was merged into."""
_INFO: Final[LiteralString] = (
    "SELECT ref, origin, author, uploaded, width, height, bytes, incident_id, released FROM photo"
)


class Origin(StrEnum):
    """Who sends pictures."""

    STAFF = "staff"
    CITIZEN = "citizen"


class PhotoInfo(msgspec.Struct, frozen=True):
    """A stored picture without its bytes."""

    ref: str
    origin: str
    author: str | None
    uploaded: datetime
    width: int
    height: int
    bytes: int
    """Of the picture and the small one together."""
    incident_id: str | None
    released: datetime | None
    """When it was shown to the public; None: it is not."""


class Usage(msgspec.Struct, frozen=True):
    """What is stored."""

    bytes: int
    unclaimed: int
    """Of one origin: those that nothing refers to yet."""


def new_ref() -> str:
    """Return a name for a picture that cannot be guessed."""
    return secrets.token_hex(16)


async def put(
    connection: AsyncConnection[Any], made: Made, origin: Origin, author: str | None, ref: str | None = None
) -> PhotoInfo:
    """Store a picture under `ref`, by default a new name."""
    async with connection.cursor(row_factory=class_row(PhotoInfo)) as cursor:
        await cursor.execute(
            "INSERT INTO photo (ref, origin, author, width, height, picture, thumb)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)"
            " RETURNING ref, origin, author, uploaded, width, height, bytes, incident_id, released",
            (
                ref or new_ref(), origin.value, author, made.width, made.height, made.picture, made.thumb
            ),
        )  # fmt: skip
        stored = await cursor.fetchone()
    assert stored is not None
    return stored


async def usage(connection: AsyncConnection[Any], origin: Origin) -> Usage:
    """Return how much is stored, and how many of `origin` nothing refers to yet.

    It holds off others who ask, until the transaction ends.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('photo'))")
    found = await connection.execute(
        "SELECT (SELECT coalesce(sum(bytes), 0)::bigint FROM photo),"
        " (SELECT count(*) FROM photo WHERE report_id IS NULL AND incident_id IS NULL AND origin = %s)",
        (origin.value,),
    )
    row = await found.fetchone()
    assert row is not None
    return Usage(*row)


async def forget_unclaimed(connection: AsyncConnection[Any], before: datetime) -> int:
    """Delete a slice of those that came before `before` and that nothing has claimed; return how many."""
    done = await connection.execute(
        "DELETE FROM photo WHERE ref IN (SELECT ref FROM photo WHERE report_id IS NULL"
        " AND incident_id IS NULL AND uploaded < %s ORDER BY uploaded LIMIT %s FOR UPDATE SKIP LOCKED)",
        (before, SLICE_ROWS),
    )
    return done.rowcount


async def forget_old(connection: AsyncConnection[Any], before: datetime) -> int:
    """Delete a slice of those that came before `before` and whose incident is not open; return how many."""
    done = await connection.execute(
        "DELETE FROM photo WHERE ref IN (SELECT ref FROM photo p WHERE uploaded < %s AND "  # noqa: S608 - ours
        + ENDED
        + " ORDER BY uploaded LIMIT %s FOR UPDATE SKIP LOCKED)",
        (before, SLICE_ROWS),
    )
    return done.rowcount


async def claim_for_report(connection: AsyncConnection[Any], refs: Sequence[str], report_id: str) -> bool:
    """Make citizens' pictures a stored report's, and its incident's where that is there already.

    False, changing nothing, where one of them is not free for it. The incident cannot be raised meanwhile: it
    waits for the transaction's end (`ioc_meet_reports`) and then takes the pictures itself.
    """
    await connection.execute("SELECT ioc_lock_root(root) FROM citizen_report WHERE id = %s", (report_id,))
    found = await connection.execute(
        "SELECT ref FROM photo WHERE ref = ANY(%s) AND origin = 'citizen'"
        " AND (report_id = %s OR (report_id IS NULL AND incident_id IS NULL)) FOR UPDATE",
        (list(refs), report_id),
    )
    if {ref async for (ref,) in found} != set(refs):
        return False
    await connection.execute(
        "UPDATE photo SET report_id = %(report)s, incident_id = (SELECT i.id FROM incident i"
        " JOIN citizen_report r ON i.key = 'citizens|' || r.root"
        " WHERE i.rule = 'citizen-report' AND r.id = %(report)s ORDER BY i.opened DESC LIMIT 1)"
        " WHERE ref = ANY(%(refs)s)",
        {"report": report_id, "refs": list(refs)},
    )
    return True


async def leave_incident(connection: AsyncConnection[Any], report_id: str) -> None:
    """Take a report's pictures out of the incident it was put to; the one it raises next takes them."""
    await connection.execute("UPDATE photo SET incident_id = NULL WHERE report_id = %s", (report_id,))


async def released_of(connection: AsyncConnection[Any], incident_id: str) -> list[str]:
    """Return the names of an incident's pictures that the public may see, the oldest first."""
    return [info.ref for info in await of_incident(connection, incident_id, MAX_RELEASED) if info.released]


async def claim_for_incident(connection: AsyncConnection[Any], ref: str, incident_id: str) -> bool:
    """Make a picture of staff the incident's; False where there is none that is free for it or its own."""
    done = await connection.execute(
        "UPDATE photo SET incident_id = %(incident)s WHERE ref = %(ref)s AND (incident_id = %(incident)s"
        " OR (incident_id IS NULL AND origin = 'staff'))",
        {"incident": incident_id, "ref": ref},
    )
    return done.rowcount == 1


async def read_info(connection: AsyncConnection[Any], ref: str) -> PhotoInfo | None:
    """Return what is known of a picture."""
    async with connection.cursor(row_factory=class_row(PhotoInfo)) as cursor:
        await cursor.execute(_INFO + " WHERE ref = %s", (ref,))
        return await cursor.fetchone()


async def read_bytes(connection: AsyncConnection[Any], ref: str, *, small: bool) -> bytes | None:
    """Return a picture, or the small one, as JPEG."""
    statement: LiteralString = (
        "SELECT thumb FROM photo WHERE ref = %s" if small else "SELECT picture FROM photo WHERE ref = %s"
    )
    # Binary: as text a picture would be twice as long.
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement, (ref,))
        row = await cursor.fetchone()
    return None if row is None else bytes(row[0])


async def of_incident(connection: AsyncConnection[Any], incident_id: str, limit: int) -> list[PhotoInfo]:
    """Return the pictures of an incident and of what is merged into it, the oldest first."""
    async with connection.cursor(row_factory=class_row(PhotoInfo)) as cursor:
        await cursor.execute(
            _INFO + " WHERE incident_id = ANY (ARRAY(SELECT id FROM incident"  # noqa: S608 - a text of ours
            " WHERE id = %(id)s OR merged_into = %(id)s)) ORDER BY uploaded, ref LIMIT %(limit)s",
            {"id": incident_id, "limit": limit},
        )
        return await cursor.fetchall()


async def set_released(connection: AsyncConnection[Any], ref: str, by: str | None) -> bool:
    """Show a picture to the public, or by `None` no longer; False where that is so already."""
    done = await connection.execute(
        "UPDATE photo SET released = CASE WHEN %(by)s::text IS NULL THEN NULL ELSE now() END,"
        " released_by = %(by)s WHERE ref = %(ref)s AND (released IS NULL) = (%(by)s::text IS NOT NULL)",
        {"by": by, "ref": ref},
    )
    return done.rowcount == 1
