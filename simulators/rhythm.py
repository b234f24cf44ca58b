"""How busy the city is through the day. Pure functions of the local hour."""

import math


def rush(hour: float) -> float:
    """Return road demand from 0.03 (night) to about 1 (peaks near 7:15 and 17:15)."""
    day = 0.42 * _bump(hour, 12.0, 5.0)
    return min(1.0, 0.03 + day + 0.8 * _bump(hour, 7.25, 1.1) + 0.85 * _bump(hour, 17.25, 1.3))


def crowding(hour: float) -> float:
    """Return how many people are about, 0.02 to 1: markets at dawn, squares in the evening."""
    return min(
        1.0,
        0.02 + 0.75 * _bump(hour, 7.0, 1.8) + 0.45 * _bump(hour, 12.0, 3.0) + 0.9 * _bump(hour, 18.8, 2.2),
    )


def daylight(hour: float) -> float:
    """Return brightness from 0 (night) to 1; the sun rises about 5:40 and sets about 17:50 all year."""
    rise = 1 / (1 + math.exp(-(hour - 5.7) * 4.5))
    fall = 1 / (1 + math.exp((hour - 17.8) * 4.5))
    return rise * fall


def _bump(hour: float, middle: float, width: float) -> float:
    away = min(abs(hour - middle), 24 - abs(hour - middle))
    return math.exp(-0.5 * (away / width) ** 2)
