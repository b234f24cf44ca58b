"""Back end for single events: a condition becomes a tree of small functions. No `eval`.

`Not` is pushed down to the leaves (`positive` False compiles "is false"), so a missing value, which makes a
leaf neither true nor false, needs no third value at run time.
"""

import operator
from collections.abc import Callable

from ioc.model.events import Event
from ioc.rules.predicate.ast import (
    NEGATED,
    Among,
    Both,
    Compare,
    CompareOp,
    Condition,
    Either,
    Has,
    Is,
    Kind,
    Matches,
    Not,
    TextMatch,
)
from ioc.rules.predicate.regex import compile_regex
from ioc.rules.predicate.values import field_reader, number_reader, value_reader

Test = Callable[[Event], bool]

_ORDER: dict[CompareOp, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compile_closure(condition: Condition, *, positive: bool = True) -> Test:
    """Return a function telling whether an event makes `condition` true (or, not `positive`, false)."""
    if isinstance(condition, Not):
        return compile_closure(condition.inner, positive=not positive)
    if isinstance(condition, Both | Either):
        left = compile_closure(condition.left, positive=positive)
        right = compile_closure(condition.right, positive=positive)
        if isinstance(condition, Both) is positive:
            return lambda event: left(event) and right(event)
        return lambda event: left(event) or right(event)
    if isinstance(condition, Compare):
        return _compare(condition, positive)
    if isinstance(condition, Among):
        return _among(condition, positive)
    if isinstance(condition, TextMatch):
        return _text(condition, positive)
    if isinstance(condition, Matches):
        return _matches(condition, positive)
    if isinstance(condition, Has):
        return _has(condition, positive)
    return _is(condition, positive)


def _compare(node: Compare, positive: bool) -> Test:
    op = node.op if positive else NEGATED[node.op]
    if node.left.kind is Kind.NUMBER:
        number, other = number_reader(node.left), number_reader(node.right)
        if op == "!=":
            # NaN != NaN is true; two orderings are false for anything missing
            return lambda event: (a := number(event)) < (b := other(event)) or a > b
        test = _ORDER[op]
        return lambda event: test(number(event), other(event))
    left, right = value_reader(node.left), value_reader(node.right)
    if op == "==":
        return lambda event: (a := left(event)) is not None and a == right(event)
    return lambda event: (a := left(event)) is not None and (b := right(event)) is not None and a != b


def _among(node: Among, positive: bool) -> Test:
    read, options = value_reader(node.value), frozenset(node.options)
    if positive:
        return lambda event: read(event) in options
    if node.value.kind is Kind.NUMBER:
        return lambda event: (a := read(event)) == a and a not in options
    return lambda event: (a := read(event)) is not None and a not in options


def _text(node: TextMatch, positive: bool) -> Test:
    read, part = value_reader(node.value), value_reader(node.part)
    name = node.test

    def test(event: Event) -> bool:
        text, piece = read(event), part(event)
        if text is None or piece is None:
            return False
        return matches_text(name, str(text), str(piece)) is positive

    return test


def _matches(node: Matches, positive: bool) -> Test:
    read, search = value_reader(node.value), compile_regex(node.pattern).search
    return lambda event: (a := read(event)) is not None and search(str(a)) is positive


def matches_text(test: str, text: str, piece: str) -> bool:
    """Return whether `text` starts with, ends with or contains `piece`."""
    if test == "startsWith":
        return text.startswith(piece)
    return text.endswith(piece) if test == "endsWith" else piece in text


def _has(node: Has, positive: bool) -> Test:
    read = field_reader(node.field)
    if node.field.kind is Kind.NUMBER:
        return lambda event: ((a := read(event)) == a) is positive
    return lambda event: (read(event) is not None) is positive


def _is(node: Is, positive: bool) -> Test:
    read = value_reader(node.value)
    return lambda event: read(event) is positive
