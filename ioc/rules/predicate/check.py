"""Types a raw tree: names become fields, kinds must fit, texts of an enumeration must exist."""

from dataclasses import replace
from typing import cast

from ioc.rules.errors import PredicateError, did_you_mean
from ioc.rules.predicate import syntax
from ioc.rules.predicate.ast import (
    Among,
    Arithmetic,
    ArithmeticOp,
    Both,
    Compare,
    CompareOp,
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
    TextTest,
    Value,
)
from ioc.rules.predicate.fields import FieldTable
from ioc.rules.predicate.regex import compile_regex

_TEXT_TESTS = ("startsWith", "endsWith", "contains")
_CALLS = (*_TEXT_TESTS, "matches")
_ARITHMETIC = ("+", "-", "*", "/")


class Checker:
    """Checks trees against one table of fields."""

    def __init__(self, table: FieldTable) -> None:
        self._table = table

    def condition(self, node: syntax.Node) -> Condition:
        """Return `node` as a condition.

        Raises:
            PredicateError: unknown name, wrong kind, or not a condition.
        """
        if isinstance(node, syntax.Unary) and node.op == "!":
            return Not(self.condition(node.inner))
        if isinstance(node, syntax.Binary):
            return self._relation(node)
        if isinstance(node, syntax.Call):
            return self._call(node)
        value = self.value(node, Kind.TRUTH)
        if value.kind is not Kind.TRUTH:
            raise PredicateError(
                f"expected a condition, found {value.kind.value}",
                syntax.start_of(node),
                "compare it, as in x > 1",
            )
        return Is(value)

    def value(self, node: syntax.Node, wanted: Kind) -> Value:
        """Return `node` as a value; an `extra` field takes the kind `wanted`."""
        if isinstance(node, syntax.Literal):
            return _constant(node.value)
        if isinstance(node, syntax.Name):
            field = self._table.resolve(node.parts, node.offset)
            return replace(field, kind=wanted) if field.kind is Kind.ANY else field
        if isinstance(node, syntax.Unary) and node.op == "-":
            return self._negative(node)
        if isinstance(node, syntax.Binary) and node.op in _ARITHMETIC:
            op = cast(ArithmeticOp, node.op)
            return Arithmetic(op, self._number(node.left), self._number(node.right))
        if isinstance(node, syntax.Null):
            raise PredicateError("null is no value to work with", node.offset, "as in field == null")
        raise PredicateError("a condition stands where a value is expected", syntax.start_of(node))

    def _number(self, node: syntax.Node) -> Value:
        value = self.value(node, Kind.NUMBER)
        if value.kind is not Kind.NUMBER:
            raise PredicateError(f"expected a number, found {value.kind.value}", syntax.start_of(node))
        return value

    def _negative(self, node: syntax.Unary) -> Value:
        inner = self._number(node.inner)
        if isinstance(inner, Constant):
            assert isinstance(inner.value, float)
            return Constant(-inner.value, Kind.NUMBER)
        return Arithmetic("-", Constant(0.0, Kind.NUMBER), inner)

    def _relation(self, node: syntax.Binary) -> Condition:
        if node.op == "&&":
            return Both(self.condition(node.left), self.condition(node.right))
        if node.op == "||":
            return Either(self.condition(node.left), self.condition(node.right))
        if node.op == "in":
            return self._among(node)
        if node.op in _ARITHMETIC:
            raise PredicateError(
                "expected a condition, found a number", syntax.start_of(node), "compare it, as in x > 1"
            )
        return self._compare(node)

    def _null(self, node: syntax.Binary) -> Has | Not:
        """Read `field == null` as !has(field): an absent field and one that is null are the same here."""
        named = node.left if isinstance(node.right, syntax.Null) else node.right
        if node.op not in ("==", "!=") or not isinstance(named, syntax.Name):
            raise PredicateError("null compares with a field by == or !=", node.offset, "as in field == null")
        present = Has(self._table.resolve(named.parts, named.offset))
        return Not(present) if node.op == "==" else present

    def _compare(self, node: syntax.Binary) -> Compare | Has | Not:
        if isinstance(node.left, syntax.Null) or isinstance(node.right, syntax.Null):
            return self._null(node)
        op = cast(CompareOp, node.op)
        left = self.value(node.left, Kind.ANY)
        right = self.value(node.right, left.kind)
        if left.kind is Kind.ANY:
            if right.kind is Kind.ANY:
                raise PredicateError(
                    "two extra fields have no known kind", node.offset, "compare each with a literal"
                )
            left = self.value(node.left, right.kind)
        if left.kind is not right.kind:
            raise PredicateError(
                f"compares {left.kind.value} with {right.kind.value}", node.offset, _quoting_hint(node.right)
            )
        if left.kind is not Kind.NUMBER and op not in ("==", "!="):
            raise PredicateError(f"{op} orders numbers only", node.offset, "texts compare with == and !=")
        _check_choice(left, right, node.right)
        _check_choice(right, left, node.left)
        return Compare(op, left, right)

    def _among(self, node: syntax.Binary) -> Among | Has:
        if isinstance(node.right, syntax.Name):
            return self._key(node.left, node.right)
        items = cast(syntax.Items, node.right).items
        if not items:
            raise PredicateError("the list is empty: nothing is in it", node.right.offset)
        kinds = [_constant(item.value).kind for item in items]
        value = self.value(node.left, kinds[0])
        for item, kind in zip(items, kinds, strict=True):
            if kind is not value.kind:
                raise PredicateError(f"the list needs {value.kind.value}, found {kind.value}", item.offset)
            _check_choice(value, _constant(item.value), item)
        return Among(value, tuple(cast("float | str", item.value) for item in items))

    def _key(self, node: syntax.Node, named: syntax.Name) -> Has:
        """Read `"bus" in counts` as has(counts.bus)."""
        hint = 'as in "bus" in counts, or lane in ["left", "right"]'
        if not (isinstance(node, syntax.Literal) and isinstance(node.value, str)):
            raise PredicateError("expected a quoted key before `in` and a map", syntax.start_of(node), hint)
        field = self._table.resolve((*named.parts, node.value), named.offset)
        if field.key is None:
            raise PredicateError(f"{named.parts[0]!r} is not a map", named.offset, hint)
        return Has(field)

    def _matches(self, node: syntax.Call) -> Matches:
        assert node.receiver is not None
        pattern = node.arguments[0] if len(node.arguments) == 1 else None
        if not (isinstance(pattern, syntax.Literal) and isinstance(pattern.value, str)):
            raise PredicateError(
                "matches takes one quoted pattern", node.offset, "as in plate.matches('^51')"
            )
        value = self._text(node.receiver)
        try:
            compile_regex(pattern.value)
        except PredicateError as error:
            raise PredicateError(error.message, pattern.offset + 1 + error.offset, error.suggestion) from None
        return Matches(value, pattern.value)

    def _call(self, node: syntax.Call) -> Condition:
        if node.receiver is None:
            return self._function(node)
        if node.function == "matches":
            return self._matches(node)
        if node.function not in _TEXT_TESTS:
            hint = did_you_mean(node.function, _CALLS) or f"known: {', '.join(_CALLS)}"
            raise PredicateError(f"unknown test {node.function!r}", node.offset, hint)
        if len(node.arguments) != 1:
            raise PredicateError(f"{node.function} takes one text", node.offset)
        value, part = self._text(node.receiver), self._text(node.arguments[0])
        return TextMatch(cast(TextTest, node.function), value, part)

    def _text(self, node: syntax.Node) -> Value:
        value = self.value(node, Kind.TEXT)
        if value.kind is not Kind.TEXT:
            raise PredicateError(f"expected text, found {value.kind.value}", syntax.start_of(node))
        return value

    def _function(self, node: syntax.Call) -> Has:
        if node.function != "has":
            hint = did_you_mean(node.function, ("has", *_CALLS)) or "known: has(field)"
            raise PredicateError(f"unknown function {node.function!r}", node.offset, hint)
        if len(node.arguments) != 1 or not isinstance(node.arguments[0], syntax.Name):
            raise PredicateError("has() takes one field", node.offset, "as in has(speed_kmh)")
        name = node.arguments[0]
        return Has(self._table.resolve(name.parts, name.offset))


def _constant(value: float | str | bool) -> Constant:
    if isinstance(value, bool):
        return Constant(value, Kind.TRUTH)
    return Constant(value, Kind.NUMBER if isinstance(value, float) else Kind.TEXT)


def _quoting_hint(node: syntax.Node) -> str | None:
    return (
        "numbers take no quotes" if isinstance(node, syntax.Literal) and isinstance(node.value, str) else None
    )


def _check_choice(field: Value, value: Value, node: syntax.Node) -> None:
    if not (isinstance(field, Field) and field.choices and isinstance(value, Constant)):
        return
    if value.value not in field.choices:
        hint = did_you_mean(str(value.value), field.choices) or f"known: {', '.join(field.choices)}"
        raise PredicateError(f"{field.name} is never {value.value!r}", node.offset, hint)
