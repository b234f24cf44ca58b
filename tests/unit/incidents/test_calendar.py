"""Working days: what they leave out, and that time on them adds up."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.calendar import OFFSET_US, WorkingCalendar, day_of
from ioc.model.times import DAY_US, HOUR_US, from_us, parse_us, to_us

CALENDAR = WorkingCalendar()
ICT = timezone(timedelta(hours=7))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 12, 31), timezones=st.just(UTC)).map(to_us)  # noqa: DTZ001
SPANS = st.integers(0, 60 * DAY_US)


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 1, 1),
        date(2026, 2, 16),  # the eve of Tết
        date(2026, 2, 20),
        date(2026, 4, 27),  # Hùng Kings' day fell on a Sunday
        date(2026, 4, 30),
        date(2026, 5, 1),
        date(2026, 9, 2),
        date(2026, 11, 28),  # a Saturday
    ],
)
def test_nobody_works_on_weekends_and_public_holidays(day: date) -> None:
    assert not CALENDAR.is_working_day(day)


def test_make_up_days_and_further_days_off_are_the_centres_own() -> None:
    calendar = WorkingCalendar(days_off=[date(2026, 11, 26)], make_up_days=[date(2026, 11, 28)])
    assert not calendar.is_working_day(date(2026, 11, 26))
    assert calendar.is_working_day(date(2026, 11, 28))


def test_ten_working_days_lead_across_tet() -> None:
    """Mon 9 Feb + 10 working days: 9–13 are five, Tết is 16–20, 23–27 are five: due as Monday 2 March begins
    at the same time of day."""
    start = parse_us("2026-02-09T08:00:00+07:00")
    assert CALENDAR.add(start, 10 * DAY_US) == parse_us("2026-03-02T08:00:00+07:00")


def test_what_comes_in_on_a_saturday_is_counted_from_monday() -> None:
    saturday = parse_us("2026-11-28T15:00:00+07:00")
    assert CALENDAR.add(saturday, 0) == parse_us("2026-11-30T00:00:00+07:00")
    assert CALENDAR.add(saturday, DAY_US) == parse_us("2026-12-01T00:00:00+07:00")


@given(MOMENTS, SPANS)
def test_a_due_date_never_falls_on_a_day_off(start: int, span: int) -> None:
    assert CALENDAR.is_working(CALENDAR.add(start, span))


@given(MOMENTS, MOMENTS, SPANS)
def test_what_began_later_is_due_no_earlier(one: int, other: int, span: int) -> None:
    early, late = sorted((one, other))
    assert CALENDAR.add(early, span) <= CALENDAR.add(late, span)


@given(MOMENTS, SPANS, SPANS)
def test_time_adds_up_whether_at_once_or_in_pieces(start: int, first: int, then: int) -> None:
    assert CALENDAR.add(CALENDAR.add(start, first), then) == CALENDAR.add(start, first + then)


@given(MOMENTS, SPANS)
def test_the_working_time_until_a_due_date_is_what_was_allowed(start: int, span: int) -> None:
    assert CALENDAR.between(start, CALENDAR.add(start, span)) == span


@given(MOMENTS, MOMENTS)
def test_no_more_working_time_passes_than_time(one: int, other: int) -> None:
    early, late = sorted((one, other))
    assert 0 <= CALENDAR.between(early, late) <= late - early
    assert CALENDAR.between(late, early) == 0


@given(MOMENTS)
def test_viet_nam_is_seven_hours_ahead_all_year(moment: int) -> None:
    there = from_us(moment).astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
    assert there.utcoffset() == timedelta(microseconds=OFFSET_US) == timedelta(microseconds=7 * HOUR_US)
    assert day_of(moment) == there.date() == from_us(moment).astimezone(ICT).date()
