"""The predicate language: a CEL subset, typed against the fields of the event types it is for.

    speed_kmh < 15 && occupancy > 0.35
    kind in ["wrong_way", "red_light"] && confidence >= 0.6 && !(zone.startsWith("test-"))
    plate.matches("^51[A-Z]") || "bus" in counts || zone == null
    has(extra.depth_cm) && extra.depth_cm * 2 >= 40

A missing value makes a comparison *unknown*. Unknown passes through `!`, and through `&&` and `||` unless the
other side decides (`false && unknown` is false, `true || unknown` is true). A predicate holds only when it is
true; unknown is not true. `has(x)` is never unknown. NaN counts as missing, a division by zero gives missing.
As in CEL an absent field is an error that `&&` and `||` may absorb. An absent field and one that is null are
the same, because the wire makes them so: `x == null` is `!has(x)`, and `x != 3` is unknown for both.
`matches` is linear in the text (`regex`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ioc.model.events import Event
from ioc.rules.errors import PredicateError
from ioc.rules.predicate.ast import Condition, Kind, Value
from ioc.rules.predicate.check import Checker
from ioc.rules.predicate.closure import Test, compile_closure
from ioc.rules.predicate.fields import FieldTable
from ioc.rules.predicate.mask import Columns, Mask, MaskFunction, compile_mask
from ioc.rules.predicate.syntax import parse

__all__ = [
    "Checker",
    "Columns",
    "FieldTable",
    "Mask",
    "Predicate",
    "PredicateError",
    "compile_expression",
    "compile_predicate",
]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A checked predicate with both its compilations."""

    text: str
    types: tuple[str, ...]
    condition: Condition
    test: Test = field(compare=False, repr=False)
    mask: MaskFunction = field(compare=False, repr=False)

    def __call__(self, event: Event) -> bool:
        """Return whether `event` makes the predicate true."""
        return self.test(event)


def compile_predicate(text: str, types: Sequence[str], table: FieldTable | None = None) -> Predicate:
    """Return the predicate `text` over events of `types`.

    Raises:
        PredicateError: `text` is not a predicate over those types; carries the offset and a suggestion.
    """
    condition = Checker(table or FieldTable(types)).condition(parse(text))
    return Predicate(text, tuple(types), condition, compile_closure(condition), compile_mask(condition))


def compile_expression(text: str, types: Sequence[str], wanted: Kind = Kind.NUMBER) -> Value:
    """Return the value expression `text`, e.g. the argument of `avg(…)`.

    Raises:
        PredicateError: not an expression over those types.
    """
    return Checker(FieldTable(types)).value(parse(text), wanted)
