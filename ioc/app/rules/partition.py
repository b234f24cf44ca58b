"""One partition of the rules role: its engines, where its rules switch, and what is not committed yet."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec
import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from ioc.app.rules.sets import Programs
from ioc.model.events import Event, decode_event
from ioc.model.incidents import Effect, Raised
from ioc.model.records import Activate, Record, RecordKind, Tick, decode_control, decode_tick
from ioc.model.times import SECOND_US
from ioc.model.wide import BEFORE_TIME, Moment
from ioc.rules.compile import Program
from ioc.rules.engine import PartitionEngine
from ioc.rules.silence import ExpectedSource
from ioc.rules.state import StateChange
from ioc.store.positions import check_owner
from ioc.store.rule_state import PartitionStatus, RuleReport, StateRow, load_state
from ioc.store.rule_versions import Activation, read_activation

SHADOW_MARK = "~"
"""Before the rule of a stored row: it is a shadow's. No rule's name begins with it."""
STATUS_DETAIL_CHARS = 500
MAX_TRACES: Final = 4_096
COUNTED: Final = ("matched", "raised", "late", "amended", "cooled", "unkeyed", "overflowed", "evicted")
"""The engine's counters that are reported of every rule."""

Item = tuple[int, Event | Tick]
Lane = Literal["active", "shadow"]
LANES: Final[tuple[Lane, Lane]] = ("active", "shadow")

_log = structlog.get_logger()
_poison = Counter("ioc_rules_poison_total", "Log records that could not be decoded and were passed over")
_counts = Counter(
    "ioc_rules_rule_events_total",
    "What became of a rule's events and keys: " + ", ".join(COUNTED),
    ["rule", "lane", "what"],
)
_failures = Counter("ioc_rules_failures_total", "Times a rule failed", ["rule", "lane"])
_keys = Gauge("ioc_rules_rule_keys", "Keys a rule remembers", ["rule", "lane", "partition"])
_unwatched = Gauge(
    "ioc_rules_rule_unwatched",
    "Devices that should talk and a silence rule does not watch, since its keys are at their bound",
    ["rule", "lane", "partition"],
)
_seconds = Counter("ioc_rules_rule_seconds_total", "Time a rule has taken", ["rule", "lane"])


class Planted(NamedTuple):
    """What rules that start fresh found in the past: see `ioc.rules.warm`."""

    rows: list[StateChange]
    raised: list[Raised]


class Stored(NamedTuple):
    """What the database holds of a partition."""

    version: int
    rows: list[StateRow]

    def moment(self, key: str) -> Moment:
        """Return the moment stored under `key`; before all time where there is none."""
        found = (row.data for row in self.rows if (row.rule, row.key) == ("", key) and row.data is not None)
        return next((msgspec.msgpack.decode(data, type=Moment) for data in found), BEFORE_TIME)


async def load(
    connection: AsyncConnection[Any], group: str, topic: str, partition: int, generation: int
) -> Stored:
    """Read a partition's version and state, both of one moment at which `generation` owns it.

    Another owner's state would be ahead of the records that were delivered to us: before the commit that
    fences us, `ioc.wide` would have been told of a clock that was put back.

    Raises:
        Fenced: another owner has taken the partition over since.
    """
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await check_owner(connection, group, topic, partition, generation)
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
        self.traced: list[tuple[Raised, str]] = []
        """What was raised by events whose trace is written, with the trace's context."""
        self.moments: dict[str, Moment] = {}
        """Ticks a stage of wide rules has come to, stored with the state."""
        self.unkeyed: dict[tuple[Lane, str, str], int] = {}
        """Of wide rules whose events are passed on here (lane, rule, version): events without a key."""
        self.warming: float | None = None
        """Share done of running the next version's rules over the past, while that lasts."""
        self.dirty = False
        self._traces: OrderedDict[str, str] = OrderedDict()
        """Of the newest events whose trace is written, by event id: a rule may speak minutes later."""
        self._programs = programs
        self._told: dict[tuple[str, str], tuple[Mapping[str, int], float]] = {}
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
            decided = self.engine.on_batch(items)
            self._note_traces(items, decided)
            self.effects += decided
            if self.shadow.program.rules:
                self.firings += self.shadow.on_batch(items)
        self.next_offset = next_offset
        self.dirty = True

    def _note_traces(self, items: Sequence[Item], decided: Sequence[Effect]) -> None:
        for _, item in items:
            if isinstance(item, Event) and item.trace:
                self._traces[item.id] = item.trace
        while len(self._traces) > MAX_TRACES:
            self._traces.popitem(last=False)
        if self._traces:
            for effect in decided:
                known = effect.why.event_ids if isinstance(effect, Raised) else ()
                trace = next((self._traces[event] for event in known if event in self._traces), None)
                if isinstance(effect, Raised) and trace:
                    self.traced.append((effect, trace))

    def activate(
        self,
        version: int,
        programs: Programs,
        offset: int,
        *,
        enabled: Sequence[str],
        planted: Mapping[Lane, Planted] | None = None,
    ) -> None:
        """Switch to a version exactly here: everything before `offset` was decided by the former one.

        Rules that people have `enabled` since are forgiven their failures. Rules that start fresh begin with
        what is `planted`.
        """
        self.version = version
        self.activation = Activation(self.number, version, offset)
        self.adopt(programs, planted or {})
        for rule in enabled:
            self.engine.forgive(rule)

    def adopt(self, programs: Programs, planted: Mapping[Lane, Planted] = {}) -> None:
        """Run `programs` from here on; what the change itself ends is ended now."""
        self._programs = programs
        for lane, engine, program in self.lanes(programs):
            out = self.effects if lane == "active" else self.firings
            if engine.program is not program:
                engine.adopt(program)
                if lane in planted:
                    engine.plant(*planted[lane])
                # At once: their rows are gone with the next commit, so their effects must be in it.
                out.extend(engine.on_batch([]))
        self.dirty = True

    def lanes(self, programs: Programs) -> tuple[tuple[Lane, PartitionEngine, Program], ...]:
        """Return each lane with its engine and its part of `programs`."""
        return (("active", self.engine, programs.active), ("shadow", self.shadow, programs.shadow))

    def engines(self) -> tuple[tuple[Lane, PartitionEngine], ...]:
        """Return each lane with its engine."""
        return (("active", self.engine), ("shadow", self.shadow))

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
        self.effects, self.firings, self.activation, self.traced = [], [], None, []
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
            warming=self.warming,
        )

    def _reports(self, engine: PartitionEngine, lane: Lane) -> dict[str, RuleReport]:
        counters, keys, unwatched = engine.counters, engine.key_counts, engine.unwatched_counts
        found: dict[str, RuleReport] = {}
        for compiled in engine.program.rules:
            name = compiled.rule.name
            failure = engine.failures.get(name)
            counts = {what: getattr(counters[name], what) for what in COUNTED}
            found[name] = RuleReport(
                hash=compiled.rule.version,
                failures=failure.count if failure else 0,
                error=failure.message[:STATUS_DETAIL_CHARS] if failure else None,
                disabled=failure is not None and failure.disabled,
                seconds=round(engine.seconds.get(name, 0.0), 6),
                keys=keys[name],
                unwatched=unwatched[name],
                **counts,
            )
            _keys.labels(name, lane, str(self.number)).set(keys[name])
            _unwatched.labels(name, lane, str(self.number)).set(unwatched[name])
            counts["failed"] = counters[name].failed
            self._tell(name, lane, counts, engine.seconds.get(name, 0.0))
        for (of, name, version), unkeyed in self.unkeyed.items():
            if of == lane:
                found[name] = RuleReport(hash=version, unkeyed=unkeyed)
                self._tell(name, lane, {"unkeyed": unkeyed}, 0.0)
        return found

    def _tell(self, rule: str, lane: Lane, counts: Mapping[str, int], seconds: float) -> None:
        """Bring the metrics up to a rule's counters, which begin anew with a rule pushed anew."""
        known, known_s = self._told.get((rule, lane), ({}, 0.0))
        for what, count in counts.items():
            before = known.get(what, 0)
            more = count - before if count >= before else count
            if what == "failed":
                _failures.labels(rule, lane).inc(more)
            else:
                _counts.labels(rule, lane, what).inc(more)
        _seconds.labels(rule, lane).inc(max(0.0, seconds - known_s))
        self._told[rule, lane] = (counts, seconds)


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
    return items
