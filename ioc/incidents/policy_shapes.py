"""What every policy is made of: the base of its structs, the texts in them, and how one is refused."""

import re
from collections.abc import Iterable
from operator import itemgetter
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from ioc.model.times import DAY_US, SECOND_US

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Span = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(s|m|h|d|wd)$")]
"""A length of time: 90s, 5m, 2h, 1d, or 10wd for working days."""
Offset = Annotated[str, Meta(pattern=r"^-?[0-9]{1,6}(s|m|h|d)$")]
"""A moment seen from a due date: -10m is before it, 0s is the due date itself."""

_UNITS_US: Final = {
    "s": SECOND_US,
    "m": 60 * SECOND_US,
    "h": 3600 * SECOND_US,
    "d": DAY_US,
    "wd": DAY_US,
}
_SPAN: Final = re.compile(r"(-?[0-9]+)(s|m|h|d|wd)")


class Length(NamedTuple):
    """A length of time; `working` counts on the working calendar only."""

    us: int
    working: bool


def length_of(text: str) -> Length:
    """Return what a span or an offset says."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no length of time, such as 90s, 5m, 2h, 1d or 10wd")
    return Length(int(match[1]) * _UNITS_US[match[2]], match[2] == "wd")


def nearness_of(row: str | None, category: str) -> int | None:
    """Tell how particularly a row speaks of a category; None where it does not.

    2: of it, 1: of what it belongs to (`citizen` of `citizen.light`), 0: of every one (`row` None).
    """
    if row is None:
        return 0
    if row == category:
        return 2
    return 1 if category.startswith(row + ".") else None


def most_particular(stated: Iterable[tuple[int, str]]) -> str | None:
    """Return what the row of the highest rank states, of equal ones the first; None where none does."""
    return max(stated, key=itemgetter(0), default=(0, None))[1]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rows are shown without what they leave open, policies whole."""


class PolicyError(ValueError):
    """A policy that cannot be; `field` is at fault by `rule`."""

    def __init__(self, field: str, rule: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.field = field
        self.rule = rule
        self.detail = detail


def check_elapsed(field: str, text: str | None) -> None:
    """Raise PolicyError where a span that runs day and night is told in working days."""
    if text and length_of(text).working:
        raise PolicyError(field, "elapsed", "runs day and night: expected s, m, h or d")
