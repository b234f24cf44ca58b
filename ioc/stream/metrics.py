"""Figures of the feed for Prometheus."""

from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_DELAY_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)


class FeedMetrics:
    """The feed's figures, registered once per registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.clients = Gauge("ioc_feed_clients", "Clients connected to the feed.", registry=registry)
        self.outbox_bytes = Gauge(
            "ioc_feed_outbox_bytes", "Bytes waiting in the fullest client's incident lane.", registry=registry
        )
        self.outbox_age = Histogram(
            "ioc_feed_outbox_age_seconds",
            "Per publication: age of the oldest change that a client was offered before and has not taken.",
            buckets=_DELAY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.conflated = Counter(
            "ioc_feed_conflated_total", "State values replaced by newer ones before they were sent.",
            registry=registry,
        )  # fmt: skip
        self.resumes = Counter(
            "ioc_feed_resumes_total", "Clients brought up to date, by how.", ["result"], registry=registry
        )
        self.closes = Counter(
            "ioc_feed_closes_total", "Sockets closed by the server, by reason.", ["reason"], registry=registry
        )
        self.source_errors = Counter(
            "ioc_feed_source_errors_total", "Failed reads of the incident changes.", registry=registry
        )
        self.delay = Histogram(
            "ioc_feed_delay_seconds", "From an event's receipt to its frame being handed to the socket.",
            buckets=_DELAY_BUCKETS_S, registry=registry,
        )  # fmt: skip
