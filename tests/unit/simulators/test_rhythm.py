"""The week and the year: what kind of day it is, and how busy it makes the city."""

import pytest

from simulators.days import Day, day_of
from simulators.rhythm import crowding, motorbikes, rush
from simulators.times import parse_us


@pytest.mark.parametrize(
    ("local", "day"),
    [
        ("2026-11-23T00:00:00+07:00", Day.WORKDAY),
        ("2026-11-22T23:59:59+07:00", Day.SUNDAY),
        ("2026-11-21T12:00:00+07:00", Day.SATURDAY),
        ("2026-09-02T12:00:00+07:00", Day.HOLIDAY),
        ("2026-02-17T12:00:00+07:00", Day.TET),
        ("2026-02-10T12:00:00+07:00", Day.BEFORE_TET),
        ("2026-02-08T12:00:00+07:00", Day.SUNDAY),
        ("2025-01-29T12:00:00+07:00", Day.TET),
    ],
)
def test_the_kind_of_day_is_the_local_dates(local: str, day: Day) -> None:
    assert day_of(parse_us(local)) is day


def test_working_days_have_two_rushes_sundays_none_in_the_morning_and_tet_empty_roads() -> None:
    assert rush(7.25) > 0.9 and rush(17.25) > 0.9 and rush(3) < 0.15
    assert rush(7.25, Day.SUNDAY) < 0.5 * rush(7.25)
    assert max(rush(h, Day.TET) for h in range(24)) < 0.6
    assert rush(11, Day.BEFORE_TET) > rush(11)


def test_squares_are_fullest_on_free_evenings_and_markets_before_tet() -> None:
    assert crowding(19, Day.SUNDAY) >= crowding(19)
    assert crowding(12, Day.BEFORE_TET) > crowding(12)


@pytest.mark.parametrize("day", Day)
def test_demand_stays_within_its_bounds_on_every_day(day: Day) -> None:
    for quarter in range(96):
        hour = quarter / 4
        assert 0 < rush(hour, day) <= 1 and 0 < crowding(hour, day) <= 1
        assert 0.5 <= motorbikes(hour, day) <= 0.9


def test_motorbikes_are_most_at_the_rush() -> None:
    assert motorbikes(7.25) > motorbikes(12) > motorbikes(2)
