"""From a tree of any DATEX II version and encoding to the forms of version 3, `datex2_forms.py`.

What a form has as a member is looked for, and taken from the first child of that name or the attribute.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin
from xml.etree.ElementTree import Element

import msgspec

from ioc.ingest.decoders.datex2_forms import (
    Basic,
    Coded,
    Ending,
    Form,
    Head,
    Identified,
    Instant,
    Message,
    Publication,
    Record,
    Site,
    Situation,
    ToldRecord,
    Value,
)
from ioc.ingest.decoders.datex2_texts import NO_DETAIL, is_true, word_of
from ioc.ingest.decoders.datex2_tree import Tree, publications, type_of
from ioc.ingest.decoders.xml import children, own_text

_F = TypeVar("_F", bound=Form)
_SPELT: Final = {"idG": "id", "versionG": "version"}
"""What a tree calls what the standard's JSON calls otherwise."""
_OWN: Final = "value"
"""The member that is an element's own text."""
_COUNTED: Final = ("situationRecord", "siteMeasurements", "elaboratedData", "elementReference")
_VALUES: Final = frozenset({"measuredValue", "physicalQuantity"})
_PREDEFINED: Final = frozenset({"elaboratedData", "physicalQuantity"})


def message_of(tree: Tree) -> Message:
    """Return all that a tree holds."""
    root = tree.root
    found = [_publication(each, tree) for each in publications(root)]
    return Message(
        count=sum(1 for name in _COUNTED for _ in root.iter(name)),
        publications=found,
        endings=(_ending(each, tree) for each in root.iter("elementReference")),
        generated=(
            own_text(each)
            for name in ("messageGenerationTimestamp", "publicationTime")
            for each in root.iter(name)
        ),
        is_keep_alive=not found and _is_keep_alive(root),
    )


def _is_keep_alive(root: Element) -> bool:
    return any(is_true(own_text(each)) for each in root.iter("keepAlive")) or any(
        True for _ in root.iter("exchangeInformation")
    )


def _publication(element: Element, tree: Tree) -> Publication:
    def is_of(kind: str, part: str) -> bool:
        return stated == kind or element.find(part) is not None

    stated = type_of(element)
    situations = sites = values = None
    if is_of("SituationPublication", "situation"):
        situations = _situations(element, tree)
    elif is_of("MeasuredDataPublication", "siteMeasurements"):
        sites = (_site(each, tree) for each in children(element, "siteMeasurements"))
    elif is_of("ElaboratedDataPublication", "elaboratedData"):
        values = (_predefined(each, tree) for each in element if each.tag in _PREDEFINED)
    return Publication(
        kind=stated,
        head=lift(element, Head),
        raw=partial(tree.raw, element),
        situations=situations,
        sites=sites,
        values=values,
        is_table=is_of("MeasurementSiteTablePublication", "measurementSiteTable"),
    )


def _situations(publication: Element, tree: Tree) -> Iterator[tuple[Situation, list[ToldRecord]]]:
    for situation in children(publication, "situation"):
        yield (
            lift(situation, Situation),
            [
                ToldRecord(type_of(record), _detail(record), tree.raw(record), lift(record, Record))
                for record in children(situation, "situationRecord")
            ],
        )


def _detail(record: Element) -> str | None:
    for child in record:
        if child.tag.endswith("Type") and child.tag not in NO_DETAIL and (word := word_of(_coded(child))):
            return word
    return None


def _ending(element: Element, tree: Tree) -> Ending:
    reference = next((e for e in element if e.tag in ("reference", "versionedReference")), element)
    return Ending(lift(reference, Identified), word_at(element, "managementStatus"), tree.raw(element))


def _site(element: Element, tree: Tree) -> Site:
    reference, default = element.find("measurementSiteReference"), element.find("measurementTimeDefault")
    return Site(
        reference=lift(element if reference is None else reference, Identified),
        default=None if default is None else lift(default, Instant),
        values=[_value(each) for each in element if each.tag in _VALUES],
        raw=tree.raw(element),
    )


def _predefined(element: Element, tree: Tree) -> Site:
    references = (
        lift(below, Identified)
        for location in element.iter("pertinentLocation")
        for below in location.iter()
        if below.tag.startswith("predefined") and below.tag.endswith("Reference")
    )
    return Site(next(references, None), None, [_value(element)], tree.raw(element))


def _value(element: Element) -> Value:
    basics = [lift(each, Basic) for name in ("basicData", "basicDataValue") for each in element.iter(name)]
    return Value(element.get("index"), _fault(element), basics)


def _fault(value: Element) -> str | None:
    for fault in islice(value.iter("physicalQuantityFault"), 1):
        if word := word_at(fault, "physicalQuantityFaultType"):
            return word
    for equipment in islice(value.iter("measurementEquipmentFault"), 1):
        return next((word_of(_coded(child)) for child in islice(equipment, 1)), None)
    return None


# Any form


def lift(element: Element, form: type[_F]) -> _F:
    """Return what `element` has of the members of `form`."""
    members, required = _members(form)
    found: dict[str, Any] = {}
    for child in element:
        member = members.get(child.tag)
        if member is None:
            continue
        if member.is_list:
            found.setdefault(member.name, []).append(member.read(child))
        elif member.name not in found:
            found[member.name] = member.read(child)
    for name, text in element.items():
        if text and (member := members.get(name)) is not None and member.read is own_text:
            found[member.name] = text
    if _OWN in members:
        found[_OWN] = own_text(element)
    return form(**(required | found))


class _Member(NamedTuple):
    name: str
    read: Callable[[Element], Any]
    is_list: bool


@lru_cache(maxsize=64)
def _members(form: type[Form]) -> tuple[dict[str, _Member], dict[str, None]]:
    """Return by the name in a tree how each member of a form is read, and the members that need be."""
    found, required = dict[str, _Member](), dict[str, None]()
    for each in msgspec.structs.fields(form):
        kinds = get_args(each.type) or (each.type,)
        name = _SPELT.get(each.encode_name, each.encode_name)
        found[name] = _Member(each.name, _reading(kinds[0]), get_origin(each.type) is list)
        if each.required:
            required[each.name] = None
    return found, required


def _reading(kind: Any) -> Callable[[Element], Any]:
    """Return what reads a child into a member of which this is the first of its types."""
    if kind is Coded:
        return _coded
    if isinstance(kind, type) and issubclass(kind, Form):
        return partial(lift, form=kind)
    if kind is Any:
        return plain
    return object_of if kind == dict[str, Any] else own_text


def word_at(element: Element, name: str) -> str | None:
    """Return the enumeration's word that the first child of that name holds."""
    found = element.find(name)
    return None if found is None else word_of(_coded(found))


def _coded(element: Element) -> Coded:
    return Coded(value=element.text, extended_in_xml=element.get("_extendedValue"))


def plain(element: Element) -> Any:
    """Return an element as JSON has it: its text where it has nothing else, or else an object."""
    if not len(element) and not element.keys():
        return element.text or ""
    return object_of(element)


def object_of(element: Element) -> dict[str, Any]:
    """Return an element as a JSON object of its attributes and children, with its text as `value`."""
    found: dict[str, Any] = dict(element.items())
    for child in element:
        value, known = plain(child), found.get(child.tag)
        if isinstance(known, list):
            known.append(value)
        else:
            found[child.tag] = value if known is None else [known, value]
    if element.text:
        found.setdefault(_OWN, element.text)
    return found
