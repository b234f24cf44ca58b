"""Passes on to `ioc.wide` what wide rules want of this process's partitions of `ioc.events`.

The order is what exactly-once rests on: events become durable before the ticks behind them, and both before
the position of `ioc.events` is committed. After a crash in between the same records are passed on again; the
log knows the events by origin and offset, and the second stage takes nothing twice.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from prometheus_client import Counter

from ioc.app.rules.partition import LANES, Item, PartitionWork, Stored
from ioc.app.rules.sets import Programs
from ioc.eventlog.port import EventLog, partition_of
from ioc.model.records import WIDE_TOPIC, NewRecord, RecordKind
from ioc.model.wide import OriginTick, encode_origin_ticks, encode_wide_event
from ioc.rules.wide_forward import Forward, Forwarder

CALL_RECORDS: Final = 5_000
"""Records passed on in one append, at most."""
PASSED_KEY: Final = "passed"
"""State row of the newest tick passed on."""

_forwarded = Counter("ioc_rules_wide_forwarded_total", "Events passed on to ioc.wide for wide rules")
_dropped = Counter("ioc_rules_wide_dropped_total", "Wide keys beyond the most that one event may have")


class WideOutlet:
    """The first stages of wide rules of the partitions one worker owns."""

    def __init__(self, log: EventLog, max_keys: int) -> None:
        self._log = log
        self._max_keys = max_keys
        self._stages: dict[int, Forwarder] = {}
        self._events: list[Forward] = []
        self._ticks: list[OriginTick] = []

    def clear(self) -> None:
        """Forget everything not passed on yet: it will be read again."""
        self._stages.clear()
        self._events, self._ticks = [], []

    def begin(self, work: PartitionWork, stored: Stored, wide: Programs, partitions: int) -> None:
        """Begin the stage of a partition just taken; `partitions` is the number of those of `ioc.wide`."""
        self._stages[work.number] = Forwarder(
            work.number,
            stored.moment(PASSED_KEY),
            lambda key: partition_of(key, partitions),
            (wide.active, wide.shadow),
            max_keys=self._max_keys,
        )

    def adopt(self, work: PartitionWork, wide: Programs) -> None:
        """Filter for other rules from here on."""
        self._stages[work.number].adopt((wide.active, wide.shadow))

    def take(self, work: PartitionWork, items: Sequence[Item]) -> None:
        """Take records that lie between two activations."""
        stage = self._stages[work.number]
        dropped = stage.dropped
        events, ticks = stage.take(items, work.version)
        self._events += events
        self._ticks += ticks
        work.moments[PASSED_KEY] = stage.newest
        work.unkeyed = {(LANES[place], rule, text): n for (place, rule, text), n in stage.unkeyed.items()}
        _dropped.inc(stage.dropped - dropped)

    async def flush(self) -> None:
        """Return once everything taken is durable in `ioc.wide`.

        Raises:
            LogRetryable: none or all of it is; begin again at the committed positions.
        """
        events, ticks = self._events, self._ticks
        self._events, self._ticks = [], []
        for first in range(0, len(events), CALL_RECORDS):
            await self._log.append(WIDE_TOPIC, [_record(f) for f in events[first : first + CALL_RECORDS]])
        _forwarded.inc(len(events))
        if ticks:
            payload = encode_origin_ticks(ticks)
            name = blake2b(payload, digest_size=16).hexdigest()
            await self._log.append_controls(WIDE_TOPIC, payload, f"ticks {name}")


def _record(forward: Forward) -> NewRecord:
    event = forward.event
    # With its name, since another log that was adopted gives the same offsets again.
    name = f"{event.offset}/{forward.partition}/{event.event.source}/{event.event.id}"
    dedup = (f"wide\x00{event.origin}", name)
    return NewRecord(RecordKind.EVENT, forward.key, encode_wide_event(event), dedup)
