"""How well raised incidents agree with the ground truth: detection, false alarms, time to detect. Pure.

An expected incident is detected by the first raised one of its rule and place between the beginning of its
cause and the end of the episode. A second one for the same episode is a repeat. What fits nothing expected is
a false alarm. Rules that speak of citizens' own reports are not judged: each report is an incident by design.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from simulators.truth import Expected

ALL: Final = "all"
NOT_JUDGED: Final = frozenset({"citizen-report"})
DAY_S: Final = 86_400.0
EDGE_S: Final = 600.0
"""How much longer than the score the truth has to be."""


class Raised(msgspec.Struct, frozen=True):
    """One raised incident. `at_s` is seconds from the scenario's start."""

    rule: str
    source: str | None
    ward: str | None
    at_s: float


class Figures(msgspec.Struct, frozen=True):
    """One rule's score, or all rules'. None where there is nothing to take it from."""

    rule: str
    expected: int
    detected: int
    repeated: int
    false: int
    false_per_day: float
    detection: float | None
    median_s: float | None
    p95_s: float | None


class Score(msgspec.Struct, frozen=True):
    """A whole score. `missed` and `false` name what went wrong."""

    scenario: str
    duration_s: float
    total: Figures
    rules: list[Figures]
    missed: list[Expected]
    false: list[Raised]

    @property
    def detection(self) -> float:
        """The share detected, 0 to 1; nothing expected is nothing missed."""
        return 1.0 if self.total.detection is None else self.total.detection


def score(scenario: str, expected: Sequence[Expected], raised: Iterable[Raised], duration_s: float) -> Score:
    """Compare what was `raised` in [0, `duration_s`) with what was `expected` then.

    What may be raised only after the end, by its tolerance, is neither missed nor false: give the truth for
    `EDGE_S` longer.
    """
    within = sorted(
        (item for item in raised if 0 <= item.at_s < duration_s and item.rule not in NOT_JUDGED),
        key=lambda item: (item.at_s, item.rule, item.source or item.ward or ""),
    )
    open_to: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for number, wanted in enumerate(expected):
        open_to[wanted.rule, _place(wanted)].append(number)
    delays: dict[int, float] = {}
    repeats: list[Raised] = []
    false: list[Raised] = []
    for item in within:
        fits = [
            number
            for place in (item.source, item.ward)
            for number in open_to.get((item.rule, place), ())
            if _covers(expected[number], item.at_s)
        ]
        free = [number for number in fits if number not in delays]
        if free:
            delays[free[0]] = item.at_s - expected[free[0]].began_s
        else:
            (repeats if fits else false).append(item)
    due = [number for number, item in enumerate(expected) if item.from_s + item.tolerance_s <= duration_s]
    names = sorted({*(expected[number].rule for number in due), *(item.rule for item in within)})

    def figures(rule: str) -> Figures:
        def of(items: Iterable[Raised]) -> int:
            return sum(rule in (ALL, item.rule) for item in items)

        wanted = [number for number in due if rule in (ALL, expected[number].rule)]
        taken = sorted(delays[number] for number in wanted if number in delays)
        return Figures(
            rule=rule,
            expected=len(wanted),
            detected=len(taken),
            repeated=of(repeats),
            false=of(false),
            false_per_day=round(of(false) * DAY_S / duration_s, 1),
            detection=round(len(taken) / len(wanted), 4) if wanted else None,
            median_s=_quantile(taken, 0.5),
            p95_s=_quantile(taken, 0.95),
        )

    return Score(
        scenario=scenario,
        duration_s=duration_s,
        total=figures(ALL),
        rules=[figures(name) for name in names],
        missed=[expected[number] for number in due if number not in delays],
        false=false,
    )


def _place(item: Expected) -> str:
    return item.source or item.ward


def _covers(item: Expected, at_s: float) -> bool:
    return item.began_s <= at_s <= item.until_s + item.clear_tolerance_s


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of all do not exceed."""
    if not ordered:
        return None
    return round(ordered[max(0, -int(-len(ordered) * share // 1) - 1)], 1)
