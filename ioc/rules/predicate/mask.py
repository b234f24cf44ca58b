"""Back end for batches: a condition over columns becomes one boolean array.

The same two compilations ("is true", "is false") as the closure back end; a property test shows them equal.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ioc.rules.predicate.ast import (
    NEGATED,
    Among,
    Arithmetic,
    Both,
    Compare,
    Condition,
    Constant,
    Either,
    Field,
    Has,
    Is,
    Kind,
    Matches,
    Not,
    TextMatch,
    Value,
)
from ioc.rules.predicate.closure import matches_text
from ioc.rules.predicate.regex import compile_regex

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
Objects = Sequence[Any]
"""Texts or truths, None where missing."""


class Columns(Protocol):
    """Columns of events of one rule's types."""

    @property
    def size(self) -> int:
        """Events."""

    def numbers(self, field: Field) -> Numbers:
        """Return the field as float64, NaN where missing."""

    def objects(self, field: Field) -> Objects:
        """Return the field's texts or truths, None where missing."""


MaskFunction = Callable[[Columns], Mask]


def compile_mask(condition: Condition, *, positive: bool = True) -> MaskFunction:
    """Return a function from columns to the mask of events that make `condition` true (or false)."""
    if isinstance(condition, Not):
        return compile_mask(condition.inner, positive=not positive)
    if isinstance(condition, Both | Either):
        left = compile_mask(condition.left, positive=positive)
        right = compile_mask(condition.right, positive=positive)
        if isinstance(condition, Both) is positive:
            return lambda columns: left(columns) & right(columns)
        return lambda columns: left(columns) | right(columns)
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


def _numbers(value: Value) -> Callable[[Columns], Numbers]:
    if isinstance(value, Constant):
        constant = np.float64(value.value)
        return lambda columns: np.full(columns.size, constant)
    if isinstance(value, Field):
        return lambda columns: columns.numbers(value)
    return _arithmetic(value)


def _arithmetic(node: Arithmetic) -> Callable[[Columns], Numbers]:
    left, right = _numbers(node.left), _numbers(node.right)

    def compute(columns: Columns) -> Numbers:
        a, b = left(columns), right(columns)
        with np.errstate(all="ignore"):
            if node.op == "+":
                return a + b
            if node.op == "-":
                return a - b
            if node.op == "*":
                return a * b
            return np.where(b == 0, np.nan, a / b)

    return compute


def _objects(value: Value) -> Callable[[Columns], Objects]:
    if isinstance(value, Constant):
        constant = value.value
        return lambda columns: [constant] * columns.size
    assert isinstance(value, Field)
    return lambda columns: columns.objects(value)


def _compare(node: Compare, positive: bool) -> MaskFunction:
    op = node.op if positive else NEGATED[node.op]
    if node.left.kind is not Kind.NUMBER:
        return _compare_objects(node, equal=op == "==")
    left, right = _operand(node.left), _operand(node.right)
    if op == "==":
        return lambda columns: np.equal(left(columns), right(columns)) & _all(columns)
    if op == "!=":
        return lambda columns: _differs(left(columns), right(columns)) & _all(columns)
    order = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[op]
    if isinstance(node.left, Constant) and isinstance(node.right, Constant):
        return lambda columns: order(left(columns), right(columns)) & _all(columns)
    return lambda columns: order(left(columns), right(columns))


def _operand(value: Value) -> Callable[[Columns], Numbers | np.float64]:
    if isinstance(value, Constant):
        constant = np.float64(value.value)
        return lambda _: constant
    return _numbers(value)


def _differs(a: Numbers | np.float64, b: Numbers | np.float64) -> Mask:
    result: Mask = np.less(a, b) | np.greater(a, b)  # NaN != NaN would be true
    return result


def _all(columns: Columns) -> Mask:
    return np.ones(columns.size, dtype=np.bool_)


def _compare_objects(node: Compare, *, equal: bool) -> MaskFunction:
    left, right = _objects(node.left), _objects(node.right)

    def compute(columns: Columns) -> Mask:
        pairs = zip(left(columns), right(columns), strict=True)
        if equal:
            found = (a is not None and a == b for a, b in pairs)
        else:
            found = (a is not None and b is not None and a != b for a, b in pairs)
        return np.fromiter(found, np.bool_, columns.size)

    if isinstance(node.left, Field) and isinstance(node.right, Constant):
        return _compare_constant(node.left, node.right.value, equal=equal)
    return compute


def _compare_constant(field: Field, constant: float | str | bool, *, equal: bool) -> MaskFunction:
    if equal:
        return lambda columns: np.fromiter(
            [a == constant for a in columns.objects(field)], np.bool_, columns.size
        )
    return lambda columns: np.fromiter(
        [a is not None and a != constant for a in columns.objects(field)], np.bool_, columns.size
    )


def _among(node: Among, positive: bool) -> MaskFunction:
    options = frozenset(node.options)
    if node.value.kind is Kind.NUMBER:
        read, listed = _numbers(node.value), np.array(sorted(options), dtype=np.float64)
        if positive:
            return lambda columns: np.isin(read(columns), listed)
        return lambda columns: ~np.isin(a := read(columns), listed) & ~np.isnan(a)
    objects = _objects(node.value)
    if positive:
        return lambda columns: np.fromiter([a in options for a in objects(columns)], np.bool_, columns.size)
    return lambda columns: np.fromiter(
        [a is not None and a not in options for a in objects(columns)], np.bool_, columns.size
    )


def _text(node: TextMatch, positive: bool) -> MaskFunction:
    read, part = _objects(node.value), _objects(node.part)

    def compute(columns: Columns) -> Mask:
        found = (
            text is not None and piece is not None and matches_text(node.test, text, piece) is positive
            for text, piece in zip(read(columns), part(columns), strict=True)
        )
        return np.fromiter(found, np.bool_, columns.size)

    return compute


def _matches(node: Matches, positive: bool) -> MaskFunction:
    read, search = _objects(node.value), compile_regex(node.pattern).search
    return lambda columns: np.fromiter(
        [a is not None and search(a) is positive for a in read(columns)], np.bool_, columns.size
    )


def _has(node: Has, positive: bool) -> MaskFunction:
    field = node.field
    if field.kind is Kind.NUMBER:
        if positive:
            return lambda columns: ~np.isnan(columns.numbers(field))
        return lambda columns: np.isnan(columns.numbers(field))
    return lambda columns: np.fromiter(
        [(a is not None) is positive for a in columns.objects(field)], np.bool_, columns.size
    )


def _is(node: Is, positive: bool) -> MaskFunction:
    read = _objects(node.value)
    return lambda columns: np.fromiter([a is positive for a in read(columns)], np.bool_, columns.size)
