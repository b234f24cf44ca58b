"""How much each device may send: one token bucket per device. Pure; time is an argument."""

from collections import OrderedDict
from typing import Final

_MAX_BUCKETS: Final = 100_000
"""Devices remembered. The one silent longest is forgotten first, which at most refills its bucket."""


class Allowances:
    """Token buckets of `burst` events, refilled at `rate_per_s`."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_us = rate_per_s / 1e6
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, device_id: str, events: int, now_us: int) -> float:
        """Take `events` tokens and return 0.0, or take none and return the seconds until they are there.

        More than a full bucket can hold is asked for as a full bucket, so that it is never refused for ever.
        """
        tokens = self._tokens(device_id, now_us)
        wanted = min(float(events), self._burst)
        if tokens < wanted:
            return (wanted - tokens) / self._rate_per_s
        self._store(device_id, tokens - wanted, now_us)
        return 0.0

    def spend(self, device_id: str, events: int, now_us: int) -> None:
        """Take `events` tokens even where that leaves a debt; `debt_s` says how long it takes to pay."""
        self._store(device_id, self._tokens(device_id, now_us) - events, now_us)

    def debt_s(self, device_id: str, now_us: int) -> float:
        """Return the seconds until the device owes nothing, 0.0 if it owes nothing now."""
        return max(0.0, -self._tokens(device_id, now_us)) / self._rate_per_s

    def _tokens(self, device_id: str, now_us: int) -> float:
        tokens, at_us = self._buckets.get(device_id, (self._burst, now_us))
        # A clock set back must not empty the bucket, nor one set forward overfill it.
        return min(self._burst, tokens + max(0, now_us - at_us) * self._rate_per_us)

    def _store(self, device_id: str, tokens: float, now_us: int) -> None:
        self._buckets[device_id] = (tokens, now_us)
        self._buckets.move_to_end(device_id)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
