"""Sliding event-time windows of one key, in panes.

An event at time t counts at every moment in [t, t + window). Events closer together than a 64th of the window
may share a pane and then leave together, with the pane's newest: nothing leaves early, and what leaves late
does so by less than 1.6 % of the window. Sparse windows, the usual case, are exact. Order of arrival does not
matter as long as an event is still inside the window.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from ioc.rules.rule import Having

PANES: Final = 64
MAX_DISTINCT: Final = 1_000
"""Different values a window remembers; beyond it the oldest is forgotten, so thresholds stay below this."""

Packed = list[Any]  # MessagePack of our own making


class PaneWindow:
    """Count, sum, mean, least and greatest of the numbers in the window."""

    __slots__ = ("_function", "_pane_us", "_panes", "_window_us", "n")

    def __init__(self, having: Having) -> None:
        self._window_us = having.window_us
        self._pane_us = max(having.window_us // PANES, 1)
        self._function: Callable[[PaneWindow], float | None] = _FUNCTIONS[having.function]
        self._panes: list[list[Any]] = []  # [pane number, newest time, n, sum, least, greatest] by number
        self.n = 0

    def add(self, time_us: int, value: float | str | bool | None) -> None:
        """Add an event; `value` is a number (ignored by count)."""
        number = value if isinstance(value, float) else 0.0
        self.n += 1
        slot = time_us // self._pane_us
        panes = self._panes
        if not panes or panes[-1][0] < slot:
            panes.append([slot, time_us, 1, number, number, number])
            return
        at = len(panes) - 1 if panes[-1][0] == slot else bisect_left(panes, slot, key=_slot)
        pane = panes[at]
        if pane[0] != slot:
            panes.insert(at, [slot, time_us, 1, number, number, number])
            return
        pane[1] = max(pane[1], time_us)
        pane[2] += 1
        pane[3] += number
        pane[4] = min(pane[4], number)
        pane[5] = max(pane[5], number)

    def next_expiry_us(self) -> int | None:
        """Return when something next leaves the window, None if it is empty."""
        return self._panes[0][1] + self._window_us if self._panes else None

    def expire(self, now_us: int) -> None:
        """Forget what has left the window by `now_us`."""
        oldest = now_us - self._window_us
        panes = self._panes
        while panes and panes[0][1] <= oldest:
            self.n -= panes.pop(0)[2]

    def value(self) -> float | None:
        """Return the measured value; None where an empty window has none."""
        return self._function(self)

    def total(self) -> float:
        """Return the sum; recomputed from the panes, so that it never drifts."""
        return float(sum([pane[3] for pane in self._panes]))

    def mean(self) -> float | None:
        """Return the mean."""
        return self.total() / self.n if self.n else None

    def least(self) -> float | None:
        """Return the minimum."""
        return min((pane[4] for pane in self._panes), default=None)

    def greatest(self) -> float | None:
        """Return the maximum."""
        return max((pane[5] for pane in self._panes), default=None)

    def clear(self) -> None:
        """Forget everything."""
        self._panes.clear()
        self.n = 0

    def pack(self) -> Packed:
        """Return the state as plain data."""
        return self._panes

    def unpack(self, packed: Packed) -> None:
        """Take over what `pack` returned."""
        self._panes = packed
        self.n = sum(pane[2] for pane in packed)


def _slot(pane: list[Any]) -> int:
    slot: int = pane[0]
    return slot


_FUNCTIONS: Final[dict[str, Callable[[PaneWindow], float | None]]] = {
    "count": lambda window: float(window.n),
    "sum": PaneWindow.total,
    "avg": PaneWindow.mean,
    "min": PaneWindow.least,
    "max": PaneWindow.greatest,
}


class DistinctWindow:
    """How many different values the window holds; exact up to `MAX_DISTINCT`."""

    __slots__ = ("_newest", "_window_us")

    def __init__(self, having: Having) -> None:
        self._window_us = having.window_us
        self._newest: dict[float | str | bool | None, int] = {}

    @property
    def n(self) -> int:
        """Different values."""
        return len(self._newest)

    def add(self, time_us: int, value: float | str | bool | None) -> None:
        """Add an event that carries `value`."""
        known = self._newest.get(value)
        if known is None and len(self._newest) >= MAX_DISTINCT:
            oldest = min(self._newest, key=lambda name: (self._newest[name], str(name)))
            del self._newest[oldest]
        self._newest[value] = time_us if known is None else max(known, time_us)

    def next_expiry_us(self) -> int | None:
        """Return when a value next leaves the window, None if it is empty."""
        return min(self._newest.values()) + self._window_us if self._newest else None

    def expire(self, now_us: int) -> None:
        """Forget the values not seen since the window began."""
        oldest = now_us - self._window_us
        for value in [value for value, time_us in self._newest.items() if time_us <= oldest]:
            del self._newest[value]

    def value(self) -> float:
        """Return the number of different values."""
        return float(len(self._newest))

    def clear(self) -> None:
        """Forget everything."""
        self._newest.clear()

    def pack(self) -> Packed:
        """Return the state as plain data."""
        return [[value, time_us] for value, time_us in self._newest.items()]

    def unpack(self, packed: Packed) -> None:
        """Take over what `pack` returned."""
        self._newest = dict(packed)


Window = PaneWindow | DistinctWindow


def window_for(having: Having) -> Window:
    """Return an empty window that measures what `having` asks for."""
    return DistinctWindow(having) if having.function == "distinct" else PaneWindow(having)
