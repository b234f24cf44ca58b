"""Areas with the dates between which they are in force."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from typing import Any, Final, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from ioc.model.places import Area
from ioc.model.texts import Text
from ioc.store.versions import bump_version, dataset_version

_LIST: Final[LiteralString] = """
    SELECT code, kind, name_vi, name_en, geometry, valid_from, valid_to, illustrative, properties FROM area
    WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
        AND (%(on)s::date IS NULL OR (valid_from <= %(on)s AND (valid_to IS NULL OR valid_to > %(on)s)))
    ORDER BY kind, code, valid_from
"""
_INSERT: Final[LiteralString] = """
    INSERT INTO area (code, kind, name_vi, name_en, geometry, valid_from, valid_to, illustrative, properties)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


class AreaError(ValueError):
    """Areas that contradict each other; the message names them."""


async def replace_areas(connection: AsyncConnection[Any], kind: str, areas: Sequence[Area]) -> int:
    """Make `areas` all there is of `kind`, in one transaction, and return the areas' new version.

    Raises:
        AreaError: an area of another kind, a bad date, or two of one code in force on the same day.
    """
    _check(kind, areas)
    async with connection.transaction():
        version = await bump_version(connection, "area")
        await connection.execute("DELETE FROM area WHERE kind = %s", (kind,))
        async with connection.cursor() as cursor:
            await cursor.executemany(_INSERT, [_row(area) for area in areas])
    return version


async def read_areas(
    connection: AsyncConnection[Any], kind: str | None = None, on: date | None = None
) -> list[Area]:
    """Return areas by kind, code and date; `kind` None means all, `on` keeps those in force on that day."""
    rows = await connection.execute(_LIST, {"kind": kind, "on": on})
    return [_area(row) async for row in rows]


async def read_version(connection: AsyncConnection[Any]) -> int:
    """Return the areas' version: as long as it stays the same, so do the areas."""
    return await dataset_version(connection, "area")


async def area_kinds(connection: AsyncConnection[Any]) -> dict[str, int]:
    """Return how many areas there are of each kind."""
    rows = await connection.execute("SELECT kind, count(*) FROM area GROUP BY kind ORDER BY kind")
    return {kind: count async for kind, count in rows}


def _check(kind: str, areas: Sequence[Area]) -> None:
    for area in areas:
        if area.kind != kind:
            raise AreaError(f"{area.code} is of kind {area.kind}, not {kind}")
        begin, end = _dates(area)
        if end is not None and end <= begin:
            raise AreaError(f"{area.code} ends on {end}, before it begins on {begin}")
    ordered = sorted(areas, key=lambda area: (area.code, _dates(area)[0]))
    for former, latter in pairwise(ordered):
        end = _dates(former)[1]
        if former.code == latter.code and (end is None or end > _dates(latter)[0]):
            raise AreaError(f"{former.code} is in force twice on {latter.valid_from}")


def _dates(area: Area) -> tuple[date, date | None]:
    try:
        end = date.fromisoformat(area.valid_to) if area.valid_to is not None else None
        return date.fromisoformat(area.valid_from), end
    except ValueError as error:
        raise AreaError(f"{area.code}: {error}") from error


def _row(area: Area) -> tuple[object, ...]:
    begin, end = _dates(area)
    return (
        area.code,
        area.kind,
        area.name.vi,
        area.name.en,
        Jsonb(area.geometry),
        begin,
        end,
        area.illustrative,
        Jsonb(area.properties),
    )


def _area(row: Sequence[Any]) -> Area:
    code, kind, name_vi, name_en, geometry, begin, end, illustrative, properties = row
    return Area(
        code=code,
        kind=kind,
        name=Text(vi=name_vi, en=name_en),
        geometry=geometry,
        valid_from=begin.isoformat(),
        valid_to=end.isoformat() if end else None,
        illustrative=illustrative,
        properties=msgspec.convert(properties, dict[str, str | int | float | bool | None]),
    )
