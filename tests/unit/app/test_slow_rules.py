"""A rule that takes too long again and again is slow; one that hiccups, or has little to do, is not."""

import pytest

from ioc.app.rules.slow import STRIKES, SlowRules

SLOW = ("active", "slow")


def verdicts(intervals: list[tuple[float, int]], budget_us: float = 200) -> list[int]:
    """Return in which intervals (seconds spent, records) the rule was found slow."""
    slow, total, found = SlowRules(budget_us), 0.0, []
    for number, (spent_s, records) in enumerate(intervals):
        total += spent_s
        if slow.judge({SLOW: total, ("active", "quick"): number * 0.1}, records):  # type: ignore[dict-item]
            found.append(number)
    return found


@pytest.mark.parametrize(
    ("intervals", "found"),
    [
        ([(3.0, 1000)] * STRIKES, [STRIKES - 1]),
        ([(3.0, 1000)] * (STRIKES - 1), []),
        ([(3.0, 1000), (0.1, 1000)] * STRIKES, []),  # never often enough one after the other
        ([(0.9, 10)] * 9, []),  # 90 ms per record, but hardly anything happens
        ([(3.0, 15_000)] * 9, []),  # exactly the budget
        ([(3.0, 14_999)] * STRIKES, [STRIKES - 1]),
        ([(3.0, 1000)] * 2 * STRIKES, [STRIKES - 1, 2 * STRIKES - 1]),  # told again if nobody acts
        ([(3.0, 0)] * STRIKES, [STRIKES - 1]),  # ticks alone are slow too
    ],
)
def test_a_rule_is_slow_only_after_several_intervals_beyond_its_budget(
    intervals: list[tuple[float, int]], found: list[int]
) -> None:
    assert verdicts(intervals) == found


def test_a_rule_that_begins_anew_is_judged_by_what_it_has_taken_since() -> None:
    slow = SlowRules(200)
    assert slow.judge({SLOW: 50.0}, 1000) == []  # type: ignore[dict-item]
    for total_s in (0.2, 0.4, 0.6, 0.8):
        assert slow.judge({SLOW: total_s}, 1000) == []  # type: ignore[dict-item]
