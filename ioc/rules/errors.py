"""Errors of this package.

RuleError       one finding in a rule file: where, what was expected, what may have been meant (data)
InvalidRules    raised by `load` and `compile_rules`: every finding at once
PredicateError  raised by the predicate language: an offset in its text; becomes a RuleError in a file
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class RuleError:
    """One finding. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class InvalidRules(Exception):
    """The rule files cannot be used; `errors` holds every finding in file order."""

    def __init__(self, errors: Iterable[RuleError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda e: (e.file, e.line, e.column)))
        super().__init__("\n".join(map(str, self.errors)))


class PredicateError(ValueError):
    """A predicate is wrong at `offset` (0-based character) of its text."""

    def __init__(self, message: str, offset: int, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return "did you mean …?" for the nearest of `known`, or None where nothing is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if not near:
        near = [name for name in by_folded if name.startswith(word.casefold()) and len(word) > 1][:1]
    return f"did you mean {by_folded[near[0]]!r}?" if near else None
