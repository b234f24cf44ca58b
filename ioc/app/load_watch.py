"""Looks once a second at how far consumers are behind, and has ingest shed what matters least."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from ioc.app.clock import now_us
from ioc.app.retry import RETRYABLE
from ioc.eventlog.port import EventLog
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.shedding import Level, LoadGauge, Progress, Shedder
from ioc.model.records import EVENTS_TOPIC
from ioc.store.pool import Pool
from ioc.store.positions import standings

LOOK_S: Final = 1.0

_log = structlog.get_logger()


class LoadWatch:
    """One in each process that takes events; `tell` hears of each change of the level."""

    def __init__(
        self,
        log: EventLog,
        pool: Pool,
        shedder: Shedder,
        metrics: IngestMetrics,
        after_s: float,
        tell: Callable[[Level], None],
    ) -> None:
        self._log = log
        self._pool = pool
        self._shedder = shedder
        self._metrics = metrics
        self._gauge = LoadGauge(after_s)
        self._tell = tell

    async def run(self) -> None:
        """Look until cancelled; while nobody can say how far consumers are, the level stays."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except RETRYABLE as error:
                _log.debug("load unknown", error=str(error))

    async def look(self) -> None:
        """Look once."""
        level = self._gauge.look(await self._groups(), now_us())
        self._metrics.delay_seconds.set(self._gauge.delay_s)
        if level is self._shedder.level:
            return
        self._shedder.level = level
        self._metrics.shed_level.set(level)
        _log.warning("load", shed=level.name.lower(), delay_s=round(self._gauge.delay_s, 1))
        self._tell(level)

    async def _groups(self) -> Mapping[str, Progress]:
        ends = await self._log.ends(EVENTS_TOPIC)
        taken: defaultdict[str, int] = defaultdict(int)
        behind: defaultdict[str, int] = defaultdict(int)
        async with self._pool.connection() as connection:
            for standing in await standings(connection):
                if standing.topic == EVENTS_TOPIC:
                    taken[standing.group] += standing.next_offset
                    behind[standing.group] += max(0, ends.get(standing.partition, 0) - standing.next_offset)
        return {group: Progress(taken[group], behind[group]) for group in taken}
