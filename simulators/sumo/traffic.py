"""What the city asks of a traffic simulation: lanes, instruments, vehicles, one second after another.

Lengths are metres, speeds km/h. A position `at_m` on a lane counts from its beginning in driving direction.
Seconds count from the first one simulated.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

Point = tuple[float, float]
"""Metres in the network's own plane."""
ZONE_M = 60.0
"""How much of the road before a detector counts as the place where a jam stands."""


class Lane(msgspec.Struct, frozen=True):
    """One lane for motor vehicles."""

    id: str
    edge: str
    index: int
    """0 is the outermost."""
    length_m: float
    shape: tuple[Point, ...]


class Instrument(msgspec.Struct, frozen=True):
    """A loop at `at_m` of a lane, and the zone of `ZONE_M` before it."""

    id: str
    lane: str
    at_m: float


class Passage(msgspec.Struct, frozen=True):
    """One vehicle over a loop; `left_s` is None while it is still there."""

    vehicle: str
    length_m: float
    """How far it drives to be over it: its own length and the loop's."""
    entered_s: float
    left_s: float | None


class Zone(msgspec.Struct, frozen=True):
    """What stands or moves in a zone now."""

    covered: float
    """Share of its length under vehicles, 0 to 1."""
    vehicles: int
    speed_kmh: float
    """Mean of the vehicles; 0 without any."""


class Seen(msgspec.Struct, frozen=True):
    """One vehicle on a lane now; `at_m` is its front."""

    vehicle: str
    kind: str
    """`motorcycle`, `car`, `bus`, `truck`, `bicycle` or `other`."""
    at_m: float
    length_m: float
    standing_s: float
    """How long it has not moved."""


class Trip(msgspec.Struct, frozen=True):
    """A vehicle that wants to get from one edge to another."""

    id: str
    kind: str
    start: str
    end: str


class Traffic(Protocol):
    """A running simulation. Errors are `SumoError`."""

    def lanes(self) -> Sequence[Lane]:
        """Return every lane, in one order."""
        ...

    def place(self, lon: float, lat: float) -> Point:
        """Return where degrees lie in the network's plane."""
        ...

    def loops(self) -> Sequence[Instrument]:
        """Return the loops that came with the network."""
        ...

    def install(self, instruments: Sequence[Instrument]) -> None:
        """Put a zone at each of `instruments`, and a loop unless it is of `loops`. Before the first step."""
        ...

    def add(self, trip: Trip) -> bool:
        """Let a vehicle set out; False if no road leads there."""
        ...

    def stand(self, name: str, lane: str, at_m: float) -> None:
        """Let the next vehicle that can break down there, a car of its own where nobody comes.

        `name` is the breakdown's.
        """
        ...

    def stands(self, name: str) -> bool:
        """Return whether somebody stands there by now."""
        ...

    def clear(self, name: str) -> None:
        """End a breakdown: who stands drives on, or who was to stand does not."""
        ...

    def step(self) -> int:
        """Simulate one second; return how many vehicles are under way."""
        ...

    def passages(self, instrument: str) -> Sequence[Passage]:
        """Return who was over a loop in the last second."""
        ...

    def zone(self, instrument: str) -> Zone:
        """Return what is before a loop."""
        ...

    def seen(self, lane: str) -> Sequence[Seen]:
        """Return who is on a lane, from its beginning on."""
        ...

    def told(self) -> Mapping[str, int]:
        """Return counters of the whole run: `departed`, `arrived`, `teleported` (stuck and moved on)."""
        ...

    def close(self) -> None:
        """End it."""
        ...
