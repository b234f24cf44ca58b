"""Publications of DATEX II version 3 as its JSON spells them, as msgspec reads them."""

from typing import Any, TypeVar

from msgspec import field

from ioc.ingest.decoders.datex2_forms import Basic, Coded, Form, Head, Identified, Instant, Situation

_T = TypeVar("_T")


Of = dict[str, _T]
"""An object of an abstract class: its one member names the class and holds the object."""


class SituationWithRecords(Situation, frozen=True, kw_only=True):
    """A situation and its records, each of them a `Record`."""

    situation_record: list[Of[dict[str, Any]]]


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
    """A MeasuredDataPublication and its sites, each of them a `MeasuredSite`."""

    site_measurements: list[dict[str, Any]]


class Payload(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One publication, under the name of its class, whose package is named in short or in full."""

    situations: Situations | None = field(default=None, name="sitSituationPublication")
    situations_in_full: Situations | None = field(default=None, name="situationSituationPublication")
    measurements: Measurements | None = field(default=None, name="roaMeasuredDataPublication")
    measurements_in_full: Measurements | None = field(
        default=None, name="roadTrafficDataMeasuredDataPublication"
    )
    model_base_version: Any = field(default=None, name="modelBaseVersionG")
    profile_name: Any = field(default=None, name="profileNameG")
    profile_version: Any = field(default=None, name="profileVersionG")


class Body(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a body."""

    payload: Payload
