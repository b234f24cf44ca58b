"""The second stage of wide rules: the same engine over the partitions of `ioc.wide`."""

from functools import partial
from typing import ClassVar

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from ioc.app.rules.partition import PartitionWork, Stored
from ioc.app.rules.sets import Programs
from ioc.app.rules.warm_ups import GoOn, Warmed
from ioc.app.rules.worker import RulesWorker
from ioc.eventlog.port import partition_of
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, Batch, Record, RecordKind
from ioc.model.wide import decode_origin_ticks, decode_wide_event
from ioc.rules.rule import Rule
from ioc.rules.silence import ExpectedSource
from ioc.rules.wide_forward import route_key
from ioc.rules.wide_merge import Ahead, WideMerge

DONE_KEY = "done"
"""State row of the newest tick the engine has taken."""

_log = structlog.get_logger()
_held = Gauge("ioc_rules_wide_held", "Events of wide rules that wait for a lagging partition", ["partition"])
_refused = Counter("ioc_rules_wide_refused_total", "Events refused because too many waited already")
_poison = Counter("ioc_rules_wide_poison_total", "Records of ioc.wide that could not be decoded")


class WideRulesWorker(RulesWorker):
    """Runs the wide rules over every partition of `ioc.wide` that this process owns."""

    topic: ClassVar[str] = WIDE_TOPIC
    role: ClassVar[str] = "wide rules"

    async def _consume(self) -> None:
        self._merges: dict[int, WideMerge] = {}
        self._shares: dict[int, tuple[Programs, Programs]] = {}
        await super()._consume()

    async def _begin(self, work: PartitionWork, stored: Stored) -> None:
        origins = len(await self._log.ends(EVENTS_TOPIC))
        self._merges[work.number] = WideMerge(
            origins, stored.moment(DONE_KEY), max_held=self._settings.wide_held
        )

    async def _programs(self, partition: int, version: int) -> Programs:
        wide = (await self._rules.programs(version, self._directory.index)).wide
        known = self._shares.get(partition)
        if known is not None and known[0] is wide:
            return known[1]
        count = len(await self._log.ends(WIDE_TOPIC))

        def owns(rule: Rule, key: str) -> bool:
            names = [field.name for field in rule.by]
            return partition_of(route_key(names, key), count) == partition

        shared = wide.shared(owns)
        self._shares[partition] = wide, shared
        return shared

    async def _adopted(self, work: PartitionWork) -> None:
        pass  # nothing is passed on from here

    def _expected(self, partition: int) -> dict[str, ExpectedSource]:
        return {}  # only rules by source expect anything, and none of them is wide

    async def _process(self, batch: Batch) -> None:
        work = await self._work_of(batch)
        self._count_taken(len(batch.records))
        merge = self._merges[work.number]
        refused = merge.refused
        for record in batch.records:
            _take(merge, record)
        _refused.inc(merge.refused - refused)
        await self._decide(work, batch.next_offset)

    async def _decide(self, work: PartitionWork, next_offset: int) -> None:
        """Take every second that is ready, up to one before which the rules have to run over the past."""
        merge = self._merges[work.number]
        while (ahead := merge.ahead()) is not None:
            warmed = None
            if ahead.version > work.version:
                warmed = await self._warmed(work, ahead, partial(self._decide, work, next_offset))
                if warmed is None:
                    break
                programs = await self._programs(work.number, ahead.version)
                await self._activate(work, ahead.version, programs, merge.position(next_offset), warmed)
            second = merge.take(ahead)
            items = warmed.second if warmed and warmed.second else [(0, item) for item in second.items]
            self._apply(work, items, work.next_offset)
        work.moments[DONE_KEY] = merge.done
        work.next_offset, work.dirty = merge.position(next_offset), True
        _held.labels(str(work.number)).set(merge.held)

    async def _warmed(self, work: PartitionWork, ahead: Ahead, go_on: GoOn) -> Warmed | None:
        """Return what the rules that start fresh have found in the past; None where they run over it yet."""
        warm_us = await self._rules.warm_us_between(work.version, ahead.version)
        if not warm_us:
            return Warmed()
        found = self._warm_ups.result(work, ahead.version)
        if found is None:
            programs = await self._programs(work.number, ahead.version)
            wide = (await self._rules.programs(ahead.version, self._directory.index)).wide
            count = len(await self._log.ends(WIDE_TOPIC))
            warm = self._warmer.warm_wide(work, programs, wide, warm_us, ahead, count)
            self._warm_ups.begin(work, ahead.version, warm, go_on)
        return found


def _take(merge: WideMerge, record: Record) -> None:
    try:
        if record.kind is RecordKind.EVENT:
            merge.take_event(decode_wide_event(record.payload), record.offset)
        elif record.kind is RecordKind.CONTROL:
            for tick in decode_origin_ticks(record.payload):
                merge.take_tick(tick, record.offset)
    except msgspec.DecodeError:
        # The first stage wrote it, so this is a fault of ours (or of a newer version).
        _poison.inc()
        _log.error("a record of ioc.wide cannot be decoded", offset=record.offset)
