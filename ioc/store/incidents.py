"""Incidents in PostgreSQL: rows, history, the commit-ordered feed, idempotency keys.

Everything that writes takes a connection, so that the caller decides what shares its transaction.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection, Rollback
from psycopg.errors import LockNotAvailable, SerializationFailure
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ioc.model.incidents import Audit, Change, Incident, Pending, Severity, Worked
from ioc.model.times import from_us, to_us

MAX_PAGE: Final = 500
FEED_CHANNEL: Final = "ioc_feed"

_PLAIN: Final = (
    "id", "rev", "rule", "key", "category", "severity", "condition", "handling", "ward", "source", "lon",
    "lat", "assignee", "team", "note", "count", "working_clock", "pause_reason", "level", "handed_from",
    "photo", "merged_into", "merged_by", "resumes", "members", "members_active",
)  # fmt: skip
_JSON: Final = ("title", "why", "checklist")
_TIMES: Final = (
    "opened", "detected", "updated", "cleared", "acknowledged", "resolved", "closed", "ack_due",
    "resolve_due", "respond_due", "responded", "paused", "escalate", "escalated", "shelved_until",
)  # fmt: skip

_COLUMNS: Final[LiteralString] = (
    "id, rev, rule, key, category, severity, condition, handling, ward, source, lon, lat, assignee, team,"
    " note, count, working_clock, pause_reason, level, handed_from, photo, merged_into, merged_by, resumes,"
    " members, members_active, agencies, title, why, checklist, opened, detected, updated, cleared,"
    " acknowledged, resolved, closed, ack_due, resolve_due, respond_due, responded, paused, escalate,"
    " escalated, shelved_until"
)
_CHANGING: Final[LiteralString] = (
    "rev, severity, condition, handling, assignee, team, note, count, why, checklist, ward, working_clock,"
    " pause_reason, level, handed_from, photo, merged_into, merged_by, resumes, members, members_active,"
    " agencies, updated, cleared, acknowledged, resolved, closed, ack_due, resolve_due, respond_due,"
    " responded, paused, escalate, escalated, shelved_until"
)
_COLUMN_COUNT: Final = len(_PLAIN) + 1 + len(_JSON) + len(_TIMES)
_SELECT: Final[LiteralString] = "SELECT " + _COLUMNS + " FROM incident"  # noqa: S608 - names of ours
_UPSERT: Final[LiteralString] = (
    "INSERT INTO incident (" + _COLUMNS + ")"  # noqa: S608 - likewise
    " VALUES (" + ", ".join(["%s"] * _COLUMN_COUNT) + ")"
    " ON CONFLICT (id) DO UPDATE SET (" + _CHANGING + ") ="
    " (excluded." + _CHANGING.replace(", ", ", excluded.") + ")"
)
MAX_AROUND: Final = 500
"""Open incidents looked at around the new alarms of one transaction, the latest first."""
LOCK_ROUNDS: Final = 5


class CursorError(ValueError):
    """A paging cursor that we did not issue."""


class IncidentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to list. `wards` None means every ward; an empty tuple means none."""

    open_only: bool = True
    wards: tuple[str, ...] | None = None
    severities: tuple[Severity, ...] = ()
    category: str | None = None
    ended_since: datetime | None = None
    """Only what was resolved or closed then or later."""
    limit: int = 100
    cursor: str | None = None


class StoredChange(msgspec.Struct, frozen=True):
    """One entry of the feed: the incident as of that revision."""

    offset: int
    incident: Incident


def _to_row(incident: Incident) -> list[object]:
    row: list[object] = [getattr(incident, name) for name in _PLAIN]
    row.append(list(incident.agencies))
    documents = (getattr(incident, name) for name in _JSON)
    row += [None if doc is None else Jsonb(msgspec.to_builtins(doc)) for doc in documents]
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


decode_change = msgspec.msgpack.Decoder(Incident).decode
"""From `incident_change.doc`."""


def _audit_row(audit: Audit) -> tuple[object, ...]:
    return (
        audit.incident_id, audit.rev, from_us(audit.at_us), audit.actor, audit.op, audit.before, audit.after,
        audit.note, Jsonb(audit.details),
    )  # fmt: skip


async def read_for_update(
    connection: AsyncConnection[Any], ids: Sequence[str], *, wait: bool = True
) -> dict[str, Incident]:
    """Return the incidents of `ids` that exist, locked in a fixed order until the transaction ends.

    Raises:
        psycopg.errors.LockNotAvailable: not to `wait`, and somebody else holds one of them.
    """
    locked: LiteralString = " WHERE id = ANY(%s) ORDER BY id FOR UPDATE" + ("" if wait else " NOWAIT")
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + locked, (sorted(set(ids)),))
        return {row["id"]: _from_row(row) for row in await cursor.fetchall()}


async def lock_groups(
    connection: AsyncConnection[Any], ids: Sequence[str], *, with_members: bool = False
) -> dict[str, Incident]:
    """Return the incidents of `ids` that exist and the heads they are part of, or their members as well.

    All are locked until the transaction ends: in one statement and in the order of their ids, so that no two
    transactions wait for each other. A group may change before its locks are had, and in a storm it always
    does: what has joined meanwhile is locked as well, now that nothing more can join, but not waited for. Who
    would have to wait gives all locks back and takes them anew.

    Raises:
        psycopg.errors.SerializationFailure: it changed `LOCK_ROUNDS` times; the same may succeed in a moment.
    """
    for _ in range(LOCK_ROUNDS):
        wanted = await _with_groups(connection, ids, with_members)
        with suppress(LockNotAvailable):
            async with connection.transaction():
                known = await read_for_update(connection, wanted)
                if not _are_whole(known, ids, with_members):
                    joined = set(await _with_groups(connection, ids, with_members)) - known.keys()
                    known |= await read_for_update(connection, [*joined], wait=False)
                if _are_whole(known, ids, with_members):
                    return known
                raise Rollback
    raise SerializationFailure("the group of an incident kept changing")


async def _with_groups(connection: AsyncConnection[Any], ids: Sequence[str], with_members: bool) -> list[str]:
    rows = await connection.execute(
        "SELECT id, merged_into FROM incident"
        " WHERE id = ANY(%(ids)s) OR (%(members)s AND merged_into = ANY(%(ids)s))",
        {"ids": list(ids), "members": with_members},
    )
    return [each for row in await rows.fetchall() for each in row if each is not None]


def _are_whole(known: Mapping[str, Incident], ids: Iterable[str], with_members: bool) -> bool:
    counts = Counter(incident.merged_into for incident in known.values())
    heads = all(incident.merged_into is None or incident.merged_into in known for incident in known.values())
    asked = [known[each] for each in set(ids) if each in known]
    return heads and (not with_members or all(counts[each.id] == each.members for each in asked))


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look for what a new alarm may belong to: near it, or of these rules and categories anywhere.

    `box` is west, south, east, north in degrees; None where no new alarm has a position.
    """

    wards: tuple[str, ...]
    since: datetime
    until: datetime
    box: tuple[float, float, float, float] | None = None
    rules: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


async def read_around(connection: AsyncConnection[Any], around: Around) -> list[str]:
    """Return the ids of the open incidents there, at most `MAX_AROUND`, the latest."""
    west, south, east, north = around.box or (None, None, None, None)
    rows = await connection.execute(
        "SELECT id FROM incident WHERE ward = ANY(%s) AND detected BETWEEN %s AND %s"
        " AND handling IN ('new', 'acknowledged', 'assigned', 'in_progress')"
        " AND ((lon BETWEEN %s AND %s AND lat BETWEEN %s AND %s) OR rule = ANY(%s) OR category = ANY(%s))"
        " ORDER BY detected DESC, id LIMIT %s",
        (
            list(around.wards), around.since, around.until, west, east, south, north, list(around.rules),
            list(around.categories), MAX_AROUND,
        ),
    )  # fmt: skip
    return [incident_id async for (incident_id,) in rows]


async def read_members(connection: AsyncConnection[Any], head_id: str, limit: int) -> list[Incident]:
    """Return what is merged into an incident, the oldest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _SELECT + " WHERE merged_into = %s ORDER BY detected, id LIMIT %s", (head_id, limit)
        )
        return [_from_row(row) for row in await cursor.fetchall()]


async def read_open(
    connection: AsyncConnection[Any], wards: Sequence[str] | None, limit: int
) -> list[Incident]:
    """Return the open incidents of `wards` (None: of all), the earliest due first, at most `limit`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _SELECT + " WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress')"
            " AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))"
            " ORDER BY resolve_due, id LIMIT %(limit)s",
            {"wards": None if wards is None else list(wards), "limit": limit},
        )
        return [_from_row(row) for row in await cursor.fetchall()]


async def read_pending(
    connection: AsyncConnection[Any], wards: Sequence[str] | None, limit: int
) -> list[Pending]:
    """Return what a forecast needs of the open incidents of `wards` (None: of all), first due first."""
    rows = await connection.execute(
        "SELECT id, ward, resolve_due, paused IS NOT NULL, detected FROM incident"
        " WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress')"
        " AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))"
        " ORDER BY resolve_due, id LIMIT %(limit)s",
        {"wards": None if wards is None else list(wards), "limit": limit},
    )
    return [
        Pending(id_, ward, due and to_us(due), paused, to_us(detected))
        for id_, ward, due, paused, detected in await rows.fetchall()
    ]


async def read_worked(connection: AsyncConnection[Any], since: datetime) -> dict[str | None, Worked]:
    """Return by ward what was resolved since `since`."""
    rows = await connection.execute(
        "SELECT ward, count(*), min(detected) FROM incident WHERE resolved >= %s GROUP BY ward", (since,)
    )
    return {ward: Worked(count, to_us(first)) async for ward, count, first in rows}


async def read_due(connection: AsyncConnection[Any], now: datetime, limit: int) -> list[str]:
    """Return ids of incidents of which an escalation step or the end of shelving is due."""
    rows = await connection.execute(
        "(SELECT id FROM incident WHERE escalate <= %(now)s ORDER BY escalate LIMIT %(limit)s) UNION"
        " (SELECT id FROM incident WHERE shelved_until <= %(now)s ORDER BY shelved_until LIMIT %(limit)s)",
        {"now": now, "limit": limit},
    )
    return [incident_id async for (incident_id,) in rows]


async def read_active_ids(connection: AsyncConnection[Any], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the ids of the active episodes of these (rule, key) pairs."""
    rules, keys = [rule for rule, _ in pairs], [key for _, key in pairs]
    found = await connection.execute(
        "SELECT id FROM incident WHERE condition = 'active'"
        " AND (rule, key) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
        (rules, keys),
    )
    return [incident_id async for (incident_id,) in found]


async def read_ended_ids(
    connection: AsyncConnection[Any], pairs: Sequence[tuple[str, str]], since: datetime
) -> list[str]:
    """Return the ids of incidents of these (rule, key) pairs that were resolved since `since`."""
    rules, keys = [rule for rule, _ in pairs], [key for _, key in pairs]
    found = await connection.execute(
        "SELECT i.id FROM unnest(%s::text[], %s::text[]) AS pair (rule, key)"
        " JOIN incident i USING (rule, key) WHERE i.resolved >= %s AND i.handling IN ('resolved', 'closed')",
        (rules, keys, since),
    )
    return [incident_id async for (incident_id,) in found]


async def read_going_on(
    connection: AsyncConnection[Any], after: tuple[datetime, str] | None, limit: int
) -> list[Incident]:
    """Return what was resolved and still goes on, in the order of (resolved, id) from `after` on."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            _SELECT + " WHERE handling IN ('resolved', 'closed') AND resolved IS NOT NULL"
            " AND (condition = 'active' OR members_active > 0)"
            " AND (%(resolved)s::timestamptz IS NULL OR (resolved, id) > (%(resolved)s, %(id)s))"
            " ORDER BY resolved, id LIMIT %(limit)s",
            {"resolved": after and after[0], "id": after and after[1], "limit": limit},
        )
        return [_from_row(row) for row in await cursor.fetchall()]


async def read_incident(connection: AsyncConnection[Any], incident_id: str) -> Incident | None:
    """Return one incident, or None."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + " WHERE id = %s", (incident_id,))
        row = await cursor.fetchone()
        return _from_row(row) if row else None


async def read_by_ids(connection: AsyncConnection[Any], ids: Sequence[str]) -> dict[str, Incident]:
    """Return the incidents of `ids` that exist, by id."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SELECT + " WHERE id = ANY(%s)", (list(ids),))
        return {row["id"]: _from_row(row) for row in await cursor.fetchall()}


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
               AND (%(ended)s::timestamptz IS NULL OR resolved >= %(ended)s OR closed >= %(ended)s)
               AND (%(opened)s::timestamptz IS NULL OR (opened, id) < (%(opened)s, %(after_id)s))
             ORDER BY opened DESC, id DESC LIMIT %(limit)s
            """,
            {
                "open_only": query.open_only,
                "wards": None if query.wards is None else list(query.wards),
                "severities": [str(severity) for severity in query.severities] or None,
                "category": query.category,
                "ended": query.ended_since,
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
    """Return ids of incidents that cleared before `before` and that nobody has taken up or noted on."""
    rows = await connection.execute(
        "SELECT id FROM incident WHERE handling = 'new' AND condition = 'cleared' AND members_active = 0"
        " AND severity <> 'critical' AND NOT working_clock AND note IS NULL AND cleared < %s"
        " ORDER BY cleared LIMIT %s",
        (before, limit),
    )
    return [incident_id async for (incident_id,) in rows]


async def claim_command(
    connection: AsyncConnection[Any], idem: str, incident_id: str, actor: str, digest: bytes
) -> bytes | None:
    """Claim an idempotency key for a command; return None if it was free, else the digest it was used with.

    A key claimed before digests were kept comes back as an empty one.
    """
    key = f"{actor}:{idem}"
    claimed = await connection.execute(
        "INSERT INTO incident_command (idem, incident_id, actor, digest) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (idem) DO NOTHING",
        (key, incident_id, actor, digest),
    )
    if claimed.rowcount:
        return None
    found = await connection.execute("SELECT digest FROM incident_command WHERE idem = %s", (key,))
    row = await found.fetchone()
    return bytes(row[0]) if row and row[0] is not None else b""


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
    return [StoredChange(offset, decode_change(doc)) async for offset, doc in found]


async def read_oldest_offset(connection: AsyncConnection[Any]) -> int | None:
    """Return the oldest offset still kept, None when the feed is empty."""
    found = await connection.execute('SELECT min("offset") FROM incident_change')
    row = await found.fetchone()
    return row[0] if row else None


async def read_live(connection: AsyncConnection[Any], finished_since: datetime, most: int) -> list[Incident]:
    """Return what a console starts from: every open incident and those finished since `finished_since`.

    Of more than `most`, the open ones come first, the gravest of them, and the newest of these.
    """
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            # In the words of the partial indexes, or every incident there ever was would be read.
            _SELECT
            + """
             WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress')
                OR (handling IN ('resolved', 'closed', 'rejected') AND updated >= %(since)s)
                OR (handling = 'merged' AND updated >= %(since)s)
             ORDER BY handling IN ('new', 'acknowledged', 'assigned', 'in_progress') DESC,
                      array_position(%(gravest)s, severity), opened DESC, id DESC
             LIMIT %(most)s
            """,
            {"since": finished_since, "gravest": _GRAVEST_FIRST, "most": most},
        )
        return [_from_row(row) for row in await cursor.fetchall()]


_GRAVEST_FIRST: Final = [str(severity) for severity in Severity]
