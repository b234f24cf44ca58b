"""The embedded log: batches of records in PostgreSQL, group commit, leases; no broker to operate.

One row per append and partition, offsets from a counter row locked in the append's transaction: the order of
offsets is the order of commits, so a tailing reader can miss nothing. Duplicates are claimed in that same
transaction. NOTIFY only wakes readers; whoever misses one looks again after `poll_fallback_s`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from ioc.eventlog.append_queue import AppendQueue, Pending
from ioc.eventlog.append_write import write_appends
from ioc.eventlog.batch_reader import BatchReader
from ioc.eventlog.database import as_unavailable, moment, prune_keys
from ioc.eventlog.group_consumer import GroupConsumer
from ioc.eventlog.layout import check_layout, lay_out, read_layout
from ioc.eventlog.membership import Member
from ioc.eventlog.origin import Origin, check_ends, check_origin, furthest
from ioc.eventlog.port import AppendOutcome, Consumer, LogReader, LogRejected, LogUnavailable
from ioc.eventlog.recent import RecentBatches
from ioc.eventlog.settings import LogSettings
from ioc.eventlog.wakeup import Wakeup
from ioc.model.records import NewRecord

Connection = AsyncConnection[Any]
CHANNEL: Final = "ioc_log"
_RECONNECT_S: Final = 1.0

_CREATE: Final[LiteralString] = """
    INSERT INTO log_partition (topic, partition) SELECT %(topic)s, generate_series(0, %(partitions)s - 1)
    WHERE NOT EXISTS (SELECT FROM log_partition WHERE topic = %(topic)s) ON CONFLICT DO NOTHING
"""
_PARTITIONS: Final[LiteralString] = "SELECT count(*) FROM log_partition WHERE topic = %s"
_ENDS: Final[LiteralString] = (
    "SELECT partition, next_offset FROM log_partition WHERE topic = %s ORDER BY partition"
)
_STARTS: Final[LiteralString] = """
    SELECT p.partition, coalesce((
        SELECT b.end_offset - b.count FROM log_batch b
        WHERE b.topic = p.topic AND b.partition = p.partition ORDER BY b.end_offset LIMIT 1), p.next_offset)
    FROM log_partition p WHERE p.topic = %s
"""
_MEMBERS: Final[LiteralString] = """
    SELECT owner FROM log_member WHERE topic = %s AND group_name = %s AND lease_until > clock_timestamp()
"""
_HOLD: Final[LiteralString] = """
    SELECT FROM log_partition WHERE topic = ANY(%s) ORDER BY topic, partition FOR UPDATE
"""
_ADD: Final[LiteralString] = """
    INSERT INTO log_partition (topic, partition) SELECT %s, generate_series(0, %s - 1) ON CONFLICT DO NOTHING
"""
# The cut is the first row of the slice that has to stay: only a prefix goes.
_RETAIN: Final[LiteralString] = """
    WITH slice AS (
        SELECT end_offset, count,
            created_at < %(hard)s OR (created_at < %(soft)s AND end_offset <= (
                SELECT coalesce(min(next_offset), 9223372036854775807) FROM log_owner
                WHERE topic = %(topic)s AND partition = %(partition)s)) AS old
        FROM log_batch WHERE topic = %(topic)s AND partition = %(partition)s
        ORDER BY end_offset LIMIT %(rows)s
    ), gone AS (
        DELETE FROM log_batch b USING slice
        WHERE b.topic = %(topic)s AND b.partition = %(partition)s AND b.end_offset = slice.end_offset
            AND slice.end_offset <
                coalesce((SELECT min(end_offset) FROM slice WHERE NOT old), 9223372036854775807)
        RETURNING b.count
    )
    SELECT coalesce(sum(count), 0)::bigint FROM gone
"""


class PostgresLog:
    """`EventLog` over the tables of migration 0001; connects as the unprivileged role.

    `pool` is this log's own: two connections for appending and one per concurrent reader. `dsn` opens the
    one connection that listens for wake-ups.
    """

    read_bytes = 8 << 20

    def __init__(
        self, pool: AsyncConnectionPool[Connection], dsn: str, settings: LogSettings | None = None
    ) -> None:
        self._pool = pool
        self._dsn = dsn
        self._settings = settings or LogSettings()
        self._queue = AppendQueue(self._settings)
        self._partitions: dict[str, int] = {}
        self.consumers: set[GroupConsumer] = set()
        """Whose leases `run` keeps."""
        self._appended = asyncio.Event()
        self._own_backends: set[int] = set()  # notices of ours tell us nothing new
        self.wakeup = Wakeup()
        self.recent = RecentBatches(self._settings.recent_bytes)
        self.notices = 0
        self.poll_fallback_s = self._settings.poll_fallback_s

    @property
    def waiting_records(self) -> int:
        """Records accepted and not yet durable."""
        return self._queue.records

    async def run(self) -> None:
        """Append, wake and keep the leases until cancelled; see `EventLog.run`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._queue.run(self._write))
            group.create_task(self._notify())
            group.create_task(self._listen())
            group.create_task(self._keep_leases())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection; whatever the driver finds wrong with it becomes `LogUnavailable`."""
        with as_unavailable():
            async with self._pool.connection() as connection:
                yield connection

    async def origin(self) -> Origin:
        """Return what tells this log from others."""
        return Origin("embedded")

    async def create_topic(self, topic: str, partitions: int) -> int:
        """Create `topic` unless it exists and return its number of partitions.

        Raises:
            LogRejected: the database's positions belong to another log.
        """
        async with self.connection() as connection:
            await check_origin(connection, await self.origin())
            positions = await furthest(connection, topic)
            ends = dict(await (await connection.execute(_ENDS, (topic,))).fetchall())
        check_ends(topic, positions, ends)
        found = await self.make_topic(topic, partitions)
        async with self.connection() as connection:
            await lay_out(connection, topic, found)
        return found

    async def make_topic(self, topic: str, partitions: int) -> int:
        """Do the same whatever the positions are."""
        async with self.connection() as connection:
            await connection.execute(_CREATE, {"topic": topic, "partitions": partitions})
        return await self._partitions_of(topic)

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[AppendOutcome]:
        """Append durably, all or nothing; see `EventLog.append`."""
        if not records:
            return []
        return await self._queue.put(Pending.keyed(topic, records, await self._partitions_of(topic)))

    async def append_ticks(self, topic: str, now_us: int) -> list[AppendOutcome]:
        """Append one tick to every partition; see `EventLog.append_ticks`."""
        return await self._queue.put(Pending.ticks(topic, now_us, await self._partitions_of(topic)))

    async def append_controls(self, topic: str, payload: bytes, name: str) -> list[AppendOutcome]:
        """Append one control record to every partition; see `EventLog.append_controls`."""
        return await self._queue.put(Pending.controls(topic, payload, name, await self._partitions_of(topic)))

    def consume(self, topic: str, group: str, owner: str) -> AbstractAsyncContextManager[Consumer]:
        """Join `group`; see `EventLog.consume`."""
        return GroupConsumer(
            self, topic, Member(topic, group, owner, self._settings.lease_s), self._settings.lease_s
        )

    async def tail(self, topic: str, start: Mapping[int, int] | None = None) -> LogReader:
        """Return a reader without a group; see `EventLog.tail`."""
        return BatchReader(self, topic, {**await self.ends(topic), **(start or {})})

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the next offset of each partition."""
        await self._partitions_of(topic)
        async with self.connection() as connection:
            return dict(await (await connection.execute(_ENDS, (topic,))).fetchall())

    async def firsts(self, topic: str) -> dict[int, int]:
        """Return from where on the log is laid out as it is; see `EventLog.firsts`."""
        async with self.connection() as connection:
            return await read_layout(connection, topic)

    async def check_layout(self) -> None:
        """See that the topics still have as many partitions as this process works with.

        Raises:
            LogRejected: partitions were added meanwhile.
        """
        async with self.connection() as connection:
            await check_layout(connection, self._partitions)

    async def members(self, topic: str, group: str) -> list[str]:
        """Return who is in a group now; whoever died without a word is, until its lease ends."""
        async with self.connection() as connection:
            found = await connection.execute(_MEMBERS, (topic, group))
            return [owner async for (owner,) in found]

    async def hold_appends(self, connection: Connection, topics: Sequence[str]) -> None:
        """Let nobody append until the caller's transaction ends, after whatever is under way."""
        await connection.execute(_HOLD, (list(topics),))

    async def add_partitions(self, connection: Connection, topic: str, partitions: int) -> None:
        """Let a topic have `partitions` in the caller's transaction; `change_layout` makes them count."""
        await connection.execute(_ADD, (topic, partitions))

    async def starts(self, topic: str) -> dict[int, int]:
        """Return the offset of the first record kept, by partition."""
        async with self.connection() as connection:
            return dict(await (await connection.execute(_STARTS, (topic,))).fetchall())

    async def retain(self, topic: str, now_us: int) -> int:
        """Delete one bounded slice per partition; see `EventLog.retain`."""
        deleted = 0
        for partition in range(await self._partitions_of(topic)):
            async with self.connection() as connection:
                parameters = {
                    "topic": topic,
                    "partition": partition,
                    "soft": moment(now_us, self._settings.retention_s),
                    "hard": moment(now_us, self._settings.never_beyond_s),
                    "rows": self._settings.slice_batches,
                }
                row = await (await connection.execute(_RETAIN, parameters)).fetchone()
                deleted += row[0] if row else 0
        return deleted

    async def prune_dedup(self, now_us: int) -> int:
        """Forget one bounded slice of the keys older than the dedup window and return how many.

        Raises:
            LogUnavailable: repeat the call.
        """
        async with self.connection() as connection:
            before = moment(now_us, self._settings.dedup_window_s)
            return await prune_keys(connection, before, self._settings.slice_keys)

    async def _partitions_of(self, topic: str) -> int:
        if topic not in self._partitions:
            async with self.connection() as connection:
                row = await (await connection.execute(_PARTITIONS, (topic,))).fetchone()
            if not row or not row[0]:
                raise LogRejected(f"no such topic: {topic}")
            self._partitions[topic] = row[0]
        return self._partitions[topic]

    async def _write(self, taken: Sequence[Pending]) -> None:
        async with self.connection() as connection, connection.transaction():
            written = await write_appends(connection, taken, self._partitions)
        # Durable from here on.
        for pending, outcomes in zip(taken, written.outcomes, strict=True):
            pending.succeed(outcomes)
        for row in written.rows:
            self.recent.add(row)
        self.wakeup.wake()
        self._appended.set()

    async def _notify(self) -> None:
        while True:
            await self._appended.wait()
            self._appended.clear()
            # Without it, readers elsewhere look again after poll_fallback_s.
            with suppress(LogUnavailable):
                async with self.connection() as connection:
                    self._own_backends.add(connection.info.backend_pid)
                    await connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
            await asyncio.sleep(self._settings.notify_interval_s)

    async def _listen(self) -> None:
        while True:
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._noticed()  # whatever was said before we listened
                    async for notice in connection.notifies():
                        if notice.pid not in self._own_backends:
                            self._noticed()
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await asyncio.sleep(_RECONNECT_S)

    def _noticed(self) -> None:
        self.notices += 1
        self.wakeup.wake()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            with suppress(LogUnavailable):
                await self.check_layout()
            for consumer in list(self.consumers):
                # A consumer stops delivering by itself when its lease has run out.
                with suppress(LogUnavailable):
                    await consumer.beat()
