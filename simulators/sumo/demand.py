"""Who sets out when and where to: random trips in the daily rhythm of the city model. Pure."""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import Final

from simulators.city.plane import stream
from simulators.days import day_of
from simulators.rhythm import motorbikes, rush
from simulators.sumo.traffic import Lane, Point, Trip
from simulators.times import SECOND_US, local_hour

FLOW_VEH_PER_H: Final = 300.0
"""How many vehicles an hour pass a carriageway at the peak on average, where nothing else is asked for."""
MAX_TRIPS: Final = 100_000
"""More an hour is more than a machine simulates in time."""
TRIP_M: Final = 7_000.0
"""How far most trips lead at most, as the crow flies: a quarter of an hour, which a warm-up can fill."""
PAIRS: Final = 5_000
"""Ways that are driven, each again and again: as many routes as a simulation that never ends must keep."""
_TRIES: Final = 12
"""Ends that a way is drawn from."""
_OTHERS: Final = ("car", "truck", "bus")
"""Who is no motorbike,"""
_SHARES: Final = (0.78, 0.17, 0.05)
"""and how many of those there are."""


class Demand:
    """Trips between the edges of a network, long edges more often than short ones."""

    def __init__(self, lanes: Sequence[Lane], seed: int, trips_per_h: float | None = None) -> None:
        """Spread `trips_per_h` at the peak over the edges of `lanes`; without, as many as fit the network."""
        lengths = {lane.edge: lane.length_m for lane in lanes}
        self._middles = {lane.edge: _middle(lane) for lane in lanes}
        self._edges = sorted(lengths)
        self._upto_m = list(accumulate(lengths[edge] for edge in self._edges))
        self._seed = seed
        rng = stream(seed, "pairs")
        self._pairs = [self._pair(rng) for _ in range(PAIRS)] if len(self._edges) > 1 else []
        fitting = self._upto_m[-1] * FLOW_VEH_PER_H / self._mean_m()
        self.trips_per_h = min(MAX_TRIPS, fitting) if trips_per_h is None else trips_per_h

    def trips(self, at_us: int, fast_us: int) -> list[Trip]:
        """Return who sets out in the second from `at_us` on; `fast_us` is the time of day they live in."""
        rng = stream(self._seed, "trips", at_us // SECOND_US)
        clock = local_hour(fast_us), day_of(fast_us)
        due = self.trips_per_h / 3600 * rush(*clock)
        number = math.floor(due) + (rng.random() < due % 1)
        found: list[Trip] = []
        for index in range(number if self._pairs else 0):
            bike = rng.random() < motorbikes(*clock)
            kind = "motorcycle" if bike else rng.choices(_OTHERS, _SHARES)[0]
            found.append(Trip(f"trip-{at_us // SECOND_US}-{index}", kind, *rng.choice(self._pairs)))
        return found

    def _pair(self, rng: Random) -> tuple[str, str]:
        start = self._edge(rng)
        others = [edge for edge in (self._edge(rng) for _ in range(_TRIES)) if edge != start]
        if not others:
            return start, next(edge for edge in self._edges if edge != start)
        near = (edge for edge in others if self._apart_m(start, edge) <= TRIP_M)
        return start, next(near, None) or min(others, key=lambda edge: self._apart_m(start, edge))

    def _edge(self, rng: Random) -> str:
        return self._edges[bisect(self._upto_m, rng.random() * self._upto_m[-1])]

    def _apart_m(self, start: str, end: str) -> float:
        return math.dist(self._middles[start], self._middles[end])

    def _mean_m(self) -> float:
        apart = [self._apart_m(*pair) for pair in self._pairs]
        return max(500.0, sum(apart) / max(1, len(apart)))


def _middle(lane: Lane) -> Point:
    (x0, y0), (x1, y1) = lane.shape[0], lane.shape[-1]
    return (x0 + x1) / 2, (y0 + y1) / 2
