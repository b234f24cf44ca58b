"""Publications of DATEX II version 3 as its JSON spells them, as msgspec reads them."""

from typing import TypeVar

from ioc.ingest.decoders.datex2_forms import Basic, Coded, Form, Head, Identified, Instant, Record, Situation

_T = TypeVar("_T")


Of = dict[str, _T]
"""An object of an abstract class: its one member names the class and holds the object."""


class SituationWithRecords(Situation, frozen=True, kw_only=True):
    """A situation and its records, each under the name of its class."""

    situation_record: list[Of[Record]]


class Situations(Head, frozen=True, kw_only=True):
    """A SituationPublication."""

    situation: list[SituationWithRecords]


class Fault(Form, frozen=True, kw_only=True):
    """Why a value cannot be trusted."""

    physical_quantity_fault_type: Coded | None = None


class Quantity(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A measured value."""

    # Nothing else: elsewhere values and faults are looked for at any depth.
    basic_data: Of[Basic] | None = None
    physical_quantity_fault: list[Fault] | None = None


class SiteValue(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value by its index at the site."""

    index: int | str
    physical_quantity: Of[Quantity]


class MeasuredSite(Form, frozen=True, kw_only=True):
    """What one site measured."""

    measurement_site_reference: Identified
    measurement_time_default: Instant
    physical_quantity: list[SiteValue]
    measured_value: None = None
    """Of older versions."""


class Measurements(Head, frozen=True, kw_only=True):
    """A MeasuredDataPublication."""

    site_measurements: list[MeasuredSite]
