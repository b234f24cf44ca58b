"""The state lane's way from the log to the hub: every process that serves consoles follows the log's end."""

from typing import Protocol

import msgspec

from ioc.app.retry import with_retry
from ioc.app.rules.tick_ages import TickAges
from ioc.eventlog.port import EventLog
from ioc.model.events import Event, decode_event
from ioc.model.records import EVENTS_TOPIC, RecordKind, decode_tick

BATCH_RECORDS = 2_000


class StateSink(Protocol):
    """Takes events for the latest state of their sources."""

    def apply_event(self, event: Event) -> None:
        """Update the state of the event's source."""
        ...


class StateLane:
    """Feeds live events to the hub; history is not its business, so it starts at the log's end."""

    def __init__(self, log: EventLog, sink: StateSink, ages: TickAges) -> None:
        self._log = log
        self._sink = sink
        self._ages = ages

    async def run(self) -> None:
        """Follow the log until cancelled."""
        await with_retry("state", self._follow)

    async def _follow(self) -> None:
        reader = await self._log.tail(EVENTS_TOPIC)
        while True:
            for batch in await reader.poll(BATCH_RECORDS, 1.0):
                for record in batch.records:
                    if record.kind is RecordKind.EVENT:
                        self._apply(record.payload)
                    elif record.kind is RecordKind.TICK:
                        self._ages.seen(batch.partition, decode_tick(record.payload).now_us)

    def _apply(self, payload: bytes) -> None:
        try:
            self._sink.apply_event(decode_event(payload))
        except msgspec.DecodeError:
            return  # the rules and store roles count and report it
