"""A past range as the consoles showed it: states of devices, revisions of incidents, how much was when."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from ioc.model.events import Event, Stream
from ioc.model.incidents import FINISHED_SHOWN_US, OPEN_HANDLINGS, Incident
from ioc.model.times import from_us, to_us
from ioc.store.binary_rows import clean_text
from ioc.store.history import event_columns, event_of
from ioc.store.history_tables import TABLES, Table
from ioc.store.incidents import decode_change, read_by_ids
from ioc.store.layout import AGGREGATES
from ioc.store.moment import KEYS, STATE_TYPES

MAX_SHOWN: Final = 10_000
COVERAGE_S: Final = 300
"""Width of the aggregates that tell how many events there are."""


class TooMuchError(ValueError):
    """A range holds more than one answer may."""


class PlaybackRange(msgspec.Struct, frozen=True, kw_only=True):
    """(`from_us`, `to_us`] of `wards`; None means every ward, empty none."""

    from_us: int
    to_us: int
    wards: tuple[str, ...] | None = None

    def params(self) -> dict[str, Any]:
        """Return the parameters of the statements here."""
        wards = None if self.wards is None else [clean_text(ward) for ward in self.wards]
        return {"wards": wards, "from": from_us(self.from_us), "to": from_us(self.to_us)}


class Revision(msgspec.Struct, frozen=True):
    """An incident as consoles got it at `at_us`."""

    at_us: int
    incident: Incident


class Revisions(msgspec.Struct, frozen=True):
    """`base`: what consoles showed at the start. `changes`: in order of commit; `next` None ends them.

    `kept_from_us`: the oldest change still kept, None where there is none.
    """

    base: list[Incident]
    changes: list[Revision]
    next: int | None
    kept_from_us: int | None


class Histogram(msgspec.Struct, frozen=True):
    """How many incidents were detected per bucket and severity, and how many events came per `COVERAGE_S`."""

    incidents: list[tuple[int, str, int]]
    coverage: list[tuple[int, int]]


_CHANGED: Final = SQL("""
    SELECT DISTINCT ON ({keys}, step) {columns},
           ceil(extract(epoch FROM time - %(from)s) * 1000000 / %(step)s)::bigint AS step
    FROM {table}
    WHERE time > %(from)s AND time <= %(to)s AND type = ANY(%(types)s)
          AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    ORDER BY {keys}, step, time DESC, received DESC LIMIT %(limit)s
""")
_UNTOUCHED: Final = """
    SELECT id FROM (
        SELECT id, ward FROM incident WHERE handling = ANY(%(open)s) AND updated <= %(from)s
        UNION ALL SELECT id, ward FROM incident
        WHERE handling IN ('resolved', 'closed', 'rejected') AND updated > %(shown)s AND updated <= %(from)s
        UNION ALL SELECT id, ward FROM incident
        WHERE handling = 'merged' AND updated > %(shown)s AND updated <= %(from)s
    ) i WHERE (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    LIMIT %(limit)s
"""
_BEFORE: Final = """
    SELECT c.doc FROM (
        SELECT id FROM incident WHERE handling IN ('resolved', 'closed', 'rejected') AND updated > %(from)s
        UNION ALL SELECT id FROM incident WHERE handling = 'merged' AND updated > %(from)s
        UNION ALL SELECT id FROM incident WHERE handling = ANY(%(open)s) AND updated > %(from)s
    ) i CROSS JOIN LATERAL (
        SELECT doc, ward FROM incident_change
        WHERE incident_id = i.id AND at <= %(from)s ORDER BY "offset" DESC LIMIT 1
    ) c WHERE (%(wards)s::text[] IS NULL OR c.ward = ANY(%(wards)s))
    LIMIT %(limit)s
"""
"""By the partial indexes of each kind of handling. Whoever may not see an incident now sees no past of it."""
_CHANGES: Final = """
    SELECT c."offset", c.at, c.doc FROM incident_change c JOIN incident i ON i.id = c.incident_id
    WHERE c.at > %(from)s AND c.at <= %(to)s AND c."offset" > %(after)s
          AND (%(wards)s::text[] IS NULL OR c.ward = ANY(%(wards)s))
    ORDER BY c."offset" LIMIT %(limit)s
"""
_OLDEST: Final = 'SELECT at FROM incident_change ORDER BY "offset" LIMIT 1'
"""By the primary key: offsets are given in order of commit, and no index knows the least `at`."""
_DETECTED: Final = """
    SELECT date_bin(%(bucket)s * interval '1 second', detected, %(from)s), severity, count(*) FROM incident
    WHERE detected >= %(from)s AND detected < %(to)s AND handling <> 'merged'
          AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    GROUP BY 1, 2 ORDER BY 1, 2
"""
_COVERED: Final = SQL("""
    SELECT bucket, coalesce(sum({counted}), 0)::bigint FROM {view}
    WHERE bucket >= date_bin(interval '5 minutes', %(from)s, 'epoch') AND bucket < %(to)s
          AND (%(wards)s::text[] IS NULL OR ward = ANY(%(wards)s))
    GROUP BY bucket
""")
_COUNTED: Final = {Stream.TRAFFIC: SQL("measurements"), Stream.CAMERA: SQL("views + intervals")}


async def read_steps(
    connection: AsyncConnection[Any], asked: PlaybackRange, step_us: int, most: int
) -> list[tuple[int, Event]]:
    """Return the newest event per source, type and lane of each step, with its number from 1, in order.

    Raises:
        TooMuchError: more than `most` of one stream.
    """
    found: list[tuple[int, Event]] = []
    for stream, types in STATE_TYPES.items():
        table = TABLES[stream]
        cursor = connection.cursor(row_factory=tuple_row, binary=True)
        await cursor.execute(
            _CHANGED.format(
                keys=SQL(KEYS[stream]), columns=event_columns(table), table=Identifier(table.name)
            ),
            asked.params() | {"step": step_us, "types": list(types), "limit": most + 1},
        )
        rows = await cursor.fetchall()
        if len(rows) > most:
            raise TooMuchError(f"more than {most} values: ask for a shorter range, or for one ward")
        # Beside the loop: the feed must not wait for thousands of rows.
        found += await asyncio.to_thread(_decoded, table, rows)
    return sorted(found, key=lambda item: (item[0], item[1].time_us))


def _decoded(table: Table, rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, Event]]:
    return [(row[-1], event_of(table, row[:-1])) for row in rows]


async def read_revisions(
    connection: AsyncConnection[Any], asked: PlaybackRange, after: int, limit: int
) -> Revisions:
    """Return what was shown at the start (where `after` is 0) and `limit` changes above offset `after`."""
    shown_us = asked.from_us - FINISHED_SHOWN_US
    params = asked.params() | {
        "open": [str(handling) for handling in OPEN_HANDLINGS],
        "shown": from_us(shown_us),
        "limit": MAX_SHOWN,
    }
    base: list[Incident] = []
    if after == 0:
        before = [decode_change(doc) async for (doc,) in await connection.execute(_BEFORE, params)]
        base = [each for each in before if each.handling in OPEN_HANDLINGS or each.updated_us > shown_us]
        untouched = [incident_id async for (incident_id,) in await connection.execute(_UNTOUCHED, params)]
        base += (await read_by_ids(connection, untouched)).values()
    rows = await connection.execute(_CHANGES, params | {"after": after, "limit": limit + 1})
    changes = [(offset, Revision(to_us(at), decode_change(doc))) async for offset, at, doc in rows]
    oldest = await (await connection.execute(_OLDEST)).fetchone()
    return Revisions(
        base,
        [revision for _, revision in changes[:limit]],
        changes[limit - 1][0] if len(changes) > limit else None,
        to_us(oldest[0]) if oldest else None,
    )


async def read_histogram(connection: AsyncConnection[Any], asked: PlaybackRange, bucket_s: int) -> Histogram:
    """Return incidents by when they were detected, in buckets from the range's start, and the aggregates."""
    params = asked.params() | {"bucket": bucket_s}
    rows = await connection.execute(_DETECTED, params)
    incidents = [(to_us(at), severity, count) async for at, severity, count in rows]
    coverage: dict[int, int] = {}
    for stream, counted in _COUNTED.items():
        statement = _COVERED.format(counted=counted, view=Identifier(f"{AGGREGATES[stream]}_ward"))
        async for bucket, count in await connection.execute(statement, params):
            coverage[to_us(bucket)] = coverage.get(to_us(bucket), 0) + count
    return Histogram(incidents, sorted(coverage.items()))
