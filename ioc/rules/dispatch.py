"""Which events concern which rule: a condition is asked once, a place looked up once, however many rules ask.

Per event type the rules on events are grouped by their predicate. A group whose predicate holds for no event
of a run costs nothing more. For the others, the fences and wards they lie in lead to the rules; so
the cost follows the events that matter, not the rules. What remains is one list of survivors for each rule
concerned, the same as if the rule had looked at every event by itself (property test).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ioc.geo.fences import Fences
from ioc.geo.index import AreaSet
from ioc.model.events import DATA_TYPES, Event
from ioc.rules.columns import EventColumns
from ioc.rules.predicate import Predicate
from ioc.rules.spell import SpellMachine

Survivor = tuple[int, bool, bool]
"""Position in the run, matched, clearing."""
Stopwatch = Callable[[], float]
_TYPE_NAMES = {cls: name for name, cls in DATA_TYPES.items()}


class Run:
    """Consecutive events without a tick between them."""

    def __init__(self, events: list[Event], latest_us: int | None) -> None:
        """Sort the events by type; none counts as later than `latest_us`."""
        times: NDArray[np.int64] = np.array([event.time_us for event in events], dtype=np.int64)
        if latest_us is not None:
            times = np.minimum(times, latest_us)
        groups: dict[type, list[int]] = {}
        for position, event in enumerate(events):
            kind = type(event.data)
            if kind in groups:
                groups[kind].append(position)
            else:
                groups[kind] = [position]
        self.events = events
        self.times_us: list[int] = times.tolist()
        self.columns = {
            _TYPE_NAMES[kind]: EventColumns([events[i] for i in positions], positions, times[positions])
            for kind, positions in groups.items()
        }
        self._keys: dict[str, list[str | None]] = {}

    def keys(self, attribute: str | None) -> list[str | None]:
        """Return the attribute of every event where it is a rule's whole key, else an empty list."""
        if attribute is None:
            return []
        keys = self._keys.get(attribute)
        if keys is None:
            keys = self._keys[attribute] = list(map(attrgetter(attribute), self.events))
        return keys

    def broken(self, kinds: Iterable[str], asked: Sequence[Predicate]) -> dict[int, Exception]:
        """Return the events of types that one of the predicates cannot be evaluated on, by position."""
        found: dict[int, Exception] = {}
        for kind in kinds:
            columns = self.columns.get(kind)
            if columns is not None and columns.broken:
                for predicate in asked:
                    found.update(columns.broken.get(predicate.text, {}))
        return found


@dataclass(frozen=True, slots=True)
class _Group:
    """Rules on events of one type that ask the same predicate, by where their events must lie."""

    where: Predicate | None
    first: str
    """The rule that pays for what all of them share."""
    everywhere: Sequence[SpellMachine]
    by_ward: Mapping[str, Sequence[SpellMachine]]
    by_fence: Mapping[int, Sequence[SpellMachine]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked of events of one type."""

    groups: Sequence[_Group]
    fences: Fences | None
    minders: Sequence[SpellMachine]
    """Rules to which events that do not match may matter."""


class Dispatch:
    """Finds the survivors of rules on events. Holds no state of its own."""

    def __init__(self, machines: Iterable[SpellMachine]) -> None:
        by_type: dict[str, list[SpellMachine]] = {}
        for machine in machines:
            for kind in machine.rule.types:
                by_type.setdefault(kind, []).append(machine)
        self._plans = {kind: _plan(found) for kind, found in by_type.items()}

    def survivors(
        self, run: Run, watermark_us: int, seconds: dict[str, float], stopwatch: Stopwatch | None
    ) -> dict[str, list[Survivor]]:
        """Return by rule the events that matter to it, in their order; rules without any are left out.

        Args:
            run: the events.
            watermark_us: decides which of them are late; they are counted at their rules.
            seconds: gets what each group's predicate costs its first rule, if there is a `stopwatch`.
            stopwatch: see `PartitionEngine.stopwatch`.
        """
        found: dict[str, list[Survivor]] = {}
        for kind, columns in run.columns.items():
            plan = self._plans.get(kind)
            if plan is not None:
                matched = self._matched(plan, columns, seconds, stopwatch)
                self._collect(plan, columns, run, matched, found, watermark_us)
        if len(run.columns) > 1:
            for survivors in found.values():
                survivors.sort()
        return found

    def _matched(
        self, plan: _Plan, columns: EventColumns, seconds: dict[str, float], stopwatch: Stopwatch | None
    ) -> dict[SpellMachine, list[int]]:
        """Return by rule the rows (places in `columns`) of the events that match it."""
        hits: list[tuple[_Group, list[int]]] = []
        fenced: set[int] = set()
        for group in plan.groups:
            began_s = stopwatch() if stopwatch else 0.0
            if group.where is None:
                rows = list(range(columns.size))
            else:
                rows = columns.holds(group.where).nonzero()[0].tolist()
            if stopwatch:
                seconds[group.first] = seconds.get(group.first, 0.0) + stopwatch() - began_s
            if rows:
                hits.append((group, rows))
                if group.by_fence:
                    fenced.update(rows)
        places = columns.containing(plan.fences, sorted(fenced)) if plan.fences and fenced else {}
        matched: dict[SpellMachine, list[int]] = {}
        for group, rows in hits:
            for machine in group.everywhere:
                matched[machine] = rows
            if group.by_ward or group.by_fence:
                self._place(group, columns, rows, places, matched)
        return matched

    def _place(
        self,
        group: _Group,
        columns: EventColumns,
        rows: Sequence[int],
        places: Mapping[int, frozenset[int]],
        matched: dict[SpellMachine, list[int]],
    ) -> None:
        by_ward, by_fence, events = group.by_ward, group.by_fence, columns.events
        for row in rows:
            ward = events[row].ward
            if by_ward and ward is not None:
                for machine in by_ward.get(ward, ()):
                    matched.setdefault(machine, []).append(row)
            for fence in places.get(row, ()):
                for machine in by_fence.get(fence, ()):
                    wards = machine.rule.wards
                    if wards is None or ward in wards:
                        matched.setdefault(machine, []).append(row)

    def _collect(
        self,
        plan: _Plan,
        columns: EventColumns,
        run: Run,
        matched: dict[SpellMachine, list[int]],
        found: dict[str, list[Survivor]],
        watermark_us: int,
    ) -> None:
        positions = columns.positions
        for machine, hits in matched.items():
            rows, late_before_us = hits, watermark_us - machine.horizon_us
            if columns.oldest_us < late_before_us:
                rows = matched[machine] = _in_time(machine, columns, rows, late_before_us)
            if rows and not machine.wants_others:
                name = machine.rule.name
                survivors = [(positions[row], True, False) for row in rows]
                found[name] = found[name] + survivors if name in found else survivors
        for machine in plan.minders:
            rows = matched.get(machine, [])
            if rows or machine.minded or machine.minds_all:
                survivors = _with_others(machine, columns, run, rows, watermark_us - machine.horizon_us)
                if survivors:
                    found.setdefault(machine.rule.name, []).extend(survivors)


def _plan(machines: Sequence[SpellMachine]) -> _Plan:
    sets: dict[int, AreaSet] = {}
    by_text: dict[str | None, list[SpellMachine]] = {}
    for machine in machines:
        where, fence = machine.rule.where, machine.compiled.fence
        by_text.setdefault(None if where is None else where.text, []).append(machine)
        if fence is not None:
            sets[id(fence)] = fence
    numbers = {key: number for number, key in enumerate(sets)}
    return _Plan(
        groups=[_group(found, numbers) for found in by_text.values()],
        fences=Fences(list(sets.values())) if sets else None,
        minders=[machine for machine in machines if machine.wants_others],
    )


def _group(machines: Sequence[SpellMachine], numbers: Mapping[int, int]) -> _Group:
    everywhere: list[SpellMachine] = []
    by_ward: dict[str, list[SpellMachine]] = {}
    by_fence: dict[int, list[SpellMachine]] = {}
    for machine in machines:
        fence, wards = machine.compiled.fence, machine.rule.wards
        if fence is not None:
            by_fence.setdefault(numbers[id(fence)], []).append(machine)
        elif wards is not None:
            for ward in wards:
                by_ward.setdefault(ward, []).append(machine)
        else:
            everywhere.append(machine)
    first = machines[0].rule
    return _Group(first.where, first.name, everywhere, by_ward, by_fence)


def _in_time(
    machine: SpellMachine, columns: EventColumns, rows: Sequence[int], late_before_us: int
) -> list[int]:
    """Count the late events, and leave them out where the rule drops them."""
    times_us = columns.times_us[rows].tolist()
    in_time = [row for row, time_us in zip(rows, times_us, strict=True) if time_us >= late_before_us]
    machine.counters.late += len(rows) - len(in_time)
    return in_time if machine.rule.late == "drop" else list(rows)


def _with_others(
    machine: SpellMachine, columns: EventColumns, run: Run, matched: Sequence[int], late_before_us: int
) -> list[Survivor]:
    """Return the events of the rows that match, and those that do not match but may matter to their key."""
    rule, positions = machine.rule, columns.positions
    keys = run.keys(machine.shared_key)
    others: Iterable[int] = range(columns.size)
    if keys and not machine.minds_all:
        # only keys that are minded already, or may be once their match in this run is applied
        by_key = columns.rows_by(machine.shared_key or "", keys)
        hot = (by_key.keys() & machine.minded) | {keys[positions[row]] for row in matched}
        others = [row for key in hot for row in by_key[key]]
    hits = set(matched)
    rest = [row for row in others if row not in hits]
    if columns.oldest_us < late_before_us:
        rest = [row for row in rest if columns.times_us[row] >= late_before_us]
    chosen = sorted([*matched, *columns.inside(machine.compiled.fence, rule.wards, rest)])
    if not chosen:
        return []
    if rule.clear_when is None:
        return [(positions[row], row in hits, False) for row in chosen]
    clearing = columns.holds(rule.clear_when)
    return [(positions[row], row in hits, bool(clearing[row])) for row in chosen]
