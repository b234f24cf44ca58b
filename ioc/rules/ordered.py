"""Rules for which the order of events matters: what all their machines share.

An event waits in the buffer of its key until the watermark has passed its time; then it is applied, in
order of time, whatever the order of arrival. An event older than the watermark when it arrives is late:
counted, and by the rule's policy dropped or added to the open episode. At equal times timers come before
events, events by rank (a position outside before one inside), then by arrival.

An episode begins when the pattern is complete and ends `hold` after the last completion, unless the kind
says otherwise. Bounds: `MAX_WAITING` events wait per key (more are refused and counted), and each kind states
its own.
"""

from abc import abstractmethod
from bisect import insort
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ioc.model.events import Event
from ioc.model.incidents import Severity
from ioc.rules.columns import EventColumns
from ioc.rules.compile import CompiledRule
from ioc.rules.explain import Finding
from ioc.rules.machine import MAX_EVENT_IDS, MAX_WAITING, NEVER_US, UPDATE_PAUSE_US, Machine
from ioc.rules.predicate import Predicate
from ioc.rules.state import Episode, OrderedState, Seen, Waiting, encode

Roles = NDArray[np.int64]
"""By event: 0 where the rule does not ask for it, else what it is to the rule, in bits."""

T = TypeVar("T", bound=OrderedState)
_ORDER = attrgetter("time_us", "rank")


class OrderedMachine(Machine[T]):
    """Base of the order-sensitive kinds."""

    def __init__(self, compiled: CompiledRule, *, max_keys: int, watermark_us: int = NEVER_US) -> None:
        super().__init__(compiled, max_keys=max_keys)
        self.watermark_us = watermark_us
        self._scheduled: dict[str, int] = {}
        """When a key wakes next. Derived, not stored."""

    # of each kind -----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def predicates(self) -> Sequence[Predicate]:
        """Every predicate the rule asks."""

    @abstractmethod
    def roles(self, kind: str, columns: EventColumns) -> Roles:
        """Return what the events of type `kind` are to the rule."""

    @abstractmethod
    def _fresh(self) -> T: ...

    @abstractmethod
    def _wait(self, event: Event, time_us: int, role: int) -> Waiting | None:
        """Return what is kept of `event` until its turn; None where it says nothing."""

    @abstractmethod
    def _apply(self, key: str, state: T, items: Sequence[Waiting], at_us: int) -> None:
        """Apply the events of one moment, in order."""

    @abstractmethod
    def _turn_us(self, state: T) -> int | None:
        """Return when time alone next changes what the kind remembers."""

    @abstractmethod
    def _turn(self, key: str, state: T, turn_us: int, at_us: int) -> None: ...

    @abstractmethod
    def _remembers(self, state: T) -> bool:
        """Whether the kind's own memory of the key matters still."""

    # events -----------------------------------------------------------------------------------------------

    def feed(self, key: str, event: Event, time_us: int, at_us: int, role: int) -> None:
        """Take one event of `key`; it is applied when the watermark has passed it."""
        self.counters.matched += 1
        state = self.states.get(key)
        if time_us < self.watermark_us:
            self.counters.late += 1
            if state is not None:
                self._amend(key, state, event, at_us)
            return
        item = self._wait(event, time_us, role)
        if item is None:
            return
        if state is None:
            self._make_room(at_us, _age)
            state = self.states[key] = self._fresh()
        if len(state.waiting) >= MAX_WAITING:
            self.counters.overflowed += 1
            return
        insort(state.waiting, item, key=_ORDER)
        self.changed.add(key)
        self._settle(key, state)

    def _amend(self, key: str, state: T, event: Event, at_us: int) -> None:
        episode = state.episode
        if self.rule.late != "amend" or episode is None or state.last is None:
            return
        self.counters.amended += 1
        self.changed.add(key)
        episode.count += 1
        state.ids = [event.id, *state.ids][:MAX_EVENT_IDS]
        if at_us - episode.told_us >= UPDATE_PAUSE_US:
            self._tell(key, state, episode, self.watermark_us, at_us)

    # episodes ---------------------------------------------------------------------------------------------

    def _fire(
        self, key: str, state: T, seen: Seen, ids: Sequence[str], finding: Finding, *,
        opened_us: int, when_us: int, at_us: int, measured: float | None = None,
    ) -> None:  # fmt: skip
        """Begin an episode, or add to the open one."""
        episode = state.episode
        if episode is None and state.cool_us is not None and when_us < state.cool_us:
            self.counters.cooled += 1
            return
        state.last, state.last_us, state.ends_us = seen, when_us, None
        state.evidence, state.clauses = list(finding.evidence), [finding.vi, finding.en]
        state.measured = measured
        if episode is None:
            state.ids = list(ids)[-MAX_EVENT_IDS:]
            if state.floor_us is not None:
                opened_us = max(opened_us, state.floor_us + 1)
            state.floor_us = opened_us
            state.episode = self._raise(
                key,
                seen,
                state.ids,
                opened_us=opened_us,
                at_us=at_us,
                when_us=when_us,
                severity=self._severity(measured),
                measured=measured,
                count=1,
                finding=finding,
            )
            return
        episode.count += 1
        state.ids = [*state.ids, *(name for name in ids if name not in state.ids)][-MAX_EVENT_IDS:]
        severity = self._severity(measured)
        if self._is_news(episode, severity, at_us):
            self._tell(key, state, episode, when_us, at_us, severity)

    def _tell(
        self,
        key: str,
        state: T,
        episode: Episode,
        when_us: int,
        at_us: int,
        severity: Severity | None = None,
    ) -> None:
        assert state.last is not None
        self._update(
            key,
            episode,
            state.last,
            state.ids,
            severity=severity or episode.severity,
            measured=state.measured,
            at_us=at_us,
            when_us=when_us,
            finding=Finding(tuple(state.evidence), *state.clauses),
        )

    def _end(self, key: str, state: T, reason: str, when_us: int, at_us: int) -> None:
        assert state.episode is not None
        self._clear(key, state.episode, reason, at_us, when_us)
        state.episode = state.ends_us = state.last = None
        state.ids, state.evidence, state.clauses = [], [], []
        state.cool_us = when_us + self.rule.cooldown_us if self.rule.cooldown_us else None

    def _end_us(self, state: T) -> int | None:
        """Return when the open episode ends if nothing more happens."""
        return None if state.episode is None else state.last_us + self.rule.hold_us

    # time -------------------------------------------------------------------------------------------------

    def on_watermark(self, watermark_us: int, at_us: int) -> None:
        """Apply the events before the watermark and the timers up to it, key by key, in order."""
        self.watermark_us = watermark_us
        for due_us, key in self._due(watermark_us):
            state = self.states.get(key)
            if state is None or self._scheduled.get(key) != due_us:
                continue
            del self._scheduled[key]
            self._advance(key, state, at_us)
            self.changed.add(key)
            if self._is_over(state):
                self._forget(key)
            else:
                self._settle(key, state)
        self.out.sort(key=lambda item: item[:2])

    def _advance(self, key: str, state: T, at_us: int) -> None:
        until_us = self.watermark_us
        while True:
            first_us = state.waiting[0].time_us if state.waiting else None
            end_us, turn_us = self._end_us(state), self._turn_us(state)
            due_us = min((time_us for time_us in (end_us, turn_us) if time_us is not None), default=None)
            if due_us is not None and due_us <= until_us and (first_us is None or due_us <= first_us):
                if turn_us == due_us:
                    self._turn(key, state, turn_us, at_us)
                else:
                    self._end(key, state, "no further events", due_us, at_us)
            elif first_us is not None and first_us < until_us:
                size = next(
                    (n for n, item in enumerate(state.waiting) if item.time_us != first_us),
                    len(state.waiting),
                )
                items, state.waiting = state.waiting[:size], state.waiting[size:]
                self._apply(key, state, items, at_us)
            else:
                return

    def _settle(self, key: str, state: T) -> None:
        """Make sure the key wakes in time."""
        times = [self._end_us(state), self._turn_us(state)]
        if state.waiting:
            times.append(state.waiting[0].time_us + 1)
        due = [time_us for time_us in times if time_us is not None]
        if not due:
            due = [max((state.floor_us or NEVER_US) + 1, state.cool_us or NEVER_US)]
        due_us = min(due)
        known_us = self._scheduled.get(key)
        if known_us is None or due_us < known_us:
            self._scheduled[key] = due_us
            self._wake_at(due_us, key)

    def _is_over(self, state: T) -> bool:
        if state.waiting or state.episode is not None or self._remembers(state):
            return False
        cool = state.cool_us is None or state.cool_us <= self.watermark_us
        return cool and (state.floor_us is None or state.floor_us < self.watermark_us)

    def _forget(self, key: str) -> None:
        super()._forget(key)
        self._scheduled.pop(key, None)

    # state in and out -------------------------------------------------------------------------------------

    def _adopt_state(self, key: str, state: T) -> None:
        self.states[key] = state
        self._settle(key, state)

    def _pack(self, state: T) -> bytes:
        return encode(state)

    def _unpack(self, data: bytes) -> T:
        return msgspec.msgpack.decode(data, type=type(self._fresh()))

    def _episode(self, state: T) -> Episode | None:
        return state.episode


def _age(state: OrderedState) -> tuple[bool, int]:
    newest_us = state.waiting[-1].time_us if state.waiting else NEVER_US
    return state.episode is not None, max(state.last_us, newest_us)
