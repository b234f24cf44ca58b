"""Periods of figures: which buckets make them up, and what they are compared with."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.incidents.periods import (
    ORIGIN_US,
    WIDTH_US,
    Grain,
    Period,
    PeriodError,
    Segment,
    cover,
    floor,
    spans_of,
    window,
)
from ioc.model.times import DAY_US, HOUR_US, format_us, parse_us

NOON = parse_us("2026-11-25T12:34:56+07:00")
HOURS = st.integers(0, 400 * 24).map(lambda hours: ORIGIN_US + 9_000 * DAY_US + hours * HOUR_US)


@given(HOURS, HOURS)
def test_a_stretch_is_covered_once_and_by_whole_buckets(one: int, other: int) -> None:
    start_us, end_us = sorted((one, other))
    spans = list(cover(Segment.REST, start_us, end_us))
    covered = start_us
    for span in spans:
        assert span.from_us == covered
        assert floor(span.from_us, span.grain) == span.from_us
        assert floor(span.to_us, span.grain) == span.to_us
        covered = span.to_us
    assert covered == end_us
    assert len(spans) <= 5
    for grain in (Grain.HOUR, Grain.DAY):
        finer = [span for span in spans if span.grain is grain]
        # What a coarser bucket could hold is not taken from finer ones.
        coarser = Grain.DAY if grain is Grain.HOUR else Grain.WEEK
        assert all(span.to_us - span.from_us < 2 * WIDTH_US[coarser] for span in finer)


@pytest.mark.parametrize(
    ("period", "start", "compared", "before"),
    [
        (Period.TODAY, "2026-11-25T00:00+07:00", "2026-11-25T12:00+07:00", "2026-11-24T00:00+07:00"),
        (Period.WEEK, "2026-11-19T00:00+07:00", "2026-11-25T00:00+07:00", "2026-11-12T00:00+07:00"),
        (Period.MONTH, "2026-10-27T00:00+07:00", "2026-11-25T00:00+07:00", "2026-09-27T00:00+07:00"),
        (Period.QUARTER, "2026-10-01T00:00+07:00", "2026-11-25T00:00+07:00", "2026-07-01T00:00+07:00"),
    ],
)
def test_a_named_period_begins_at_local_midnight_and_is_compared_by_whole_buckets(
    period: Period, start: str, compared: str, before: str
) -> None:
    found = window(period, NOON)
    assert format_us(found.start_us) == format_us(parse_us(start))
    assert format_us(found.compared_us) == format_us(parse_us(compared))
    assert format_us(found.start_us - found.shift_us) == format_us(parse_us(before))
    assert found.end_us == NOON


def test_the_first_quarter_is_compared_with_the_last_one_of_the_year_before() -> None:
    found = window(Period.QUARTER, parse_us("2026-02-03T10:00:00+07:00"))
    assert format_us(found.start_us - found.shift_us) == "2025-09-30T17:00:00.000Z"


def test_a_custom_period_holds_both_its_days_and_nothing_that_lies_ahead() -> None:
    past = window(Period.CUSTOM, NOON, date(2026, 11, 1), date(2026, 11, 10))
    assert format_us(past.end_us) == "2026-11-10T17:00:00.000Z"
    assert past.compared_us == past.end_us
    assert window(Period.CUSTOM, NOON, date(2026, 11, 20), date(2026, 12, 31)).end_us == NOON


@pytest.mark.parametrize(
    ("first", "last", "field", "rule"),
    [
        (None, date(2026, 1, 1), "from", "custom"),
        (date(2026, 1, 1), None, "to", "custom"),
        (date(2026, 1, 2), date(2026, 1, 1), "to", "span"),
        (date(2025, 1, 1), date(2026, 1, 2), "to", "span"),
        (date(2026, 11, 26), date(2026, 11, 27), "from", "ahead"),
        (date(1999, 1, 1), date(1999, 1, 2), "from", "range"),
    ],
)
def test_days_that_make_no_period_are_named_with_the_rule(
    first: date | None, last: date | None, field: str, rule: str
) -> None:
    with pytest.raises(PeriodError) as caught:
        window(Period.CUSTOM, NOON, first, last)
    assert (caught.value.field, caught.value.rule) == (field, rule)


@given(
    st.sampled_from([Period.TODAY, Period.WEEK, Period.MONTH, Period.QUARTER]), st.integers(0, 400 * DAY_US)
)
def test_the_parts_of_a_period_lie_side_by_side_up_to_now(period: Period, after_us: int) -> None:
    now_us = ORIGIN_US + 9_000 * DAY_US + after_us
    found = window(period, now_us)
    own = sorted(
        (span.from_us, span.to_us)
        for span in spans_of(found)
        if span.segment in (Segment.COMPARED, Segment.REST, Segment.RUNNING)
    )
    ends = [found.start_us, *(end for _, end in own)]
    assert [start for start, _ in own] == ends[:-1]
    assert ends[-1] == now_us
    hours = [span for span in spans_of(found) if span.grain is Grain.HOUR]
    # Hourly sums are kept for nine days only.
    assert all(span.from_us > now_us - 8 * DAY_US for span in hours)
