"""XML from hardware: no entities, no DTD, bounded depth and number of elements, names without namespaces.

Publishers agree on local names and differ in namespaces (`hikvision.com/ver20`, `isapi.org`, none at all), so
elements are looked up by local name.
"""

from collections.abc import Callable
from typing import Final
from xml.etree.ElementTree import XML, Element
from xml.sax.saxutils import escape

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from ioc.ingest.decoders.data import Refused

MAX_DEPTH: Final = 100
_UNREADABLE: Final = (ParseError, ValueError, LookupError, RecursionError)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_IN_ATTRIBUTES: Final = {'"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#09;"}
_DOCTYPE: Final = b"<!DOCTYPE"


def parse_xml(body: bytes) -> Element:
    """Return the root of `body`, every element and attribute renamed to its local name.

    Raises:
        Refused: `xml`, not well-formed or of an unknown encoding; `xml_entity`, it declares entities or a
            document type; `depth`, nested beyond `MAX_DEPTH`.
    """
    text = body if body.startswith(_UTF16) else body.strip(b" \t\r\n\0")  # some devices end a text with NUL
    root = _at_once(text)
    if root is None:
        root = _guarded(text)
    _to_local_names(root)
    return root


def _at_once(text: bytes) -> Element | None:
    """Return the root of a text that cannot declare anything, None where a closer look is needed.

    Entities need a document type, and that is spelt in these very bytes: expat takes no encoding of eight
    bits that writes ASCII in another way, and what it takes besides has NUL in it. So the parser written in C
    may read it, which takes a quarter of the time and has no handlers to refuse a declaration with.
    """
    if _DOCTYPE in text or b"\0" in text:
        return None
    try:
        return XML(text)
    except _UNREADABLE:
        return None


def _guarded(text: bytes) -> Element:
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        raise Refused("xml_entity", "entities and document types are not taken") from None
    except _UNREADABLE as error:
        raise Refused("xml", f"not well-formed: {error}"[:200]) from None
    return root


def _to_local_names(root: Element) -> None:
    elements = list(root.iter())
    if len(elements) > MAX_DEPTH and _is_deeper(root, MAX_DEPTH):
        raise Refused("depth", "nested more deeply than any message of ours")
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]
        if element.keys():  # asking for `attrib` would make an empty one
            element.attrib = {name.rpartition("}")[2]: value for name, value in element.items()}


def _is_deeper(root: Element, depth: int) -> bool:
    level = [root]
    for _ in range(depth):
        level = [child for element in level for child in element]
    return bool(level)


def found_at(element: Element | None, *path: str) -> Element | None:
    """Return the first element at `path` below `element`, as `Element.find` does, only quicker."""
    if element is None or not path:
        return element
    if len(path) == 1:
        return element.find(path[0])
    for child in element.findall(path[0]):
        if (found := found_at(child, *path[1:])) is not None:
            return found
    return None


def text_of(element: Element | None, name: str) -> str | None:
    """Return `own_text` of the first child of that local name."""
    return None if element is None else own_text(element.find(name))


def own_text(element: Element | None) -> str | None:
    """Return the stripped text of an element, None where it is empty."""
    if element is None or (text := element.text) is None:
        return None
    return text.strip() or None


def children(element: Element, name: str) -> list[Element]:
    """Return the direct children of that local name."""
    return element.findall(name)


def xml_of(element: Element) -> bytes:
    """Return what `tostring` writes for an element of local names, in a third of the time."""
    parts: list[str] = []
    _write(element, parts.append)
    return "".join(parts).encode()


def _write(element: Element, write: Callable[[str], object]) -> None:
    tag, text, tail = element.tag, element.text, element.tail
    attributes = "".join([f' {name}="{escape(value, _IN_ATTRIBUTES)}"' for name, value in element.items()])
    if text or len(element):
        write(f"<{tag}{attributes}>")
        if text:
            write(escape(text))
        for child in element:
            _write(child, write)
        write(f"</{tag}>")
    else:
        write(f"<{tag}{attributes} />")
    if tail:
        write(escape(tail))
