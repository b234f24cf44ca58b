"""The small notations of rule tests: relative times and series of values."""

import re
from typing import Any, Final

from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US

MAX_STEPS: Final = 10_000
_UNITS_US = {"ms": 1_000, "s": SECOND_US, "m": MINUTE_US, "h": HOUR_US}
_AMOUNT = r"[0-9]{1,9}(?:\.[0-9]+)?"
_TIME = re.compile(rf"(?P<sign>-?)(?P<parts>(?:{_AMOUNT}(?:ms|s|m|h))+)")
_PART = re.compile(rf"({_AMOUNT})(ms|s|m|h)")
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]+)?"
_RUN = re.compile(
    rf"(?P<value>-?{_NUMBER}|true|false|null|_)(?:(?P<step>[+-]{_NUMBER})?x(?P<times>[0-9]{{1,9}}))?"
)
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "_": ...}


def relative_us(text: str) -> int:
    """Return microseconds of `0`, `90s`, `1m30s`, `-5s`, `1m0.25s`.

    Raises:
        ValueError: another form.
    """
    if text.strip() == "0":
        return 0
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a time from the start such as 90s or 1m30s, found {text!r}")
    found = sum(round(float(number) * _UNITS_US[unit]) for number, unit in _PART.findall(match["parts"]))
    return -found if match["sign"] else found


def show_us(time_us: int) -> str:
    """Return a relative time as `90s` or `-1.25s`."""
    return f"{time_us / SECOND_US:.6f}".rstrip("0").rstrip(".") + "s"


def parse_series(text: str) -> list[Any]:
    """Return the values of a series; a text that is no series is its own only value.

    `12` is one value, `12x6` six times 12, `10+5x4` 10 15 20 25, `30-2x3` 30 28 26; `null` is an event
    without the value, `_` no event at this step, `_x3` none at three. Words are separated by spaces. Unlike
    promtool's, `x6` makes six values, not seven.

    Raises:
        ValueError: too long.
    """
    matches = [_RUN.fullmatch(word) for word in text.split()]
    if not matches or None in matches:
        return [text]
    found: list[Any] = []
    for match in matches:
        assert match is not None
        found += _run(match)
        if len(found) > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS} values")
    return found


def _run(match: re.Match[str]) -> list[Any]:
    value, step, times = match["value"], match["step"], int(match["times"] or 1)
    if times > MAX_STEPS:
        raise ValueError(f"more than {MAX_STEPS} values")
    if value in _WORDS:
        if step is not None:
            raise ValueError(f"{match[0]!r}: only numbers can rise")
        return [_WORDS[value]] * times
    if step is None:
        return [_number(value)] * times
    return [round(_number(value) + number * _number(step), 9) for number in range(times)]


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)
