"""Reports as everybody may ask for them: by number, or by time, service and whether they are finished."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

_SELECT: Final[LiteralString] = """
    SELECT r.id, r.service, r.text, r.received, r.lon, r.lat, coalesce(i.ward, r.ward) AS ward, i.handling,
        i.team, i.resolve_due AS due,
        CASE WHEN i.handling IN ('resolved', 'closed') THEN coalesce(i.resolved, i.updated)
             ELSE coalesce(i.updated, r.received) END AS updated,
        (SELECT p.ref FROM photo p WHERE p.report_id = r.id AND p.released IS NOT NULL
         ORDER BY p.uploaded, p.ref LIMIT 1) AS photo
    FROM citizen_report r
    LEFT JOIN LATERAL (
        SELECT coalesce(merged_into, id) AS id FROM incident
        WHERE rule = 'citizen-report' AND key = 'citizens|' || r.root ORDER BY opened DESC LIMIT 1
    ) own ON true
    LEFT JOIN incident i ON i.id = own.id
"""
_BY_IDS: Final[LiteralString] = " WHERE r.id = ANY(%s) ORDER BY r.received DESC, r.id DESC"
_BY_TIME: Final[LiteralString] = """
    WHERE r.received BETWEEN %(start)s AND %(end)s
        AND (%(services)s::text[] IS NULL OR r.service = ANY(%(services)s))
    ORDER BY r.received DESC, r.id DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_BY_STATUS: Final[LiteralString] = _BY_TIME.replace("WHERE", "WHERE r.finished = %(finished)s AND", 1)
"""By an index of its own, so that what is rare is found as quickly as what is common."""


class RequestRow(msgspec.Struct, frozen=True, kw_only=True):
    """A report and how its incident stands; as it was told, not masked. Positions in degrees."""

    id: str
    service: str
    text: str
    received: datetime
    updated: datetime
    lon: float | None
    lat: float | None
    ward: str | None
    handling: str | None
    """None while its rule has not seen it."""
    team: str | None
    due: datetime | None
    photo: str | None
    """Name of its first picture that the public may see."""


async def read_by_ids(connection: AsyncConnection[Any], ids: Sequence[str]) -> list[RequestRow]:
    """Return the reports of `ids` that exist, the latest first."""
    async with connection.cursor(row_factory=class_row(RequestRow)) as cursor:
        await cursor.execute(_SELECT + _BY_IDS, (list(ids),))
        return await cursor.fetchall()


async def read_by_time(
    connection: AsyncConnection[Any],
    start: datetime,
    end: datetime,
    *,
    services: Sequence[str],
    finished: bool | None,
    limit: int,
    offset: int,
) -> list[RequestRow]:
    """Return reports from `start` to `end`, the latest first.

    Args:
        connection: serves the service.
        start: the earliest.
        end: the latest.
        services: codes; empty for all.
        finished: whether they are; None for all.
        limit: at most so many.
        offset: so many are left out before.
    """
    async with connection.cursor(row_factory=class_row(RequestRow)) as cursor:
        await cursor.execute(
            _SELECT + (_BY_TIME if finished is None else _BY_STATUS),
            {
                "start": start,
                "end": end,
                "services": list(services) or None,
                "finished": finished,
                "limit": limit,
                "offset": offset,
            },
        )
        return await cursor.fetchall()
