"""Event-time windows of one key: sliding in panes, or tumbling.

An event at time t counts at every moment in [t, t + window). Events closer together than a 64th of the window
may share a pane and then leave together, with the pane's newest: nothing leaves early, and what leaves late
does so by less than 1.6 % of the window. Sparse windows, the usual case, are exact. Order of arrival does not
matter as long as an event is still inside the window.

A tumbling window is [k · size, (k + 1) · size) from the epoch, so those of an hour begin at full hours UTC.
Its value appears when it closes and stays until the next one closes; an empty window has none. It closes by
the watermark alone, so that no event that is merely out of order is lost.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ioc.model.times import MINUTE_US
from ioc.rules.rule import Having

PANES: Final = 64
MAX_DISTINCT: Final = 1_000
"""Different values a window remembers; beyond it the oldest is forgotten, so thresholds stay below this."""

MAX_SAMPLES: Final = 500
"""Numbers a window of p50, p95 or stddev remembers; beyond it the oldest is forgotten."""

Packed = list[Any]  # MessagePack of our own making


class PaneWindow:
    """Count, rate, sum, mean, least and greatest of the numbers in the window."""

    __slots__ = ("_function", "_least_n", "_pane_us", "_panes", "_window_us", "n")

    def __init__(self, having: Having, panes: int = PANES) -> None:
        self._window_us = having.window_us
        self._least_n = having.samples
        self._pane_us = max(having.window_us // panes, 1)
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

    def is_over(self, time_us: int, now_us: int) -> bool:
        """Return whether an event at `time_us` has already left the window by `now_us`."""
        return time_us <= now_us - self._window_us

    def value(self) -> float | None:
        """Return the measured value; None where an empty window, or one with too few events, has none."""
        return self._function(self) if self.n >= self._least_n else None

    def rate(self) -> float:
        """Return events per minute."""
        return self.n * MINUTE_US / self._window_us

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
    "rate": PaneWindow.rate,
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

    def is_over(self, time_us: int, now_us: int) -> bool:
        """Return whether an event at `time_us` has already left the window by `now_us`."""
        return time_us <= now_us - self._window_us

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


class SampleWindow:
    """Quantiles and standard deviation: every number in the window, exact up to `MAX_SAMPLES` of them."""

    __slots__ = ("_function", "_least_n", "_samples", "_window_us")

    def __init__(self, having: Having) -> None:
        self._window_us = having.window_us
        self._least_n = having.samples
        self._function = _SAMPLE_FUNCTIONS[having.function]
        self._samples: list[tuple[int, float]] = []  # by time

    @property
    def n(self) -> int:
        """Numbers held."""
        return len(self._samples)

    def add(self, time_us: int, value: float | str | bool | None) -> None:
        """Add an event that carries the number `value`."""
        insort(self._samples, (time_us, value if isinstance(value, float) else 0.0))
        if len(self._samples) > MAX_SAMPLES:
            del self._samples[0]

    def next_expiry_us(self) -> int | None:
        """Return when a number next leaves the window, None if it is empty."""
        return self._samples[0][0] + self._window_us if self._samples else None

    def expire(self, now_us: int) -> None:
        """Forget what has left the window by `now_us`."""
        del self._samples[: bisect_right(self._samples, (now_us - self._window_us, math.inf))]

    def is_over(self, time_us: int, now_us: int) -> bool:
        """Return whether an event at `time_us` has already left the window by `now_us`."""
        return time_us <= now_us - self._window_us

    def value(self) -> float | None:
        """Return the measured value; None where there are too few numbers."""
        if len(self._samples) < self._least_n:
            return None
        return self._function([number for _, number in self._samples])

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()

    def pack(self) -> Packed:
        """Return the state as plain data."""
        return [list(sample) for sample in self._samples]

    def unpack(self, packed: Packed) -> None:
        """Take over what `pack` returned."""
        self._samples = [(time_us, number) for time_us, number in packed]


def quantile(numbers: list[float], share: float) -> float | None:
    """Return the nearest-rank quantile: the least number that `share` of them do not exceed."""
    if not numbers:
        return None
    return sorted(numbers)[max(math.ceil(share * len(numbers)) - 1, 0)]


def deviation(numbers: list[float]) -> float | None:
    """Return the standard deviation of a sample (n - 1); None below two numbers."""
    if len(numbers) < 2:
        return None
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1))


_SAMPLE_FUNCTIONS: Final[dict[str, Callable[[list[float]], float | None]]] = {
    "p50": lambda numbers: quantile(numbers, 0.50),
    "p95": lambda numbers: quantile(numbers, 0.95),
    "stddev": deviation,
}

Sliding = PaneWindow | DistinctWindow | SampleWindow


class TumblingWindow:
    """Windows side by side: those still open, and the value of the one closed last."""

    __slots__ = ("_closed", "_having", "_open", "_window_us")

    def __init__(self, having: Having) -> None:
        self._having = replace(having, tumbling=False)
        self._window_us = having.window_us
        self._open: dict[int, Sliding] = {}
        self._closed: tuple[int, float | None, int] | None = None  # its end, value and number of events

    @property
    def n(self) -> int:
        """Events the value is of; while nothing has closed, those waiting."""
        return self._closed[2] if self._closed else sum(window.n for window in self._open.values())

    def add(self, time_us: int, value: float | str | bool | None) -> None:
        """Add an event to the window it belongs to."""
        slot = time_us // self._window_us
        window = self._open.get(slot)
        if window is None:
            window = self._open[slot] = _sliding(self._having, 1)
        window.add(time_us, value)

    def next_expiry_us(self) -> int | None:
        """Return when a window next closes, or the last value lapses; None if there is neither."""
        if self._open:
            closes_us = (min(self._open) + 1) * self._window_us
            return closes_us if self._closed is None else min(closes_us, self._closed[0] + self._window_us)
        return self._closed[0] + self._window_us if self._closed else None

    def expire(self, now_us: int) -> None:
        """Close the windows that have ended by `now_us`."""
        for slot in sorted(self._open):
            end_us = (slot + 1) * self._window_us
            if end_us > now_us:
                break
            window = self._open.pop(slot)
            self._closed = (end_us, window.value(), window.n)
        if self._closed and self._closed[0] + self._window_us <= now_us:
            self._closed = None

    def is_over(self, time_us: int, now_us: int) -> bool:
        """Return whether the window of an event at `time_us` has closed by `now_us`."""
        return (time_us // self._window_us + 1) * self._window_us <= now_us

    def value(self) -> float | None:
        """Return the value of the window closed last."""
        return self._closed[1] if self._closed else None

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._closed = None

    def pack(self) -> Packed:
        """Return the state as plain data."""
        opened = [[slot, self._open[slot].pack()] for slot in sorted(self._open)]
        return [None if self._closed is None else list(self._closed), opened]

    def unpack(self, packed: Packed) -> None:
        """Take over what `pack` returned."""
        closed, opened = packed or (None, [])
        self._closed = None if closed is None else (closed[0], closed[1], closed[2])
        for slot, inner in opened:
            self._open[slot] = _sliding(self._having, 1)
            self._open[slot].unpack(inner)


Window = Sliding | TumblingWindow


def window_for(having: Having) -> Window:
    """Return an empty window that measures what `having` asks for."""
    return TumblingWindow(having) if having.tumbling else _sliding(having, PANES)


def _sliding(having: Having, panes: int) -> Sliding:
    if having.function == "distinct":
        return DistinctWindow(having)
    return SampleWindow(having) if having.function in _SAMPLE_FUNCTIONS else PaneWindow(having, panes)
