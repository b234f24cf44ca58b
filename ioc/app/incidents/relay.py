"""Publishes every change of an incident to the Kafka topic `ioc.incidents`, for other systems.

A follower of the feed reads changes in the order of their commits and moves its position only after Kafka has
acknowledged them: at least once, without a gap, whatever dies in between. A message is a CloudEvent in
structured mode, keyed by the incident's id, so compaction keeps the newest revision of every incident.

After a crash the last batch is published again. Readers tell by `data.rev`: a message whose revision is not
above the one they have changes nothing.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection

from ioc.app.incidents.change_follower import ChangeFollower
from ioc.app.retry import with_retry
from ioc.eventlog.kafka_publisher import KafkaPublisher, Message, create_compacted
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected, LogUnavailable
from ioc.model.records import INCIDENTS_TOPIC
from ioc.model.times import format_us
from ioc.store.change_followers import FollowedChange
from ioc.store.pool import Pool
from ioc.stream.wire import incident_json

FOLLOWER: Final = "relay"
CONTENT_TYPE: Final = b"application/cloudevents+json; charset=UTF-8"

_log = structlog.get_logger()
_published = Counter(
    "ioc_relay_messages_total", "Incident changes published to Kafka, repeats after a failure included"
)
_failed = Counter(
    "ioc_relay_failures_total", "Batches that Kafka did not acknowledge; each is published again"
)
_too_large = Counter(
    "ioc_relay_too_large_total", "Incident changes not published because they exceed the largest record"
)
_seconds = Histogram(
    "ioc_relay_publish_seconds",
    "Time until Kafka had acknowledged a batch",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


def change_message(change: FollowedChange) -> Message:
    """Return `change` as other systems see it: masked as everywhere that people look (`incident_view`)."""
    incident = change.incident
    event = {
        "specversion": "1.0",
        "id": f"{incident.id}.{incident.rev}",
        "source": "/api/v1/incidents",
        "type": "ioc.incident.changed",
        "subject": incident.id,
        "time": format_us(change.at_us),
        "datacontenttype": "application/json",
        "op": change.op,
        "data": incident_json(incident),
    }
    return Message(incident.id.encode(), msgspec.json.encode(event))


@asynccontextmanager
async def _patient() -> AsyncIterator[None]:
    """Count failures, and make a refusal one that is tried again: it must not end the role it runs beside."""
    try:
        yield
    except LogUnavailable:
        _failed.inc()
        raise
    except LogRejected as error:
        _failed.inc()
        _log.error("Kafka refuses what the relay publishes", topic=INCIDENTS_TOPIC, error=str(error))
        raise LogUnavailable(str(error)) from error


class IncidentRelay:
    """Follows incident changes and publishes them. Many processes may run it; one at a time works."""

    def __init__(self, pool: Pool, kafka: KafkaSettings, partitions: int) -> None:
        self._kafka = kafka
        self._partitions = partitions
        self._publisher = KafkaPublisher(kafka, INCIDENTS_TOPIC, {"content-type": CONTENT_TYPE})
        # What is kept of the past goes out too, so that the topic begins with what is open now.
        self._follower = ChangeFollower(FOLLOWER, pool, self._publish, from_start=True)

    async def run(self) -> None:
        """Relay until cancelled."""
        try:
            await with_retry("relay topic", self._create_topic)
            await self._follower.run()
        finally:
            await self._publisher.close()

    async def _create_topic(self) -> None:
        async with _patient():
            await create_compacted(self._kafka, INCIDENTS_TOPIC, self._partitions)

    async def _publish(self, _connection: AsyncConnection[Any], changes: Sequence[FollowedChange]) -> None:
        messages = [message for change in changes if self._fits(message := change_message(change))]
        async with _patient():
            with _seconds.time():
                await self._publisher.publish(messages)
        _published.inc(len(messages))

    def _fits(self, message: Message) -> bool:
        if self._publisher.fits(message):
            return True
        # Rather one incident missing there, and said so, than all that follow.
        _too_large.inc()
        _log.error("an incident is too large to be published", incident=message.key.decode())
        return False
