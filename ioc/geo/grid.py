"""True-hit grids over polygons: interior cells answer at once, boundary cells are refined exactly.

`Grid` gives a point to the *first* polygon, in the order given, whose closed area covers it. So a point on a
common border belongs to exactly one polygon, always the same one; a point on an outer border to its polygon.
`Cover` gives a point to every polygon whose closed area covers it.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

Coordinates = NDArray[np.float64]
Indexes = NDArray[np.int32]

MAX_LEVELS = 9
"""2⁹ = 512 cells per side: 1 MB, built in tenths of a second; a city ward is then 90 % interior cells."""
_LEVELS_OF_ONE = 6
"""One polygon needs 64 cells per side (16 kB): a rule's own fence must stay cheap, there may be hundreds."""
_NOWHERE = -1
_FIRST_BOUNDARY = -2
"""Cell values: ≥ 0 the polygon's number, −1 none, −2−k boundary cell number k."""


class _Cells:
    """The squares over a set of polygons, and how each polygon lies to them."""

    def __init__(self, polygons: Sequence[shapely.Geometry], levels: int | None) -> None:
        if levels is None:
            bits = max(len(polygons) - 1, 0).bit_length()
            levels = min(_LEVELS_OF_ONE + (bits + 1) // 2, MAX_LEVELS)
        self._polygons = np.array(polygons, dtype=object)
        shapely.prepare(self._polygons)
        self._side = 1 << levels
        self._levels = levels
        self._place()

    def _place(self) -> None:
        if len(self._polygons):
            west, south, east, north = (float(edge) for edge in shapely.total_bounds(self._polygons))
        else:
            west = south = east = north = 0.0
        # a hair wider than the polygons, so that their outermost points fall inside the last cell
        width, height = max(east - west, 1e-9) * 1.000001, max(north - south, 1e-9) * 1.000001
        self._west, self._south = west, south
        self._per_lon, self._per_lat = self._side / width, self._side / height
        self._cell_width, self._cell_height = width / self._side, height / self._side

    def _classified(self) -> tuple[NDArray[np.int64], Indexes, NDArray[np.bool_]]:
        """Return (cell, polygon, wholly inside?) of every cell a polygon touches, by cell and polygon."""
        cells: list[NDArray[np.int64]] = []
        owners: list[NDArray[np.int32]] = []
        sure: list[NDArray[np.bool_]] = []
        for number in range(len(self._polygons)):
            for found, covered in self._cover(number):
                cells.append(found)
                owners.append(np.full(len(found), number, dtype=np.int32))
                sure.append(np.full(len(found), covered))
        if not cells:
            return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.bool_)
        cell, owner, certain = np.concatenate(cells), np.concatenate(owners), np.concatenate(sure)
        order = np.lexsort((owner, cell))
        return cell[order], owner[order], certain[order]

    def _cover(self, number: int) -> list[tuple[NDArray[np.int64], bool]]:
        """Return (cells, wholly inside?) groups of one polygon by splitting undecided squares in four."""
        polygon = self._polygons[number]
        shift = self._levels
        columns, rows = np.zeros(1, np.int64), np.zeros(1, np.int64)
        groups: list[tuple[NDArray[np.int64], bool]] = []
        while True:
            boxes = self._boxes(columns, rows, shift)
            inside = shapely.contains_properly(polygon, boxes)
            touching = ~inside
            touching[touching] = shapely.intersects(polygon, boxes[touching])
            groups.append((self._expand(columns[inside], rows[inside], shift), True))
            columns, rows = columns[touching], rows[touching]
            if shift == 0:
                groups.append((rows * self._side + columns, False))
                return [(found, covered) for found, covered in groups if len(found)]
            shift -= 1
            columns = (columns[:, None] * 2 + np.array([0, 1, 0, 1])).ravel()
            rows = (rows[:, None] * 2 + np.array([0, 0, 1, 1])).ravel()

    def _boxes(self, columns: NDArray[np.int64], rows: NDArray[np.int64], shift: int) -> NDArray[np.object_]:
        # a margin of a millionth of a cell: rounding in `_cell` can never put a point outside its box
        margin_x, margin_y = self._cell_width * 1e-6, self._cell_height * 1e-6
        west = self._west + (columns << shift) * self._cell_width
        south = self._south + (rows << shift) * self._cell_height
        size = 1 << shift
        boxes: NDArray[np.object_] = shapely.box(
            west - margin_x,
            south - margin_y,
            west + size * self._cell_width + margin_x,
            south + size * self._cell_height + margin_y,
        )
        return boxes

    def _expand(self, columns: NDArray[np.int64], rows: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
        """Return the cells of squares of 2^shift cells a side."""
        steps = np.arange(1 << shift)
        within = (steps[:, None] * self._side + steps[None, :]).ravel()
        corner = (rows << shift) * self._side + (columns << shift)
        cells: NDArray[np.int64] = (corner[:, None] + within[None, :]).ravel()
        return cells

    def _cell_of(self, lon: Coordinates, lat: Coordinates) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which points lie on the grid, and the cells of those. NaN lies nowhere."""
        with np.errstate(all="ignore"):
            x, y = (lon - self._west) * self._per_lon, (lat - self._south) * self._per_lat
            known = (x >= 0) & (x < self._side) & (y >= 0) & (y < self._side)
        return known, y[known].astype(np.int64) * self._side + x[known].astype(np.int64)


class Grid(_Cells):
    """Immutable index of polygons. Numbers in answers are positions in the sequence given."""

    def __init__(self, polygons: Sequence[shapely.Geometry], *, levels: int | None = None) -> None:
        """Build the grid.

        Args:
            polygons: valid polygons or multipolygons, WGS 84 degrees.
            levels: the grid has 2^levels cells per side; None chooses by the number of polygons.
        """
        super().__init__(polygons, levels)
        self._cells: Indexes = np.full(self._side * self._side, _NOWHERE, dtype=np.int32)
        self._starts, self._candidates, self._certain = self._build()
        self._flat = self._cells.data
        self._lists = self._candidate_lists()

    @property
    def polygons(self) -> Sequence[shapely.Geometry]:
        """The polygons, as given."""
        polygons: list[shapely.Geometry] = self._polygons.tolist()
        return polygons

    def _build(self) -> tuple[Indexes, Indexes, NDArray[np.bool_]]:
        """Let each cell answer that can; return the boundary cells' candidates (CSR)."""
        cell, owner, certain = self._classified()
        unique, first, count = np.unique(cell, return_index=True, return_counts=True)
        # the first candidate already covers the whole cell: nothing later can be reached
        direct = certain[first]
        self._cells[unique[direct]] = owner[first[direct]]
        boundary = unique[~direct]
        self._cells[boundary] = _FIRST_BOUNDARY - np.arange(len(boundary), dtype=np.int32)
        keep = np.repeat(~direct, count)
        starts = np.concatenate(([0], np.cumsum(count[~direct]))).astype(np.int32)
        return starts, owner[keep], certain[keep]

    def _candidate_lists(self) -> list[tuple[tuple[int, bool], ...]]:
        pairs = list(zip(self._candidates.tolist(), self._certain.tolist(), strict=True))
        starts = self._starts.tolist()
        return [tuple(pairs[a:b]) for a, b in itertools.pairwise(starts)]

    # answering --------------------------------------------------------------------------------------------

    def locate(self, lon: Coordinates, lat: Coordinates) -> Indexes:
        """Return for each point the number of its polygon, −1 for none. NaN positions are nowhere.

        Args:
            lon: degrees east, shape (n,).
            lat: degrees north, shape (n,).
        """
        known, cell = self._cell_of(lon, lat)
        found = np.full(len(lon), _NOWHERE, dtype=np.int32)
        found[known] = self._cells[cell]
        undecided = np.nonzero(found <= _FIRST_BOUNDARY)[0]
        if len(undecided):
            found[undecided] = self._refine(
                _FIRST_BOUNDARY - found[undecided], lon[undecided], lat[undecided]
            )
        return found

    def _refine(self, boundary: Indexes, lon: Coordinates, lat: Coordinates) -> Indexes:
        answer = np.full(len(boundary), _NOWHERE, dtype=np.int32)
        at, end = self._starts[boundary], self._starts[boundary + 1]
        open_points = np.arange(len(boundary))
        while len(open_points):
            owner = self._candidates[at[open_points]]
            hit = self._certain[at[open_points]]
            ask = ~hit
            points = open_points[ask]
            hit[ask] = shapely.intersects_xy(self._polygons[owner[ask]], lon[points], lat[points])
            answer[open_points[hit]] = owner[hit]
            open_points = open_points[~hit]
            at[open_points] += 1
            open_points = open_points[at[open_points] < end[open_points]]
        return answer

    def locate_one(self, lon: float, lat: float) -> int:
        """Return the number of the polygon of one point, −1 for none; the same answer as `locate`."""
        x, y = (lon - self._west) * self._per_lon, (lat - self._south) * self._per_lat
        if not (0 <= x < self._side and 0 <= y < self._side):
            return _NOWHERE
        value: int = self._flat[int(y) * self._side + int(x)]
        if value >= _NOWHERE:
            return value
        for owner, certain in self._lists[_FIRST_BOUNDARY - value]:
            if certain or shapely.intersects_xy(self._polygons[owner], lon, lat):
                return owner
        return _NOWHERE


class Cover(_Cells):
    """Immutable index of polygons that may overlap: all of them that cover a point."""

    def __init__(self, polygons: Sequence[shapely.Geometry]) -> None:
        super().__init__(polygons, None)
        cell, self._owners, self._certain = self._classified()
        unique, count = np.unique(cell, return_counts=True)
        self._rows: Indexes = np.full(self._side * self._side, _NOWHERE, dtype=np.int32)
        self._rows[unique] = np.arange(len(unique), dtype=np.int32)
        self._starts = np.concatenate(([0], np.cumsum(count))).astype(np.int64)

    def pairs(self, lon: Coordinates, lat: Coordinates) -> tuple[NDArray[np.int64], Indexes]:
        """Return (point, polygon) numbers for every polygon that covers a point, in order of the points.

        Args:
            lon: degrees east, shape (n,), NaN where unknown.
            lat: degrees north, shape (n,).
        """
        known, cell = self._cell_of(lon, lat)
        row = self._rows[cell]
        points, row = known.nonzero()[0][row >= 0], row[row >= 0]
        starts = self._starts[row]
        count = self._starts[row + 1] - starts
        point = np.repeat(points, count)
        at = np.arange(len(point)) + np.repeat(starts - (np.cumsum(count) - count), count)
        owner, hit = self._owners[at], self._certain[at]
        ask = (~hit).nonzero()[0]
        asked = point[ask]
        hit[ask] = shapely.intersects_xy(self._polygons[owner[ask]], lon[asked], lat[asked])
        return point[hit], owner[hit]
