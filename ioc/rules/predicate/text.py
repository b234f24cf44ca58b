"""A condition as one would write it."""

from ioc.rules.predicate.ast import (
    Among,
    Both,
    Compare,
    Condition,
    Constant,
    Either,
    Field,
    Has,
    Matches,
    Not,
    TextMatch,
    Value,
)  # fmt: skip

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"})


def render(node: Condition) -> str:
    """Return a condition as one would write it."""
    if isinstance(node, Both | Either):
        sign = "&&" if isinstance(node, Both) else "||"
        return " ".join((_inner(node.left, node), sign, _inner(node.right, node)))
    if isinstance(node, Not):
        return f"!({render(node.inner)})"
    if isinstance(node, Compare):
        return f"{_value(node.left)} {node.op} {_value(node.right)}"
    if isinstance(node, Among):
        return f"{_value(node.value)} in [{', '.join(map(_literal, node.options))}]"
    if isinstance(node, TextMatch):
        return f"{_value(node.value)}.{node.test}({_value(node.part)})"
    if isinstance(node, Matches):
        return f"{_value(node.value)}.matches({_literal(node.pattern)})"
    if isinstance(node, Has):
        return f"has({node.field.name})"
    return _value(node.value)


def _inner(node: Condition, outer: Both | Either) -> str:
    text = render(node)
    return f"({text})" if isinstance(node, Both | Either) and type(node) is not type(outer) else text


def _value(value: Value) -> str:
    if isinstance(value, Field):
        return value.name
    if isinstance(value, Constant):
        return _literal(value.value)
    return f"({_value(value.left)} {value.op} {_value(value.right)})"


def _literal(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return repr(float(value)).removesuffix(".0")
