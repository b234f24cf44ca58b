"""Appending to Kafka: one transaction of PostgreSQL around one idempotent, fully acknowledged write.

The transaction locks the writer's row, claims the dedup keys, waits for Kafka and commits the append's
number; see `kafka_stamps` for what a reader makes of it. Whatever fails, nothing of the append counts, and
both the writer's id and the producer are thrown away: an idempotent producer may stay dead after an error
(issue 1017), and what it might still deliver is void.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from ioc.eventlog import kafka_metrics
from ioc.eventlog.append_queue import Pending
from ioc.eventlog.append_write import Place, claim_keys, place_records
from ioc.eventlog.kafka_client import asking, connection, end_producer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_stamps import HEADER, Connect, Stamp, Stamps, encode_header
from ioc.eventlog.layout import check_layout
from ioc.eventlog.port import AppendOutcome, LogUnavailable
from ioc.model.records import RecordKind

Records = list[tuple[RecordKind, bytes]]

_BATCH_BYTES: Final = 256 << 10
_REGISTER: Final[LiteralString] = "INSERT INTO log_writer (id) VALUES (%s)"
_BEGIN: Final[LiteralString] = """
    SELECT committed FROM log_writer WHERE id = %s AND NOT closed FOR UPDATE
"""
_COMMIT: Final[LiteralString] = "UPDATE log_writer SET committed = %s, used_at = now() WHERE id = %s"


class KafkaWriter:
    """Writes appends, one after the other; `write` is called by one task only."""

    def __init__(
        self, settings: KafkaSettings, connect: Connect, stamps: Stamps, partitions: Mapping[str, int]
    ) -> None:
        """Write records that were placed by these numbers of `partitions`, by topic; topics may be added."""
        self._settings = settings
        self._partitions = partitions
        self._connect = connect
        self._stamps = stamps
        self._producer: AIOKafkaProducer | None = None
        self._last: Stamp | None = None
        """Our last committed append; None where the next one needs a new writer."""

    async def write(self, taken: Sequence[Pending]) -> list[list[AppendOutcome]]:
        """Write all of `taken` as one and return the outcomes by call.

        Raises:
            LogUnavailable: the outcome is unknown, or nothing counts.
            LogRejected: Kafka refuses us.
        """
        try:
            producer = await self._started()
            if self._last is None:
                self._last = await self._register()
            stamp = Stamp(self._last.writer, self._last.number + 1)
            async with self._stamps.appending(stamp):
                async with self._connect() as database, database.transaction():
                    outcomes, fresh = await self._append(database, producer, stamp, taken)
                if fresh:
                    self._last = stamp
                    self._stamps.committed(stamp)
        except BaseException:
            kafka_metrics.failed_appends.inc()
            await self.close()
            raise
        return outcomes

    async def close(self) -> None:
        """Give up the producer and the writer's id."""
        self._last = None
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer, self._settings.close_timeout_s)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **connection(self._settings, "append"),
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                max_batch_size=_BATCH_BYTES,
                max_request_size=2 * self._settings.record_bytes,
            )
            try:
                async with asking(self._settings.request_timeout_s):
                    await producer.start()
            except BaseException:
                await end_producer(producer, self._settings.close_timeout_s)
                raise
            self._producer = producer
        return self._producer

    async def _register(self) -> Stamp:
        """Begin a new writer; whoever adds partitions closes all there are and lets none begin meanwhile."""
        writer = secrets.randbits(63)
        async with self._connect() as database, database.transaction():
            await database.execute(_REGISTER, (writer,))
            await check_layout(database, self._partitions)
        return Stamp(writer, 0)

    async def _append(
        self,
        database: AsyncConnection[Any],
        producer: AIOKafkaProducer,
        stamp: Stamp,
        taken: Sequence[Pending],
    ) -> tuple[list[list[AppendOutcome]], bool]:
        row = await (await database.execute(_BEGIN, (stamp.writer,), prepare=True)).fetchone()
        if row is None or row[0] != stamp.number - 1:
            raise LogUnavailable("a reader has closed this writer, which was silent for too long")
        known = await claim_keys(database, taken)
        fresh: dict[Place, Records] = {}
        numbers = [list(place_records(pending, known, fresh)) for pending in taken]
        offsets = await self._produce(producer, stamp, fresh)
        if fresh:
            await database.execute(_COMMIT, (stamp.number, stamp.writer), prepare=True)
        outcomes = [
            [
                AppendOutcome(
                    partition, None if number is None else offsets[pending.topic, partition][number]
                )
                for partition, number in zip(pending.partitions, placed, strict=True)
            ]
            for pending, placed in zip(taken, numbers, strict=True)
        ]
        return outcomes, bool(fresh)

    async def _produce(
        self, producer: AIOKafkaProducer, stamp: Stamp, fresh: dict[Place, Records]
    ) -> dict[Place, list[int]]:
        """Write `fresh` and return each record's offset."""
        headers = {kind: [(HEADER, encode_header(kind, stamp))] for kind in RecordKind}
        sent: dict[Place, list[tuple[asyncio.Future[Any], int]]] = {}
        async with asking(self._settings.request_timeout_s):
            for (topic, partition), records in fresh.items():
                waiting = sent.setdefault((topic, partition), [])
                batch, count = producer.create_batch(), 0
                for kind, payload in records:
                    entry = {"timestamp": None, "key": None, "value": payload, "headers": headers[kind]}
                    if batch.append(**entry) is None:
                        future = await producer.send_batch(
                            batch, self._settings.prefix + topic, partition=partition
                        )
                        waiting.append((future, count))
                        batch, count = producer.create_batch(), 0
                        batch.append(**entry)  # a first record always fits
                    count += 1
                future = await producer.send_batch(batch, self._settings.prefix + topic, partition=partition)
                waiting.append((future, count))
            offsets: dict[Place, list[int]] = {}
            for place, batches in sent.items():
                found = offsets.setdefault(place, [])
                for future, count in batches:
                    base = (await future).offset
                    if base < 0:  # stored before, by a repetition of aiokafka's own: it cannot say where
                        raise LogUnavailable("Kafka did not say where it stored the records")
                    found += range(base, base + count)
        return offsets
