"""Warnings and what brakes remember (migration 0112)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from ioc.model.incidents import Severity
from ioc.model.texts import Text
from ioc.model.times import from_us, to_us

CITY: Final = "*"
MAX_WARNINGS: Final = 500
KEPT: Final = timedelta(days=400)
_COLUMNS: Final[LiteralString] = (
    "id, rev, brake, title, figure, ward, category, period, severity, stage, opened, changed, crossed,"
    " cleared, forecast, value, threshold, clear_at, n, coverage, blind, role"
)
_CHANGING: Final[LiteralString] = (
    "rev, title, severity, stage, changed, crossed, cleared, forecast, value, threshold, clear_at, n,"
    " coverage, blind, role"
)
_UPSERT: Final[LiteralString] = (
    "INSERT INTO warning (" + _COLUMNS + ") VALUES (" + ", ".join(["%s"] * 22) + ")"  # noqa: S608 - ours
    " ON CONFLICT (id) DO UPDATE SET (" + _CHANGING + ") = (excluded."
    + _CHANGING.replace(", ", ", excluded.") + ")"
)  # fmt: skip
_LIST: Final[LiteralString] = (
    "SELECT " + _COLUMNS + " FROM warning"  # noqa: S608 - names of ours
    " WHERE (NOT %(open_only)s OR stage <> 'cleared')"
    " AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))"
    " ORDER BY stage = 'cleared', array_position(ARRAY['critical', 'high', 'medium', 'low'], severity),"
    " stage = 'forecast', changed DESC, id LIMIT %(limit)s"
)


class StoredWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A warning as stored. `ward` is '*' for the whole city; times are aware."""

    id: str
    rev: int
    brake: str
    title: Text
    figure: str
    ward: str
    category: str | None
    period: str
    severity: Severity
    stage: str
    opened: datetime
    changed: datetime
    crossed: datetime | None
    cleared: datetime | None
    forecast: datetime | None
    value: float
    threshold: float
    clear_at: float
    n: int
    coverage: float | None
    blind: bool
    role: str


async def write_warnings(connection: AsyncConnection[Any], warnings: Iterable[StoredWarning]) -> None:
    """Store the newest state of each.

    Raises:
        psycopg.errors.UniqueViolation: another one is open for the same brake and scope.
    """
    # Those that end first, so that the next episode of the same scope finds room.
    ordered = sorted(warnings, key=lambda each: each.stage != "cleared")
    async with connection.cursor() as cursor:
        await cursor.executemany(_UPSERT, [_row(each) for each in ordered])


def _row(warning: StoredWarning) -> list[object]:
    values = msgspec.structs.asdict(warning)
    values["title"] = Jsonb(msgspec.to_builtins(warning.title))
    values["severity"] = warning.severity.value
    return [values[name] for name in _COLUMNS.replace(" ", "").split(",")]


async def read_warnings(
    connection: AsyncConnection[Any], *, open_only: bool, wards: Sequence[str] | None, limit: int
) -> list[StoredWarning]:
    """Return warnings, those that are open first, then by severity; `wards` None is all and the city."""
    found = await connection.execute(
        _LIST,
        {
            "open_only": open_only,
            "wards": None if wards is None else list(wards),
            "limit": max(1, min(limit, MAX_WARNINGS)),
        },
    )
    names = _COLUMNS.replace(" ", "").split(",")
    return [_warning(dict(zip(names, row, strict=True))) for row in await found.fetchall()]


async def read_open(connection: AsyncConnection[Any]) -> list[StoredWarning]:
    """Return every warning that is open."""
    found = await connection.execute(
        "SELECT " + _COLUMNS + " FROM warning WHERE stage <> 'cleared'"  # noqa: S608 - names of ours
    )
    names = _COLUMNS.replace(" ", "").split(",")
    return [_warning(dict(zip(names, row, strict=True))) for row in await found.fetchall()]


def _warning(row: dict[str, Any]) -> StoredWarning:
    row["title"] = Text(row["title"]["vi"], row["title"]["en"])
    row["severity"] = Severity(row["severity"])
    return StoredWarning(**row)


async def read_memories(connection: AsyncConnection[Any]) -> dict[tuple[str, str], list[list[float]]]:
    """Return the points of every brake and ward, as [µs, value]."""
    found = await connection.execute("SELECT brake, ward, points FROM brake_memory")
    return {(brake, ward): points for brake, ward, points in await found.fetchall()}


async def write_memories(
    connection: AsyncConnection[Any], memories: Mapping[tuple[str, str], Sequence[Sequence[float]]]
) -> None:
    """Keep the points of these brakes and wards; `write_standings` forgets those of other brakes."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO brake_memory VALUES (%s, %s, %s)"
            " ON CONFLICT (brake, ward) DO UPDATE SET points = excluded.points",
            [(brake, ward, Jsonb(points)) for (brake, ward), points in memories.items()],
        )


class Standing(NamedTuple):
    """How a brake was found: scopes evaluated, those without enough data, and when (µs)."""

    brake: str
    title: Text
    scopes: int
    blind: int
    checked_us: int


async def write_standings(connection: AsyncConnection[Any], standings: Sequence[Standing]) -> None:
    """Replace what is known of the brakes, and forget those that are no more."""
    names = [each.brake for each in standings]
    await connection.execute("DELETE FROM brake_standing WHERE NOT brake = ANY(%s)", (names,))
    await connection.execute("DELETE FROM brake_memory WHERE NOT brake = ANY(%s)", (names,))
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO brake_standing VALUES (%s, %s, %s, %s, %s) ON CONFLICT (brake) DO UPDATE SET"
            " (title, scopes, blind, checked) ="
            " (excluded.title, excluded.scopes, excluded.blind, excluded.checked)",
            [
                (each.brake, Jsonb(msgspec.to_builtins(each.title)), each.scopes, each.blind,
                 from_us(each.checked_us))
                for each in standings
            ],
        )  # fmt: skip


async def read_standings(connection: AsyncConnection[Any]) -> list[Standing]:
    """Return how every brake was found when it was last evaluated."""
    found = await connection.execute(
        "SELECT brake, title, scopes, blind, checked FROM brake_standing ORDER BY brake"
    )
    return [
        Standing(brake, Text(title["vi"], title["en"]), scopes, blind, to_us(checked))
        for brake, title, scopes, blind, checked in await found.fetchall()
    ]


async def alone(connection: AsyncConnection[Any]) -> bool:
    """Return whether this transaction may evaluate brakes; only one at a time may."""
    row = await (
        await connection.execute("SELECT pg_try_advisory_xact_lock(hashtext('ioc.brakes'))")
    ).fetchone()
    return bool(row and row[0])


async def forget_warnings(connection: AsyncConnection[Any], now_us: int) -> None:
    """Delete warnings that ended long ago."""
    await connection.execute("DELETE FROM warning WHERE cleared < %s", (from_us(now_us) - KEPT,))
