"""Tokens of the predicate language, each with its offset."""

import re
from typing import Literal, NamedTuple

from ioc.rules.errors import PredicateError

TokenKind = Literal["number", "text", "name", "sign", "end"]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],.+\-*/])
    )""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
_WORDS = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
_SIGNS = {"=": "==", "&": "&&", "|": "||"}


class Token(NamedTuple):
    """One token; `text` is unescaped for texts."""

    kind: TokenKind
    text: str
    offset: int


def tokens(source: str) -> list[Token]:
    """Return the tokens of `source`, ending with one of kind `end`.

    Raises:
        PredicateError: at the first character that begins no token.
    """
    found: list[Token] = []
    at = 0
    while match := _TOKEN.match(source, at):
        kind = match.lastgroup
        assert kind is not None
        start = match.start(kind)
        found.append(_token(kind, match.group(kind), start))
        at = match.end()
    space = _SPACE.match(source, at)
    at = space.end() if space else at
    if at < len(source):
        raise _unreadable(source, at)
    found.append(Token("end", "", len(source)))
    return found


def _token(kind: str, text: str, start: int) -> Token:
    if kind == "text":
        return Token("text", _unescape(text[1:-1], start + 1), start)
    if kind == "name" and text in _WORDS:
        raise PredicateError(f"{text!r} is not an operator", start, f"write {_WORDS[text]}")
    if kind == "number":
        return Token("number", text, start)
    return Token("name" if kind == "name" else "sign", text, start)


def _unescape(body: str, start: int) -> str:
    def replace(match: re.Match[str]) -> str:
        letter = match.group(1)
        if letter not in _ESCAPES:
            raise PredicateError(
                f"unknown escape \\{letter} in a text", start + match.start(), "write \\\\ for a backslash"
            )
        return _ESCAPES[letter]

    return _ESCAPE.sub(replace, body)


def _unreadable(source: str, at: int) -> PredicateError:
    letter = source[at]
    if letter in "\"'":
        return PredicateError("a text is not closed", at, f"end it with {letter}")
    if letter in "“”‘’":
        return PredicateError(f"{letter} does not quote a text", at, 'use straight quotes: "…"')
    if letter in _SIGNS:
        return PredicateError(f"{letter!r} is not an operator", at, f"write {_SIGNS[letter]}")
    if letter == "?":
        return PredicateError("`a ? b : c` is not part of the language", at, "combine with && and ||")
    return PredicateError(f"unexpected character {letter!r}", at)
