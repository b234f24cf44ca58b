"""Receivers of notices and what is still to be delivered to them.

Times come from the caller, so that one clock decides; a delivery under way is leased, not locked: a process
that dies with it leaves it due again, and the receiver may see it twice under the same id.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from ioc.model.incidents import Severity
from ioc.model.notices import Kind, Notice, Receiver, Telling
from ioc.model.texts import Text
from ioc.model.times import from_us
from ioc.model.warnings import WarningNotice

MAX_RECEIVERS: Final = 100
MAX_WAITING: Final = 10_000
"""Per receiver; beyond it the oldest are dropped and counted: what is new matters more to who comes back."""
MAX_PAGE: Final = 200
_ERROR_CHARS: Final = 500
_CLAIM: Final[LiteralString] = """
    UPDATE delivery SET due = %(lease_until)s, attempts = attempts + 1
    WHERE id IN (
        SELECT id FROM delivery WHERE receiver = %(receiver)s AND state = 'waiting' AND due <= %(now)s
        ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id, attempts, resent, about, doc
"""
_RESEND: Final[LiteralString] = """
    WITH chosen AS (
        SELECT id FROM delivery WHERE receiver = %(receiver)s AND state = 'failed' AND created >= %(since)s
            AND (%(notices)s::text[] IS NULL OR notice_id = ANY(%(notices)s))),
    again AS (
        UPDATE delivery
        SET state = 'waiting', due = %(now)s, attempts = 0, finished = NULL, resent = resent + 1
        WHERE id IN (SELECT id FROM chosen ORDER BY id LIMIT greatest(0, least(%(most)s, %(kept)s - (
            SELECT count(*) FROM delivery WHERE receiver = %(receiver)s AND state = 'waiting'))))
        RETURNING id)
    SELECT (SELECT count(*) FROM again), (SELECT count(*) FROM chosen)
"""
_READ: Final[LiteralString] = """
    SELECT id, kind, target, lang, min_severity, ops, categories, wards, enabled FROM receiver
    WHERE enabled ORDER BY id
"""
_INSERT: Final[LiteralString] = """
    INSERT INTO receiver
        (id, kind, target, lang, min_severity, ops, categories, wards, enabled, secret, author)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_UPDATE: Final[LiteralString] = """
    UPDATE receiver SET (target, lang, min_severity, ops, categories, wards, enabled, author, failures,
        open_until) = (%s, %s, %s, %s, %s, %s, %s, %s, 0, '-infinity')
    WHERE id = %s AND kind = %s
"""
_LIST: Final[LiteralString] = """
    SELECT id, kind, target, lang, min_severity, ops, categories, wards, enabled, author,
        nullif(open_until, '-infinity') AS open_until, last_error, last_sent, former_until,
        (SELECT count(*) FROM delivery d WHERE d.receiver = r.id AND d.state = 'waiting') AS waiting
    FROM receiver r ORDER BY id
"""
_WORKABLE: Final[LiteralString] = """
    SELECT id, kind, target, lang, min_severity, ops, categories, wards, enabled, failures, secret,
        CASE WHEN former_until > %(now)s THEN former_secret END AS former_secret
    FROM receiver r
    WHERE enabled AND kind <> 'in_app' AND open_until <= %(now)s AND EXISTS (
        SELECT FROM delivery d WHERE d.receiver = r.id AND d.state = 'waiting' AND d.due <= %(now)s)
"""
_DROP: Final[LiteralString] = """
    UPDATE delivery SET state = 'dropped', finished = %(now)s, error = 'too many waited'
    WHERE id IN (
        SELECT d.id FROM unnest(%(receivers)s::text[]) AS r (id), LATERAL (
            SELECT id FROM delivery WHERE receiver = r.id AND state = 'waiting'
            ORDER BY id DESC OFFSET %(kept)s) AS d)
"""
_NOTICE_INSERT: Final[LiteralString] = """
    INSERT INTO notice (role, op, incident_id, rev, severity, category, ward, title, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_DECODERS: Final[dict[str, Callable[[bytes], Telling]]] = {
    "incident": msgspec.msgpack.Decoder(Notice).decode,
    "warning": msgspec.msgpack.Decoder(WarningNotice).decode,
}


class TooManyReceiversError(Exception):
    """There are `MAX_RECEIVERS` already."""


class StoredReceiver(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver as people see it: never with its secret."""

    receiver: Receiver
    author: str
    open_until: datetime | None
    last_error: str | None
    last_sent: datetime | None
    former_until: datetime | None
    """Until when a webhook's former secret signs too."""
    waiting: int


class Workable(msgspec.Struct, frozen=True):
    """A receiver with something due; `failures` in a row so far."""

    receiver: Receiver
    secrets: tuple[str, ...]
    """What signs a webhook's deliveries: the present secret, then the former one while it is valid."""
    failures: int


class Claimed(msgspec.Struct, frozen=True):
    """A delivery under way; `attempts` counts this one, `resent` says how often it was asked for again."""

    id: int
    attempts: int
    resent: int
    notice: Telling


class DeliveryRow(msgspec.Struct, frozen=True):
    """One delivery as people see it."""

    id: int
    notice_id: str
    created: datetime
    due: datetime
    attempts: int
    state: str
    error: str | None
    finished: datetime | None
    resent: int


class Resent(msgspec.Struct, frozen=True):
    """What came of asking for failed deliveries again: so many wait, so many are `left` to ask for."""

    again: int
    left: int


class NoticeRow(msgspec.Struct, frozen=True):
    """One notice in the console."""

    id: int
    op: str
    incident_id: str
    rev: int
    severity: str
    category: str
    ward: str | None
    title: dict[str, str]
    at: datetime


# receivers ------------------------------------------------------------------------------------------------


async def add_receiver(
    connection: AsyncConnection[Any], receiver: Receiver, secret: str | None, author: str
) -> bool:
    """Store a new receiver; return False where its id is taken.

    Raises:
        TooManyReceiversError: there are `MAX_RECEIVERS` already.
    """
    # One writer at a time, so that the bound holds.
    await connection.execute("LOCK TABLE receiver IN SHARE ROW EXCLUSIVE MODE")
    row = await (await connection.execute("SELECT count(*) FROM receiver")).fetchone()
    assert row is not None
    if row[0] >= MAX_RECEIVERS:
        raise TooManyReceiversError(f"there are {MAX_RECEIVERS} receivers already")
    done = await connection.execute(_INSERT, (*_values(receiver), secret, author))
    return done.rowcount == 1


async def change_receiver(connection: AsyncConnection[Any], receiver: Receiver, author: str) -> bool:
    """Replace a receiver's fields and close its breaker; its secret stays. False where there is none."""
    _, _, *values = _values(receiver)
    done = await connection.execute(_UPDATE, (*values, author, receiver.id, receiver.kind.value))
    return done.rowcount == 1


async def set_secret(
    connection: AsyncConnection[Any], receiver_id: str, secret: str, former_until_us: int | None
) -> bool:
    """Replace a webhook's secret; False where there is no such webhook.

    The one until now stays valid until `former_until_us`, None: it ends. One from before it ends in any case.
    """
    until = None if former_until_us is None else from_us(former_until_us)
    done = await connection.execute(
        "UPDATE receiver SET secret = %(secret)s, former_until = %(until)s,"
        " former_secret = CASE WHEN %(until)s::timestamptz IS NOT NULL THEN secret END"
        " WHERE id = %(id)s AND kind = 'webhook'",
        {"secret": secret, "until": until, "id": receiver_id},
    )
    return done.rowcount == 1


async def forget_former_secrets(connection: AsyncConnection[Any], now_us: int) -> None:
    """Delete the former secrets that are valid no more."""
    await connection.execute(
        "UPDATE receiver SET former_secret = NULL, former_until = NULL WHERE former_until <= %s",
        (from_us(now_us),),
    )


async def remove_receiver(connection: AsyncConnection[Any], receiver_id: str) -> bool:
    """Remove a receiver with everything that waits for it; False where there is none."""
    done = await connection.execute("DELETE FROM receiver WHERE id = %s", (receiver_id,))
    return done.rowcount == 1


async def list_receivers(connection: AsyncConnection[Any]) -> list[StoredReceiver]:
    """Return every receiver by id."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LIST)
        return [
            StoredReceiver(
                receiver=_receiver(row), author=row["author"], open_until=row["open_until"],
                last_error=row["last_error"], last_sent=row["last_sent"],
                former_until=row["former_until"], waiting=row["waiting"],
            )
            async for row in cursor
        ]  # fmt: skip


async def read_receivers(connection: AsyncConnection[Any]) -> list[Receiver]:
    """Return the receivers that are switched on."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_READ)
        return [_receiver(row) async for row in cursor]


def _values(receiver: Receiver) -> tuple[object, ...]:
    wards = None if receiver.wards is None else list(receiver.wards)
    return (
        receiver.id, receiver.kind.value, receiver.target, receiver.lang, receiver.min_severity.value,
        list(receiver.ops), list(receiver.categories), wards, receiver.enabled,
    )  # fmt: skip


def _receiver(row: dict[str, Any]) -> Receiver:
    return Receiver(
        id=row["id"],
        kind=Kind(row["kind"]),
        target=row["target"],
        lang=row["lang"],
        min_severity=Severity(row["min_severity"]),
        ops=tuple(row["ops"]),
        categories=tuple(row["categories"]),
        wards=None if row["wards"] is None else tuple(row["wards"]),
        enabled=row["enabled"],
    )


# deliveries -----------------------------------------------------------------------------------------------


async def add_deliveries(
    connection: AsyncConnection[Any], pairs: Sequence[tuple[Receiver, Telling]], now_us: int
) -> int:
    """Queue each notice for its receiver, once; return how many older ones had to be dropped."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO delivery (receiver, notice_id, about, doc, created, due)"
            " SELECT id, %s, %s, %s, %s, %s FROM receiver WHERE id = %s ON CONFLICT DO NOTHING",
            [
                (
                    notice.id,
                    _about(notice),
                    msgspec.msgpack.encode(notice),
                    *2 * [from_us(now_us)],
                    receiver.id,
                )
                for receiver, notice in pairs
            ],
        )
        receivers = sorted({receiver.id for receiver, _ in pairs})
        await cursor.execute(_DROP, {"receivers": receivers, "now": from_us(now_us), "kept": MAX_WAITING})
        return cursor.rowcount


def _about(notice: Telling) -> str:
    return "warning" if isinstance(notice, WarningNotice) else "incident"


async def read_workable(connection: AsyncConnection[Any], now_us: int) -> list[Workable]:
    """Return the receivers that something is due for and whose breaker lets it through."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_WORKABLE, {"now": from_us(now_us)})
        return [Workable(_receiver(row), _secrets(row), row["failures"]) async for row in cursor]


def _secrets(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(filter(None, (row["secret"], row["former_secret"])))


async def claim_deliveries(
    connection: AsyncConnection[Any], receiver_id: str, now_us: int, lease_us: int, limit: int
) -> list[Claimed]:
    """Take up to `limit` due deliveries, oldest first; nobody else takes them for `lease_us`."""
    parameters = {
        "receiver": receiver_id,
        "now": from_us(now_us),
        "lease_until": from_us(now_us + lease_us),
        "limit": limit,
    }
    rows = await (await connection.execute(_CLAIM, parameters)).fetchall()
    return [
        Claimed(number, attempts, resent, _DECODERS[about](doc))
        for number, attempts, resent, about, doc in sorted(rows)
    ]


async def finish_deliveries(connection: AsyncConnection[Any], ids: Sequence[int], now_us: int) -> None:
    """Record that the receiver has taken them."""
    await connection.execute(
        "UPDATE delivery SET state = 'sent', finished = %s, error = NULL WHERE id = ANY(%s)",
        (from_us(now_us), list(ids)),
    )


async def postpone_delivery(
    connection: AsyncConnection[Any], delivery_id: int, due_us: int | None, error: str, now_us: int
) -> None:
    """Record a failed attempt: due again at `due_us`, or given up where that is None."""
    if due_us is None:
        await connection.execute(
            "UPDATE delivery SET state = 'failed', finished = %s, error = %s WHERE id = %s",
            (from_us(now_us), error[:_ERROR_CHARS], delivery_id),
        )
    else:
        await connection.execute(
            "UPDATE delivery SET due = %s, error = %s WHERE id = %s",
            (from_us(due_us), error[:_ERROR_CHARS], delivery_id),
        )


async def release_deliveries(connection: AsyncConnection[Any], ids: Sequence[int], now_us: int) -> None:
    """Give back claimed deliveries that were not attempted."""
    await connection.execute(
        "UPDATE delivery SET due = %s, attempts = attempts - 1 WHERE id = ANY(%s)",
        (from_us(now_us), list(ids)),
    )


async def record_success(connection: AsyncConnection[Any], receiver_id: str, now_us: int) -> None:
    """Record that the receiver answers: its breaker is closed."""
    await connection.execute(
        "UPDATE receiver SET failures = 0, open_until = '-infinity', last_error = NULL, last_sent = %s"
        " WHERE id = %s",
        (from_us(now_us), receiver_id),
    )


async def record_failure(
    connection: AsyncConnection[Any], receiver_id: str, failures: int, open_until_us: int, error: str
) -> None:
    """Record how often in a row the receiver has failed, and until when it is left alone."""
    await connection.execute(
        "UPDATE receiver SET failures = %s, open_until = %s, last_error = %s WHERE id = %s",
        (failures, from_us(open_until_us), error[:_ERROR_CHARS], receiver_id),
    )


async def switch_off(connection: AsyncConnection[Any], receiver_id: str) -> None:
    """Send a receiver nothing from now on, until somebody switches it on again."""
    await connection.execute("UPDATE receiver SET enabled = false WHERE id = %s", (receiver_id,))


async def list_deliveries(
    connection: AsyncConnection[Any], receiver_id: str, limit: int, *, state: str | None, since_us: int
) -> list[DeliveryRow]:
    """Return a receiver's newest deliveries queued since then, at most `MAX_PAGE`; of one state if given."""
    async with connection.cursor(row_factory=class_row(DeliveryRow)) as cursor:
        await cursor.execute(
            "SELECT id, notice_id, created, due, attempts, state, error, finished, resent FROM delivery"
            " WHERE receiver = %s AND (%s::text IS NULL OR state = %s) AND created >= %s"
            " ORDER BY id DESC LIMIT %s",
            (receiver_id, state, state, from_us(since_us), min(limit, MAX_PAGE)),
        )
        return await cursor.fetchall()


async def resend_deliveries(
    connection: AsyncConnection[Any],
    receiver_id: str,
    *,
    notices: Sequence[str] | None,
    since_us: int,
    most: int,
    now_us: int,
) -> Resent | None:
    """Let failed deliveries wait again, oldest first; None where there is no such receiver.

    Those of `notices` (None: all) queued since `since_us`, at most `most`, and no more than `MAX_WAITING`
    then wait. The receiver's breaker is closed, so that they are tried at once.
    """
    # One at a time, so that the bound holds.
    known = await connection.execute("SELECT FROM receiver WHERE id = %s FOR NO KEY UPDATE", (receiver_id,))
    if not known.rowcount:
        return None
    parameters = {
        "receiver": receiver_id,
        "notices": None if notices is None else list(notices),
        "since": from_us(since_us),
        "most": most,
        "kept": MAX_WAITING,
        "now": from_us(now_us),
    }
    row = await (await connection.execute(_RESEND, parameters)).fetchone()
    assert row is not None
    again, chosen = row
    if again:
        await connection.execute("UPDATE receiver SET open_until = '-infinity' WHERE id = %s", (receiver_id,))
    return Resent(again, chosen - again)


# notices in the console -----------------------------------------------------------------------------------


async def add_notices(connection: AsyncConnection[Any], pairs: Sequence[tuple[Receiver, Telling]]) -> None:
    """Show each notice to the role its receiver names, once."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            _NOTICE_INSERT, [_notice_row(receiver.target, notice) for receiver, notice in pairs]
        )


def _notice_row(role: str, notice: Telling) -> tuple[object, ...]:
    if isinstance(notice, WarningNotice):
        # `incident_id` names the warning; nobody looks for an incident where `op` is warning.
        return (
            role, notice.op, notice.warning, notice.rev, notice.severity, notice.category or "", notice.ward,
            Jsonb(_text(notice.title)), from_us(notice.at_us),
        )  # fmt: skip
    incident = notice.incident
    return (
        role, notice.op, incident.id, incident.rev, incident.severity, incident.category, incident.ward,
        Jsonb(_text(incident.title)), from_us(notice.at_us),
    )  # fmt: skip


def _text(text: Text) -> dict[str, str]:
    return {"vi": text.vi, "en": text.en}


async def list_notices(
    connection: AsyncConnection[Any], role: str, wards: Sequence[str] | None, username: str, limit: int
) -> tuple[list[NoticeRow], int]:
    """Return the newest notices for `role` within `wards` (None: every ward), and the newest one read."""
    async with connection.cursor(row_factory=class_row(NoticeRow)) as cursor:
        await cursor.execute(
            "SELECT id, op, incident_id, rev, severity, category, ward, title, at FROM notice"
            " WHERE role = %s AND (%s::text[] IS NULL OR ward = ANY(%s)) ORDER BY id DESC LIMIT %s",
            (role, *(2 * [None if wards is None else list(wards)]), min(limit, MAX_PAGE)),
        )
        found = await cursor.fetchall()
    row = await (
        await connection.execute("SELECT up_to FROM notice_read WHERE username = %s", (username,))
    ).fetchone()
    return found, row[0] if row else 0


async def mark_read(connection: AsyncConnection[Any], username: str, up_to: int) -> None:
    """Record that the person has read every notice up to `up_to`; it never moves back."""
    await connection.execute(
        "INSERT INTO notice_read AS r (username, up_to) VALUES (%s, %s)"
        " ON CONFLICT (username) DO UPDATE SET up_to = greatest(r.up_to, excluded.up_to)",
        (username, up_to),
    )


async def forget_finished(connection: AsyncConnection[Any], before_us: int, limit: int) -> int:
    """Delete up to `limit` deliveries and notices that ended before `before_us`; return how many went."""
    parameters = (from_us(before_us), limit)
    deliveries = await connection.execute(
        "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE state <> 'waiting' AND finished < %s"
        " LIMIT %s)",
        parameters,
    )
    notices = await connection.execute(
        "DELETE FROM notice WHERE id IN (SELECT id FROM notice WHERE at < %s LIMIT %s)", parameters
    )
    return deliveries.rowcount + notices.rowcount
