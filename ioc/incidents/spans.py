"""Names and lengths of time as policies write them."""

import re
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from ioc.model.times import DAY_US, SECOND_US

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
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
