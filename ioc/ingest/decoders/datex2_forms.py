"""DATEX II as version 3 spells it in JSON, of it what we read. All other versions and encodings become these.

`datex2_json.py` reads a body of that spelling straight into them; `datex2_tree.py` and `datex2_lift.py` bring
everything else there. So one reader of situations and one of measurements serve all.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import field

Number = float | str | None
"""A number as JSON or as text, which need not spell one."""
Flag = bool | int | str | None


class Form(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """An element or object of the standard. Texts are as they came, with blanks around them.

    A member that the standard requires has no default: JSON without it is spelt in another way. A form that
    was brought here from elsewhere may still have None there.
    """


class Coded(Form, frozen=True, kw_only=True):
    """A word of an enumeration, or the publisher's own where the standard has none."""

    value: str | None
    extended: str | None = field(default=None, name="extendedValueG")
    extended_in_xml: str | None = field(default=None, name="_extendedValue")


class Identified(Form, frozen=True, kw_only=True):
    """What has an id."""

    id: str | None = field(name="idG")
    version: str | None = field(default=None, name="versionG")
    value: str | None = None
    """Version 1 writes the id of a reference as its text."""


class Creator(Form, frozen=True, kw_only=True):
    """Who published it."""

    national_identifier: str | None = None


class Head(Form, frozen=True, kw_only=True):
    """What is said of a whole publication."""

    publication_time: str | None
    lang: str | None = None
    publication_creator: Creator | None = None
    time_default: str | None = None


class Period(Form, frozen=True, kw_only=True):
    """A period, open where a side is missing."""

    start_of_period: str | None = None
    end_of_period: str | None = None


class Instant(Form, frozen=True, kw_only=True):
    """A moment, in version 3 one level deeper, or a period."""

    value: str | None = None
    time_value: str | None = None
    period: Period | None = None


# Situations


class HeaderInformation(Form, frozen=True, kw_only=True):
    """Whether it is real or an exercise."""

    information_status: Coded | None


class Situation(Identified, frozen=True, kw_only=True):
    """What is said of all records of a situation."""

    overall_severity: Coded | None = None
    header_information: HeaderInformation | None


class OverallPeriod(Form, frozen=True, kw_only=True):
    """When a record is in force: in the whole period and, where there are valid ones, in one of these."""

    overall_start_time: str | None = None
    overall_end_time: str | None = None
    valid_period: list[Period] = []


class Validity(Form, frozen=True, kw_only=True):
    """Whether a record is in force."""

    validity_status: Coded | None
    overrunning: Flag = None
    validity_time_specification: OverallPeriod | None = None


class LifeCycle(Form, frozen=True, kw_only=True):
    """Whether a record has ended or was wrong."""

    cancel: Flag = None
    end: Flag = None


class Management(Form, frozen=True, kw_only=True):
    """How a record is kept."""

    life_cycle_management: LifeCycle | None = None


class Cause(Form, frozen=True, kw_only=True):
    """Why it came about: a word, or another record."""

    cause_type: Coded | None = None
    managed_cause: Coded | None = None


class Comment(Form, frozen=True, kw_only=True):
    """A text for people."""

    comment: dict[str, Any] | str | None
    """See `words`."""


class Delays(Form, frozen=True, kw_only=True):
    """How much longer it takes."""

    delay_time_value: Number = None
    """In seconds."""
    delay_band: Coded | None = None


class Impact(Form, frozen=True, kw_only=True):
    """What it does to the traffic."""

    traffic_constriction_type: Coded | None = None
    number_of_lanes_restricted: Number = None
    number_of_operational_lanes: Number = None
    original_number_of_lanes: Number = None
    delays: Delays | None = None


class Record(Identified, frozen=True, kw_only=True):
    """A version of one element of a situation."""

    version: str | None = field(name="versionG")
    situation_record_version: str | None = None
    """Version 1 has it instead of an attribute."""
    situation_record_creation_time: str | None
    situation_record_version_time: str | None
    probability_of_occurrence: Coded | None
    severity: Coded | None = None
    validity: Validity | None
    management: Management | None = None
    cause: Cause | None = None
    accident_cause: Coded | None = None
    impact: Impact | None = None
    temporary_speed_limit: Number = None
    """In km/h."""
    queue_length: Number = None
    """In metres."""
    safety_related_message: Flag = None
    general_public_comment: list[Comment] = []
    location_reference: dict[str, Any] | None = None
    group_of_locations: dict[str, Any] | None = None
    """See `place_of`."""


class ToldRecord(msgspec.Struct, frozen=True, gc=False):
    """A record, and what is not one of its members."""

    kind: str
    """Its class, e.g. `Accident`."""
    detail: str | None
    """Its kind within its class, of whichever member is the first whose name ends in `Type`."""
    raw: bytes
    record: Record


class Ending(msgspec.Struct, frozen=True):
    """What a message container's `informationManagement` closes or cancels."""

    reference: Identified
    status: str | None
    raw: bytes


# Measurements


class Measure(Form, frozen=True, kw_only=True):
    """A quantity of one kind, whose number stands in the one member that its kind has, or is its text."""

    value: Number = None
    speed: Number = None
    vehicle_flow_rate: Number = None
    percentage: Number = None
    duration: Number = None
    number_of_input_values_used: Number = None
    data_error: Flag = None
    reason_for_data_error: Any = None


class Status(Form, frozen=True, kw_only=True):
    """The publisher's word for the traffic, e.g. `congested`."""

    traffic_status_value: Coded | None = None


class Basic(Form, frozen=True, kw_only=True):
    """The quantities of one value."""

    average_vehicle_speed: Measure | None = None
    vehicle_flow: Measure | None = None
    occupancy: Measure | None = None
    travel_time: Measure | None = None
    free_flow_travel_time: Measure | None = None
    traffic_status: Status | None = None
    measurement_or_calculation_time: Instant | None = None
    measurement_or_calculation_period: Number = None


class Value(msgspec.Struct, frozen=True, gc=False):
    """One indexed value of a site."""

    index: str | None
    fault: str | None
    basics: list[Basic]


class Site(msgspec.Struct, frozen=True, gc=False):
    """The measurements of a site, or the value of a predefined location."""

    reference: Identified | None
    default: Instant | None
    values: list[Value]
    raw: bytes


# A message


class Publication(msgspec.Struct, frozen=True):
    """A publication; what it holds may be read only once."""

    kind: str
    head: Head
    raw: Callable[[], bytes]
    situations: Iterable[tuple[Situation, list[ToldRecord]]] | None = None
    sites: Iterable[Site] | None = None
    values: Iterable[Site] | None = None
    """Of predefined locations."""
    is_table: bool = False
    """Of sites, which is no event."""


class Message(msgspec.Struct, frozen=True):
    """All that a body holds."""

    count: int
    """Of records, sites, values of predefined locations and endings together."""
    publications: list[Publication]
    endings: Iterable[Ending] = ()
    generated: Iterable[str | None] = ()
    """When a container says that it was made, the most exact first."""
    is_keep_alive: bool = False
