"""The typed tree of a predicate. The checker builds it; both back ends read it and nothing else.

Every node is frozen and hashable, so equal predicates of different rules are evaluated once per batch.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal


class Kind(Enum):
    """What a value is. ANY exists only for `extra.x` inside `has()`: elsewhere the context decides."""

    NUMBER = "a number"
    TEXT = "text"
    TRUTH = "true or false"
    ANY = "a value"


CompareOp = Literal["==", "!=", "<", "<=", ">", ">="]
ArithmeticOp = Literal["+", "-", "*", "/"]
TextTest = Literal["startsWith", "endsWith", "contains"]


@dataclass(frozen=True, slots=True)
class Field:
    """A value of an event: `attr` of the event (`scope` event) or of its data; `key` inside a map."""

    name: str
    scope: Literal["event", "data"]
    attr: str
    kind: Kind
    key: str | None = None
    choices: tuple[str, ...] = ()
    """The only texts the field may hold, where its type is an enumeration."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal."""

    value: float | str | bool
    kind: Kind


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Numbers combined; missing if either side is, and for a division by zero."""

    op: ArithmeticOp
    left: "Value"
    right: "Value"
    kind: Kind = Kind.NUMBER


Value = Field | Constant | Arithmetic


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values of one kind compared; unknown if either is missing."""

    op: CompareOp
    left: Value
    right: Value


@dataclass(frozen=True, slots=True)
class Among:
    """`value in [..]`; unknown if the value is missing."""

    value: Value
    options: tuple[float | str, ...]


@dataclass(frozen=True, slots=True)
class TextMatch:
    """`value.startsWith("…")` and its kind; unknown if either is missing."""

    test: TextTest
    value: Value
    part: Value


@dataclass(frozen=True, slots=True)
class Matches:
    """`value.matches("…")`: a regular expression anywhere in the text; unknown if missing."""

    value: Value
    pattern: str


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a field holds a value: never unknown."""

    field: Field


@dataclass(frozen=True, slots=True)
class Is:
    """A true-or-false field or literal used as a condition; unknown if missing."""

    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """Negation; unknown stays unknown."""

    inner: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    """`&&`: false if either side is, else unknown if either is."""

    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Either:
    """`||`: true if either side is, else unknown if either is."""

    left: "Condition"
    right: "Condition"


Condition = Compare | Among | TextMatch | Matches | Has | Is | Not | Both | Either

NEGATED: dict[CompareOp, CompareOp] = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
"""`!(a < b)` is `a >= b`: for missing values both are unknown, which is what makes the pairing exact."""
