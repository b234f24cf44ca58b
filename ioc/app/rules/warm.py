"""Before a pushed rule goes live on a partition it may run over the past, read from the log.

The records between the first tick of the time asked for and the switch are the same whenever they are read,
so a restart or a replay warms to the same state. Of each partition at most `rules.warm_records` are read: the
time then begins later, which the log says.

A local rule's past lies in its own partition, before the control record. A wide rule's past lies in all of
them and runs through both stages: `ioc.rules.wide_warm`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from ioc.app.eventlog.past import LogPast, Stretch
from ioc.app.rules.partition import Item, Lane, PartitionWork, Planted
from ioc.app.rules.sets import Programs
from ioc.app.rules.warm_ups import Warmed
from ioc.app.settings.sections import RulesSettings
from ioc.eventlog.port import EventLog, partition_of
from ioc.model.times import SECOND_US
from ioc.model.wide import BEFORE_TIME, Moment
from ioc.rules.warm import WarmUp, rules_to_warm
from ioc.rules.wide_merge import Ahead
from ioc.rules.wide_warm import ClockPutBack, WidePast

UNEVEN_US: Final = 10 * SECOND_US
"""So much records may stand out of the order of their times: of several partitions all that lies within it
is read, so that all begin at the same tick."""

_log = structlog.get_logger()
_records = Counter("ioc_rules_warm_records_total", "Log records read to warm rules before they go live")
_took = Histogram(
    "ioc_rules_warm_seconds",
    "Time one partition's warm-up took",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900),
)
_abandoned = Counter(
    "ioc_rules_warm_abandoned_total",
    "Warm-ups of wide rules given up, so that they began fresh: the clock was put back, records are gone",
    ["reason"],
)


class RuleWarmer:
    """Runs rules about to be activated over the past."""

    def __init__(self, log: EventLog, settings: RulesSettings) -> None:
        self._past = LogPast(log)
        self._settings = settings

    async def warm(self, work: PartitionWork, programs: Programs, warm_us: int, offset: int) -> Warmed:
        """Return what the local rules that start fresh at `offset` find in the time before it."""
        pasts, now_us = self._pasts(work, programs), work.engine.now_us
        if not pasts or now_us is None:
            return Warmed()
        first = await self._past.first_at(work.number, now_us - warm_us, offset)
        start = await self._bounded(work, work.number, first, offset)

        def take(_: int, items: list[Item]) -> None:
            for past in pasts.values():
                past.take(items)

        await self._read(work, [await self._past.stretch(work.number, start, offset)], take)
        return Warmed(_planted(pasts))

    async def warm_wide(
        self, work: PartitionWork, programs: Programs, wide: Programs, warm_us: int, switch: Ahead, count: int
    ) -> Warmed:
        """Return what the wide rules that start fresh at `switch` find in the time before it.

        Args:
            work: a partition of the second stage.
            programs: what it is to run: of each rule the keys it answers for.
            wide: what the first stages filter for.
            warm_us: how much of the past.
            switch: the second before which the partition switches.
            count: the number of partitions of the second stage.
        """
        pasts, now_us = self._pasts(work, programs), work.engine.now_us
        if not pasts or now_us is None:
            return Warmed()
        if min(switch.heads) < 0:
            return _given_up(work, "records")
        from_us, starts = await self._starts(work, now_us - warm_us, switch)
        lanes = (wide.active, wide.shadow)
        past = WidePast(
            switch,
            from_us,
            work.number,
            lambda key: partition_of(key, count),
            lanes,
            pasts.values(),
            max_keys=self._settings.wide_keys,
            max_held=self._settings.wide_held,
        )
        stretches = [
            await self._past.stretch(origin, start, head + 1)
            for origin, (start, head) in enumerate(zip(starts, switch.heads, strict=True))
        ]
        try:
            await self._read(work, stretches, past.take, past.moment)
        except ClockPutBack:
            return _given_up(work, "clock")
        second = past.second()
        if second is None or past.refused:
            return _given_up(work, "records")
        return Warmed(_planted(pasts), [(0, item) for item in second.items])

    async def _starts(self, work: PartitionWork, from_us: int, switch: Ahead) -> tuple[int, list[int]]:
        """Return where the past begins, and from where each origin must be read for it."""
        starts: list[int] = []
        for origin, head in enumerate(switch.heads):
            first = await self._past.first_at(origin, from_us - UNEVEN_US, head)
            start = await self._bounded(work, origin, first, head + 1)
            if start > first:
                cut = await self._past.time_at(origin, start, head + 1)
                from_us = max(from_us, cut[1] + UNEVEN_US if cut else from_us)
            starts.append(start)
        return from_us, starts

    def _pasts(self, work: PartitionWork, programs: Programs) -> dict[Lane, WarmUp]:
        pasts: dict[Lane, WarmUp] = {}
        for lane, engine, program in work.lanes(programs):
            fresh = rules_to_warm(engine, program)
            if fresh.rules:
                lateness_us = int(self._settings.lateness_s * SECOND_US)
                pasts[lane] = WarmUp(fresh, partition=work.number, lateness_us=lateness_us)
        return pasts

    async def _bounded(self, work: PartitionWork, origin: int, first: int, end: int) -> int:
        start = max(first, end - self._settings.warm_records)
        if start > first:
            _log.warning("warm-up cut short by rules.warm_records", partition=work.number, from_offset=start)
        laid_out = await self._past.laid_out_from(origin)
        if laid_out > start:
            _log.warning(
                "warm-up cut short, partitions were added", partition=work.number, from_offset=laid_out
            )
        return max(start, min(laid_out, end))

    async def _read(
        self,
        work: PartitionWork,
        stretches: Sequence[Stretch],
        take: Callable[[int, list[Item]], None],
        moment: Callable[[int], Moment] = lambda _: BEFORE_TIME,
    ) -> None:
        """Let `take` have all records, slice by slice, each next of the stretch whose `moment` is oldest."""
        began_s, size = time.monotonic(), sum(stretch.size for stretch in stretches)
        while rest := [number for number, stretch in enumerate(stretches) if not stretch.done]:
            number = min(rest, key=moment)
            items = await stretches[number].take(self._settings.batch_records)
            take(number, items)
            _records.inc(len(items))
            work.warming = round(sum(stretch.read for stretch in stretches) / size, 3)
        took_s = time.monotonic() - began_s
        _took.observe(took_s)
        if lost := sum(stretch.lost for stretch in stretches):
            _log.warning("some of a warm-up's past is deleted already", partition=work.number, records=lost)
        _log.info("rules warmed", partition=work.number, records=size, seconds=round(took_s, 3))


def _planted(pasts: Mapping[Lane, WarmUp]) -> dict[Lane, Planted]:
    return {lane: Planted(*past.result()) for lane, past in pasts.items()}


def _given_up(work: PartitionWork, reason: str) -> Warmed:
    _abandoned.labels(reason).inc()
    _log.error("wide rules begin fresh, their past cannot be read", partition=work.number, reason=reason)
    return Warmed()
