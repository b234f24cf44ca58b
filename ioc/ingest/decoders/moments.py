"""Times as hardware writes them: with an offset, in UTC, or local and silent about it."""

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ioc.ingest.decoders.data import Refused
from ioc.model.times import HOUR_US, SECOND_US, to_us

_EXTRA_DIGITS: Final = re.compile(r"(\.\d{6})\d+")
_FIRST_US: Final = to_us(datetime.min.replace(tzinfo=UTC))
_LAST_US: Final = to_us(datetime.max.replace(tzinfo=UTC))
_LATEST_S: Final = 253_402_300_800
"""Year 10000, in seconds; larger numbers are milliseconds."""

FRESH_US: Final = 6 * HOUR_US
"""A message of another authority that is older tells of the past."""
HEARD_US: Final = 30 * SECOND_US
"""Within what rules take an event to be in time."""


@lru_cache(maxsize=1_024)
def zone_of(name: str | None) -> tzinfo | None:
    """Return the zone of an IANA name, None for no name and for one that does not exist."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def moment_us(text: str, zone: tzinfo | None, field: str) -> int:
    """Return microseconds since the epoch of an ISO 8601 time.

    A time without offset is one of `zone`; a repeated hour means its first pass. More than six digits of a
    second are cut.

    Raises:
        Refused: `iso8601`, it is no such time; `zone`, it states none and the device has none.
    """
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _more_exact(text, field)
    if moment.tzinfo is None:
        if zone is None:
            detail = "a local time without zone; register the device with its `time_zone`"
            raise Refused("zone", detail, field)
        moment = moment.replace(tzinfo=zone)
    time_us = to_us(moment)
    if not _FIRST_US <= time_us <= _LAST_US:
        raise Refused("iso8601", "not within the years 1 to 9999", field)
    return time_us


def _more_exact(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(_EXTRA_DIGITS.sub(r"\1", text))
    except ValueError:
        raise Refused("iso8601", "expected ISO 8601, e.g. 2026-11-22T10:00:00+07:00", field) from None


def epoch_us(seconds: float, field: str) -> int:
    """Return microseconds of a Unix time in seconds or, where it is too large for that, milliseconds.

    Raises:
        Refused: `unix_time`, it is neither.
    """
    if not 0 <= seconds < _LATEST_S * 1_000:  # not-a-number fails too
        raise Refused("unix_time", "expected seconds or milliseconds since 1970-01-01 UTC", field)
    return round(seconds * (1_000_000 if seconds < _LATEST_S else 1_000))


def lasting_us(stated_us: int, told_us: int, now_us: int) -> int:
    """Return the time of a state that lasts: when it began, or just now where we hear of it later.

    Rules leave out what is long past, but a state that was published a few minutes after it began, or is
    published anew each minute, holds still. A message that is itself old (`told_us`) keeps its times.
    """
    return max(stated_us, now_us - HEARD_US) if told_us > now_us - FRESH_US else stated_us
