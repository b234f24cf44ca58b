"""Takes events from foreign Kafka topics: each topic has a decoder by name and a registered device as sender.

    foreign topic ─► batch ─► IngestService ─► log, quarantine ─► only then the position is committed

Order holds within a partition. Nothing is read while a batch waits, so a slow database holds Kafka back, and
Kafka keeps what we have not taken. What cannot be used is in quarantine with its bytes, and the partition
goes on. While the device is not registered nothing is taken: the topic keeps it better than quarantine would.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from ioc.ingest.ports import IngestError
from ioc.ingest.service import IngestService
from ioc.model.places import Device

log = logging.getLogger(__name__)


class ForeignRecord(Protocol):
    """One record of a foreign topic."""

    @property
    def partition(self) -> int:
        """Its partition."""
        ...

    @property
    def offset(self) -> int:
        """Its place there."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its bytes; None for a tombstone, which says nothing to us."""
        ...


class ForeignTopic(Protocol):
    """A member of a consumer group on a foreign topic."""

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[ForeignRecord]:
        """Return what there is, in order within each partition."""
        ...

    async def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Record where each partition goes on."""
        ...


Open = Callable[[str, str], AbstractAsyncContextManager[ForeignTopic]]
"""Joins a group on a topic: (topic, group)."""


class BridgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One foreign topic and how it is taken."""

    topic: str
    decoder: str
    """Name in `ioc.ingest.decoders`; it counts, whatever decoder the device is registered with."""
    device: str
    """Id of the registered device as which the records are judged; give it `covers` for other sources."""
    group: str
    batch_records: int = 500
    batch_bytes: int = 2 << 20
    """Stored together; one record alone may be larger."""
    poll_s: float = 1.0
    retry_min_s: float = 0.5
    retry_max_s: float = 30.0


class BridgeMetrics:
    """Metrics of all bridges of a process. Topics are words of the settings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "ioc_bridge_records",
            "Foreign records that are durable (taken: in log or quarantine) or tombstones (empty).",
            ["topic", "result"],
            registry=registry,
        )
        self.connected = Gauge(
            "ioc_bridge_connected",
            "1 while the bridge reads its topic, 0 while it waits for Kafka or for its device.",
            ["topic"],
            registry=registry,
        )
        self.retries = Counter(
            "ioc_bridge_retries",
            "Times a bridge had to try again: its batch was not stored, or Kafka was away.",
            ["topic"],
            registry=registry,
        )


class KafkaBridge:
    """Feeds one foreign topic into the service until cancelled."""

    def __init__(
        self,
        service: IngestService,
        settings: BridgeSettings,
        open_topic: Open,
        metrics: BridgeMetrics,
        away: tuple[type[Exception], ...],
    ) -> None:
        """Prepare a bridge.

        Args:
            service: takes the records.
            settings: which topic, and how.
            open_topic: joins the topic's group.
            metrics: shared by all bridges of the process.
            away: errors of the topic after which it is opened again.
        """
        self._service = service
        self._settings = settings
        self._open = open_topic
        self._metrics = metrics
        self._away = away
        self._connected = metrics.connected.labels(settings.topic)

    async def run(self) -> None:
        """Read, and open the topic again with growing, jittered pauses whenever it is lost."""
        settings, pauses = self._settings, self._pauses()
        self._connected.set(0)
        while True:
            try:
                if self._sender() is None:
                    log.error(
                        "bridge of %s waits: no device %s is registered and enabled",
                        settings.topic, settings.device,
                    )  # fmt: skip
                else:
                    async with self._open(settings.topic, settings.group) as topic:
                        self._connected.set(1)
                        pauses = self._pauses()
                        while self._sender() is not None:
                            await self._take(topic)
            except self._away as error:
                log.warning("bridge of %s: %s; trying again", settings.topic, error)
            finally:
                self._connected.set(0)
            self._metrics.retries.labels(settings.topic).inc()
            await asyncio.sleep(next(pauses))

    def _sender(self) -> Device | None:
        """Return the device with this bridge's decoder, None while it is not registered or is disabled."""
        registry = self._service.registry
        device = registry.device(self._settings.device)
        away = device is None or registry.disabled(device.id)
        return (
            None
            if device is None or away
            else msgspec.structs.replace(device, decoder=self._settings.decoder)
        )

    async def _take(self, topic: ForeignTopic) -> None:
        """Make one poll's records durable, then commit their positions."""
        records = await topic.poll(self._settings.batch_records, self._settings.poll_s)
        bodies = [(record, record.value) for record in records if record.value is not None]
        if empty := len(records) - len(bodies):
            self._metrics.records.labels(self._settings.topic, "empty").inc(empty)
        self._service.metrics.messages.labels("kafka", "").inc(len(bodies))
        for batch in self._cut([value for _, value in bodies]):
            await self._store(batch)
        if records:
            await topic.commit({record.partition: record.offset + 1 for record in records})

    async def _store(self, bodies: list[bytes]) -> None:
        """Make `bodies` durable, however long that takes."""
        pauses = self._pauses()
        while True:
            try:
                if (sender := self._sender()) is None:
                    log.error("bridge of %s: its device is gone or disabled", self._settings.topic)
                else:
                    await self._service.accept_all(sender, bodies, transport="kafka", wait=True)
                    self._metrics.records.labels(self._settings.topic, "taken").inc(len(bodies))
                    return
            except IngestError as error:
                log.warning("bridge of %s: not stored, trying again: %s", self._settings.topic, error)
            self._metrics.retries.labels(self._settings.topic).inc()
            await asyncio.sleep(next(pauses))

    def _pauses(self) -> Iterator[float]:
        """Yield growing, jittered times to wait."""
        pause_s = self._settings.retry_min_s
        while True:
            yield pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, self._settings.retry_max_s)

    def _cut(self, bodies: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yield `bodies` in runs of at most `batch_bytes`."""
        run: list[bytes] = []
        size = 0
        for body in bodies:
            if run and size + len(body) > self._settings.batch_bytes:
                yield run
                run, size = [], 0
            run.append(body)
            size += len(body)
        if run:
            yield run
