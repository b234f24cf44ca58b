"""XML from hardware: no entities, no DTD, bounded depth and number of elements, names without namespaces.

Publishers agree on local names and differ in namespaces (`hikvision.com/ver20`, `isapi.org`, none at all), so
elements are looked up by local name.
"""

import re
from typing import Any, Final
from xml.etree.ElementTree import XML, Element, XMLPullParser

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from ioc.ingest.decoders.data import Refused

MAX_DEPTH: Final = 100
_UNREADABLE: Final = (ParseError, ValueError, LookupError, RecursionError)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_IN_ATTRIBUTES: Final = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "\r": "&#13;",
        "\n": "&#10;",
        "\t": "&#09;",
    }
)
_DECLARED: Final = re.compile(
    rb"<\?xml\s[^>]{0,100}?\bencoding\s*=\s*[\"']([A-Za-z0-9_-]{1,20})[\"'][^>]{0,100}\?>"
)
_EAST_ASIAN: Final = frozenset(
    (
        b"gb2312",
        b"gbk",
        b"gb18030",
        b"big5",
        b"shift_jis",
        b"euc-jp",
        b"euc-kr",
        b"windows-31j",
        b"ks_c_5601-1987",
    )
)
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


def whole_elements(body: bytes, names: frozenset[str]) -> list[Element]:
    """Return the elements of these local names that end before a text breaks off or is broken.

    None contains another. They are as `parse_xml` gives them; a text that could declare anything gives none.
    """
    text = body.strip(b" \t\r\n\0")
    if _DOCTYPE in text or b"\0" in text:
        return []
    parser: Any = XMLPullParser(("end",))
    found: list[Element] = []
    try:
        parser.feed(text)
        for _, element in parser.read_events():
            if element.tag.rpartition("}")[2] in names:
                _to_local_names(element)
                found.append(element)
    except (Refused, *_UNREADABLE):
        pass  # what follows is what cannot be read
    return found


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
        root: Element = fromstring(_in_utf_8(text), forbid_dtd=True)
    except DefusedXmlException:
        raise Refused("xml_entity", "entities and document types are not taken") from None
    except _UNREADABLE as error:
        raise Refused("xml", f"not well-formed: {error}"[:200]) from None
    return root


def _in_utf_8(text: bytes) -> bytes:
    """Return `text`, in UTF-8 where it says to be in an encoding of East Asia: expat takes none of them.

    Raises:
        ValueError: it says so and is not.
    """
    said = _DECLARED.match(text)
    if said is None or said[1].lower() not in _EAST_ASIAN:
        return text
    return text[said.end() :].decode(said[1].decode("ascii")).encode()


def _to_local_names(root: Element) -> None:
    elements = list(root.iter())
    if len(elements) > MAX_DEPTH and _is_deeper(root, MAX_DEPTH):
        raise Refused("depth", "nested more deeply than any message of ours")
    for element in elements:
        element.tag = element.tag.rpartition("}")[2]
        if items := element.items():  # asking for `attrib` would make an empty one
            element.attrib = {name.rpartition("}")[2]: value for name, value in items}


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
    _write(element, parts)
    return "".join(parts).encode()


def _write(element: Element, parts: list[str]) -> None:
    tag, text, tail = element.tag, element.text, element.tail
    start = tag
    for name, value in element.items():
        start += f' {name}="{_in_attribute(value)}"'
    if len(element):
        parts.append(f"<{start}>{_in_text(text)}" if text else f"<{start}>")
        for child in element:
            _write(child, parts)
        parts.append(f"</{tag}>")
    else:
        parts.append(f"<{start}>{_in_text(text)}</{tag}>" if text else f"<{start} />")
    if tail:
        parts.append(_in_text(tail))


def _in_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _in_attribute(text: str) -> str:
    return text if text.isalnum() else text.translate(_IN_ATTRIBUTES)
