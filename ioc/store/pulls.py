"""Positions of what is fetched from others at intervals (migration 0140)."""

from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

_BEGIN: Final[LiteralString] = """
    INSERT INTO pull (device, since, next_at) VALUES (%s, %s, %s) ON CONFLICT (device) DO NOTHING
"""
_CLAIM: Final[LiteralString] = """
    UPDATE pull SET next_at = %(now)s + %(every)s WHERE device = %(device)s AND next_at <= %(now)s
    RETURNING since, failures
"""
_DONE: Final[LiteralString] = """
    UPDATE pull
    SET since = %(since)s, next_at = %(next)s, failures = 0, succeeded = %(now)s, last_error = NULL
    WHERE device = %(device)s
"""
_FAILED: Final[LiteralString] = """
    UPDATE pull SET failures = failures + 1, next_at = %(next)s, last_error = %(error)s
    WHERE device = %(device)s
"""


async def claim(
    connection: AsyncConnection[Any], device: str, now: datetime, every: timedelta, first: datetime
) -> tuple[datetime, int] | None:
    """Return from when on to fetch and how often that has failed in a row; None where it is not due.

    Whoever gets an answer is to fetch; nobody else gets one for `every`. `first` is where it begins.
    """
    async with connection.transaction():
        await connection.execute(_BEGIN, (device, first, now))
        found = await connection.execute(_CLAIM, {"device": device, "now": now, "every": every})
        row = await found.fetchone()
        return None if row is None else (row[0], row[1])


async def done(
    connection: AsyncConnection[Any], device: str, now: datetime, since: datetime, due: datetime
) -> None:
    """Note that everything before `since` has been fetched, and when to fetch again."""
    await connection.execute(_DONE, {"device": device, "now": now, "since": since, "next": due})


async def failed(connection: AsyncConnection[Any], device: str, due: datetime, error: str) -> None:
    """Note that it did not work, why, and when to try again."""
    await connection.execute(_FAILED, {"device": device, "next": due, "error": error})
