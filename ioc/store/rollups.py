"""Closing 5-minute buckets of the aggregates over native partitions (migration 0060).

A bucket is open from the moment something is written into it until it is computed again. Views compute open
buckets from the events, so closing only makes them cheap: it may be late, and it may be interrupted anywhere.
"""

from datetime import datetime, timedelta
from typing import Final, LiteralString

from psycopg.sql import SQL, Identifier

from ioc.model.events import Stream
from ioc.model.times import SECOND_US, from_us
from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import AGGREGATES
from ioc.store.pool import Pool

BUCKET_US: Final = 300 * SECOND_US
_LAG: Final = timedelta(minutes=10)
"""A bucket that is still being written to would be computed over and over."""
_ALONE: Final[LiteralString] = (
    # Waits for writers that have marked buckets and not yet committed; see `history_touched`.
    "SELECT pg_advisory_xact_lock(hashtext('ioc.rollup'), hashtext(%s))"
)
_CLAIM: Final[LiteralString] = """
    WITH taken AS (
        DELETE FROM rollup_open WHERE stream = %(stream)s AND NOT claimed AND bucket = ANY (ARRAY(
            SELECT bucket FROM rollup_open
            WHERE stream = %(stream)s AND NOT claimed AND bucket < %(before)s
            ORDER BY bucket DESC LIMIT %(limit)s))
        RETURNING stream, bucket
    )
    INSERT INTO rollup_open (stream, bucket, claimed) SELECT stream, bucket, true FROM taken
    ON CONFLICT (stream, bucket, claimed) DO UPDATE SET claimed = true
"""
"""Not DO NOTHING: somebody may be computing the bucket from before the new rows. The update waits until that
claim is gone and makes another one."""
_CLAIMED: Final[LiteralString] = """
    SELECT bucket FROM rollup_open WHERE stream = %s AND claimed ORDER BY bucket DESC
"""
_OUTLIVED: Final[LiteralString] = "DELETE FROM rollup_open WHERE stream = %s AND bucket < %s"
_HOLD: Final[LiteralString] = """
    SELECT FROM rollup_open WHERE stream = %s AND bucket = %s AND claimed FOR UPDATE
"""
_RELEASE: Final[LiteralString] = "DELETE FROM rollup_open WHERE stream = %s AND bucket = %s AND claimed"
_FORGET: Final = SQL("DELETE FROM {closed} WHERE bucket = %s")
_COMPUTE: Final = SQL("INSERT INTO {closed} SELECT * FROM {open} WHERE bucket = %s")
_EXPIRE: Final = SQL(
    "DELETE FROM {closed} WHERE ctid = ANY (ARRAY("
    "SELECT ctid FROM {closed} WHERE bucket < %(before)s ORDER BY bucket LIMIT %(rows)s))"
)


class Rollups:
    """The aggregates of one stream. Any number of processes may work on them at once."""

    def __init__(self, pool: Pool, stream: Stream, plan: HistoryPlan, max_buckets: int = 300) -> None:
        self._pool = pool
        self._stream = stream
        self._plan = plan
        self._max_buckets = max_buckets
        name = AGGREGATES[stream]
        self._tables = {"closed": Identifier(f"{name}_closed"), "open": Identifier(f"{name}_open")}

    async def close(self, now_us: int) -> int:
        """Compute open buckets, the newest first, at most `max_buckets`, and return how many.

        Raises:
            psycopg.errors.LockNotAvailable: a writer has been at it for long; try again later.
        """
        await self._claim(now_us)
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_CLAIMED, (self._stream,))).fetchall()
        return sum([await self._compute(bucket) for (bucket,) in rows])

    async def _claim(self, now_us: int) -> None:
        kept_from = from_us(now_us - round(self._plan.kept_s(self._stream) * SECOND_US))
        parameters = {"stream": self._stream, "before": from_us(now_us) - _LAG, "limit": self._max_buckets}
        async with self._pool.connection() as connection:
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            # Its events are gone or going: what was computed of them stays.
            await connection.execute(_OUTLIVED, (self._stream, kept_from))
            await connection.execute(_ALONE, (self._stream,))
            await connection.execute(_CLAIM, parameters)

    async def _compute(self, bucket: datetime) -> bool:
        async with self._pool.connection() as connection:
            held = await connection.execute(_HOLD, (self._stream, bucket))
            if held.rowcount != 1:
                return False
            await connection.execute(_FORGET.format(**self._tables), (bucket,))
            await connection.execute(_COMPUTE.format(**self._tables), (bucket,))
            await connection.execute(_RELEASE, (self._stream, bucket))
        return True

    async def expire(self, now_us: int, rows: int) -> int:
        """Delete a slice of the buckets that are too old and return how many rows went."""
        before = from_us(now_us - round(self._plan.aggregates_s * SECOND_US))
        async with self._pool.connection() as connection:
            done = await connection.execute(_EXPIRE.format(**self._tables), {"before": before, "rows": rows})
            return done.rowcount
