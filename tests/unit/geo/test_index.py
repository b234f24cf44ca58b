"""The geofence index gives shapely's answers, and a border point has exactly one owner."""

import json
import math
from datetime import date
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.geo.grid import Grid
from ioc.geo.index import AreaIndex
from ioc.model.places import Area
from ioc.model.texts import Text


def area(code: str, shape: shapely.Geometry | dict[str, Any], kind: str = "ward", **more: Any) -> Area:
    geometry = shape if isinstance(shape, dict) else shapely.geometry.mapping(shape)
    return Area(code=code, kind=kind, name=Text(code, code), geometry=geometry, **more)


def polygon(*ring: tuple[float, float]) -> shapely.Polygon:
    return shapely.Polygon(ring)


coordinate = st.integers(-40, 40).map(lambda n: n / 8)
point = st.tuples(coordinate, coordinate)


def hull(points: list[tuple[float, float]]) -> shapely.Geometry:
    return shapely.MultiPoint(points).convex_hull


hulls = st.lists(point, min_size=3, max_size=6, unique=True).map(hull)
shapes = st.builds(
    lambda a, b, how: {"one": a, "holed": a.difference(b), "both": a.symmetric_difference(b)}[how],
    hulls, hulls, st.sampled_from(["one", "holed", "both"]),
).filter(lambda shape: shape.geom_type in ("Polygon", "MultiPolygon") and not shape.is_empty)  # fmt: skip


@given(st.lists(shapes, min_size=0, max_size=6), st.lists(point, min_size=1, max_size=40), st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_the_grid_answers_as_shapely_does(
    polygons: list[shapely.Geometry], points: list[tuple[float, float]], levels: int
) -> None:
    lon, lat = (np.array(values, dtype=np.float64) for values in zip(*points, strict=True))
    expected = [
        next((n for n, shape in enumerate(polygons) if shapely.intersects_xy(shape, x, y)), -1)
        for x, y in points
    ]
    grid = Grid(polygons, levels=levels)
    assert grid.locate(lon, lat).tolist() == expected
    assert [grid.locate_one(x, y) for x, y in points] == expected


@st.composite
def partitions(draw: st.DrawFn) -> list[shapely.Polygon]:
    """Divide a square into triangles over drawn points: cells that share their borders exactly."""
    corners = [(-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0)]
    inner = draw(st.lists(point, max_size=8, unique=True))
    triangles = shapely.delaunay_triangles(shapely.MultiPoint([*corners, *inner]))
    return list(triangles.geoms)


@given(partitions(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_every_border_point_is_in_exactly_one_ward(cells: list[shapely.Polygon], random: Any) -> None:
    codes = [f"{number:03d}" for number in range(len(cells))]
    random.shuffle(codes)
    index = AreaIndex([area(code, cell) for code, cell in zip(codes, cells, strict=True)])
    borders = [
        shapely.line_interpolate_point(cell.exterior, share, normalized=True)
        for cell in cells
        for share in (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9)
    ]
    for border in borders:
        touching = sorted(
            code
            for code, cell in zip(codes, cells, strict=True)
            if shapely.intersects_xy(cell, border.x, border.y)
        )
        # between exactly shared borders there is no gap: every point inside the square has an owner
        if touching or shapely.box(-4.999, -4.999, 4.999, 4.999).contains(border):
            assert index.ward_of(border.x, border.y) == touching[0]


SQUARE = polygon((0, 0), (4, 0), (4, 4), (0, 4))
HOLED = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4)], [[(1, 1), (3, 1), (3, 3), (1, 3)]])


def test_holes_and_parts() -> None:
    two = shapely.MultiPolygon([HOLED, polygon((10, 0), (11, 0), (11, 1), (10, 1))])
    index = AreaIndex([area("a", two)])
    lon, lat = np.array([0.5, 2.0, 1.0, 10.5, 7.0]), np.array([0.5, 2.0, 2.0, 0.5, 0.5])
    assert index.contains(lon, lat, kind="ward").tolist() == [True, False, True, True, False]


def test_ties_go_to_the_first_code_whatever_the_order_given() -> None:
    left, right = polygon((0, 0), (1, 0), (1, 1), (0, 1)), polygon((1, 0), (2, 0), (2, 1), (1, 1))
    for areas in ([area("b", left), area("a", right)], [area("a", right), area("b", left)]):
        index = AreaIndex(areas)
        assert index.ward_of(1.0, 0.5) == "a"
        assert [a.code for a in index.members("ward")] == ["a", "b"]
        lon, lat = np.array([0.5, 1.0, 1.5, 9.0]), np.full(4, 0.5)
        assert index.locate(lon, lat).tolist() == [1, 0, 0, -1]


def test_unknown_and_absurd_positions_are_nowhere() -> None:
    index = AreaIndex([area("a", SQUARE)])
    lon = np.array([math.nan, 1.0, math.inf, -math.inf, 1e308, 1.0])
    lat = np.array([1.0, math.nan, 1.0, 1.0, 1.0, 1.0])
    assert index.locate(lon, lat).tolist() == [-1, -1, -1, -1, -1, 0]
    assert index.ward_of(math.nan, 1.0) is None
    fence = index.select("ward")
    assert (fence.contains_one(None, 1.0), fence.contains_one(1.0, None), fence.contains_one(1.0, 1.0)) == (
        False,
        False,
        True,
    )


def test_an_index_without_areas_is_empty() -> None:
    index = AreaIndex([])
    assert index.ward_of(1.0, 1.0) is None
    assert index.locate(np.array([1.0]), np.array([1.0])).tolist() == [-1]
    assert index.kinds == ()


def test_areas_are_chosen_by_kind_and_code() -> None:
    road = {"type": "LineString", "coordinates": [[0, 0], [4, 4]]}
    far = polygon((8, 8), (9, 8), (9, 9), (8, 9))
    index = AreaIndex([area("s1", SQUARE, "school"), area("s2", far, "school"), area("r", road, "road")])
    assert index.kinds == ("road", "school")
    assert [a.code for a in index.members(codes=["s2", "r"])] == ["r", "s2"]
    assert index.select(codes=["s2", "s1"]) is index.select(codes=["s1", "s2"])
    lon = lat = np.array([2.0, 8.5])
    assert index.contains(lon, lat, codes=["s2"]).tolist() == [False, True]
    assert index.contains(lon, lat, kind="school").tolist() == [True, True]
    assert index.contains(lon, lat, kind="road").tolist() == [False, False], "a line contains no point"
    assert index.select("school").codes == ("s1", "s2")
    assert index.locate(lon, lat, "school").tolist() == [0, 1]


def test_areas_are_in_force_from_their_first_to_before_their_last_day() -> None:
    old = area("old", SQUARE, valid_to="2025-07-01")
    new = area("new", SQUARE, valid_from="2025-07-01")
    assert AreaIndex.at([old, new], "2025-06-30").ward_of(1, 1) == "old"
    assert AreaIndex.at([old, new], date(2025, 7, 1)).ward_of(1, 1) == "new"


REFORMS = ("2020-03-01", "2025-07-01", "2027-01-01")


@st.composite
def dated_wards(draw: st.DrawFn) -> tuple[list[Area], list[shapely.Geometry]]:
    """Wards that are merged and split at some dates, and the cells whose borders they keep."""
    cells = draw(partitions())
    groups = [[cell] for cell in cells]
    areas: list[Area] = []
    since = "1900-01-01"
    for until in (*REFORMS, None):
        names = draw(st.permutations(range(len(groups))))
        for name, group in zip(names, groups, strict=True):
            code = f"{name:03d}"
            areas.append(area(code, shapely.union_all(group), valid_from=since, valid_to=until))
        if until is None:
            return areas, cells
        since = until
        groups = draw(st.one_of(merged(groups), st.just([[cell] for cell in cells])))
    raise AssertionError


def merged(groups: list[list[shapely.Geometry]]) -> st.SearchStrategy[list[list[shapely.Geometry]]]:
    """Throw wards together, two or three at a time."""
    return st.lists(st.integers(1, 3), min_size=len(groups), max_size=len(groups)).map(
        lambda sizes: [
            [cell for group in groups[start : start + size] for cell in group]
            for start, size in zip(np.cumsum([0, *sizes]).tolist(), sizes, strict=False)
            if start < len(groups)
        ]
    )


@given(dated_wards(), st.lists(point, max_size=10), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_a_point_is_on_every_day_in_exactly_the_ward_whose_boundary_of_that_day_holds_it(
    drawn: tuple[list[Area], list[shapely.Geometry]], points: list[tuple[float, float]], random: Any
) -> None:
    areas, cells = drawn
    random.shuffle(areas)
    borders = [
        shapely.line_interpolate_point(cell.exterior, share, normalized=True)
        for cell in cells
        for share in (0.0, 0.25, 1 / 3)
    ]
    points = [*points, *((border.x, border.y) for border in borders)]
    lon, lat = (np.array(values, dtype=np.float64) for values in zip(*points, strict=True))
    shapes = {id(each): shapely.from_geojson(json.dumps(each.geometry)) for each in areas}
    for day in ("1999-12-31", "2020-02-29", *REFORMS, "2026-12-31", "2100-01-01"):
        index = AreaIndex.at(areas, day)
        in_force = [a for a in areas if a.valid_from <= day and (a.valid_to is None or day < a.valid_to)]
        found = [index.members("ward")[n].code if n >= 0 else None for n in index.locate(lon, lat)]
        for (x, y), ward in zip(points, found, strict=True):
            holding = sorted(a.code for a in in_force if shapely.intersects_xy(shapes[id(a)], x, y))
            assert ward == (holding[0] if holding else None)
            assert index.ward_of(x, y) == ward
            # an exact point of the square is nowhere between two wards
            assert holding or (x, y) not in points[: len(points) - len(borders)]


def test_invalid_rings_are_repaired_with_a_warning() -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}
    flat = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [2, 0], [0, 0]]]}
    index = AreaIndex([area("bow", bow), area("flat", flat)])
    assert [warning.partition(":")[0] for warning in index.warnings] == ["ward bow", "ward flat"]
    assert "contains no point" in index.warnings[1]
    assert (index.ward_of(0.2, 1.0), index.ward_of(1.0, 0.9)) == ("bow", None)


@pytest.mark.parametrize("levels", [0, 3, 9])
def test_overlapping_fences_answer_for_any_of_them(levels: int) -> None:
    grid = Grid(
        [SQUARE, polygon((2, 2), (6, 2), (6, 6), (2, 6)), polygon((1, 1), (2, 1), (2, 2))], levels=levels
    )
    lon, lat = np.array([1.5, 3.0, 5.0, 5.0]), np.array([1.2, 3.0, 5.0, 1.0])
    assert grid.locate(lon, lat).tolist() == [0, 0, 1, -1]
    assert [grid.locate_one(x, y) for x, y in zip(lon, lat, strict=True)] == [0, 0, 1, -1]
