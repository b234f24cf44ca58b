"""Metrics of ingest. Labels are bounded: results, streams, rules, transports and reasons are our words."""

from functools import partial
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Transport = Literal["http", "mqtt", "subscriber", "kafka", "file", "pull", "attach"]
Result = Literal["accepted", "duplicate", "rejected"]
Refusal = Literal[
    "body_bytes",
    "body",
    "events_per_request",
    "inflight",
    "rate",
    "timeout",
    "log",
    "quarantine",
    "read_timeout",
    "key",
    "forbidden",
    "disabled",
    "protocol",
    "content_type",
    "mqtt_connections",
    "mqtt_buffered",
    "mqtt_connect_timeout",
    "throttled",
]

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class IngestMetrics:
    """All metrics of ingest, in the given registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.events = counter(
            "ioc_ingest_events",
            "Events answered, by result and stream (stream is empty where the event was refused).",
            ["result", "stream"],
        )
        self.rejections = counter(
            "ioc_ingest_rejections", "Refused events, by the rule they broke.", ["rule"]
        )
        self.positions = counter(
            "ioc_ingest_positions",
            "Events whose position was 0,0, outside or swapped (then put right), or that have no ward.",
            ["finding"],
        )
        self.times = counter(
            "ioc_ingest_times",
            "Events older than the newest of their source (backward), or of the same time (repeated).",
            ["finding"],
        )
        self.throttled_devices = gauge(
            "ioc_ingest_throttled_devices",
            "Devices let through at a trickle, because most of what they send is refused.",
        )
        self.shed = counter(
            "ioc_ingest_shed_events", "Events left out because the service could not keep up.", ["type"]
        )
        self.shed_level = gauge(
            "ioc_ingest_shed_level", "What is thinned: 0 nothing, 1 cameras' analytics, 2 measurements, too."
        )
        self.delay_seconds = gauge(
            "ioc_ingest_delay_seconds",
            "How far the slowest working group of consumers is behind, at the pace it works at.",
        )
        self.dropped_fields = counter(
            "ioc_ingest_dropped_fields",
            "Unknown data fields that could not be kept (nested, too many, too large a number).",
        )
        self.pictures = counter(
            "ioc_ingest_pictures", "Pictures that came along with messages of cameras; none is kept."
        )
        self.messages = counter(
            "ioc_ingest_messages",
            "Bodies taken, by transport and quality of service (empty but for MQTT).",
            ["transport", "qos"],
        )
        self.bytes = counter("ioc_ingest_bytes", "Bytes of bodies taken, uncompressed.", ["transport"])
        self.refused = counter(
            "ioc_ingest_refused",
            "Requests, messages and connections refused as a whole; nothing of them was acknowledged.",
            ["transport", "reason"],
        )
        self.inflight = gauge("ioc_ingest_inflight_requests", "Bodies being decoded or stored now.")
        self.mqtt_connections = gauge("ioc_ingest_mqtt_connections", "Open MQTT connections.")
        self.append_seconds = Histogram(
            "ioc_ingest_append_seconds",
            "Time until a body's events were durable.",
            buckets=_BUCKETS,
            registry=registry,
        )

    def refuse(self, transport: Transport, reason: Refusal) -> None:
        """Count one refused request, message or connection."""
        self.refused.labels(transport, reason).inc()
