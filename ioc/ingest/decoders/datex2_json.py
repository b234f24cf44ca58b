"""DATEX II version 3 in JSON, spelt as the standard spells it, read straight into its forms.

Everything else in JSON, such as enumerations as bare texts, `id` for `idG`, or one object where the standard
has a list, does not fit the forms and goes the way of XML (`datex2_tree.py`, `datex2_lift.py`), at less than
half the speed. A body is of one spelling: what is spelt otherwise within one that fits is not read.
"""

from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from ioc.ingest.decoders.datex2_forms import (
    Basic,
    Coded,
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
from ioc.ingest.decoders.datex2_texts import NO_DETAIL, word_of
from ioc.ingest.decoders.datex2_tree import class_of

_T = TypeVar("_T")
_PAYLOAD: Final = frozenset({"modelBaseVersionG", "profileNameG", "profileVersionG"})
"""What stands beside the one publication."""
_bytes_of: Final = msgspec.json.Encoder().encode
Of = dict[str, _T]
"""An object of an abstract class: its one member names the class and holds the object."""


class _Situation(Situation, frozen=True, kw_only=True):
    situation_record: list[Of[Record]]


class _Situations(Head, frozen=True, kw_only=True):
    situation: list[_Situation]


class _Fault(Form, frozen=True, kw_only=True):
    physical_quantity_fault_type: Coded | None = None


class _Quantity(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    # Nothing else: elsewhere values and faults are looked for at any depth.
    basic_data: Of[Basic] | None = None
    physical_quantity_fault: list[_Fault] | None = None


class _SiteValue(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    index: int | str
    physical_quantity: Of[_Quantity]


class _Site(Form, frozen=True, kw_only=True):
    measurement_site_reference: Identified
    measurement_time_default: Instant
    physical_quantity: list[_SiteValue]
    measured_value: None = None
    """Of older versions."""


class _Measurements(Head, frozen=True, kw_only=True):
    site_measurements: list[_Site]


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
    kind, told = _only({key: inner for key, inner in payload.items() if key not in _PAYLOAD})
    raw = partial(_bytes_of, payload)
    if kind == "SituationPublication":
        head = msgspec.convert(told, _Situations)
        found, count = [], 0
        for situation, each in zip(head.situation, told["situation"], strict=True):
            records = list(map(_record, situation.situation_record, each["situationRecord"]))
            found.append((situation, records))
            count += len(records)
        return Message(count, [Publication(kind, head, raw, situations=found)])
    if kind == "MeasuredDataPublication":
        measured = msgspec.convert(told, _Measurements)
        sites = list(map(_site, measured.site_measurements, told["siteMeasurements"]))
        return Message(len(sites), [Publication(kind, measured, raw, sites=sites)])
    raise _Otherwise


def _only(of: Of[_T]) -> tuple[str, _T]:
    """Return an object's class and the object.

    Raises:
        _Otherwise: it names no class or several.
    """
    if len(of) == 1:
        [(name, found)] = of.items()
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


def _site(site: _Site, told: dict[str, Any]) -> Site:
    return Site(
        site.measurement_site_reference,
        site.measurement_time_default,
        list(map(_value, site.physical_quantity)),
        _bytes_of(told),
    )


def _value(value: _SiteValue) -> Value:
    _, quantity = _only(value.physical_quantity)
    faults = quantity.physical_quantity_fault
    fault = word_of(faults[0].physical_quantity_fault_type) if faults else None
    basics = [] if quantity.basic_data is None else [_only(quantity.basic_data)[1]]
    return Value(str(value.index), fault, basics)
