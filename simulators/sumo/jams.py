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

BREAK_US: Final = 15 * SECOND_US
"""A jam that moves on for no longer than this is still the same."""
ON_US: Final = 600 * SECOND_US
"""What still stands in the end is taken to stand for as long as this."""


class _Span(msgspec.Struct):
    began_us: int
    last_us: int
    seconds: int = 0
    covered: float = 0.0
    speed_kmh: float = 0.0


class Watch:
    """Notes second by second what stands, and returns what came of it."""

    def __init__(self, kind: Kind) -> None:
        """Note things of `kind`: congestion at detectors, stopped vehicles before cameras."""
        self._kind = kind
        self._open: dict[str, _Span] = {}
        self._over: list[tuple[str, _Span]] = []

    def note(self, device: str, at_us: int, covered: float = 1.0, speed_kmh: float = 0.0) -> None:
        """It stands at `device` now. Times rise."""
        span = self._open.get(device)
        if span is not None and at_us - span.last_us > BREAK_US:
            self._over.append((device, span))
            span = None
        if span is None:
            span = self._open[device] = _Span(at_us - SECOND_US, at_us)
        span.last_us = at_us
        span.seconds += 1
        span.covered += covered
        span.speed_kmh += speed_kmh

    def happenings(self, start_us: int, now_us: int) -> list[Happening]:
        """Return what stood between the two moments, in order of time."""
        found = [
            self._happening(device, span, start_us, now_us)
            for device, span in (*self._over, *self._open.items())
            if span.last_us > start_us
        ]
        return sorted(found, key=lambda item: (item.start_us, item.target))

    def _happening(self, device: str, span: _Span, start_us: int, now_us: int) -> Happening:
        began_us, end_us = max(start_us, span.began_us), span.last_us
        if end_us >= now_us - BREAK_US:
            end_us += ON_US
        step = Step(
            at=(began_us - start_us) / SECOND_US,
            duration_s=(end_us - began_us) / SECOND_US,
            kind=self._kind,
            source=device,
            speed_kmh=span.speed_kmh / span.seconds,
            occupancy=min(1.0, span.covered / span.seconds),
        )
        return Happening(step, device, 0, began_us, end_us)


def jammed(zones: Sequence[Zone]) -> tuple[float, float] | None:
    """Return (share covered, km/h) of a carriageway where traffic stands there, None where it moves."""
    vehicles = sum(zone.vehicles for zone in zones)
    if not vehicles:
        return None
    covered = sum(zone.covered for zone in zones) / len(zones)
    speed_kmh = sum(zone.speed_kmh * zone.vehicles for zone in zones) / vehicles
    return (covered, speed_kmh) if covered >= JAM_OCCUPANCY and speed_kmh <= JAM_KMH else None
