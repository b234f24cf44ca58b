"""When deliveries are repeated, and when a receiver is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.model.times import DAY_US, HOUR_US
from ioc.outbound.retrying import (
    FAILURES_TO_OPEN,
    FIRST_OPEN_US,
    MAX_ATTEMPTS,
    MAX_OPEN_US,
    RETRY_AFTER_US,
    Breaker,
    next_attempt_us,
)
from ioc.outbound.webhook import wait_of


def test_a_delivery_is_given_up_after_about_a_day() -> None:
    assert next_attempt_us(1, 0) == RETRY_AFTER_US[0]
    assert next_attempt_us(MAX_ATTEMPTS, 0) is None
    assert 23 * HOUR_US < sum(RETRY_AFTER_US) < DAY_US + 6 * HOUR_US


def test_a_breaker_opens_after_failures_in_a_row_and_a_success_closes_it() -> None:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker = breaker.after(ok=False, now_us=100)
        assert breaker.lets_through(100)
    breaker = breaker.after(ok=False, now_us=100)
    assert not breaker.lets_through(100 + FIRST_OPEN_US - 1)
    assert breaker.lets_through(100 + FIRST_OPEN_US)
    assert breaker.after(ok=True, now_us=200) == Breaker()


@given(st.integers(0, 200))
def test_a_breaker_stays_open_longer_each_time_but_never_for_ever(failures: int) -> None:
    now, later = Breaker(failures).after(ok=False, now_us=0), Breaker(failures + 1).after(ok=False, now_us=0)
    assert now.open_until_us <= later.open_until_us <= MAX_OPEN_US


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("9" * 400, 999_999_999.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60.0),
        ("Thu, 01 Jan 1970 00:02:00 -0000", 60.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 99999 00:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_how_long_a_receiver_asks_to_wait_is_read_as_seconds_or_a_date(said: str, wait_s: float) -> None:
    assert wait_of(said, 60_000_000) == wait_s
