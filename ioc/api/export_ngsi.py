"""Incidents as NGSI-LD entities of the type Alert, for context brokers. Pure.

https://github.com/smart-data-models/dataModel.Alert; ETSI GS CIM 009.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ioc.api.export_view import PublicIncident, Publisher
from ioc.model.incidents import Severity
from ioc.model.times import format_us

CONTEXT: Final = (
    "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld",
    "https://raw.githubusercontent.com/smart-data-models/dataModel.Alert/master/context.jsonld",
)
_KINDS: Final = {
    "traffic": ("traffic", "trafficJam"),
    "flood": ("naturalDisaster", "flood"),
    "fire": ("security", "fire"),
    "security": ("security", "suspiciousAction"),
    "equipment": ("asset", None),
}
"""Root of our category → `category` and `subCategory` of an Alert."""
_OTHER: Final = ("other", None)
_WITHDRAWN: Final = Severity.LOW


def ngsi_alerts(found: Iterable[PublicIncident], publisher: Publisher, _now_us: int) -> bytes:
    """Return a JSON-LD array with one normalised entity for each incident."""
    return msgspec.json.encode([_alert(incident, publisher) for incident in found])


def _alert(incident: PublicIncident, publisher: Publisher) -> dict[str, Any]:
    category, sub_category = _KINDS.get(incident.category.partition(".")[0], _OTHER)
    title = {"vi": incident.title.vi, "en": incident.title.en}
    entity: dict[str, Any] = {
        "id": f"urn:ngsi-ld:Alert:{publisher.host}:{incident.id}",
        "type": "Alert",
        "category": _property(category),
        "severity": _property(_WITHDRAWN if incident.withdrawn else incident.severity),
        "description": {"type": "LanguageProperty", "languageMap": title},
        "dateIssued": _moment(incident.detected_us),
        "dateModified": _moment(incident.updated_us),
        "validFrom": _moment(incident.opened_us),
        "alertSource": _property(publisher.host),
        "@context": list(CONTEXT),
    }
    if not publisher.is_real:
        entity["test"] = _property(True)
    if sub_category is not None:
        entity["subCategory"] = _property(sub_category)
    if incident.ended_us is not None:
        entity["validTo"] = _moment(incident.ended_us)
    if incident.ward is not None:
        ward = publisher.wards.get(incident.ward)
        entity["areaServed"] = _property(incident.ward if ward is None else ward.vi)
    if incident.lon is not None:
        point = {"type": "Point", "coordinates": [incident.lon, incident.lat]}
        entity["location"] = {"type": "GeoProperty", "value": point}
    return entity


def _property(value: Any) -> dict[str, Any]:
    return {"type": "Property", "value": value}


def _moment(time_us: int) -> dict[str, Any]:
    return _property({"@type": "DateTime", "@value": format_us(time_us)})
