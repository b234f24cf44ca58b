"""A network for the fleet's area from the main roads of its areas file, in SUMO's plain XML. Pure.

Where roads meet, a junction; each road has a carriageway either way. Edges are named after the road's code,
numbered along it; the way against its line bears a minus, as everywhere in SUMO.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import msgspec
import numpy as np
from shapely import STRtree, transform, unary_union
from shapely.geometry import LineString, MultiPoint, shape
from shapely.geometry import Point as Place
from shapely.geometry.base import BaseGeometry

from simulators.city.plane import Point, to_lonlat, to_plane
from simulators.fleet import Fleet, FleetError
from simulators.sumo import SumoError

MARGIN_M: Final = 1_500.0
"""Roads are kept this far around the devices of the wards that were asked for."""
_SHORTEST_M: Final = 1.0


class Class(msgspec.Struct, frozen=True):
    """What a class of roads comes to, for one direction."""

    lanes: int
    speed_mps: float
    priority: int


CLASSES: Final[Mapping[str, Class]] = {
    "motorway": Class(3, 22.2, 9),
    "trunk": Class(3, 16.7, 8),
    "primary": Class(2, 13.9, 7),
    "secondary": Class(2, 13.9, 5),
}
"""Streets of lower classes are left out: they are too many, and no detector measures them."""


class Street(msgspec.Struct, frozen=True):
    """A road between two junctions, on the city's plane."""

    id: str
    rank: str
    line: tuple[Point, ...]


class Plan(msgspec.Struct, frozen=True):
    """Plain XML of nodes and edges, and how long all roads are."""

    nodes: str
    edges: str
    length_m: float


def plan(areas: Path, fleet: Fleet, wards: Sequence[str] = ()) -> Plan:
    """Return the network of the main roads in `areas`, around the devices of `wards` if any are named.

    Raises:
        SumoError: the file has no main roads there, or there is no such ward.
        FleetError: the file cannot be read.
    """
    for ward in wards:
        if ward not in fleet.wards:
            raise SumoError(f"--ward {ward}: no device of the fleet stands there; {_some(fleet.wards)}")
    try:
        features = msgspec.json.decode(areas.read_bytes())["features"]
        roads = [_road(feature) for feature in features if feature["properties"].get("class") in CLASSES]
    except (OSError, KeyError, TypeError, ValueError, msgspec.MsgspecError) as problem:
        raise FleetError(f"cannot read roads from {areas} ({problem}); run `ioc-sim city build`") from problem
    units = [unit for unit in (*fleet.cameras, *fleet.detectors) if not wards or unit.ward in wards]
    around = MultiPoint([to_plane((unit.lon, unit.lat)) for unit in units]).convex_hull.buffer(MARGIN_M)
    streets = split(roads, around)
    if not streets:
        raise SumoError(
            f"{areas} has no main roads ({', '.join(CLASSES)}) around the devices; give --net FILE"
        )
    return Plan(*_xml(streets), sum(LineString(street.line).length for street in streets))


Road = tuple[str, str, BaseGeometry]
"""Code, class and line on the city's plane."""


def split(roads: Sequence[Road], around: BaseGeometry) -> list[Street]:
    """Return the streets between the junctions of `roads`, within `around`."""
    near = [(code, rank, line.intersection(around)) for code, rank, line in roads if line.intersects(around)]
    if not near:
        return []
    tree = STRtree([line for _, _, line in near])
    numbers: dict[str, int] = {}
    found: list[Street] = []
    noded = unary_union([line for _, _, line in near])
    for part in getattr(noded, "geoms", [noded]):
        if not isinstance(part, LineString) or part.length < _SHORTEST_M:
            continue
        code, rank, line = near[int(tree.nearest(part.interpolate(0.5, normalized=True)))]
        # A union gives lines either way round: each runs as its road was drawn.
        first_m, last_m = (line.project(Place(part.coords[end])) for end in (0, -1))
        numbers[code] = numbers.get(code, -1) + 1
        xy = [(float(x), float(y)) for x, y in part.coords]
        found.append(Street(f"{code}.{numbers[code]}", rank, tuple(xy[::-1] if first_m > last_m else xy)))
    return found


def _road(feature: Mapping[str, Any]) -> Road:
    properties = feature["properties"]
    line = transform(shape(feature["geometry"]), lambda degrees: np.array([to_plane(p) for p in degrees]))
    return properties["code"], properties["class"], line


def _xml(streets: Sequence[Street]) -> tuple[str, str]:
    nodes: dict[Point, str] = {}
    edges: list[str] = []
    for street in streets:
        ends = [nodes.setdefault(street.line[end], f"j{len(nodes)}") for end in (0, -1)]
        rank = CLASSES[street.rank]
        for name, (start, end), line in (
            (street.id, ends, street.line),
            (f"-{street.id}", ends[::-1], street.line[::-1]),
        ):
            edges.append(
                f'<edge id={quoteattr(name)} from="{start}" to="{end}" numLanes="{rank.lanes}" '
                f'speed="{rank.speed_mps}" priority="{rank.priority}" spreadType="right" '
                f'shape="{" ".join(map(_degrees, line))}"/>'
            )
    junctions = ['<node id="{}" x="{}" y="{}"/>'.format(name, *to_lonlat(xy)) for xy, name in nodes.items()]
    return (
        "<nodes>\n" + "\n".join(junctions) + "\n</nodes>\n",
        "<edges>\n" + "\n".join(edges) + "\n</edges>\n",
    )


def _degrees(xy: Point) -> str:
    return "{},{}".format(*to_lonlat(xy))


def _some(wards: Sequence[str]) -> str:
    return f"there are {', '.join(wards[:8])}{' …' if len(wards) > 8 else ''}"
