"""The written demo city: deterministic, whole, and everything where it says it is."""

import json
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from shapely import transform, unary_union
from shapely.geometry import Point, Polygon, shape

from simulators.city.build import City, areas_geojson, city, devices_geojson
from simulators.city.plane import to_plane
from tests.unit.simulators.conftest import DEMO

Feature = dict[str, Any]


@pytest.fixture(scope="module")
def areas() -> list[Feature]:
    found: list[Feature] = json.loads((DEMO / "areas.geojson").read_text("utf-8"))["features"]
    return found


@pytest.fixture(scope="module")
def devices() -> list[Feature]:
    found: list[Feature] = json.loads((DEMO / "devices.geojson").read_text("utf-8"))["features"]
    return found


def metres(feature: Feature) -> Any:
    return transform(shape(feature["geometry"]), lambda points: np.array([to_plane(p) for p in points]))


@pytest.fixture(scope="module")
def wards(areas: list[Feature]) -> dict[str, Polygon]:
    return {f["properties"]["code"]: metres(f) for f in areas if f["properties"]["kind"] == "ward"}


@pytest.fixture(scope="module")
def built() -> City:
    return city()


def test_a_build_gives_exactly_the_committed_files(built: City) -> None:
    assert areas_geojson(built) == (DEMO / "areas.geojson").read_bytes()
    assert devices_geojson(built) == (DEMO / "devices.geojson").read_bytes()


def test_both_files_stay_small_and_coordinates_short() -> None:
    texts = [(DEMO / name).read_bytes() for name in ("areas.geojson", "devices.geojson")]
    assert sum(map(len, texts)) < 3_000_000

    def longest(value: Any) -> int:
        if isinstance(value, list):
            return max(map(longest, value))
        return len(str(value).partition(".")[2])

    for text in texts:
        assert max(longest(f["geometry"]["coordinates"]) for f in json.loads(text)["features"]) <= 6


def test_every_area_is_marked_illustrative_and_dated(areas: list[Feature]) -> None:
    for feature in areas:
        properties = feature["properties"]
        assert properties["illustrative"] is True
        assert properties["valid_from"] == "2025-07-01"
        assert properties["name"] and properties["name_en"]
        assert ("class" in properties) == (properties["kind"] == "road")
    codes = [feature["properties"]["code"] for feature in areas]
    assert len(set(codes)) == len(codes)


def test_the_city_has_the_promised_places(areas: list[Feature]) -> None:
    kinds = Counter(feature["properties"]["kind"] for feature in areas)
    expected = {"underpass": 6, "school": 20, "market": 15, "flood_spot": 12, "square": 6, "industrial": 10}
    assert {kind: kinds[kind] for kind in expected} == expected
    assert kinds["ward"] == 36


def test_polygons_are_valid(areas: list[Feature]) -> None:
    for feature in areas:
        geometry = shape(feature["geometry"])
        assert geometry.is_valid, feature["properties"]["code"]
        assert not geometry.is_empty


def test_wards_neither_overlap_nor_leave_gaps(wards: dict[str, Polygon]) -> None:
    overlap_m2 = sum(a.intersection(b).area for a, b in combinations(wards.values(), 2))
    assert overlap_m2 < 1.0
    whole = unary_union(list(wards.values()), grid_size=0.1)
    assert isinstance(whole, Polygon)
    assert sum(Polygon(ring).area for ring in whole.interiors) < 1.0


def test_each_centre_lies_in_its_own_ward_and_areas_are_about_right(
    built: City, wards: dict[str, Polygon]
) -> None:
    for ward in built.wards:
        assert wards[ward.code].contains(Point(to_plane(ward.center)))
        assert wards[ward.code].area / 1e6 == pytest.approx(ward.area_km2, rel=0.6)


def test_every_device_stands_well_inside_its_ward(devices: list[Feature], wards: dict[str, Polygon]) -> None:
    for device in devices:
        properties = device["properties"]
        assert wards[properties["ward"]].buffer(-100).contains(metres(device)), properties["id"]


def test_the_fleet_is_complete_and_every_source_has_one_speaker(devices: list[Feature]) -> None:
    kinds = Counter(device["properties"]["kind"] for device in devices)
    assert kinds == {"camera": 300, "detector": 120, "gateway": 37, "portal": 1}
    covers = [(d["properties"]["id"], p) for d in devices for p in d["properties"].get("covers", ())]
    for device in devices:
        properties = device["properties"]
        if properties["kind"] in ("camera", "detector"):
            speakers = [name for name, pattern in covers if properties["id"].startswith(pattern[:-1])]
            assert len(speakers) == 1
            assert properties["expected_interval_s"] in (10.0, 15.0)
        if properties["kind"] == "camera":
            assert properties["picture_url"] == f"http://127.0.0.1:8090/snapshot/{properties['id']}.jpg"
    names = Counter((d["properties"]["ward"], d["properties"]["name"]) for d in devices)
    assert max(names.values()) == 1


def test_places_lie_in_their_ward_and_public_ones_are_watched(
    areas: list[Feature], devices: list[Feature], wards: dict[str, Polygon]
) -> None:
    cameras = [metres(d) for d in devices if d["properties"]["kind"] == "camera"]
    for feature in areas:
        properties = feature["properties"]
        if properties["kind"] in ("ward", "road", "water"):
            continue
        polygon = metres(feature)
        assert wards[properties["ward"]].contains(polygon)
        if properties["kind"] in ("underpass", "square", "flood_spot", "market"):
            assert any(polygon.contains(camera) for camera in cameras), properties["name"]
