"""Reads `having`: a function over a window, a threshold, and how the window runs.

    count >= 3 within 60s                              the last 60 s at every moment (sliding)
    p95(speed_kmh) > 60 within 5m tumbling             windows of 5 min side by side, judged when they close
    avg(speed_kmh) < 15 within 5m, at least 10         no value from fewer than 10 events
    ewma_z(speed_kmh) <= -4 within 1h, at least 60     deviations from what is usual, learnt over an hour
    ewma_z(speed_kmh) <= -4 within 1h, after 2h        no verdict in a key's first two hours

`rate` is events per minute; p50 and p95 are nearest-rank; `stddev` is of a sample (n - 1).
"""

import math
import re
from typing import Final, cast, get_args

from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.rules.errors import PredicateError, did_you_mean
from ioc.rules.predicate import compile_expression
from ioc.rules.predicate.ast import Kind, Value
from ioc.rules.rule import BoundOp, Function, Having
from ioc.rules.windows import MAX_DISTINCT, MAX_SAMPLES

MAX_WINDOW_US: Final = 24 * HOUR_US
MIN_WINDOW_US: Final = SECOND_US
FUNCTIONS: Final[tuple[str, ...]] = get_args(Function)
COUNTING: Final = ("count", "rate", "distinct")
DEFAULT_WARM_UP: Final = 30
"""Readings `ewma_z` learns from before it judges."""
DEFAULT_REFRACTORY_US: Final = 10 * MINUTE_US
SAMPLING: Final = ("p50", "p95", "stddev")

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]+)?)\s*(ms|s|m|h)")
_UNITS_US = {"ms": 1_000, "s": SECOND_US, "m": MINUTE_US, "h": HOUR_US}
_HAVING = re.compile(
    r"\s*(?P<function>\w+)\s*(?:\((?P<argument>.*)\))?\s*(?P<op>>=|<=|==|!=|=|>|<)\s*"
    r"(?P<threshold>\S+)\s+within\s+(?P<window>.*?)(?:\s+(?P<tumbling>tumbling))?"
    r"(?:\s*,\s*at\s+least\s+(?P<samples>.*?))?(?:\s*,\s*after\s+(?P<warm_up>.*?))?\s*"
)


def duration_us(text: str) -> int:
    """Return microseconds of `90s`, `5m`, `2h`, `500ms`.

    Raises:
        ValueError: another form; the message says what is expected.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a duration such as 90s, 5m or 2h, found {text!r}")
    return round(float(match.group(1)) * _UNITS_US[match.group(2)])


def read_having(text: str, types: tuple[str, ...]) -> Having:
    """Return the condition `text` on a window over events of `types`.

    Raises:
        PredicateError: not such a condition; carries the offset in `text` and a suggestion.
    """
    match = _HAVING.fullmatch(text)
    if match is None:
        raise PredicateError(
            "expected `function op number within duration`", 0, "as in count >= 3 within 60s"
        )
    function, argument = match["function"], match["argument"]
    if function not in FUNCTIONS:
        hint = did_you_mean(function, FUNCTIONS) or f"known: {', '.join(FUNCTIONS)}"
        raise PredicateError(f"unknown function {function!r}", match.start("function"), hint)
    if match["op"] in ("=", "==", "!="):
        hint = "silence is `absence: 5m`" if function == "count" else "use >= > <= <"
        raise PredicateError(f"{match['op']} never holds for long", match.start("op"), hint)
    threshold = number_of(match["threshold"])
    if threshold is None:
        raise PredicateError(f"expected a number, found {match['threshold']!r}", match.start("threshold"))
    if function == "distinct" and threshold > MAX_DISTINCT:
        raise PredicateError(
            f"distinct counts to {MAX_DISTINCT:,}, this never holds", match.start("threshold"), "ask for less"
        )
    return Having(
        " ".join(text.split()),
        cast(Function, function),
        _argument(function, argument, match, types),
        cast(BoundOp, match["op"]),
        threshold,
        _window_us(match),
        match["tumbling"] is not None,
        _samples(function, match),
        _warm_up_us(function, match),
    )


def _samples(function: str, match: re.Match[str]) -> int:
    text = match["samples"]
    if function == "ewma_z" and match["tumbling"]:
        raise PredicateError("ewma_z slides", match.start("tumbling"), "leave out tumbling")
    if text is None:
        return DEFAULT_WARM_UP if function == "ewma_z" else 0
    at = match.start("samples")
    if function in COUNTING:
        raise PredicateError(f"{function} is itself a number of events", at, "raise its threshold")
    most = MAX_SAMPLES if function in SAMPLING else 100_000
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise PredicateError(f"expected 1 to {most} events, found {text!r}", at, "as in , at least 10")
    return int(text)


def _warm_up_us(function: str, match: re.Match[str]) -> int:
    text = match["warm_up"]
    if text is None:
        return 0
    at = match.start("warm_up")
    if function != "ewma_z":
        raise PredicateError(f"{function} has nothing to learn", at, "`after` is for ewma_z")
    try:
        warm_up = duration_us(text)
    except ValueError as error:
        raise PredicateError(str(error), at, "as in , after 2h") from None
    if warm_up > MAX_WINDOW_US:
        raise PredicateError("after: longer than 24 h", at)
    return warm_up


def _argument(function: str, text: str | None, match: re.Match[str], types: tuple[str, ...]) -> Value | None:
    if function in ("count", "rate"):
        if text is not None and text.strip():
            raise PredicateError(
                f"{function} takes no argument", match.start("argument"), "filter with `where`"
            )
        return None
    if text is None or not text.strip():
        raise PredicateError(
            f"{function} needs a field", match.end("function"), f"as in {function}({_example(function)})"
        )
    try:
        value = compile_expression(text, types, Kind.TEXT if function == "distinct" else Kind.NUMBER)
    except PredicateError as error:
        raise PredicateError(
            error.message, match.start("argument") + error.offset, error.suggestion
        ) from None
    if function != "distinct" and value.kind is not Kind.NUMBER:
        raise PredicateError(f"{function} needs a number, found {value.kind.value}", match.start("argument"))
    return value


def _example(function: str) -> str:
    return "plate" if function == "distinct" else "speed_kmh"


def _window_us(match: re.Match[str]) -> int:
    try:
        window = duration_us(match["window"])
    except ValueError as error:
        raise PredicateError(str(error), match.start("window")) from None
    if not MIN_WINDOW_US <= window <= MAX_WINDOW_US:
        raise PredicateError("a window is between 1 s and 24 h", match.start("window"))
    return window


def number_of(text: str) -> float | None:
    """Return the finite number written in `text`, None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
