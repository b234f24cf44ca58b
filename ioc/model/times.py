"""Time as integer microseconds since 1970-01-01 UTC, and its RFC 3339 text.

Integers order, hash and travel into NumPy without time zones; aware datetimes exist only at the edges.
"""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
CITY_ZONE: Final = timezone(timedelta(hours=7))
"""Việt Nam's, the same all year: of the days and clocks on the wall that people mean."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return `moment` as microseconds since the epoch, exactly.

    Raises:
        ValueError: `moment` has no time zone; its meaning would depend on the machine.
    """
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: expected e.g. 2026-11-22T10:00:00Z or …+07:00")
    return (moment - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """Return the aware UTC datetime of `time_us`."""
    return _EPOCH + timedelta(microseconds=time_us)


def format_us(time_us: int) -> str:
    """Return `time_us` as RFC 3339 in UTC with milliseconds, the form of every wire of ours."""
    return f"{_second_text(time_us // SECOND_US)}.{time_us % SECOND_US // 1000:03d}Z"


@lru_cache(maxsize=4_096)
def _second_text(second: int) -> str:
    # Remembered: what is written at once is mostly of the same few seconds.
    return from_us(second * SECOND_US).strftime("%Y-%m-%dT%H:%M:%S")


def parse_us(text: str) -> int:
    """Return microseconds for an RFC 3339 `text`.

    Raises:
        ValueError: not RFC 3339, or without a zone.
    """
    return to_us(datetime.fromisoformat(text))
