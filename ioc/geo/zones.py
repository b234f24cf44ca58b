"""Areas as something to be in, to enter and to leave: with a margin, and legs that cut through."""

import math
from collections.abc import Sequence

import shapely
from shapely.affinity import scale

from ioc.geo.index import AreaSet, names, surface
from ioc.model.places import Area
from ioc.model.texts import Text

EARTH_M = 6_371_008.8
_DEGREE_M = math.pi * EARTH_M / 180


class Zones:
    """The areas one rule watches; a point is in at most one of them, by the border rule of `AreaSet`.

    Each is known by its code, or by `kind:code` where areas of several kinds have that code.
    """

    def __init__(self, areas: AreaSet, margin_m: float) -> None:
        self.areas: tuple[Area, ...] = areas.areas
        self._set = areas
        self._codes = _distinct(self.areas)
        """What each of `areas` is known by."""
        shapes = [shape for area in self.areas if (shape := surface(area)[0]) is not None]
        self._shapes = dict(zip(self._codes, shapes, strict=True))
        self._wide = {code: widened(shape, margin_m) for code, shape in self._shapes.items()}
        for shape in (*self._shapes.values(), *self._wide.values()):
            shapely.prepare(shape)
        self._names = {code: area.name for code, area in zip(self._codes, self.areas, strict=True)}

    def name(self, code: str) -> Text:
        """Return the name of an area; its code where it is no longer watched."""
        return self._names.get(code, Text(code, code))

    def code_of(self, lon: float, lat: float, staying: str | None = None) -> str | None:
        """Return the code of the area of a point; `staying` remains until the point is past the margin."""
        wide = None if staying is None else self._wide.get(staying)
        if wide is not None and shapely.intersects_xy(wide, lon, lat):
            return staying
        found = self._set.position_of(lon, lat)
        return None if found is None else self._codes[found]

    def cut(self, lon: float, lat: float, lon_to: float, lat_to: float) -> list[str]:
        """Return the codes of the areas whose inside the straight leg passes, sorted.

        A leg across the antimeridian passes none: drawn in degrees it would go around the earth.
        """
        if abs(lon_to - lon) > 180:
            return []
        leg = shapely.LineString([(lon, lat), (lon_to, lat_to)])
        met = [code for code, shape in self._shapes.items() if shapely.intersects(shape, leg)]
        return sorted(code for code in met if not shapely.touches(self._shapes[code], leg))

    def metres_to_border(self, lon: float, lat: float, code: str | None = None) -> float | None:
        """Return how far a point is from the border of area `code`, of the nearest where None."""
        shapes = [shape for name, shape in self._shapes.items() if code in (None, name)]
        point = shapely.Point(lon, lat)
        legs = (shapely.shortest_line(point, shapely.boundary(shape)) for shape in shapes)
        return min((metres_between(*leg.coords[0], *leg.coords[1]) for leg in legs), default=None)


def _distinct(areas: Sequence[Area]) -> list[str]:
    kinds: dict[str, set[str]] = {}
    for area in areas:
        kinds.setdefault(area.code, set()).add(area.kind)
    return [names(area)[len(kinds[area.code]) > 1] for area in areas]


def widened(shape: shapely.Geometry, margin_m: float) -> shapely.Geometry:
    """Return `shape` with `margin_m` metres around it; good for areas of a city's size."""
    if margin_m <= 0:
        return shape
    narrowing = math.cos(math.radians(shapely.get_y(shapely.centroid(shape)))) or 1.0
    flat = scale(shape, xfact=narrowing, yfact=1.0, origin=(0, 0))
    return scale(shapely.buffer(flat, margin_m / _DEGREE_M), xfact=1 / narrowing, yfact=1.0, origin=(0, 0))


def metres_between(lon: float, lat: float, lon_to: float, lat_to: float) -> float:
    """Return the great-circle distance of two points."""
    north, east = math.radians(lat_to - lat), math.radians(lon_to - lon)
    across = math.cos(math.radians(lat)) * math.cos(math.radians(lat_to))
    half = math.sin(north / 2) ** 2 + across * math.sin(east / 2) ** 2
    return 2 * EARTH_M * math.asin(min(math.sqrt(half), 1.0))
