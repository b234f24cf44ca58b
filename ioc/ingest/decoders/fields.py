"""Fields of a vendor's message: read leniently, bounded strictly, refused by their path on the wire.

XML becomes the same tree of maps, lists and texts that JSON is, so a vendor that speaks both is read once.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec

from ioc.ingest.decoders.base import DecodeContext, Rejection
from ioc.ingest.decoders.data import (
    COUNT_MAX,
    MAX_NAME_CHARS,
    NUMBERS,
    Refused,
    as_number,
    refusal,
    refuse_nul,
)
from ioc.ingest.decoders.jsonlines import JSON_ERRORS, parse_any, why_unreadable
from ioc.model.events import Extra

Tree = dict[str, Any]
_LEAST_INT: Final = -(2**63)
_MOST_INT: Final = 2**63
_LEAST: Final = float(_LEAST_INT)
_MOST: Final = float(_MOST_INT)
"""Compared with an integer as large as that, a float takes many times as long."""
_MAX_EXTRA_CHARS: Final = 1_024
_NONE: Final = frozenset({"", "unknown", "unknow", "none", "null", "n/a"})
"""What vendors write for "not recognised"."""
_NO_PLATE: Final = frozenset(
    {
        *("unknown", "unknow", "none", "null", "na", "noplate", "unlicensed", "unlicenced", "unreadable"),
        *("unrecognized", "unrecognised", "notrecognized", "notrecognised", "notread", "notdetected"),
        *("无车牌", "无牌车", "无牌", "未识别", "未知", "車牌未知"),
    }
)
"""What stands where a plate would, letters and digits only: taken for a plate it is a car seen everywhere."""
_DIGIT: Final = re.compile("[0-9]")
KMH_OF: Final = {"kph": 1.0, "mph": 1.609344}
"""By the option `speed_unit` of senders that are set to one or the other and do not say so."""


def parse_object(raw: bytes) -> Tree:
    """Return the JSON object of `raw`.

    Raises:
        Refused: it is none, or holds U+0000, which cannot be stored.
    """
    try:
        value = parse_any(raw)
    except JSON_ERRORS as error:
        raise Refused(*why_unreadable(error)) from None
    if not isinstance(value, dict):
        raise Refused("object", f"expected one JSON object, got {type(value).__name__}")
    refuse_nul(raw)
    return value


def tree_of(element: Element) -> Any:
    """Return an element as a map of its children, or as its text where it has none.

    Children of the same name become a list. Attributes are left out.
    """
    if not len(element):
        return (element.text or "").strip()
    found: Tree = {}
    for child in element:
        value = tree_of(child)
        known = found.get(child.tag)
        if known is None:
            found[child.tag] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            found[child.tag] = [known, value]
    return found


def map_of(tree: Tree, key: str) -> Tree:
    """Return the map at `key`, an empty one for anything else."""
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def maps_of(value: Any) -> Iterator[Tree]:
    """Yield the maps of `value`: itself or, of a list, those in it."""
    for each in value if isinstance(value, list) else (value,):
        if isinstance(each, dict):
            yield each


def text_of(tree: Tree, key: str, under: str = "") -> str | None:
    """Return the short text or number at `key` as text, None where there is none.

    Raises:
        Refused: `type`, `length` or `printable`, naming `under` + `key`.
    """
    value = tree.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        if type(value) not in NUMBERS:
            raise Refused("type", f"expected a text, got {type(value).__name__}", under + key)
        value = str(value)
    value = value.strip()
    if len(value) > MAX_NAME_CHARS:
        detail = f"{len(value)} characters, at most {MAX_NAME_CHARS} are taken"
        raise Refused("length", detail, under + key)
    if not value.isprintable():
        raise Refused("printable", "control characters are not allowed here", under + key)
    return value or None


def known_text_of(tree: Tree, key: str, under: str = "") -> str | None:
    """Return `text_of`, None also for the words that mean "not recognised"."""
    value = text_of(tree, key, under)
    return None if value is None or value.lower() in _NONE else value


def is_plate(text: str) -> bool:
    """Return whether `text` is a plate, and no word or sign for a plate that is not there or was not read."""
    if text[:1].isdigit() or _DIGIT.search(text):
        return True  # no such word has one
    signs = "".join(filter(str.isalnum, text)).lower()
    return bool(signs) and signs not in _NO_PLATE


def plate_text_of(tree: Tree, key: str, under: str = "") -> str | None:
    """Return the plate at `key`, None where there is none; errors as `text_of`."""
    value = text_of(tree, key, under)
    return value if value is not None and is_plate(value) else None


def speed_of(tree: Tree, key: str, under: str = "") -> int | float | None:
    """Return the speed in km/h at `key`, None where it was not measured: vendors write 0 or -1 then.

    Raises:
        Refused: as `number_of`.
    """
    value = number_of(tree, key, -1, 1_000, under)
    return value if value is not None and value > 0 else None


def number_of(tree: Tree, key: str, low: float, high: float, under: str = "") -> int | float | None:
    """Return the number at `key`, also one written as text, None where there is none.

    Raises:
        Refused: `type` or `in_range`, naming `under` + `key`.
    """
    value = tree.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        value = as_number(value.strip())
        if value == "":
            return None
    if type(value) not in NUMBERS:
        raise Refused("type", "expected a number", under + key)
    number: int | float = value
    if not low <= number <= high:
        raise Refused("in_range", f"{number} is not within {low:g}…{high:g}", under + key)
    return number


def count_of(tree: Tree, key: str, under: str = "") -> int | None:
    """Return the count at `key`; errors as `number_of`."""
    value = number_of(tree, key, 0, COUNT_MAX, under)
    return None if value is None else int(value)


def flag_of(tree: Tree, key: str) -> bool:
    """Return whether `key` says yes in any of the ways that vendors have."""
    return str(tree.get(key)).strip().lower() in ("true", "yes", "1")


def extra_of(tree: Tree, names: tuple[tuple[str, str], ...]) -> Extra:
    """Return the scalars of `tree` by (key on the wire, name of ours); what says nothing is left out."""
    extra: Extra = {}
    put_scalars(extra, tree, names)
    return extra


def put_scalars(extra: Extra, tree: Tree, names: tuple[tuple[str, str], ...]) -> None:
    """Put what `extra_of` returns into `extra`."""
    for key, name in names:
        value = tree.get(key)
        if value is None:
            continue
        if isinstance(value, str):
            value = value.strip()
            if len(value) > _MAX_EXTRA_CHARS or value.lower() in _NONE:
                continue
        elif isinstance(value, float):
            if not _LEAST < value < _MOST:  # not-a-number fails too
                continue
        elif not isinstance(value, int) or not _LEAST_INT < value < _MOST_INT:
            continue
        extra[name] = value


def id_of(*parts: object) -> str:
    """Return the id of what `parts` tell, 24 hexadecimal digits."""
    return blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace"), digest_size=12).hexdigest()


def heading_deg(word: str | None, context: DecodeContext, against: frozenset[str]) -> float | None:
    """Return the compass direction of a vehicle that drives with the camera's view or against it.

    Cameras tell the one from the other; only the option `forward_deg` (degrees clockwise from north of what
    they call forward) makes a direction of it. `against` are the words, in lower case, for the other way.

    Raises:
        Refused: `option`, it is no number within 0…360.
    """
    if word is None or "forward_deg" not in context.options:
        return None
    try:
        forward = number_of(dict(context.options), "forward_deg", 0, 360, "options.")
    except Refused as refused:
        raise Refused("option", refused.detail, refused.field) from None
    if forward is None:
        return None
    return (forward + (180.0 if word.lower() in against else 0.0)) % 360.0


def channel_source(channel: str | None, context: DecodeContext) -> str:
    """Return the source of a channel of a camera or recorder.

    The sender speaks for itself in its first channel and with the option `channels=one` in all of them; any
    other channel, and with `channels=parts` or a `prefix` the first too, is a part of the sender.
    """
    wish = context.options.get("channels", "parts" if "prefix" in context.options else "")
    if wish == "one" or channel is None or (channel in ("0", "1") and wish != "parts"):
        return context.device_id
    return context.part(channel[:64])


def rejection(line: int, raw: bytes, error: Exception, source: str | None = None) -> Rejection:
    """Return why a message is refused: `error` is a Refused or one of msgspec's."""
    if isinstance(error, msgspec.ValidationError):
        error = refusal(error)
    if isinstance(error, Refused):
        detail, field = error.detail[:500], error.field
        return Rejection(line=line, rule=error.rule, detail=detail, raw=raw, field=field, source=source)
    rule, detail = why_unreadable(error)
    return Rejection(line=line, rule=rule, detail=detail, raw=raw, source=source)
