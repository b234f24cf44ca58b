"""Reading a field of an event. Both back ends read through here, so they cannot disagree about a value.

Missing is NaN for numbers and None for everything else. A NaN a source sends is missing too.
"""

import math
from collections.abc import Callable
from operator import attrgetter

from ioc.model.events import Event
from ioc.rules.predicate.ast import Arithmetic, Constant, Field, Kind, Value

Reader = Callable[[Event], float | str | bool | None]
NumberReader = Callable[[Event], float]

NAN = math.nan


def as_number(raw: object) -> float:
    """Return `raw` as a float; NaN unless it is a finite-sized int or float."""
    if isinstance(raw, float):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        try:
            return float(raw)
        except OverflowError:
            return NAN
    return NAN


def as_text(raw: object) -> str | None:
    """Return `raw` if it is a text."""
    return raw if isinstance(raw, str) else None


def as_truth(raw: object) -> bool | None:
    """Return `raw` if it is true or false."""
    return raw if isinstance(raw, bool) else None


def as_present(raw: object) -> bool | None:
    """Return True where `raw` is any value at all (for has() of an extra field)."""
    return None if raw is None or raw != raw else True


def raw_reader(field: Field) -> Callable[[Event], object]:
    """Return the function that fetches the field's raw value, None where a map lacks the key."""
    path = attrgetter(field.attr if field.scope == "event" else f"data.{field.attr}")
    key = field.key
    return path if key is None else lambda event: path(event).get(key)


def field_reader(field: Field) -> Reader:
    """Return the function that reads `field` as its kind, missing as None or NaN."""
    raw = raw_reader(field)
    if field.kind is Kind.NUMBER:
        return lambda event: as_number(raw(event))
    if field.kind is Kind.TEXT:
        return lambda event: as_text(raw(event))
    if field.kind is Kind.TRUTH:
        return lambda event: as_truth(raw(event))
    return lambda event: as_present(raw(event))


def value_reader(value: Value) -> Reader:
    """Return the function that evaluates any value expression."""
    if isinstance(value, Constant):
        constant = value.value
        return lambda _: constant
    if isinstance(value, Arithmetic):
        return number_reader(value)
    return field_reader(value)


def number_reader(value: Value) -> NumberReader:
    """Return the function that evaluates a numeric expression; NaN where it is missing."""
    if isinstance(value, Constant):
        constant = float(value.value)
        return lambda _: constant
    if isinstance(value, Field):
        raw = raw_reader(value)
        return lambda event: as_number(raw(event))
    return _arithmetic(value)


def _arithmetic(node: Arithmetic) -> NumberReader:
    left, right = number_reader(node.left), number_reader(node.right)
    if node.op == "+":
        return lambda event: left(event) + right(event)
    if node.op == "-":
        return lambda event: left(event) - right(event)
    if node.op == "*":
        return lambda event: left(event) * right(event)

    def divide(event: Event) -> float:
        divisor = right(event)
        return left(event) / divisor if divisor else NAN

    return divide
