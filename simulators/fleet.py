"""The devices the simulator speaks for, read from the same GeoJSON that the service imports."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from shapely import transform
from shapely.geometry import Point, shape

from simulators import SimulatorError
from simulators.city.plane import to_plane

_ON_ROAD_M = 60.0
"""A detector this near to a main road measures it."""


class FleetError(SimulatorError):
    """A devices or areas file cannot be read."""


class Unit(msgspec.Struct, frozen=True):
    """One device."""

    id: str
    kind: str
    name: str
    ward: str
    lon: float
    lat: float
    covers: tuple[str, ...] = ()


class Fleet:
    """All devices, by id and by what a scenario may call them."""

    def __init__(
        self,
        units: Iterable[Unit],
        inside: Mapping[str, tuple[str, ...]] | None = None,
        along: Iterable[Sequence[tuple[float, str]]] = (),
    ) -> None:
        """Keep `units`; `inside` names the devices of each area, `along` (metres, detector) of each road."""
        self.units = {unit.id: unit for unit in units}
        self.cameras = [unit for unit in self.units.values() if unit.kind == "camera"]
        self.detectors = [unit for unit in self.units.values() if unit.kind == "detector"]
        self.gateways = [unit for unit in self.units.values() if unit.kind == "gateway"]
        self.wards = tuple(sorted({unit.ward for unit in self.units.values()}))
        self._inside = dict(inside or {})
        self._upstream = dict(_chains(self.units, along))

    def sender_of(self, source: str) -> str:
        """Return the id of the gateway that speaks for `source`, else `source` itself."""
        for gateway in self.gateways:
            if any(_covers(pattern, source) for pattern in gateway.covers):
                return gateway.id
        return source

    def of_ward(self, ward: str, kind: str) -> list[Unit]:
        """Return a ward's devices of `kind` in the order of their ids."""
        return [unit for unit in self.units.values() if unit.ward == ward and unit.kind == kind]

    def of_area(self, code: str, kind: str) -> list[Unit]:
        """Return the devices of `kind` that stand inside area `code`."""
        found = (self.units[device] for device in self._inside.get(code, ()))
        return [unit for unit in found if unit.kind == kind]

    def areas_of(self, kind: str) -> list[str]:
        """Return the codes of one kind's areas, such as `flood` for flood-01 and on."""
        return sorted(code for code in self._inside if code.rpartition("-")[0] == kind)

    def upstream(self, detector: str) -> Sequence[tuple[Unit, float]]:
        """Return the detectors that traffic passes before this one, nearest first, with the metres between.

        Traffic runs the way a road's line is drawn, which is the heading that detectors are named with.
        """
        return self._upstream.get(detector, ())

    def near(self, unit: Unit, kind: str, radius_m: float) -> list[Unit]:
        """Return the devices of `kind` within `radius_m` of `unit`."""
        return [
            other for other in self.units.values() if other.kind == kind and gap_m(unit, other) <= radius_m
        ]


def load_fleet(devices: Path, areas: Path | None = None) -> Fleet:
    """Return the fleet of a devices file; with `areas`, places can be named by area code too.

    Raises:
        FleetError: a file is missing or not the GeoJSON that `ioc-sim city build` writes.
    """
    try:
        units = [_unit(feature) for feature in _features(devices)]
        places = _features(areas) if areas is not None else []
        inside, along = _inside(units, places), _along(units, places)
        if not any(unit.kind in ("camera", "detector") for unit in units):
            raise ValueError("no camera and no detector in it")
    except (OSError, KeyError, TypeError, ValueError, RecursionError, msgspec.MsgspecError) as problem:
        files = f"{devices}" if areas is None else f"{devices} or {areas}"
        raise FleetError(f"cannot use {files} ({problem}); run `ioc-sim city build`") from problem
    return Fleet(units, inside, along)


def _features(path: Path) -> list[dict[str, Any]]:
    found = msgspec.json.decode(path.read_bytes())["features"]
    if not isinstance(found, list):
        raise TypeError(f"{path}: features is not a list")
    return found


def _unit(feature: dict[str, Any]) -> Unit:
    properties, (lon, lat) = feature["properties"], feature["geometry"]["coordinates"]
    named = {name: properties[name] for name in ("id", "kind", "name", "ward")}
    return msgspec.convert({**named, "lon": lon, "lat": lat, "covers": properties.get("covers", ())}, Unit)


def _inside(units: list[Unit], features: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for feature in features:
        properties = feature["properties"]
        if properties["kind"] in ("ward", "road", "water"):
            continue
        polygon = shape(feature["geometry"])
        found[properties["code"]] = tuple(u.id for u in units if polygon.contains(Point(u.lon, u.lat)))
    return found


def _along(units: list[Unit], features: list[dict[str, Any]]) -> list[list[tuple[float, str]]]:
    """Return of each main road the detectors on it, with metres along its line."""
    roads = [
        transform(shape(feature["geometry"]), _to_metres)
        for feature in features
        if feature["properties"]["kind"] == "road" and feature["properties"]["class"] != "local"
    ]
    found: list[list[tuple[float, str]]] = [[] for _ in roads]
    for unit in units:
        if unit.kind == "detector" and roads:
            place = Point(to_plane((unit.lon, unit.lat)))
            nearest = min(range(len(roads)), key=lambda number: float(roads[number].distance(place)))
            if roads[nearest].distance(place) <= _ON_ROAD_M:
                found[nearest].append((float(roads[nearest].project(place)), unit.id))
    return found


def _to_metres(degrees: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    return np.array([to_plane(point) for point in degrees])


def _chains(
    units: Mapping[str, Unit], along: Iterable[Sequence[tuple[float, str]]]
) -> Iterator[tuple[str, tuple[tuple[Unit, float], ...]]]:
    for road in along:
        ordered = sorted(road)
        for index, (here_m, detector) in enumerate(ordered):
            yield detector, tuple((units[other], here_m - at_m) for at_m, other in reversed(ordered[:index]))


def _covers(pattern: str, source: str) -> bool:
    return source.startswith(pattern[:-1]) if pattern.endswith("*") else source == pattern


def gap_m(a: Unit, b: Unit) -> float:
    """Return the straight distance of two devices in metres."""
    dx = (a.lon - b.lon) * 111_320 * math.cos(math.radians(a.lat))
    return math.hypot(dx, (a.lat - b.lat) * 110_600)
