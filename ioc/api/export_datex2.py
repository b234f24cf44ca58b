"""Incidents as a DATEX II v3 SituationPublication in JSON. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ioc.api.export_view import PublicIncident, Publisher
from ioc.model.incidents import Severity
from ioc.model.times import format_us

_SEVERITIES: Final = {
    Severity.CRITICAL: "highest",
    Severity.HIGH: "high",
    Severity.MEDIUM: "medium",
    Severity.LOW: "low",
}
_Record = tuple[str, dict[str, Any]]
_RECORDS: Final[dict[str, _Record]] = {
    "traffic": ("sitAbnormalTraffic", {"abnormalTrafficType": {"value": "unspecifiedAbnormalTraffic"}}),
    "flood": ("sitEnvironmentalObstruction", {"environmentalObstructionType": {"value": "flooding"}}),
    "fire": ("sitEnvironmentalObstruction", {"environmentalObstructionType": {"value": "seriousFire"}}),
    "security": ("sitDisturbanceActivity", {"disturbanceActivityType": {"value": "securityIncident"}}),
    "equipment": (
        "sitEquipmentOrSystemFault",
        {
            "equipmentOrSystemFaultType": {"value": "notWorking"},
            "faultyEquipmentOrSystemType": {"value": "other"},
        },
    ),
}
_OTHER: Final[_Record] = ("sitGeneralObstruction", {"obstructionType": [{"value": "incident"}]})
"""What we know of an incident is its category; a finer class would be a guess."""


def datex2_publication(found: Iterable[PublicIncident], publisher: Publisher, now_us: int) -> bytes:
    """Return a payload of `found`; an incident without position is left out, as a record needs a place."""
    publication = {
        "lang": "vi",
        "publicationTime": format_us(now_us),
        "publicationCreator": {"country": "vn", "nationalIdentifier": f"IOC {publisher.city.en}"[:1_000]},
        "situation": [_situation(each, publisher) for each in found if each.lon is not None],
    }
    payload = {"modelBaseVersionG": "3", "versionG": "3.5", "sitSituationPublication": publication}
    return msgspec.json.encode({"payload": payload})


def _situation(incident: PublicIncident, publisher: Publisher) -> dict[str, Any]:
    name, own = _RECORDS.get(incident.category.partition(".")[0], _OTHER)
    return {
        "idG": incident.id,
        "headerInformation": {"informationStatus": {"value": "real" if publisher.is_real else "test"}},
        "situationRecord": [{name: _record(incident) | own}],
    }


def _record(incident: PublicIncident) -> dict[str, Any]:
    period = {"overallStartTime": format_us(incident.opened_us)}
    if incident.ended_us is not None:
        period["overallEndTime"] = format_us(max(incident.ended_us, incident.opened_us))
    status = "active" if incident.ended_us is None else "definedByValidityTimeSpec"
    title = {"vi": incident.title.vi, "en": incident.title.en}
    values = [{"lang": language, "value": text[:1_024]} for language, text in title.items()]
    point = {"latitude": incident.lat, "longitude": incident.lon}
    return {
        "idG": f"{incident.id}_1",
        "versionG": str(incident.rev),
        "situationRecordCreationTime": format_us(incident.detected_us),
        "situationRecordVersionTime": format_us(incident.updated_us),
        "probabilityOfOccurrence": {"value": "certain"},
        "severity": {"value": _SEVERITIES[incident.severity]},
        "validity": {"validityStatus": {"value": status}, "validityTimeSpecification": period},
        "generalPublicComment": [{"comment": {"values": values}}],
        "locationReference": {"locPointLocation": {"pointByCoordinates": {"pointCoordinates": point}}},
    }
