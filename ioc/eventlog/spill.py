"""The spill: what was acknowledged while Kafka could not take it, kept in PostgreSQL until it can.

A partition with spilled records takes everything new behind them, so that its order holds; `spill_drain`
carries them into Kafka. The tables are those of migration 0087; functions work in the caller's transaction.
Locks are taken in one order everywhere: the partitions' rows of `log_spill` ascending, then dedup keys.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from ioc.eventlog import spill_metrics
from ioc.eventlog.append_write import Place
from ioc.eventlog.batch_reader import decode_batch, encode_batch
from ioc.eventlog.port import LogOverloaded
from ioc.model.records import RecordKind

Connection = AsyncConnection[Any]
Records = list[tuple[RecordKind, bytes]]

RECORD_OVERHEAD_BYTES: Final = 16
"""What a record takes in a row besides its payload, at most."""


class SpillSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound has a name here. Times in seconds, sizes in bytes."""

    topics: frozenset[str] = frozenset()
    """Topics that spill when Kafka does not take an append; of others the append fails."""
    max_records: int = 5_000_000
    """Records that may lie spilled, of all partitions; what would exceed it is refused (`LogOverloaded`).

    Counts see what has committed: processes that spill at the same moment may exceed it by one append each.
    """
    max_bytes: int = 2 << 30
    """The same in bytes."""
    after_s: float = 2.0
    """How long Kafka may take before an append is spilled."""
    rest_s: float = 2.0
    """How long a process that Kafka has failed spills without asking it again.

    Long enough for one tick in every partition: from then on the table says which partitions spill.
    """
    drain_s: float = 0.5
    """How often the drainer looks for something to carry."""
    retry_s: float = 1.0
    """How long the drainer leaves a partition alone that Kafka did not take."""
    step_records: int = 5_000
    """Records carried in one transaction, about."""
    step_bytes: int = 4 << 20


class Standing(NamedTuple):
    """What lies spilled of one partition."""

    topic: str
    partition: int
    records: int
    size_bytes: int
    oldest_s: float
    """How long the oldest of it has waited."""

    @property
    def place(self) -> Place:
        """Return its topic and partition."""
        return self.topic, self.partition


class Carried(NamedTuple):
    """The oldest spilled rows of a partition."""

    ids: list[int]
    records: Records
    size_bytes: int


_ANY: Final[LiteralString] = "SELECT EXISTS (SELECT FROM log_spill WHERE records > 0)"
# Who waits for a lock here sees what the holder has done: a partition just emptied is not held.
_HELD: Final[LiteralString] = """
    SELECT s.topic, s.partition FROM log_spill s
    JOIN unnest(%(topics)s::text[], %(partitions)s::int[]) AS wanted (topic, partition)
        USING (topic, partition)
    WHERE s.records > 0 ORDER BY s.topic, s.partition FOR UPDATE OF s
"""
_CREATE: Final[LiteralString] = """
    INSERT INTO log_spill (topic, partition)
    SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::int[]) ON CONFLICT DO NOTHING
"""
_LOCK: Final[LiteralString] = """
    SELECT FROM log_spill s
    JOIN unnest(%(topics)s::text[], %(partitions)s::int[]) AS wanted (topic, partition)
        USING (topic, partition)
    ORDER BY s.topic, s.partition FOR UPDATE OF s
"""
_STORE: Final[LiteralString] = """
    WITH fresh AS MATERIALIZED (
        SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(records)s::int[], %(sizes)s::int[],
                             %(payloads)s::bytea[]) AS row (topic, partition, records, size_bytes, payload)
    ), grown AS (
        UPDATE log_spill s
        SET records = s.records + fresh.records, size_bytes = s.size_bytes + fresh.size_bytes
        FROM fresh WHERE s.topic = fresh.topic AND s.partition = fresh.partition
    )
    INSERT INTO log_spilled (topic, partition, records, size_bytes, payload) SELECT * FROM fresh
"""
_EVERYBODY: Final[LiteralString] = "LOCK TABLE log_spill IN SHARE ROW EXCLUSIVE MODE"
_KNOWN: Final[LiteralString] = "SELECT count(*) FROM log_spill WHERE topic = %s"
_TOTAL: Final[LiteralString] = """
    SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(size_bytes), 0)::bigint FROM log_spill
"""
_STANDINGS: Final[LiteralString] = """
    SELECT s.topic, s.partition, s.records, s.size_bytes,
        extract(epoch FROM clock_timestamp() - first.spilled_at)::float AS oldest_s
    FROM log_spill s
    CROSS JOIN LATERAL (
        SELECT spilled_at FROM log_spilled r WHERE r.topic = s.topic AND r.partition = s.partition
        ORDER BY id LIMIT 1
    ) first
    WHERE s.records > 0 ORDER BY s.topic, s.partition
"""
_OLDEST: Final[LiteralString] = """
    SELECT id, size_bytes, payload FROM (
        SELECT *, sum(records) OVER earlier AS records_before, sum(size_bytes) OVER earlier AS bytes_before
        FROM (SELECT * FROM log_spilled WHERE topic = %(topic)s AND partition = %(partition)s
              ORDER BY id LIMIT %(records)s) row
        WINDOW earlier AS (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ) chosen
    WHERE coalesce(records_before, 0) < %(records)s AND coalesce(bytes_before, 0) < %(bytes)s
    ORDER BY id
"""
_REMOVE: Final[LiteralString] = """
    WITH gone AS (
        DELETE FROM log_spilled WHERE topic = %(topic)s AND partition = %(partition)s AND id = ANY(%(ids)s)
    )
    UPDATE log_spill SET records = records - %(records)s, size_bytes = size_bytes - %(size)s
    WHERE topic = %(topic)s AND partition = %(partition)s
"""


async def held(connection: Connection, places: Collection[Place]) -> set[Place]:
    """Return which of `places` have spilled records, locked: new ones go behind those."""
    row = await (await connection.execute(_ANY, prepare=True)).fetchone()
    if row is None or not row[0]:
        return set()
    rows = await (await connection.execute(_HELD, _columns(sorted(places)), prepare=True)).fetchall()
    return {(topic, partition) for topic, partition in rows}


async def remember(connection: Connection, topic: str, partitions: int) -> None:
    """Remember how many partitions `topic` has, so that a start without Kafka knows."""
    await connection.execute(_CREATE, _columns([(topic, number) for number in range(partitions)]))


async def remembered(connection: Connection, topic: str) -> int:
    """Return how many partitions an earlier start found, 0 without one."""
    row = await (await connection.execute(_KNOWN, (topic,))).fetchone()
    return 0 if row is None else int(row[0])


async def lock(connection: Connection, places: Collection[Place]) -> None:
    """Lock `places` to spill there, whether something lies there or not."""
    columns = _columns(sorted(places))
    await connection.execute(_CREATE, columns)
    await connection.execute(_LOCK, columns)


async def store(connection: Connection, settings: SpillSettings, fresh: Mapping[Place, Records]) -> None:
    """Spill `fresh` into partitions that the transaction has locked.

    Raises:
        LogOverloaded: more would lie spilled than `settings` allow; roll back.
    """
    if not fresh:
        return
    places = sorted(fresh)
    sizes = [_size_bytes(fresh[place]) for place in places]
    parameters = {
        **_columns(places),
        "records": [len(fresh[place]) for place in places],
        "sizes": sizes,
        "payloads": [encode_batch(fresh[place]) for place in places],
    }
    await connection.execute(_STORE, parameters, prepare=True)
    row = await (await connection.execute(_TOTAL, prepare=True)).fetchone()
    assert row is not None
    records, size_bytes = row
    if records > settings.max_records or size_bytes > settings.max_bytes:
        spill_metrics.refused.inc(sum(parameters["records"]))
        raise LogOverloaded(
            f"{records} records of {size_bytes} bytes would lie spilled: at most {settings.max_records} "
            f"(log.spill_records) and {settings.max_bytes} (log.spill_bytes)"
        )


async def held_back(connection: Connection) -> list[Standing]:
    """Let nobody spill until the caller's transaction ends, and return what lies spilled."""
    await connection.execute(_EVERYBODY)
    return await standings(connection)


async def standings(connection: Connection) -> list[Standing]:
    """Return what lies spilled, of partitions that have something."""
    async with connection.cursor(row_factory=class_row(Standing)) as cursor:
        return await (await cursor.execute(_STANDINGS)).fetchall()


async def oldest(connection: Connection, place: Place, settings: SpillSettings) -> Carried:
    """Return the rows of `place` that one step carries: a step's size or the rest, at least one row."""
    topic, partition = place
    parameters = {
        "topic": topic,
        "partition": partition,
        "records": settings.step_records,
        "bytes": settings.step_bytes,
    }
    found = await (await connection.execute(_OLDEST, parameters, prepare=True)).fetchall()
    records = [record for _, _, payload in found for record in decode_batch(payload)]
    return Carried([row[0] for row in found], records, sum(row[1] for row in found))


async def remove(connection: Connection, place: Place, carried: Carried) -> None:
    """Take away what Kafka has."""
    parameters = {
        "topic": place[0],
        "partition": place[1],
        "ids": carried.ids,
        "records": len(carried.records),
        "size": carried.size_bytes,
    }
    await connection.execute(_REMOVE, parameters, prepare=True)


def _columns(places: Sequence[Place]) -> dict[str, Any]:
    return {
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
    }


def _size_bytes(records: Iterable[tuple[RecordKind, bytes]]) -> int:
    return sum(len(payload) + RECORD_OVERHEAD_BYTES for _, payload in records)
