"""Rules on events: a condition that holds for a spell of time, with or without a window (`having`).

    A  idle       the condition does not hold
    B  pending    it holds, not yet for `for`
    C  open       the incident is raised
    D  ending     still open, but seems over, not yet for `hold`

    A → B  the condition becomes true          B → A  it becomes false before `for` is over
    B → C  it has held for `for`: Raised       C → D  `clear_when` matches, or the condition is false
    D → C  contradicted before `hold` is over  D → A  `hold` is over: Cleared

The condition is true: with `having`, while the window's value reaches the threshold; without, from a
matching event on, until an event of the key contradicts it or, where there is no `clear_when`, none matches
for `hold`. With `clear_when` an open incident ends only by it: missing data is not recovery. Its window then
starts empty.

Where the rule's `order` is `arrival`, an event is applied at once, and what it opens or ends depends on what
came before it. Where it is `time`, an event waits until the watermark has passed it and is applied in order
of time: contradictions before matches at one moment, then by id. Events later than that are applied at once
in either case, as far as the window reaches. At most `MAX_WAITING` events wait per key; more are refused and
counted.
"""

from bisect import insort
from collections.abc import Collection
from operator import attrgetter
from typing import Final

from ioc.model.events import Event
from ioc.model.incidents import Effect
from ioc.model.times import SECOND_US
from ioc.rules.compile import CompiledRule
from ioc.rules.machine import MAX_EVENT_IDS, MAX_WAITING, NEVER_US, UPDATE_PAUSE_US, Machine
from ioc.rules.predicate.ast import Kind
from ioc.rules.predicate.values import value_reader
from ioc.rules.rule import reaches
from ioc.rules.state import Episode, Held, PackedSpell, Seen, SpellState, encode, spell_decoder
from ioc.rules.windows import Packed, Window, window_for

GRACE_US = 60 * SECOND_US
"""An event may be at least this old: networks and cameras' buffers delay, and an alarm must not be lost."""
LEAD_US: Final = 5 * SECOND_US
"""How far a tick and a source's clock together may lead: a `for` that exceeds the lateness by more cannot end
before the events that began it have arrived."""

Value = float | str | bool | None
_ORDER = attrgetter("time_us", "matched", "id", "seen.source")


class SpellMachine(Machine[SpellState]):
    """One rule on events."""

    def __init__(
        self, compiled: CompiledRule, *, max_keys: int, watermark_us: int = NEVER_US, lateness_us: int = 0
    ) -> None:
        super().__init__(compiled, max_keys=max_keys)
        rule = self.rule
        self.watermark_us = watermark_us
        self.horizon_us = rule.having.window_us if rule.having else max(rule.hold_us, rule.for_us, GRACE_US)
        """Events older than this behind the watermark are late: what they could begin is over."""
        self._tumbling = rule.having is not None and rule.having.tumbling
        self.wants_others = rule.clear_when is not None or (rule.having is None and rule.for_us > 0)
        """Whether events that do not match matter, to keys that have state."""
        self._sorts = rule.order == "time"
        opens_later = rule.having is not None and rule.for_us > lateness_us + LEAD_US
        self.minds_all = self.wants_others and self._sorts and not opens_later
        """Whether they matter to keys without state too: what they contradict may arrive after them."""
        self.minded: set[str | None] = set()
        """Keys to which events that do not match matter: with a window those with an open episode, or, where
        events wait, those that may have one by the time they are applied."""
        argument = rule.having.argument if rule.having else None
        self._measure = None if argument is None else value_reader(argument)
        self._numeric = argument is not None and argument.kind is Kind.NUMBER

    # events -----------------------------------------------------------------------------------------------

    def feed(
        self, key: str, event: Event, time_us: int, at_us: int, *, matched: bool, clearing: bool
    ) -> None:
        """Take one event of `key`; `at_us` is the log's time."""
        having = self.rule.having
        value: Value = None
        if time_us < self.watermark_us - self.horizon_us:  # reaches us only where the rule amends
            if matched:
                self._amend(key, self.states.get(key), event.id, time_us, at_us)
            return
        if having is None and clearing:
            matched = False
        elif matched and self._measure is not None:
            value = self._measure(event)
            matched = value is not None and (not self._numeric or _finite(value))
        waits = self._sorts and time_us >= self.watermark_us
        state = self.states.get(key)
        if state is None:
            if not matched and not (waits and self.minds_all):
                return
            self._make_room(at_us, _age)
            # of the events that wait, the one that arrives first is nothing special
            began_us = self.watermark_us if waits else time_us
            state = self.states[key] = SpellState(window_for(having) if having else None, began_us)
        if waits:
            self._hold_back(key, state, event, value, time_us, matched=matched, clearing=clearing)
            return
        # a tumbling window closes by the watermark: by this event's time it would shut out those just behind
        now_us = self.watermark_us if self._tumbling else max(time_us, state.clock_us, self.watermark_us)
        if state.due_us is None or state.due_us <= now_us:
            self._advance(key, state, now_us, at_us)
        self._apply(
            key, state, event, event.id, value, time_us, now_us, at_us, matched=matched, clearing=clearing
        )
        self._settle(key, state)

    def _hold_back(
        self, key: str, state: SpellState, event: Event, value: Value, time_us: int, *,
        matched: bool, clearing: bool,
    ) -> None:  # fmt: skip
        """Keep an event until the watermark has passed it."""
        if state.waiting is None:
            state.waiting = []
        if len(state.waiting) >= MAX_WAITING:
            self.counters.overflowed += 1
            return
        seen = self._explainer.seen(event)
        insort(state.waiting, Held(time_us, matched, clearing, event.id, seen, value), key=_ORDER)
        self.changed.add(key)
        self._settle(key, state)

    def _apply(
        self, key: str, state: SpellState, event: Event | Seen, number: str, value: Value, time_us: int,
        now_us: int, at_us: int, *, matched: bool, clearing: bool,
    ) -> None:  # fmt: skip
        """Let an event change its key, which has come to `now_us`; `number` is the event's id."""
        having = self.rule.having
        was_open = state.episode is not None
        older = time_us < state.last_us  # it says nothing against what is newer
        if matched:
            matched = self._match(key, state, event, number, value, time_us, now_us, at_us)
        elif having is None and not was_open and not older:
            state.since_us = None
            self.changed.add(key)
        if matched or (was_open and self.rule.clear_when is not None):
            state.clock_us = max(state.clock_us, time_us)
            self.changed.add(key)
        if was_open:
            self._consider_end(key, state, None if older else clearing, time_us, now_us, at_us)
        self._consider(key, state, matched, now_us, at_us)

    def _amend(self, key: str, state: SpellState | None, number: str, time_us: int, at_us: int) -> None:
        """Let a late event add to the count and evidence of the open episode it belongs to, by policy."""
        episode = None if state is None else state.episode
        if self.rule.late != "amend" or state is None or episode is None:
            return
        if time_us < episode.opened_us - self.horizon_us:
            return
        self.counters.amended += 1
        self.changed.add(key)
        episode.count += 1
        state.ids = [number, *state.ids][:MAX_EVENT_IDS]
        if at_us - episode.told_us >= UPDATE_PAUSE_US:
            self._update(
                key,
                episode,
                self._seen(state),
                state.ids,
                severity=episode.severity,
                measured=self._value(state),
                at_us=at_us,
                when_us=time_us,
            )

    def _match(
        self,
        key: str,
        state: SpellState,
        event: Event | Seen,
        number: str,
        value: Value,
        time_us: int,
        now_us: int,
        at_us: int,
    ) -> bool:
        """Count a matching event; False where its window is over."""
        having, window = self.rule.having, state.window
        if having is not None and window is not None:
            if window.is_over(time_us, now_us):
                self.counters.late += 1
                self._amend(key, state, number, time_us, at_us)
                return False
            window.add(time_us, value)
        elif state.since_us is None and state.episode is None:
            state.ids = []  # of a spell that was contradicted
        state.last = event
        state.ids.append(number)
        if len(state.ids) > MAX_EVENT_IDS:
            del state.ids[0]
        state.last_us = max(state.last_us, time_us)
        state.count += 1
        if state.episode is not None:
            state.episode.count += 1
        elif state.cool_us is not None and time_us < state.cool_us:
            self.counters.cooled += 1
        if window is None:
            self._begin(state, time_us)
            state.ends_us = None
        elif not self._tumbling:
            # an older event that completes the condition does so when the newest of them happened
            self._measured(state, max(time_us, state.clock_us))
        return True

    def _begin(self, state: SpellState, time_us: int) -> None:
        if state.since_us is None:
            floor_us = state.floor_us
            state.since_us = time_us if floor_us is None else max(time_us, floor_us + 1)
            if state.episode is None:
                state.count = state.window.n if state.window is not None else 1

    def _measured(self, state: SpellState, time_us: int) -> None:
        """Let the window's value decide whether the condition holds from `time_us` on."""
        having, window = self.rule.having, state.window
        assert having is not None and window is not None
        value = window.value()
        if value is not None and reaches(value, having.op, having.threshold):
            self._begin(state, time_us)
            if self.rule.clear_when is None:
                state.ends_us = None
        elif state.since_us is not None:
            state.since_us = None
            if state.episode is not None and self.rule.clear_when is None:
                state.ends_us = time_us

    def _consider_end(
        self, key: str, state: SpellState, clearing: bool | None, time_us: int, now_us: int, at_us: int
    ) -> None:
        if self.rule.clear_when is not None and clearing is not None:
            if not clearing:
                state.ends_us = None
            elif state.ends_us is None:
                state.ends_us = max(time_us, now_us)
        if state.ends_us is not None and state.ends_us + self.rule.hold_us <= now_us:
            self._end(key, state, now_us, at_us)

    def _consider(self, key: str, state: SpellState, matched: bool, now_us: int, at_us: int) -> None:
        if state.episode is None:
            since_us = state.since_us
            # the floor may have put the beginning a microsecond after this event
            if since_us is not None and self._fires_us(state, since_us) <= max(now_us, since_us):
                self._fire(key, state, now_us, at_us)
        elif matched:
            value = self._value(state) if self.rule.steps else None
            severity = self._severity(value)
            if self._is_news(state.episode, severity, at_us):
                self._update(
                    key,
                    state.episode,
                    self._seen(state),
                    state.ids,
                    severity=severity,
                    measured=self._value(state),
                    at_us=at_us,
                    when_us=now_us,
                )

    # time -------------------------------------------------------------------------------------------------

    def on_watermark(self, watermark_us: int, at_us: int) -> None:
        """Let every timer up to the watermark fire."""
        self.watermark_us = watermark_us
        for due_us, key in self._due(watermark_us):
            state = self.states.get(key)
            if state is None or state.due_us != due_us:
                continue
            state.due_us = None
            self._release(key, state, watermark_us, at_us)
            self._advance(key, state, watermark_us, at_us)
            if self._is_over(state, watermark_us):
                self._forget(key)
            else:
                self._settle(key, state)
        self.out.sort(key=lambda item: item[:2])

    def _release(self, key: str, state: SpellState, watermark_us: int, at_us: int) -> None:
        """Apply the events that the watermark has passed."""
        passed = 0
        for item in state.waiting or ():
            if item.time_us >= watermark_us:
                break
            passed += 1
            self._advance(key, state, item.time_us, at_us)
            self._apply(
                key,
                state,
                item.seen,
                item.id,
                item.value,
                item.time_us,
                item.time_us,
                at_us,
                matched=item.matched,
                clearing=item.clearing,
            )
        if state.waiting and passed:
            state.waiting = state.waiting[passed:] or None
            self.changed.add(key)

    def _advance(self, key: str, state: SpellState, now_us: int, at_us: int) -> None:
        """Bring the key to `now_us` through each transition at its own moment."""
        while True:
            expiry_us = state.window.next_expiry_us() if state.window is not None else None
            turn_us = self._turn_us(state)
            if expiry_us is not None and expiry_us <= now_us and (turn_us is None or expiry_us <= turn_us):
                assert state.window is not None
                state.window.expire(expiry_us)
                self._measured(state, expiry_us)
                if self._is_idle(state):
                    state.ids = []
            elif turn_us is not None and turn_us <= now_us:
                self._turn(key, state, turn_us, at_us)
            else:
                return
            self.changed.add(key)

    def _turn_us(self, state: SpellState) -> int | None:
        """Return when the key next changes its letter by time alone."""
        rule = self.rule
        single = rule.having is None and rule.clear_when is None
        if state.episode is not None:
            if single:
                return state.last_us + rule.hold_us
            return None if state.ends_us is None else state.ends_us + rule.hold_us
        if state.since_us is None:
            return None
        fires_us = self._fires_us(state, state.since_us)
        return min(fires_us, state.last_us + rule.hold_us) if single else fires_us

    def _fires_us(self, state: SpellState, since_us: int) -> int:
        fires_us = since_us + self.rule.for_us
        return fires_us if state.cool_us is None else max(fires_us, state.cool_us)

    def _turn(self, key: str, state: SpellState, turn_us: int, at_us: int) -> None:
        if state.episode is not None:
            self._end(key, state, turn_us, at_us)
        elif self._is_stale(state, turn_us):
            state.since_us = None
        else:
            self._fire(key, state, turn_us, at_us)

    def _is_stale(self, state: SpellState, turn_us: int) -> bool:
        rule = self.rule
        single = rule.having is None and rule.clear_when is None
        waits = rule.for_us > 0 or state.cool_us is not None
        return single and waits and state.last_us + rule.hold_us <= turn_us

    def _fire(self, key: str, state: SpellState, when_us: int, at_us: int) -> None:
        value = self._value(state)
        assert state.since_us is not None
        state.episode = self._raise(
            key,
            self._seen(state),
            state.ids,
            opened_us=state.since_us,
            at_us=at_us,
            when_us=when_us,
            severity=self._severity(value),
            measured=value,
            count=state.count,
        )
        state.floor_us = state.since_us
        state.ends_us = state.cool_us = None

    def _end(self, key: str, state: SpellState, when_us: int, at_us: int) -> None:
        assert state.episode is not None
        reason = "clear_when" if self.rule.clear_when is not None else "no longer true"
        if self.rule.having is None and self.rule.clear_when is None:
            reason = "no further events"
        self._clear(key, state.episode, reason, at_us, when_us)
        state.episode = state.since_us = state.ends_us = None
        if self.rule.cooldown_us:
            state.cool_us = when_us + self.rule.cooldown_us
        state.count = 0
        state.ids = []
        if state.window is not None and self.rule.clear_when is not None:
            state.window.clear()

    # bookkeeping ------------------------------------------------------------------------------------------

    def _settle(self, key: str, state: SpellState) -> None:
        """Forget a key with nothing left to remember, else make sure it wakes in time."""
        due_us = self._next_us(state)
        if due_us is None:
            if state.episode is None:
                self._forget(key)
                return
        elif state.due_us is None or due_us < state.due_us:
            state.due_us = due_us
            self._wake_at(due_us, key)
        if self.wants_others:
            self._mind(key, state)

    def _mind(self, key: str, state: SpellState) -> None:
        if self.rule.having is None or state.episode is not None or self._sorts:
            self.minded.add(key)
        else:
            self.minded.discard(key)

    def _forget(self, key: str) -> None:
        super()._forget(key)
        self.minded.discard(key)

    def _next_us(self, state: SpellState) -> int | None:
        """Return when time alone next matters to the key, None for never."""
        due_us = self._turn_us(state)
        if state.window is not None:
            expiry_us = state.window.next_expiry_us()
            if expiry_us is not None and (due_us is None or expiry_us < due_us):
                due_us = expiry_us
        if state.waiting:
            passed_us = state.waiting[0].time_us + 1
            return passed_us if due_us is None else min(passed_us, due_us)
        if due_us is None and state.floor_us is not None and self._is_idle(state):
            return self._over_us(state, state.floor_us) + 1
        return due_us

    def _over_us(self, state: SpellState, floor_us: int) -> int:
        """Return until when an idle key is remembered: no event may begin an episode twice, nor too soon."""
        return max(floor_us + self.horizon_us, state.cool_us or floor_us)

    def _is_idle(self, state: SpellState) -> bool:
        empty = state.window is None or state.window.n == 0
        return empty and state.episode is None and state.since_us is None

    def _is_over(self, state: SpellState, watermark_us: int) -> bool:
        floor_us = state.floor_us
        if state.waiting or not self._is_idle(state):
            return False
        return floor_us is None or self._over_us(state, floor_us) < watermark_us

    def _value(self, state: SpellState) -> float | None:
        return None if state.window is None else state.window.value()

    def _seen(self, state: SpellState) -> Seen:
        last = state.last
        assert last is not None
        return last if isinstance(last, Seen) else self._explainer.seen(last)

    def _episode(self, state: SpellState) -> Episode | None:
        return state.episode

    def take_over(self, old: Machine[SpellState], at_us: int) -> list[Effect]:
        """Continue the keys of `old`: what is under way must hold by this rule, not by the former."""
        asked = old.rule.where == self.rule.where
        for key, state in old.states.items():
            if state.window is not None:
                state.window = self._window(state.window.pack())
                if state.since_us is not None:
                    self._measured(state, max(state.clock_us, self.watermark_us))
                    self.changed.add(key)
            elif state.episode is None and state.since_us is not None and not asked:
                state.since_us = None
                self.changed.add(key)
        return super().take_over(old, at_us)

    def _left_behind(self, old: Machine[SpellState]) -> Collection[str]:
        """Those whose incident only an event ends (`clear_when`) that the rule looks for elsewhere now."""
        if self.rule.clear_when is None:
            return ()
        opened = {key: state for key, state in self.states.items() if state.episode is not None}
        return {key for key, state in opened.items() if self._outside(self._seen(state))}

    def let_go(self, elsewhere: Collection[str], at_us: int) -> list[Effect]:
        """End what only an event of these sources would end, which now go by way of another partition."""
        if self.rule.clear_when is None or all(field.name != "source" for field in self.rule.by):
            return []
        opened = {key: state for key, state in self.states.items() if state.episode is not None}
        left = {key for key, state in opened.items() if self._seen(state).source in elsewhere}
        return self._drop(left, "device moved", at_us)

    def _window(self, packed: Packed) -> Window | None:
        having = self.rule.having
        window = window_for(having) if having else None
        if window is not None:
            window.unpack(packed)
        return window

    def _adopt_state(self, key: str, state: SpellState) -> None:
        state.due_us = None
        if isinstance(state.last, Event):
            state.last = self._explainer.seen(state.last)
        self.states[key] = state
        due_us = self._next_us(state)
        if due_us is not None:
            state.due_us = due_us
            self._wake_at(due_us, key)
        if self.wants_others:
            self._mind(key, state)

    def _pack(self, state: SpellState) -> bytes:
        return encode(
            PackedSpell(
                state.clock_us,
                state.since_us,
                state.ends_us,
                state.last_us,
                state.floor_us,
                state.count,
                state.ids,
                None if state.last is None else self._seen(state),
                state.episode,
                None if state.window is None else state.window.pack(),
                state.cool_us,
                state.waiting or [],
            )
        )

    def _unpack(self, data: bytes) -> SpellState:
        packed = spell_decoder.decode(data)
        state = SpellState(self._window(packed.window or []), packed.clock_us)
        state.since_us, state.ends_us, state.last_us = packed.since_us, packed.ends_us, packed.last_us
        state.floor_us, state.count, state.ids = packed.floor_us, packed.count, packed.ids
        state.last, state.episode = packed.last, packed.episode
        state.cool_us, state.waiting = packed.cool_us, packed.waiting or None
        return state


def _age(state: SpellState) -> tuple[bool, int]:
    return state.episode is not None, state.clock_us


def _finite(value: object) -> bool:
    return isinstance(value, float) and value - value == 0.0
