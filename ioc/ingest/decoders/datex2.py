"""DATEX II (EN 16157), versions 1 to 3, XML and JSON: situations, measurements, travel times.

A publication may come bare, in an exchange's envelope, in SOAP or packed with gzip. Each situation record and
each site's measurements stand or fall alone.
"""

from collections.abc import Iterable

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.datex2_forms import Message, Publication
from ioc.ingest.decoders.datex2_json import standard_message
from ioc.ingest.decoders.datex2_lift import message_of
from ioc.ingest.decoders.datex2_measured import elaborated, measured
from ioc.ingest.decoders.datex2_situations import situations, withdrawals
from ioc.ingest.decoders.datex2_texts import rejection, time_us
from ioc.ingest.decoders.datex2_tree import is_json, json_tree, json_value, plain_text, xml_tree
from ioc.ingest.decoders.jsonlines import JSON_TYPES
from ioc.ingest.decoders.media import XML_TYPES


class Datex2:
    """Decoder of DATEX II publications."""

    content_types = (*XML_TYPES, JSON_TYPES[0], "application/gzip", "application/x-gzip")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of all publications in `body`; see `Decoder`."""
        try:
            message = _message(body)
        except Refused as refused:
            return Decode(rejections=[rejection(1, body, refused)])
        if message.count > context.max_events:
            raise TooManyEvents(message.count, context.max_events)
        result = Decode()
        for publication in message.publications:
            _take(_publication(publication, context), result, context)
        if message.endings:
            _take(withdrawals(message, context), result, context)
        if not message.publications and not result.events and not message.is_keep_alive:
            detail = "expected a DATEX II message with a payload"
            nothing = Refused("publication", detail, "payloadPublication")
            result.rejections.append(rejection(1, body, nothing))
        return result


def _message(body: bytes) -> Message:
    text = plain_text(body)
    if not is_json(text):
        return message_of(xml_tree(text))
    return standard_message(text) or message_of(json_tree(json_value(text)))


def _take(items: Iterable[Decoded | Rejection | int], result: Decode, context: DecodeContext) -> None:
    left = context.max_events - len(result.events) - len(result.rejections)
    for item in items:
        if isinstance(item, Decoded):
            result.events.append(item)
        elif isinstance(item, Rejection):
            result.rejections.append(item)
        else:
            result.dropped_fields += item
            continue
        left -= 1
        if left < 0:
            raise TooManyEvents(context.max_events - left, context.max_events)


def _publication(publication: Publication, context: DecodeContext) -> Iterable[Decoded | Rejection | int]:
    try:
        stated_us = time_us(publication.head.publication_time, context.zone, "publicationTime")
    except Refused as refused:
        return [rejection(1, publication.raw(), refused)]
    at_us = context.now_us if stated_us is None else stated_us
    if publication.situations is not None:
        return situations(publication, context, at_us)
    if publication.sites is not None:
        return measured(publication, context, at_us)
    if publication.values is not None:
        return elaborated(publication, context, at_us)
    return [rejection(1, publication.raw(), _unknown(publication))]


def _unknown(publication: Publication) -> Refused:
    if publication.is_table:
        detail = "a table of sites is not an event: `ioc devices import-sites FILE --publisher ID`"
        return Refused("site_table", detail, "payload")
    kind = publication.kind[:64] or "no class is stated"
    detail = f"{kind}: situations, measured data and elaborated data are taken"
    return Refused("publication", detail, "payload.type")
