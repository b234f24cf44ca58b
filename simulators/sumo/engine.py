"""SUMO itself: in this process by libsumo, or as a process of its own by TraCI where libsumo is missing.

One simulation at a time: libsumo has room for no more.
"""

import contextlib
import importlib
import io
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from simulators.sumo import SumoError
from simulators.sumo.files import Files
from simulators.sumo.network import INSTALL, program
from simulators.sumo.traffic import ZONE_M, Instrument, Lane, Passage, Point, Seen, Trip, Zone

_LAT_M: Final = 110_600.0
_LON_M: Final = 111_320.0
_FOREVER_S: Final = 1e6
_CLEAR_M: Final = 15.0
"""A car that comes from nowhere finds no other this near before it."""
_LOOP_M: Final = 2.0
"""How long a loop in the road is; its own attribute in SUMO, where a loop is a line otherwise."""
_KINDS: Final[Mapping[str, str]] = {
    "motorcycle": "motorcycle",
    "moped": "motorcycle",
    "passenger": "car",
    "private": "car",
    "taxi": "car",
    "evehicle": "car",
    "hov": "car",
    "vip": "car",
    "bus": "bus",
    "coach": "bus",
    "truck": "truck",
    "trailer": "truck",
    "delivery": "truck",
    "bicycle": "bicycle",
}
_TYPES: Final[Mapping[str, str]] = {
    "motorcycle": 'vClass="motorcycle" length="2.1" minGap="1.0" maxSpeed="16.7"',
    "car": 'vClass="passenger" length="4.8" minGap="2.5"',
    "truck": 'vClass="truck" length="9.0" minGap="2.5" maxSpeed="22.2"',
    "bus": 'vClass="bus" length="11.5" minGap="2.5" maxSpeed="22.2"',
}


class Driver(StrEnum):
    """How SUMO is spoken to."""

    AUTO = "auto"
    LIBSUMO = "libsumo"
    TRACI = "traci"


class Sumo:
    """A `Traffic` by SUMO.

    Args:
        files: checked ones.
        folder: to write the instruments into.
        seed: SUMO's own.
        stuck_s: who has not moved for this long is moved on, so that a gridlock does not last for ever.
        driver: how to speak to it.

    Raises:
        SumoError: it is not installed, or does not like the files.
    """

    def __init__(
        self, files: Files, folder: Path, *, seed: int, stuck_s: float, driver: Driver = Driver.AUTO
    ) -> None:
        self._files = files
        self._folder = folder
        self._options = ["--seed", str(seed), "--time-to-teleport", f"{stuck_s:g}"]
        self._sumo, self._program = _loaded(driver)
        self._ways: dict[tuple[str, str, str], bool] = {}
        """Start, end and kind of vehicle: whether there is a way."""
        self._kinds: dict[str, tuple[str, float]] = {}
        self._told = {"departed": 0, "arrived": 0, "teleported": 0}
        self._own: set[str] = set()
        self._sought: dict[str, tuple[str, float]] = {}
        self._broken: dict[str, str] = {}
        """Of each breakdown, whom it befell."""
        self._open = False
        self._start()

    def lanes(self) -> Sequence[Lane]:
        """Return the lanes that cars or motorbikes may use."""
        with self._asking():
            lane = self._sumo.lane
            found = [name for name in lane.getIDList() if not name.startswith(":")]
            return [
                Lane(
                    name,
                    lane.getEdgeID(name),
                    int(name.rpartition("_")[2]),
                    lane.getLength(name),
                    tuple((x, y) for x, y, *_ in lane.getShape(name)),
                )
                for name in sorted(found)
                if _is_road(lane.getAllowed(name), lane.getDisallowed(name))
            ]

    def place(self, lon: float, lat: float) -> Point:
        """Return where degrees lie in the network's plane; infinitely far where its projection ends."""
        if self._files.origin is not None:
            lon0, lat0 = self._files.origin
            return (lon - lon0) * _LON_M * math.cos(math.radians(lat0)), (lat - lat0) * _LAT_M
        with self._asking():
            x, y = self._sumo.simulation.convertGeo(lon, lat, True)
            return x, y

    def loops(self) -> Sequence[Instrument]:
        """Return the induction loops of the additional file."""
        with self._asking():
            loop = self._sumo.inductionloop
            return [
                Instrument(name, loop.getLaneID(name), loop.getPosition(name))
                for name in sorted(loop.getIDList())
            ]

    def install(self, instruments: Sequence[Instrument]) -> None:
        """Start again with a loop and a zone for each instrument, and the city's kinds of vehicles."""
        self._own = {loop.id for loop in self.loops()}
        lines = [f'<vType id="ioc-{kind}" {values}/>' for kind, values in _TYPES.items()]
        for item in instruments:
            own = f'id={quoteattr(item.id)} lane={quoteattr(item.lane)} period="1000000" file="NUL"'
            if item.id not in self._own:
                lines.append(f'<inductionLoop {own} pos="{item.at_m:g}" length="{_LOOP_M}"/>')
            from_m = max(0.0, item.at_m - ZONE_M)
            lines.append(f'<laneAreaDetector {own} pos="{from_m:g}" endPos="{item.at_m:g}"/>')
        written = self._folder / "instruments.add.xml"
        written.write_text("<additional>\n" + "\n".join(lines) + "\n</additional>\n", "utf-8")
        self.close()
        self._start(written)

    def add(self, trip: Trip) -> bool:
        """Let a vehicle set out by the quickest way without traffic."""
        with self._asking():
            way = (trip.start, trip.end, trip.kind)
            route = "from {} to {} by {}".format(*way)
            if way not in self._ways:
                found = self._sumo.simulation.findRoute(trip.start, trip.end, f"ioc-{trip.kind}")
                self._ways[way] = bool(found.edges)
                if found.edges:
                    self._sumo.route.add(route, found.edges)
            if not self._ways[way]:
                return False
            depart = {"departLane": "best", "departPos": "random_free", "departSpeed": "max"}
            self._sumo.vehicle.add(trip.id, route, typeID=f"ioc-{trip.kind}", **depart)
            return True

    def stand(self, name: str, lane: str, at_m: float) -> None:
        """Let the next vehicle that can break down there; which one is decided step by step."""
        self._sought[name] = lane, at_m

    def stands(self, name: str) -> bool:
        """Return whether somebody stands there by now."""
        return name in self._broken and self._is_stopped(self._broken[name]) is True

    def clear(self, name: str) -> None:
        """End a breakdown."""
        lane, at_m = self._sought.pop(name)
        broken = self._broken.pop(name, None)
        stopped = None if broken is None else self._is_stopped(broken)
        if broken is None or stopped is None:
            return
        with self._asking():
            if broken == name:
                self._sumo.vehicle.remove(name)
            elif stopped:
                self._sumo.vehicle.resume(broken)
            else:
                self._stop(broken, lane, at_m, 0.0)

    def _is_stopped(self, vehicle: str) -> bool | None:
        """Return whether a vehicle has broken down by now; None if it is gone, by another's collision say."""
        try:
            return bool(self._sumo.vehicle.getStopState(vehicle) & 1)
        except self._sumo.TraCIException:
            return None

    def _break_down(self, name: str, lane: str, at_m: float) -> None:
        """Stop the nearest vehicle that can still brake, or put a car on a road where nobody is near."""
        vehicle = self._sumo.vehicle
        there = self._sumo.lane.getLastStepVehicleIDs(lane)
        near = sorted((at_m - vehicle.getLanePosition(one), one) for one in there)
        for away_m, one in near:
            if away_m >= _brake_m(vehicle.getSpeed(one)):
                # One that cannot after all: somebody does in a second.
                with contextlib.suppress(self._sumo.TraCIException):
                    self._stop(one, lane, at_m, _FOREVER_S)
                    self._broken[name] = one
                return
        if all(away_m < -_CLEAR_M for away_m, _ in near):
            edge, index = lane.rpartition("_")[::2]
            route = f"block on {edge}"
            if route not in self._sumo.route.getIDList():
                self._sumo.route.add(route, [edge])
            place = {"departLane": index, "departPos": f"{at_m - 1:g}", "departSpeed": "0"}
            vehicle.add(name, route, typeID="ioc-car", **place)
            self._stop(name, lane, at_m, _FOREVER_S)
            self._broken[name] = name

    def _stop(self, vehicle: str, lane: str, at_m: float, duration_s: float) -> None:
        edge, index = lane.rpartition("_")[::2]
        self._sumo.vehicle.setStop(vehicle, edge, pos=at_m, laneIndex=int(index), duration=duration_s)

    def step(self) -> int:
        """Simulate one second; return how many vehicles are under way."""
        with self._asking():
            for name, (lane, at_m) in self._sought.items():
                if name not in self._broken or self._is_stopped(self._broken[name]) is None:
                    self._break_down(name, lane, at_m)
            self._sumo.simulationStep()
            simulation = self._sumo.simulation
            self._told["departed"] += simulation.getDepartedNumber()
            self._told["arrived"] += simulation.getArrivedNumber()
            self._told["teleported"] += simulation.getStartingTeleportNumber()
            return int(self._sumo.vehicle.getIDCount())

    def passages(self, instrument: str) -> Sequence[Passage]:
        """Return who was over a loop in the last second."""
        with self._asking():
            loop_m = 0.0 if instrument in self._own else _LOOP_M
            told = self._sumo.inductionloop.getVehicleData(instrument)
            return [
                Passage(vehicle, length_m + loop_m, entered_s, left_s if left_s >= 0 else None)
                for vehicle, length_m, entered_s, left_s, _ in told
            ]

    def zone(self, instrument: str) -> Zone:
        """Return what is before a loop."""
        with self._asking():
            area = self._sumo.lanearea
            vehicles = area.getLastStepVehicleNumber(instrument)
            if not vehicles:
                return Zone(0.0, 0, 0.0)
            covered = min(1.0, area.getLastStepOccupancy(instrument) / 100)
            return Zone(covered, vehicles, max(0.0, area.getLastStepMeanSpeed(instrument)) * 3.6)

    def seen(self, lane: str) -> Sequence[Seen]:
        """Return who is on a lane."""
        with self._asking():
            return [self._vehicle(name) for name in self._sumo.lane.getLastStepVehicleIDs(lane)]

    def told(self) -> Mapping[str, int]:
        """Return the counters of the whole run."""
        return dict(self._told)

    def close(self) -> None:
        """End the simulation, whatever became of it."""
        if self._open:
            self._open = False
            with contextlib.suppress(Exception), contextlib.redirect_stdout(sys.stderr):
                self._sumo.close()

    def _vehicle(self, name: str) -> Seen:
        vehicle = self._sumo.vehicle
        kind, length_m = self._kind(vehicle.getTypeID(name))
        standing_s = vehicle.getWaitingTime(name)
        if vehicle.getStopState(name) & 1:
            # Who has a reason to stand does not wait, to SUMO.
            standing_s = self._sumo.simulation.getTime() - vehicle.getStops(name, 1)[0].arrival
        return Seen(name, kind, vehicle.getLanePosition(name), length_m, standing_s)

    def _kind(self, type_id: str) -> tuple[str, float]:
        if type_id not in self._kinds:
            types = self._sumo.vehicletype
            kind = _KINDS.get(types.getVehicleClass(type_id), "other")
            self._kinds[type_id] = kind, types.getLength(type_id)
        return self._kinds[type_id]

    def _start(self, *additional: Path) -> None:
        files = self._files
        more = [path for path in (files.additional, *additional) if path is not None]
        command = [self._program, "--net-file", str(files.net), *self._options, "--step-length", "1"]
        command += ["--route-files", str(files.routes)] if files.routes else []
        command += ["--additional-files", ",".join(map(str, more))] if more else []
        command += ["--no-step-log", "--no-warnings", "--duration-log.disable"]
        with contextlib.redirect_stdout(sys.stderr):
            try:
                self._sumo.start(command)
            except Exception as problem:
                self.close()
                said = " ".join(str(problem).split()) or type(problem).__name__
                raise SumoError(f"SUMO does not take {files.net}: {said}") from problem
        self._open = True

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (self._sumo.TraCIException, self._sumo.FatalTraCIError) as problem:
            raise SumoError(f"SUMO: {' '.join(str(problem).split())}") from problem


def _loaded(driver: Driver) -> tuple[Any, str]:
    """Return the module that speaks to SUMO, and the program that it starts."""
    # Both say on stdout what belongs nowhere, such as that they have not been built for our pyarrow, which
    # nothing here gives them; programs read our stdout.
    with contextlib.redirect_stdout(io.StringIO()):
        if driver is not Driver.TRACI:
            try:
                return importlib.import_module("libsumo"), "sumo"
            except ImportError as problem:
                if driver is Driver.LIBSUMO:
                    raise SumoError(f"libsumo is not installed ({problem}); {INSTALL}") from problem
        try:
            return importlib.import_module("traci"), program("sumo")
        except ImportError as problem:
            raise SumoError(f"SUMO is not installed ({problem}); {INSTALL}") from problem


def _is_road(allowed: Sequence[str], disallowed: Sequence[str]) -> bool:
    kinds = {"passenger", "motorcycle"}
    return bool(kinds & set(allowed)) if allowed else not kinds <= set(disallowed)


def _brake_m(speed_mps: float) -> float:
    """Return how far ahead a vehicle must know where it is to stop: softly, with a second to think."""
    return speed_mps**2 / 5 + speed_mps + 2.0
