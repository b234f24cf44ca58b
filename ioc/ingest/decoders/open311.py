"""Service requests of other cities: GeoReport v2 `requests`, JSON or XML, as pulled or as pushed.

https://wiki.open311.org/GeoReport_v2/#get-service-requests. Cities leave out, empty or `null` what they do
not have, write numbers as text and times without zone. A request is one `feedback.report`, known by its
`service_request_id`; asked for again it is a duplicate, whatever became of it meanwhile.
"""

from collections.abc import Iterator
from typing import Any, Final
from xml.etree.ElementTree import Element, tostring

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused, refuse_nul, typed_data
from ioc.ingest.decoders.geometry import degrees_of
from ioc.ingest.decoders.jsonlines import BLANK, BOM, JSON_ERRORS, JSON_TYPES, parse_any, why_unreadable
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.ingest.decoders.xml import parse_xml

_LISTS: Final = ("service_requests", "requests")
"""What holds the requests in XML, and with some programs in JSON too."""
_KEPT: Final = (
    "status",
    "status_notes",
    "service_code",
    "agency_responsible",
    "updated_datetime",
    "expected_datetime",
    "address_id",
    "zipcode",
    "media_url",
)


class Open311:
    """Decoder of service requests; the device stands for the city."""

    content_types = (JSON_TYPES[0], *XML_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per request; each is refused by itself. See `Decoder`."""
        text = body.removeprefix(BOM).strip(BLANK)
        result = Decode()
        try:
            requests = list(_requests(text))
        except Refused as refused:
            rejection = Rejection(line=1, rule=refused.rule, detail=refused.detail, raw=text)
            return Decode(rejections=[rejection])
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            return Decode(rejections=[Rejection(line=1, rule=rule, detail=detail, raw=text)])
        if len(requests) > context.max_events:
            raise TooManyEvents(len(requests), context.max_events)
        for line, (request, whole) in enumerate(requests, 1):
            raw = whole[: context.max_event_bytes]
            try:
                if not text.startswith(b"<"):  # XML has no way to write it
                    refuse_nul(whole)
                decoded, dropped = _decoded(line, request, raw, context)
            except Refused as refused:
                result.rejections.append(
                    Rejection(
                        line=line,
                        rule=refused.rule,
                        detail=refused.detail[:500],
                        raw=raw,
                        field=refused.field,
                    )
                )
                continue
            result.events.append(decoded)
            result.dropped_fields += dropped
        return result


def _requests(text: bytes) -> Iterator[tuple[Any, bytes]]:
    """Yield each request as a mapping of names to values, and its bytes. An empty list is no fault.

    Raises:
        Refused: no XML, XML that is not taken, or a document of something else, such as an error.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: no JSON.
    """
    if not text:
        raise Refused("empty", "the body holds no list of requests")
    if text.startswith(b"<"):
        root = parse_xml(text)
        elements = [root] if root.tag == "request" else list(root.iter("request"))
        if not elements and root.tag not in _LISTS:
            shown = " ".join(" ".join(root.itertext()).split())[:200]
            raise Refused("known_document", f"expected service requests, got {str(root.tag)[:64]}: {shown}")
        for element in elements:
            yield {child.tag: _text(child) for child in element}, tostring(element)
        return
    found = parse_any(text)
    if isinstance(found, dict) and "service_request_id" not in found:
        listed = next((found[name] for name in _LISTS if isinstance(found.get(name), list)), None)
        found = found if listed is None else listed
    for request in found if isinstance(found, list) else [found]:
        yield request, msgspec.json.encode(request)


def _text(element: Element) -> str | None:
    return (element.text or "").strip() or None


def _decoded(line: int, request: Any, raw: bytes, context: DecodeContext) -> tuple[Decoded, int]:
    if not isinstance(request, dict):
        raise Refused("object", f"expected a service request, got {type(request).__name__}")
    known = {name: value for name, value in request.items() if value not in (None, "")}
    identity = str(known.get("service_request_id", "")).strip()
    if not identity:
        raise Refused("required", "this field is required", "service_request_id")
    if len(identity) > MAX_ID_CHARS or not identity.isprintable():
        detail = f"expected at most {MAX_ID_CHARS} printable characters"
        raise Refused("printable", detail, "service_request_id")
    service = known.get("service_name") or known.get("service_code")
    fields: dict[str, Any] = {
        "category": None if service is None else str(service),
        "text": known.get("description") or service,
        "title": known.get("service_name"),
        "address": known.get("address"),
        "channel": "open311",
        **{name: known[name] for name in _KEPT if name in known},
    }
    data, dropped = typed_data("feedback.report", {k: v for k, v in fields.items() if v is not None})
    requested = known.get("requested_datetime")
    if requested is None:
        raise Refused("required", "this field is required", "requested_datetime")
    return (
        Decoded(
            line=line,
            id=identity,
            source=context.device_id,
            time_us=moment_us(str(requested), context.zone, "requested_datetime"),
            data=data,
            raw=raw,
            lon=degrees_of(known.get("long")),
            lat=degrees_of(known.get("lat")),
        ),
        dropped,
    )
