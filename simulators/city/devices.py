"""Cameras, detectors, gateways and the citizens' portal: where they stand and what they are called."""

import math
from collections.abc import Mapping, Sequence

import msgspec
from shapely import contains_xy, prepare
from shapely.geometry import LineString, Polygon
from shapely.geometry import Point as ShapelyPoint
from shapely.geometry.base import BaseGeometry

from simulators.city.network import Road
from simulators.city.partition import Ward
from simulators.city.places import Place, on_line
from simulators.city.plane import Point, distance_m, stream, to_plane

CAMERAS = 300
DETECTORS = 120
CAMERA_INTERVAL_S = 15.0
DETECTOR_INTERVAL_S = 10.0
_CAMERA_WEIGHT = {3: 14.0, 2: 9.0, 1: 6.0, 0: 3.0}
_DETECTOR_WEIGHT = {3: 7.0, 2: 4.0, 1: 2.0, 0: 0.7}
_BORDER_M = 150.0
"""Devices keep this far inside their ward, so that a rounded position never changes the ward."""
_COMPASS = ("Đông", "Đông Bắc", "Bắc", "Tây Bắc", "Tây", "Tây Nam", "Nam", "Đông Nam")


class Station(msgspec.Struct, frozen=True):
    """One device at a place on the metre plane."""

    id: str
    kind: str
    name: str
    ward: str
    point: Point
    expected_interval_s: float | None = None
    has_picture: bool = False
    covers: tuple[str, ...] = ()
    trusts_position: bool = False


class _Site(msgspec.Struct, frozen=True):
    point: Point
    bearing: float
    road: Road
    along_m: float


def place_devices(
    wards: Sequence[Ward],
    shapes: Mapping[str, Polygon],
    roads: Sequence[Road],
    places: Sequence[Place],
    landmarks: Mapping[str, Sequence[str]],
    water: BaseGeometry,
    seed: int,
) -> list[Station]:
    """Return all devices, ordered by kind and id; every one stands inside its ward.

    Places of public interest get the first cameras and underpasses the first detectors, so that rules
    over areas have something to see; the rest are spread over the main roads.
    """
    cameras = dict(zip([w.code for w in wards], _shares(wards, _CAMERA_WEIGHT, CAMERAS), strict=True))
    detectors = dict(zip([w.code for w in wards], _shares(wards, _DETECTOR_WEIGHT, DETECTORS), strict=True))
    found: list[Station] = []
    for ward in wards:
        room = shapes[ward.code].buffer(-_BORDER_M).difference(water)
        own = [place for place in places if place.ward == ward.code]
        sites = _sites(room, roads)
        rng = stream("devices", seed, ward.code)
        rng.shuffle(sites)
        marks = list(landmarks[ward.code])
        found += _ward_cameras(ward, own, sites, roads, marks, cameras[ward.code])
        found += _ward_detectors(ward, own, sites, roads, marks, detectors[ward.code])
        centre = _inside(room, to_plane(ward.center))
        found.append(
            Station(
                f"gw-{ward.code}",
                "gateway",
                f"Tủ kết nối camera {ward.name}",
                ward.code,
                centre,
                covers=(f"cam-{ward.code}-*",),
            )
        )
    hub = next(station for station in found if station.id == "gw-25760")
    found.append(
        Station(
            "gw-traffic", "gateway", "Trung tâm dữ liệu giao thông", hub.ward, hub.point, covers=("det-*",)
        )
    )
    found.append(
        Station(
            "portal-citizen",
            "portal",
            "Cổng phản ánh hiện trường",
            hub.ward,
            hub.point,
            trusts_position=True,
        )
    )
    order = ("camera", "detector", "gateway", "portal")
    return sorted(found, key=lambda station: (order.index(station.kind), station.id))


def _ward_cameras(
    ward: Ward,
    places: Sequence[Place],
    sites: Sequence[_Site],
    roads: Sequence[Road],
    marks: Sequence[str],
    count: int,
) -> list[Station]:
    names: list[tuple[str, Point]] = []
    for place in [place for place in places if place.kind != "industrial"][: max(1, count - 1)]:
        names.append((_place_name(place), place.centre))
    for site in _spread(sites, [point for _, point in names], count - len(names)):
        where = _site_name(site, roads, marks, len(names))
        names.append((f"{where}, hướng {_compass(site.bearing)}", site.point))
    code = ward.code
    return [
        Station(f"cam-{code}-{number:02d}", "camera", name, code, point, CAMERA_INTERVAL_S, has_picture=True)
        for number, (name, point) in enumerate(_unique(names), 1)
    ]


def _ward_detectors(
    ward: Ward,
    places: Sequence[Place],
    sites: Sequence[_Site],
    roads: Sequence[Road],
    marks: Sequence[str],
    count: int,
) -> list[Station]:
    names = [(f"{place.name} – vòng từ", place.centre) for place in places if place.kind == "underpass"]
    busy = [site for site in sites if site.road.rank != "secondary"] or list(sites)
    for site in _spread(busy, [point for _, point in names], count - len(names)):
        where = _site_name(site, roads, marks, len(names) + 1)
        names.append((f"Đếm xe {where}, hướng {_compass(site.bearing)}", site.point))
    return [
        Station(f"det-{ward.code}-{number:02d}", "detector", name, ward.code, point, DETECTOR_INTERVAL_S)
        for number, (name, point) in enumerate(_unique(names), 1)
    ]


def _sites(room: BaseGeometry, roads: Sequence[Road]) -> list[_Site]:
    sites: list[_Site] = []
    for road in roads:
        for line in getattr(road.line, "geoms", [road.line]):
            if not isinstance(line, LineString) or not line.intersects(room):
                continue
            prepare(room)
            for step in range(1, int(line.length / 140.0)):
                point, bearing = on_line(line, step * 140.0)
                if contains_xy(room, *point):
                    sites.append(_Site(point, bearing, road, step * 140.0))
    return sites


def _spread(sites: Sequence[_Site], taken: Sequence[Point], count: int) -> list[_Site]:
    """Return `count` sites, each as far as possible from those before it, important roads first."""
    weight = {"motorway": 1.3, "trunk": 1.5, "primary": 1.3}
    chosen: list[_Site] = []
    near = [min((distance_m(site.point, point) for point in taken), default=4000.0) for site in sites]
    for _ in range(min(count, len(sites))):
        best = max(range(len(sites)), key=lambda i: near[i] * weight.get(sites[i].road.rank, 1.0))
        chosen.append(sites[best])
        here = sites[best].point
        near = [min(old, distance_m(site.point, here)) for old, site in zip(near, sites, strict=True)]
    return chosen


def _site_name(site: _Site, roads: Sequence[Road], marks: Sequence[str], number: int) -> str:
    here = ShapelyPoint(site.point)
    crossing = [
        road
        for road in roads
        if road.code != site.road.code and "liên khu" not in road.name and road.line.distance(here) < 130.0
    ]
    own = _short(site.road)
    dash = ", " if " – " in own else " – "
    if crossing:
        return f"{own}{dash}giao {_short(min(crossing, key=lambda road: float(road.line.distance(here))))}"
    if number % 3 != 2 and number < 3 * len(marks):
        return f"{own}{dash}{marks[(number * 2 // 3) % len(marks)]}"
    return f"{own}{dash}Km {int(site.along_m // 1000)}+{int(site.along_m % 1000) // 100 * 100:03d}"


def _short(road: Road) -> str:
    """`QL13` for `QL13 – Đại lộ Bình Dương`; other names whole."""
    return road.name.split(" – ")[0] if road.name[:2] in ("QL", "ĐT") else road.name


def _place_name(place: Place) -> str:
    if place.kind == "market":
        return f"{place.name} – cổng chính"
    if place.kind == "school":
        return f"{place.name} – cổng trường"
    return f"{place.name} – toàn cảnh"


def _unique(names: Sequence[tuple[str, Point]]) -> list[tuple[str, Point]]:
    seen: dict[str, int] = {}
    out: list[tuple[str, Point]] = []
    for name, point in names:
        seen[name] = seen.get(name, 0) + 1
        out.append((name if seen[name] == 1 else f"{name} ({seen[name]})", point))
    return out


def _compass(bearing: float) -> str:
    return _COMPASS[round(bearing / (math.pi / 4)) % 8]


def _inside(room: BaseGeometry, point: Point) -> Point:
    if room.contains(ShapelyPoint(point)):
        return point
    inside = room.representative_point()
    return inside.x, inside.y


def _shares(wards: Sequence[Ward], weight: Mapping[int, float], total: int) -> list[int]:
    """Split `total` by weight so that the parts add up exactly (largest remainder)."""
    weights = [weight[ward.urban] for ward in wards]
    exact = [total * value / sum(weights) for value in weights]
    parts = [int(value) for value in exact]
    rest = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for index in rest[: total - sum(parts)]:
        parts[index] += 1
    return parts
