"""Early warning: from what a figure is, and is expected to become, to warnings. Pure.

    (nothing) ──► forecast ──► crossed ──► cleared
        └────────────────────────┘ ▲
              forecast ────────────┴─► cleared (it will not come to that after all)

A brake watches one figure of one scope and has at most one warning open there. Between threshold and clear
value nothing changes, in either direction; without enough data nothing changes, and the warning says so.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from ioc.incidents.brake_policy import Brake
from ioc.incidents.figures import FIGURES, Unit
from ioc.incidents.periods import Grain, floor
from ioc.incidents.policies import length_of
from ioc.model.times import HOUR_US, MINUTE_US

MIN_POINTS: Final = 5
MAX_POINTS: Final = 25
QUEUE_STEPS: Final = 8
"""Moments of the horizon at which a queue is looked at."""
HELD_US: Final = 10 * MINUTE_US
"""A forecast warning stays at least this long: a trend of minutes turns easily."""


class Stage(StrEnum):
    """How far a warning has come."""

    FORECAST = "forecast"
    CROSSED = "crossed"
    CLEARED = "cleared"


class Point(msgspec.Struct, frozen=True, array_like=True):
    """What the figure was."""

    at_us: int
    value: float


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """A figure as it is now. `path` is what a queue will make of it, where one decides, soonest first."""

    at_us: int
    value: float | None
    n: int
    coverage: float | None
    path: Sequence[Point] | None = None


class Warning(msgspec.Struct, frozen=True, kw_only=True):
    """One episode. `forecast_us` is when the threshold is expected to be crossed."""

    id: str
    rev: int
    stage: Stage
    opened_us: int
    changed_us: int
    value: float
    n: int
    coverage: float | None
    crossed_us: int | None = None
    cleared_us: int | None = None
    forecast_us: int | None = None
    blind: bool = False
    """The figure cannot be told at present; the warning stays as it was."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a brake remembers of one scope between evaluations."""

    points: tuple[Point, ...] = ()
    warning: Warning | None = None
    """The one that is open."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation comes to. `changed` is the warning where its stage did, to be told."""

    memory: Memory
    blind: bool
    warning: Warning | None = None
    """The warning as it is to be stored, None where there is none."""
    changed: bool = False


def evaluate(brake: Brake, memory: Memory, seen: Observed, place: str) -> Outcome:
    """Return what becomes of a brake in one scope (`place`: the ward, '*' for the city)."""
    open_one = memory.warning
    if seen.value is None or is_blind(brake, seen):
        held = open_one and msgspec.structs.replace(open_one, blind=True)
        return Outcome(memory=Memory(points=memory.points, warning=held), blind=True, warning=held)
    points = _remembered(brake, memory.points, seen.at_us, seen.value)
    expected = _path(brake, points, seen)
    crossing_us = next((each.at_us for each in expected if beyond(brake, each.value)), None)
    stage = _stage(brake, open_one, seen.at_us, seen.value, crossing_us, expected)
    if stage is None:
        return Outcome(memory=Memory(points=points), blind=False)
    found = _made(brake, open_one, stage, seen, seen.value, crossing_us, place)
    remembered = Memory(points=points, warning=None if stage is Stage.CLEARED else found)
    changed = open_one is None or open_one.stage is not stage
    return Outcome(memory=remembered, blind=False, warning=found, changed=changed)


def is_blind(brake: Brake, seen: Observed) -> bool:
    """Return whether there is too little to conclude anything from."""
    covered = 0.0 if seen.coverage is None else seen.coverage
    return seen.value is None or seen.n < brake.min_n or covered < brake.min_coverage


def beyond(brake: Brake, value: float) -> bool:
    """Return whether `value` is worse than the threshold."""
    return value > brake.above if brake.above is not None else value < brake.threshold


def is_clear(brake: Brake, value: float) -> bool:
    """Return whether `value` is as good as the clear value, or better."""
    return value <= brake.clear if brake.above is not None else value >= brake.clear


def _stage(
    brake: Brake,
    open_one: Warning | None,
    at_us: int,
    value: float,
    crossing_us: int | None,
    expected: Sequence[Point],
) -> Stage | None:
    if beyond(brake, value):
        return Stage.CROSSED
    if open_one is None:
        return Stage.FORECAST if crossing_us is not None else None
    if open_one.stage is Stage.CROSSED:
        return Stage.CLEARED if is_clear(brake, value) else Stage.CROSSED
    # A forecast ends when it is clear now and will be: near the threshold it stays.
    calm = is_clear(brake, value) and all(is_clear(brake, each.value) for each in expected)
    held = at_us - open_one.opened_us < HELD_US
    return Stage.CLEARED if calm and crossing_us is None and not held else Stage.FORECAST


def _made(
    brake: Brake,
    open_one: Warning | None,
    stage: Stage,
    seen: Observed,
    value: float,
    crossing_us: int | None,
    place: str,
) -> Warning:
    at_us = seen.at_us
    base = open_one or Warning(
        id=warning_id(brake.name, place, at_us), rev=0, stage=stage, opened_us=at_us, changed_us=at_us,
        value=value, n=seen.n, coverage=seen.coverage,
    )  # fmt: skip
    moved = base.rev == 0 or base.stage is not stage
    return msgspec.structs.replace(
        base,
        rev=base.rev + moved,
        stage=stage,
        changed_us=at_us if moved else base.changed_us,
        value=value,
        n=seen.n,
        coverage=seen.coverage,
        blind=False,
        forecast_us=(crossing_us or base.forecast_us) if stage is Stage.FORECAST else base.forecast_us,
        crossed_us=at_us if moved and stage is Stage.CROSSED else base.crossed_us,
        cleared_us=at_us if stage is Stage.CLEARED else None,
    )


def withdrawn(open_one: Warning, at_us: int) -> Warning:
    """Return a warning whose brake no longer exists, or no longer watches the scope."""
    return msgspec.structs.replace(
        open_one, rev=open_one.rev + 1, stage=Stage.CLEARED, changed_us=at_us, cleared_us=at_us
    )


def warning_id(brake: str, place: str, opened_us: int) -> str:
    """Return the id of an episode."""
    return "wrn-" + hashlib.blake2b(f"{brake}\x00{place}\x00{opened_us}".encode(), digest_size=8).hexdigest()


# what is expected -------------------------------------------------------------------------------------------


def horizon_us(brake: Brake) -> int:
    """Return how far a brake looks ahead; 0 where it does not."""
    return 0 if brake.forecast is None else length_of(brake.forecast).us


def _remembered(brake: Brake, points: tuple[Point, ...], at_us: int, value: float) -> tuple[Point, ...]:
    """Return the points a trend may be seen in, the newest last, at most `MAX_POINTS`."""
    look_us = max(HOUR_US, horizon_us(brake)) if brake.forecast else 0
    since_us = at_us - look_us
    if brake.period == "today":
        # At midnight the figure begins anew: a line through that would be no trend.
        since_us = max(since_us, floor(at_us, Grain.DAY))
    kept = tuple(each for each in points if since_us <= each.at_us < at_us)
    if not look_us:
        return ()
    if kept and at_us - kept[-1].at_us < look_us // (MAX_POINTS - 1):
        return kept
    return (*kept, Point(at_us, value))[-MAX_POINTS:]


def _path(brake: Brake, points: Sequence[Point], seen: Observed) -> Sequence[Point]:
    """Return what is expected within the horizon: of the queue, else by the line through the points."""
    ahead_us = horizon_us(brake)
    if not ahead_us or seen.value is None:
        return ()
    if seen.path is not None:
        return seen.path
    per_us = slope(points)
    if per_us is None or len(points) < MIN_POINTS or points[-1].at_us - points[0].at_us < ahead_us // 4:
        return ()
    top = 1.0 if FIGURES[brake.figure].unit is Unit.SHARE else float("inf")
    steps = (ahead_us * step // QUEUE_STEPS for step in range(1, QUEUE_STEPS + 1))
    return [Point(seen.at_us + us, min(top, max(0.0, seen.value + per_us * us))) for us in steps]


def slope(points: Sequence[Point]) -> float | None:
    """Return the change per microsecond of the least-squares line, None for fewer than two moments."""
    if len(points) < 2:
        return None
    mean_us = sum(each.at_us for each in points) / len(points)
    mean = sum(each.value for each in points) / len(points)
    spread = sum((each.at_us - mean_us) ** 2 for each in points)
    if not spread:
        return None
    return sum((each.at_us - mean_us) * (each.value - mean) for each in points) / spread


def queue_path(
    overdue: int, due_us: Sequence[tuple[int, int]], per_hour: float, at_us: int, ahead_us: int
) -> list[Point]:
    """Return how many will be overdue in the course of `ahead_us`, at the pace of work lately.

    What is due first is done first: of all that is overdue or becomes due until t, pace × t is done by t.

    Args:
        overdue: how many are now.
        due_us: moments ahead, and how many become due then, in order.
        per_hour: how many were finished an hour.
        at_us: now.
        ahead_us: how far to look.
    """
    path = []
    for step in range(1, QUEUE_STEPS + 1):
        after_us = ahead_us * step // QUEUE_STEPS
        coming = sum(n for moment_us, n in due_us if moment_us <= at_us + after_us)
        left = overdue + coming - per_hour * after_us / HOUR_US
        path.append(Point(at_us + after_us, max(0.0, left)))
    return path
