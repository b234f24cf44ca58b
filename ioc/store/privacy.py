"""Personal data whose time is over, and people's requests to erase theirs, in bounded slices.

A plate is matched, once its plain text is gone, by its token: HMAC-SHA-256 under a key that is not in the
database. Whoever has the table cannot try all plates against it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ioc.store.photos import ENDED

TOKEN_MARK: Final = "h:"  # noqa: S105 - marks a plate's token
SLICE_ROWS: Final = 2_000
MIN_PHONE_DIGITS: Final = 8

MaskText = Callable[[str], str]


class RequestInfo(msgspec.Struct, frozen=True):
    """A request to erase. `subject` None: it is done, and who asked is forgotten."""

    id: int
    subject_kind: str
    subject: str | None
    received: datetime
    answer_due: datetime
    done_due: datetime
    answered: datetime | None
    done: datetime | None
    author: str
    note: str
    erased: dict[str, int] | None


class UnknownRequestError(LookupError):
    """There is no such request, or it is done already."""


def plate_token(key: bytes, plate: str) -> str:
    """Return what stands in a plate's place once its time is over; spellings of one plate give one token."""
    signs = "".join(sign for sign in plate.upper() if sign.isalnum())
    mac = hmac.new(key, signs.encode(), hashlib.sha256).digest()
    return TOKEN_MARK + base64.urlsafe_b64encode(mac[:18]).decode()


def phone_digits(text: str) -> str:
    """Return a phone number's digits in national form: `+84 912…` and `0912…` are one number."""
    digits = "".join(sign for sign in text if sign.isascii() and sign.isdigit())
    for prefix in ("0084", "84"):
        if digits.startswith(prefix) and len(digits) - len(prefix) >= MIN_PHONE_DIGITS:
            return "0" + digits.removeprefix(prefix).removeprefix("0")
    return digits


async def hide_plates(connection: AsyncConnection[Any], key: bytes, before: datetime) -> int:
    """Replace a slice of the plates read before `before` by their tokens; return how many."""
    found = await connection.execute(
        "SELECT DISTINCT plate FROM (SELECT plate FROM camera_event WHERE plate IS NOT NULL"
        " AND plate NOT LIKE 'h:%%' AND time < %s ORDER BY time LIMIT %s) AS oldest",
        (before, SLICE_ROWS),
    )
    plates = [plate async for (plate,) in found]
    if not plates:
        return 0
    return await _replace_plates(connection, key, plates, before)


async def _replace_plates(
    connection: AsyncConnection[Any], key: bytes, plates: list[str], before: datetime
) -> int:
    done = await connection.execute(
        "UPDATE camera_event AS e SET plate = t.token, subject = NULL, data = e.data - 'extra'"
        " FROM unnest(%s::text[], %s::text[]) AS t (plate, token)"
        " WHERE e.plate = t.plate AND e.plate NOT LIKE 'h:%%' AND e.time < %s",
        (plates, [plate_token(key, plate) for plate in plates], before),
    )
    return done.rowcount


_REPORTS: Final[LiteralString] = (
    "SELECT tableoid, ctid::text, title, text, address FROM feedback_report WHERE "
)
"""A ctid names a row within one partition only."""


async def forget_contacts(connection: AsyncConnection[Any], mask: MaskText, before: datetime) -> int:
    """Forget who sent a slice of the reports before `before`, and mask what they wrote; return how many."""
    return await _forget_reports(connection, mask, "forgotten IS NULL AND time < %s", (before,))


async def _forget_reports(
    connection: AsyncConnection[Any], mask: MaskText, which: LiteralString, values: tuple[object, ...]
) -> int:
    found = await connection.execute(
        _REPORTS + which + " ORDER BY time LIMIT %s FOR UPDATE", (*values, SLICE_ROWS)
    )
    rows = await found.fetchall()
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "UPDATE feedback_report SET forgotten = true, contact = NULL, subject = NULL, title = %s,"
            " text = %s, address = %s, data = data - 'extra' WHERE tableoid = %s AND ctid = %s::tid",
            [(*(_masked(mask, text) for text in texts), table, place) for table, place, *texts in rows],
        )
    return len(rows)


def _masked(mask: MaskText, text: str | None) -> str | None:
    return None if text is None else mask(text)


async def mask_finished(connection: AsyncConnection[Any], mask: MaskText, before: datetime) -> int:
    """Mask for good the texts of a slice of the incidents finished before `before`; return how many."""
    found = await connection.execute(
        "SELECT id, title, why, note, key FROM incident"
        " WHERE handling IN ('resolved', 'closed', 'rejected', 'merged')"
        " AND masked_rev IS DISTINCT FROM rev AND updated < %s ORDER BY updated LIMIT %s"
        " FOR UPDATE SKIP LOCKED",
        (before, SLICE_ROWS),
    )
    return await _mask_incidents(connection, mask, await found.fetchall(), "retention")


async def _mask_incidents(
    connection: AsyncConnection[Any], mask: MaskText, rows: list[Any], why_now: str
) -> int:
    async with connection.cursor() as cursor:
        await cursor.executemany(
            # The key of an active episode is what its end will be told by.
            "UPDATE incident SET masked_rev = rev, title = %s, why = %s, note = %s,"
            " key = CASE WHEN condition = 'active' THEN key ELSE %s END WHERE id = %s",
            [
                (
                    Jsonb(_deeply(mask, title)), Jsonb(_deeply(mask, why)), _masked(mask, note), mask(key),
                    incident_id,
                )
                for incident_id, title, why, note, key in rows
            ],
        )  # fmt: skip
    await mask_notes(connection, mask, [row[0] for row in rows], why_now)
    return len(rows)


def _deeply(mask: MaskText, value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _deeply(mask, inner) for name, inner in value.items()}
    return [_deeply(mask, inner) for inner in value] if isinstance(value, list) else value


async def mask_notes(connection: AsyncConnection[Any], mask: MaskText, ids: list[str], why: str) -> int:
    """Mask what the histories of these incidents tell of people; the audit log tells of each change."""
    found = await connection.execute(
        "SELECT incident_id, rev, note FROM incident_audit WHERE incident_id = ANY(%s) AND note IS NOT NULL",
        (ids,),
    )
    changed = [(row[0], row[1], mask(row[2])) for row in await found.fetchall() if mask(row[2]) != row[2]]
    for incident_id, rev, masked in changed:
        await connection.execute("SELECT ioc_mask_note(%s, %s, %s, %s)", (incident_id, rev, masked, why))
    return len(changed)


async def forget_quarantined(connection: AsyncConnection[Any], before: datetime) -> int:
    """Delete a slice of the refused messages received before `before`; return how many."""
    done = await connection.execute(
        "DELETE FROM quarantine WHERE id IN"
        " (SELECT id FROM quarantine WHERE received < %s ORDER BY id LIMIT %s)",
        (before, SLICE_ROWS),
    )
    return done.rowcount


async def note_run(connection: AsyncConnection[Any], purpose: str, at: datetime, changed: int) -> None:
    """Remember when a purpose's job ran last and what it changed."""
    await connection.execute(
        "INSERT INTO retention_run (purpose, at, changed) VALUES (%s, %s, %s)"
        " ON CONFLICT (purpose) DO UPDATE SET at = excluded.at, changed = excluded.changed",
        (purpose, at, changed),
    )


async def last_runs(connection: AsyncConnection[Any]) -> dict[str, tuple[datetime, int]]:
    """Return per purpose when its job ran last and what it changed."""
    found = await connection.execute("SELECT purpose, at, changed FROM retention_run")
    return {purpose: (at, changed) async for purpose, at, changed in found}


_OLDEST: Final[Mapping[str, LiteralString]] = {
    "plates": "SELECT min(time), count(*) FILTER (WHERE time < %s) FROM camera_event"
    " WHERE plate IS NOT NULL AND plate NOT LIKE 'h:%%'",
    "contacts": "SELECT min(time), count(*) FILTER (WHERE time < %s) FROM feedback_report"
    " WHERE forgotten IS NULL",
    "reporters": "SELECT min(received), count(*) FILTER (WHERE received < %s) FROM citizen_report"
    " WHERE NOT forgotten",
    "incidents": "SELECT min(updated), count(*) FILTER (WHERE updated < %s) FROM incident"
    " WHERE handling IN ('resolved', 'closed', 'rejected', 'merged')"
    " AND masked_rev IS DISTINCT FROM rev",
    "photos": "SELECT min(uploaded), count(*) FILTER (WHERE uploaded < %s) FROM photo p WHERE "  # noqa: S608
    + ENDED,
    "unclaimed": "SELECT min(uploaded), count(*) FILTER (WHERE uploaded < %s) FROM photo"
    " WHERE report_id IS NULL AND incident_id IS NULL",
    "quarantine": "SELECT min(received), count(*) FILTER (WHERE received < %s) FROM quarantine",
}


async def standing(
    connection: AsyncConnection[Any], purpose: str, before: datetime
) -> tuple[datetime | None, int]:
    """Return the oldest of a purpose's data and how many rows are older than `before`, hence overdue."""
    row = await (await connection.execute(_OLDEST[purpose], (before,))).fetchone()
    assert row is not None
    return row[0], row[1]


# Requests

_REQUEST: Final[LiteralString] = (
    "SELECT id, subject_kind, subject, received, answer_due, done_due, answered, done, author, note, erased"
    " FROM privacy_request"
)


async def add_request(
    connection: AsyncConnection[Any],
    kind: str,
    subject: str,
    token: str,
    times: tuple[datetime, datetime, datetime],
    author: str,
    note: str,
) -> int:
    """Store a request; `times` are when it came, and by when it must be answered and done."""
    found = await connection.execute(
        "INSERT INTO privacy_request (subject_kind, subject, token, received, answer_due, done_due, author,"
        " note) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (kind, subject, token, *times, author, note),
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def list_requests(connection: AsyncConnection[Any], *, open_only: bool) -> list[RequestInfo]:
    """Return requests, those due first before the others."""
    async with connection.cursor(row_factory=class_row(RequestInfo)) as cursor:
        await cursor.execute(
            _REQUEST + " WHERE done IS NULL OR NOT %s ORDER BY done NULLS FIRST, done_due LIMIT 1000",
            (open_only,),
        )
        return await cursor.fetchall()


async def open_request(connection: AsyncConnection[Any], request_id: int) -> RequestInfo:
    """Return a request that is not done, locked until the transaction ends. Raises `UnknownRequestError`."""
    async with connection.cursor(row_factory=class_row(RequestInfo)) as cursor:
        await cursor.execute(_REQUEST + " WHERE id = %s AND done IS NULL FOR UPDATE", (request_id,))
        found = await cursor.fetchone()
    if found is None:
        raise UnknownRequestError(f"there is no open request {request_id}")
    return found


async def answer_request(connection: AsyncConnection[Any], request_id: int, at: datetime) -> None:
    """Note that the person has an answer."""
    await connection.execute(
        "UPDATE privacy_request SET answered = coalesce(answered, %s) WHERE id = %s", (at, request_id)
    )


async def finish_request(
    connection: AsyncConnection[Any], request_id: int, at: datetime, erased: Mapping[str, int]
) -> None:
    """Note what was erased, and forget who asked."""
    await connection.execute(
        "UPDATE privacy_request SET done = %s, answered = coalesce(answered, %s), subject = NULL, erased = %s"
        " WHERE id = %s",
        (at, at, Jsonb(dict(erased)), request_id),
    )


async def erase_plate(connection: AsyncConnection[Any], key: bytes, plate: str) -> int:
    """Forget a plate in history, in plain text and as a token; return how many readings it was in."""
    wanted = plate_token(key, plate)
    found = await connection.execute(
        "SELECT DISTINCT plate FROM camera_event WHERE plate IS NOT NULL AND plate NOT LIKE 'h:%%'"
    )
    spellings = [text async for (text,) in found if plate_token(key, text) == wanted]
    done = await connection.execute(
        "UPDATE camera_event SET plate = 'h:', subject = NULL, data = data - 'extra' WHERE plate = ANY(%s)",
        ([*spellings, wanted],),
    )
    return done.rowcount


async def erase_in_reports(connection: AsyncConnection[Any], mask: MaskText, kind: str, subject: str) -> int:
    """Forget a plate or number in every report that gives it, as contact or in its texts; return how many."""
    pattern = subject_pattern(kind, subject)
    total = 0
    # What is masked no longer matches, so that this ends.
    while done := await _forget_reports(
        connection,
        without(pattern, mask),
        "(contact ~* %s OR text ~* %s OR title ~* %s OR address ~* %s)",
        (pattern,) * 4,
    ):
        total += done
    return total


def without(pattern: str, mask: MaskText) -> MaskText:
    """Return a mask that surely takes away what `pattern` matches, whatever else it leaves."""
    return lambda text: mask(re.sub(pattern, "•••", text, flags=re.IGNORECASE))


async def erase_in_incidents(
    connection: AsyncConnection[Any], mask: MaskText, kind: str, subject: str
) -> dict[str, int]:
    """Mask the texts of every incident, and the notes of its history, that name the plate or number."""
    pattern = subject_pattern(kind, subject)
    found = await connection.execute(
        "SELECT id, title, why, note, key FROM incident WHERE title::text ~* %(p)s OR why::text ~* %(p)s"
        " OR note ~* %(p)s OR key ~* %(p)s"
        " OR id IN (SELECT incident_id FROM incident_audit WHERE note ~* %(p)s) FOR UPDATE",
        {"p": pattern},
    )
    masked = without(pattern, mask)
    return {"incidents": await _mask_incidents(connection, masked, await found.fetchall(), "request")}


def subject_pattern(kind: str, subject: str) -> str:
    """Return a regular expression of the ways in which a number or plate is written."""
    if kind == "phone":
        # With or without separators, national or international. Not \d: Python and PostgreSQL do not agree on
        # which digits of other scripts it means, and what only one of them finds is never masked.
        digits = phone_digits(subject).removeprefix("0")
        return r"(\+?84|0084|0)[\s.()-]*" + r"[\s.()-]*".join(digits) + r"(?![0-9])"
    return r"[\s.-]*".join(sign for sign in subject if sign.isalnum())
