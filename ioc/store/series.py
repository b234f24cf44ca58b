"""Reading the 5-minute aggregates: one name and one result over hypertables and native partitions."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from ioc.model.events import Stream
from ioc.model.times import from_us, to_us
from ioc.store.binary_rows import clean_text
from ioc.store.layout import AGGREGATES

MAX_POINTS: Final = 10_000
"""31 days of one source are 8,928."""


class SeriesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Buckets that begin in [`from_us`, `to_us`), of one source or of one whole ward.

    `wards` None means every ward may be seen, empty means none.
    """

    stream: Stream
    from_us: int
    to_us: int
    source: str | None = None
    ward: str | None = None
    wards: tuple[str, ...] | None = None


class Point(msgspec.Struct, frozen=True):
    """One bucket of 5 minutes; `values` holds the columns of the aggregate, see migrations 0060 and 0061."""

    time_us: int
    ward: str | None
    values: dict[str, int | float | None]


_BY_SOURCE: Final = SQL("""
    SELECT * FROM {view} WHERE source = %(source)s AND bucket >= %(from)s AND bucket < %(to)s
        AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    ORDER BY bucket, ward LIMIT %(limit)s
""")
_BY_WARD: Final = SQL("""
    SELECT * FROM {view} WHERE ward = %(ward)s AND bucket >= %(from)s AND bucket < %(to)s
        AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    ORDER BY bucket LIMIT %(limit)s
""")


async def read_series(connection: AsyncConnection[Any], query: SeriesQuery) -> list[Point]:
    """Return the buckets of a source, or of a ward where no source is named, oldest first.

    A source that moved to another ward within a bucket has two points there. At most `MAX_POINTS`.
    """
    view = AGGREGATES[query.stream]
    by_source = query.source is not None
    statement = (_BY_SOURCE if by_source else _BY_WARD).format(
        view=Identifier(view if by_source else f"{view}_ward")
    )
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(
        statement,
        {
            "source": clean_text(query.source or ""),
            "ward": clean_text(query.ward or ""),
            "wards": _cleaned(query.wards),
            "from": from_us(query.from_us),
            "to": from_us(query.to_us),
            "limit": MAX_POINTS,
        },
    )
    return [_point(row) for row in await cursor.fetchall()]


def _cleaned(wards: Sequence[str] | None) -> list[str] | None:
    return None if wards is None else [clean_text(ward) for ward in wards]


def _point(row: dict[str, Any]) -> Point:
    time_us, ward = to_us(row.pop("bucket")), row.pop("ward")
    row.pop("source", None)
    return Point(time_us, ward, row)
