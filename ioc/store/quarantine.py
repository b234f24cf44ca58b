"""What could not become an event: kept with its raw bytes, within bounds, newest first."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection

from ioc.model.times import from_us, to_us
from ioc.store.binary_rows import clean_text

MAX_RAW_BYTES: Final = 64 << 10
MAX_PAGE: Final = 500
_MAX_TEXT: Final = 500
# A row takes about this much besides its raw bytes.
_ROW_BYTES: Final = 256

_ADD: Final[LiteralString] = """
    INSERT INTO quarantine (received, device, source, event_id, reason, field, detail, raw, truncated)
    SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                         %s::text[], %s::bytea[], %s::boolean[])
"""
_LIST: Final[LiteralString] = """
    SELECT id, received, device, source, event_id, reason, field, detail, raw, truncated FROM quarantine
    WHERE id < %s ORDER BY id DESC LIMIT %s
"""
_LIST_OF: Final[LiteralString] = """
    SELECT id, received, device, source, event_id, reason, field, detail, raw, truncated FROM quarantine
    WHERE id IN (
        (SELECT id FROM quarantine WHERE device = %(of)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
        UNION
        (SELECT id FROM quarantine WHERE source = %(of)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s)
    ) ORDER BY id DESC LIMIT %(limit)s
"""
_PRUNE: Final[LiteralString] = """
    WITH sized AS (
        SELECT id, row_number() OVER newest AS rows,
            sum(octet_length(raw) + %(row_bytes)s) OVER newest AS bytes
        FROM quarantine WINDOW newest AS (ORDER BY id DESC)
    )
    DELETE FROM quarantine WHERE id <= (
        SELECT max(id) FROM sized WHERE rows > %(max_rows)s OR bytes > %(max_bytes)s)
"""


_READ: Final[LiteralString] = """
    SELECT id, received, device, source, event_id, reason, field, detail, raw, truncated FROM quarantine
    WHERE id = %s
"""


class QuarantineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept. One process may overshoot by a tenth before it prunes."""

    max_rows: int = 100_000
    max_bytes: int = 512 << 20


class NewQuarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One refused message; `raw` longer than `MAX_RAW_BYTES` is cut and marked."""

    received_us: int
    reason: str
    raw: bytes
    detail: str = ""
    field: str | None = None
    device: str | None = None
    source: str | None = None
    event_id: str | None = None
    truncated: bool = False
    """True where the caller has cut `raw` already."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One refused message as stored."""

    id: int
    received_us: int
    device: str | None
    source: str | None
    event_id: str | None
    reason: str
    field: str | None
    detail: str
    raw: bytes
    truncated: bool


class QuarantinePage(msgspec.Struct, frozen=True):
    """One page, newest first; `next` is the cursor of the following page, None at the end."""

    items: list[Quarantined]
    next: str | None


class QuarantineCursorError(ValueError):
    """A paging cursor that we did not issue."""


class Quarantine:
    """Adds within bounds. A process keeps one, because it counts what it has added since it last pruned."""

    def __init__(self, limits: QuarantineLimits | None = None) -> None:
        self._limits = limits or QuarantineLimits()
        # Nothing is known of what earlier processes left: the first addition prunes.
        self._rows = self._limits.max_rows
        self._bytes = 0

    async def add(self, connection: AsyncConnection[Any], entries: Sequence[NewQuarantined]) -> None:
        """Store `entries` in the caller's transaction, and let the oldest go when there are too many."""
        if not entries:
            return
        await connection.execute(_ADD, _columns(entries))
        self._rows += len(entries)
        self._bytes += sum(min(len(entry.raw), MAX_RAW_BYTES) + _ROW_BYTES for entry in entries)
        if self._rows > self._limits.max_rows / 10 or self._bytes > self._limits.max_bytes / 10:
            await self.prune(connection)

    async def prune(self, connection: AsyncConnection[Any]) -> int:
        """Delete the oldest rows beyond the limits and return how many went."""
        parameters = {
            "row_bytes": _ROW_BYTES,
            "max_rows": self._limits.max_rows,
            "max_bytes": self._limits.max_bytes,
        }
        done = await connection.execute(_PRUNE, parameters)
        self._rows = self._bytes = 0
        return done.rowcount


async def list_quarantine(
    connection: AsyncConnection[Any], limit: int = 100, cursor: str | None = None, device: str | None = None
) -> QuarantinePage:
    """Return one page, at most `MAX_PAGE` rows; of `device` what it sent, and what others sent of it.

    Raises:
        QuarantineCursorError: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_PAGE))
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise QuarantineCursorError("not a cursor of ours")
    before = int(cursor) if cursor is not None else 2**63 - 1
    if device is None:
        found = await connection.execute(_LIST, (before, limit + 1))
    else:
        found = await connection.execute(_LIST_OF, {"of": device, "before": before, "limit": limit + 1})
    rows = await found.fetchall()
    items = [_entry(row) for row in rows[:limit]]
    return QuarantinePage(items, str(items[-1].id) if len(rows) > limit else None)


async def read_quarantined(connection: AsyncConnection[Any], message_id: int) -> Quarantined | None:
    """Return one refused message, None where it is not (or no longer) kept."""
    row = await (await connection.execute(_READ, (message_id,))).fetchone()
    return None if row is None else _entry(row)


def _entry(row: Sequence[Any]) -> Quarantined:
    number, received, device, source, event_id, reason, field, detail, raw, truncated = row
    return Quarantined(
        id=number,
        received_us=to_us(received),
        device=device,
        source=source,
        event_id=event_id,
        reason=reason,
        field=field,
        detail=detail,
        raw=bytes(raw),
        truncated=truncated,
    )


def _columns(entries: Sequence[NewQuarantined]) -> tuple[list[object], ...]:
    return (
        [from_us(entry.received_us) for entry in entries],
        [_text(entry.device) for entry in entries],
        [_text(entry.source) for entry in entries],
        [_text(entry.event_id) for entry in entries],
        [_text(entry.reason) for entry in entries],
        [_text(entry.field) for entry in entries],
        [_text(entry.detail) for entry in entries],
        [entry.raw[:MAX_RAW_BYTES] for entry in entries],
        [entry.truncated or len(entry.raw) > MAX_RAW_BYTES for entry in entries],
    )


def _text(text: str | None) -> str | None:
    return None if text is None else clean_text(text[:_MAX_TEXT])
