"""What other authorities and their systems may know of an incident. Pure.

No names, notes, keys, evidence or pictures, titles masked; of citizens' reports not even the title. A place
is exact where it is that of a camera or detector beside the road, else told to about 110 metres.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ioc.model.incidents import Condition, Handling, Incident, Severity
from ioc.model.texts import Text
from ioc.stream.wire import mask_incident

PLACE_DIGITS: Final = 3
_EXACT: Final = frozenset({"traffic", "equipment"})
_CITIZENS: Final = ("citizen", "feedback")
_REPORT: Final = Text("Phản ánh của người dân", "Report of a citizen")


class Publisher(msgspec.Struct, frozen=True, kw_only=True):
    """Who tells it. `is_real` is false for a demonstration, which receivers must be able to tell."""

    host: str
    """The name under which we were asked: part of what makes identifiers unique in the world."""
    city: Text
    is_real: bool
    wards: Mapping[str, Text]
    """Names by code."""


class PublicIncident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident as others may see it. Times are microseconds since the epoch."""

    id: str
    rev: int
    category: str
    severity: Severity
    title: Text
    opened_us: int
    detected_us: int
    updated_us: int
    ended_us: int | None
    """When it was over; None while it goes on."""
    withdrawn: bool
    """True where it turned out to be none."""
    ward: str | None
    lon: float | None
    lat: float | None


def public_incidents(found: Iterable[Incident]) -> list[PublicIncident]:
    """Return what may be told; parts of a greater incident are told by that one."""
    return [_public(incident) for incident in found if incident.handling is not Handling.MERGED]


def _public(incident: Incident) -> PublicIncident:
    root = incident.category.partition(".")[0]
    digits = 6 if root in _EXACT else PLACE_DIGITS
    return PublicIncident(
        id=incident.id,
        rev=incident.rev,
        category=incident.category,
        severity=incident.severity,
        title=_REPORT if root in _CITIZENS else mask_incident(incident).title,
        opened_us=incident.opened_us,
        detected_us=incident.detected_us,
        updated_us=incident.updated_us,
        ended_us=_ended_us(incident),
        withdrawn=incident.handling is Handling.REJECTED,
        ward=incident.ward,
        lon=None if incident.lon is None else round(incident.lon, digits),
        lat=None if incident.lat is None else round(incident.lat, digits),
    )


def _ended_us(incident: Incident) -> int | None:
    if incident.is_open and incident.condition is Condition.ACTIVE:
        return None
    times = (incident.cleared_us, incident.resolved_us, incident.closed_us)
    ends_us = [time_us for time_us in times if time_us is not None]
    return min(ends_us, default=incident.updated_us)
