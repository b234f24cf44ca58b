"""Working days of Viet Nam, as a clock that stands still on every other day.

`worked_us(t)` is the working time that has passed up to `t`: it grows with `t` on working days, midnight to
midnight, and stands still in between. A due date is a moment of that clock, so adding working days and
paused time is plain addition. Viet Nam has had no daylight saving since 1975: its days are UTC+7.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

import holidays

from ioc.model.times import DAY_US, HOUR_US

OFFSET_US: Final = 7 * HOUR_US
_EPOCH: Final = date(1970, 1, 1)
_WEEKEND: Final = frozenset({5, 6})
_KEPT_SPANS: Final = 12
"""Years of which the working days are kept laid out."""


class WorkingCalendar:
    """Which days are working days. Days are local; moments are microseconds since the epoch, UTC.

    Args:
        days_off: days off besides weekends and the public holidays known to the package `holidays`.
        make_up_days: days worked although they fall on a weekend or a holiday (*làm bù*).
    """

    def __init__(self, days_off: Iterable[date] = (), make_up_days: Iterable[date] = ()) -> None:
        self._off = frozenset(days_off)
        self._made_up = frozenset(make_up_days)
        self._spans: dict[int, list[int]] = {}

    def is_working_day(self, day: date) -> bool:
        """Tell whether people work on `day`."""
        if day in self._made_up:
            return True
        return day.weekday() not in _WEEKEND and day not in self._off and day not in _holidays(day.year)

    def is_working(self, time_us: int) -> bool:
        """Tell whether `time_us` falls on a working day."""
        return self.is_working_day(day_of(time_us))

    def add(self, time_us: int, worked_us: int) -> int:
        """Return the moment at which `worked_us` of working time will have passed since `time_us`.

        It falls on a working day: time used up at the end of a Friday is due as Monday begins.

        Args:
            time_us: where to begin.
            worked_us: working time, at least 0; a working day counts 24 hours.
        """
        days = self._days(time_us)
        first = _day_number(time_us)
        place = bisect_left(days, first)
        into_us = (time_us + OFFSET_US) % DAY_US if days[place] == first else 0
        whole, rest_us = divmod(into_us + worked_us, DAY_US)
        while place + whole >= len(days):
            days = days + self._span(_year_of(days[-1]) + 1)
        return days[place + whole] * DAY_US + rest_us - OFFSET_US

    def between(self, from_us: int, to_us: int) -> int:
        """Return the working time between two moments, 0 where `to_us` is not the later one."""
        if to_us <= from_us:
            return 0
        return self._worked(to_us, from_us) - self._worked(from_us, from_us)

    def _worked(self, time_us: int, origin_us: int) -> int:
        """Return the working time from the year of `origin_us` up to `time_us`."""
        days = self._days(origin_us)
        today = _day_number(time_us)
        while days[-1] < today:
            days = days + self._span(_year_of(days[-1]) + 1)
        place = bisect_left(days, today)
        into_us = (time_us + OFFSET_US) % DAY_US if place < len(days) and days[place] == today else 0
        return place * DAY_US + into_us

    def _days(self, time_us: int) -> list[int]:
        return self._span(day_of(time_us).year)

    def _span(self, year: int) -> list[int]:
        """Return the numbers of the working days of `year` and the year after."""
        found = self._spans.get(year)
        if found is None:
            if len(self._spans) >= _KEPT_SPANS:
                self._spans.clear()
            first, last = date(year, 1, 1), date(year + 1, 12, 31)
            every = (first + timedelta(days=n) for n in range((last - first).days + 1))
            found = [(day - _EPOCH).days for day in every if self.is_working_day(day)]
            self._spans[year] = found
        return found


def day_of(time_us: int) -> date:
    """Return the local day of a moment."""
    return _EPOCH + timedelta(days=_day_number(time_us))


def _day_number(time_us: int) -> int:
    return (time_us + OFFSET_US) // DAY_US


def _year_of(day_number: int) -> int:
    return (_EPOCH + timedelta(days=day_number)).year


@lru_cache(maxsize=64)
def _holidays(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("VN", years=[year]))
