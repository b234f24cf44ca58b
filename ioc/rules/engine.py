"""The engine of one partition: log records in, effects out. Reads no clock, performs nothing.

Guarantees, each a property test:
- The effects depend on the sequence of records only, not on how it is cut into batches.
- `drain_changes` and `restore` at any point change nothing that follows.
- A rule that fails does not touch the others: it is counted, after three failures disabled, and shown.

The log's time is the newest tick; an effect caused by an event carries the event's arrival if that is later.
The watermark trails the newest tick by the lateness allowed. It goes back only with the clock: when a tick is
more than `MAX_AHEAD_US` before the newest one, the clock has been put right.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from ioc.model.events import Event
from ioc.model.incidents import Cleared, Effect, Raised
from ioc.model.records import Tick
from ioc.model.times import SECOND_US
from ioc.rules.compile import CompiledRule, Program
from ioc.rules.dispatch import Dispatch, Run, Survivor
from ioc.rules.ewma import EwmaMachine
from ioc.rules.fence import FenceMachine
from ioc.rules.machine import NEVER_US, RuleCounters
from ioc.rules.near import NearMachine
from ioc.rules.ordered import OrderedMachine
from ioc.rules.predicate import Predicate
from ioc.rules.rule import Rule
from ioc.rules.sequence import SequenceMachine
from ioc.rules.silence import MAX_TICK_GAP_US, ExpectedSource, SilenceMachine
from ioc.rules.spell import SpellMachine
from ioc.rules.state import (
    ENGINE_KEY,
    EngineState,
    OrderedState,
    QuietState,
    SpellState,
    StateChange,
    encode,
    engine_decoder,
    episode_of,
)

DEFAULT_LATENESS_US = 2 * SECOND_US
DEFAULT_MAX_KEYS = 100_000
MAX_AHEAD_US = 60 * SECOND_US
"""An event further ahead of the log's time is read as being only so far: a wrong clock must not blind it."""
MAX_FAILURES = 3
ORDERED: Mapping[str, type[OrderedMachine[Any]]] = {
    "sequence": SequenceMachine,
    "fence": FenceMachine,
    "near": NearMachine,
    "ewma": EwmaMachine,
}
"""The machine of each order-sensitive kind of rule."""

RuleMachine = SpellMachine | SilenceMachine | OrderedMachine[Any]


@dataclass(slots=True)
class Failure:
    """A rule that raised."""

    version: str
    count: int
    message: str

    @property
    def disabled(self) -> bool:
        """Whether the rule has been switched off."""
        return self.count >= MAX_FAILURES


class PartitionEngine:
    """Runs one program over one partition's records."""

    def __init__(
        self,
        program: Program,
        *,
        partition: int,
        lateness_us: int = DEFAULT_LATENESS_US,
        max_keys: int = DEFAULT_MAX_KEYS,
        expected_sources: Mapping[str, ExpectedSource] | None = None,
    ) -> None:
        """Begin with no state.

        Args:
            program: what to run.
            partition: number of the partition; for messages only.
            lateness_us: how far the watermark trails the newest tick.
            max_keys: most keys one rule may remember on this partition.
            expected_sources: devices of this partition that should talk, for silence rules by source.
        """
        self.program = program
        self.partition = partition
        self.failures: dict[str, Failure] = {}
        self.stopwatch: Callable[[], float] | None = None
        """Seconds of a clock that only ever measures cost; nothing is decided by it."""
        self.seconds: dict[str, float] = {}
        """Time each rule has taken. What rules share is charged to the first that asks for it."""
        self._lateness_us = lateness_us
        self._max_keys = max_keys
        self._expected = dict(expected_sources or {})
        self._now_us: int | None = None
        self._watermark_us = NEVER_US
        self._silence_us = 0
        self._owed: list[Effect] = []
        self._gone: list[StateChange] = []
        self._scalar_changed = True
        self._machines: dict[str, RuleMachine] = {}
        self._listeners: dict[str, list[str]] = {}
        """Rules on silence and order by the event types they hear."""
        self._dispatch: Dispatch | None = None
        """None until the next event: which rules run has changed."""
        self._build(program)
        self._expect_all()

    @classmethod
    def restore(
        cls,
        program: Program,
        partition: int,
        rows: Iterable[StateChange | tuple[str, str, bytes]],
        *,
        lateness_us: int = DEFAULT_LATENESS_US,
        max_keys: int = DEFAULT_MAX_KEYS,
        expected_sources: Mapping[str, ExpectedSource] | None = None,
    ) -> "PartitionEngine":
        """Return an engine that continues from stored rows as if it had never stopped.

        Rows of rules that are gone or whose shape changed are dropped, and so are those of devices that were
        expected and are no longer; their open episodes are cleared by the first `on_batch`.
        """
        engine = cls(program, partition=partition, lateness_us=lateness_us, max_keys=max_keys)
        engine._load({(rule, key): data for rule, key, data in rows if data is not None})
        engine._expected = dict(expected_sources or {})
        engine._expect_all()
        return engine

    @property
    def counters(self) -> Mapping[str, RuleCounters]:
        """Counters per rule since this engine began."""
        return {name: machine.counters for name, machine in self._machines.items()}

    @property
    def watermark_us(self) -> int | None:
        """The time up to which timers have fired; None before the first tick."""
        return None if self._watermark_us == NEVER_US else self._watermark_us

    @property
    def now_us(self) -> int | None:
        """The log's time: the newest tick; None before the first."""
        return self._now_us

    @property
    def key_counts(self) -> Mapping[str, int]:
        """Keys remembered per rule."""
        return {name: len(machine.states) for name, machine in self._machines.items()}

    @property
    def unwatched_counts(self) -> Mapping[str, int]:
        """Devices that should talk and are not watched, per rule: see `SilenceMachine.unwatched`."""
        machines = self._machines.items()
        return {name: m.unwatched if isinstance(m, SilenceMachine) else 0 for name, m in machines}

    # records ----------------------------------------------------------------------------------------------

    def on_batch(self, items: Sequence[tuple[int, Event | Tick]]) -> list[Effect]:
        """Apply consecutive records in log order and return their effects in that order.

        Args:
            items: (offset, event or tick) pairs. Offsets are not interpreted.
        """
        effects, self._owed = self._owed, []
        run: list[Event] = []
        for _, item in items:
            if isinstance(item, Tick):
                if run:
                    effects += self._on_events(run)
                    run = []
                effects += self._on_tick(item)
            else:
                run.append(item)
        if run:
            effects += self._on_events(run)
        return effects

    def _on_tick(self, tick: Tick) -> list[Effect]:
        before_us = self._now_us
        # A large step back is a clock that has been put right: staying ahead would make every event late.
        put_back = before_us is not None and tick.now_us < before_us - MAX_AHEAD_US
        now_us = tick.now_us if before_us is None or put_back else max(before_us, tick.now_us)
        if before_us is not None and 0 <= now_us - before_us <= MAX_TICK_GAP_US:
            self._silence_us += now_us - before_us
        self._now_us = now_us
        watermark_us = now_us - self._lateness_us
        self._watermark_us = watermark_us if put_back else max(self._watermark_us, watermark_us)
        self._scalar_changed = True
        effects: list[Effect] = []
        for name, machine in self._running(self._machines):
            try:
                if isinstance(machine, SilenceMachine):
                    machine.on_silence(self._silence_us, now_us)
                else:
                    machine.on_watermark(self._watermark_us, now_us)
            except Exception as error:
                self._fail(name, machine, error)
            if machine.out:
                effects += [effect for _, _, effect in machine.out]
                machine.out.clear()
        return effects

    def _on_events(self, events: list[Event]) -> list[Effect]:
        run = Run(events, None if self._now_us is None else self._now_us + MAX_AHEAD_US)
        found: list[tuple[int, int, Effect]] = []
        if self._dispatch is None:
            self._dispatch = self._dispatching()
        survivors = self._dispatch.survivors(run, self._watermark_us, self.seconds, self.stopwatch)
        for name, machine in self._running(survivors):
            assert isinstance(machine, SpellMachine)
            self._feed(name, machine, run, survivors[name], found)
        for name, machine in self._running(self._listening(run)):
            if isinstance(machine, SilenceMachine):
                self._listen(name, machine, run, found)
            elif isinstance(machine, OrderedMachine):
                self._order(name, machine, run, found)
        found.sort(key=lambda item: item[:2])
        return [effect for _, _, effect in found]

    def _dispatching(self) -> Dispatch:
        """Sort the rules that run by how events reach them."""
        running = [m for name, m in self._machines.items() if not self._is_disabled(name)]
        self._listeners = {
            kind: [m.rule.name for m in running if kind in m.rule.listens and not isinstance(m, SpellMachine)]
            for kind in self.program.by_type
        }
        return Dispatch(machine for machine in running if isinstance(machine, SpellMachine))

    def _listening(self, run: Run) -> Iterable[str]:
        """Return the rules on silence and order that hear a type of the run."""
        return dict.fromkeys(name for kind in run.columns for name in self._listeners.get(kind, ()))

    # one rule over a run of events ------------------------------------------------------------------------

    def _feed(
        self,
        name: str,
        machine: SpellMachine,
        run: Run,
        survivors: Sequence[Survivor],
        found: list[tuple[int, int, Effect]],
    ) -> None:
        keys = run.keys(machine.shared_key)
        counters, order, minded = machine.counters, machine.compiled.order, machine.minded
        minds_all = machine.minds_all
        now_us = self._now_us if self._now_us is not None else NEVER_US
        broken = run.broken(machine.rule.types, _asked(machine.rule))
        for position, matched, clearing in survivors:
            event = run.events[position]
            try:
                key = keys[position] if keys else machine.key_of(event)
                if key is None:
                    machine.miss(matched)
                    continue
                if not matched and key not in minded and not minds_all:
                    continue
                if position in broken:
                    raise broken[position]
                counters.matched += matched
                at_us, time_us = max(now_us, event.received_us), run.times_us[position]
                machine.feed(key, event, time_us, at_us, matched=matched, clearing=clearing)
            except Exception as error:
                if self._fail(name, machine, error):
                    break
            if machine.out:
                found += [(position, order, effect) for _, _, effect in machine.out]
                machine.out.clear()

    def _listen(
        self,
        name: str,
        machine: SilenceMachine,
        run: Run,
        found: list[tuple[int, int, Effect]],
    ) -> None:
        rule, order, counters = machine.rule, machine.compiled.order, machine.counters
        now_us = self._now_us if self._now_us is not None else NEVER_US
        present = [run.columns[kind] for kind in rule.types if kind in run.columns]
        positions: list[int] = []
        for columns in present:
            mask = columns.within(machine.compiled.fence, rule.wards)
            if rule.where is not None:
                holds = columns.holds(rule.where)
                mask = holds if mask is None else mask & holds
            if mask is None:
                positions += columns.positions
            else:
                positions += [columns.positions[i] for i in mask.nonzero()[0].tolist()]
        broken = run.broken(rule.types, _asked(rule))
        counters.matched += (
            sum(position not in broken for position in positions) if broken else len(positions)
        )
        keys = run.keys(machine.shared_key)
        if keys:
            heard = machine.heard
            positions = [p for p in positions if keys[p] not in heard or p in broken]
        if len(present) > 1:
            positions.sort()
        for position in positions:
            event = run.events[position]
            try:
                key = keys[position] if keys else machine.key_of(event)
                if key is None:
                    machine.miss()
                    continue
                if position in broken:
                    raise broken[position]
                machine.feed(key, event, max(now_us, event.received_us))
            except Exception as error:
                if self._fail(name, machine, error):
                    break
            if machine.out:
                found += [(position, order, effect) for _, _, effect in machine.out]
                machine.out.clear()

    def _order(
        self, name: str, machine: OrderedMachine[Any], run: Run, found: list[tuple[int, int, Effect]]
    ) -> None:
        order = machine.compiled.order
        now_us = self._now_us if self._now_us is not None else NEVER_US
        keys = run.keys(machine.shared_key)
        asked: list[tuple[int, int]] = []
        for kind in machine.rule.listens:
            columns = run.columns.get(kind)
            if columns is None:
                continue
            roles = machine.roles(kind, columns)
            asked += [(columns.positions[i], int(roles[i])) for i in roles.nonzero()[0].tolist()]
        broken = run.broken(machine.rule.listens, machine.predicates)
        for position, role in sorted(asked):
            event = run.events[position]
            try:
                key = keys[position] if keys else machine.key_of(event)
                if key is None:
                    machine.miss()
                    continue
                if position in broken:
                    raise broken[position]
                machine.feed(key, event, run.times_us[position], max(now_us, event.received_us), role)
            except Exception as error:
                if self._fail(name, machine, error):
                    break
            if machine.out:
                found += [(position, order, effect) for _, _, effect in machine.out]
                machine.out.clear()

    # failures ---------------------------------------------------------------------------------------------

    def _running(self, names: Iterable[str]) -> Iterator[tuple[str, RuleMachine]]:
        stopwatch = self.stopwatch
        for name in names:
            if not self._is_disabled(name):
                if stopwatch is None:
                    yield name, self._machines[name]
                else:  # the caller's loop body runs between these two readings
                    began_s = stopwatch()
                    yield name, self._machines[name]
                    self.seconds[name] = self.seconds.get(name, 0.0) + stopwatch() - began_s

    def _is_disabled(self, name: str) -> bool:
        failure = self.failures.get(name)
        return failure is not None and failure.disabled

    def _fail(self, name: str, machine: RuleMachine, error: Exception) -> bool:
        """Count a failure; True when it is the one that disables the rule."""
        message = f"{type(error).__name__}: {error}"
        failure = self.failures.setdefault(name, Failure(machine.rule.version, 0, message))
        failure.count += 1
        failure.message = message
        machine.counters.failed += 1
        self._scalar_changed = True
        if failure.disabled:
            self._dispatch = None
        return failure.disabled

    # programs ---------------------------------------------------------------------------------------------

    def adopt(self, program: Program) -> None:
        """Switch to `program`, keeping the state of rules whose shape is unchanged.

        Episodes of rules that are gone or reshaped are cleared by the next `on_batch`, and so are those that
        nothing else would end since they lie where their rule looks no more. A rule whose text changed gets a
        fresh start after failures.
        """
        old = self._machines
        self.program = program
        self._machines = {}
        self._build(program)
        now_us = self._now_us if self._now_us is not None else 0
        for name, machine in old.items():
            new = self._machines.get(name)
            if new is not None and new.rule.shape == machine.rule.shape and type(new) is type(machine):
                self._owed += new.take_over(machine, now_us)  # type: ignore[arg-type]
            else:
                self._owed += machine.orphans(now_us, "rule changed" if new else "rule removed")
                self._gone += machine.drain()
        versions = {name: machine.rule.version for name, machine in self._machines.items()}
        self.failures = {n: f for n, f in self.failures.items() if versions.get(n) == f.version}
        self._scalar_changed = True
        self._expect_all()

    def plant(self, rows: Iterable[StateChange], raised: Sequence[Raised]) -> None:
        """Give rules that `adopt` has just begun fresh the state they reached in the past.

        The next `on_batch` raises what is open. An episode that the former shape had open too goes on.
        """
        for name, key, data in rows:
            if data is not None:
                self._machines[name].restore(key, data)
                self._machines[name].changed.add(key)
        owed, opened = self._owed, {effect.incident_id for effect in raised}
        going_on = {effect.incident_id for effect in owed} & opened
        self._owed = [effect for effect in owed if effect.incident_id not in going_on]
        for effect in raised:
            if effect.incident_id not in going_on:
                self._owed.append(replace(effect, at_us=max(self._now_us or 0, effect.at_us)))
                self._machines[effect.rule].counters.raised += 1

    def forgive(self, rule: str) -> None:
        """Forget the failures of a rule, so that it runs again."""
        if self.failures.pop(rule, None) is not None:
            self._dispatch = None
            self._scalar_changed = True

    def state_of(self, rule: str, key: str) -> SpellState | QuietState | OrderedState | None:
        """Return what the rule remembers of `key`: to look at, not to change."""
        machine = self._machines.get(rule)
        return None if machine is None else machine.states.get(key)

    def expect(self, sources: Mapping[str, ExpectedSource]) -> None:
        """Replace the devices that should talk; those that left are no longer listened for."""
        self._expected = dict(sources)
        self._expect_all()

    def _expect_all(self) -> None:
        elsewhere = {source for source, place in self._expected.items() if not place.here}
        for machine in self._machines.values():
            if isinstance(machine, SilenceMachine):
                self._owed += machine.expect(self._expected, self._now_us or 0)
            elif elsewhere and isinstance(machine, SpellMachine):
                self._owed += machine.let_go(elsewhere, self._now_us or 0)

    def _build(self, program: Program) -> None:
        self._dispatch = None
        for compiled in program.rules:
            self._machines[compiled.rule.name] = self._machine(compiled)

    def _machine(self, compiled: CompiledRule) -> RuleMachine:
        if compiled.rule.absence_us is not None:
            return SilenceMachine(compiled, max_keys=self._max_keys, silence_us=self._silence_us)
        if compiled.rule.kind in ORDERED:
            return ORDERED[compiled.rule.kind](
                compiled, max_keys=self._max_keys, watermark_us=self._watermark_us
            )
        bounds = {"max_keys": self._max_keys, "watermark_us": self._watermark_us}
        return SpellMachine(compiled, **bounds, lateness_us=self._lateness_us)

    # state ------------------------------------------------------------------------------------------------

    def drain_changes(self) -> list[StateChange]:
        """Return the rows changed since the last drain: write them with the effects, in one transaction."""
        gone, self._gone = self._gone, []
        changes: list[StateChange] = []
        for machine in self._machines.values():
            if machine.changed:
                changes += machine.drain()
        if gone:  # a key that is gone may have come back under the rule's new shape: one row each
            known = {change[:2] for change in changes}
            changes += [change for change in gone if change[:2] not in known]
        if self._scalar_changed:
            changes.append(StateChange(*ENGINE_KEY, encode(self._scalars())))
            self._scalar_changed = False
        return changes

    def _scalars(self) -> EngineState:
        return EngineState(
            self._now_us,
            self._watermark_us,
            self._silence_us,
            {name: machine.rule.shape for name, machine in self._machines.items()},
            {name: (f.version, f.count, f.message) for name, f in self.failures.items()},
        )

    def _load(self, rows: Mapping[tuple[str, str], bytes]) -> None:
        if ENGINE_KEY not in rows:
            return
        scalars = engine_decoder.decode(rows[ENGINE_KEY])
        self._now_us, self._watermark_us = scalars.now_us, scalars.watermark_us
        self._silence_us = scalars.silence_us
        self._machines = {}
        self._build(self.program)
        versions = {name: machine.rule.version for name, machine in self._machines.items()}
        for name, (version, count, message) in scalars.failed.items():
            if versions.get(name) == version:
                self.failures[name] = Failure(version, count, message)
        for (name, key), data in sorted(rows.items()):
            machine = self._machines.get(name)
            if machine is not None and scalars.shapes.get(name) == machine.rule.shape:
                machine.restore(key, data)
            elif name:
                self._abandon(name, key, data)

    def _abandon(self, name: str, key: str, data: bytes) -> None:
        """Drop the row of a rule that is gone or reshaped; owe the end of its open episode."""
        self._gone.append(StateChange(name, key, None))
        episode = episode_of(data)
        if episode is not None:
            self._owed.append(
                Cleared(
                    incident_id=episode.incident_id,
                    at_us=max(self._now_us or 0, episode.told_us),
                    reason="rule changed" if name in self._machines else "rule removed",
                    count=episode.count,
                )
            )


def _asked(rule: Rule) -> list[Predicate]:
    return [predicate for predicate in (rule.where, rule.clear_when) if predicate is not None]
