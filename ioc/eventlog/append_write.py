"""The append transaction of the embedded log: claim the keys, lock the partitions, store one row each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection

from ioc.eventlog.append_queue import Pending
from ioc.eventlog.batch_reader import encode_batch
from ioc.eventlog.layout import refuse_other
from ioc.eventlog.port import AppendOutcome
from ioc.eventlog.recent import Stored
from ioc.model.records import Record, RecordKind

Connection = AsyncConnection[Any]
Place = tuple[str, int]
"""Topic and partition."""

# The keys come sorted and are claimed in that order, so two processes cannot wait for each other in a circle.
_CLAIM_KEYS: Final[LiteralString] = """
    WITH keyed AS MATERIALIZED (
        SELECT substr(%(keys)s::bytea, i * 16 + 1, 16) AS key, i FROM generate_series(0, %(count)s - 1) AS i
    ), claimed AS (
        INSERT INTO log_dedup (key) SELECT key FROM keyed ORDER BY i ON CONFLICT DO NOTHING RETURNING key
    )
    SELECT keyed.key FROM keyed LEFT JOIN claimed USING (key) WHERE claimed.key IS NULL
"""
_LOCK: Final[LiteralString] = """
    SELECT p.topic, p.partition, p.next_offset FROM log_partition p
    JOIN unnest(%(topics)s::text[], %(partitions)s::int[]) AS wanted (topic, partition)
        USING (topic, partition)
    ORDER BY p.topic, p.partition FOR UPDATE OF p
"""
_STORE: Final[LiteralString] = """
    WITH fresh AS MATERIALIZED (
        SELECT * FROM unnest(%(topics)s::text[], %(partitions)s::int[], %(ends)s::bigint[], %(counts)s::int[],
                             %(payloads)s::bytea[]) AS row (topic, partition, end_offset, count, payload)
    ), moved AS (
        UPDATE log_partition p SET next_offset = fresh.end_offset FROM fresh
        WHERE p.topic = fresh.topic AND p.partition = fresh.partition
    ), stored AS (
        INSERT INTO log_batch (topic, partition, end_offset, count, payload)
        SELECT topic, partition, end_offset, count, payload FROM fresh
    )
    SELECT topic, count(*) FROM log_layout WHERE topic = ANY(%(topics)s::text[]) GROUP BY topic
"""


class Written(NamedTuple):
    """What a transaction wrote; true once it has committed."""

    outcomes: list[list[AppendOutcome]]
    """By call, in the order given."""
    rows: list[Stored]


async def write_appends(
    connection: Connection, taken: Sequence[Pending], partitions: Mapping[str, int]
) -> Written:
    """Write all calls of `taken`, placed by these numbers of `partitions`, in the caller's transaction.

    Locks are taken in one order everywhere: keys ascending, then partitions ascending.

    Raises:
        LogRejected: a topic has another number of partitions by now.
    """
    known = await claim_keys(connection, taken)
    fresh: dict[Place, list[tuple[RecordKind, bytes]]] = {}
    # Within the transaction a record's number in its partition stands for its offset.
    numbers = [list(place_records(pending, known, fresh)) for pending in taken]
    bases: dict[Place, int] = {}
    if fresh:
        bases, laid_out = await _store(connection, fresh)
        refuse_other(laid_out, partitions)
    outcomes = [
        [
            AppendOutcome(partition, None if number is None else bases[pending.topic, partition] + number)
            for partition, number in zip(pending.partitions, placed, strict=True)
        ]
        for pending, placed in zip(taken, numbers, strict=True)
    ]
    return Written(outcomes, [_stored(place, bases[place], records) for place, records in fresh.items()])


def _stored(place: Place, base: int, records: list[tuple[RecordKind, bytes]]) -> Stored:
    return Stored(*place, [Record(base + number, *record) for number, record in enumerate(records)])


def place_records(
    pending: Pending, known: set[bytes], fresh: dict[Place, list[tuple[RecordKind, bytes]]]
) -> Iterator[int | None]:
    """Add what is new of `pending` to `fresh` and yield each record's number there, None for a repeat.

    Keys met are added to `known`.
    """
    for record, partition, key in zip(pending.records, pending.partitions, pending.dedup_keys, strict=True):
        if key is not None:
            if key in known:
                yield None
                continue
            known.add(key)
        records = fresh.setdefault((pending.topic, partition), [])
        yield len(records)
        records.append((record.kind, record.payload))


async def claim_keys(connection: Connection, taken: Sequence[Pending]) -> set[bytes]:
    """Claim every dedup key for this transaction and return those that somebody has claimed before."""
    keys = sorted({key for pending in taken for key in pending.dedup_keys if key is not None})
    if not keys:
        return set()
    parameters = {"keys": b"".join(keys), "count": len(keys)}
    found = await connection.execute(_CLAIM_KEYS, parameters, prepare=True, binary=True)
    return {key for (key,) in await found.fetchall()}


async def _store(
    connection: Connection, fresh: dict[Place, list[tuple[RecordKind, bytes]]]
) -> tuple[dict[Place, int], dict[str, int]]:
    """Store one row per partition; return each one's first offset, and how many partitions the topics have.

    The latter are read behind the lock of the partitions, which whoever adds some holds until it is done.
    """
    places = sorted(fresh)
    parameters: dict[str, object] = {
        "topics": [topic for topic, _ in places],
        "partitions": [partition for _, partition in places],
    }
    locked = await connection.execute(_LOCK, parameters, prepare=True)
    bases = {(topic, partition): offset for topic, partition, offset in await locked.fetchall()}
    parameters["ends"] = [bases[place] + len(fresh[place]) for place in places]
    parameters["counts"] = [len(fresh[place]) for place in places]
    parameters["payloads"] = [encode_batch(fresh[place]) for place in places]
    laid_out = await connection.execute(_STORE, parameters, prepare=True)
    return bases, dict(await laid_out.fetchall())
