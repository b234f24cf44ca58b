"""How busy the city is through the day and the week. Pure functions of the local hour and the kind of day."""

import math
from collections.abc import Mapping
from typing import Final

from simulators.days import Day

# (morning rush, day, evening rush): shares of a working day's.
_ROADS: Final[Mapping[Day, tuple[float, float, float]]] = {
    Day.WORKDAY: (1.0, 1.0, 1.0),
    Day.SATURDAY: (0.6, 1.25, 0.85),
    Day.SUNDAY: (0.15, 1.2, 0.6),
    Day.HOLIDAY: (0.1, 1.1, 0.6),
    Day.BEFORE_TET: (0.8, 1.5, 1.1),
    Day.TET: (0.05, 0.7, 0.35),
}
# (dawn markets, midday, evening squares): shares of a working day's.
_PEOPLE: Final[Mapping[Day, tuple[float, float, float]]] = {
    Day.WORKDAY: (1.0, 1.0, 1.0),
    Day.SATURDAY: (1.0, 1.2, 1.25),
    Day.SUNDAY: (1.1, 1.3, 1.35),
    Day.HOLIDAY: (0.9, 1.3, 1.4),
    Day.BEFORE_TET: (1.3, 1.6, 1.5),
    Day.TET: (0.6, 1.4, 1.2),
}


def rush(hour: float, day: Day = Day.WORKDAY) -> float:
    """Return road demand from 0.03 (night) to about 1 (a working day's peaks near 7:15 and 17:15)."""
    morning, middle, evening = _ROADS[day]
    base = 0.42 * middle * _bump(hour, 12.0, 5.0)
    peaks = 0.8 * morning * _bump(hour, 7.25, 1.1) + 0.85 * evening * _bump(hour, 17.25, 1.3)
    return min(1.0, 0.03 + base + peaks)


def crowding(hour: float, day: Day = Day.WORKDAY) -> float:
    """Return how many people are about, 0.02 to 1: markets at dawn, squares in the evening."""
    dawn, middle, evening = _PEOPLE[day]
    people = 0.75 * dawn * _bump(hour, 7.0, 1.8) + 0.45 * middle * _bump(hour, 12.0, 3.0)
    return min(1.0, 0.02 + people + 0.9 * evening * _bump(hour, 18.8, 2.2))


def motorbikes(hour: float, day: Day = Day.WORKDAY) -> float:
    """Return the share of motorbikes: most at the rush hours, fewest when lorries drive at night."""
    return 0.55 + 0.3 * rush(hour, day)


def daylight(hour: float) -> float:
    """Return brightness from 0 (night) to 1; the sun rises about 5:40 and sets about 17:50 all year."""
    rise = 1 / (1 + math.exp(-(hour - 5.7) * 4.5))
    fall = 1 / (1 + math.exp((hour - 17.8) * 4.5))
    return rise * fall


def _bump(hour: float, middle: float, width: float) -> float:
    away = min(abs(hour - middle), 24 - abs(hour - middle))
    return math.exp(-0.5 * (away / width) ** 2)
