"""What every kind of rule shares: keyed state with timers, bounds, changed keys and effects.

A machine is one rule on one partition. Its keys are independent of each other; a key's state is a function of
the events of that key and of the watermarks, both in log order, and of nothing else.
"""

import heapq
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from typing import Final, Generic, TypeVar

from ioc.model.events import Event
from ioc.model.incidents import Cleared, Effect, Raised, Severity, Updated, incident_id
from ioc.model.times import SECOND_US
from ioc.rules.compile import CompiledRule
from ioc.rules.explain import Explainer, Finding
from ioc.rules.predicate.ast import Field
from ioc.rules.predicate.values import raw_reader
from ioc.rules.rule import RANK, reaches
from ioc.rules.state import Episode, Seen, StateChange

MAX_KEY_BYTES: Final = 1_000
"""Longer keys are shortened to their beginning and a hash."""

UPDATE_PAUSE_US = 30 * SECOND_US
"""Least time between two updates that only report a higher count."""
MAX_EVENT_IDS = 20
MAX_WAITING: Final = 200
"""Events of one key that wait for the watermark; more are refused and counted."""
NEVER_US = -(1 << 62)
"""The watermark before the first tick."""


@dataclass(slots=True)
class RuleCounters:
    """What happened in one rule since the engine started; for metrics, never part of a decision."""

    matched: int = 0
    late: int = 0
    unkeyed: int = 0
    """Events without a value for `by`; those of a wide rule are counted where they are passed on."""
    amended: int = 0
    """Late events that were added to an open episode; they are counted as late too."""
    cooled: int = 0
    """Matching events during a cooldown."""
    overflowed: int = 0
    """Events refused because too many of their key waited for the watermark."""
    evicted: int = 0
    failed: int = 0
    raised: int = 0
    cleared: int = 0


S = TypeVar("S")


class Machine(Generic[S]):
    """Base of the rule kinds. They implement `feed`, `_adopt_state`, `_pack`, `_unpack` and `_episode`."""

    def __init__(self, compiled: CompiledRule, *, max_keys: int) -> None:
        self.compiled = compiled
        self.rule = compiled.rule
        self.key_of = _owned(key_reader(compiled.rule.by), compiled.owns)
        names = [field.name for field in compiled.rule.by]
        plain = names in (["source"], ["ward"], ["subject"]) and compiled.owns is None
        self.shared_key = names[0] if plain else None
        """The event's attribute that is the key, where it is one: rules then share the column of keys."""
        self.counters = RuleCounters()
        self.states: dict[str, S] = {}
        self.changed: set[str] = set()
        self.out: list[tuple[int, str, Effect]] = []
        """Effects since the caller last emptied it: (moment of the transition, key, effect)."""
        self._explainer = Explainer(compiled.rule)
        self._max_keys = max_keys
        self._timers: list[tuple[int, str]] = []

    def miss(self, events: int = 1) -> None:
        """Count events without a key. A partition that answers for some keys only cannot tell them apart."""
        if self.compiled.owns is None:
            self.counters.unkeyed += events

    # effects ----------------------------------------------------------------------------------------------

    def _raise(
        self, key: str, seen: Seen, ids: list[str], *, opened_us: int, at_us: int, when_us: int,
        severity: Severity, measured: float | None, count: int, finding: Finding | None = None,
    ) -> Episode:  # fmt: skip
        rule = self.rule
        number = incident_id(rule.name, key, opened_us)
        raised = Raised(
            incident_id=number,
            rule=rule.name,
            key=key,
            category=self._explainer.category(seen),
            severity=severity,
            title=self._explainer.render(rule.title, seen, key, measured, count),
            why=self._explainer.why(seen, key, measured, count, ids, finding),
            opened_us=opened_us,
            at_us=at_us,
            ward=seen.ward,
            source=seen.source,
            lon=seen.lon,
            lat=seen.lat,
            count=count,
            clocks=rule.clocks,
        )
        self.counters.raised += 1
        self.out.append((when_us, key, raised))
        return Episode(number, opened_us, severity, count, count, at_us)

    def _clear(self, key: str, episode: Episode, reason: str, at_us: int, when_us: int) -> None:
        self.counters.cleared += 1
        cleared = Cleared(
            incident_id=episode.incident_id,
            at_us=max(at_us, episode.told_us),
            reason=reason,
            count=episode.count,
        )
        self.out.append((when_us, key, cleared))

    def _is_news(self, episode: Episode, severity: Severity, at_us: int) -> bool:
        """Tell a higher severity at once, a doubled count at most every 30 s."""
        if RANK[severity] > RANK[episode.severity]:
            return True
        return episode.count >= 2 * episode.reported and at_us - episode.told_us >= UPDATE_PAUSE_US

    def _update(
        self, key: str, episode: Episode, seen: Seen, ids: list[str], *, severity: Severity,
        measured: float | None, at_us: int, when_us: int, finding: Finding | None = None,
    ) -> None:  # fmt: skip
        if RANK[severity] > RANK[episode.severity]:
            episode.severity = severity
        episode.reported, episode.told_us = episode.count, max(at_us, episode.told_us)
        updated = Updated(
            incident_id=episode.incident_id,
            at_us=episode.told_us,
            severity=episode.severity,
            why=self._explainer.why(seen, key, measured, episode.count, ids, finding),
            count=episode.count,
        )
        self.out.append((when_us, key, updated))

    def _severity(self, value: float | None) -> Severity:
        """Return the severity of having's value."""
        level, having = self.rule.severity, self.rule.having
        if having is not None and value is not None:
            for step in self.rule.steps:
                if reaches(value, having.op, step.at):
                    level = step.level
        return level

    # timers -----------------------------------------------------------------------------------------------

    def _wake_at(self, due_us: int, key: str) -> None:
        heapq.heappush(self._timers, (due_us, key))

    def _due(self, until_us: int) -> Iterator[tuple[int, str]]:
        while self._timers and self._timers[0][0] <= until_us:
            yield heapq.heappop(self._timers)

    # bounds -----------------------------------------------------------------------------------------------

    def _make_room(self, at_us: int, age: Callable[[S], tuple[bool, int]]) -> None:
        """Evict the keys longest idle, a hundredth at a time, those with an open episode last."""
        if len(self.states) < self._max_keys:
            return
        many = max(self._max_keys // 100, 1)
        oldest = heapq.nsmallest(many, self.states, key=lambda key: (*age(self.states[key]), key))
        for key in oldest:
            episode = self._episode(self.states[key])
            if episode is not None:
                self._clear(key, episode, "evicted", at_us, at_us)
            self._forget(key)
            self.counters.evicted += 1

    def _forget(self, key: str) -> None:
        del self.states[key]
        self.changed.add(key)

    # state in and out -------------------------------------------------------------------------------------

    def drain(self) -> Iterator[StateChange]:
        """Yield the rows of the keys changed since the last drain, in key order."""
        for key in sorted(self.changed):
            state = self.states.get(key)
            yield StateChange(self.rule.name, key, None if state is None else self._pack(state))
        self.changed.clear()

    def restore(self, key: str, data: bytes) -> None:
        """Take over one stored row."""
        self._adopt_state(key, self._unpack(data))

    def take_over(self, old: "Machine[S]", at_us: int) -> list[Effect]:
        """Continue the keys of `old`, a machine of the same shape; clear and forget those left behind."""
        self.counters = old.counters
        self.changed |= old.changed
        for key, state in old.states.items():
            self._adopt_state(key, state)
        return self._drop(self._left_behind(old), "rule changed", at_us)

    def orphans(self, at_us: int, reason: str) -> list[Effect]:
        """Clear every open episode, as nothing will watch them any more, and forget all keys."""
        return self._drop(list(self.states), reason, at_us)

    def _drop(self, keys: Collection[str], reason: str, at_us: int) -> list[Effect]:
        for key in sorted(keys):
            episode = self._episode(self.states[key])
            if episode is not None:
                self._clear(key, episode, reason, at_us, at_us)
            self._forget(key)
        effects = [effect for _, _, effect in self.out]
        self.out.clear()
        return effects

    def _left_behind(self, _old: "Machine[S]") -> Collection[str]:
        """Return the keys that `_old` watched and of which this machine can hear nothing more."""
        return ()

    def _outside(self, seen: Seen) -> bool:
        """Whether something lies where the rule does not look."""
        wards, fence = self.rule.wards, self.compiled.fence
        return (wards is not None and seen.ward not in wards) or (
            fence is not None and not fence.contains_one(seen.lon, seen.lat)
        )

    # of each kind -----------------------------------------------------------------------------------------

    def _adopt_state(self, key: str, state: S) -> None:
        raise NotImplementedError

    def _pack(self, state: S) -> bytes:
        raise NotImplementedError

    def _unpack(self, data: bytes) -> S:
        raise NotImplementedError

    def _episode(self, state: S) -> Episode | None:
        raise NotImplementedError


def key_reader(fields: tuple[Field, ...]) -> Callable[[Event], str | None]:
    """Return the function from an event to its key, None where a part is missing.

    Several parts are joined by `|`; a `|` or `\\` inside a part is escaped, so different parts never collide.
    """
    if len(fields) == 1 and fields[0].name in ("source", "ward", "subject"):
        path: Callable[[Event], str | None] = attrgetter(fields[0].attr)
        return path
    readers = [raw_reader(field) for field in fields]

    def read(event: Event) -> str | None:
        parts = [reader(event) for reader in readers]
        if any(part is None for part in parts):
            return None
        if len(parts) == 1:
            return _bounded(str(parts[0]))
        return _bounded("|".join(str(part).replace("\\", "\\\\").replace("|", "\\|") for part in parts))

    return read


def key_parts(key: str) -> list[str]:
    """Return what a key of several parts was joined from, see `key_reader`."""
    parts, escaped = [""], False
    for letter in key:
        if escaped or letter not in "\\|":
            parts[-1] += letter
            escaped = False
        elif letter == "|":
            parts.append("")
        else:
            escaped = True
    return parts


def _owned(
    read: Callable[[Event], str | None], owns: Callable[[str], bool] | None
) -> Callable[[Event], str | None]:
    """Leave out keys that another partition answers for."""
    if owns is None:
        return read
    asked = owns

    def read_owned(event: Event) -> str | None:
        key = read(event)
        return key if key is not None and asked(key) else None

    return read_owned


def _bounded(key: str) -> str:
    """Shorten a key beyond `MAX_KEY_BYTES` to its beginning and a hash: stores index keys."""
    raw = key.encode(errors="replace")
    if len(raw) <= MAX_KEY_BYTES:
        return key
    return f"{key[:100]}…{blake2b(raw, digest_size=16).hexdigest()}"
