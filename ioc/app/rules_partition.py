"""One partition of the rules role: its engines, where its rules switch, and what is not committed yet."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from ioc.app.rule_sets import Programs
from ioc.model.events import Event, decode_event
from ioc.model.incidents import Effect
from ioc.model.records import Activate, Record, RecordKind, Tick, decode_control, decode_tick
from ioc.model.times import SECOND_US
from ioc.model.wide import BEFORE_TIME, Moment
from ioc.rules.engine import PartitionEngine
from ioc.rules.silence import ExpectedSource
from ioc.store.rule_state import PartitionStatus, RuleReport, StateRow, load_state
from ioc.store.rule_versions import Activation, read_activation

SHADOW_MARK = "~"
"""Before the rule of a stored row: it is a shadow's. No rule's name begins with it."""
STATUS_DETAIL_CHARS = 500

Item = tuple[int, Event | Tick]

_log = structlog.get_logger()
_records = Counter("ioc_rules_records_total", "Log records the engine has taken", ["kind"])
_poison = Counter("ioc_rules_poison_total", "Log records that could not be decoded and were passed over")
_failures = Counter("ioc_rules_failures_total", "Times a rule failed", ["rule", "lane"])
_seconds = Counter("ioc_rules_rule_seconds_total", "Time a rule has taken", ["rule", "lane"])
_shadow_raised = Counter(
    "ioc_rules_shadow_raised_total", "Incidents a shadow rule would have raised", ["rule"]
)


class Stored(NamedTuple):
    """What the database holds of a partition."""

    version: int
    rows: list[StateRow]

    def moment(self, key: str) -> Moment:
        """Return the moment stored under `key`; before all time where there is none."""
        found = (row.data for row in self.rows if (row.rule, row.key) == ("", key) and row.data is not None)
        return next((msgspec.msgpack.decode(data, type=Moment) for data in found), BEFORE_TIME)


async def load(connection: AsyncConnection[Any], topic: str, partition: int) -> Stored:
    """Read a partition's version and state, both of one moment."""
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        version = await read_activation(connection, topic, partition)
        return Stored(version, await load_state(connection, topic, partition))


class PartitionWork:
    """The engines of one partition and what they have decided since the last commit.

    Active rules and shadows run in engines of their own over the same records, so that a shadow can neither
    share nor spoil anything of what is real.
    """

    def __init__(
        self,
        number: int,
        stored: Stored,
        programs: Programs,
        generation: int,
        next_offset: int,
        *,
        lateness_s: float,
        expected: Mapping[str, ExpectedSource],
    ) -> None:
        self.number = number
        self.version = stored.version
        """Asked for; `programs.version` is what runs."""
        self.generation = generation
        self.next_offset = next_offset
        self.committed_at_s = time.monotonic()
        self.effects: list[Effect] = []
        self.firings: list[Effect] = []
        """Effects of shadow rules: counted and kept, never carried out."""
        self.activation: Activation | None = None
        """Not yet committed."""
        self.moments: dict[str, Moment] = {}
        """Ticks a stage of wide rules has come to, stored with the state."""
        self.dirty = False
        self._programs = programs
        self._told: dict[tuple[str, str], tuple[int, float, int]] = {}
        engines = []
        for program, mark in ((programs.active, ""), (programs.shadow, SHADOW_MARK)):
            engine = PartitionEngine.restore(
                program,
                number,
                [
                    (row.rule[len(mark) :], row.key, row.data)
                    for row in stored.rows
                    if row.data is not None and row.rule.startswith(SHADOW_MARK) == bool(mark)
                ],
                lateness_us=int(lateness_s * SECOND_US),
                expected_sources=expected,
            )
            engine.stopwatch = time.perf_counter
            engines.append(engine)
        self.engine, self.shadow = engines

    def apply(self, items: Sequence[Item], next_offset: int) -> None:
        """Let both engines take records that lie between two activations."""
        if items:
            self.effects += self.engine.on_batch(items)
            if self.shadow.program.rules:
                self.firings += self.shadow.on_batch(items)
        self.next_offset = next_offset
        self.dirty = True

    def activate(self, version: int, programs: Programs, offset: int, *, enabled: Sequence[str]) -> None:
        """Switch to a version exactly here: everything before `offset` was decided by the former one.

        Rules that people have `enabled` since are forgiven their failures.
        """
        self.version = version
        self.activation = Activation(self.number, version, offset)
        self.adopt(programs)
        for rule in enabled:
            self.engine.forgive(rule)

    def adopt(self, programs: Programs) -> None:
        """Run `programs` from here on; what the change itself ends is ended now."""
        self._programs = programs
        for engine, program, out in (
            (self.engine, programs.active, self.effects),
            (self.shadow, programs.shadow, self.firings),
        ):
            if engine.program is not program:
                engine.adopt(program)
                # At once: their rows are gone with the next commit, so their effects must be in it.
                out.extend(engine.on_batch([]))
        self.dirty = True

    def runs(self, programs: Programs) -> bool:
        """Whether these are the programs that run."""
        return self._programs is programs

    def expect(self, sources: Mapping[str, ExpectedSource]) -> None:
        """Replace the devices that should talk."""
        for engine, out in ((self.engine, self.effects), (self.shadow, self.firings)):
            engine.expect(sources)
            out.extend(engine.on_batch([]))
        self.dirty = True

    def changed_rows(self) -> list[StateRow]:
        """Return the rows to write with the effects."""
        own = [StateRow(*change) for change in self.engine.drain_changes()]
        own += [StateRow("", key, msgspec.msgpack.encode(moment)) for key, moment in self.moments.items()]
        return own + [
            StateRow(SHADOW_MARK + change.rule, change.key, change.data)
            for change in self.shadow.drain_changes()
        ]

    def committed(self) -> None:
        """Note that everything decided so far is durable."""
        self.effects, self.firings, self.activation = [], [], None
        self.dirty = False
        self.committed_at_s = time.monotonic()

    # what people see --------------------------------------------------------------------------------------

    def status(self) -> PartitionStatus:
        """Return what is known of each rule, and bring the metrics up to it."""
        error = self._programs.error
        return PartitionStatus(
            version=self.version,
            active=self._reports(self.engine, "active"),
            shadow=self._reports(self.shadow, "shadow"),
            error=error and error[:STATUS_DETAIL_CHARS],
        )

    def _reports(self, engine: PartitionEngine, lane: str) -> dict[str, RuleReport]:
        counters, keys = engine.counters, engine.key_counts
        found: dict[str, RuleReport] = {}
        for compiled in engine.program.rules:
            name = compiled.rule.name
            count, failure = counters[name], engine.failures.get(name)
            found[name] = RuleReport(
                hash=compiled.rule.version,
                failures=failure.count if failure else 0,
                error=failure.message[:STATUS_DETAIL_CHARS] if failure else None,
                disabled=failure is not None and failure.disabled,
                seconds=round(engine.seconds.get(name, 0.0), 6),
                keys=keys[name],
                matched=count.matched,
                late=count.late,
                raised=count.raised,
            )
            self._tell(name, lane, count.failed, engine.seconds.get(name, 0.0), count.raised)
        return found

    def _tell(self, rule: str, lane: str, failed: int, seconds: float, raised: int) -> None:
        before = self._told.get((rule, lane), (0, 0.0, 0))
        # A rule pushed anew counts from nothing again.
        _failures.labels(rule, lane).inc(failed - before[0] if failed >= before[0] else failed)
        _seconds.labels(rule, lane).inc(max(0.0, seconds - before[1]))
        if lane == "shadow":
            _shadow_raised.labels(rule).inc(raised - before[2] if raised >= before[2] else raised)
        self._told[rule, lane] = (failed, seconds, raised)


def decode(records: Sequence[Record]) -> list[tuple[int, Event | Tick | Activate]]:
    """Return what the records of a batch mean; what cannot be decoded is counted and left out."""
    items: list[tuple[int, Event | Tick | Activate]] = []
    for record in records:
        try:
            if record.kind is RecordKind.EVENT:
                items.append((record.offset, decode_event(record.payload)))
            elif record.kind is RecordKind.TICK:
                items.append((record.offset, decode_tick(record.payload)))
            else:
                items.append((record.offset, decode_control(record.payload)))
        except msgspec.DecodeError:
            # The gateway wrote it, so this is a fault of ours (or of a newer version), not of a device.
            _poison.inc()
            _log.error("a log record cannot be decoded", offset=record.offset)
    _records.labels("all").inc(len(records))
    return items
