"""Area files: what is read, and that every finding names feature, code and field."""

# ruff: noqa: E501 - tables read better with one case a line

import json
from pathlib import Path
from typing import Any

import pytest

from ioc.geo.geojson import MAX_ERRORS, InvalidAreas, parse_areas
from ioc.geo.index import AreaIndex
from ioc.model.texts import Text

RING = [[106.6, 11.0], [106.7, 11.0], [106.7, 11.1], [106.6, 11.0]]


def feature(*, geometry: Any = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"code": "1", "name": "Một", **properties},
        "geometry": geometry or {"type": "Polygon", "coordinates": [RING]},
    }


def collection(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def polygon(*ring: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(ring)]}


def test_properties_become_the_area() -> None:
    content = b"\xef\xbb\xbf" + collection(
        feature(
            name_en="One",
            valid_from="2025-07-01",
            valid_to="2030-01-01",
            illustrative=True,
            km2=3.5,
            list=[1],
        ),
        feature(
            code=2, kind="school", geometry={"type": "LineString", "coordinates": [[1, 2, 3], [2, 3, 4]]}
        ),
        feature(code="1", valid_from="2030-01-01"),
    )
    first, second, third = parse_areas(content, kind="ward")
    assert (first.code, first.kind, first.name) == ("1", "ward", Text("Một", "One"))
    assert (first.valid_from, first.valid_to, first.illustrative) == ("2025-07-01", "2030-01-01", True)
    assert first.properties == {"km2": 3.5}
    assert first.geometry == {"type": "Polygon", "coordinates": [RING]}
    assert (second.code, second.kind, second.name, second.illustrative) == (
        "2",
        "school",
        Text("Một", "Một"),
        False,
    )
    assert (third.valid_from, third.valid_to) == ("2030-01-01", None)


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"type": "FeatureCollection",\n "features": [}', "file: json: not JSON at line 2, column 15: "),
        (b"\xff", "file: encoding: not UTF-8 at byte 0"),
        (nested(200_000), "file: json: nested too deeply"),
        (b"[]", "file: type: expected a FeatureCollection, found 'list'"),
        (b'{"type": "Feature"}', "file: type: expected a FeatureCollection, found 'Feature'"),
        (b'{"type": "FeatureCollection"}', "file: features: expected a list of at least one feature"),
        (collection(), "file: features: expected a list of at least one feature"),
        (collection(3), "feature 0: type: expected a Feature, found None"),
        (collection(feature(), feature(code="")), "feature 1: code: is missing or empty"),
        (collection(feature(code=None)), "feature 0: code: is missing or empty"),
        (collection(feature(), feature()), "feature 1 (code 1): code: '1' is already the code of feature 0 from 1900-01-01 on"),
        (collection(feature(name=" ")), "feature 0 (code 1): name: expected text, found ' '"),
        (collection(feature(name=None)), "feature 0 (code 1): name: is missing or empty"),
        (collection(feature(name=5)), "feature 0 (code 1): name: expected text, found 5"),
        (collection(feature(kind="")), "feature 0 (code 1): kind: is missing or empty"),
        (collection(feature(valid_from="1/7/2025")), "feature 0 (code 1): valid_from: expected a date such as 2025-07-01, found '1/7/2025'"),
        (collection(feature(valid_from=2025)), "feature 0 (code 1): valid_from: expected a date such as 2025-07-01, found 2025"),
        (collection(feature(valid_from="2025-07-01", valid_to="2025-07-01")), "feature 0 (code 1): valid_to: 2025-07-01 is not after valid_from 2025-07-01"),
        (collection({**feature(), "geometry": None}), "feature 0 (code 1): geometry: expected one of LineString, "),
        (collection(feature(geometry={"type": "Point", "coordinates": [1, 2]})), "feature 0 (code 1): geometry: expected one of LineString, MultiLineString, Polygon, MultiPolygon, found 'Point'"),
        (collection(feature(geometry={"type": "Polygon", "coordinates": []})), "feature 0 (code 1): coordinates: are empty"),
        (collection(feature(geometry={"type": "Polygon"})), "feature 0 (code 1): coordinates: a ring needs at least 4 positions"),
        (collection(feature(geometry={"type": "MultiPolygon", "coordinates": [[]]})), "feature 0 (code 1): coordinates[0]: a ring needs at least 4 positions"),
        (collection(feature(geometry={"type": "LineString", "coordinates": [[1, 2]]})), "feature 0 (code 1): coordinates: a line needs at least 2 positions"),
        (collection(feature(geometry={"type": "LineString"})), "feature 0 (code 1): coordinates: a line needs at least 2 positions"),
        (collection(feature(geometry=polygon([1, 1], [2, 1], [2, 2], [1, 1.5]))), "feature 0 (code 1): coordinates[0]: the ring is not closed: it begins at [1, 1] and ends at [1, 1.5]"),
        (collection(feature(geometry=polygon([11, 106], [11, 107], [12, 107], [11, 106]))), "feature 0 (code 1): coordinates[0]: position 0: [11, 106]: longitude and latitude are swapped"),
        (collection(feature(geometry=polygon([11, 10.6], [11, 10.7], [12, 10.7], [11, 10.6]))), "feature 0 (code 1): coordinates[0]: position 0: [11, 10.6]: longitude and latitude are swapped"),
        (collection(feature(geometry=polygon([601234, 1212345], [1, 1], [2, 2], [1, 1]))), "feature 0 (code 1): coordinates[0]: position 0: [601234, 1212345] is not on earth"),
        (collection(feature(geometry=polygon([1, 1], [2, "x"], [2, 2], [1, 1]))), "feature 0 (code 1): coordinates[0]: position 1: expected [longitude, latitude], found [2, 'x']"),
        (collection(feature(geometry=polygon([1, 1], [2], [2, 2], [1, 1]))), "feature 0 (code 1): coordinates[0]: position 1: expected [longitude, latitude], found [2]"),
        (collection(feature(geometry=polygon([1, 1], [True, 1], [2, 2], [1, 1]))), "feature 0 (code 1): coordinates[0]: position 1: expected"),
        (collection(feature(geometry=polygon([1, 1], [float("nan"), 1], [2, 2], [1, 1]))), "feature 0 (code 1): coordinates[0]: position 1: expected"),
    ],
)  # fmt: skip
def test_findings_name_feature_code_and_field(content: bytes, expected: str) -> None:
    with pytest.raises(InvalidAreas) as caught:
        parse_areas(content, kind="ward", bounds=(10.0, 10.9, 11.0, 12.0))
    assert any(str(error).startswith(expected) for error in caught.value.errors), str(caught.value)


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"name": "a\0"}, "name: holds U+0000"),
        ({"name_en": "\ud800"}, "name_en: holds U+0000"),
        ({"note": "a\0"}, "note: holds U+0000"),
        ({"a\0": 1}, "a\\x00: holds U+0000"),
        ({"length": float("inf")}, "length: expected a number, found inf"),
    ],
)
def test_what_cannot_be_kept_is_a_finding(properties: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidAreas) as caught:
        parse_areas(collection(feature(**properties)), kind="ward")
    assert [str(error).split(": ", 1)[1][: len(field)] for error in caught.value.errors] == [field]


def test_numbers_beyond_all_bounds_are_findings() -> None:
    huge = collection(feature(geometry=polygon([10**400, 1], [2, 2], [3, 3], [10**400, 1])))
    with pytest.raises(InvalidAreas, match="position 0: expected"):
        parse_areas(huge, kind="ward")
    with pytest.raises(InvalidAreas, match="file: json: Exceeds the limit"):
        parse_areas(b"9" * 5000)


def test_a_third_coordinate_is_a_number_too() -> None:
    with pytest.raises(InvalidAreas, match="position 1: expected"):
        parse_areas(collection(feature(geometry=polygon([1, 1], [2, 2, "x"], [3, 3], [1, 1]))), kind="ward")


def test_the_kind_must_come_from_somewhere() -> None:
    with pytest.raises(
        InvalidAreas, match="kind: is missing: give the property or the kind of the whole file"
    ):
        parse_areas(collection(feature()))


def test_findings_are_collected_and_the_message_stays_readable() -> None:
    features = [feature(code=f"{n}", name="") for n in range(MAX_ERRORS + 5)]
    with pytest.raises(InvalidAreas) as caught:
        parse_areas(collection(*features), kind="ward")
    assert len(caught.value.errors) == MAX_ERRORS + 5
    assert str(caught.value).endswith("… and 5 more")


def test_the_real_wards_are_imported_and_located(shared_data: Path) -> None:
    content = (shared_data / "wards-2025" / "wards.geojson").read_bytes()
    areas = parse_areas(content, kind="ward", bounds=(106.2, 10.7, 107.2, 11.6))
    assert len(areas) == 36
    assert {area.valid_from for area in areas} == {"2025-07-01"}
    by_code = {area.code: area for area in areas}
    assert by_code["25747"].name == Text("Phường Thủ Dầu Một", "Thu Dau Mot Ward")
    index = AreaIndex.at(areas, "2026-01-01")
    assert len(index.members("ward")) == 36
    assert index.ward_of(106.66, 10.98) == "25747"
    assert index.ward_of(105.85, 21.03) is None
    assert AreaIndex.at(areas, "2025-06-30").members("ward") == ()


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        (None, "feature 0 (code 1): valid_from: 2030-01-01 is before feature 1 ends: give that one `valid_to`, 2030-01-01 or before"),
        ("2030-01-02", "feature 0 (code 1): valid_from: 2030-01-01 is before feature 1 ends: give that one `valid_to`, 2030-01-01 or before"),
        ("2030-01-01", None),
        ("2029-06-01", None),
    ],
)  # fmt: skip
def test_boundaries_of_one_code_are_never_in_force_together(ends: str | None, found: str | None) -> None:
    old = {} if ends is None else {"valid_to": ends}
    content = collection(feature(valid_from="2030-01-01"), feature(**old), feature(kind="school"))
    if found is None:
        assert len(parse_areas(content, kind="ward")) == 3
        return
    with pytest.raises(InvalidAreas) as refused:
        parse_areas(content, kind="ward")
    assert str(refused.value) == found
