"""Publishes to a topic that other systems read: compacted, keyed, at least once, in order per key."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer

from ioc.eventlog.kafka_client import Cluster, asking, connection, end_producer
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.kafka_topics import compacted

_LINGER_MS: Final = 5
_HEAD_BYTES: Final = 1 << 10
"""Room for what Kafka stores around key and value."""


class Message(NamedTuple):
    """One message; the newest of a key is what compaction keeps."""

    key: bytes
    value: bytes


async def create_compacted(settings: KafkaSettings, topic: str, partitions: int) -> int:
    """Create `topic` (without its prefix) unless it exists and return its number of partitions.

    Raises:
        LogUnavailable: repeat the call.
        LogRejected: Kafka refuses us.
    """
    cluster = Cluster(settings)
    try:
        return await cluster.create(settings.prefix + topic, partitions, compacted(settings))
    finally:
        await cluster.close()


class KafkaPublisher:
    """An idempotent producer with full acknowledgement; `publish` is called by one task at a time.

    After any failure the producer is thrown away, as in `kafka_writer`: what it had not sent yet must not
    arrive after what is sent again.
    """

    def __init__(self, settings: KafkaSettings, topic: str, headers: dict[str, bytes]) -> None:
        self._settings = settings
        self._topic = settings.prefix + topic
        self._headers = list(headers.items())
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Write `messages` in order; on return all of them are acknowledged by all replicas in sync.

        Each must fit (`fits`). Bounded by `request_timeout_s` as a whole, so that a caller's transaction may
        stay open meanwhile.

        Raises:
            LogUnavailable: some may have been written, others not: publish all of them again.
            LogRejected: Kafka refuses us.
        """
        try:
            async with asking(self._settings.request_timeout_s):
                producer = await self._started()
                waiting = [
                    await producer.send(self._topic, key=key, value=value, headers=self._headers)
                    for key, value in messages
                ]
                for sent in waiting:
                    await sent
        except BaseException:
            await self.close()
            raise

    def fits(self, message: Message) -> bool:
        """Return whether Kafka takes a message of this size."""
        return len(message.key) + len(message.value) + _HEAD_BYTES <= self._settings.record_bytes

    async def close(self) -> None:
        """Give up the producer; the next `publish` starts another."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await end_producer(producer, self._settings.close_timeout_s)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            arguments: dict[str, Any] = connection(self._settings, "publish")
            self._producer = AIOKafkaProducer(
                **arguments,
                enable_idempotence=True,
                acks="all",
                compression_type="lz4",
                linger_ms=_LINGER_MS,
                max_request_size=2 * self._settings.record_bytes,
            )
            await self._producer.start()
        return self._producer
