"""When to try again, and when to leave a receiver alone for a while: pure, times are arguments.

Each receiver has a breaker of its own, so that one that is down costs one attempt now and then and delays
nobody else:

    closed ──`FAILURES_TO_OPEN` failures in a row──▶ open ──`open_until_us` passed──▶ half open (one attempt)
      ▲                                               ▲                                    │
      └──────────────── success ──────────────────────┼────────────────────────────────────┤
                                                      └──── failure: open twice as long ───┘

One that asks to be left alone (`Retry-After`) opens it at once, for as long as it asks.
"""

from typing import Final

import msgspec

from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US

RETRY_AFTER_US: Final = (
    5 * SECOND_US,
    30 * SECOND_US,
    2 * MINUTE_US,
    10 * MINUTE_US,
    30 * MINUTE_US,
    2 * HOUR_US,
    6 * HOUR_US,
    15 * HOUR_US,
)
"""Pauses after the first, second … failed attempt: about a day in all, then the delivery has failed."""
MAX_ATTEMPTS: Final = len(RETRY_AFTER_US) + 1
FAILURES_TO_OPEN: Final = 3
FIRST_OPEN_US: Final = 30 * SECOND_US
MAX_OPEN_US: Final = 30 * MINUTE_US
MAX_WAIT_US: Final = 6 * HOUR_US
"""Longest that a receiver may ask to be left alone."""


def next_attempt_us(attempts: int, now_us: int, wait_us: int = 0) -> int | None:
    """Return when to try again after `attempts` failed ones, None when it is given up.

    `wait_us` is how long the receiver asked to be left alone; longer than `MAX_WAIT_US` it is not.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    return now_us + max(RETRY_AFTER_US[attempts - 1], min(wait_us, MAX_WAIT_US))


class Breaker(msgspec.Struct, frozen=True):
    """What is known of one receiver."""

    failures: int = 0
    """In a row."""
    open_until_us: int = 0

    def lets_through(self, now_us: int) -> bool:
        """Return whether an attempt may be made now."""
        return now_us >= self.open_until_us

    def after(self, ok: bool, now_us: int, wait_us: int = 0) -> "Breaker":
        """Return the breaker after an attempt; it opens at once where the receiver asks for `wait_us`."""
        if ok:
            return Breaker()
        failures, open_us = self.failures + 1, min(wait_us, MAX_WAIT_US)
        if failures >= FAILURES_TO_OPEN:
            doublings = min(failures - FAILURES_TO_OPEN, 10)
            open_us = max(open_us, min(FIRST_OPEN_US << doublings, MAX_OPEN_US))
        return Breaker(failures, now_us + open_us if open_us else 0)
