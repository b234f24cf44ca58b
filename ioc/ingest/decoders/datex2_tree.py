"""DATEX II bodies as one kind of tree: versions 1 to 3, XML and JSON, bare, in SOAP or packed with gzip.

XML keeps its elements under their local names. JSON is brought to the same form: `idG` becomes the attribute
`id`, an enumeration's `{"value": "real"}` its text, and the wrapper that names a class,
`{"sitAccident": {…}}`, the attribute `type` that XML writes as `xsi:type="sit:Accident"`.
"""

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement

import msgspec

from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.jsonlines import BLANK, BOM, JSON_ERRORS, parse_any, why_unreadable
from ioc.ingest.decoders.xml import MAX_DEPTH, parse_xml, xml_of

MAX_UNPACKED_BYTES: Final = 8 << 20
"""What a gzip body may hold, which is 7,000 sites of two lanes; more is refused (`gzip_bytes`)."""
_GZIP: Final = b"\x1f\x8b"
_GZIP_WBITS: Final = 31

_ATTRIBUTES: Final = frozenset({"id", "version", "index", "lang", "type", "targetClass", "srsDimension"})
_SHORT: Final = {"idG": "id", "versionG": "version"}
_TEXT_KEYS: Final = frozenset({"#text", "$", "$t", "value"})
_EXTENDED: Final = frozenset({"extendedValueG", "_extendedValue"})
_OWN: Final = _ATTRIBUTES | _TEXT_KEYS | _EXTENDED | frozenset(_SHORT)
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
    text = plain_text(body)
    return json_tree(json_value(text)) if is_json(text) else xml_tree(text)


def plain_text(body: bytes) -> bytes:
    """Return the text of `body`, unpacked.

    Raises:
        Refused: `gzip`, `gzip_bytes` or `empty`.
    """
    text = (_unpacked(body) if body.startswith(_GZIP) else body).removeprefix(BOM).strip(BLANK)
    if not text:
        raise Refused("empty", "the body holds no publication")
    return text


def is_json(text: bytes) -> bool:
    """Return whether a text is JSON and not XML."""
    return text.startswith((b"{", b"["))


def json_value(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        Refused: what `why_unreadable` names.
    """
    try:
        return parse_any(text)
    except JSON_ERRORS as error:
        raise Refused(*why_unreadable(error)) from None


def _unpacked(body: bytes) -> bytes:
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


def xml_tree(text: bytes) -> Tree:
    """Return the tree of an XML text.

    Raises:
        Refused: what `parse_xml` names.
    """
    return Tree(parse_xml(text))


# JSON


def json_tree(value: Any) -> Tree:
    """Return the tree of a JSON value.

    Raises:
        Refused: `object` or `depth`.
    """
    root, origins = Element("body"), dict[Element, Any]()
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict):
            raise Refused("object", "expected a JSON object")
        origins.setdefault(root, item)
        _fill(root, item, origins, 1)
    return Tree(root, origins)


def class_of(name: str) -> str | None:
    """Return the class that a key names, None for a key that names none."""
    return _known_class(name) if len(name) <= _MAX_REMEMBERED_CHARS else _read_class(name)


def _fill(element: Element, value: dict[str, Any], origins: dict[Element, Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused("depth", "nested more deeply than any message of ours")
    is_slot = element.tag in _SLOTS
    for key, inner in value.items():
        name = key if key.isalnum() else key.removeprefix("@").rpartition(":")[2]
        if isinstance(inner, dict):
            if is_slot and (kind := class_of(_SHORT.get(name, name))):
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


def _read_class(name: str) -> str | None:
    if name in _SLOTS or "Extension" in name:
        return None
    found = _CLASS.fullmatch(name)
    return found[1] if found else None


_known_class: Final = lru_cache(maxsize=1_024)(_read_class)


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


def type_of(element: Element) -> str:
    """Return the class an element says it is of, without prefix; "" where it says none."""
    return (element.get("type") or "").rpartition(":")[2]


def publications(root: Element) -> Iterator[Element]:
    """Yield every publication, wherever an envelope has put it."""
    for name in ("payloadPublication", "payload"):
        yield from root.iter(name)
