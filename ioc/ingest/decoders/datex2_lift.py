"""From a tree of any DATEX II version and encoding to the forms of version 3, `datex2_forms.py`.

What a form has as a member is looked for, and taken from the first child of that name or the attribute.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Final, Generic, TypeVar, get_args, get_origin
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
_COUNTED: Final = ("situationRecord", "siteMeasurements", "elaboratedData")
_ENDING: Final = "elementReference"
_VALUES: Final = frozenset({"measuredValue", "physicalQuantity"})
_PREDEFINED: Final = frozenset({"elaboratedData", "physicalQuantity"})


def message_of(tree: Tree) -> Message:
    """Return all that a tree holds."""
    root = tree.root
    found = [_publication(each, tree) for each in publications(root)]
    references = list(root.iter(_ENDING))
    return Message(
        count=sum([len(list(root.iter(name))) for name in _COUNTED], len(references)),
        publications=found,
        endings=(_ending(each, tree) for each in references) if references else (),
        generated=_generated(root) if references else (),
        is_keep_alive=not found and _is_keep_alive(root),
    )


def _generated(root: Element) -> Iterator[str | None]:
    for name in ("messageGenerationTimestamp", "publicationTime"):
        for each in root.iter(name):
            yield own_text(each)


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
    into: _Lift[_F] = _lift_into(form)
    return into.read(element)


class _Lift(Generic[_F]):
    """Reads elements as one form."""

    def __init__(self, form: type[_F]) -> None:
        self._form = form
        self._members: dict[str, tuple[str, Callable[[Element], Any], bool]] = {}
        """By the name in a tree: the member's, what reads it, and whether it is a list."""
        self._required: dict[str, Any] = {}
        """The members that need be, with nothing in them."""
        for each in msgspec.structs.fields(form):
            kinds = get_args(each.type) or (each.type,)
            name = _SPELT.get(each.encode_name, each.encode_name)
            self._members[name] = each.name, _reading(kinds[0]), get_origin(each.type) is list
            if each.required:
                self._required[each.name] = None
        self._has_text = _OWN in self._members

    def read(self, element: Element) -> _F:
        """See `lift`."""
        members = self._members
        found: dict[str, Any] = {}
        for child in element:
            member = members.get(child.tag)
            if member is None:
                continue
            name, read, is_list = member
            if name not in found:
                found[name] = [read(child)] if is_list else read(child)
            elif is_list:
                found[name].append(read(child))
        for key, text in element.items():
            if text and (member := members.get(key)) is not None and member[1] is own_text:
                found[member[0]] = text
        if self._has_text:
            found[_OWN] = own_text(element)
        return self._form(**(self._required | found))


@lru_cache(maxsize=64)
def _lift_into(form: type[_F]) -> _Lift[_F]:
    return _Lift(form)


def _reading(kind: Any) -> Callable[[Element], Any]:
    """Return what reads a child into a member of which this is the first of its types."""
    if kind is Coded:
        return _coded
    if isinstance(kind, type) and issubclass(kind, Form):
        return _lift_into(kind).read
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
        name, value = child.tag, plain(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    if element.text:
        found.setdefault(_OWN, element.text)
    return found
