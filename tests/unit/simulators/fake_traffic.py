"""A traffic simulation small enough to be read: two straight roads side by side, one either way, on which
cars keep their distance. The contract suite holds it to what SUMO does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulators.city.plane import to_plane
from simulators.sumo.traffic import ZONE_M, Instrument, Lane, Passage, Point, Seen, Trip, Zone

LENGTH_M = 1_500.0
LANE_M = 3.2
GAP_M = 2.5
FAST_MPS = 14.0
LOOP_M = 2.0
SIZES_M = {"car": 4.8, "motorcycle": 2.1, "truck": 9.0, "bus": 11.5}
EVERY_S = 3
"""A new car in each lane of the way there, as long as `flowing`."""


@dataclass
class Vehicle:
    id: str
    kind: str
    at_m: float
    before_m: float
    stop_m: float | None = None
    standing_s: float = 0.0
    entered_s: dict[str, float] = field(default_factory=dict)

    @property
    def length_m(self) -> float:
        return SIZES_M[self.kind]


class FakeTraffic:
    """A `Traffic`; the road begins `before_m` before `middle` and leads north."""

    def __init__(self, middle: tuple[float, float], before_m: float = 700.0, flowing: bool = True) -> None:
        self._origin = to_plane(middle)
        self._before_m = before_m
        self._flowing = flowing
        self._lanes: dict[str, list[Vehicle]] = {
            f"{edge}_{i}": [] for edge in ("road", "-road") for i in (0, 1)
        }
        self._instruments: dict[str, Instrument] = {}
        self._passages: dict[str, list[Passage]] = {}
        self._sought: dict[str, tuple[str, float]] = {}
        self._broken: dict[str, Vehicle] = {}
        self._now_s = 0
        self._departed = self._arrived = 0
        self.own: list[Instrument] = []

    def lanes(self) -> Sequence[Lane]:
        found = []
        for name in sorted(self._lanes):
            edge, index = name.rpartition("_")[::2]
            x_m = (1 if edge == "road" else -1) * LANE_M * (2 - int(index))
            ends = [(x_m, 0.0), (x_m, LENGTH_M)]
            shape = tuple(ends if edge == "road" else ends[::-1])
            found.append(Lane(name, edge, int(index), LENGTH_M, shape))
        return found

    def place(self, lon: float, lat: float) -> Point:
        x_m, y_m = to_plane((lon, lat))
        return x_m - self._origin[0], y_m - self._origin[1] + self._before_m

    def loops(self) -> Sequence[Instrument]:
        return self.own

    def install(self, instruments: Sequence[Instrument]) -> None:
        self._instruments = {item.id: item for item in instruments}

    def add(self, trip: Trip) -> bool:
        if trip.start != trip.end:
            return False
        self._lanes[f"{trip.start}_0"].append(Vehicle(trip.id, trip.kind, 10.0, 10.0))
        self._departed += 1
        return True

    def stand(self, name: str, lane: str, at_m: float) -> None:
        self._sought[name] = lane, at_m

    def stands(self, name: str) -> bool:
        broken = self._broken.get(name)
        return broken is not None and broken.at_m == broken.stop_m

    def clear(self, name: str) -> None:
        del self._sought[name]
        if name in self._broken:
            self._broken.pop(name).stop_m = None

    def step(self) -> int:
        self._passages = {name: [] for name in self._instruments}
        for lane, vehicles in self._lanes.items():
            if self._flowing and not lane.startswith("-") and self._now_s % EVERY_S == 0:
                self._enter(lane, vehicles)
            self._move(lane, vehicles)
        for name, (lane, at_m) in self._sought.items():
            if name not in self._broken:
                before = [v for v in self._lanes[lane] if v.at_m <= at_m]
                if not before:
                    before.append(Vehicle(name, "car", at_m, at_m))
                    self._lanes[lane] += before
                self._broken[name] = max(before, key=lambda v: v.at_m)
                self._broken[name].stop_m = at_m
        self._now_s += 1
        return sum(map(len, self._lanes.values()))

    def passages(self, instrument: str) -> Sequence[Passage]:
        return self._passages[instrument]

    def zone(self, instrument: str) -> Zone:
        item = self._instruments[instrument]
        there = [v for v in self._lanes[item.lane] if item.at_m - ZONE_M < v.at_m <= item.at_m]
        if not there:
            return Zone(0.0, 0, 0.0)
        speed_kmh = sum(v.at_m - v.before_m for v in there) / len(there) * 3.6
        return Zone(min(1.0, sum(v.length_m for v in there) / ZONE_M), len(there), speed_kmh)

    def seen(self, lane: str) -> Sequence[Seen]:
        return [Seen(v.id, v.kind, v.at_m, v.length_m, v.standing_s) for v in self._lanes[lane]]

    def told(self) -> Mapping[str, int]:
        return {"departed": self._departed, "arrived": self._arrived, "teleported": 0}

    def close(self) -> None:
        pass

    def _enter(self, lane: str, vehicles: list[Vehicle]) -> None:
        if all(v.at_m - v.length_m > 8 for v in vehicles):
            self._departed += 1
            kind = "car" if self._departed % 3 else "motorcycle"
            vehicles.append(Vehicle(f"{lane}-{self._departed}", kind, 5.0, 5.0))

    def _move(self, lane: str, vehicles: list[Vehicle]) -> None:
        vehicles.sort(key=lambda v: -v.at_m)
        limit_m = LENGTH_M + 100
        for vehicle in vehicles:
            vehicle.before_m = vehicle.at_m
            until_m = limit_m - GAP_M if vehicle.stop_m is None else min(limit_m - GAP_M, vehicle.stop_m)
            vehicle.at_m = max(vehicle.at_m, min(vehicle.at_m + FAST_MPS, until_m))
            moved = vehicle.at_m > vehicle.before_m
            vehicle.standing_s = 0.0 if moved else vehicle.standing_s + 1
            limit_m = vehicle.at_m - vehicle.length_m
            for item in self._instruments.values():
                if item.lane == lane:
                    self._pass(item, vehicle)
        self._arrived += sum(v.at_m > LENGTH_M for v in vehicles)
        vehicles[:] = [v for v in vehicles if v.at_m <= LENGTH_M]

    def _pass(self, item: Instrument, vehicle: Vehicle) -> None:
        def when_s(front_m: float) -> float | None:
            if not vehicle.before_m < front_m <= vehicle.at_m:
                return None
            return self._now_s + (front_m - vehicle.before_m) / (vehicle.at_m - vehicle.before_m)

        entered_s = when_s(item.at_m)
        if entered_s is not None:
            vehicle.entered_s[item.id] = entered_s
        if item.id in vehicle.entered_s:
            left_s = when_s(item.at_m + LOOP_M + vehicle.length_m)
            length_m = vehicle.length_m + LOOP_M
            passage = Passage(vehicle.id, length_m, vehicle.entered_s[item.id], left_s)
            self._passages[item.id].append(passage)
            if left_s is not None:
                del vehicle.entered_s[item.id]
