"""Stretches of time that figures are about, and the buckets that make them up: pure.

Days begin at midnight of UTC+7, weeks on Monday; the zone knows no summer time, so both are plain arithmetic.
A period is compared with the one before it as far as whole hours (today) or days (all others) have passed.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ioc.model.times import CITY_ZONE, DAY_US, HOUR_US, from_us, to_us

ORIGIN_US: Final = 946_832_400_000_000
"""Monday 3 January 2000, midnight of UTC+7: every bucket lies a whole number of widths from here."""
MAX_DAYS: Final = 366
"""Longest period that may be asked for."""


class Grain(StrEnum):
    """Width of a bucket."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


WIDTH_US: Final = {Grain.HOUR: HOUR_US, Grain.DAY: DAY_US, Grain.WEEK: 7 * DAY_US}


class Segment(StrEnum):
    """What the buckets of one question are for."""

    BEFORE = "before"
    """Of the period before, as much as is compared."""
    COMPARED = "compared"
    """Of the period, the whole hours or days that have a counterpart before."""
    REST = "rest"
    """Whole hours since then."""
    RUNNING = "running"
    """The hour that has begun."""
    STOCK = "stock"
    """What is open now, whenever it came."""


class Period(StrEnum):
    """Periods with a name."""

    TODAY = "today"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "quarter"
    CUSTOM = "custom"


class Span(NamedTuple):
    """Buckets of one grain that begin in [`from_us`, `to_us`)."""

    segment: Segment
    grain: Grain
    from_us: int
    to_us: int


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A period as of a moment. `shift_us` leads to the period before."""

    period: Period
    start_us: int
    compared_us: int
    """Up to here the period before has a counterpart."""
    end_us: int
    shift_us: int


class PeriodError(ValueError):
    """A period that cannot be; `field` is at fault by `rule`."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field
        self.rule = rule


def floor(time_us: int, grain: Grain) -> int:
    """Return when the bucket that holds `time_us` began."""
    width_us = WIDTH_US[grain]
    return time_us - (time_us - ORIGIN_US) % width_us


def window(period: Period, now_us: int, first: date | None = None, last: date | None = None) -> Window:
    """Return `period` as of `now_us`.

    Args:
        period: which.
        now_us: the present; nothing later is looked at.
        first: first day of a custom period, UTC+7.
        last: its last day, which belongs to it.

    Raises:
        PeriodError: the days of a custom period are missing, in the wrong order, ahead, or too many.
    """
    midnight_us = floor(now_us, Grain.DAY)
    if period is Period.CUSTOM:
        return _custom(now_us, first, last)
    if period is Period.TODAY:
        hour_us = floor(now_us, Grain.HOUR)
        return _made(period, midnight_us, hour_us, now_us, DAY_US)
    if period is Period.QUARTER:
        today = from_us(now_us).astimezone(CITY_ZONE).date()
        start_us, before_us = (_midnight(day) for day in _quarters(today))
        return _made(period, start_us, midnight_us, now_us, start_us - before_us)
    days = 7 if period is Period.WEEK else 30
    return _made(period, midnight_us - (days - 1) * DAY_US, midnight_us, now_us, days * DAY_US)


def _made(period: Period, start_us: int, compared_us: int, end_us: int, shift_us: int) -> Window:
    return Window(period=period, start_us=start_us, compared_us=compared_us, end_us=end_us, shift_us=shift_us)


def _quarters(today: date) -> tuple[date, date]:
    """Return the first day of the quarter of `today` and of the one before."""
    start = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    before = start - timedelta(days=1)
    return start, date(before.year, (before.month - 1) // 3 * 3 + 1, 1)


def _midnight(day: date) -> int:
    return to_us(datetime(day.year, day.month, day.day, tzinfo=CITY_ZONE))


def _custom(now_us: int, first: date | None, last: date | None) -> Window:
    if first is None or last is None:
        missing = "from" if first is None else "to"
        raise PeriodError(missing, "custom", "a custom period needs its first day `from` and its last `to`")
    days = (last - first).days + 1
    if not 1 <= days <= MAX_DAYS:
        raise PeriodError("to", "span", f"expected from before to, and at most {MAX_DAYS} days")
    if not 2000 <= first.year <= last.year < 2200:
        raise PeriodError("from", "range", "expected days from 2000 until 2200")
    start_us = _midnight(first)
    if start_us > now_us:
        raise PeriodError("from", "ahead", "expected a day that has begun")
    end_us = min(start_us + days * DAY_US, now_us)
    return _made(Period.CUSTOM, start_us, floor(end_us, Grain.DAY), end_us, days * DAY_US)


def spans_of(found: Window) -> list[Span]:
    """Return the buckets of a period and of what it is compared with."""
    hour_us = floor(found.end_us, Grain.HOUR)
    return [
        *cover(Segment.BEFORE, found.start_us - found.shift_us, found.compared_us - found.shift_us),
        *cover(Segment.COMPARED, found.start_us, found.compared_us),
        *cover(Segment.REST, found.compared_us, hour_us),
        *([Span(Segment.RUNNING, Grain.HOUR, hour_us, found.end_us)] if hour_us < found.end_us else []),
        Span(Segment.STOCK, Grain.DAY, ORIGIN_US, ORIGIN_US + DAY_US),
    ]


def cover(segment: Segment, start_us: int, end_us: int, grain: Grain = Grain.WEEK) -> Iterator[Span]:
    """Yield the fewest spans that hold the whole hours of [`start_us`, `end_us`), each once."""
    if grain is Grain.HOUR:
        if start_us < end_us:
            yield Span(segment, grain, start_us, end_us)
        return
    finer = Grain.DAY if grain is Grain.WEEK else Grain.HOUR
    first_us, last_us = floor(start_us + WIDTH_US[grain] - 1, grain), floor(end_us, grain)
    if first_us >= last_us:
        yield from cover(segment, start_us, end_us, finer)
        return
    yield from cover(segment, start_us, first_us, finer)
    yield Span(segment, grain, first_us, last_us)
    yield from cover(segment, last_us, end_us, finer)
