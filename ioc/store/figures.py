"""Counts of incidents by ward, category and time (migration 0110), and the incidents behind them.

A count is what has been folded into figure_sum plus what still lies in figure_delta: one statement reads
both, so that it is exact whenever it is asked, and nothing depends on folding being in time.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.sql import SQL

from ioc.model.times import from_us, to_us

FOLD_ROWS: Final = 20_000
"""Changes of counts folded in one transaction."""
ALL: Final = "*"
"""All wards, or all categories, together."""
HOURS_KEPT: Final = timedelta(days=9)


class By(StrEnum):
    """What counts are told apart by."""

    NOTHING = "nothing"
    WARD = "ward"
    CATEGORY = "category"
    TIME = "time"


class Scope(msgspec.Struct, frozen=True):
    """Which incidents. `wards` None is every ward, `category` None every category."""

    wards: tuple[str, ...] | None = None
    category: str | None = None


class Span(NamedTuple):
    """Buckets of `grain` that begin in [`from_us`, `to_us`); `segment` names what they are for."""

    segment: str
    grain: str
    from_us: int
    to_us: int


class Count(NamedTuple):
    """`n` incidents in `part`. `key` is the ward ('' for none), the category, or the bucket's start in µs."""

    segment: str
    key: str
    part: int
    n: int


_KEYS: Final[dict[By, tuple[LiteralString, LiteralString]]] = {
    By.NOTHING: ("''", "''"),
    By.WARD: ("f.ward", "coalesce(d.ward, '')"),
    By.CATEGORY: ("f.category", "d.category"),
    By.TIME: (
        "(extract(epoch FROM f.bucket) * 1000000)::bigint::text",
        "(extract(epoch FROM date_bin(('1 ' || s.grain)::interval, d.at, '2000-01-02 17:00:00Z'))"
        " * 1000000)::bigint::text",
    ),
}
_COUNTS: Final = SQL("""
    WITH s AS (
        SELECT * FROM unnest(%(segments)s::text[], %(grains)s::text[], %(starts)s::timestamptz[],
                             %(ends)s::timestamptz[]) AS s (segment, grain, start, stop)
    ), found AS (
        SELECT s.segment, {key} AS key, u.part, u.n
        FROM s JOIN figure_sum f ON f.grain = s.grain AND f.bucket >= s.start AND f.bucket < s.stop
            AND {ward} AND {category}
        CROSS JOIN LATERAL unnest(f.parts, f.counts) AS u (part, n)
        WHERE u.part < 1000 OR u.part / 1000 = ANY(%(clocks)s)
        UNION ALL
        SELECT s.segment, {fresh_key}, d.part, d.n
        FROM s JOIN figure_delta d ON d.at >= s.start AND d.at < s.stop
            AND (%(wards)s::text[] IS NULL OR coalesce(d.ward, '') = ANY(%(wards)s))
            AND (%(category)s::text IS NULL OR d.category = %(category)s)
    )
    SELECT segment, key, part, sum(n)::bigint FROM found GROUP BY 1, 2, 3 HAVING sum(n) <> 0
""")


async def read_counts(
    connection: AsyncConnection[Any],
    spans: Sequence[Span],
    scope: Scope,
    by: By,
    clocks: Sequence[int] = (1000, 2000, 3000),
) -> list[Count]:
    """Return the counts of a scope, those of each segment summed; durations of `clocks` only."""
    key, fresh_key = _KEYS[by]
    statement = _COUNTS.format(
        key=SQL(key), fresh_key=SQL(fresh_key), ward=SQL(_ward(scope, by)), category=SQL(_category(scope, by))
    )
    found = await connection.execute(
        statement,
        {
            "segments": [span.segment for span in spans],
            "grains": [span.grain for span in spans],
            "starts": [from_us(span.from_us) for span in spans],
            "ends": [from_us(span.to_us) for span in spans],
            "wards": None if scope.wards is None else list(scope.wards),
            "category": scope.category,
            "clocks": [clock // 1000 for clock in clocks],
        },
    )
    return [Count(*row) for row in await found.fetchall()]


def _ward(scope: Scope, by: By) -> LiteralString:
    if scope.wards is not None:
        return "f.ward = ANY(%(wards)s)"
    return "f.ward <> '*'" if by is By.WARD else "f.ward = '*'"


def _category(scope: Scope, by: By) -> LiteralString:
    if scope.category is not None:
        return "f.category = %(category)s"
    return "f.category <> '*'" if by is By.CATEGORY else "f.category = '*'"


_OVERDUE: Final = SQL("""
    SELECT {key} AS key, count(*) FROM incident
    WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress') AND paused IS NULL
        AND resolve_due >= %(from)s AND resolve_due < %(to)s
        AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
        AND (%(category)s::text IS NULL OR split_part(category, '.', 1) = %(category)s)
    GROUP BY 1
""")
_ROW_KEYS: Final[dict[By, LiteralString]] = {
    By.NOTHING: "''",
    By.WARD: "coalesce(ward, '')",
    By.CATEGORY: "split_part(category, '.', 1)",
}


async def read_open_due(
    connection: AsyncConnection[Any], from_time_us: int, to_time_us: int, scope: Scope, by: By
) -> dict[str, int]:
    """Return how many open incidents that are not paused are due in [`from_time_us`, `to_time_us`)."""
    found = await connection.execute(
        _OVERDUE.format(key=SQL(_ROW_KEYS[by])),
        {
            "from": from_us(from_time_us),
            "to": from_us(to_time_us),
            "wards": None if scope.wards is None else list(scope.wards),
            "category": scope.category,
        },
    )
    return {key: n async for key, n in found}


async def read_duty(connection: AsyncConnection[Any], from_time_us: int, to_time_us: int) -> dict[int, int]:
    """Return how many persons acted in each hour that begins within the time, by the hour's start."""
    found = await connection.execute(
        "SELECT hour, count(*) FROM figure_duty WHERE hour >= %s AND hour < %s GROUP BY hour",
        (from_us(from_time_us), from_us(to_time_us)),
    )
    return {to_us(hour): n for hour, n in await found.fetchall()}


async def rules_reported_us(connection: AsyncConnection[Any]) -> int | None:
    """Return when the slowest worker of the rules last said how it is, None where none has."""
    found = await connection.execute("SELECT min(updated) FROM rule_status")
    row = await found.fetchone()
    return to_us(row[0]) if row and row[0] else None


# folding ----------------------------------------------------------------------------------------------------

_FOLD: Final[LiteralString] = """
    WITH taken AS (
        DELETE FROM figure_delta WHERE id IN (SELECT id FROM figure_delta ORDER BY id LIMIT %(rows)s)
        RETURNING at, ward, category, part, n
    ), spread AS (
        SELECT b.grain, b.category, b.ward, b.bucket, t.part, sum(t.n)::integer AS n
        FROM taken t CROSS JOIN LATERAL ioc_figure_buckets(t.at, t.ward, t.category, %(hours_from)s) AS b
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(t.n) <> 0
    ), packed AS (
        SELECT grain, category, ward, bucket, array_agg(part ORDER BY part) AS parts,
            array_agg(n ORDER BY part) AS counts
        FROM spread GROUP BY 1, 2, 3, 4
    ), folded AS (
        INSERT INTO figure_sum AS f SELECT * FROM packed ON CONFLICT (grain, category, ward, bucket)
        DO UPDATE SET (parts, counts) =
            (SELECT * FROM ioc_figure_merge(f.parts, f.counts, excluded.parts, excluded.counts))
    )
    SELECT count(*) FROM taken
"""


async def fold(connection: AsyncConnection[Any], now_us: int, rows: int = FOLD_ROWS) -> int:
    """Fold up to `rows` changes of counts, in a transaction of the caller, and return how many.

    One process at a time: whoever comes second folds nothing.
    """
    alone = await connection.execute("SELECT pg_try_advisory_xact_lock(hashtext('ioc.figures'))")
    row = await alone.fetchone()
    if row is None or not row[0]:
        return 0
    done = await connection.execute(_FOLD, {"rows": rows, "hours_from": from_us(now_us) - HOURS_KEPT})
    found = await done.fetchone()
    return found[0] if found else 0


async def forget_hours(connection: AsyncConnection[Any], now_us: int) -> int:
    """Delete hourly sums that nobody reads any more, and sums that came to nothing; return how many went."""
    done = await connection.execute(
        "DELETE FROM figure_sum WHERE (grain = 'hour' AND bucket < %s) OR parts = '{}'",
        (from_us(now_us) - HOURS_KEPT,),
    )
    return done.rowcount


async def read_queue(
    connection: AsyncConnection[Any], from_time_us: int, to_time_us: int, category: str | None
) -> dict[str, list[tuple[int, int]]]:
    """Return what becomes due in [`from_time_us`, `to_time_us`) by ward ('' none).

    By quarters of an hour: when each ends, and how many become due in it.
    """
    found = await connection.execute(
        "SELECT coalesce(ward, ''), date_bin('15 minutes', resolve_due, '2000-01-02 17:00:00Z')"
        "     + interval '15 minutes', count(*) FROM incident"
        " WHERE handling IN ('new', 'acknowledged', 'assigned', 'in_progress') AND paused IS NULL"
        " AND resolve_due >= %(from)s AND resolve_due < %(to)s"
        " AND (%(category)s::text IS NULL OR split_part(category, '.', 1) = %(category)s)"
        " GROUP BY 1, 2 ORDER BY 2",
        {"from": from_us(from_time_us), "to": from_us(to_time_us), "category": category},
    )
    queue: dict[str, list[tuple[int, int]]] = {}
    for ward, moment, n in await found.fetchall():
        queue.setdefault(ward, []).append((to_us(moment), n))
    return queue
