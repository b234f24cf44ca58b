"""Times as hardware writes them: with an offset, in UTC, or local and silent about it."""

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from ioc.ingest.decoders.data import Refused
from ioc.model.times import DAY_US, HOUR_US, SECOND_US, from_us, to_us

_EXTRA_DIGITS: Final = re.compile(r"([.,]\d{6})\d+")
_SLASHED: Final = re.compile(r"^(\d{4})/(\d{1,2})/(\d{1,2})(?=[ T])")
_OFFSET: Final = re.compile(r"(?<=\d) *(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})$")
"""An offset as hardware writes it: `+7:00`, ` +0700`, `GMT+07:00`."""
_MAX_CHARS: Final = 256
_EPOCH: Final = from_us(0)
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
    if text.isdigit():  # read as ISO 8601, a digit would stand for the T
        text = _parted(text, field)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _lenient(text, field)
    if moment.tzinfo is None:
        if zone is None:
            detail = "a local time without zone; register the device with its `time_zone`"
            raise Refused("zone", detail, field)
        moment = moment.replace(tzinfo=zone)
    passed = moment - _EPOCH  # as `to_us`, in less time
    time_us = passed.days * DAY_US + passed.seconds * SECOND_US + passed.microseconds
    if not _FIRST_US <= time_us <= _LAST_US:
        raise Refused("iso8601", "not within the years 1 to 9999", field)
    return time_us


def _parted(digits: str, field: str) -> str:
    """Return a date, with its time (and milliseconds) behind a T, that was written without any signs."""
    if len(digits) not in (8, 14, 17):
        raise Refused("iso8601", "expected ISO 8601, e.g. 2026-11-22T10:00:00+07:00", field)
    return f"{digits[:8]}T{digits[8:14]}.{digits[14:] or '0'}" if len(digits) > 8 else digits


def _lenient(text: str, field: str) -> datetime:
    if len(text) > _MAX_CHARS:
        raise Refused("iso8601", f"{len(text)} characters are no time", field)
    told = _EXTRA_DIGITS.sub(r"\1", text.strip())
    told = _SLASHED.sub(lambda date: f"{date[1]}-{date[2]:0>2}-{date[3]:0>2}", told)
    if ":" in told[10:]:  # of a date alone the day is no offset
        told = _OFFSET.sub(lambda offset: f"{offset[1]}{offset[2]:0>2}:{offset[3]}", told)
    try:
        return datetime.fromisoformat(told)
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
