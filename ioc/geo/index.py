"""The geofence index: areas in force on a date, and which of them a point lies in."""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray

from ioc.geo.grid import Coordinates, Grid, Indexes
from ioc.model.places import Area

WARD = "ward"
_SURFACES = ("Polygon", "MultiPolygon")


class AreaSet:
    """A choice of areas with its own grid; `contains` asks whether a point lies in any of them."""

    def __init__(self, areas: Sequence[Area], shapes: Sequence[shapely.Geometry]) -> None:
        self.areas = tuple(areas)
        self._grid = Grid(shapes)

    @property
    def shapes(self) -> Sequence[shapely.Geometry]:
        """Surfaces of the areas, in their order."""
        return self._grid.polygons

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the areas, in the order that decides ties."""
        return tuple(area.code for area in self.areas)

    def contains(self, lon: Coordinates, lat: Coordinates) -> NDArray[np.bool_]:
        """Return the mask of points inside or on the border of any area. NaN is outside."""
        return self._grid.locate(lon, lat) >= 0

    def contains_one(self, lon: float | None, lat: float | None) -> bool:
        """Return `contains` for one point; an unknown position is outside."""
        return lon is not None and lat is not None and self._grid.locate_one(lon, lat) >= 0

    def locate(self, lon: Coordinates, lat: Coordinates) -> Indexes:
        """Return for each point the position of its area in `areas`, −1 for none."""
        return self._grid.locate(lon, lat)

    def position_of(self, lon: float, lat: float) -> int | None:
        """Return the position in `areas` of the area of one point."""
        found = self._grid.locate_one(lon, lat)
        return found if found >= 0 else None

    def code_of(self, lon: float, lat: float) -> str | None:
        """Return the code of the area of one point."""
        found = self.position_of(lon, lat)
        return None if found is None else self.areas[found].code


class AreaIndex:
    """Areas by kind and code. Immutable in effect: grids are built once and kept.

    Where areas are chosen by codes, `101` is every area of that code, `ward:101` the one of that kind.

    Border rule: a point on the common border of several areas of a kind belongs to the one whose code comes
    first; so do points where areas overlap. Borders belong to the area (closed polygons).
    """

    def __init__(self, areas: Sequence[Area]) -> None:
        self.areas = tuple(areas)
        self.warnings: tuple[str, ...] = ()
        self._shapes: list[shapely.Geometry | None] = []
        self._sets: dict[tuple[str | None, tuple[str, ...] | None], AreaSet] = {}
        self._positions: dict[str, Indexes] = {}
        warnings: list[str] = []
        for area in self.areas:
            shape, warning = surface(area)
            self._shapes.append(shape)
            if warning:
                warnings.append(f"{area.kind} {area.code}: {warning}")
        self.warnings = tuple(warnings)
        self._wards = self.select(kind=WARD)

    @classmethod
    def at(cls, areas: Iterable[Area], day: str | date) -> "AreaIndex":
        """Return the index of the areas in force on `day`, a local date (`valid_to` is the first day out)."""
        iso = day if isinstance(day, str) else day.isoformat()
        return cls([a for a in areas if a.valid_from <= iso and (a.valid_to is None or iso < a.valid_to)])

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds present, sorted."""
        return tuple(sorted({area.kind for area in self.areas}))

    def members(self, kind: str | None = None, codes: Iterable[str] | None = None) -> tuple[Area, ...]:
        """Return the areas of a kind and/or with given codes (None: any), by code."""
        return tuple(self.areas[i] for i in self._chosen(kind, None if codes is None else tuple(codes)))

    def select(self, kind: str | None = None, codes: Iterable[str] | None = None) -> AreaSet:
        """Return the surfaces among `members(kind, codes)` as a set to test points against; kept."""
        key = (kind, None if codes is None else tuple(sorted(set(codes))))
        if key not in self._sets:
            chosen = [i for i in self._chosen(*key) if self._shapes[i] is not None]
            self._sets[key] = AreaSet([self.areas[i] for i in chosen], [self._shapes[i] for i in chosen])
        return self._sets[key]

    def locate(self, lon: Coordinates, lat: Coordinates, kind: str = WARD) -> Indexes:
        """Return for each point the position in `members(kind)` of its area, −1 for none.

        Args:
            lon: degrees east, shape (n,), NaN where unknown.
            lat: degrees north, shape (n,).
            kind: the partition asked about.
        """
        local = self.select(kind).locate(lon, lat)
        positions = self._positions.get(kind)
        if positions is None:
            positions = self._positions[kind] = self._in_members(kind)
        return positions[local]

    def contains(
        self,
        lon: Coordinates,
        lat: Coordinates,
        *,
        kind: str | None = None,
        codes: Iterable[str] | None = None,
    ) -> NDArray[np.bool_]:
        """Return the mask of points inside any area of the kind and/or codes."""
        return self.select(kind, codes).contains(lon, lat)

    def ward_of(self, lon: float, lat: float) -> str | None:
        """Return the code of the ward of one point, None outside all of them."""
        return self._wards.code_of(lon, lat)

    def _chosen(self, kind: str | None, codes: tuple[str, ...] | None) -> list[int]:
        wanted = None if codes is None else frozenset(codes)
        found = (
            i
            for i, area in enumerate(self.areas)
            if (kind is None or area.kind == kind) and (wanted is None or not wanted.isdisjoint(names(area)))
        )
        return sorted(found, key=lambda i: (self.areas[i].code, self.areas[i].kind, i))

    def _in_members(self, kind: str) -> Indexes:
        """Return positions in `members(kind)` of the areas of `select(kind)`, then −1 for "none"."""
        members = self._chosen(kind, None)
        surfaces = [n for n, i in enumerate(members) if self._shapes[i] is not None]
        return np.array([*surfaces, -1], dtype=np.int32)


def names(area: Area) -> tuple[str, str]:
    """Return what a choice of codes may call an area: its code, or `kind:code` where others have it too."""
    return area.code, f"{area.kind}:{area.code}"


def surface(area: Area) -> tuple[shapely.Geometry | None, str | None]:
    """Return the valid surface of an area (None for lines and points) and a warning where it was repaired."""
    if area.geometry.get("type") not in _SURFACES:
        return None, None
    shape = shapely.from_geojson(_geojson(area))
    if shapely.is_valid(shape):
        return shape, None
    reason = shapely.is_valid_reason(shape)
    parts = shapely.get_parts(shapely.make_valid(shape))
    polygons = [p for p in shapely.get_parts(parts) if shapely.get_dimensions(p) == 2]
    if not polygons:
        return None, f"has no surface ({reason}); it contains no point"
    return shapely.union_all(polygons), f"repaired: {reason}"


def _geojson(area: Area) -> bytes:
    return msgspec.json.encode(area.geometry)
