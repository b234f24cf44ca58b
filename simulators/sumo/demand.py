"""Who sets out when and where to: random trips in the daily rhythm of the city model. Pure."""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from simulators.city.plane import stream
from simulators.days import day_of
from simulators.rhythm import motorbikes, rush
from simulators.sumo.traffic import Lane, Trip
from simulators.times import SECOND_US, local_hour

FLOW_VEH_PER_H: Final = 350.0
"""How many vehicles an hour pass a carriageway at the peak on average, where nothing else is asked for."""
MAX_TRIPS: Final = 60_000
"""More an hour is more than a machine simulates in time."""
_OTHERS: Final = ("car", "truck", "bus")
"""Who is no motorbike,"""
_SHARES: Final = (0.78, 0.17, 0.05)
"""and how many of those there are."""


class Demand:
    """Trips between the edges of a network, long edges more often than short ones."""

    def __init__(self, lanes: Sequence[Lane], seed: int, trips_per_h: float | None = None) -> None:
        """Spread `trips_per_h` at the peak over the edges of `lanes`; without, as many as fit the network."""
        lengths = {lane.edge: lane.length_m for lane in lanes}
        self._edges = sorted(lengths)
        self._upto_m = list(accumulate(lengths[edge] for edge in self._edges))
        fitting = self._upto_m[-1] * FLOW_VEH_PER_H / _trip_m(lanes)
        self.trips_per_h = min(MAX_TRIPS, fitting) if trips_per_h is None else trips_per_h
        self._seed = seed

    def trips(self, at_us: int, fast_us: int) -> list[Trip]:
        """Return who sets out in the second from `at_us` on; `fast_us` is the time of day they live in."""
        rng = stream(self._seed, "trips", at_us // SECOND_US)
        clock = local_hour(fast_us), day_of(fast_us)
        due = self.trips_per_h / 3600 * rush(*clock)
        number = math.floor(due) + (rng.random() < due % 1)
        found: list[Trip] = []
        for index in range(number):
            bike = rng.random() < motorbikes(*clock)
            kind = "motorcycle" if bike else rng.choices(_OTHERS, _SHARES)[0]
            start, end = self._edge(rng.random()), self._edge(rng.random())
            found.append(Trip(f"trip-{at_us // SECOND_US}-{index}", kind, start, end))
        return [trip for trip in found if trip.start != trip.end]

    def _edge(self, share: float) -> str:
        return self._edges[bisect(self._upto_m, share * self._upto_m[-1])]


def _trip_m(lanes: Sequence[Lane]) -> float:
    """Return about how long a trip is: half the way across."""
    xs, ys = zip(*(xy for lane in lanes for xy in lane.shape), strict=True)
    return max(1.0, math.hypot(max(xs) - min(xs), max(ys) - min(ys)) / 2)
