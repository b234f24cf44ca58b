"""Figures of the feed for Prometheus."""

from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from ioc.stream.wire import Delays

_DELAY_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCREEN_BUCKETS_S: Final = (*_DELAY_BUCKETS_S, 30.0, 60.0, 300.0)


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
        self.screen_delay = Histogram(
            "ioc_feed_screen_delay_seconds",
            "Per report of a console, each 10 s: the age that half (share 0.5) and 99 of 100 (0.99) of the"
            " changes did not exceed when it had applied them.",
            ["share"], buckets=_SCREEN_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self.screen_changes = Counter(
            "ioc_feed_screen_changes_total",
            "Changes that consoles report to have applied.",
            registry=registry,
        )
        self.absurd_reports = Counter(
            "ioc_feed_screen_absurd_total", "Reports of consoles that cannot be true and were ignored.",
            registry=registry,
        )  # fmt: skip

    def measured(self, delays: Delays) -> None:
        """Count a console's report."""
        if not delays.plausible:
            self.absurd_reports.inc()
            return
        self.screen_changes.inc(delays.count)
        self.screen_delay.labels("0.5").observe(delays.p50_ms / 1e3)
        self.screen_delay.labels("0.99").observe(delays.p99_ms / 1e3)
