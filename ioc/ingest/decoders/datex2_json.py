"""DATEX II version 3 in JSON, spelt as the standard spells it, read straight into its forms.

Everything else in JSON, such as enumerations as bare texts, `id` for `idG`, or one object where the standard
has a list, does not fit the forms and goes the way of XML (`datex2_tree.py`, `datex2_lift.py`), at less than
half the speed. A body is of one spelling: what is spelt otherwise within one that fits is not read.
"""

from functools import partial
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
from ioc.ingest.decoders.datex2_json_forms import MeasuredSite, Measurements, Of, SiteValue, Situations
from ioc.ingest.decoders.datex2_texts import NO_DETAIL, word_of
from ioc.ingest.decoders.datex2_tree import class_of

_T = TypeVar("_T")
_PAYLOAD: Final = frozenset({"modelBaseVersionG", "profileNameG", "profileVersionG"})
"""What stands beside the one publication."""
_bytes_of: Final = msgspec.json.Encoder().encode


class _Otherwise(Exception):
    """It is spelt in another way."""


def standard_message(body: Any) -> Message | None:
    """Return what a JSON value holds, None where it is not spelt as the standard spells it."""
    try:
        return _message(body)
    except (_Otherwise, msgspec.ValidationError, RecursionError):
        return None


def _message(body: Any) -> Message:
    payload = body.get("payload") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(payload, dict):
        raise _Otherwise
    kind, told = _of_payload(payload)
    raw = partial(_bytes_of, payload)
    if kind == "SituationPublication":
        head = msgspec.convert(told, Situations)
        found: list[tuple[Situation, list[ToldRecord]]] = []
        count = 0
        for situation, each in zip(head.situation, told["situation"], strict=True):
            records: list[ToldRecord] = []
            for record, members in zip(situation.situation_record, each["situationRecord"], strict=True):
                records.append(_record(record, members))
            found.append((situation, records))
            count += len(records)
        return Message(count, [Publication(kind, head, raw, situations=found)])
    if kind == "MeasuredDataPublication":
        measured = msgspec.convert(told, Measurements)
        sites = [
            _site(site, each)
            for site, each in zip(measured.site_measurements, told["siteMeasurements"], strict=True)
        ]
        return Message(len(sites), [Publication(kind, measured, raw, sites=sites)])
    raise _Otherwise


def _of_payload(payload: dict[str, Any]) -> tuple[str, Any]:
    """Return the class of the one publication, and the publication.

    Raises:
        _Otherwise: there is none, or several.
    """
    found: tuple[str, Any] | None = None
    for name, told in payload.items():
        if name in _PAYLOAD:
            continue
        kind = class_of(name)
        if found or not kind:
            raise _Otherwise
        found = kind, told
    if not found:
        raise _Otherwise
    return found


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


def _record(of: Of[Record], told: Of[dict[str, Any]]) -> ToldRecord:
    kind, record = _only(of)
    [members] = told.values()
    return ToldRecord(kind, _detail(members), _bytes_of(told), record)


def _detail(members: dict[str, Any]) -> str | None:
    for name, told in members.items():
        if name.endswith("Type") and name not in NO_DETAIL:
            for each in told if isinstance(told, list) else [told]:
                if word := word_of(msgspec.convert(each, Coded)):
                    return word
    return None


def _site(site: MeasuredSite, told: dict[str, Any]) -> Site:
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
