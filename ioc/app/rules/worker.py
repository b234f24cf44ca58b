"""The rules role: log batches in, incidents out, everything of one step in one transaction.

The engine runs ahead of the database by at most `commit_s`: effects are committed at once, and the state of
quiet seconds together. What a crash loses of that is only ever unseen: the log is read again from the
committed position and, since ticks are records too, gives the same effects.

New rules come as control records in the log: a partition switches exactly there, in the middle of a batch
if need be, and the switch is committed with the position behind it. So a restart or a replay switches at the
same record again.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import ClassVar

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ioc.app.directory import Directory
from ioc.app.incidents.effects import apply_effects
from ioc.app.incidents.log_line import log_change
from ioc.app.retry import with_retry
from ioc.app.rules.expected import of_partition
from ioc.app.rules.partition import Item, Lane, PartitionWork, Stored, decode, load
from ioc.app.rules.push import PushRefused, RulePublisher
from ioc.app.rules.sets import Programs, RuleSets, announce
from ioc.app.rules.slow import SlowRules
from ioc.app.rules.warm import RuleWarmer
from ioc.app.rules.warm_ups import GoOn, Warmed, WarmUps
from ioc.app.rules.wide_outlet import WideOutlet
from ioc.app.settings.sections import RulesSettings
from ioc.eventlog.port import Consumer, EventLog
from ioc.incidents.policies import Policies
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC, Activate, Batch, Tick
from ioc.model.times import SECOND_US
from ioc.model.tracing import NO_TRACER, Tracer, Value
from ioc.rules.silence import ExpectedSource
from ioc.store.pool import Pool
from ioc.store.positions import Fenced, commit_position
from ioc.store.rule_shadow import save_firings
from ioc.store.rule_state import save_state, save_status
from ioc.store.rule_versions import save_activation

GROUP = "rules"
POLL_S = 0.2
MAX_TRACED = 32
"""Spans of one commit."""
STATUS_INTERVAL_S = 5.0

_log = structlog.get_logger()
_records = Counter("ioc_rules_records_total", "Log records the engine has taken", ["kind"])
_changes = Counter("ioc_rules_incident_changes_total", "Changes of incidents committed", ["op", "rule"])
_commit = Histogram("ioc_rules_commit_seconds", "Time of one commit of effects, state and position")
_engine = Histogram("ioc_rules_batch_seconds", "Time the engine spends on one batch")
_watermark = Gauge(
    "ioc_rules_watermark_timestamp_seconds",
    "Newest tick the engine has taken, seconds since 1970",
    ["topic", "partition"],
)
_slow_disabled = Counter("ioc_rules_slow_disabled_total", "Rules disabled for being slow", ["rule", "lane"])
_version = Gauge("ioc_rules_version", "Version of the rules a partition runs", ["topic", "partition"])
_Places = tuple[object, object, object]


class RulesWorker:
    """Runs the engine over every partition of one topic that this process owns.

    This one runs the local rules over `ioc.events` and passes on what wide rules want (`WideOutlet`);
    `ioc.app.rules.wide_worker` runs those behind it.
    """

    topic: ClassVar[str] = EVENTS_TOPIC
    role: ClassVar[str] = "rules"

    def __init__(
        self,
        log: EventLog,
        pool: Pool,
        rules: RuleSets,
        settings: RulesSettings,
        owner: str,
        directory: Directory,
        policies: Callable[[], Policies] = Policies,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._policies = policies
        self._tracer = tracer
        self._log = log
        self._pool = pool
        self._rules = rules
        self._places: dict[int, _Places] = {}
        """What each partition's engines were told of devices, their times away, and areas."""
        self._settings = settings
        self._owner = owner
        self._directory = directory
        self._warmer = RuleWarmer(log, settings)
        self._publisher = RulePublisher(pool, log, rules)
        self._slow = SlowRules(settings.slow_us)
        self._taken = 0
        self._partitions: dict[int, PartitionWork] = {}
        self._count = 0
        self._outlet = WideOutlet(log, settings.wide_keys)
        self._status_at_s = 0.0
        self.newest_tick_us = 0

    async def run(self) -> None:
        """Work until cancelled; a lost database or log is waited for."""
        await with_retry(self.role, self._consume)

    async def _consume(self) -> None:
        self._partitions.clear()
        self._outlet.clear()
        async with (
            self._log.consume(self.topic, GROUP, self._owner) as consumer,
            asyncio.TaskGroup() as group,
        ):
            self._warm_ups = WarmUps(group)
            try:
                while True:
                    await self._step(consumer)
            finally:
                self._warm_ups.close()

    async def _step(self, consumer: Consumer) -> None:
        batches = await consumer.poll(self._settings.batch_records, POLL_S)
        self._drop_unassigned(consumer)
        await self._follow_directory()
        for partition, go_on in self._warm_ups.ready():
            consumer.resume(partition)
            await go_on()
        for batch in batches:
            try:
                await self._process(batch)
            except Fenced:
                await self._give_up(consumer, batch.partition)
        for partition in self._warm_ups:
            consumer.pause(partition)
        await self._outlet.flush()
        await self._commit_due(consumer)
        await self._publish_status()

    def _drop_unassigned(self, consumer: Consumer) -> None:
        assigned = consumer.assigned()
        for partition in [p for p, work in self._partitions.items() if assigned.get(p) != work.generation]:
            _log.info("partition handed over", partition=partition)
            self._drop(consumer, partition)

    def _drop(self, consumer: Consumer, partition: int) -> None:
        del self._partitions[partition]
        if partition in self._warm_ups:  # it may come back at once, as another generation
            self._warm_ups.drop(partition)
            consumer.resume(partition)

    async def _give_up(self, consumer: Consumer, partition: int) -> None:
        _log.warning("partition was taken over, its uncommitted work is dropped", partition=partition)
        if partition in self._partitions:
            self._drop(consumer, partition)
        await consumer.rewind(partition)

    async def _follow_directory(self) -> None:
        """Bring running engines up to new boundaries and devices; their state goes on."""
        places = self._known_places()
        for partition, work in self._partitions.items():
            if partition in self._warm_ups:
                continue  # once it has switched
            programs = await self._programs(partition, work.version)
            if not work.runs(programs):
                work.adopt(programs)
                await self._adopted(work)
            if self._places.get(partition) != places:
                work.expect(self._expected(partition))
                self._places[partition] = places

    async def _work_of(self, batch: Batch) -> PartitionWork:
        work = self._partitions.get(batch.partition)
        if work is None or work.generation != batch.generation:
            work = await self._restore(batch)
        return work

    async def _process(self, batch: Batch) -> None:
        work = await self._work_of(batch)
        run: list[Item] = []
        for offset, item in decode(batch.records):
            if isinstance(item, Activate):
                self._apply(work, run, offset)
                self._outlet.take(work, run)
                run = []
                rest = tuple(record for record in batch.records if record.offset >= offset)
                go_on = partial(self._process, msgspec.structs.replace(batch, records=rest))
                if not await self._switched(work, item, offset, go_on):
                    self._count_taken(len(batch.records) - len(rest))
                    return
            else:
                run.append((offset, item))
        self._apply(work, run, batch.next_offset)
        self._outlet.take(work, run)
        self._count_taken(len(batch.records))

    def _count_taken(self, records: int) -> None:
        _records.labels("all").inc(records)
        self._taken += records

    async def _programs(self, partition: int, version: int) -> Programs:
        """Return what a partition runs; the same object as long as nothing has changed."""
        return (await self._rules.programs(version, self._directory.index)).local

    async def _adopted(self, work: PartitionWork) -> None:
        """Let the stage of wide rules in the partition filter for what the partition runs now."""
        programs = await self._rules.programs(work.version, self._directory.index)
        self._outlet.adopt(work, programs.wide)

    def _apply(self, work: PartitionWork, items: Sequence[Item], next_offset: int) -> None:
        with _engine.time():
            work.apply(items, next_offset)
        self._observe_ticks(work.number, items)

    async def _switched(self, work: PartitionWork, control: Activate, offset: int, go_on: GoOn) -> bool:
        """Switch to the version of a control record; False where its rules run over the past before."""
        if control.version <= work.version:
            return True
        programs = await self._programs(work.number, control.version)
        warmed = self._warm_ups.result(work, control.version)
        if control.warm_us and warmed is None:
            warm = self._warmer.warm(work, programs, control.warm_us, offset)
            self._warm_ups.begin(work, control.version, warm, go_on)
            return False
        await self._activate(work, control.version, programs, offset, warmed or Warmed())
        return True

    async def _activate(
        self, work: PartitionWork, version: int, programs: Programs, offset: int, warmed: Warmed
    ) -> None:
        enabled = await self._rules.enabled_between(work.version, version)
        work.activate(version, programs, offset, enabled=enabled, planted=warmed.planted)
        await self._adopted(work)
        _version.labels(self.topic, str(work.number)).set(work.version)
        _log.info("rules switched", partition=work.number, version=version, offset=offset)

    async def _restore(self, batch: Batch) -> PartitionWork:
        self._count = len(await self._log.ends(self.topic))
        async with self._pool.connection() as connection:
            stored = await load(connection, GROUP, self.topic, batch.partition, batch.generation)
        programs = await self._programs(batch.partition, stored.version)
        self._places[batch.partition] = self._known_places()
        work = PartitionWork(
            batch.partition,
            stored,
            programs,
            batch.generation,
            batch.records[0].offset,
            lateness_s=self._settings.lateness_s,
            expected=self._expected(batch.partition),
        )
        self._partitions[batch.partition] = work
        await self._begin(work, stored)
        _version.labels(self.topic, str(batch.partition)).set(work.version)
        _log.info(
            "partition taken",
            topic=self.topic,
            partition=batch.partition,
            generation=batch.generation,
            rules=work.version,
            keys=len(stored.rows),
        )
        return work

    async def _begin(self, work: PartitionWork, stored: Stored) -> None:
        """Begin the stage of wide rules of a partition just taken."""
        programs = await self._rules.programs(work.version, self._directory.index)
        self._outlet.begin(work, stored, programs.wide, len(await self._log.ends(WIDE_TOPIC)))

    def _expected(self, partition: int) -> dict[str, ExpectedSource]:
        directory = self._directory
        return of_partition(directory.known, partition, self._count, directory.ward_of, directory.windows)

    def _known_places(self) -> _Places:
        return self._directory.known, self._directory.windows, self._directory.index

    def _observe_ticks(self, partition: int, items: Sequence[Item]) -> None:
        for _, item in reversed(items):
            if isinstance(item, Tick):
                self.newest_tick_us = max(self.newest_tick_us, item.now_us)
                _watermark.labels(self.topic, str(partition)).set(item.now_us / SECOND_US)
                return

    async def _commit_due(self, consumer: Consumer) -> None:
        now_s = time.monotonic()
        for partition, work in list(self._partitions.items()):
            decided = work.effects or work.firings or work.activation
            if decided or (work.dirty and now_s - work.committed_at_s >= self._settings.commit_s):
                try:
                    await self._commit(partition, work)
                except Fenced:
                    await self._give_up(consumer, partition)

    async def _commit(self, partition: int, work: PartitionWork) -> None:
        changed = work.changed_rows()
        with _commit.time(), self._traced(work):
            async with self._pool.connection() as connection, connection.transaction():
                await commit_position(
                    connection, GROUP, self.topic, partition, work.generation, work.next_offset
                )
                await save_state(connection, self.topic, partition, changed)
                if work.activation:
                    await save_activation(connection, self.topic, work.activation)
                if work.firings:
                    await save_firings(connection, work.firings)
                changes = (
                    await apply_effects(connection, work.effects, self._policies()) if work.effects else []
                )
            for change in changes:
                _changes.labels(change.audit.op, change.incident.rule).inc()
                log_change(change)
        work.committed()

    @contextmanager
    def _traced(self, work: PartitionWork) -> Iterator[None]:
        """Measure a commit in the trace of each event that raised something with it."""
        with ExitStack() as spans:
            for raised, trace in work.traced[:MAX_TRACED]:
                values: dict[str, Value] = {"ioc.rule": raised.rule, "ioc.incident.id": raised.incident_id}
                incident = raised.incident_id
                spans.enter_context(
                    self._tracer.span("raise", parent=trace, incident=incident, values=values)
                )
            yield

    async def _publish_status(self) -> None:
        if time.monotonic() - self._status_at_s < STATUS_INTERVAL_S:
            return
        self._status_at_s = time.monotonic()
        async with self._pool.connection() as connection:
            for partition, work in sorted(self._partitions.items()):
                await save_status(connection, self.topic, partition, work.status())
        await self._disable_slow()
        # Where a push died between storing its version and telling the log.
        for version in await announce(self._pool, self._log):
            _log.info("rules announced", version=version)

    async def _disable_slow(self) -> None:
        """Switch off rules that cost the others their time, as a version of the rules like any other."""
        seconds: dict[tuple[Lane, str], float] = {}
        for work in self._partitions.values():
            for lane, engine in work.engines():
                for rule, spent_s in engine.seconds.items():
                    seconds[lane, rule] = seconds.get((lane, rule), 0.0) + spent_s
        taken, self._taken = self._taken, 0
        for lane, rule, us_per_record in self._slow.judge(seconds, taken):
            budget = f"{self._settings.slow_us:,} are allowed (rules.slow_us)"
            reason = f"slow: {us_per_record:,.0f} µs per record, {budget}"
            try:
                version = await self._publisher.switch(
                    rule, self._directory.index, on=False, author="ioc", reason=reason, lane=lane
                )
            except PushRefused as refused:  # another worker was first, or somebody has changed the rules
                _log.info("a slow rule was not disabled", rule=rule, lane=lane, reason=str(refused))
                continue
            _slow_disabled.labels(rule, lane).inc()
            _log.error("a slow rule was disabled", rule=rule, lane=lane, version=version, reason=reason)
