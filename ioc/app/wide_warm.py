"""Before a pushed wide rule goes live it may run over the past of every partition of `ioc.events`.

What is read is decided by the log alone: from the first record of the time asked for (at most
`rules.warm_records` of each origin) to the tick at which the partition of `ioc.wide` switches. So a restart
or a replay warms to the same state, and every partition of `ioc.wide` does so by itself, with its own keys.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import Counter

from ioc.app.rule_sets import Programs
from ioc.app.rule_warm import POLL_S, TELL_S, Tell, first_at, warm_records
from ioc.app.rules_partition import Item, Lane, PartitionWork, Planted, decode
from ioc.app.settings_sections import RulesSettings
from ioc.eventlog.port import EventLog, partition_of
from ioc.geo.index import AreaIndex
from ioc.model.events import Event
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, Activate, Tick
from ioc.model.times import SECOND_US
from ioc.rules.compile import compile_rules, share
from ioc.rules.rule import Rule
from ioc.rules.warm import WarmUp, rules_to_warm
from ioc.rules.wide_warm import WidePast

_log = structlog.get_logger()
_refused = Counter("ioc_rules_wide_warm_refused_total", "Events of the past refused because too many waited")


@dataclass(frozen=True)
class Past:
    """What was found: the state to begin with, and the events of the switch's second by the new rules."""

    planted: dict[Lane, Planted] = field(default_factory=dict)
    second: list[Event | Tick] | None = None
    """None: nothing was warmed, and what `ioc.wide` holds is all there is."""


class WideWarmer:
    """Reads the past of all origins for the wide rules of one partition about to switch."""

    def __init__(self, log: EventLog, settings: RulesSettings) -> None:
        self._log = log
        self._settings = settings

    async def warm(
        self,
        work: PartitionWork,
        programs: Programs,
        owns: Callable[[Rule, str], bool],
        index: AreaIndex,
        *,
        warm_us: int,
        until_us: int,
        tell: Tell,
    ) -> Past:
        """Warm what starts fresh with `programs` (all wide rules) at the second that ends with `until_us`."""
        began_s, now_us = time.monotonic(), work.engine.now_us
        lateness_us = int(self._settings.lateness_s * SECOND_US)
        pasts: dict[Lane, WarmUp] = {}
        for lane, engine, program in work.lanes(programs):
            if rules := rules_to_warm(engine, program):
                shared = share(compile_rules(rules, index), owns)
                pasts[lane] = WarmUp(shared, partition=work.number, lateness_us=lateness_us)
        if not pasts or now_us is None:
            return Past()
        ends = await self._log.ends(EVENTS_TOPIC)
        starts = {
            origin: await self._start(origin, end, now_us - warm_us, until_us) for origin, end in ends.items()
        }
        count = len(await self._log.ends(WIDE_TOPIC))
        past = WidePast(
            origins=len(ends),
            partition=work.number,
            partition_of=lambda key: partition_of(key, count),
            programs=(programs.active, programs.shadow),
            pasts=tuple(pasts.values()),
            until_us=until_us,
        )
        await self._read(past, starts, ends, tell)
        _refused.inc(past.refused)
        _log.info(
            "wide rules warmed",
            partition=work.number,
            seconds=round(time.monotonic() - began_s, 3),
            refused=past.refused,
        )
        return Past({lane: Planted(*each.result()) for lane, each in pasts.items()}, past.second)

    async def _start(self, origin: int, end: int, from_us: int, until_us: int) -> int:
        """Return where to begin to read an origin."""
        first = await first_at(self._log, origin, from_us, end)
        most = await first_at(self._log, origin, until_us, end) - self._settings.warm_records
        if most > first:
            _log.warning("warm-up cut short by rules.warm_records", origin=origin, from_offset=most)
        return max(first, most)

    async def _read(self, past: WidePast, starts: dict[int, int], ends: dict[int, int], tell: Tell) -> None:
        reader = await self._log.tail(EVENTS_TOPIC, starts)
        total = max(1, sum(ends.values()) - sum(starts.values()))
        told_s, taken = time.monotonic(), 0
        while not past.complete:
            for batch in await reader.poll(self._settings.batch_records, POLL_S):
                if past.ended(batch.partition):
                    continue
                items: list[Item] = [
                    (offset, item) for offset, item in decode(batch.records) if not isinstance(item, Activate)
                ]
                past.take(batch.partition, items)
                taken += len(batch.records)
                warm_records.inc(len(batch.records))
            if time.monotonic() - told_s >= TELL_S:
                told_s = time.monotonic()
                await tell(min(1.0, taken / total))
