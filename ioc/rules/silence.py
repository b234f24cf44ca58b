"""Silence rules: `absence: 90s` fires for a key that has not been heard for so long.

Silence is counted on a clock of its own: the time between consecutive ticks, except that a gap of more
than 10 s counts nothing, because nobody was listening. It is rounded to a grain of a tenth of `absence`, so
that a talking key is written to the store at most once per grain; a rule therefore fires between `absence`
and eleven tenths of it, never early. Arrival counts, not the event's own time: a device with a wrong clock is
not silent. A device in maintenance or out of service counts as heard at every tick; when that is, is told
beforehand (`ExpectedSource.away`) and compared with the ticks' time, so a replay excuses the same.
"""

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from ioc.model.events import Event
from ioc.model.incidents import Effect
from ioc.model.times import SECOND_US
from ioc.rules.compile import CompiledRule
from ioc.rules.machine import Machine
from ioc.rules.state import Episode, QuietState, Seen, encode, quiet_decoder

IN_MAINTENANCE: Final = "in maintenance"
REMOVED: Final = "device removed"
FOREVER_US: Final = 2**63 - 1
"""The end of what has none yet."""
MAX_TICK_GAP_US: Final = 10 * SECOND_US
"""A longer gap between ticks is a pause of ours, not silence of theirs."""


class Away(NamedTuple):
    """When, from ≤ t < to by the log, a device counts as heard, and why its incidents end."""

    from_us: int
    to_us: int
    reason: str = IN_MAINTENANCE

    @property
    def for_good(self) -> bool:
        """Whether the device is gone, not merely away."""
        return self.reason == REMOVED and self.to_us == FOREVER_US


class ExpectedSource(NamedTuple):
    """A device that should talk, though it may never have: where it is and which stream it feeds."""

    stream: str
    ward: str | None = None
    lon: float | None = None
    lat: float | None = None
    away: tuple[Away, ...] = ()
    promised: bool = True
    """False for one that is missed only once it has been heard, as every device that promised nothing."""
    here: bool = True
    """False for one whose events come by way of another partition, where they are listened for."""

    def is_gone(self, at_us: int) -> bool:
        """Return whether the device has been removed by then."""
        return any(each.for_good and each.from_us <= at_us for each in self.away)


class SilenceMachine(Machine[QuietState]):
    """One silence rule."""

    def __init__(self, compiled: CompiledRule, *, max_keys: int, silence_us: int = 0) -> None:
        super().__init__(compiled, max_keys=max_keys)
        assert self.rule.absence_us is not None
        self._absence_us = self.rule.absence_us
        self._grain_us = max(self._absence_us // 10, 1)
        self.silence_us = silence_us
        self._slot_us = self._slot()
        self.heard: set[str | None] = set()
        """Keys for which hearing more within this grain changes nothing."""
        self._armed: set[str] = set()
        """Keys with a timer: exactly one each."""
        self._wanted: set[str] = set()
        """Those who promised to talk and whom the rule is about."""
        self._elsewhere: Collection[str] = frozenset()
        """Those whom another partition listens for."""
        self._away: dict[str, tuple[Away, ...]] = {}

    def _arm(self, key: str, due_us: int) -> None:
        if key not in self._armed:
            self._armed.add(key)
            self._wake_at(due_us, key)

    def _slot(self) -> int:
        return -(-self.silence_us // self._grain_us) * self._grain_us

    @property
    def by_source(self) -> bool:
        """Whether the key is the source alone."""
        return tuple(field.name for field in self.rule.by) == ("source",)

    @property
    def unwatched(self) -> int:
        """How many promised to talk and are not watched, since the rule remembers as many keys as it may."""
        return len(self._wanted - self.states.keys())

    def expect(self, sources: Mapping[str, ExpectedSource], at_us: int) -> list[Effect]:
        """Listen for `sources` and no longer for those expected before; their open episodes are cleared.

        Only where the rule's key is the source. What was expected is stored, so that a device that leaves
        while nothing runs is let go of by the next start. A source that was only ever heard stays. Beyond
        `max_keys` the first by name are watched, the others once they are heard (`unwatched`).
        """
        if not self.by_source:
            return []
        listed = {source: place for source, place in sorted(sources.items()) if place.here}
        self._elsewhere = sources.keys() - listed.keys()
        self._away = {source: place.away for source, place in listed.items() if place.away}
        promised = {source: place for source, place in listed.items() if place.promised}
        gone = {source for source, place in promised.items() if place.is_gone(at_us)}
        self._wanted = {source for source, place in promised.items() if self._concerns(place)} - gone
        left = {key for key, state in self.states.items() if state.expected} - self._wanted - gone
        effects = self._drop(left | (self.states.keys() & self._elsewhere), "no longer expected", at_us)
        for source, place in promised.items():
            if source not in self._wanted:
                continue
            state = self.states.get(source)
            if state is not None:
                if not state.expected:
                    state.expected = True
                    self.changed.add(source)
            elif len(self.states) < self._max_keys:
                seen = Seen(source, place.ward, place.lon, place.lat, {})
                self._adopt_state(source, QuietState(self._slot_us, seen, expected=True))
                self.changed.add(source)
        return effects

    def _concerns(self, place: ExpectedSource) -> bool:
        rule, fence = self.rule, self.compiled.fence
        return (
            place.stream == rule.stream.value
            and (rule.wards is None or place.ward in rule.wards)
            and (fence is None or fence.contains_one(place.lon, place.lat))
        )

    def feed(self, key: str, event: Event, at_us: int) -> None:
        """Note that `key` was heard."""
        state = self.states.get(key)
        if state is None:
            if key in self._elsewhere:
                return  # its last words from before it was moved
            self._make_room(at_us, _age)
            seen = self._explainer.seen(event)
            state = QuietState(self._slot_us, seen, last_id=event.id, expected=key in self._wanted)
            self._adopt_state(key, state)
        elif state.heard_us == self._slot_us and state.episode is None:
            return
        else:
            state.last, state.last_id = self._explainer.seen(event), event.id
            self._hear(key, state, "heard again", at_us)
        self.changed.add(key)
        self.heard.add(key)

    def _hear(self, key: str, state: QuietState, reason: str, at_us: int) -> None:
        state.heard_us = self._slot_us
        if state.episode is not None:
            self._clear(key, state.episode, reason, at_us, at_us)
            state.episode = None
            self._arm(key, self._slot_us + self._absence_us)
        self.changed.add(key)

    def _excuse(self, now_us: int) -> None:
        """Count those that are away as heard; like a talking key, that is written once per grain.

        Whoever is gone for good is forgotten: when it was removed is not told for ever.
        """
        for key, windows in self._away.items():
            state = self.states.get(key)
            if state is None:
                continue
            excuse = next((each for each in windows if each.from_us <= now_us < each.to_us), None)
            if excuse is None:
                continue
            if state.episode is not None or state.heard_us != self._slot_us:
                self._hear(key, state, excuse.reason, now_us)
            if excuse.for_good:
                self._wanted.discard(key)
                self._forget(key)

    def _forget(self, key: str) -> None:
        super()._forget(key)
        self.heard.discard(key)

    def on_silence(self, silence_us: int, now_us: int) -> None:
        """Advance the silence clock; fire for keys not heard long enough."""
        self.silence_us = silence_us
        slot_us = self._slot()
        if slot_us != self._slot_us:
            self._slot_us = slot_us
            self.heard.clear()
        self._excuse(now_us)
        for _, key in self._due(silence_us):
            self._armed.discard(key)
            state = self.states.get(key)
            if state is None or state.episode is not None:
                continue
            due_us = state.heard_us + self._absence_us
            if due_us > silence_us:
                self._arm(key, due_us)
            else:
                self._fire(key, state, now_us)
        self.out.sort(key=lambda item: item[:2])

    def _fire(self, key: str, state: QuietState, now_us: int) -> None:
        silent_s = (self.silence_us - state.heard_us) / SECOND_US
        ids = [] if state.last_id is None else [state.last_id]
        state.episode = self._raise(
            key,
            state.last,
            ids,
            opened_us=now_us,
            at_us=now_us,
            when_us=now_us,
            severity=self.rule.severity,
            measured=silent_s,
            count=1,
        )
        self.changed.add(key)

    def _left_behind(self, old: Machine[QuietState]) -> Collection[str]:
        """Those who were only heard, by what the rule asks for no more or where it listens no more.

        They may talk as ever, and would count as silent. `expect` judges those who promised to talk.
        """
        heard = {key: state for key, state in self.states.items() if not state.expected}
        if old.rule.where != self.rule.where:
            return heard.keys()
        return {key for key, state in heard.items() if self._outside(state.last)}

    def _episode(self, state: QuietState) -> Episode | None:
        return state.episode

    def _adopt_state(self, key: str, state: QuietState) -> None:
        self.states[key] = state
        if state.episode is None:
            self._arm(key, state.heard_us + self._absence_us)

    def _pack(self, state: QuietState) -> bytes:
        return encode(state)

    def _unpack(self, data: bytes) -> QuietState:
        return quiet_decoder.decode(data)


def _age(state: QuietState) -> tuple[bool, int]:
    return state.episode is not None, state.heard_us
