"""Time as integer microseconds since 1970 UTC, its RFC 3339 text, and Vietnam's time of day."""

from datetime import UTC, datetime, timedelta

SECOND_US = 1_000_000
LOCAL_OFFSET_US = 7 * 3600 * SECOND_US
"""Vietnam is UTC+7 all year."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_us(time_us: int) -> str:
    """Return RFC 3339 in UTC with milliseconds."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_us % SECOND_US // 1000:03d}Z"


def parse_us(text: str) -> int:
    """Return microseconds for RFC 3339 `text`.

    Raises:
        ValueError: not RFC 3339, or without a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone: write e.g. 2026-11-22T07:00:00+07:00")
    return to_us(moment)


def to_us(moment: datetime) -> int:
    """Return microseconds of a time with a zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def local_hour(time_us: int) -> float:
    """Return the local time of day in hours, 0 to 24."""
    return (time_us + LOCAL_OFFSET_US) % (86_400 * SECOND_US) / (3600 * SECOND_US)


def local_text(time_us: int) -> str:
    """Return local time as a camera prints it: `22-11-2026 17:30:05`."""
    return (_EPOCH + timedelta(microseconds=time_us + LOCAL_OFFSET_US)).strftime("%d-%m-%Y %H:%M:%S")
