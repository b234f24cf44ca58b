"""Builds the whole demo city from the hand-made lists and writes it as two GeoJSON files."""

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from shapely import unary_union
from shapely.geometry import LineString, Polygon, mapping
from shapely.geometry.base import BaseGeometry

from simulators.city.devices import Station, place_devices
from simulators.city.network import Road, Water, local_streets, main_roads, rivers_and_lakes
from simulators.city.partition import Ward, ward_polygons
from simulators.city.places import NamedPlace, Place, lay_out
from simulators.city.plane import Point, jitter, smooth, to_lonlat, to_plane

DEFAULT_SEED = 2025
DEFAULT_PICTURES = "http://127.0.0.1:8090"
VALID_FROM = "2025-07-01"

Feature = dict[str, Any]


class City(msgspec.Struct, frozen=True):
    """The built city on the metre plane."""

    wards: tuple[Ward, ...]
    shapes: dict[str, Polygon]
    water: tuple[Water, ...]
    roads: tuple[Road, ...]
    streets: tuple[Road, ...]
    places: tuple[Place, ...]
    devices: tuple[Station, ...]


def load_wards() -> tuple[Ward, ...]:
    """Return the city's wards."""
    return tuple(msgspec.json.decode(_resource("wards.json"), type=list[Ward]))


def city(seed: int = DEFAULT_SEED) -> City:
    """Return the demo city; the same seed gives the same city on every machine.

    Raises:
        ValueError: this seed's edges cross or leave a place no room; another seed will do.
    """
    wards = load_wards()
    drawn = json.loads(_resource("lines.json"))
    shapes = ward_polygons(wards, _outline(drawn["outline"], seed), seed)
    whole = unary_union(list(shapes.values()), grid_size=0.1)
    rim = LineString(max(getattr(whole, "geoms", [whole]), key=lambda part: float(part.area)).exterior.coords)
    water = rivers_and_lakes(drawn, rim, seed)
    wet = unary_union([item.shape for item in water])
    roads = main_roads(drawn, wards, whole.buffer(-60.0), seed)
    named = msgspec.json.decode(_resource("places.json"), type=list[NamedPlace])
    by_code = {ward.code: ward for ward in wards}
    places = lay_out(named, by_code, shapes, roads, wet, seed)
    blocked = unary_union([wet, *(p.shape for p in places if p.kind == "industrial")])
    streets: list[Road] = []
    for ward in wards:
        streets += local_streets(ward, shapes[ward.code], roads, blocked, seed)
    landmarks = msgspec.json.decode(_resource("landmarks.json"), type=dict[str, list[str]])
    devices = place_devices(wards, shapes, roads, places, landmarks, wet, seed)
    return City(wards, shapes, tuple(water), tuple(roads), tuple(streets), tuple(places), tuple(devices))


def areas_geojson(built: City) -> bytes:
    """Return `areas.geojson`: wards, water, roads and places, one feature a line."""
    features: list[Feature] = []
    for ward in built.wards:
        former = {"former": "; ".join(ward.former)}
        features.append(_area(ward.code, "ward", ward.name, ward.name_en, built.shapes[ward.code], former))
    for water in built.water:
        features.append(_area(water.code, "water", water.name, water.name_en, water.shape))
    for road in (*built.roads, *built.streets):
        simple = road.line.simplify(6.0) if road.rank != "local" else road.line
        features.append(_area(road.code, "road", road.name, road.name_en, simple, {"class": road.rank}))
    for place in built.places:
        features.append(
            _area(place.code, place.kind, place.name, place.name_en, place.shape, {"ward": place.ward})
        )
    return _collection(features)


def devices_geojson(built: City, pictures: str = DEFAULT_PICTURES) -> bytes:
    """Return `devices.geojson`; `pictures` is the base address of the snapshot server."""
    return _collection(_device(station, pictures) for station in built.devices)


def write(folder: Path, *, seed: int = DEFAULT_SEED, pictures: str = DEFAULT_PICTURES) -> tuple[Path, Path]:
    """Write both files into `folder` and return their paths."""
    built = city(seed)
    folder.mkdir(parents=True, exist_ok=True)
    areas, devices = folder / "areas.geojson", folder / "devices.geojson"
    areas.write_bytes(areas_geojson(built))
    devices.write_bytes(devices_geojson(built, pictures))
    return areas, devices


def _outline(points: Sequence[Sequence[float]], seed: int) -> list[Point]:
    """Return the hand-drawn outline with its corners rounded, as rivers and old borders are."""
    ring = [to_plane(point) for point in points]
    return smooth(jitter([*ring, ring[0]], share=0.24, min_m=1300.0, seed=("outline", seed)), 600.0)[:-1]


def _area(
    code: str, kind: str, name: str, name_en: str, shape: BaseGeometry, more: dict[str, str] | None = None
) -> Feature:
    properties: dict[str, Any] = {
        "code": code,
        "kind": kind,
        "name": name,
        "name_en": name_en,
        **(more or {}),
    }
    properties |= {**(more or {}), "valid_from": VALID_FROM, "illustrative": True}
    geometry = mapping(shape)
    placed = {"type": geometry["type"], "coordinates": _degrees(geometry["coordinates"])}
    return {"type": "Feature", "properties": properties, "geometry": placed}


def _device(station: Station, pictures: str) -> Feature:
    properties: dict[str, Any] = {"id": station.id, "kind": station.kind, "name": station.name}
    properties["ward"] = station.ward
    if station.expected_interval_s is not None:
        properties["expected_interval_s"] = station.expected_interval_s
    if station.has_picture:
        properties["picture_url"] = f"{pictures.rstrip('/')}/snapshot/{station.id}.jpg"
    if station.covers:
        properties["covers"] = list(station.covers)
    if station.trusts_position:
        properties["trusts_position"] = True
    point = {"type": "Point", "coordinates": list(to_lonlat(station.point))}
    return {"type": "Feature", "properties": properties, "geometry": point}


def _degrees(coordinates: Any) -> Any:
    if isinstance(coordinates[0], float | int):
        return list(to_lonlat(coordinates))
    return [_degrees(part) for part in coordinates]


def _collection(features: Iterable[Feature]) -> bytes:
    lines: Sequence[str] = [
        json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features
    ]
    return ('{"type":"FeatureCollection","features":[\n' + ",\n".join(lines) + "\n]}\n").encode()


def _resource(name: str) -> bytes:
    return resources.files("simulators.city").joinpath(name).read_bytes()
