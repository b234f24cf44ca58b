"""The city in time: every event between two moments, from seed, scenarios and start alone.

Nothing here reads a clock or keeps state: each sample of each device draws from a generator seeded by
(seed, device, sample number). So a run cut into pieces gives the same events as a run in one piece.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from simulators.city.plane import stream
from simulators.days import Day, day_of
from simulators.faults import Event, afflict
from simulators.fleet import Fleet, Unit
from simulators.reports import flood_report, misplaced, ordinary_report, retold
from simulators.rhythm import crowding, motorbikes, rush
from simulators.scenario import Script
from simulators.steps import CITY, Happening, Kind
from simulators.times import SECOND_US, format_us, local_hour
from simulators.weather import rain_at, slowed, thinned

__all__ = ["City", "Event", "View", "World", "event_of"]

PORTAL: Final = "portal-citizen"
PERIODS_S: Final[Mapping[str, float]] = {
    "camera.count": 15.0,
    "camera.status": 30.0,
    "camera.object": 30.0,
    "camera.plate": 90.0,
    "traffic.flow": 10.0,
    "feedback.report": 240.0,
}
"""How often each device speaks; about 55 events a second for the demo fleet."""
_ALARM_EVERY_S: Final = {Kind.WRONG_WAY: 5.0, Kind.FIRE_SMOKE: 10.0, Kind.FLOOD: 30.0}
_REPORTING: Final = (Kind.FLOOD_REPORT, Kind.DUPLICATE_REPORTS, Kind.MISPLACED_REPORTS)
_QUEUE_VIEW_M: Final = 450.0
"""Cameras this near to a congested detector see its queue."""
_LABELS: Final = ("motorcycle", "motorcycle", "motorcycle", "car", "car", "truck", "bus", "person")
_CROWDED_NAMES: Final = ("Chợ", "Quảng trường", "Công viên")


class View(msgspec.Struct, frozen=True):
    """What one camera sees at one moment; enough to draw a picture."""

    camera: Unit
    time_us: int
    hour: float
    vehicles: int
    people: int
    stopped: int
    kinds: frozenset[Kind]
    silent: bool


class City(Protocol):
    """A city in time, as those who send its events know it."""

    @property
    def fleet(self) -> Fleet:
        """The devices."""
        ...

    @property
    def start_us(self) -> int:
        """When the events begin."""
        ...

    def events_between(self, t0_us: int, t1_us: int) -> list[Event]:
        """Return the events sent in [t0, t1), in order; times rise from call to call."""
        ...


class World:
    """The city under some scenarios.

    Args:
        fleet: the devices.
        scripts: bound scenarios; all run at once.
        seed: chooses the noise.
        start_us: when the scenarios begin.
        speed: how fast the day passes; event times and scenarios stay on real time.
    """

    def __init__(
        self, fleet: Fleet, scripts: Sequence[Script], *, seed: int, start_us: int, speed: float = 1.0
    ) -> None:
        self.fleet = fleet
        self.scripts = tuple(scripts)
        self.seed = seed
        self.start_us = start_us
        self.speed = speed
        self._character = {unit.id: _Character.of(unit, seed) for unit in fleet.units.values()}
        self._witnesses: dict[str, tuple[str, ...]] = {}
        self._phases: dict[tuple[str, int], int] = {}

    def events_between(self, t0_us: int, t1_us: int) -> list[Event]:
        """Return the events sent in [t0, t1), sorted by that time, then source, then id."""
        return [event for _, event in self.sent_between(t0_us, t1_us)]

    def sent_between(self, t0_us: int, t1_us: int) -> list[tuple[int, Event]]:
        """Return the events of [t0, t1) with when each is sent: its own time unless its clock is wrong."""
        happenings = [item for script in self.scripts for item in script.between(t0_us, t1_us)]
        on = self._by_device(happenings)
        rains = on.get(CITY, ())
        found: list[tuple[int, Event]] = []
        for camera in self.fleet.cameras:
            own = on.get(camera.id, ())
            found += afflict(self._camera(camera, own, rains, t0_us, t1_us), own, self.seed)
        for detector in self.fleet.detectors:
            own = on.get(detector.id, ())
            found += afflict(self._detector(detector, own, rains, t0_us, t1_us), own, self.seed)
        found += self._citizens(happenings, t0_us, t1_us)
        found.sort(key=lambda item: (item[0], str(item[1]["source"]), str(item[1]["id"])))
        return found

    def view(self, camera_id: str, at_us: int) -> View:
        """Return what a camera sees.

        Raises:
            KeyError: there is no such camera.
        """
        camera = self.fleet.units[camera_id]
        if camera.kind != "camera":
            raise KeyError(camera_id)
        on = self._by_device([item for script in self.scripts for item in script.between(at_us, at_us + 1)])
        acting = [item for item in on.get(camera_id, ()) if item.start_us <= at_us < item.end_us]
        period_us = round(PERIODS_S["camera.count"] * SECOND_US)
        rng = stream(
            self.seed, camera_id, "count", (at_us - self._phase_us(camera_id, period_us)) // period_us
        )
        rain = rain_at(on.get(CITY, ()), at_us)
        people, vehicles, stopped = self._scene(camera, acting, rain, at_us, rng)
        kinds = frozenset(item.step.kind for item in acting)
        if any(
            item.start_us <= at_us < item.end_us and item.step.kind is Kind.FLOOD_REPORT
            for item in on.get(camera.ward, ())
        ):
            kinds |= {Kind.FLOOD_REPORT}
        silent = Kind.CAMERA_SILENT in kinds
        return View(camera, at_us, self._hour(at_us), vehicles, people, stopped, kinds, silent)

    def fast_us(self, at_us: int) -> int:
        """Return the time of day that the city lives in at a moment."""
        return self.start_us + round((at_us - self.start_us) * self.speed)

    def _hour(self, at_us: int) -> float:
        return local_hour(self.fast_us(at_us))

    def _clock(self, at_us: int) -> tuple[float, Day]:
        fast_us = self.fast_us(at_us)
        return local_hour(fast_us), day_of(fast_us)

    def _phase_us(self, device: str, period_us: int) -> int:
        """Return a device's own offset within a period, in whole milliseconds."""
        if (device, period_us) not in self._phases:
            phase_us = stream(self.seed, device, "phase").randrange(period_us // 1000) * 1000
            self._phases[device, period_us] = phase_us
        return self._phases[device, period_us]

    def _by_device(self, happenings: Sequence[Happening]) -> dict[str, list[Happening]]:
        on: dict[str, list[Happening]] = {}
        for item in happenings:
            on.setdefault(item.target, []).append(item)
            if item.step.kind is Kind.CONGESTION:
                for witness in self._cameras_near(item.target):
                    on.setdefault(witness, []).append(item)
        return on

    def _cameras_near(self, detector: str) -> tuple[str, ...]:
        if detector not in self._witnesses:
            near = self.fleet.near(self.fleet.units[detector], "camera", _QUEUE_VIEW_M)
            self._witnesses[detector] = tuple(unit.id for unit in near)
        return self._witnesses[detector]

    def _samples(self, device: str, kind: str, t0_us: int, t1_us: int) -> Iterator[tuple[int, random.Random]]:
        """Yield the sample times of a device in [t0, t1), each with its own random generator."""
        for number, at_us in self._times(device, kind, t0_us, t1_us):
            yield at_us, stream(self.seed, device, kind.partition(".")[2], number)

    def _times(self, device: str, kind: str, t0_us: int, t1_us: int) -> Iterator[tuple[int, int]]:
        """Yield (number, time) of a device's samples in [t0, t1)."""
        period_us = round(PERIODS_S[kind] * SECOND_US)
        phase_us = self._phase_us(device, period_us)
        number = -((phase_us - t0_us) // period_us)
        while (at_us := phase_us + number * period_us) < t1_us:
            yield number, at_us
            number += 1

    def _camera(
        self, camera: Unit, on: Sequence[Happening], rains: Sequence[Happening], t0_us: int, t1_us: int
    ) -> Iterator[tuple[int, Event]]:
        for at_us, rng in self._samples(camera.id, "camera.count", t0_us, t1_us):
            acting = [item for item in on if item.start_us <= at_us < item.end_us]
            rain = rain_at(rains, at_us)
            people, vehicles, stopped = self._scene(camera, acting, rain, at_us, rng)
            bikes = round(vehicles * motorbikes(*self._clock(at_us)))
            data: dict[str, object] = {
                "people": people,
                "vehicles": vehicles,
                "stopped_vehicles": stopped,
                "counts": {"motorcycle": bikes, "car": vehicles - bikes},
            }
            yield at_us, event_of(camera.id, "camera.count", at_us, data)
        for _, at_us in self._times(camera.id, "camera.status", t0_us, t1_us):
            yield at_us, event_of(camera.id, "camera.status", at_us, {"online": True})
        for at_us, rng in self._samples(camera.id, "camera.object", t0_us, t1_us):
            yield at_us, event_of(camera.id, "camera.object", at_us, _object(rng))
        for at_us, rng in self._samples(camera.id, "camera.plate", t0_us, t1_us):
            if rng.random() < rush(*self._clock(at_us)):
                yield at_us, event_of(camera.id, "camera.plate", at_us, _plate(rng))
        for item in on:
            if item.step.kind in _ALARM_EVERY_S:
                yield from self._alarms(camera, item, t0_us, t1_us)
            elif item.step.kind is Kind.FALSE_ALARM and t0_us <= item.start_us < t1_us:
                step = item.step
                claimed: dict[str, object] = {"kind": step.alarm.value, "confidence": step.confidence}
                yield item.start_us, event_of(camera.id, "camera.alarm", item.start_us, claimed, "false")

    def _alarms(self, camera: Unit, item: Happening, t0_us: int, t1_us: int) -> Iterator[tuple[int, Event]]:
        every_us = round(_ALARM_EVERY_S[item.step.kind] * SECOND_US)
        # Only those of the time asked for: what lasts a day says the same thousands of times.
        first_us = item.start_us + max(0, -((item.start_us - t0_us) // every_us)) * every_us
        for at_us in (*range(first_us, min(item.end_us, t1_us), every_us), item.end_us):
            missed = at_us < item.end_us and self._misses(camera, item, at_us)
            if t0_us <= at_us < t1_us and not missed:
                data: dict[str, object] = {"kind": item.step.kind.value, "confidence": item.step.confidence}
                if at_us == item.end_us:
                    data["active"] = False
                yield at_us, event_of(camera.id, "camera.alarm", at_us, data, item.step.kind.value)

    def _misses(self, camera: Unit, item: Happening, at_us: int) -> bool:
        share = item.step.missed
        return share > 0 and stream(self.seed, camera.id, "missed", at_us).random() < share

    def _scene(
        self, camera: Unit, acting: Sequence[Happening], rain: float, at_us: int, rng: random.Random
    ) -> tuple[int, int, int]:
        """Return people, vehicles and stopped vehicles; without a scenario, nothing that any rule minds."""
        own, clock = self._character[camera.id], self._clock(at_us)
        about = thinned(own.people * crowding(*clock), rain, outdoors=0.6)
        people = min(45, round(about * rng.uniform(0.6, 1.4)))
        vehicles = min(24, round(thinned(own.vehicles * rush(*clock), rain) * rng.uniform(0.6, 1.4)))
        stopped = 0
        for item in acting:
            match item.step.kind:
                case Kind.CROWD:
                    people = round(item.step.people * rng.uniform(0.92, 1.08))
                case Kind.STOPPED_VEHICLE:
                    stopped, vehicles = item.step.vehicles, max(vehicles, item.step.vehicles + 2)
                case Kind.CONGESTION:
                    vehicles = 30 + rng.randrange(12)
        return people, vehicles, stopped

    def _detector(
        self, detector: Unit, on: Sequence[Happening], rains: Sequence[Happening], t0_us: int, t1_us: int
    ) -> Iterator[tuple[int, Event]]:
        own = self._character[detector.id]
        interval_s = PERIODS_S["traffic.flow"]
        for at_us, rng in self._samples(detector.id, "traffic.flow", t0_us, t1_us):
            rain = rain_at(rains, at_us)
            demand = rush(*self._clock(at_us)) * own.flow
            # Never under 21 km/h nor above 0.33 without a scenario: far from what the rules call congestion.
            speed = slowed(max(30.0, own.free_kmh * (1 - 0.33 * demand) + rng.gauss(0, 1.8)), rain)
            occupancy = min(0.30, max(0.01, 0.02 + 0.22 * demand + rng.gauss(0, 0.015))) + 0.03 * rain
            volume = max(0, round(interval_s / 3600 * 1900 * thinned(demand, rain) * rng.uniform(0.75, 1.25)))
            jam = _worst_jam(on, at_us)
            if jam is not None:
                speed = jam.step.speed_kmh * rng.uniform(0.85, 1.1)
                occupancy = min(0.95, jam.step.occupancy * rng.uniform(0.92, 1.12))
                volume = max(1, round(interval_s / 3600 * 800 * rng.uniform(0.8, 1.2)))
            yield (
                at_us,
                event_of(
                    detector.id,
                    "traffic.flow",
                    at_us,
                    {
                        "speed_kmh": round(speed, 1),
                        "occupancy": round(occupancy, 3),
                        "volume_veh": volume,
                        "interval_s": interval_s,
                    },
                ),
            )

    def _citizens(
        self, happenings: Sequence[Happening], t0_us: int, t1_us: int
    ) -> Iterator[tuple[int, Event]]:
        if PORTAL not in self.fleet.units or not self.fleet.cameras:
            return
        for at_us, rng in self._samples(PORTAL, "feedback.report", t0_us, t1_us):
            if rng.random() < 0.25 + crowding(*self._clock(at_us)):
                near = rng.choice(self.fleet.cameras)
                yield at_us, _reported(at_us, ordinary_report(rng), near, rng, "")
        for item in happenings:
            if item.step.kind in _REPORTING:
                yield from self._burst(item, t0_us, t1_us)

    def _burst(self, item: Happening, t0_us: int, t1_us: int) -> Iterator[tuple[int, Event]]:
        """Yield the reports of one step, evenly over its time."""
        gap_us = (item.end_us - item.start_us) // item.step.reports
        for number in range(item.step.reports):
            at_us = (item.start_us + number * gap_us) // 1000 * 1000
            if not t0_us <= at_us < t1_us:
                continue
            rng = stream(self.seed, item.target, "flood", at_us)
            near = rng.choice(self.fleet.of_ward(item.target, "camera"))
            match item.step.kind:
                case Kind.FLOOD_REPORT:
                    yield at_us, _reported(at_us, flood_report(rng), near, rng, f"{item.target}-{number}")
                case Kind.DUPLICATE_REPORTS:
                    first = ordinary_report(
                        stream(self.seed, item.target, "first", item.start_us), accented=True
                    )
                    told = retold(first, number)
                    yield at_us, _reported(at_us, told, near, rng, f"again-{item.target}-{number}")
                case _:
                    event = _reported(at_us, ordinary_report(rng), near, rng, f"lost-{item.target}-{number}")
                    yield at_us, event | misplaced(near.lon, near.lat, number)


class _Character(msgspec.Struct, frozen=True):
    """What is usual at one device."""

    people: float
    vehicles: float
    free_kmh: float
    flow: float

    @classmethod
    def of(cls, unit: Unit, seed: int) -> "_Character":
        rng = stream(seed, unit.id, "character")
        crowded = unit.name.startswith(_CROWDED_NAMES)
        return cls(
            people=rng.uniform(22, 36) if crowded else rng.uniform(3, 14),
            vehicles=rng.uniform(5, 17),
            free_kmh=rng.uniform(46, 62),
            flow=rng.uniform(0.55, 1.0),
        )


def _worst_jam(on: Sequence[Happening], at_us: int) -> Happening | None:
    jams = [i for i in on if i.step.kind is Kind.CONGESTION and i.start_us <= at_us < i.end_us]
    return min(jams, key=lambda item: item.step.speed_kmh, default=None)


def event_of(
    source: str, kind: str, at_us: int, data: dict[str, object], subject: str | None = None
) -> Event:
    """Return a CloudEvent whose id follows from type and time: the same event always has the same id."""
    event: Event = {
        "specversion": "1.0",
        "id": f"{kind.partition('.')[2]}{f'-{subject}' if subject else ''}-{at_us // 1000}",
        "source": source,
        "type": kind,
        "time": format_us(at_us),
        "data": data,
    }
    return event


def _reported(at_us: int, data: dict[str, object], near: Unit, rng: random.Random, subject: str) -> Event:
    event = event_of(PORTAL, "feedback.report", at_us, data, subject or None)
    # Devices stand 150 m inside their ward, so a report within 90 m of one lies in the same ward.
    event["lon"] = round(near.lon + rng.uniform(-0.0006, 0.0006), 6)
    event["lat"] = round(near.lat + rng.uniform(-0.0006, 0.0006), 6)
    return event


def _object(rng: random.Random) -> dict[str, object]:
    width, height = rng.uniform(0.04, 0.16), rng.uniform(0.06, 0.2)
    return {
        "label": rng.choice(_LABELS),
        "confidence": round(rng.uniform(0.55, 0.98), 3),
        "box": [
            round(rng.uniform(0, 1 - width), 4),
            round(rng.uniform(0.3, 1 - height), 4),
            round(width, 4),
            round(height, 4),
        ],
    }


def _plate(rng: random.Random) -> dict[str, object]:
    series = rng.choice("ABCDEFGHKLM")
    return {
        "plate": f"61{series}-{rng.randrange(1000):03d}.{rng.randrange(100):02d}",
        "confidence": round(rng.uniform(0.78, 0.995), 3),
        "vehicle": rng.choice(("car", "car", "truck", "motorcycle")),
        "speed_kmh": round(rng.uniform(22, 55), 1),
    }
