"""The real pipeline over one database and one log: the hosts, and how they work."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from random import Random
from typing import Final

from prometheus_client import CollectorRegistry
from psycopg import OperationalError

from ioc.app.feed.source import FeedSource
from ioc.app.retry import RETRYABLE
from ioc.app.rules.push import PushRefused, RulePublisher, plan_push
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings.sections import RulesSettings, StoreSettings
from ioc.app.store_worker import StoreWorker
from ioc.app.views import StoredQuarantine
from ioc.eventlog.append_queue import Pending
from ioc.eventlog.memory import MemoryLog
from ioc.eventlog.port import LogRetryable
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.ports import TooFast, Unavailable
from ioc.ingest.service import IngestAnswer, IngestService
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, NewRecord
from ioc.model.times import SECOND_US
from ioc.store.positions import StorePositions, standings
from ioc.store.quarantine import Quarantine, QuarantineLimits
from ioc.store.writer import HistoryWriter
from tests.simulation.city import City
from tests.simulation.clock import Clock
from tests.simulation.faults import Faults
from tests.simulation.invariants import ALL, Broken, FeedReader, PositionWatch
from tests.simulation.ledger import Body
from tests.simulation.log import HostLog, ProcessLog
from tests.simulation.process import Process, Visitor
from tests.simulation.shares import Shares

PARTITIONS: Final = {EVENTS_TOPIC: 2, WIDE_TOPIC: 2}
BOUNDS: Final = (106.2, 10.7, 107.1, 11.65)
RULES: Final = RulesSettings()
STORE: Final = StoreSettings(linger_s=1e-6)
MOST_ROUNDS: Final = 200
"""Turns of every process after which everything must have been worked off, the faults being over."""
FEED_PAGE: Final = 7


async def new_log(clock: Clock) -> MemoryLog:
    """Return an empty log."""
    log = MemoryLog(clock=clock)
    for topic, partitions in PARTITIONS.items():
        await log.create_topic(topic, partitions)
    return log


async def copy_of(log: MemoryLog, clock: Clock) -> MemoryLog:
    """Return a log with the same events and ticks, before anything was passed on for wide rules."""
    copy = await new_log(clock)
    for partition in range(PARTITIONS[EVENTS_TOPIC]):
        found = log.read(EVENTS_TOPIC, partition, 0, ALL)
        records = [NewRecord(record.kind, "", record.payload) for record in found]
        await copy._admit(Pending(EVENTS_TOPIC, records, [partition] * len(records)))
    return copy


class World:
    """Log, database and the processes of each role; several of each, so that they can take over."""

    def __init__(
        self,
        city: City,
        log: MemoryLog,
        clock: Clock,
        faults: Faults,
        random: Random,
        group: asyncio.TaskGroup,
    ) -> None:
        self.city = city
        self.log = log
        self.clock = clock
        self.pool = city.pool()
        self.rules = RuleSets(self.pool)
        self.feed = FeedReader()
        self.processes: list[Process] = []
        self._watch = PositionWatch(self.pool)
        self._shares = Shares()
        self._faults = faults
        self._random = random
        self._group = group
        self._ticker = HostLog(log, Visitor("ticker", faults))
        self.ingest = self._ingest(Visitor("ingest", faults))
        self._desk = Visitor("desk", faults)
        self._source = FeedSource(city.pool(Visitor("feed", faults)))

    def _ingest(self, host: Visitor) -> IngestService:
        registry, limits = self.city.directory.registry, IngestLimits()
        return IngestService(
            log=HostLog(self.log, host),
            quarantine=StoredQuarantine(self.city.pool(host), QuarantineLimits()),
            registry=registry,
            gateway=Gateway(registry, self.city.directory, BOUNDS, limits),
            metrics=IngestMetrics(CollectorRegistry()),
            clock=self.clock,
            limits=limits,
            retryable=RETRYABLE,
        )

    # processes --------------------------------------------------------------------------------------------

    def add_store(self, count: int) -> None:
        """Add processes of the store role."""
        self._add("store", "store", EVENTS_TOPIC, self._store, count)

    def add_rules(self, count: int) -> None:
        """Add processes of both stages of the rules role."""
        self._add("rules", "rules", EVENTS_TOPIC, self._rules, count)
        self._add("wide", "rules", WIDE_TOPIC, self._wide, count)

    def _add(
        self, name: str, group: str, topic: str, role: Callable[[Process], Awaitable[None]], count: int
    ) -> None:
        found = [
            Process(f"{name}-{number}", self._faults, self._shares, self._group, role, self._watch.look)
            for number in range(count)
        ]
        for process, rival in zip(found, found[1:] + found[:1], strict=True):
            process.rival = rival if rival is not process else None
        for partition in range(PARTITIONS[topic]):
            self._shares.give(group, topic, partition, found[partition % count].name)
        self.processes += found

    async def _store(self, process: Process) -> None:
        log, pool = self._log_of(process), self.city.pool(process)
        await StoreWorker(log, pool, HistoryWriter(), STORE, process.name, Quarantine()).run()

    async def _rules(self, process: Process) -> None:
        log, pool = self._log_of(process), self.city.pool(process)
        await RulesWorker(log, pool, self.rules, RULES, process.name, self.city.directory).run()

    async def _wide(self, process: Process) -> None:
        log, pool = self._log_of(process), self.city.pool(process)
        await WideRulesWorker(log, pool, self.rules, RULES, process.name, self.city.directory).run()

    def _log_of(self, process: Process) -> ProcessLog:
        return ProcessLog(self.log, process, self._shares, StorePositions(self.pool), self._random)

    # what happens -----------------------------------------------------------------------------------------

    async def send(self, body: Body) -> IngestAnswer | None:
        """Send a body, and keep the first acknowledgement."""
        body.tries += 1
        try:
            answer = await self.ingest.accept(body.device, body.payload, "application/x-ndjson")
        except (Unavailable, TooFast):
            return None
        if body.answer is None:
            body.answer, body.answered_us = answer, self.clock.now_us
        return answer

    async def tick(self) -> None:
        """Let the clock's process write the present second into the log."""
        second_us = self.clock.now_us - self.clock.now_us % SECOND_US
        with suppress(LogRetryable):  # missed: the next one makes up for it
            await self._ticker.append_ticks(EVENTS_TOPIC, second_us)

    async def push(self, files: Mapping[str, str]) -> None:
        """Let an engineer push other rules; where that fails half-way, the rules role announces them."""
        pool, index = self.city.pool(self._desk), self.city.directory.index
        publisher = RulePublisher(pool, HostLog(self.log, self._desk), self.rules)
        plan = plan_push(await self.rules.newest(), files, index, shadow=False)
        with suppress(PushRefused, OperationalError, LogRetryable):
            await publisher.push(plan, author="an")

    async def read_feed(self, limit: int = FEED_PAGE) -> None:
        """Let the console read on."""
        self.feed.take(await self._source.read(self.feed.after, limit))

    async def settle(self) -> None:
        """Work off what is there.

        Raises:
            Broken: something stays behind.
        """
        for _ in range(MOST_ROUNDS):
            self.clock.pass_time(2 * SECOND_US)  # so that a commit of quiet state is due
            for process in self.processes:
                await process.turn()
            if not (behind := await self._behind()):
                return
        raise Broken(f"after {MOST_ROUNDS} turns of every process: {', '.join(behind)}")

    async def _behind(self) -> list[str]:
        """Return which group has not come to the end of which partition."""
        async with self.pool.connection() as connection:
            reached = {(s.group, s.topic, s.partition): s.next_offset for s in await standings(connection)}
        ends = {topic: await self.log.ends(topic) for topic in PARTITIONS}
        return [
            f"{group} stands at {come} of {end} in {topic}/{partition}"
            for group, topic, partition in self._shares.partitions()
            if (come := reached.get((group, topic, partition), 0)) < (end := ends[topic][partition])
        ]

    async def end(self) -> None:
        """End every process."""
        for process in self.processes:
            await process.kill()
