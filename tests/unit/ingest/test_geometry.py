"""One point for a thing that has a shape."""

from typing import Any

import pytest

from ioc.ingest.decoders.geometry import point_of

SQUARE = [[[0, 0], [2, 0], [2, 4], [0, 4], [0, 0]]]


@pytest.mark.parametrize(
    ("geometry", "point"),
    [
        ({"type": "Point", "coordinates": [106.7, 11.0, 5.0]}, (106.7, 11.0)),
        ({"type": "LineString", "coordinates": [[0, 0], [1, 1], [9, 9]]}, (1.0, 1.0)),
        ({"type": "Polygon", "coordinates": SQUARE}, (1.0, 2.0)),
        ({"type": "MultiPoint", "coordinates": [[3, 4], [5, 6]]}, (3.0, 4.0)),
        (
            {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1], [2, 2]], [[7, 7], [8, 8]]]},
            (1.0, 1.0),
        ),
        ({"type": "MultiPolygon", "coordinates": [SQUARE]}, (1.0, 2.0)),
        (
            {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]},
            (1.0, 2.0),
        ),
    ],
)
def test_a_shape_has_one_point(geometry: dict[str, Any], point: tuple[float, float]) -> None:
    assert point_of(geometry) == point


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        7,
        "x",
        {},
        {"type": "Point"},
        {"coordinates": []},
        {"coordinates": [1]},
        {"coordinates": ["1", "2"]},
        {"coordinates": [181, 0]},
        {"coordinates": [0, 91]},
        {"coordinates": [float("nan"), 0]},
        {"coordinates": [10**400, 0]},
        {"coordinates": [[[[[[1, 2]]]]]]},
        {"coordinates": [[]]},
        {"geometries": []},
        {"coordinates": [True, False]},
        {"type": 7, "coordinates": [[1, 2], [None]]},
    ],
)
def test_what_is_no_place_has_none(geometry: Any) -> None:
    assert point_of(geometry) is None
