"""The truth about jams: where traffic stands, from all vehicles of the simulation and not from what detectors
say of them. Pure.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from simulators.steps import Happening, Kind, Step
from simulators.sumo.traffic import Zone
from simulators.times import SECOND_US
from simulators.truth import JAM_KMH, JAM_OCCUPANCY

SLOW_KMH: Final = 25.0
"""Where one lane is no faster than this, traffic may be on its way into a jam."""
BREAK_US: Final = 15 * SECOND_US
"""A jam that moves on for no longer than this is still the same."""
ON_US: Final = 600 * SECOND_US
"""What still stands in the end is taken to stand for as long as this."""


class State(msgspec.Struct, frozen=True):
    """How traffic stands at a place: slow at least, `jam` where nobody would doubt it."""

    jam: bool
    covered: float = 1.0
    speed_kmh: float = 0.0


STANDS: Final = State(jam=True)
"""The state before a camera that sees a broken-down vehicle."""


class _Span(msgspec.Struct):
    began_us: int
    last_us: int
    jam_from_us: int = 0
    jam_to_us: int = 0
    seconds: int = 0
    """Of jam; 0 where it has been slow only."""
    covered: float = 0.0
    speed_kmh: float = 0.0


class Watch:
    """Notes second by second what stands, and returns what came of it.

    A jam begins where traffic became slow on its way into it, since that is what caused the alarm of a rule
    that is quicker than we are sure.
    """

    def __init__(self, kind: Kind) -> None:
        """Note things of `kind`: congestion at detectors, stopped vehicles before cameras."""
        self._kind = kind
        self._open: dict[str, _Span] = {}
        self._over: list[tuple[str, _Span]] = []

    def note(self, device: str, at_us: int, state: State = STANDS) -> None:
        """It is so at `device` now. Times rise."""
        span = self._open.get(device)
        if span is not None and at_us - span.last_us > BREAK_US:
            self._over.append((device, span))
            span = None
        if span is None:
            span = self._open[device] = _Span(at_us - SECOND_US, at_us)
        span.last_us = at_us
        if state.jam:
            span.jam_from_us = span.jam_from_us if span.seconds else at_us - SECOND_US
            span.jam_to_us = at_us
            span.seconds += 1
            span.covered += state.covered
            span.speed_kmh += state.speed_kmh

    def happenings(self, start_us: int, now_us: int) -> list[Happening]:
        """Return what stood between the two moments, in order of time; `duration_s` is of the jam itself."""
        found = [
            self._happening(device, span, start_us, now_us)
            for device, span in (*self._over, *self._open.items())
            if span.seconds and span.jam_to_us > start_us
        ]
        return sorted(found, key=lambda item: (item.start_us, item.target))

    def _happening(self, device: str, span: _Span, start_us: int, now_us: int) -> Happening:
        began_us, end_us = max(start_us, span.began_us), span.jam_to_us
        if end_us >= now_us - BREAK_US:
            end_us += ON_US
        step = Step(
            at=(began_us - start_us) / SECOND_US,
            duration_s=(end_us - max(start_us, span.jam_from_us)) / SECOND_US,
            kind=self._kind,
            source=device,
            speed_kmh=span.speed_kmh / span.seconds,
            occupancy=min(1.0, span.covered / span.seconds),
        )
        return Happening(step, device, 0, began_us, end_us)


def state_of(zones: Sequence[Zone]) -> State | None:
    """Return how traffic stands over a carriageway's lanes, None where it moves."""
    vehicles = sum(zone.vehicles for zone in zones)
    if not vehicles:
        return None
    covered = sum(zone.covered for zone in zones) / len(zones)
    speed_kmh = sum(zone.speed_kmh * zone.vehicles for zone in zones) / vehicles
    if not any(zone.vehicles and zone.speed_kmh <= SLOW_KMH for zone in zones):
        return None
    jam = covered >= JAM_OCCUPANCY and speed_kmh <= JAM_KMH
    return State(jam, covered, speed_kmh)
