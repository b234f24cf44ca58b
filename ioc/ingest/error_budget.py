"""Who sends nonsense is throttled alone: a share of refused events that a device may not exceed. Pure.

Counts fade with time (`error_window_s`), so a device recovers by itself: by sending what is right at the
trickle it is left, or by falling silent.
"""

from collections import OrderedDict
from math import exp
from typing import Final

import msgspec

from ioc.ingest.limits import IngestLimits

_MAX_DEVICES: Final = 100_000
"""Devices remembered; the one silent longest is forgotten first, and with it what it is accused of."""
MAX_HOLD_S: Final = 30.0
"""However much a throttled device sends at once, its next body is looked at after this time."""


class _Account(msgspec.Struct):
    taken: float = 0.0
    refused: float = 0.0
    at_us: int = 0
    throttled: bool = False
    free_at_us: int = 0
    """When the next body of a throttled device is looked at."""


class ErrorBudgets:
    """The accounts of all devices of one process."""

    def __init__(self, limits: IngestLimits) -> None:
        self._window_us = limits.error_window_s * 1e6
        self._share = limits.error_share
        self._least = float(limits.error_least_events)
        self._trickle_us = 1e6 / limits.trickle_events_per_s
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self.throttled: set[str] = set()
        """The devices that are throttled now."""

    def hold_s(self, device_id: str, now_us: int) -> float:
        """Return how long the device's next body has to wait: 0.0 where it is not throttled."""
        if device_id not in self.throttled:
            return 0.0
        account = self._accounts[device_id]
        self._fade(account, now_us)
        self._judge(device_id, account)
        if not account.throttled:
            return 0.0
        return min(max(0, account.free_at_us - now_us) / 1e6, MAX_HOLD_S)

    def note(self, device_id: str, taken: int, refused: int, now_us: int) -> bool:
        """Count a body's events; return True where the device is throttled from now on."""
        account = self._accounts.get(device_id)
        if account is None:
            account = self._accounts[device_id] = _Account(at_us=now_us)
            if len(self._accounts) > _MAX_DEVICES:
                self.throttled.discard(self._accounts.popitem(last=False)[0])
        else:
            self._accounts.move_to_end(device_id)
            self._fade(account, now_us)
        account.taken += taken
        account.refused += refused
        before = account.throttled
        self._judge(device_id, account)
        if account.throttled:
            cost_us = min((taken + refused) * self._trickle_us, MAX_HOLD_S * 1e6)
            account.free_at_us = now_us + int(cost_us)
        return account.throttled and not before

    def _fade(self, account: _Account, now_us: int) -> None:
        # A clock set back must not make counts grow.
        factor = exp(-max(0, now_us - account.at_us) / self._window_us)
        account.taken *= factor
        account.refused *= factor
        account.at_us = now_us

    def _judge(self, device_id: str, account: _Account) -> None:
        share = account.refused / max(account.taken + account.refused, 1e-9)
        if account.throttled:
            if share <= self._share / 2 or account.refused < self._least / 4:
                account.throttled = False
                self.throttled.discard(device_id)
        elif account.refused >= self._least and share > self._share:
            account.throttled = True
            self.throttled.add(device_id)
            # Ten thousand wrong events at once must not cost an hour of good behaviour.
            scale = min(1.0, 2 * self._least / (account.taken + account.refused))
            account.taken *= scale
            account.refused *= scale
