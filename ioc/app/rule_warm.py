"""Before a pushed rule goes live on a partition it may run over the partition's past, read from the log.

The records between the first tick of the time asked for and the activation are the same whenever they are
read, so a restart or a replay warms to the same state. At most `rules.warm_records` are read: then the time
begins later, which the log says.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
from prometheus_client import Counter

from ioc.app.rule_sets import Programs
from ioc.app.rules_partition import Item, Lane, PartitionWork, Planted, decode
from ioc.app.settings_sections import RulesSettings
from ioc.eventlog.port import EventLog
from ioc.geo.index import AreaIndex
from ioc.model.records import EVENTS_TOPIC, Activate, Record, Tick
from ioc.model.times import SECOND_US
from ioc.rules.compile import compile_rules
from ioc.rules.warm import WarmUp, rules_to_warm

POLL_S: Final = 0.5
LOOK_RECORDS: Final = 50
"""Records looked at to find one that has a time."""
TELL_S: Final = 0.5

Tell = Callable[[float], Awaitable[None]]
"""Told the share done, 0 to 1."""

_log = structlog.get_logger()
_records = Counter("ioc_rules_warm_records_total", "Log records read to warm rules before they go live")


class RuleWarmer:
    """Reads the past of partitions for rules about to be activated."""

    def __init__(self, log: EventLog, settings: RulesSettings) -> None:
        self._log = log
        self._settings = settings

    async def warm(
        self,
        work: PartitionWork,
        programs: Programs,
        index: AreaIndex,
        control: Activate,
        offset: int,
        tell: Tell,
    ) -> dict[Lane, Planted]:
        """Return what the rules that start fresh at `offset` find in the time before it, by lane."""
        began_s = time.monotonic()
        pasts: dict[Lane, WarmUp] = {}
        for lane, engine, program in work.lanes(programs):
            rules = rules_to_warm(engine, program)
            if rules:
                pasts[lane] = WarmUp(
                    compile_rules(rules, index),
                    partition=work.number,
                    lateness_us=int(self._settings.lateness_s * SECOND_US),
                )
        now_us = work.engine.now_us
        if not pasts or now_us is None:
            return {}
        first = await self._first_at(work.number, now_us - control.warm_us, offset)
        start = max(first, offset - self._settings.warm_records)
        if start > first:
            _log.warning("warm-up cut short by rules.warm_records", partition=work.number, from_offset=start)
        await self._read(work.number, start, offset, pasts.values(), tell)
        _log.info(
            "rules warmed",
            partition=work.number,
            version=control.version,
            records=offset - start,
            seconds=round(time.monotonic() - began_s, 3),
        )
        return {lane: Planted(*past.result()) for lane, past in pasts.items()}

    async def _read(self, partition: int, start: int, end: int, pasts: Iterable[WarmUp], tell: Tell) -> None:
        reader = await self._log.tail(EVENTS_TOPIC, {partition: start})
        told_s, next_offset = time.monotonic(), start
        while next_offset < end:
            for batch in await reader.poll(self._settings.batch_records, POLL_S):
                if batch.partition != partition:
                    continue
                records = [record for record in batch.records if record.offset < end]
                items: list[Item] = [
                    (offset, item) for offset, item in decode(records) if not isinstance(item, Activate)
                ]
                for past in pasts:
                    past.take(items)
                next_offset = batch.next_offset
                _records.inc(len(records))
            if time.monotonic() - told_s >= TELL_S:
                told_s = time.monotonic()
                await tell((next_offset - start) / (end - start))

    async def _first_at(self, partition: int, time_us: int, end: int) -> int:
        """Return the first offset before `end` whose record is of `time_us` or later, by bisection."""
        low, high = 0, end
        while low < high:
            middle = (low + high) // 2
            found = await self._time_at(partition, middle, end)
            if found is None or found[1] >= time_us:
                high = middle
            else:
                low = max(middle, found[0]) + 1
        return low

    async def _time_at(self, partition: int, offset: int, end: int) -> tuple[int, int] | None:
        """Return offset and time of the first record from `offset` on that has one and lies before `end`."""
        reader = await self._log.tail(EVENTS_TOPIC, {partition: offset})
        while reader.positions()[partition] < end:
            for batch in await reader.poll(LOOK_RECORDS, POLL_S):
                if batch.partition == partition:
                    for record, item in _timed(batch.records):
                        return (record.offset, item) if record.offset < end else None
        return None


def _timed(records: Iterable[Record]) -> Iterable[tuple[Record, int]]:
    for record in records:
        for _, item in decode([record]):
            if isinstance(item, Tick):
                yield record, item.now_us
            elif not isinstance(item, Activate):
                yield record, item.received_us
