"""What the texts, numbers and times of DATEX II mean, and how a sender is told that they mean nothing."""

from datetime import tzinfo
from math import isfinite
from typing import Any, Final

from ioc.ingest.decoders.base import Rejection
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.datex2_forms import Coded, Flag, Identified, Number
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.xml import MAX_DEPTH

MAX_LABEL_CHARS: Final = 256
MAX_WORDS_CHARS: Final = 2_000
NO_DETAIL: Final = frozenset({"vehicleType", "sourceType"})
"""Of a record's members whose names end in `Type` the others tell its kind within its class."""
_WORDING: Final = frozenset({"value", "values"})
_TRUE: Final = frozenset({"true", "1", 1})
"""1 is equal to True."""


def rejection(line: int, raw: bytes, refused: Refused, event_id: str | None = None) -> Rejection:
    """Return what the sender is told of a record that cannot be taken."""
    shown = event_id[:MAX_LABEL_CHARS] if event_id and event_id.isprintable() else None
    return Rejection(
        line=line, rule=refused.rule, detail=refused.detail[:500], raw=raw, field=refused.field, id=shown
    )


def identity(named: Identified, field: str) -> str:
    """Return an id.

    Raises:
        Refused: `required`, `printable` or `length`, with `field`.
    """
    found = (named.id or "").strip() or (named.value or "").strip()
    if not found:
        raise Refused("required", "this attribute is required", field)
    if not found.isprintable():
        raise Refused("printable", "control characters are not allowed here", field)
    if len(found) > MAX_LABEL_CHARS:
        raise Refused("length", f"{len(found)} characters, at most {MAX_LABEL_CHARS} are taken", field)
    return found


def word_of(coded: Coded | None) -> str | None:
    """Return an enumeration's word; of one beyond the standard's the publisher's own."""
    if coded is None:
        return None
    word = coded.extended or coded.extended_in_xml or coded.value
    return word.strip() or None if word else None


def label(text: str | None) -> str | None:
    """Return short text fit for a key or a line: on one line, shortened, None where nothing is left."""
    if not text:
        return None
    if len(text) <= MAX_LABEL_CHARS and " " not in text and text.isprintable():
        return text  # a printable text has no other blanks
    line = " ".join(text.split())[:MAX_LABEL_CHARS].rstrip()
    return line if line and line.isprintable() else None


def number(told: Number) -> float | None:
    """Return a finite number, None where there is none."""
    if told is None:
        return None
    if isinstance(told, str):
        if not told.isascii() or "_" in told:
            return None
        try:
            told = float(told)
        except ValueError:
            return None
    return told if isfinite(told) else None


def is_true(told: Flag) -> bool:
    """Return whether a boolean is set."""
    return told in _TRUE


def time_us(text: str | None, zone: tzinfo | None, field: str) -> int | None:
    """Return the moment that a text holds, None where there is none.

    Raises:
        Refused: it is no time, with `field`.
    """
    return None if not text or text.isspace() else moment_us(text, zone, field)


def words(told: Any, languages: tuple[str, ...]) -> str | None:
    """Return a text for people in the first of `languages` (two letters) that it has, else as it came.

    `told` is the text or an object that holds it: XML and JSON have it in different depths, in members
    `value` and `values` beside `lang`.
    """
    found: dict[str, str] = {}
    if isinstance(told, dict):
        _wordings(told, found, MAX_DEPTH)
    elif told is not None and (text := str(told).strip()):
        found[""] = text
    for language in languages:
        if language in found:
            return _bounded(found[language])
    for text in found.values():
        return _bounded(text)
    return None


def _bounded(text: str) -> str:
    return text.replace("\0", "")[:MAX_WORDS_CHARS]


def _wordings(told: dict[str, Any], found: dict[str, str], depth: int) -> None:
    for name, inner in told.items():
        if isinstance(inner, str):
            if name in _WORDING and (text := inner.strip()):
                language = told.get("lang")
                found.setdefault(language[:2].lower() if isinstance(language, str) else "", text)
        elif not inner or not depth:
            continue
        elif isinstance(inner, dict):
            _wordings(inner, found, depth - 1)
        else:
            for each in inner if isinstance(inner, list) else (inner,):
                _wordings(each if isinstance(each, dict) else {name: each}, found, depth - 1)
