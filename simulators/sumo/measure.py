"""What devices say of simulated traffic: passages become flow, vehicles in view become counts. Pure."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from simulators.sumo.snap import Stretch
from simulators.sumo.traffic import Passage, Seen

STANDS_S: Final = 10.0
"""A camera calls a vehicle stopped that has not moved for this long"""
FREE_M: Final = 15.0
"""though the road before it is free this far: who waits in a queue or at a junction has not stopped."""
_FASTEST_KMH: Final = 200.0


class Flow(msgspec.Struct, frozen=True):
    """One interval of a detector or of one of its lanes."""

    volume_veh: int
    occupancy: float
    speed_kmh: float | None
    """None where nobody was there."""

    def data(self, interval_s: float, lane: int | None = None) -> dict[str, object]:
        """Return the data of a `traffic.flow`."""
        speed = {} if self.speed_kmh is None else {"speed_kmh": round(self.speed_kmh, 1)}
        shown = {"occupancy": round(self.occupancy, 3), "volume_veh": self.volume_veh}
        return {**speed, **shown, "interval_s": interval_s, **({} if lane is None else {"lane": str(lane)})}


class Loop:
    """The memory of one loop: who passed it lately. Times are seconds of the simulation."""

    def __init__(self, keep_s: float) -> None:
        """Remember `keep_s` seconds."""
        self._keep_s = keep_s
        self._passed: deque[Passage] = deque()
        self._there: tuple[Passage, ...] = ()

    def note(self, passages: Iterable[Passage], now_s: float) -> None:
        """Take in the last second."""
        found = list(passages)
        self._there = tuple(item for item in found if item.left_s is None)
        self._passed.extend(item for item in found if item.left_s is not None)
        while self._passed and (self._passed[0].left_s or 0.0) < now_s - self._keep_s:
            self._passed.popleft()

    def flow(self, from_s: float, to_s: float) -> Flow:
        """Return the measurement of (from, to].

        A vehicle counts when it leaves. One that is still there tells how slow it is at least: its length
        over the time that it has taken so far.
        """
        volume, speeds = 0, list[float]()
        covered_s, covered_to_s = 0.0, from_s
        for item in sorted((*self._passed, *self._there), key=lambda item: item.entered_s):
            left_s = to_s if item.left_s is None else item.left_s
            # A loop is longer than the gap between two motorbikes: the same moment counts once.
            covered_s += max(0.0, min(left_s, to_s) - max(item.entered_s, covered_to_s))
            covered_to_s = max(covered_to_s, min(left_s, to_s))
            if item.left_s is not None and from_s < item.left_s <= to_s:
                volume += 1
            if left_s > from_s and item.entered_s < to_s:
                took_s = min(left_s, to_s) - item.entered_s
                whole = item.left_s is not None and item.left_s <= to_s
                # Who has only just come says nothing yet.
                if whole or took_s >= 1.0:
                    speeds.append(min(_FASTEST_KMH, 3.6 * item.length_m / max(took_s, 0.01)))
        speed = sum(speeds) / len(speeds) if speeds else None
        return Flow(volume, min(1.0, covered_s / (to_s - from_s)), speed)


def joined(flows: Sequence[Flow]) -> Flow:
    """Return what the lanes of one carriageway come to: all vehicles, mean occupancy, speed by volume."""
    told = [(flow.speed_kmh, max(1, flow.volume_veh)) for flow in flows if flow.speed_kmh is not None]
    weight = sum(volume for _, volume in told)
    return Flow(
        sum(flow.volume_veh for flow in flows),
        sum(flow.occupancy for flow in flows) / len(flows),
        sum(speed * volume for speed, volume in told) / weight if weight else None,
    )


class Count(msgspec.Struct, frozen=True):
    """What a camera counts at a moment."""

    vehicles: int
    stopped: int
    kinds: Mapping[str, int]


def count(stretches: Sequence[Stretch], seen: Callable[[str], Sequence[Seen]]) -> Count:
    """Return what is on `stretches`; `seen` gives all vehicles of a lane."""
    kinds: dict[str, int] = {}
    stopped = 0
    for stretch in stretches:
        on_lane = sorted(seen(stretch.lane), key=lambda vehicle: vehicle.at_m)
        for number, vehicle in enumerate(on_lane):
            if stretch.from_m <= vehicle.at_m <= stretch.to_m:
                kinds[vehicle.kind] = kinds.get(vehicle.kind, 0) + 1
                ahead = on_lane[number + 1] if number + 1 < len(on_lane) else None
                stopped += has_stopped(vehicle, ahead, stretch.lane_m)
    return Count(sum(kinds.values()), stopped, dict(sorted(kinds.items())))


def has_stopped(vehicle: Seen, ahead: Seen | None, lane_m: float) -> bool:
    """Return whether a vehicle stands by itself, with free road before it, and not at the end of its lane."""
    until_m = lane_m if ahead is None else ahead.at_m - ahead.length_m
    return vehicle.standing_s >= STANDS_S and until_m - vehicle.at_m >= FREE_M
