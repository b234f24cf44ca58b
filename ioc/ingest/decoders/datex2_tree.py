"""DATEX II bodies as one kind of tree: versions 1 to 3, XML and JSON, bare, in SOAP or packed with gzip.

XML keeps its elements under their local names. JSON is brought to the same form: `idG` becomes the attribute
`id`, an enumeration's `{"value": "real"}` its text, and the wrapper that names a class,
`{"sitAccident": {…}}`, the attribute `type` that XML writes as `xsi:type="sit:Accident"`. So one reader
serves all of them.
"""

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from math import isfinite
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

import msgspec

from ioc.ingest.decoders.base import Rejection
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.jsonlines import BLANK, BOM, JSON_ERRORS, parse_any, why_unreadable
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.xml import MAX_DEPTH, own_text, parse_xml, text_of, xml_of

MAX_UNPACKED_BYTES: Final = 8 << 20
"""What a gzip body may hold, which is 7,000 sites of two lanes; more is refused (`gzip_bytes`)."""
MAX_LABEL_CHARS: Final = 256
MAX_WORDS_CHARS: Final = 2_000
_GZIP: Final = b"\x1f\x8b"
_GZIP_WBITS: Final = 31

_ATTRIBUTES: Final = frozenset({"id", "version", "index", "lang", "type", "targetClass", "srsDimension"})
_SHORT: Final = {"idG": "id", "versionG": "version"}
_TEXT_KEYS: Final = frozenset({"#text", "$", "$t", "value"})
_EXTENDED: Final = frozenset({"extendedValueG", "_extendedValue"})
_OWN: Final = _ATTRIBUTES | _TEXT_KEYS | _EXTENDED | _SHORT.keys()
"""What is said of an element itself; any other scalar is a child of its own."""
_CLASS: Final = re.compile(
    r"(?:locationReferencing|roadTrafficData|situation|common|sit|loc|roa|rtd|com)?([A-Z]\w*)"
)
"""A key that names a class: a package's prefix, long or short or none, before a name in capitals."""
_MAX_REMEMBERED_CHARS: Final = 128
"""Of a key whose class is remembered: longer ones are of no standard, and the memory must stay small."""
_SLOTS: Final = frozenset(
    {
        "payload",
        "payloadPublication",
        "situationRecord",
        "locationReference",
        "groupOfLocations",
        "locationContainedInGroup",
        "measurementSiteLocation",
        "pertinentLocation",
        "measuredValue",
        "physicalQuantity",
        "elaboratedData",
        "basicData",
    }
)
"""Elements whose class is told; a class's key stands only in these."""


class Tree:
    """A body's root and, where it was JSON, what each of its objects looked like."""

    def __init__(self, root: Element, origins: dict[Element, Any] | None = None) -> None:
        self.root = root
        self._origins = origins

    def raw(self, record: Element) -> bytes:
        """Return a record's bytes, of XML without its namespaces."""
        if self._origins is not None:
            return msgspec.json.encode(self._origins.get(record, record.text))
        return xml_of(record)


def read_tree(body: bytes) -> Tree:
    """Return the tree of `body`.

    Raises:
        Refused: `gzip`, `gzip_bytes`, or what `parse_xml` and `why_unreadable` name.
    """
    text = _unpacked(body).removeprefix(BOM).strip(BLANK)
    if not text:
        raise Refused("empty", "the body holds no publication")
    if text[:1] not in b"{[":
        return Tree(parse_xml(text))
    try:
        value = parse_any(text)
    except JSON_ERRORS as error:
        raise Refused(*why_unreadable(error)) from None
    root, origins = Element("body"), dict[Element, Any]()
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise Refused("object", "expected a JSON object")
        origins.setdefault(root, item)
        _fill(root, item, origins, 1)
    return Tree(root, origins)


def _unpacked(body: bytes) -> bytes:
    if not body.startswith(_GZIP):
        return body
    inflate = zlib.decompressobj(_GZIP_WBITS)
    try:
        plain = inflate.decompress(body, MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise Refused("gzip", f"not gzip: {error}") from None
    if inflate.unconsumed_tail:
        raise Refused("gzip_bytes", f"unpacked it has more than {MAX_UNPACKED_BYTES} bytes")
    if not inflate.eof:
        raise Refused("gzip", "the gzip body ends too early")
    return plain


# JSON


def _fill(element: Element, value: dict[str, Any], origins: dict[Element, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused("depth", "nested more deeply than any message of ours")
    is_slot = element.tag in _SLOTS
    for key, inner in value.items():
        name = key if key.isalnum() else key.removeprefix("@").rpartition(":")[2]
        if isinstance(inner, dict):
            if is_slot and (kind := _class_of(_SHORT.get(name, name))):
                element.set("type", kind)
                _fill(element, inner, origins, depth + 1)
            else:
                _append(element, name, inner, origins, depth)
        elif isinstance(inner, list):
            for item in inner:
                _append(element, name, item, origins, depth)
        elif inner is not None:
            text = inner if isinstance(inner, str) else _spelt(inner)
            if name in _OWN or key[:1] == "@":
                _own(element, _SHORT.get(name, name), text)
            else:
                SubElement(element, name).text = text


def _append(element: Element, name: str, value: Any, origins: dict[Element, Any], depth: int) -> None:
    child = SubElement(element, _SHORT.get(name, name))
    if isinstance(value, dict):
        origins[child] = value
        _fill(child, value, origins, depth + 1)
    elif value is not None and not isinstance(value, list):
        child.text = _spelt(value)


def _class_of(name: str) -> str | None:
    """Return the class that a key names, None for a key that names none."""
    return _known_class(name) if len(name) <= _MAX_REMEMBERED_CHARS else _read_class(name)


def _read_class(name: str) -> str | None:
    if name in _SLOTS or "Extension" in name:
        return None
    found = _CLASS.fullmatch(name)
    return found[1] if found else None


_known_class = lru_cache(maxsize=1_024)(_read_class)


def _own(element: Element, name: str, text: str) -> None:
    """Take what is the element's own: its text or an attribute."""
    if name in _TEXT_KEYS:
        element.text = element.text or text
    elif name in _EXTENDED:
        element.text = text
    else:
        element.set(name, text)


def _spelt(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# Reading the tree


def rejection(line: int, raw: bytes, refused: Refused, event_id: str | None = None) -> Rejection:
    """Return what the sender is told of a record that cannot be taken."""
    shown = event_id[:MAX_LABEL_CHARS] if event_id and event_id.isprintable() else None
    return Rejection(
        line=line, rule=refused.rule, detail=refused.detail[:500], raw=raw, field=refused.field, id=shown
    )


def type_of(element: Element) -> str:
    """Return the class an element says it is of, without prefix; "" where it says none."""
    return (element.get("type") or "").rpartition(":")[2]


def attribute(element: Element, name: str) -> str | None:
    """Return an attribute, or the child of that name that other encodings use instead."""
    value = element.get(name)
    return value.strip() or None if value else text_of(element, name)


def identity(element: Element, field: str) -> str:
    """Return an element's `id`.

    Raises:
        Refused: `required`, `printable` or `length`, with `field`.
    """
    found = attribute(element, "id") or (element.text or "").strip()
    if not found:
        raise Refused("required", "this attribute is required", field)
    if not found.isprintable():
        raise Refused("printable", "control characters are not allowed here", field)
    if len(found) > MAX_LABEL_CHARS:
        raise Refused("length", f"{len(found)} characters, at most {MAX_LABEL_CHARS} are taken", field)
    return found


def value_text(element: Element | None, name: str) -> str | None:
    """Return `own_value` of the first child of that name."""
    return None if element is None else own_value(element.find(name))


def own_value(element: Element | None) -> str | None:
    """Return an element's text; of an enumeration beyond the standard's the publisher's own value."""
    return None if element is None else element.get("_extendedValue") or own_text(element)


def label(text: str | None) -> str | None:
    """Return short text fit for a key or a line: on one line, shortened, None where nothing is left."""
    if text is None:
        return None
    if len(text) <= MAX_LABEL_CHARS and " " not in text and text.isprintable():
        return text or None  # a printable text has no other blanks
    line = " ".join(text.split())[:MAX_LABEL_CHARS].rstrip()
    return line if line and line.isprintable() else None


def number(element: Element | None) -> float | None:
    """Return the finite number that an element holds, None where there is none."""
    text = own_text(element)
    if text is None or not text.isascii() or "_" in text:
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if isfinite(found) else None


def is_true(element: Element | None, name: str) -> bool:
    """Return whether the boolean of that name is set."""
    return text_of(element, name) in ("true", "1")


def words(element: Element | None, languages: tuple[str, ...]) -> str | None:
    """Return a text for people in the first of `languages` (two letters) that it has, else as it came."""
    if element is None:
        return None
    found: dict[str, str] = {}
    for part in element.iter():
        if part.tag in ("value", "values") and part.text and (text := part.text.strip()):
            found.setdefault((part.get("lang") or "")[:2].lower(), text)
    chosen = next((found[language] for language in languages if language in found), None)
    chosen = chosen or next(iter(found.values()), None) or own_text(element)
    return chosen.replace("\0", "")[:MAX_WORDS_CHARS] if chosen else None


def time_at(element: Element | None, name: str, zone: Any, field: str) -> int | None:
    """Return `own_time` of the first child of that name.

    Raises:
        Refused: it is no time, with `field`.
    """
    return None if element is None else own_time(element.find(name), zone, field)


def own_time(element: Element | None, zone: Any, field: str) -> int | None:
    """Return the moment that an element holds, None where there is none.

    Raises:
        Refused: it is no time, with `field`.
    """
    text = own_text(element)
    return None if text is None else moment_us(text, zone, field)


def publications(root: Element) -> Iterator[Element]:
    """Yield every publication, wherever an envelope has put it."""
    for name in ("payloadPublication", "payload"):
        yield from root.iter(name)


def is_of(publication: Element, kind: str, part: str) -> bool:
    """Return whether a publication is of that class, or has its parts where it does not say."""
    return type_of(publication) == kind or publication.find(part) is not None
