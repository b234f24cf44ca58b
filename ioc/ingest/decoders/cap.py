"""Common Alerting Protocol 1.0 to 1.2 (OASIS, ITU-T X.1303): weather, floods, fires, public safety.

An alert is one situation however many languages and areas it has. Its identity is that of the first message
it refers to, so an update goes on with the situation and a cancellation ends it. Alerts may lie in a feed
(Atom, EDXL, SOAP): every `alert` found in the body is read.
"""

import hashlib
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final
from xml.etree.ElementTree import Element

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused, typed_data
from ioc.ingest.decoders.datex2_texts import MAX_LABEL_CHARS, MAX_WORDS_CHARS, label, rejection
from ioc.ingest.decoders.geometry import Point
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.moments import lasting_us, moment_us
from ioc.ingest.decoders.positions import middle, plausible
from ioc.ingest.decoders.xml import children, own_text, parse_xml, text_of, whole_elements, xml_of

MAX_REFERENCES: Final = 100
SEVERITIES: Final = {"Extreme": "critical", "Severe": "high", "Moderate": "medium", "Minor": "low"}
"""`Unknown` says nothing of it."""
_ALERT: Final = frozenset({"alert"})
_RANK: Final = {name: rank for rank, name in enumerate(SEVERITIES)}
_STATUSES: Final = ("Actual", "Exercise", "System", "Test", "Draft")
_TOLD: Final = ("Alert", "Update", "Cancel")
_NOT_WORDS: Final = re.compile(r"[\W_]+")
_COMMA: Final = re.compile(r"\s*,\s*")


class _Phase(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    OVER = "over"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class _Reference(msgspec.Struct, frozen=True):
    """A message that another one refers to: `sender,identifier,sent`."""

    identifier: str
    sent: str


class Cap:
    """Decoder of CAP alerts."""

    content_types = (*XML_TYPES, "application/cap+xml", "application/atom+xml")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of every alert in `body`; see `Decoder`."""
        result = Decode()
        try:
            alerts = list(parse_xml(body).iter("alert"))
            if not alerts:
                raise Refused("required", "no alert in it", "alert")
        except Refused as refused:
            alerts = whole_elements(body, _ALERT) if refused.rule == "xml" else []
            result.rejections.append(rejection(len(alerts) + 1, body, refused))
        for line, alert in enumerate(alerts, 1):
            raw = xml_of(alert)
            try:
                result.events.extend(_events(line, alert, raw, context))
            except Refused as refused:
                result.rejections.append(_rejection(line, alert, raw, refused))
            count = len(result.events) + len(result.rejections)
            if count > context.max_events:
                raise TooManyEvents(count, context.max_events)
        return result


def _rejection(line: int, alert: Element, raw: bytes, refused: Refused) -> Rejection:
    return rejection(line, raw, refused, text_of(alert, "identifier"))


def _events(line: int, alert: Element, raw: bytes, context: DecodeContext) -> list[Decoded]:
    """Return what an alert says of its situation, and the end of others that it takes the place of.

    Raises:
        Refused: what is wrong with it.
    """
    identifier = _name(alert, "identifier")
    sent_us = moment_us(_required(alert, "sent"), context.zone, "alert.sent")
    # The standard writes its words in one way, senders in several.
    _check_status(_required(alert, "status").capitalize(), context)
    message = _required(alert, "msgType").capitalize()
    if message not in _TOLD:
        raise Refused(
            "msg_type", f"{message[:64]}: only {', '.join(_TOLD)} tell of a situation", "alert.msgType"
        )
    references = list(_references(alert))
    if message == "Cancel" and not references:
        raise Refused("required", "a cancellation says what it cancels", "alert.references")
    first = references[0].identifier if references else identifier
    infos = children(alert, "info")
    phase = _Phase.CANCELLED if message == "Cancel" else _phase(infos, context)
    digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
    told = [(first, phase)] + [
        (other, _Phase.CANCELLED if message == "Cancel" else _Phase.SUPERSEDED)
        for other in dict.fromkeys(reference.identifier for reference in references[1:])
        if other != first
    ]
    place = _place(infos)
    time_us = _time_us(phase, sent_us, _ends(infos, context), context.now_us)
    return [
        Decoded(
            line=line,
            id=f"{digest}-{number}-{each.value}",
            source=context.device_id,
            time_us=time_us,
            data=typed_data("traffic.situation", _fields(alert, infos, name, identifier, each, context))[0],
            raw=raw,
            lon=place[0] if place else None,
            lat=place[1] if place else None,
            subject=label(text_of(alert, "sender")),
        )
        for number, (name, each) in enumerate(told)
    ]


def _required(alert: Element, name: str) -> str:
    found = text_of(alert, name)
    if found is None:
        raise Refused("required", "this element is required", f"alert.{name}")
    return found


def _name(alert: Element, name: str) -> str:
    found = _required(alert, name)
    if len(found) > MAX_LABEL_CHARS:
        detail = f"{len(found)} characters, at most {MAX_LABEL_CHARS} are taken"
        raise Refused("length", detail, f"alert.{name}")
    if not found.isprintable():
        raise Refused("printable", "control characters are not allowed here", f"alert.{name}")
    return found


def _check_status(status: str, context: DecodeContext) -> None:
    if status not in _STATUSES:
        raise Refused("known_value", f"expected one of {', '.join(_STATUSES)}", "alert.status")
    takes_tests = context.options.get("tests") == "accept" and status in ("Exercise", "Test")
    if status != "Actual" and not takes_tests:
        detail = (
            f"{status}: only what is actual is taken; the option tests=accept takes exercises and tests too"
        )
        raise Refused("real", detail, "alert.status")


def _references(alert: Element) -> Iterator[_Reference]:
    """Yield what an alert refers to, oldest first where the times can be told by their text."""
    found = []
    for text in (text_of(alert, "references") or "").split()[:MAX_REFERENCES]:
        _, _, rest = text.partition(",")
        name, _, sent = rest.rpartition(",")
        if not name or len(name) > MAX_LABEL_CHARS or not name.isprintable():
            raise Refused(
                "references", "expected `sender,identifier,sent` separated by spaces", "alert.references"
            )
        found.append(_Reference(name, sent))
    yield from sorted(found, key=_sent_us)


def _sent_us(reference: _Reference) -> int:
    try:
        return moment_us(reference.sent, None, "alert.references")
    except Refused:
        return 0


def _phase(infos: list[Element], context: DecodeContext) -> _Phase:
    """Return whether an alert still holds: not once all it says has expired, or is over by its own words."""
    if not infos:
        return _Phase.ACTIVE
    if all(_is_over(info) for info in infos):
        return _Phase.OVER
    ends_us = _ends(infos, context)
    return _Phase.EXPIRED if ends_us is not None and ends_us <= context.now_us else _Phase.ACTIVE


def _ends(infos: list[Element], context: DecodeContext) -> int | None:
    """Return when the last part of an alert expires, None where one of them does not say."""
    texts = [text for info in infos if (text := text_of(info, "expires"))]
    ends_us = [moment_us(text, context.zone, "alert.info.expires") for text in texts]
    return max(ends_us) if ends_us and len(ends_us) == len(infos) else None


def _time_us(phase: _Phase, sent_us: int, ends_us: int | None, now_us: int) -> int:
    """Return when an alert became what it is; one not expired holds, however long ago it was sent."""
    if phase is _Phase.EXPIRED and ends_us is not None:
        return lasting_us(max(sent_us, ends_us), ends_us, now_us)
    return lasting_us(sent_us, now_us if phase is _Phase.ACTIVE and ends_us else sent_us, now_us)


def _is_over(info: Element) -> bool:
    return (text_of(info, "urgency") or "").lower() == "past" or any(
        (own_text(response) or "").lower() == "allclear" for response in children(info, "responseType")
    )


def _severity(info: Element | None) -> str:
    return (text_of(info, "severity") or "").capitalize()


def _fields(
    alert: Element, infos: list[Element], name: str, version: str, phase: _Phase, context: DecodeContext
) -> dict[str, Any]:
    gravest = min(infos, key=lambda info: _RANK.get(_severity(info), len(_RANK)), default=None)
    told = _in_language(infos, context)
    extra = {
        "phase": phase.value,
        "message": text_of(alert, "msgType"),
        "status": text_of(alert, "status"),
        "scope": text_of(alert, "scope"),
        "sender": text_of(alert, "sender"),
        "event": text_of(told, "event"),
        "category": text_of(gravest, "category"),
        "urgency": text_of(gravest, "urgency"),
        "certainty": text_of(gravest, "certainty"),
        "response": text_of(gravest, "responseType"),
        "sent": text_of(alert, "sent"),
        "effective": text_of(gravest, "effective"),
        "onset": text_of(gravest, "onset"),
        "expires": text_of(gravest, "expires"),
        "area": _areas(told),
        "geocode": _geocodes(gravest),
        "parameter": _parameters(gravest),
        "sender_name": text_of(told, "senderName"),
        "web": text_of(told, "web"),
    }
    return {
        "situation_id": name,
        "kind": _kind(infos),
        "active": phase is _Phase.ACTIVE,
        "severity": SEVERITIES.get(_severity(gravest)),
        "version": version,
        "text": _text(told),
        "extra": {key: shown for key, value in extra.items() if (shown := label(value))},
    }


def _language(info: Element) -> str:
    return (text_of(info, "language") or "en")[:2].lower()


def _in_language(infos: list[Element], context: DecodeContext) -> Element | None:
    by_language: dict[str, Element] = {}
    for info in infos:
        by_language.setdefault(_language(info), info)
    preferred = (context.options.get("language", "")[:2].lower(), "vi", "en")
    return next((by_language[each] for each in preferred if each in by_language), infos[0] if infos else None)


def _text(info: Element | None) -> str | None:
    parts = [text for name in ("headline", "description", "instruction") if (text := text_of(info, name))]
    return "\n".join(parts)[:MAX_WORDS_CHARS] or None


def _kind(infos: list[Element]) -> str:
    """Return the event in English, which rules can name; else its category, an enumeration."""
    for info in infos:
        if _language(info) == "en" and (event := text_of(info, "event")):
            return _NOT_WORDS.sub("_", event.lower()).strip("_")[:MAX_LABEL_CHARS] or "alert"
    category = text_of(infos[0], "category") if infos else None
    return _NOT_WORDS.sub("_", category.lower())[:MAX_LABEL_CHARS] if category else "alert"


def _areas(info: Element | None) -> str | None:
    if info is None:
        return None
    names = (text_of(area, "areaDesc") for area in children(info, "area"))
    return "; ".join(filter(None, names)) or None


def _parameters(info: Element | None) -> str | None:
    """Return what a sender adds in words of its own, such as the level of a warning."""
    if info is None:
        return None
    pairs = (
        f"{text_of(each, 'valueName')}={text_of(each, 'value')}"
        for each in children(info, "parameter")
        if text_of(each, "value")
    )
    return " | ".join(pairs) or None


def _geocodes(info: Element | None) -> str | None:
    if info is None:
        return None
    pairs = (
        f"{text_of(code, 'valueName')}={text_of(code, 'value')}"
        for area in children(info, "area")
        for code in children(area, "geocode")
    )
    return " ".join(pairs) or None


def _place(infos: list[Element]) -> Point | None:
    """Return the middle of the first area that says where it is."""
    for info in infos:
        for area in children(info, "area"):
            for polygon in children(area, "polygon"):
                points = [p for pair in _pairs(polygon) if (p := _pair(pair))]
                if points:
                    return middle(points)
            for circle in children(area, "circle"):
                if point := next(map(_pair, _pairs(circle)), None):
                    return point
    return None


def _pairs(shape: Element) -> list[str]:
    """Return what the blanks of a polygon or a circle part; some have blanks beside their commas too."""
    return _COMMA.sub(",", shape.text or "").split()


def _pair(text: str) -> Point | None:
    """Return a position of CAP's `latitude,longitude`."""
    lat, _, lon = text.strip().partition(",")
    try:
        return plausible(float(lon), float(lat))
    except ValueError:
        return None
