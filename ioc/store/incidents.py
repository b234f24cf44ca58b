"""Incidents in PostgreSQL: rows, history, the commit-ordered feed, idempotency keys.

Everything that writes takes a connection, so that the caller decides what shares its transaction.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ioc.model.incidents import OPEN_HANDLINGS, Audit, Change, Incident, Severity
from ioc.model.times import from_us, to_us

MAX_PAGE: Final = 500
FEED_CHANNEL: Final = "ioc_feed"

_PLAIN: Final = (
    "id", "rev", "rule", "key", "category", "severity", "condition", "handling", "ward", "source", "lon",
    "lat", "assignee", "team", "note", "count",
)  # fmt: skip
_JSON: Final = ("title", "why")
_TIMES: Final = (
    "opened", "detected", "updated", "cleared", "acknowledged", "resolved", "closed", "ack_due",
    "resolve_due",
)  # fmt: skip

_SELECT: Final[LiteralString] = (
    "SELECT id, rev, rule, key, category, severity, condition, handling, ward, source, lon, lat, assignee,"
    " team, note, count, title, why, opened, detected, updated, cleared, acknowledged, resolved, closed,"
    " ack_due, resolve_due FROM incident"
)
_UPSERT: Final[LiteralString] = """
    INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, ward, source, lon, lat,
        assignee, team, note, count, title, why, opened, detected, updated, cleared, acknowledged, resolved,
        closed, ack_due, resolve_due)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
        %s, %s, %s)
    ON CONFLICT (id) DO UPDATE SET (rev, severity, condition, handling, assignee, team, note, count, why,
        ward, updated, cleared, acknowledged, resolved, closed, ack_due, resolve_due) =
        (excluded.rev, excluded.severity, excluded.condition, excluded.handling, excluded.assignee,
        excluded.team, excluded.note, excluded.count, excluded.why, excluded.ward, excluded.updated,
        excluded.cleared, excluded.acknowledged, excluded.resolved, excluded.closed, excluded.ack_due,
        excluded.resolve_due)
"""


class CursorError(ValueError):
    """A paging cursor that we did not issue."""


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `wards` None means every ward; an empty tuple means none."""

    open_only: bool = True
    wards: tuple[str, ...] | None = None
    severities: tuple[Severity, ...] = ()
    category: str | None = None
    limit: int = 100
    cursor: str | None = None


class StoredChange(msgspec.Struct, frozen=True):
    """One entry of the feed: the incident as of that revision."""

    offset: int
    incident: Incident


def _to_row(incident: Incident) -> list[object]:
    row: list[object] = [getattr(incident, name) for name in _PLAIN]
    row += [Jsonb(msgspec.to_builtins(getattr(incident, name))) for name in _JSON]
    times: Iterable[int | None] = (getattr(incident, f"{name}_us") for name in _TIMES)
    return row + [None if time_us is None else from_us(time_us) for time_us in times]


def _from_row(row: dict[str, Any]) -> Incident:
    moments: dict[str, datetime | None] = {name: row.pop(name) for name in _TIMES}
    row |= {f"{name}_us": None if moment is None else to_us(moment) for name, moment in moments.items()}
    return msgspec.convert(row, Incident)


async def write_changes(connection: AsyncConnection[Any], changes: Sequence[Change]) -> None:
    """Store new revisions, their audit rows and their feed entries.

    Call it last in the transaction: it locks the feed's position until commit.

    Raises:
        psycopg.errors.UniqueViolation: another transaction wrote the same revision first, or a second
            active episode of the same rule and key was attempted.
    """
    if not changes:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(_UPSERT, [_to_row(change.incident) for change in _latest(changes)])
        await cursor.execute(
            "UPDATE feed_position SET next_offset = next_offset + %s RETURNING next_offset", (len(changes),)
        )
        found = await cursor.fetchone()
        assert found is not None
        first = found[0] - len(changes)
        # After the lock above, which all writers take in turn: each row locks its area's audit chain.
        await cursor.executemany(
            "INSERT INTO incident_audit (incident_id, rev, at, actor, op, before, after, note, details)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [_audit_row(change.audit) for change in changes],
        )
        await cursor.executemany(
            'INSERT INTO incident_change ("offset", incident_id, rev, ward, doc) VALUES (%s, %s, %s, %s, %s)',
            [
                (first + n, change.incident.id, change.incident.rev, change.incident.ward, _encode(change))
                for n, change in enumerate(changes)
            ],
        )
        # Payload-free: it wakes the readers, who then follow the offsets.
        await cursor.execute("SELECT pg_notify(%s, '')", (FEED_CHANNEL,))


def _latest(changes: Sequence[Change]) -> Iterable[Change]:
    return {change.incident.id: change for change in changes}.values()


def _encode(change: Change) -> bytes:
    return msgspec.msgpack.encode(change.incident)


_decode_incident = msgspec.msgpack.Decoder(Incident).decode


def _audit_row(audit: Audit) -> tuple[object, ...]:
    return (
        audit.incident_id, audit.rev, from_us(audit.at_us), audit.actor, audit.op, audit.before, audit.after,
        audit.note, Jsonb(audit.details),
    )  # fmt: skip


async def read_for_update(connection: AsyncConnection[Any], ids: Sequence[str]) -> dict[str, Incident]:
    """Return the incidents of `ids` that exist, locked in a fixed order until the transaction ends."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + " WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (sorted(set(ids)),))
        return {row["id"]: _from_row(row) for row in await cursor.fetchall()}


async def read_active_ids(connection: AsyncConnection[Any], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the ids of the active episodes of these (rule, key) pairs."""
    rules, keys = [rule for rule, _ in pairs], [key for _, key in pairs]
    found = await connection.execute(
        "SELECT id FROM incident WHERE condition = 'active'"
        " AND (rule, key) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        (rules, keys),
    )
    return [incident_id async for (incident_id,) in found]


async def read_incident(connection: AsyncConnection[Any], incident_id: str) -> Incident | None:
    """Return one incident, or None."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + " WHERE id = %s", (incident_id,))
        row = await cursor.fetchone()
        return _from_row(row) if row else None


async def read_page(
    connection: AsyncConnection[Any], query: IncidentFilter
) -> tuple[list[Incident], str | None]:
    """Return up to `query.limit` incidents, newest episode first, and the cursor of the next page.

    Raises:
        CursorError: the cursor is not one of ours.
    """
    opened, after_id = _parse_cursor(query.cursor)
    limit = max(1, min(query.limit, MAX_PAGE))
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _SELECT
            + """
             WHERE (NOT %(open_only)s OR handling IN ('new', 'acknowledged', 'assigned', 'in_progress'))
               AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
               AND (%(severities)s::text[] IS NULL OR severity = ANY(%(severities)s))
               AND (%(category)s::text IS NULL OR category = %(category)s)
               AND (%(opened)s::timestamptz IS NULL OR (opened, id) < (%(opened)s, %(after_id)s))
             ORDER BY opened DESC, id DESC LIMIT %(limit)s
            """,
            {
                "open_only": query.open_only,
                "wards": None if query.wards is None else list(query.wards),
                "severities": [str(severity) for severity in query.severities] or None,
                "category": query.category,
                "opened": opened,
                "after_id": after_id,
                "limit": limit + 1,
            },
        )
        incidents = [_from_row(row) for row in await cursor.fetchall()]
    if len(incidents) <= limit:
        return incidents, None
    last = incidents[limit - 1]
    return incidents[:limit], _make_cursor(last)


def _make_cursor(incident: Incident) -> str:
    return base64.urlsafe_b64encode(f"{incident.opened_us}|{incident.id}".encode()).decode()


def _parse_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    try:
        opened_us, _, incident_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        return from_us(int(opened_us)), incident_id
    except (ValueError, binascii.Error, OverflowError) as error:
        raise CursorError("cursor: use the `next` value of the page before, unchanged") from error


async def read_history(connection: AsyncConnection[Any], incident_id: str) -> list[Audit]:
    """Return an incident's audit rows, oldest first."""
    async with connection.cursor() as cursor:
        await cursor.execute(
            "SELECT rev, at, actor, op, before, after, note, details FROM incident_audit"
            " WHERE incident_id = %s ORDER BY rev",
            (incident_id,),
        )
        return [
            Audit(
                incident_id=incident_id, rev=rev, at_us=to_us(at), actor=actor, op=op, before=before,
                after=after, note=note, details=details,
            )
            async for rev, at, actor, op, before, after, note, details in cursor
        ]  # fmt: skip


async def read_returned(connection: AsyncConnection[Any], before: datetime, limit: int) -> list[str]:
    """Return ids of incidents that cleared before `before` and that nobody has taken up."""
    rows = await connection.execute(
        "SELECT id FROM incident WHERE handling = 'new' AND condition = 'cleared'"
        " AND severity <> 'critical' AND cleared < %s"
        " ORDER BY cleared LIMIT %s",
        (before, limit),
    )
    return [incident_id async for (incident_id,) in rows]


async def claim_command(
    connection: AsyncConnection[Any], idem: str, incident_id: str, actor: str
) -> str | None:
    """Claim an idempotency key; return None if it was free, else the incident it was used for."""
    claimed = await connection.execute(
        "INSERT INTO incident_command (idem, incident_id, actor) VALUES (%s, %s, %s)"
        " ON CONFLICT (idem) DO NOTHING",
        (f"{actor}:{idem}", incident_id, actor),
    )
    if claimed.rowcount:
        return None
    found = await connection.execute(
        "SELECT incident_id FROM incident_command WHERE idem = %s", (f"{actor}:{idem}",)
    )
    row = await found.fetchone()
    return row[0] if row else incident_id


_READ_POSITION: Final = """
    SELECT left(encode(sha256(concat_ws('/',
               epoch,
               (SELECT system_identifier FROM pg_control_system()),
               (SELECT oid FROM pg_database WHERE datname = current_database()),
               CASE WHEN pg_is_in_recovery() THEN 'standby'
                    ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END
           )::bytea), 'hex'), 32),
           next_offset - 1
    FROM feed_position
"""


async def read_position(connection: AsyncConnection[Any]) -> tuple[str, int]:
    """Return the feed's epoch and the offset of its newest change (0 when there is none).

    Offsets mean something within one history of the database only. A dump that is restored, a backup that is
    rolled forward and a standby that takes over each begin another, whose offsets may repeat: they change the
    cluster's identity, the database's oid, or the timeline (the first eight digits of a WAL file's name).
    """
    found = await connection.execute(_READ_POSITION)
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1]


async def read_changes(connection: AsyncConnection[Any], after: int, limit: int) -> list[StoredChange]:
    """Return up to `limit` changes with offsets above `after`, in order."""
    found = await connection.execute(
        'SELECT "offset", doc FROM incident_change WHERE "offset" > %s ORDER BY "offset" LIMIT %s',
        (after, limit),
    )
    return [StoredChange(offset, _decode_incident(doc)) async for offset, doc in found]


async def read_oldest_offset(connection: AsyncConnection[Any]) -> int | None:
    """Return the oldest offset still kept, None when the feed is empty."""
    found = await connection.execute('SELECT min("offset") FROM incident_change')
    row = await found.fetchone()
    return row[0] if row else None


async def read_live(connection: AsyncConnection[Any], finished_since: datetime) -> list[Incident]:
    """Return what a console starts from: every open incident and those finished since `finished_since`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _SELECT + " WHERE handling = ANY(%s) OR (handling <> ALL(%s) AND updated >= %s)"
            " ORDER BY opened DESC, id DESC LIMIT 10000",
            (_OPEN, _OPEN, finished_since),
        )
        return [_from_row(row) for row in await cursor.fetchall()]


_OPEN: Final = [str(handling) for handling in OPEN_HANDLINGS]
