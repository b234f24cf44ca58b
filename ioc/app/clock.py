"""The only place that reads the wall clock, and the service that writes it into the log as ticks."""

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Counter

from ioc.app.rules.tick_ages import TickAges
from ioc.eventlog.port import AppendOutcome
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import SECOND_US

TICK_INTERVAL_US = SECOND_US

_missed = Counter(
    "ioc_ticks_failed_total", "Clock ticks that could not be appended; the next one makes up for it"
)


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch."""
    return time.time_ns() // 1000


class TickLog(Protocol):
    """The part of the event log that the ticker needs."""

    async def append_ticks(self, topic: str, now_us: int) -> Sequence[AppendOutcome]:
        """Append one tick to every partition; a repeat of the same instant is suppressed."""
        ...


class Ticker:
    """Appends one tick per partition at every whole second.

    Several processes may tick: they round to the same instants, which the log stores once.
    """

    def __init__(self, log: TickLog, retryable: type[Exception], ages: TickAges) -> None:
        self._log = log
        self._ages = ages
        self._retryable = retryable

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            now = now_us()
            due_us = now - now % TICK_INTERVAL_US + TICK_INTERVAL_US
            await asyncio.sleep((due_us - now) / SECOND_US)
            try:
                outcomes = await self._log.append_ticks(EVENTS_TOPIC, due_us)
            except self._retryable:
                _missed.inc()
            else:
                for outcome in outcomes:
                    self._ages.seen(outcome.partition, due_us)
