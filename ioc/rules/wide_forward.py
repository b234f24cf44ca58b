"""The first stage of wide rules: which events of one partition they want, and under which keys.

It filters by what a rule can decide on an event alone (type, ward, area, predicate), leaves out optional data
that no wide rule mentions, and names the keys. An event that several rules want under different keys goes out
once per partition that answers for one of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ioc.model.events import DATA_TYPES, Event
from ioc.model.records import Tick
from ioc.model.wide import BEFORE_TIME, Moment, OriginTick, WideEvent
from ioc.rules.columns import EventColumns
from ioc.rules.compile import CompiledRule, Program
from ioc.rules.engine import MAX_AHEAD_US, ORDERED
from ioc.rules.machine import key_reader
from ioc.rules.ordered import OrderedMachine
from ioc.rules.predicate.ast import Field

DEFAULT_MAX_KEYS: Final = 8
"""Wide keys one event may have; those beyond (in the order of their names) are dropped and counted."""

_TYPE_NAMES = {cls: name for name, cls in DATA_TYPES.items()}
Wanted = NDArray[np.bool_]


class Forward(msgspec.Struct, frozen=True):
    """An event to pass on to `partition` of the wide log."""

    partition: int
    key: str
    event: WideEvent


def route_key(names: Sequence[str], key: str) -> str:
    """Return what decides the partition that answers for a key: equal for rules keyed by equal fields."""
    return "\x1f".join((*names, key))


def next_moment(newest: Moment, now_us: int) -> Moment:
    """Return the moment of a tick; the clock put back (as the engine sees it) begins an era."""
    era, newest_us = newest
    if newest_us != BEFORE_TIME[1] and now_us < newest_us - MAX_AHEAD_US:
        return era + 1, now_us
    return era, max(newest_us, now_us)


@dataclass(frozen=True, slots=True)
class _Watch:
    """One rule's interest in events."""

    compiled: CompiledRule
    machine: OrderedMachine[Any] | None
    program: int
    """The place of its program among those given."""

    def asked(self, kind: str, columns: EventColumns) -> Wanted | None:
        """Return the mask of events that meet the rule's conditions; None for all."""
        rule = self.compiled.rule
        if self.machine is not None:
            return np.not_equal(self.machine.roles(kind, columns), 0)
        scope = columns.within(self.compiled.fence, rule.wards)
        holds = None if rule.where is None else columns.holds(rule.where)
        return scope if holds is None else holds if scope is None else holds & scope

    def wanted(self, kind: str, columns: EventColumns) -> Wanted | None:
        """Return the mask of events that may matter; None for all."""
        rule = self.compiled.rule
        ends_by_others = rule.clear_when is not None or (rule.having is None and rule.for_us > 0)
        if self.machine is None and ends_by_others and rule.absence_us is None:
            return columns.within(self.compiled.fence, rule.wards)
        return self.asked(kind, columns)


class _Group:
    """Rules keyed by the same fields."""

    def __init__(self, names: tuple[str, ...], rules: Sequence[tuple[int, CompiledRule]]) -> None:
        self.names = names
        self.key_of = key_reader(rules[0][1].rule.by)
        self._by_type: dict[str, list[_Watch]] = {}
        for program, compiled in rules:
            ordered = ORDERED.get(compiled.rule.kind)
            watch = _Watch(compiled, ordered(compiled, max_keys=1) if ordered else None, program)
            for kind in compiled.rule.listens:
                self._by_type.setdefault(kind, []).append(watch)

    def wanted(self, kind: str, columns: EventColumns) -> Wanted | None:
        """Return the mask of events that one of the rules wants, None for all."""
        mask = np.zeros(columns.size, dtype=np.bool_)
        for watch in self._by_type.get(kind, ()):
            found = watch.wanted(kind, columns)
            if found is None:
                return None
            mask |= found
        return mask

    def missed(self, kind: str, columns: EventColumns, unkeyed: list[int]) -> Iterable[tuple[_Watch, int]]:
        """Yield how many of the events without a key, given by position, meet each rule's conditions."""
        for watch in self._by_type.get(kind, ()):
            asked = watch.asked(kind, columns)
            yield watch, len(unkeyed) if asked is None else int(asked[unkeyed].sum())


class Forwarder:
    """The first stage of one partition of `ioc.events`. Give it every record in order."""

    def __init__(
        self,
        origin: int,
        newest: Moment,
        partition_of: Callable[[str], int],
        programs: Iterable[Program],
        *,
        max_keys: int = DEFAULT_MAX_KEYS,
    ) -> None:
        """Begin after the tick `newest`, with the wide `programs` (active, shadow).

        Args:
            origin: the partition of `ioc.events`.
            newest: the tick after which to begin.
            partition_of: partition of `ioc.wide` that answers for a key.
            programs: the wide rules to filter for.
            max_keys: wide keys that one event may have.
        """
        self.newest = newest
        self.dropped = 0
        """Keys beyond `max_keys`."""
        self.unkeyed: dict[tuple[int, str, str], int] = {}
        """Events without a value for its key, by rule: (place of its program, name, version)."""
        self._max_keys = max_keys
        self._origin = origin
        self._partition_of = partition_of
        self.adopt(programs)

    def adopt(self, programs: Iterable[Program]) -> None:
        """Filter for other programs from here on."""
        placed = [(place, compiled) for place, program in enumerate(programs) for compiled in program.rules]
        by_names: dict[tuple[str, ...], list[tuple[int, CompiledRule]]] = {}
        for place, compiled in placed:
            names = tuple(field.name for field in compiled.rule.by)
            by_names.setdefault(names, []).append((place, compiled))
        rules = [compiled for _, compiled in placed]
        known = {(place, compiled.rule.name, compiled.rule.version) for place, compiled in placed}
        self.unkeyed = {rule: count for rule, count in self.unkeyed.items() if rule in known}
        self._groups = [_Group(names, found) for names, found in sorted(by_names.items())]
        self._types = {kind for compiled in rules for kind in compiled.rule.listens}
        self._mentioned = {field.attr for c in rules for field in _fields_of(c.rule) if field.scope == "data"}
        self._extras = {
            field.key for c in rules for field in _fields_of(c.rule) if field.attr == "extra" and field.key
        }

    def take(
        self, items: Sequence[tuple[int, Event | Tick]], version: int
    ) -> tuple[list[Forward], list[OriginTick]]:
        """Return the events to pass on and the ticks passed; append the events first."""
        found: dict[str, list[tuple[int, Moment, Event]]] = {}
        ticks: list[OriginTick] = []
        for offset, item in items:
            if isinstance(item, Tick):
                moment = next_moment(self.newest, item.now_us)
                if moment > self.newest:
                    ticks.append(OriginTick(self._origin, moment, version, offset))
                self.newest = moment
            elif (kind := _TYPE_NAMES[type(item.data)]) in self._types:
                found.setdefault(kind, []).append((offset, self.newest, item))
        forwards = [forward for kind, rows in found.items() for forward in self._route(kind, rows)]
        forwards.sort(key=lambda forward: forward.event.offset)
        return forwards, ticks

    def _route(self, kind: str, rows: Sequence[tuple[int, Moment, Event]]) -> Iterable[Forward]:
        events = [event for _, _, event in rows]
        times = np.array([event.time_us for event in events], dtype=np.int64)
        columns = EventColumns(events, range(len(events)), times)
        keys: list[list[str]] = [[] for _ in events]
        for group in self._groups:
            wanted = group.wanted(kind, columns)
            unkeyed: list[int] = []
            for position in range(len(events)) if wanted is None else wanted.nonzero()[0].tolist():
                key = group.key_of(events[position])
                if key is not None:
                    keys[position].append(route_key(group.names, key))
                else:
                    unkeyed.append(position)
            if unkeyed:
                self._miss(group.missed(kind, columns, unkeyed))
        for (offset, after, event), own in zip(rows, keys, strict=True):
            self.dropped += max(0, len(own) - self._max_keys)
            targets = {self._partition_of(key): key for key in own[: self._max_keys]}
            if targets:
                passed = WideEvent(self._origin, offset, after, self._projected(event))
                yield from (Forward(partition, key, passed) for partition, key in targets.items())

    def _miss(self, missed: Iterable[tuple[_Watch, int]]) -> None:
        for watch, count in missed:
            rule = watch.compiled.rule
            known = watch.program, rule.name, rule.version
            self.unkeyed[known] = self.unkeyed.get(known, 0) + count

    def _projected(self, event: Event) -> Event:
        """Leave out optional data and extra fields that no rule mentions."""
        kept: dict[str, Any] = {}
        for field in msgspec.structs.fields(event.data):
            if field.required or field.name in self._mentioned:
                kept[field.name] = getattr(event.data, field.name)
        kept["extra"] = {name: value for name, value in event.data.extra.items() if name in self._extras}
        return msgspec.structs.replace(event, data=type(event.data)(**kept))


def _fields_of(part: object) -> Iterable[Field]:
    """Yield every field of an event that a rule, or a part of one, mentions."""
    if isinstance(part, Field):
        yield part
    elif isinstance(part, tuple):
        for item in part:
            yield from _fields_of(item)
    elif is_dataclass(part) and not isinstance(part, type):
        for field in fields(part):
            yield from _fields_of(getattr(part, field.name))
