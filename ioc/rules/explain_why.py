"""Why a rule did or did not fire for a key at a moment: every condition, held or not, and by how much. Pure.

The key's own events are run through the engine once more, second by second. Keys of a rule do not touch each
other, so the rest of the history is not needed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ioc.geo.zones import Zones, metres_between
from ioc.model.events import Event
from ioc.model.incidents import Evidence
from ioc.model.times import MINUTE_US, SECOND_US, format_us
from ioc.rules.backtest import Episode, Replay
from ioc.rules.compile import CompiledRule, Program
from ioc.rules.engine import DEFAULT_LATENESS_US
from ioc.rules.machine import key_reader
from ioc.rules.predicate.ast import (
    NEGATED,
    Among,
    Both,
    Compare,
    Condition,
    Either,
    Field,
    Is,
    Kind,
    Matches,
    Not,
    TextMatch,
)
from ioc.rules.predicate.closure import compile_closure
from ioc.rules.predicate.text import render
from ioc.rules.predicate.values import number_reader, value_reader
from ioc.rules.rule import FenceWatch, Having, Rule, reaches
from ioc.rules.silence import ExpectedSource
from ioc.rules.state import (
    EwmaState,
    FenceState,
    NearState,
    OrderedState,
    QuietState,
    SequenceState,
    SpellState,
)

DEFAULT_LOOK_BACK_US: Final = 5 * MINUTE_US
"""Events looked at for a rule without a window."""
MAX_OTHER_KEYS: Final = 5

Scalar = float | str | bool | None
KeyState = SpellState | QuietState | OrderedState


@dataclass(frozen=True, slots=True)
class Check:
    """One condition at the moment asked for."""

    condition: str
    held: bool
    value: Scalar = None
    """The nearest it came, or what it was."""
    op: str | None = None
    threshold: Scalar = None
    short_by: float | None = None
    """How much was missing, in the unit of `value`; None where that has no measure."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of one key at one moment."""

    rule: str
    version: str
    key: str
    at_us: int
    condition: str
    """idle, pending, open or ending"""
    checks: tuple[Check, ...]
    episode: Episode | None
    """The one that was open."""
    episodes: tuple[Episode, ...]
    """All of the key within the history replayed, up to the moment."""
    evidence: tuple[Evidence, ...] = ()
    other_keys: tuple[str, ...] = ()
    """Keys the rule saw, where the one asked for had no event."""

    @property
    def fired(self) -> bool:
        """Whether an incident was open."""
        return self.episode is not None

    @property
    def failed(self) -> tuple[Check, ...]:
        """The conditions that did not hold, in the order in which the rule asks them."""
        return tuple(check for check in self.checks if not check.held)


@dataclass(slots=True)
class _Course:
    """What the window measured, second by second."""

    best: float | None = None
    best_us: int | None = None


def explain(
    program: Program,
    rule: str,
    key: str,
    at_us: int,
    events: Iterable[Event],
    *,
    begin_us: int,
    expected: Mapping[str, ExpectedSource] | None = None,
    lateness_us: int = DEFAULT_LATENESS_US,
) -> Explanation:
    """Explain `rule` for `key` at `at_us` (log time).

    Args:
        program: holds the rule, enabled.
        rule: its name.
        key: the key, as incidents show it.
        at_us: the moment.
        events: in order of arrival, from `begin_us` on; of any key.
        begin_us: long enough before `at_us` for every duration of the rule.
        expected: devices that should talk, for silence rules.
        lateness_us: how far the watermark trails.

    Raises:
        KeyError: the program has no such rule.
    """
    compiled = {item.rule.name: item for item in program.rules}[rule]
    own, others = _of_key(compiled.rule, key, events, at_us)
    alone = Program((compiled,), dict.fromkeys(compiled.rule.listens, (compiled,)), program.version, ())
    listened = {key: expected[key]} if expected and key in expected else {}
    replay = Replay(alone, begin_us=begin_us, expected=listened, lateness_us=lateness_us)
    course = _run(replay, compiled.rule, key, own, begin_us, at_us)
    state = replay.engine.state_of(rule, key)
    episodes = replay.episodes(begin_us, at_us + SECOND_US)
    episode = next((e for e in episodes if e.cleared_us is None), None)
    failure = replay.failures.get(rule)
    checks = _checks(compiled, own, at_us, state, course, lateness_us)
    if failure is not None:
        checks.append(Check("no failure", False, value=failure.count, detail=failure.message))
    return Explanation(
        rule=rule,
        version=compiled.rule.version,
        key=key,
        at_us=at_us,
        condition=_letter(state),
        checks=tuple(checks),
        episode=episode,
        episodes=tuple(episodes),
        evidence=episode.why.evidence if episode else (),
        other_keys=() if own else others,
    )


def _of_key(rule: Rule, key: str, events: Iterable[Event], at_us: int) -> tuple[list[Event], tuple[str, ...]]:
    """Return the key's events up to `at_us`, and other keys near to it in spelling first."""
    read, types = key_reader(rule.by), frozenset(rule.listens)
    own: list[Event] = []
    others: dict[str, None] = {}
    for event in events:
        if event.received_us > at_us or event.data.__struct_config__.tag not in types:
            continue
        found = read(event)
        if found == key:
            own.append(event)
        elif found is not None:
            others.setdefault(found)
    near = sorted(others, key=lambda name: (-_common(name, key), name))
    return own, tuple(near[:MAX_OTHER_KEYS])


def _common(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _run(replay: Replay, rule: Rule, key: str, own: Sequence[Event], begin_us: int, at_us: int) -> _Course:
    course, start = _Course(), 0
    having = rule.having
    first_us = at_us - (having.window_us if having else 0)
    time_us = begin_us
    while time_us <= at_us:
        time_us += SECOND_US
        end = start
        while end < len(own) and own[end].received_us < time_us:
            end += 1
        replay.take(own[start:end], min(time_us, at_us + 1))
        start = end
        if having is None or time_us < first_us:
            continue
        value = _measured(replay.engine.state_of(rule.name, key))
        if value is None:
            continue
        if course.best is None or (value != course.best and reaches(value, having.op, course.best)):
            course.best, course.best_us = value, time_us
    return course


def _measured(state: KeyState | None) -> float | None:
    if isinstance(state, EwmaState):
        return state.z if state.n else None
    window = getattr(state, "window", None)
    return None if window is None else window.value()


def _letter(state: KeyState | None) -> str:
    if state is None:
        return "idle"
    if state.episode is not None:
        return "ending" if getattr(state, "ends_us", None) is not None else "open"
    return "pending" if getattr(state, "since_us", None) is not None else "idle"


# conditions -----------------------------------------------------------------------------------------------


def _checks(
    compiled: CompiledRule,
    own: Sequence[Event],
    at_us: int,
    state: KeyState | None,
    course: _Course,
    lateness_us: int,
) -> list[Check]:
    rule = compiled.rule
    if rule.absence_us is not None:
        return [_silence(rule, rule.absence_us, own, at_us)]
    if rule.kind in ("sequence", "fence", "near", "ewma"):
        return _ordered_checks(compiled, own, at_us, state, course)
    look_us = max(rule.having.window_us if rule.having else 0, rule.for_us, rule.hold_us)
    since_us = at_us - (look_us or DEFAULT_LOOK_BACK_US)
    recent = [event for event in own if event.time_us > since_us]
    if not recent:
        last = own[-1] if own else None
        detail = f"the last was at {format_us(last.time_us)}" if last else "none of this key at all"
        return [Check(f"events of the key since {format_us(since_us)}", False, 0, ">=", 1, 1.0, detail)]
    checks = [Check("events of the key", True, len(recent), ">=", 1)]
    checks += _scope(compiled, recent)
    if rule.where is not None:
        checks += [_conjunct(node, recent) for node in _conjuncts(rule.where.condition)]
        matching = sum(rule.where.test(event) for event in recent)
        parts = len(_conjuncts(rule.where.condition))
        if parts > 1 and not matching and all(check.held for check in checks):
            checks.append(
                Check("all of these in one event", False, 0, ">=", 1, None, "each held, never together")
            )
    if rule.having is not None:
        checks.append(_having(rule, state, course))
    if rule.for_us:
        checks.append(_lasting(rule.for_us, state, at_us - lateness_us))
    if isinstance(state, SpellState) and state.waiting:
        detail = f"for the watermark to pass them, the first at {format_us(state.waiting[0].time_us)}"
        checks.append(Check("events waiting for their turn", True, len(state.waiting), detail=detail))
    if isinstance(state, SpellState):
        checks += _resting(state, at_us)
    return checks


def _ordered_checks(
    compiled: CompiledRule, own: Sequence[Event], at_us: int, state: KeyState | None, course: _Course
) -> list[Check]:
    """Say how far a pattern had come: its parts in the recent events, and what is remembered of the key."""
    rule = compiled.rule
    look_us = max(_span_us(rule), rule.hold_us, DEFAULT_LOOK_BACK_US)
    recent = [event for event in own if event.time_us > at_us - look_us]
    checks = [Check("events of the key", bool(recent), len(recent), ">=", 1, None if recent else 1.0)]
    ours = [event for event in recent if _tag(event) in rule.types]
    checks += _scope(compiled, ours) if ours else []
    if rule.where is not None and ours:
        checks += [_conjunct(node, ours) for node in _conjuncts(rule.where.condition)]
    for number, step in enumerate(rule.sequence.steps if rule.sequence else (), 1):
        found = sum(_tag(event) in step.types and step.where.test(event) for event in recent)
        checks.append(_found(f"step {number}: {step.where.text}", found))
    if rule.near is not None:
        near = rule.near
        found = sum(
            _tag(event) in near.types and (near.where is None or near.where.test(event)) for event in recent
        )
        checks.append(_found(f"events of {', '.join(near.types)}", found))
    known = state if isinstance(state, OrderedState) else _FRESH[rule.kind]()
    return [*checks, _pattern(compiled, known, at_us, course), *_resting(known, at_us)]


def _resting(state: SpellState | OrderedState, at_us: int) -> list[Check]:
    """Say that the key rests after an episode, where it does."""
    if state.episode is not None or state.cool_us is None or state.cool_us <= at_us:
        return []
    return [Check("cooldown", False, detail=f"rests until {format_us(state.cool_us)}")]


def _found(condition: str, found: int) -> Check:
    return Check(condition, found > 0, found, ">=", 1, None if found else 1.0)


def _tag(event: Event) -> str:
    return str(event.data.__struct_config__.tag)


def _span_us(rule: Rule) -> int:
    if rule.sequence is not None:
        return rule.sequence.within_us
    if rule.near is not None:
        return rule.near.within_us
    if rule.fence is not None:
        return rule.fence.lost_us
    return rule.having.window_us if rule.having else 0


_FRESH: Final[Mapping[str, type[OrderedState]]] = {
    "sequence": SequenceState,
    "fence": FenceState,
    "near": NearState,
    "ewma": EwmaState,
}
"""What is remembered of a key of which nothing is."""


def _pattern(compiled: CompiledRule, state: OrderedState, at_us: int, course: _Course) -> Check:
    """Say whether the pattern is complete, and what is remembered of it."""
    rule, zones = compiled.rule, compiled.zones
    held = state.episode is not None
    if isinstance(state, SequenceState) and rule.sequence is not None:
        steps = len(rule.sequence.steps)
        taken = steps if held else max((partial.taken for partial in state.partials), default=0)
        return Check("steps in order", held, taken, ">=", steps, None if held else float(steps - taken))
    if isinstance(state, FenceState) and rule.fence is not None:
        return _fence(rule.fence, zones, state, at_us, held=held)
    if isinstance(state, NearState) and rule.near is not None:
        kept = f"{len(state.ours)} of ours, {len(state.others)} others remembered"
        metres = state.measured if held else _nearest_m(state)
        short = None if held or metres is None else max(0.0, metres - rule.near.metres)
        return Check("distance, m", held, metres, "<=", rule.near.metres, short, kept)
    if isinstance(state, EwmaState) and rule.having is not None:
        return _warning(rule.having, state, at_us, course, open_=held)
    return Check("the pattern", held)


def _warning(having: Having, state: EwmaState, at_us: int, course: _Course, *, open_: bool) -> Check:
    usual = f"usual {state.mean:g} ± {math.sqrt(state.variance):g} from {state.n} readings"
    if state.n < having.samples:
        return Check("readings learnt", False, state.n, ">=", having.samples, having.samples - state.n)
    if (warm_us := at_us - state.since_us) < having.warm_up_us:
        learnt_s, asked_s = warm_us / SECOND_US, having.warm_up_us / SECOND_US
        return Check("learnt for, s", False, learnt_s, ">=", asked_s, asked_s - learnt_s, usual)
    value = state.measured if open_ else state.z
    held = open_ or reaches(state.z, having.op, having.threshold)
    short = None if held or value is None else abs(having.threshold - value)
    if not held and course.best is not None and course.best_us is not None:
        usual += f"; nearest: {course.best:g} at {format_us(course.best_us)}"
    return Check(having.text, held, value, having.op, having.threshold, short, usual)


def _fence(watch: FenceWatch, zones: Zones | None, state: FenceState, at_us: int, *, held: bool) -> Check:
    where = state.inside if state.inside is not None else "outside" if state.place else "unknown"
    if watch.when != "dwells" or state.inside is None:
        if state.place is None or zones is None:
            return Check(f"fence: {watch.when}", held, where, detail="no position of the key")
        metres = zones.metres_to_border(*state.place, state.inside)
        since = "" if state.inside is None else f"inside since {format_us(state.entered_us)}"
        away = "" if metres is None else f"{metres:.0f} m from the border"
        # Where the border is still to be crossed, the way to it is what is missing.
        ahead = (state.inside is not None) == (watch.when == "leaves")
        short = None if held or not ahead or metres is None else round(metres, 1)
        return Check(
            f"fence: {watch.when}", held, where, short_by=short, detail=", ".join(filter(None, (since, away)))
        )
    inside_s, limit_s = max(0.0, (at_us - state.entered_us) / SECOND_US), watch.dwell_us / SECOND_US
    short = None if held else max(0.0, limit_s - inside_s)
    detail = f"inside {where} since {format_us(state.entered_us)}"
    return Check("fence: dwells, s", held, round(inside_s, 3), ">=", limit_s, short, detail)


def _nearest_m(state: NearState) -> float | None:
    """Return how near two events that may still meet have come."""
    places = [
        [
            (item.seen.lon, item.seen.lat)
            for item in side
            if item.seen.lon is not None and item.seen.lat is not None
        ]
        for side in (state.ours, state.others)
    ]
    apart = (metres_between(*a, *b) for a in places[0] for b in places[1])
    nearest = min(apart, default=None)
    return None if nearest is None else round(nearest, 1)


def _silence(rule: Rule, absence_us: int, own: Sequence[Event], at_us: int) -> Check:
    mine = [event for event in own if rule.where is None or rule.where.test(event)]
    limit_s = absence_us / SECOND_US
    if not mine:
        return Check("silence, s", True, None, ">=", limit_s, None, "not heard in the history read")
    silent_s = (at_us - mine[-1].received_us) / SECOND_US
    detail = f"last heard at {format_us(mine[-1].received_us)}"
    short = max(0.0, limit_s - silent_s)
    return Check("silence, s", short == 0, round(silent_s, 3), ">=", limit_s, short or None, detail)


def _scope(compiled: CompiledRule, recent: Sequence[Event]) -> list[Check]:
    rule, checks = compiled.rule, []
    if rule.wards is not None:
        inside = sum(event.ward in rule.wards for event in recent)
        checks.append(
            Check("ward", inside > 0, recent[-1].ward, "in", ", ".join(sorted(rule.wards)), None,
                  f"{inside} of {len(recent)} events")
        )  # fmt: skip
    if compiled.fence is not None:
        inside = sum(bool(compiled.fence.contains_one(event.lon, event.lat)) for event in recent)
        place = f"{recent[-1].lon}, {recent[-1].lat}"
        detail = f"{inside} of {len(recent)} events inside"
        checks.append(Check("area", inside > 0, place, "inside", None, None, detail))
    return checks


def _conjuncts(condition: Condition) -> list[Condition]:
    if isinstance(condition, Both):
        return [*_conjuncts(condition.left), *_conjuncts(condition.right)]
    return [condition]


def _conjunct(node: Condition, recent: Sequence[Event]) -> Check:
    """Say how one part of `where` stood in the key's recent events: how often it held, how near it came."""
    test = compile_closure(node)
    held = [event for event in recent if test(event)]
    detail = f"{len(held)} of {len(recent)} events"
    nearest = held[-1] if held else min(recent, key=lambda event: _sortable(shortfall(node, event)))
    value: Scalar = None
    op: str | None = None
    threshold: Scalar = None
    if isinstance(node, Compare):
        value, threshold = _plain(value_reader(node.left)(nearest)), _plain(value_reader(node.right)(nearest))
        op = node.op
    elif isinstance(node, Among | TextMatch | Matches | Is) and isinstance(node.value, Field):
        value = _plain(value_reader(node.value)(nearest))
    missing = None if held else shortfall(node, nearest)
    if not held and value is None and isinstance(node, Compare | Among | TextMatch | Matches | Is):
        detail += "; the value is missing"
    return Check(render(node), bool(held), value, op, threshold, missing, detail)


def _sortable(missing: float | None) -> float:
    return math.inf if missing is None else missing


def shortfall(node: Condition, event: Event, *, positive: bool = True) -> float | None:
    """Return how far the numbers of `event` are from making `node` true; 0 where it is, None without measure.

    Of several numbers that must all change it is the largest, of alternatives the smallest. A strict bound
    exactly met is 0 short and still not true.
    """
    if compile_closure(node, positive=positive)(event):
        return 0.0
    if isinstance(node, Not):
        return shortfall(node.inner, event, positive=not positive)
    if isinstance(node, Both | Either):
        parts = [shortfall(part, event, positive=positive) for part in (node.left, node.right)]
        known = [part for part in parts if part is not None]
        if isinstance(node, Both) is positive:
            return max(known) if len(known) == len(parts) else None
        return min(known, default=None)
    if isinstance(node, Compare) and node.left.kind is Kind.NUMBER:
        op = node.op if positive else NEGATED[node.op]
        gap = abs(number_reader(node.left)(event) - number_reader(node.right)(event))
        return None if math.isnan(gap) or op == "!=" else gap
    return None


def _having(rule: Rule, state: KeyState | None, course: _Course) -> Check:
    having = rule.having
    assert having is not None
    value = _measured(state)
    if value is None and having.function in ("count", "distinct", "rate", "sum"):
        value = 0.0
    held = value is not None and reaches(value, having.op, having.threshold)
    short = None if held or value is None else abs(having.threshold - value)
    detail = _no_value(having, state) if value is None else ""
    if not held and course.best is not None and course.best_us is not None:
        detail = f"nearest: {course.best:g} at {format_us(course.best_us)}"
    return Check(having.text, held, value, having.op, having.threshold, short, detail)


def _no_value(having: Having, state: KeyState | None) -> str:
    """Say why a window has no value."""
    window = state.window if isinstance(state, SpellState) else None
    held = 0 if window is None else window.n
    if not held:
        return "nothing in the window"
    if having.tumbling:
        return f"{held} events wait for their window to close"
    return f"{held} of at least {having.samples} events"


def _lasting(for_us: int, state: KeyState | None, now_us: int) -> Check:
    limit_s = for_us / SECOND_US
    since_us = getattr(state, "since_us", None)
    opened = state is not None and state.episode is not None
    if since_us is None:
        return Check("for, s", opened, None if opened else 0.0, ">=", limit_s, None if opened else limit_s,
                     "" if opened else "the condition does not hold")  # fmt: skip
    lasted_s = max(0.0, (now_us - since_us) / SECOND_US)
    short = max(0.0, limit_s - lasted_s)
    detail = f"holds since {format_us(since_us)}"
    return Check("for, s", opened or not short, round(lasted_s, 3), ">=", limit_s,
                 None if opened else short or None, detail)  # fmt: skip


def _plain(value: Scalar) -> Scalar:
    return None if isinstance(value, float) and math.isnan(value) else value
