"""Connects the bridges of the settings to Kafka and to the one way in."""

from contextlib import AbstractAsyncContextManager

from prometheus_client import REGISTRY

from ioc.app.core import kafka_settings
from ioc.app.settings import Settings
from ioc.app.supervisor import Service
from ioc.eventlog.kafka_foreign import open_foreign
from ioc.eventlog.port import LogRejected, LogUnavailable
from ioc.ingest.kafka_bridge import BridgeMetrics, BridgeSettings, ForeignTopic, KafkaBridge
from ioc.ingest.service import IngestService


def bridges(service: IngestService, settings: Settings) -> list[Service]:
    """Return a service for every foreign topic of `settings`."""
    if not settings.bridge.topics:
        return []
    kafka = kafka_settings(settings)
    metrics = BridgeMetrics(REGISTRY)

    def open_topic(topic: str, group: str) -> AbstractAsyncContextManager[ForeignTopic]:
        return open_foreign(kafka, topic, group)

    def bridge(one: BridgeSettings) -> Service:
        # A refusal too is tried again: one foreign topic must not end the role.
        away = (LogUnavailable, LogRejected)
        return Service(f"bridge {one.topic}", KafkaBridge(service, one, open_topic, metrics, away).run)

    return [
        bridge(
            BridgeSettings(
                topic=each.topic,
                decoder=each.decoder,
                device=each.device,
                group=each.group or f"ioc-bridge-{each.topic}",
                batch_records=settings.bridge.batch_records,
                batch_bytes=settings.bridge.batch_bytes,
            )
        )
        for each in settings.bridge.topics
    ]
