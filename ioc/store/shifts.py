"""Shifts, the list of a hand-over and its report in PostgreSQL, inside the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from ioc.model.incidents import Severity
from ioc.model.shifts import Item, ItemKind, Listed, Shift, Verdict
from ioc.model.texts import Text
from ioc.model.times import from_us, to_us

_SHIFT: Final[LiteralString] = (
    "SELECT id, rev, lead, began, state, started, started_by, absent, incoming, is_opened, left_out, passed"
    " FROM shift"
)
_SHIFT_TIMES: Final = ("began", "started", "passed")
_PUT_ITEM: Final[LiteralString] = """
    INSERT INTO shift_item (shift_id, ref, kind, title, since, severity, ward, source, due, handling, rev,
                            added, verdict, decider, decided, reason, note, gone)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (shift_id, ref) DO UPDATE SET
        (kind, title, since, severity, ward, source, due, handling, rev, verdict, decider, decided, reason,
         note, gone) =
        (excluded.kind, excluded.title, excluded.since, excluded.severity, excluded.ward, excluded.source,
         excluded.due, excluded.handling, excluded.rev, excluded.verdict, excluded.decider, excluded.decided,
         excluded.reason, excluded.note, excluded.gone)
"""
# Silent equipment stays an outage after its case was closed, as long as it is silent.
_LISTED: Final[LiteralString] = """
    SELECT id, title, detected, severity, ward, source, resolve_due, handling, shelved_until,
           handed_from, category, count(*) OVER () AS of_all
    FROM incident
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress')
       OR (condition = 'active' AND category = 'equipment' AND handling IN ('resolved', 'closed', 'rejected'))
    ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], severity), resolve_due, id
    LIMIT %s
"""
EQUIPMENT: Final = "equipment"


class ReportRow(msgspec.Struct, frozen=True):
    """The report of a shift that has passed, as it was written."""

    shift_id: int
    text: str
    sha256: str


async def add_shift(connection: AsyncConnection[Any], lead: str, began_us: int) -> Shift:
    """Add a running shift.

    Raises:
        psycopg.errors.UniqueViolation: one is running already.
    """
    found = await connection.execute(
        "INSERT INTO shift (lead, began) VALUES (%s, %s) RETURNING id", (lead, from_us(began_us))
    )
    row = await found.fetchone()
    assert row is not None
    return Shift(id=row[0], lead=lead, began_us=began_us)


async def read_current(connection: AsyncConnection[Any], *, lock: bool = False) -> Shift | None:
    """Return the shift that has not passed, None where none has begun; `lock` it until the commit."""
    shifts = await _shifts(
        connection, _SHIFT + " WHERE state <> 'passed'" + (" FOR UPDATE" if lock else ""), ()
    )
    return shifts[0] if shifts else None


async def read_shifts(connection: AsyncConnection[Any], before: int | None, limit: int) -> list[Shift]:
    """Return shifts with ids below `before`, the newest first."""
    query: LiteralString = _SHIFT + " WHERE %s::bigint IS NULL OR id < %s ORDER BY id DESC LIMIT %s"
    return await _shifts(connection, query, (before, before, limit))


async def _shifts(
    connection: AsyncConnection[Any], query: LiteralString, parameters: Sequence[object]
) -> list[Shift]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, parameters)
        rows = await cursor.fetchall()
    for row in rows:
        row |= {f"{name}_us": _us(row.pop(name)) for name in _SHIFT_TIMES}
    return [msgspec.convert(row, Shift) for row in rows]


async def write_shift(connection: AsyncConnection[Any], shift: Shift) -> None:
    """Store what a command has made of a shift."""
    await connection.execute(
        "UPDATE shift SET rev = %s, state = %s, started = %s, started_by = %s, absent = %s, incoming = %s,"
        " is_opened = %s, left_out = %s, passed = %s WHERE id = %s",
        (
            shift.rev, shift.state.value, _time(shift.started_us), shift.started_by, shift.absent,
            shift.incoming, shift.is_opened, shift.left_out, _time(shift.passed_us), shift.id,
        ),
    )  # fmt: skip


async def read_items(connection: AsyncConnection[Any], shift_id: int) -> dict[str, Item]:
    """Return the list of a hand-over by `ref`: the most severe first, then what is due first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "SELECT * FROM shift_item WHERE shift_id = %s ORDER BY kind = 'rule',"
            " array_position(ARRAY['critical', 'high', 'medium', 'low'], severity), due, ref",
            (shift_id,),
        )
        return {row["ref"]: _item(row) for row in await cursor.fetchall()}


def _item(row: dict[str, Any]) -> Item:
    listed = Listed(
        ref=row["ref"], kind=ItemKind(row["kind"]), title=msgspec.convert(row["title"], Text),
        since_us=to_us(row["since"]), severity=row["severity"] and Severity(row["severity"]),
        ward=row["ward"], source=row["source"], due_us=_us(row["due"]), handling=row["handling"],
    )  # fmt: skip
    return Item(
        listed=listed, rev=row["rev"], added_us=to_us(row["added"]), verdict=Verdict(row["verdict"]),
        by=row["decider"], at_us=_us(row["decided"]), reason=row["reason"], note=row["note"],
        gone=row["gone"],
    )  # fmt: skip


async def write_items(connection: AsyncConnection[Any], shift_id: int, items: Sequence[Item]) -> None:
    """Store items of a hand-over."""
    async with connection.cursor() as cursor:
        await cursor.executemany(_PUT_ITEM, [_item_row(shift_id, item) for item in items])


def _item_row(shift_id: int, item: Item) -> tuple[object, ...]:
    listed = item.listed
    return (
        shift_id, listed.ref, listed.kind.value, Jsonb(msgspec.to_builtins(listed.title)),
        from_us(listed.since_us), listed.severity and listed.severity.value, listed.ward,
        listed.source, _time(listed.due_us), listed.handling, item.rev, from_us(item.added_us),
        item.verdict.value, item.by, _time(item.at_us), item.reason, item.note, item.gone,
    )  # fmt: skip


async def delete_items(connection: AsyncConnection[Any], shift_id: int) -> None:
    """Throw the list of a hand-over away."""
    await connection.execute("DELETE FROM shift_item WHERE shift_id = %s", (shift_id,))


async def read_listed(connection: AsyncConnection[Any], limit: int) -> tuple[list[Listed], int]:
    """Return what is open, the most severe `limit` first, and how many more there are."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LISTED, (limit,))
        rows = await cursor.fetchall()
    left_out = rows[0]["of_all"] - len(rows) if rows else 0
    return [_listed(row) for row in rows], left_out


def _listed(row: dict[str, Any]) -> Listed:
    kind = ItemKind.INCIDENT
    if row["category"] == EQUIPMENT:
        kind = ItemKind.OUTAGE
    elif row["handed_from"] is not None:
        kind = ItemKind.HANDED_OVER
    elif row["shelved_until"] is not None:
        kind = ItemKind.SHELVED
    return Listed(
        ref=row["id"], kind=kind, title=msgspec.convert(row["title"], Text), since_us=to_us(row["detected"]),
        severity=Severity(row["severity"]), ward=row["ward"], source=row["source"],
        due_us=_us(row["resolve_due"]),
        handling=row["handling"],
    )  # fmt: skip


async def count_between(connection: AsyncConnection[Any], since_us: int, until_us: int) -> tuple[int, int]:
    """Return how many incidents were raised and how many resolved from `since_us` until before `until_us`."""
    span = (from_us(since_us), from_us(until_us))
    found = await connection.execute(
        "SELECT (SELECT count(*) FROM incident WHERE opened >= %s AND opened < %s AND merged_into IS NULL),"
        " (SELECT count(*) FROM incident WHERE resolved >= %s AND resolved < %s)",
        (*span, *span),
    )
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1]


async def write_report(connection: AsyncConnection[Any], report: ReportRow) -> None:
    """Keep the report of a shift."""
    await connection.execute(
        "UPDATE shift SET report = %s, report_sha256 = %s WHERE id = %s AND report IS NULL",
        (report.text, report.sha256, report.shift_id),
    )


async def read_report(connection: AsyncConnection[Any], shift_id: int) -> ReportRow | None:
    """Return the report of a shift, None where there is none."""
    found = await connection.execute(
        "SELECT id, report, report_sha256 FROM shift WHERE id = %s AND report IS NOT NULL", (shift_id,)
    )
    row = await found.fetchone()
    return ReportRow(*row) if row else None


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def _time(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)
