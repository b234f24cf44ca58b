"""Rain over the city: how hard it falls at a moment, and what that does to traffic. Pure."""

from collections.abc import Sequence
from typing import Final

from simulators.steps import Happening, Kind
from simulators.times import SECOND_US

ONSET_S: Final = 180.0
"""A tropical shower is there within minutes,"""
DRYING_S: Final = 600.0
"""and streets stay wet for a while after it; that is the end of the step's own time."""


def rain_at(happenings: Sequence[Happening], at_us: int) -> float:
    """Return the hardest rain of `happenings` at a moment, 0 to 1."""
    return max((_intensity(item, at_us) for item in happenings if item.step.kind is Kind.RAIN), default=0.0)


def _intensity(rain: Happening, at_us: int) -> float:
    if not rain.start_us <= at_us < rain.end_us:
        return 0.0
    begun = (at_us - rain.start_us) / (ONSET_S * SECOND_US)
    left = (rain.end_us - at_us) / (DRYING_S * SECOND_US)
    return rain.step.intensity * min(1.0, begun, left)


def slowed(speed_kmh: float, rain: float) -> float:
    """Return the speed on wet roads; far from a jam even in a cloudburst."""
    return speed_kmh * (1 - 0.28 * rain)


def thinned(count: float, rain: float, *, outdoors: float = 0.25) -> float:
    """Return how many of `count` are still about; `outdoors` is the share that a cloudburst keeps away."""
    return count * (1 - outdoors * rain)
