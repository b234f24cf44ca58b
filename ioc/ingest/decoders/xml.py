"""XML from hardware: no entities, no DTD, bounded depth and number of elements, names without namespaces.

Publishers agree on local names and differ in namespaces (`hikvision.com/ver20`, `isapi.org`, none at all), so
elements are looked up by local name.
"""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from ioc.ingest.decoders.data import Refused

MAX_DEPTH: Final = 100


def parse_xml(body: bytes) -> Element:
    """Return the root of `body`, every element and attribute renamed to its local name.

    Raises:
        Refused: `xml`, not well-formed or of an unknown encoding; `xml_entity`, it declares entities or a
            document type; `depth`, nested beyond `MAX_DEPTH`.
    """
    utf16 = body.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:  # some devices end a text with NUL
        root: Element = fromstring(body if utf16 else body.strip(b" \t\r\n\0"), forbid_dtd=True)
    except DefusedXmlException:
        raise Refused("xml_entity", "entities and document types are not taken") from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise Refused("xml", f"not well-formed: {error}"[:200]) from None
    _to_local_names(root)
    return root


def _to_local_names(root: Element) -> None:
    level = [root]
    for _ in range(MAX_DEPTH):
        for element in level:
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2]
            if element.attrib:
                element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        level = [child for element in level for child in element]
        if not level:
            return
    raise Refused("depth", "nested more deeply than any message of ours")


def text_of(element: Element | None, path: str) -> str | None:
    """Return the stripped text of the first element at `path`, None where there is none or it is empty."""
    found = None if element is None else element.find(path)
    return None if found is None or found.text is None else found.text.strip() or None


def children(element: Element, name: str) -> Iterator[Element]:
    """Yield the direct children of that local name."""
    return (child for child in element if child.tag == name)
