"""DATEX II version 3 in JSON, spelt as the standard spells it, read straight into its forms.

Everything else in JSON, such as enumerations as bare texts, `id` for `idG`, or one object where the standard
has a list, does not fit the forms and goes the way of XML (`datex2_tree.py`, `datex2_lift.py`), at less than
half the speed. A body is of one spelling: what is spelt otherwise within one that fits is not read.
"""

from typing import Any, Final, TypeVar

import msgspec

from ioc.ingest.decoders.datex2_forms import (
    Coded,
    Message,
    Publication,
    Record,
    Site,
    Situation,
    ToldRecord,
    Value,
)
from ioc.ingest.decoders.datex2_json_forms import (
    Body,
    MeasuredSite,
    Measurements,
    Of,
    Payload,
    SiteValue,
    Situations,
)
from ioc.ingest.decoders.datex2_texts import NO_DETAIL, word_of
from ioc.ingest.decoders.datex2_tree import class_of
from ioc.ingest.decoders.jsonlines import JSON_ERRORS

_T = TypeVar("_T")
_body_of: Final = msgspec.json.Decoder(Body).decode
_bytes_of: Final = msgspec.json.Encoder().encode


class _Otherwise(Exception):
    """It is spelt in another way."""


_NOT_STANDARD: Final = (_Otherwise, *JSON_ERRORS)


def standard_message(text: bytes) -> Message | None:
    """Return what a JSON text holds, None where it is no JSON or not spelt as the standard spells it."""
    try:
        return _message(text)
    except _NOT_STANDARD:
        return None


def _message(text: bytes) -> Message:
    head = _publication(_body_of(text).payload)
    if isinstance(head, Situations):
        found: list[tuple[Situation, list[ToldRecord]]] = []
        count = 0
        for situation in head.situation:
            records = [_record(told) for told in situation.situation_record]
            found.append((situation, records))
            count += len(records)
        return Message(count, [Publication("SituationPublication", head, lambda: text, situations=found)])
    if isinstance(head, Measurements):
        sites = [_site(told) for told in head.site_measurements]
        return Message(len(sites), [Publication("MeasuredDataPublication", head, lambda: text, sites=sites)])
    raise _Otherwise


def _publication(payload: Payload) -> Situations | Measurements | None:
    """Return the one publication, None where there is none or several."""
    found = [
        each
        for each in (
            payload.situations,
            payload.situations_in_full,
            payload.measurements,
            payload.measurements_in_full,
        )
        if each is not None
    ]
    return found[0] if len(found) == 1 else None


def _only(of: Of[_T]) -> tuple[str, _T]:
    """Return an object's class and the object.

    Raises:
        _Otherwise: it names no class or several.
    """
    if len(of) == 1:
        for name, found in of.items():
            if kind := class_of(name):
                return kind, found
    raise _Otherwise


def _record(told: Of[dict[str, Any]]) -> ToldRecord:
    kind, members = _only(told)
    return ToldRecord(kind, _detail(members), _bytes_of(told), msgspec.convert(members, Record))


def _detail(members: dict[str, Any]) -> str | None:
    for name, told in members.items():
        if name.endswith("Type") and name not in NO_DETAIL:
            for each in told if isinstance(told, list) else [told]:
                if word := word_of(msgspec.convert(each, Coded)):
                    return word
    return None


def _site(told: dict[str, Any]) -> Site:
    site = msgspec.convert(told, MeasuredSite)
    return Site(
        site.measurement_site_reference,
        site.measurement_time_default,
        [_value(each) for each in site.physical_quantity],
        _bytes_of(told),
    )


def _value(value: SiteValue) -> Value:
    _, quantity = _only(value.physical_quantity)
    faults, basic = quantity.physical_quantity_fault, quantity.basic_data
    fault = word_of(faults[0].physical_quantity_fault_type) if faults else None
    return Value(str(value.index), fault, [] if basic is None else [_only(basic)[1]])
