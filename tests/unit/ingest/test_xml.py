"""XML from hardware: read quickly and read with care it is the same, and nothing is declared in it."""

from encodings.aliases import aliases
from itertools import product
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.xml import MAX_DEPTH, _at_once, _guarded, found_at, parse_xml, whole_elements, xml_of
from tests.unit.ingest.test_hostile_input import CUTS, SAMPLES, broken

XML = [sample.content for sample in SAMPLES if sample.content and sample.content.lstrip().startswith(b"<")]
MARKS = [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]
NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)


def element(
    name: str, texts: tuple[str | None, str | None], own: dict[str, str], inner: list[Element]
) -> Element:
    made = Element(name, own)
    made.text, made.tail = texts
    made.extend(inner)
    return made


ELEMENTS = st.recursive(
    st.builds(element, NAMES, st.tuples(TEXTS, TEXTS), st.just({}), st.just([])),
    lambda inner: st.builds(
        element,
        NAMES,
        st.tuples(TEXTS, TEXTS),
        st.dictionaries(NAMES, st.text("x&<>\"' \t\r\nđ", max_size=5)),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)


@given(data=st.data())
def test_what_is_read_at_once_is_what_is_read_with_care(data: st.DataObject) -> None:
    content = broken(data.draw(st.sampled_from(XML)), data.draw(CUTS), 1.0)
    if (root := _at_once(content)) is not None:
        assert tostring(root) == tostring(_guarded(content))


@pytest.mark.parametrize("encoding", sorted(set(aliases.values())))
def test_no_encoding_hides_a_document_type(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    for mark, stated in product(MARKS, (text, text.replace(encoding, "utf-8"))):
        try:
            content = mark + stated.encode(encoding)
        except (LookupError, UnicodeError, TypeError):
            continue
        with pytest.raises(Refused):
            parse_xml(content)


@given(ELEMENTS)
def test_an_element_is_written_as_the_standard_library_writes_it(made: Element) -> None:
    assert xml_of(made) == tostring(made, encoding="unicode").encode()


@given(ELEMENTS, st.lists(NAMES, min_size=1, max_size=3))
def test_an_element_is_found_where_the_standard_library_finds_it(made: Element, path: list[str]) -> None:
    assert found_at(made, *path) is made.find("/".join(path))


def test_depth_is_bounded() -> None:
    deepest = b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH
    assert parse_xml(deepest).tag == "a"
    with pytest.raises(Refused) as refused:
        parse_xml(b"<a>" + deepest + b"</a>")
    assert refused.value.rule == "depth"


def test_a_text_that_could_declare_anything_gives_no_whole_elements() -> None:
    names = frozenset({"a"})
    assert len(whole_elements(b"<r><a>1</a><a>2</a><a>3", names)) == 2
    assert whole_elements(b'<!DOCTYPE r [<!ENTITY b "c">]><r><a>&b;</a><a', names) == []
    assert whole_elements("<r><a>1</a><a>".encode("utf-16"), names) == []
    deep = b"<a>" + b"<b>" * (MAX_DEPTH + 1) + b"</b>" * (MAX_DEPTH + 1) + b"</a>"
    assert whole_elements(b"<r>" + deep, names) == []
