"""Builds timelines for the engine's tests: seconds from a fixed start, one tick per second."""

from collections.abc import Iterable, Sequence

from ioc.geo.index import AreaIndex
from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraCount,
    Event,
    EventData,
    FeedbackReport,
    TrafficFlow,
)
from ioc.model.incidents import Cleared, Effect, Raised, Updated
from ioc.model.places import Area
from ioc.model.records import Tick
from ioc.model.texts import Text
from ioc.rules import PartitionEngine, Program, load

START_US = 1_700_000_000_000_000
Item = Event | Tick

HEAD = """
rule: it
title: {vi: Thử, en: Test}
severity: medium
"""


def rule(body: str, *, head: str = HEAD, index: AreaIndex | None = None) -> Program:
    """Return the program of one rule: `head` plus the lines of `body`."""
    return load({"it.yaml": head + body}, index)


def zone(code: str, west: float, south: float, size: float = 0.001) -> Area:
    """Return a square area of kind `zone`, about 111 m wide."""
    east, north = west + size, south + size
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    name = Text(f"vùng {code}", f"zone {code}")
    return Area(code=code, kind="zone", name=name, geometry={"type": "Polygon", "coordinates": [ring]})


def us(seconds: float) -> int:
    return START_US + round(seconds * 1e6)


def event(
    at: float, data: EventData, *, source: str = "s", arrives: float | None = None, **more: object
) -> Event:
    received = us(at if arrives is None else arrives)
    number = f"{source}@{at:g}"
    return Event(id=number, source=source, time_us=us(at), received_us=received, data=data, **more)  # type: ignore[arg-type]


def flow(at: float, speed: float | None, occupancy: float = 0.5, **more: object) -> Event:
    return event(at, TrafficFlow(speed_kmh=speed, occupancy=occupancy), **more)  # type: ignore[arg-type]


def alarm(
    at: float, kind: str = "wrong_way", confidence: float = 0.9, active: bool = True, **more: object
) -> Event:
    return event(at, CameraAlarm(kind=AlarmKind(kind), confidence=confidence, active=active), **more)  # type: ignore[arg-type]


def count(at: float, people: int = 0, stopped: int = 0, **more: object) -> Event:
    return event(at, CameraCount(people=people, stopped_vehicles=stopped), **more)  # type: ignore[arg-type]


def report(at: float, category: str = "flood", **more: object) -> Event:
    return event(at, FeedbackReport(category=category, text="…"), **more)  # type: ignore[arg-type]


def with_ticks(events: Iterable[Event], until: float, since: float = 0) -> list[Item]:
    """Return events in order of arrival with a tick at every whole second from `since` to `until`."""
    ticks = [(us(second), 0, Tick(us(second))) for second in range(int(since), int(until) + 1)]
    arrivals = [(item.received_us, 1 + number, item) for number, item in enumerate(events)]
    return [item for _, _, item in sorted([*ticks, *arrivals], key=lambda row: row[:2])]


def play(engine: PartitionEngine, items: Sequence[Item], *, size: int = 7) -> list[Effect]:
    """Feed `items` in batches of `size`."""
    effects: list[Effect] = []
    for first in range(0, len(items), size):
        effects += engine.on_batch(list(enumerate(items[first : first + size], first)))
    return effects


def told(effects: Iterable[Effect]) -> list[str]:
    """Return effects as short lines: `12.5 raised`, `30 updated high`, `42 cleared`."""
    lines = []
    for effect in effects:
        at = f"{(effect.at_us - START_US) / 1e6:g}"
        if isinstance(effect, Raised):
            lines.append(f"{at} raised")
        elif isinstance(effect, Updated):
            lines.append(f"{at} updated {effect.severity} x{effect.count}")
        else:
            assert isinstance(effect, Cleared)
            lines.append(f"{at} cleared")
    return lines


def timeline(program: Program, events: Iterable[Event], until: float) -> list[str]:
    """Return what `program` says about `events` with ticks up to `until`."""
    engine = PartitionEngine(program, partition=0)
    lines = told(play(engine, with_ticks(events, until)))
    assert not engine.failures
    return lines
