"""Reads a topic that belongs to somebody else, as a member of an ordinary consumer group.

Unlike our own log (`kafka_consumer`) its positions are Kafka's: nothing of ours knows these records, and a
repeat is recognised at the append. `commit` is called only after what was read is durable.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from ioc.eventlog import kafka_metrics
from ioc.eventlog.kafka_client import Cluster, asking, connection, cut_consumer, end_consumer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogUnavailable

_MAX_POLL_INTERVAL_S: Final = 300.0
"""A member that stores nothing for so long (the database is away) loses its partitions, and joins again."""


class ForeignRecord(NamedTuple):
    """One record as it stands in the foreign topic. `value` is None for a tombstone."""

    partition: int
    offset: int
    value: bytes | None


class ForeignTopic:
    """One member of a group on one foreign topic; made by `open_foreign`."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: KafkaSettings, topic: str, group: str) -> None:
        self._consumer = consumer
        self._settings = settings
        self._topic = topic
        self._group = group

    async def poll(self, max_records: int, timeout_s: float) -> list[ForeignRecord]:
        """Return up to `max_records`, in order within each partition, none after `timeout_s` without any.

        Kafka is asked for no more than `fetch_bytes` per partition while nobody polls.

        Raises:
            LogUnavailable: open the topic again.
            LogRejected: Kafka refuses us.
        """
        async with asking(timeout_s + self._settings.request_timeout_s):
            found = await self._consumer.getmany(timeout_ms=round(timeout_s * 1000), max_records=max_records)
        return [
            ForeignRecord(place.partition, record.offset, record.value)
            for place, records in found.items()
            for record in records
        ]

    async def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Record where each partition goes on. Raises as `poll`: then some of it will come again."""
        places = {TopicPartition(self._topic, number): offset for number, offset in next_offsets.items()}
        async with asking(self._settings.request_timeout_s):
            await self._consumer.commit(places)
        for place, offset in places.items():
            if (end := self._consumer.highwater(place)) is not None:
                labels = (self._group, self._topic, str(place.partition))
                kafka_metrics.lag.labels(*labels).set(max(0, end - offset))


@asynccontextmanager
async def open_foreign(settings: KafkaSettings, topic: str, group: str) -> AsyncIterator[ForeignTopic]:
    """Join `group` (the prefix goes before it) on `topic` (as it is); a new group begins at its start.

    Raises:
        LogUnavailable: Kafka does not answer, or has no such topic: we never make one that is not ours.
        LogRejected: Kafka refuses us.
    """
    await _require(settings, topic)
    consumer = AIOKafkaConsumer(
        topic,
        **connection(settings, "bridge"),
        group_id=settings.prefix + group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_interval_ms=round(_MAX_POLL_INTERVAL_S * 1000),
        max_partition_fetch_bytes=settings.fetch_bytes,
        fetch_max_bytes=settings.fetch_total_bytes,
    )
    try:
        async with asking(settings.join_timeout_s):
            await consumer.start()
    except BaseException:
        await cut_consumer(consumer)
        raise
    try:
        yield ForeignTopic(consumer, settings, topic, group)
    finally:
        await end_consumer(consumer, settings.close_timeout_s)


async def _require(settings: KafkaSettings, topic: str) -> None:
    cluster = Cluster(settings)
    try:
        if not await cluster.partitions(topic):
            raise LogUnavailable(f"no such topic: {topic}")
    finally:
        await cluster.close()
