"""What kind of day it is in Vietnam: working day, weekend, public holiday, Tết. Pure, from the date alone."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Final

import holidays

from simulators.times import LOCAL_OFFSET_US, SECOND_US

_SUNDAY: Final = 6
_SATURDAY: Final = 5
_BEFORE_TET: Final = 7
"""Days before the lunar new year's first day: markets are full and roads lead out of town."""


class Day(StrEnum):
    """Kinds of days that a street tells apart."""

    WORKDAY = "workday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    HOLIDAY = "holiday"
    BEFORE_TET = "before_tet"
    TET = "tet"


def day_of(time_us: int) -> Day:
    """Return the kind of local day at a moment; dates that no calendar is known for are ordinary weeks."""
    return _kind(datetime.fromtimestamp((time_us + LOCAL_OFFSET_US) // SECOND_US, UTC).date())


@cache
def _kind(day: date) -> Day:
    name = _names(day.year).get(day, "")
    if "Lunar New Year" in name:
        return Day.TET
    if name:
        return Day.HOLIDAY
    for ahead in range(1, _BEFORE_TET + 1):
        later = day + timedelta(days=ahead)
        if "Lunar New Year" in _names(later.year).get(later, ""):
            return Day.BEFORE_TET
    if day.weekday() == _SUNDAY:
        return Day.SUNDAY
    return Day.SATURDAY if day.weekday() == _SATURDAY else Day.WORKDAY


@cache
def _names(year: int) -> dict[date, str]:
    return dict(holidays.country_holidays("VN", years=year, language="en_US"))
