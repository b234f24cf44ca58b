"""The rules role: log batches in, incidents out, everything of one step in one transaction.

The engine runs ahead of the database by at most `commit_s`: effects are committed at once, and the state of
quiet seconds together. What a crash loses of that is only ever unseen: the log is read again from the
committed position and, since ticks are records too, gives the same effects.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ioc.app.clock import now_us
from ioc.app.directory import Directory
from ioc.app.incident_service import apply_effects
from ioc.app.retry import with_retry
from ioc.app.rule_files import RuleFolder
from ioc.app.settings import RulesSettings
from ioc.eventlog.port import Consumer, EventLog, partition_of
from ioc.model.events import Event, Stream, decode_event
from ioc.model.incidents import Effect
from ioc.model.places import DeviceKind
from ioc.model.records import EVENTS_TOPIC, Batch, Record, RecordKind, Tick, decode_tick
from ioc.model.times import SECOND_US
from ioc.rules.engine import PartitionEngine
from ioc.rules.silence import ExpectedSource
from ioc.store.pool import Pool
from ioc.store.positions import Fenced, commit_position
from ioc.store.rule_state import StateRow, load_state, save_state, save_status

GROUP = "rules"
POLL_S = 0.2
STATUS_INTERVAL_S = 5.0
_STREAMS = {DeviceKind.CAMERA: Stream.CAMERA, DeviceKind.DETECTOR: Stream.TRAFFIC}

_log = structlog.get_logger()
_records = Counter("ioc_rules_records_total", "Log records the engine has taken", ["kind"])
_changes = Counter("ioc_rules_incident_changes_total", "Changes of incidents committed", ["op", "rule"])
_poison = Counter("ioc_rules_poison_total", "Log records that could not be decoded and were passed over")
_commit = Histogram("ioc_rules_commit_seconds", "Time of one commit of effects, state and position")
_engine = Histogram("ioc_rules_batch_seconds", "Time the engine spends on one batch")
_lag = Gauge("ioc_rules_watermark_age_seconds", "Age of the newest tick the engine has seen", ["partition"])


@dataclass(slots=True)
class _Partition:
    """One partition's engine and what it has decided since the last commit."""

    engine: PartitionEngine
    generation: int
    next_offset: int
    committed_at_s: float
    effects: list[Effect] = field(default_factory=list)
    dirty: bool = False


class RulesWorker:
    """Runs the engine over every partition this process owns."""

    def __init__(
        self,
        log: EventLog,
        pool: Pool,
        rules: RuleFolder,
        settings: RulesSettings,
        owner: str,
        directory: Directory,
    ) -> None:
        self._log = log
        self._pool = pool
        self._rules = rules
        self._places: tuple[object, object] = ((), None)
        self._settings = settings
        self._owner = owner
        self._directory = directory
        self._partitions: dict[int, _Partition] = {}
        self._status_at_s = 0.0
        self.newest_tick_us = 0

    async def run(self) -> None:
        """Work until cancelled; a lost database or log is waited for."""
        await with_retry("rules", self._consume)

    async def _consume(self) -> None:
        self._partitions.clear()
        async with self._log.consume(EVENTS_TOPIC, GROUP, self._owner) as consumer:
            while True:
                batches = await consumer.poll(self._settings.batch_records, POLL_S)
                self._drop_unassigned(consumer.assigned())
                await self._follow_directory()
                for batch in batches:
                    await self._process(batch)
                await self._commit_due(consumer)
                await self._publish_status()

    def _drop_unassigned(self, assigned: Mapping[int, int]) -> None:
        for partition in [p for p, work in self._partitions.items() if assigned.get(p) != work.generation]:
            _log.info("partition handed over", partition=partition)
            del self._partitions[partition]

    async def _follow_directory(self) -> None:
        """Bring running engines up to new boundaries and devices; their state goes on."""
        program = self._rules.compiled_for(self._directory.index)
        places = (self._directory.devices, self._directory.index)
        places_changed = self._places != places
        self._places = places
        for partition, work in self._partitions.items():
            if work.engine.program is not program:
                work.engine.adopt(program)
                work.dirty = True
            if places_changed:
                work.engine.expect(await self._expected(partition))
                work.dirty = True

    async def _process(self, batch: Batch) -> None:
        work = self._partitions.get(batch.partition)
        if work is None or work.generation != batch.generation:
            work = await self._restore(batch)
        items = _decode(batch.records)
        with _engine.time():
            work.effects += work.engine.on_batch(items)
        work.next_offset = batch.next_offset
        work.dirty = True
        self._observe_ticks(batch.partition, items)

    async def _restore(self, batch: Batch) -> _Partition:
        async with self._pool.connection() as connection:
            rows = await load_state(connection, batch.partition)
        engine = PartitionEngine.restore(
            self._rules.compiled_for(self._directory.index),
            batch.partition,
            [(row.rule, row.key, row.data) for row in rows if row.data is not None],
            lateness_us=int(self._settings.lateness_s * SECOND_US),
            expected_sources=await self._expected(batch.partition),
        )
        work = _Partition(engine, batch.generation, batch.records[0].offset, time.monotonic())
        self._partitions[batch.partition] = work
        _log.info("partition taken", partition=batch.partition, generation=batch.generation, keys=len(rows))
        return work

    async def _expected(self, partition: int) -> dict[str, ExpectedSource]:
        """Return the devices of `partition` that should talk: a camera that never spoke is silent too."""
        count = len(await self._log.ends(EVENTS_TOPIC))
        expected: dict[str, ExpectedSource] = {}
        for device in self._directory.devices:
            if device.kind in _STREAMS and device.expected_interval_s:
                # The same ward as the gateway finds: it decides the partition of the device's events.
                ward = device.ward
                if ward is None and device.lon is not None and device.lat is not None:
                    ward = self._directory.ward_of(device.lon, device.lat)
                if partition_of(ward or device.id, count) == partition:
                    stream = _STREAMS[device.kind]
                    expected[device.id] = ExpectedSource(stream, ward, device.lon, device.lat)
        return expected

    def _observe_ticks(self, partition: int, items: Sequence[tuple[int, Event | Tick]]) -> None:
        for _, item in reversed(items):
            if isinstance(item, Tick):
                self.newest_tick_us = max(self.newest_tick_us, item.now_us)
                _lag.labels(str(partition)).set((now_us() - item.now_us) / SECOND_US)
                return

    async def _commit_due(self, consumer: Consumer) -> None:
        now_s = time.monotonic()
        for partition, work in list(self._partitions.items()):
            if work.effects or (work.dirty and now_s - work.committed_at_s >= self._settings.commit_s):
                try:
                    await self._commit(partition, work)
                except Fenced:
                    _log.warning(
                        "partition was taken over, its uncommitted work is dropped", partition=partition
                    )
                    del self._partitions[partition]
                    await consumer.rewind(partition)

    async def _commit(self, partition: int, work: _Partition) -> None:
        changed = [StateRow(change.rule, change.key, change.data) for change in work.engine.drain_changes()]
        with _commit.time():
            async with self._pool.connection() as connection, connection.transaction():
                await commit_position(
                    connection, GROUP, EVENTS_TOPIC, partition, work.generation, work.next_offset
                )
                await save_state(connection, partition, changed)
                changes = await apply_effects(connection, work.effects) if work.effects else []
        for change in changes:
            _changes.labels(change.audit.op, change.incident.rule).inc()
        work.effects = []
        work.dirty = False
        work.committed_at_s = time.monotonic()

    async def _publish_status(self) -> None:
        if time.monotonic() - self._status_at_s < STATUS_INTERVAL_S:
            return
        self._status_at_s = time.monotonic()
        failures: dict[str, str] = {}
        for work in self._partitions.values():
            failures |= {
                rule: failure.message for rule, failure in work.engine.failures.items() if failure.disabled
            }
        statuses = [
            (rule.name, {"version": rule.version, "error": failures.get(rule.name)})
            for rule in self._rules.rules
        ]
        async with self._pool.connection() as connection:
            await save_status(connection, statuses)


def _decode(records: Sequence[Record]) -> list[tuple[int, Event | Tick]]:
    items: list[tuple[int, Event | Tick]] = []
    for record in records:
        try:
            if record.kind is RecordKind.EVENT:
                items.append((record.offset, decode_event(record.payload)))
            elif record.kind is RecordKind.TICK:
                items.append((record.offset, decode_tick(record.payload)))
        except msgspec.DecodeError:
            # The gateway wrote it, so this is a fault of ours (or of a newer version), not of a device.
            _poison.inc()
            _log.error("a log record cannot be decoded", offset=record.offset)
    _records.labels("all").inc(len(records))
    return items
