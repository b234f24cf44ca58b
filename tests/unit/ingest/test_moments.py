"""Times as hardware writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.moments import moment_us, zone_of
from ioc.model.times import to_us

FIRST, LAST = datetime.min, datetime.max  # noqa: DTZ901 - the zone comes with each
DAY = timedelta(days=1)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.datetimes(FIRST + DAY, LAST - DAY, timezones=OFFSETS),
    st.text("0123456789", max_size=4),
)
def test_a_time_is_what_it_says_and_digits_beyond_the_sixth_are_cut(moment: datetime, more: str) -> None:
    stated = moment.isoformat(timespec="microseconds")
    assert moment_us(f" {stated[:26]}{more}{stated[26:]}\n", None, "t") == to_us(moment)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-00:01"])
def test_a_time_beyond_the_years_in_utc_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="not within the years"):
        moment_us(text, None, "t")


def test_a_local_time_is_one_of_the_devices_zone_and_a_repeated_hour_its_first_pass() -> None:
    assert moment_us("2026-10-25T02:30:00", zone_of("Europe/Berlin"), "t") == to_us(
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    )
    with pytest.raises(Refused) as refused:
        moment_us("2026-10-25T02:30:00", None, "t")
    assert refused.value.rule == "zone"


@pytest.mark.parametrize(
    "text",
    [
        "2026/11/22 16:59:58",
        "2026-11-22T16:59:58+7:00",
        "2026-11-22 16:59:58 +0700",
        "2026-11-22T16:59:58GMT+07:00",
        "2026-11-22T16:59:58 UTC+7:00",
        "20261122T165958+0700",
        "20261122165958",
        "20261122165958000",
    ],
)
def test_dates_and_offsets_are_read_as_hardware_writes_them(text: str) -> None:
    assert moment_us(text, zone_of("Asia/Ho_Chi_Minh"), "t") == to_us(
        datetime(2026, 11, 22, 9, 59, 58, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    "text",
    [
        "22/11/2026 16:59:58",
        "2026-11-22T16:59:58+99:00",
        "-07:00",
        "1" * 20,
        "202611221659",
        "7" * 9_000,
        "x" * 9_000,
    ],
)
def test_what_is_no_time_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(Refused) as refused:
        moment_us(text, zone_of("Asia/Ho_Chi_Minh"), "t")
    assert refused.value.rule == "iso8601"
