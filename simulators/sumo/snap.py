"""Where the fleet's devices stand on the network: each at the lanes nearest to it, within a bound. Pure."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from shapely import STRtree
from shapely.geometry import LineString
from shapely.geometry import Point as Place

from simulators.fleet import Unit
from simulators.sumo import SumoError
from simulators.sumo.traffic import Instrument, Lane, Point

REACH_M: Final = 60.0
"""A device farther from every lane than this is not of this network."""
VIEW_M: Final = 60.0
"""How far a camera sees."""
_ALIKE_M: Final = 12.0
"""Lanes no farther than this behind the nearest one are the two sides of one road."""
_EDGE_M: Final = 5.0
"""A loop lies this far from the ends of its lane."""


class Stretch(msgspec.Struct, frozen=True):
    """Part of a lane."""

    lane: str
    from_m: float
    to_m: float
    lane_m: float
    """How long the whole lane is."""


def sees(stretch: Stretch, lane: str, at_m: float) -> bool:
    """Return whether a place on a lane is in a stretch."""
    return stretch.lane == lane and stretch.from_m <= at_m <= stretch.to_m


class Site(msgspec.Struct, frozen=True):
    """A detector on the network: a loop in each lane of one carriageway."""

    device: str
    edge: str
    at_m: float
    gap_m: float
    """How far the road is from where the device stands."""
    loops: tuple[Instrument, ...]


class View(msgspec.Struct, frozen=True):
    """A camera on the network."""

    device: str
    gap_m: float
    stretches: tuple[Stretch, ...]


class Sites(msgspec.Struct, frozen=True):
    """The fleet on a network. `left_out` are the devices with no lane near them, and how far it is to one."""

    detectors: tuple[Site, ...]
    cameras: tuple[View, ...]
    left_out: dict[str, float]


class Map:
    """The lanes of a network, to be asked what is near."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        """Keep `lanes`, at least one."""
        if not lanes:
            raise SumoError("the network has no lane for motor vehicles; give another one by --net")
        self.lanes = {lane.id: lane for lane in lanes}
        self.edges: dict[str, list[Lane]] = {}
        for lane in lanes:
            self.edges.setdefault(lane.edge, []).append(lane)
        self._ordered = list(lanes)
        self._lines = [LineString(lane.shape) for lane in lanes]
        self._tree = STRtree(self._lines)

    def nearest(self, point: Point) -> tuple[Lane, float, float]:
        """Return the lane nearest to `point`, where on it that is, and how far away the road is.

        Of the two sides of one road it is the one that runs as the road was drawn: its edge bears no minus.
        """
        place = Place(point)
        least_m = float(self._lines[self._tree.nearest(place)].distance(place))
        near = self._tree.query(place.buffer(least_m + _ALIKE_M))

        def order(number: int) -> tuple[bool, float, str]:
            lane = self._ordered[number]
            return lane.edge.startswith("-"), float(self._lines[number].distance(place)), lane.id

        best = min((int(number) for number in near), key=order)
        lane, line = self._ordered[best], self._lines[best]
        return lane, _along(lane, line, line.project(place)), least_m

    def around(self, point: Point, radius_m: float) -> list[Stretch]:
        """Return the parts of lanes within `radius_m`, by the lanes' ids."""
        circle = Place(point).buffer(radius_m)
        found: list[Stretch] = []
        for number in self._tree.query(circle):
            lane, line = self._ordered[int(number)], self._lines[int(number)]
            inside = line.intersection(circle)
            ends = [line.project(Place(xy)) for part in _parts(inside) for xy in part.coords]
            if ends:
                first_m, last_m = (_along(lane, line, value) for value in (min(ends), max(ends)))
                found.append(Stretch(lane.id, first_m, last_m, lane.length_m))
        return sorted(found, key=lambda stretch: stretch.lane)


def snap(
    units: Sequence[Unit],
    network: Map,
    place: Callable[[float, float], Point],
    own_loops: Sequence[Instrument] = (),
    reach_m: float = REACH_M,
) -> Sites:
    """Return where `units` stand on the network.

    A loop of the network's own belongs to the detector whose id it bears, alone or before `_` and more.

    Raises:
        SumoError: none of them is within `reach_m` of a lane.
    """
    own: dict[str, list[Instrument]] = {}
    for loop in own_loops:
        if loop.lane in network.lanes:
            own.setdefault(loop.id, []).append(loop)
            own.setdefault(loop.id.rpartition("_")[0], []).append(loop)
    detectors: list[Site] = []
    cameras: list[View] = []
    left_out: dict[str, float] = {}
    for unit in units:
        if unit.kind not in ("detector", "camera"):
            continue
        point = place(unit.lon, unit.lat)
        if not all(map(math.isfinite, point)):
            left_out[unit.id] = math.inf
            continue
        lane, at_m, gap_m = network.nearest(point)
        if unit.kind == "detector" and unit.id in own:
            loops = tuple(sorted(own[unit.id], key=lambda loop: loop.id))
            edge = network.lanes[loops[0].lane].edge
            detectors.append(Site(unit.id, edge, loops[0].at_m, round(gap_m, 1), loops))
        elif gap_m > reach_m:
            left_out[unit.id] = round(gap_m, 1)
        elif unit.kind == "detector":
            detectors.append(_site(unit.id, network.edges[lane.edge], at_m, gap_m))
        else:
            stretches = network.around(point, max(VIEW_M, gap_m + _ALIKE_M))
            cameras.append(View(unit.id, round(gap_m, 1), tuple(stretches)))
    if not detectors and not cameras:
        raise SumoError(_nowhere(left_out, reach_m))
    return Sites(tuple(detectors), tuple(cameras), left_out)


def _site(device: str, lanes: Sequence[Lane], at_m: float, gap_m: float) -> Site:
    at_m = round(within(at_m, min(lane.length_m for lane in lanes)), 2)
    loops = tuple(Instrument(f"{device}_{lane.index}", lane.id, at_m) for lane in lanes)
    return Site(device, lanes[0].edge, at_m, round(gap_m, 1), loops)


def within(at_m: float, length_m: float) -> float:
    """Return a place on a lane of that length that is not at its ends."""
    return length_m / 2 if length_m < 2 * _EDGE_M else min(max(at_m, _EDGE_M), length_m - _EDGE_M)


def _along(lane: Lane, line: LineString, drawn_m: float) -> float:
    """Return a place on a lane for one on its drawn line: the network may call it longer or shorter."""
    return drawn_m * lane.length_m / line.length if line.length else 0.0


def _parts(geometry: object) -> list[LineString]:
    return [part for part in getattr(geometry, "geoms", [geometry]) if isinstance(part, LineString)]


def _nowhere(left_out: dict[str, float], reach_m: float) -> str:
    nearest = min(left_out, key=lambda device: left_out[device], default=None)
    if nearest is None:
        return "the fleet has neither detectors nor cameras; give --devices with some"
    away = f"the nearest, {nearest}, is {left_out[nearest]:,.0f} m away"
    return (
        f"no lane within {reach_m:.0f} m of any detector or camera ({away}): "
        "is the network of the fleet's area? Give its --net, the right --origin, or a wider --reach"
    )
