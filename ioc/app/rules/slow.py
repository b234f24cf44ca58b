"""Which rules take more time than they may: judged over several intervals, so that a hiccup is no verdict.

    slow = SlowRules(budget_us=200)
    for verdict in slow.judge(seconds, records): …        once per interval

A rule is slow where it has taken more than `budget_us` per log record and at least `LEAST_S` in each of
`STRIKES` intervals one after the other. What rules share is charged to the first that asks for it; that is
far less than any sensible budget.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ioc.app.rules.partition import Lane

LEAST_S: Final = 1.0
"""Less time than this in an interval is never slow: a few records say little about a rule."""
STRIKES: Final = 3

Timed = tuple[Lane, str]


class Slow(NamedTuple):
    """A rule beyond its budget."""

    lane: Lane
    rule: str
    us_per_record: float
    """In the newest interval."""


class SlowRules:
    """Watches the rules of one process."""

    def __init__(self, budget_us: float) -> None:
        self._budget_us = budget_us
        self._seconds: dict[Timed, float] = {}
        self._strikes: dict[Timed, int] = {}

    def judge(self, seconds: Mapping[Timed, float], records: int) -> list[Slow]:
        """Take the time each rule has spent since it began and the records of this interval.

        Returns each slow rule once; it begins anew afterwards.
        """
        found = []
        strikes: dict[Timed, int] = {}
        for timed, total_s in seconds.items():
            known_s = self._seconds.get(timed, 0.0)
            spent_s = total_s - known_s if total_s >= known_s else total_s
            us_per_record = spent_s * 1e6 / max(records, 1)
            if spent_s < LEAST_S or us_per_record <= self._budget_us:
                continue
            strikes[timed] = self._strikes.get(timed, 0) + 1
            if strikes[timed] >= STRIKES:
                found.append(Slow(*timed, us_per_record))
                del strikes[timed]
        self._seconds, self._strikes = dict(seconds), strikes
        return found
