"""Rules over the past: the same engine over stored events, and what a change would have changed. Pure.

    replay = Replay(program, begin_us=…)              begin earlier than asked, so that windows are warm
    replay.take(events, until_us)                     slice by slice, in the order of arrival
    episodes = replay.episodes(from_us, to_us)
    changes = compare(base, candidate, until_us=to_us)

The log's ticks are not history; they are made again, one for every second, before the first event that
arrived after it. That is where the log had them. A time when the service was down therefore looks like
silence; and silence rules, whose clock is rounded to a tenth of `absence` since the log began, may differ
from what happened by that tenth. Two replays over the same time never do.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeVar

from ioc.model.events import Event
from ioc.model.incidents import Cleared, Raised, Updated, Why
from ioc.model.records import Tick
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.rules.compile import Program
from ioc.rules.engine import DEFAULT_LATENESS_US, Failure, PartitionEngine
from ioc.rules.rule import FORGET_WINDOWS, Having, Rule
from ioc.rules.silence import ExpectedSource

BUDGET_PER_OPERATOR_HOUR: Final = 6.0
"""Alarms one person can handle over a long time (ISA-18.2, EEMUA 191)."""
MIN_JUDGED_US: Final = 30 * MINUTE_US
"""Shortest time that is said to be within the budget, or to have so many alarms an hour."""
SAME_US: Final = SECOND_US
"""Two detections this near are the same."""
MAX_WARM_UP_US: Final = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Episode:
    """One incident a rule would have raised. `cleared_us` None: it was still open at the end."""

    rule: str
    key: str
    opened_us: int
    detected_us: int
    cleared_us: int | None
    severity: str
    ward: str | None
    why: Why


class Change(StrEnum):
    """How a candidate differs from what it is compared with."""

    GAINED = "gained"
    LOST = "lost"
    EARLIER = "earlier"
    LATER = "later"
    SAME = "same"


class Spanning(Protocol):
    """What can be compared: an episode of a replay, a stored incident, a firing of a shadow."""

    @property
    def rule(self) -> str:
        """The rule's name."""

    @property
    def key(self) -> str:
        """Whose episode it is."""

    @property
    def opened_us(self) -> int:
        """Where the episode begins, in event time."""

    @property
    def detected_us(self) -> int:
        """When it was raised, in log time."""

    @property
    def cleared_us(self) -> int | None:
        """When it ended; None while open."""


S = TypeVar("S", bound=Spanning)
T = TypeVar("T", bound=Spanning)


@dataclass(frozen=True, slots=True)
class Difference:
    """One episode of either side, or one of both that belong together."""

    change: Change
    rule: str
    key: str
    base: Spanning | None
    candidate: Spanning | None

    @property
    def at_us(self) -> int:
        """When the candidate raised it; where it did not, when the base did."""
        found = self.candidate or self.base
        assert found is not None
        return found.detected_us

    @property
    def shift_us(self) -> int:
        """How much later the candidate raised it; negative is earlier, 0 without a counterpart."""
        if self.base is None or self.candidate is None:
            return 0
        return self.candidate.detected_us - self.base.detected_us


def warm_up_us(rules: Iterable[Rule]) -> int:
    """Return how long before the time asked for a replay has to begin: every duration of the longest rule."""
    longest = max((_durations_us(rule) for rule in rules), default=0)
    return min(longest + 60 * SECOND_US, MAX_WARM_UP_US)


def _durations_us(part: object) -> int:
    """Return the sum of all durations in a rule or a part of one, whatever they are called."""
    total = 0
    if not is_dataclass(part):
        return total
    if isinstance(part, Having) and part.function == "ewma_z":
        # after one window a third of what is usual would still be what it was first taken to be
        total = (FORGET_WINDOWS - 1) * part.window_us
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name.endswith("_us") and isinstance(value, int):
            total += value + (value // 10 if field.name == "absence_us" else 0)
        elif is_dataclass(value) and not isinstance(value, type):
            total += _durations_us(value)
        elif isinstance(value, tuple):
            total += sum(_durations_us(item) for item in value)
    return total


def with_ticks(
    events: Iterable[Event], next_tick_us: int, until_us: int
) -> Iterator[tuple[int, Event | Tick]]:
    """Yield (0, record) for `events` in order of arrival, and a tick for every second before `until_us`."""
    for event in events:
        while next_tick_us < event.received_us:
            yield 0, Tick(next_tick_us)
            next_tick_us += SECOND_US
        yield 0, event
    while next_tick_us < until_us:
        yield 0, Tick(next_tick_us)
        next_tick_us += SECOND_US


class Replay:
    """One program over stored events, on one partition: how many there are changes no effect."""

    def __init__(
        self,
        program: Program,
        *,
        begin_us: int,
        expected: Mapping[str, ExpectedSource] | None = None,
        lateness_us: int = DEFAULT_LATENESS_US,
    ) -> None:
        self.engine = PartitionEngine(
            program, partition=0, lateness_us=lateness_us, expected_sources=expected
        )
        self.records = 0
        self._next_tick_us = -(-begin_us // SECOND_US) * SECOND_US
        self._open: dict[str, Episode] = {}
        self._done: list[Episode] = []

    @property
    def failures(self) -> Mapping[str, Failure]:
        """Rules that raised errors."""
        return self.engine.failures

    def take(self, events: Sequence[Event], until_us: int) -> None:
        """Apply `events`, sorted by arrival, and every tick before `until_us`."""
        items = list(with_ticks(events, self._next_tick_us, until_us))
        self._next_tick_us = max(self._next_tick_us, -(-until_us // SECOND_US) * SECOND_US)
        self.records += len(items)
        for effect in self.engine.on_batch(items):
            if isinstance(effect, Raised):
                self._open[effect.incident_id] = Episode(
                    effect.rule, effect.key, effect.opened_us, effect.at_us, None, str(effect.severity),
                    effect.ward, effect.why,
                )  # fmt: skip
            elif isinstance(effect, Updated):
                known = self._open[effect.incident_id]
                self._open[effect.incident_id] = replace(known, severity=str(effect.severity))
            elif isinstance(effect, Cleared):
                self._done.append(replace(self._open.pop(effect.incident_id), cleared_us=effect.at_us))

    def episodes(self, from_us: int, to_us: int) -> list[Episode]:
        """Return the episodes raised in [from, to), in the order in which they were."""
        found = [e for e in (*self._done, *self._open.values()) if from_us <= e.detected_us < to_us]
        return sorted(found, key=lambda e: (e.detected_us, e.rule, e.key, e.opened_us))


def order_of_arrival(events: Iterable[Event]) -> list[Event]:
    """Return stored events as they arrived; those of one microsecond by their own time, source and id."""
    return sorted(events, key=lambda e: (e.received_us, e.time_us, e.source, e.id))


def compare(base: Sequence[S], candidate: Sequence[T], *, until_us: int) -> list[Difference]:
    """Pair the episodes of two runs and return every one of both, in time order.

    Two episodes belong together where rule and key are equal and their times overlap, the nearest first; an
    episode without an end lasts until `until_us`.
    """
    sides: dict[tuple[str, str], tuple[list[S], list[T]]] = {}
    for episode in base:
        sides.setdefault((episode.rule, episode.key), ([], []))[0].append(episode)
    for other in candidate:
        sides.setdefault((other.rule, other.key), ([], []))[1].append(other)
    found: list[Difference] = []
    for (rule, key), (left, right) in sides.items():
        pairs = _pairs(left, right, until_us)
        mates = {n: m for m, n in pairs}
        found += [
            Difference(Change.LOST, rule, key, episode, None)
            for m, episode in enumerate(left)
            if m not in mates.values()
        ]
        for n, other in enumerate(right):
            mate = left[mates[n]] if n in mates else None
            change = Change.GAINED if mate is None else _shift(mate, other)
            found.append(Difference(change, rule, key, mate, other))
    return sorted(found, key=lambda d: (d.at_us, d.rule, d.key))


def compare_within(
    base: Sequence[S], candidate: Sequence[T], *, from_us: int, until_us: int
) -> list[Difference]:
    """Return the differences of which one side at least was raised in [from, until).

    Give the episodes of the warm-up too: the counterpart of what was raised in that time may lie there.
    """
    return [
        difference
        for difference in compare(base, candidate, until_us=until_us)
        if any(
            side is not None and from_us <= side.detected_us < until_us
            for side in (difference.base, difference.candidate)
        )
    ]


def _pairs(left: Sequence[Spanning], right: Sequence[Spanning], until_us: int) -> list[tuple[int, int]]:
    """Return which of one key's episodes belong together, each at most once."""
    near = sorted(
        (abs(a.detected_us - b.detected_us), m, n)
        for m, a in enumerate(left)
        for n, b in enumerate(right)
        if _overlap(a, b, until_us)
    )
    taken: list[tuple[int, int]] = []
    lefts: set[int] = set()
    rights: set[int] = set()
    for _, m, n in near:
        if m not in lefts and n not in rights:
            taken.append((m, n))
            lefts.add(m)
            rights.add(n)
    return taken


def _shift(base: Spanning, candidate: Spanning) -> Change:
    shift_us = candidate.detected_us - base.detected_us
    if abs(shift_us) <= SAME_US:
        return Change.SAME
    return Change.EARLIER if shift_us < 0 else Change.LATER


def _overlap(a: Spanning, b: Spanning, until_us: int) -> bool:
    if abs(a.detected_us - b.detected_us) <= SAME_US:
        return True
    a_end = a.cleared_us if a.cleared_us is not None else max(until_us, a.detected_us)
    b_end = b.cleared_us if b.cleared_us is not None else max(until_us, b.detected_us)
    return min(a.opened_us, a.detected_us) < b_end and min(b.opened_us, b.detected_us) < a_end


Verdict = Literal["over", "within", "too short"]


@dataclass(frozen=True, slots=True)
class Load:
    """What a rule asks of the people on duty."""

    alarms: int
    per_operator_hour: float | None
    """On average over the time replayed; None where that is shorter than `MIN_JUDGED_US`."""
    busiest_hour: float
    """Per operator in the hour with most alarms: counted, never projected from a shorter time."""

    @property
    def over_budget(self) -> bool:
        """Whether one hour at least asks more of a person than the budget."""
        return self.busiest_hour > BUDGET_PER_OPERATOR_HOUR

    @property
    def verdict(self) -> Verdict:
        """What can be said about the budget: more than it is certain however short the time is."""
        if self.over_budget:
            return "over"
        return "too short" if self.per_operator_hour is None else "within"


def load_of(episodes: Sequence[Spanning], from_us: int, to_us: int, operators: int) -> Load:
    """Return the load of `episodes`, all raised within [from, to), on `operators` people."""
    times = sorted(episode.detected_us for episode in episodes)
    busiest = first = 0
    for last, time_us in enumerate(times):
        while times[first] <= time_us - HOUR_US:
            first += 1
        busiest = max(busiest, last - first + 1)
    span_us = to_us - from_us
    rate = len(times) * HOUR_US / span_us / operators if span_us >= MIN_JUDGED_US else None
    return Load(len(times), rate, busiest / operators)
