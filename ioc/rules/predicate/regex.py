r"""Regular expressions in linear time: the useful part of RE2's syntax, run by a DFA of our own.

    a . [abc] [^a-z] \d \w \s \D \W \S \. ( ) (?: ) | * + ? {2} {2,} {2,5} ^ $    (?i) at the beginning

As in RE2 and CEL, a match may lie anywhere in the text, `.` is anything but a newline, `^` and `$` are the
ends of the text, `\d \w \s` are ASCII. There are no back references and no look-around, so the work is at
most text length × `MAX_STATES`, whatever the pattern. Bounds: `MAX_PATTERN` characters, `MAX_STATES` states
after `{n,m}` are written out, counts to `MAX_REPEAT`; a pattern beyond them is refused when the rule is read.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from ioc.rules.errors import PredicateError

MAX_PATTERN: Final = 200
MAX_STATES: Final = 500
MAX_REPEAT: Final = 100
MAX_NESTING: Final = 20
_MAX_CACHED: Final = 5_000
"""Steps remembered per pattern; beyond it they are worked out anew."""

Accepts = Callable[[str], bool]
# ("char", accepts) ("cat", nodes) ("or", nodes) ("repeat", node, least, most or None) ("start",) ("end",)
_Node = tuple[object, ...]

_CLASSES: Final[dict[str, Accepts]] = {
    "d": lambda c: "0" <= c <= "9",
    "w": lambda c: c == "_" or (c.isascii() and c.isalnum()),
    "s": lambda c: c in " \t\n\r\f\v",
}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r"}


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0
        self._fold = pattern.startswith("(?i)")
        if self._fold:
            self._at = 4

    def parse(self) -> _Node:
        node = self._either()
        if self._at < len(self._text):
            raise PredicateError(
                "')' closes nothing in the pattern", self._at, "write \\\\) for the character"
            )
        return node

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        letter = self._peek()
        self._at += 1
        return letter

    def _either(self) -> _Node:
        options = [self._sequence()]
        while self._peek() == "|":
            self._take()
            options.append(self._sequence())
        return options[0] if len(options) == 1 else ("or", options)

    def _sequence(self) -> _Node:
        nodes: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            nodes.append(self._repeated())
        return ("cat", nodes)

    def _repeated(self) -> _Node:
        node, times = self._atom(), 0
        while (sign := self._peek()) in ("*", "+", "?") or (sign == "{" and self._counts()):
            start = self._at
            least, most = self._range()
            if times and sign != "?":  # `a+?` only says which match is preferred; here there is no choice
                raise PredicateError("a repetition is repeated in the pattern", start, "use parentheses")
            if not (times and sign == "?"):
                node = ("repeat", node, least, most)
            times += 1
        return node

    def _counts(self) -> bool:
        return self._text[self._at + 1 : self._at + 2].isdigit()

    def _range(self) -> tuple[int, int | None]:
        start, sign = self._at, self._take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        end = self._text.find("}", start)
        low, comma, high = self._text[start + 1 : max(end, start + 1)].partition(",")
        if end < 0 or not _is_count(low) or (high and not _is_count(high)):
            raise PredicateError("expected {2}, {2,} or {2,5} in the pattern", start)
        self._at = end + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise PredicateError(f"a repetition counts up to {MAX_REPEAT}, least first", start)
        return least, most

    def _atom(self) -> _Node:
        start, letter = self._at, self._take()
        if letter == "(":
            return self._group(start)
        if letter == "[":
            return ("char", self._set(start))
        if letter == "\\":
            return ("char", self._escape(start))
        if letter in "*+?":
            raise PredicateError(f"{letter!r} repeats nothing in the pattern", start)
        if letter in "^$":
            return ("start",) if letter == "^" else ("end",)
        return ("char", (lambda c: c != "\n") if letter == "." else self._literal(letter))

    def _group(self, start: int) -> _Node:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise PredicateError("(?…) is not part of the patterns here", start, "only (?:…), or (?i) first")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PredicateError(f"the pattern is nested deeper than {MAX_NESTING}", start)
        node = self._either()
        self._depth -= 1
        if self._take() != ")":
            raise PredicateError("a parenthesis is not closed in the pattern", start)
        return node

    def _literal(self, letter: str) -> Accepts:
        if self._fold:
            folded = letter.casefold()
            return lambda c: c.casefold() == folded
        return lambda c: c == letter

    def _escape(self, start: int) -> Accepts:
        letter = self._take()
        if letter.lower() in _CLASSES and letter:
            inner = _CLASSES[letter.lower()]
            return inner if letter.islower() else lambda c: not inner(c)
        if letter in _CONTROLS:
            return self._literal(_CONTROLS[letter])
        if not letter or letter.isalnum():
            raise PredicateError(f"\\{letter} is not part of the patterns here", start, "\\d \\w \\s are")
        return self._literal(letter)

    def _set(self, start: int) -> Accepts:
        negative = self._peek() == "^"
        if negative:
            self._take()
        tests: list[Accepts] = []
        while self._peek() != "]" or not tests:
            at, letter = self._at, self._take()
            if not letter:
                raise PredicateError("a [set] is not closed in the pattern", start)
            if letter == "\\" and self._peek().lower() in _CLASSES:
                tests.append(self._escape(at))
            else:
                tests.append(self._interval(at, letter))
        self._take()
        return lambda c: any(test(c) for test in tests) is not negative

    def _interval(self, at: int, letter: str) -> Accepts:
        low = self._one(at, letter)
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("", "]"):
            return self._literal(low)
        self._take()
        high = self._one(self._at, self._take())
        if high < low:
            raise PredicateError(f"{low}-{high} is empty in the pattern", at, f"write {high}-{low}")
        if self._fold:
            return lambda c: low <= c.lower() <= high or low <= c.upper() <= high
        return lambda c: low <= c <= high

    def _one(self, at: int, letter: str) -> str:
        if letter != "\\":
            return letter
        escaped = self._take()
        if not escaped or (escaped.isalnum() and escaped not in _CONTROLS):
            raise PredicateError(f"\\{escaped} is not part of the patterns here", at, "\\d \\w \\s are")
        return _CONTROLS.get(escaped, escaped)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3


class Regex:
    """One pattern: an NFA whose sets of states are worked out when first met (a lazy DFA)."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise PredicateError(f"the pattern is longer than {MAX_PATTERN} characters", MAX_PATTERN)
        self.pattern = pattern
        self._accepts: list[Accepts | None] = [None]
        """By state: what it consumes; None for those that consume nothing. State 0 is the match."""
        self._next: list[list[int]] = [[]]
        self._needs: list[str] = [""]
        """By state: "start" or "end" where it can be passed only there."""
        self._begin = self._build(_Parser(pattern).parse(), 0)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def search(self, text: str) -> bool:
        """Return whether the pattern matches anywhere in `text`."""
        steps = self._steps
        states = self._closure([self._begin], start=True)
        for letter in text:
            if 0 in states:
                return True
            following = steps.get((states, letter))
            if following is None:
                if len(steps) >= _MAX_CACHED:
                    steps.clear()
                following = steps[states, letter] = self._step(states, letter)
            states = following
        return 0 in self._closure(states, start=not text, end=True)

    def _step(self, states: frozenset[int], letter: str) -> frozenset[int]:
        reached = [self._begin]
        for state in states:
            accepts = self._accepts[state]
            if accepts is not None and accepts(letter):
                reached += self._next[state]
        return self._closure(reached)

    def _closure(self, states: Iterable[int], *, start: bool = False, end: bool = False) -> frozenset[int]:
        found: set[int] = set()
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            need = self._needs[state]
            if self._accepts[state] is None and not (
                (need == "start" and not start) or (need == "end" and not end)
            ):
                waiting += self._next[state]
        return frozenset(found)

    def _state(self, following: list[int], accepts: Accepts | None = None, needs: str = "") -> int:
        if len(self._next) >= MAX_STATES:
            raise PredicateError(f"the pattern needs more than {MAX_STATES} states", 0, "repeat less")
        self._accepts.append(accepts)
        self._next.append(following)
        self._needs.append(needs)
        return len(self._next) - 1

    def _build(self, node: _Node, following: int) -> int:
        kind = node[0]
        if kind == "char":
            return self._state([following], node[1])  # type: ignore[arg-type]
        if kind == "cat":
            for part in reversed(node[1]):  # type: ignore[call-overload]
                following = self._build(part, following)
            return following
        if kind == "or":
            return self._state([self._build(part, following) for part in node[1]])  # type: ignore[attr-defined]
        if kind == "repeat":
            return self._repeat(node, following)
        return self._state([following], needs=str(kind))

    def _repeat(self, node: _Node, following: int) -> int:
        inner, least, most = node[1], node[2], node[3]
        assert isinstance(inner, tuple)
        assert isinstance(least, int)
        if most is None:
            loop = self._state([following])
            self._next[loop].append(self._build(inner, loop))
            following = loop
        else:
            assert isinstance(most, int)
            after = following
            for _ in range(most - least):
                following = self._state([after, self._build(inner, following)])
        for _ in range(least):
            following = self._build(inner, following)
        return following


@lru_cache(maxsize=1_000)
def compile_regex(pattern: str) -> Regex:
    """Return the compiled `pattern`; kept.

    Raises:
        PredicateError: not a pattern of the subset, or beyond its bounds; the offset counts in `pattern`.
    """
    return Regex(pattern)
