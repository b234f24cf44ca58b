"""Incidents as alerts of the Common Alerting Protocol 1.2, in an Atom feed. Pure.

A CAP document is one alert, so the list is a feed whose entries hold them. An incident's first revision is an
`Alert`, later ones are `Update`s of it, and one that turned out to be none is cancelled.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from ioc.api.export_view import PublicIncident, Publisher
from ioc.model.incidents import Severity
from ioc.model.times import CITY_ZONE, format_us

CAP: Final = "urn:oasis:names:tc:emergency:cap:1.2"
ATOM: Final = "http://www.w3.org/2005/Atom"
_CATEGORIES: Final = {
    "traffic": "Transport",
    "flood": "Met",
    "fire": "Fire",
    "security": "Security",
    "equipment": "Infra",
}
_SEVERITIES: Final = {
    Severity.CRITICAL: "Extreme",
    Severity.HIGH: "Severe",
    Severity.MEDIUM: "Moderate",
    Severity.LOW: "Minor",
}
_RADIUS_KM: Final = "0.1"
"""To about 110 metres is how exactly most places are told."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_SENDER: Final = re.compile(r"[\s,<&]")
"""CAP 1.2 §3.2.1 forbids these in `sender` and `identifier`."""


def cap_feed(found: Iterable[PublicIncident], publisher: Publisher, now_us: int) -> bytes:
    """Return an Atom feed with one alert for each incident as it is now."""
    feed = Element("feed", {"xmlns": ATOM})
    _add(feed, "id", f"urn:ioc:{_sender(publisher)}:incidents")
    _add(feed, "title", publisher.city.vi)
    _add(feed, "updated", format_us(now_us))
    for incident in found:
        entry = SubElement(feed, "entry")
        _add(entry, "id", f"urn:ioc:{_sender(publisher)}:{_identifier(incident, incident.rev)}")
        _add(entry, "title", incident.title.vi)
        _add(entry, "updated", format_us(incident.updated_us))
        _add(SubElement(entry, "author"), "name", publisher.city.vi)
        content = SubElement(entry, "content", {"type": "application/cap+xml"})
        content.append(cap_alert(incident, publisher))
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(feed, encoding="unicode").encode()


def cap_alert(incident: PublicIncident, publisher: Publisher) -> Element:
    """Return the alert of an incident as it is now."""
    alert = Element("alert", {"xmlns": CAP})
    _add(alert, "identifier", _identifier(incident, incident.rev))
    _add(alert, "sender", _sender(publisher))
    _add(alert, "sent", _time(incident.updated_us))
    _add(alert, "status", "Actual" if publisher.is_real else "Test")
    message = "Cancel" if incident.withdrawn else "Update" if incident.rev > 1 else "Alert"
    _add(alert, "msgType", message)
    _add(alert, "scope", "Public")
    if incident.withdrawn:
        _add(alert, "note", "Không có sự cố / No incident")
    if message != "Alert":
        # The first revision was sent when the incident was detected.
        first = _identifier(incident, 1)
        _add(alert, "references", f"{_sender(publisher)},{first},{_time(incident.detected_us)}")
    for language, text in (("vi-VN", incident.title.vi), ("en-US", incident.title.en)):
        _info(alert, incident, publisher, language, text)
    return alert


def _info(alert: Element, incident: PublicIncident, publisher: Publisher, language: str, title: str) -> None:
    over = incident.ended_us is not None
    info = SubElement(alert, "info")
    _add(info, "language", language)
    _add(info, "category", _CATEGORIES.get(incident.category.partition(".")[0], "Other"))
    _add(info, "event", title)
    _add(info, "responseType", "AllClear" if over else "Monitor")
    _add(info, "urgency", "Past" if over else "Immediate")
    _add(info, "severity", _SEVERITIES[incident.severity])
    _add(info, "certainty", "Observed")
    _add(info, "onset", _time(incident.opened_us))
    name = publisher.city.vi if language == "vi-VN" else publisher.city.en
    _add(info, "senderName", name)
    _add(info, "headline", title[:160])
    area = SubElement(info, "area")
    ward = publisher.wards.get(incident.ward or "")
    _add(area, "areaDesc", (ward.vi if language == "vi-VN" else ward.en) if ward else name)
    if incident.lon is not None and incident.lat is not None:
        _add(area, "circle", f"{incident.lat},{incident.lon} {_RADIUS_KM}")
    if incident.ward is not None:
        geocode = SubElement(area, "geocode")
        _add(geocode, "valueName", "VN-ward")
        _add(geocode, "value", incident.ward)


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = _NOT_XML.sub("", text)


def _identifier(incident: PublicIncident, rev: int) -> str:
    return f"{incident.id}.{rev}"


def _sender(publisher: Publisher) -> str:
    return _NOT_SENDER.sub("", publisher.host) or "ioc"


def _time(time_us: int) -> str:
    """Return a time as CAP asks for it: whole seconds and an offset in digits, never Z."""
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC).astimezone(CITY_ZONE)
    return moment.isoformat(timespec="seconds")
