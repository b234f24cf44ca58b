"""DATEX II (EN 16157), versions 1 to 3, XML and JSON: situations, measurements, travel times.

A publication may come bare, in an exchange's envelope, in SOAP or packed with gzip. Each situation record and
each site's measurements stand or fall alone.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.datex2_measured import elaborated, measured
from ioc.ingest.decoders.datex2_situations import situations, withdrawals
from ioc.ingest.decoders.datex2_tree import (
    Tree,
    is_of,
    own_time,
    publications,
    read_tree,
    rejection,
    time_at,
    type_of,
)
from ioc.ingest.decoders.jsonlines import JSON_TYPES
from ioc.ingest.decoders.media import XML_TYPES
from ioc.ingest.decoders.xml import own_text

_WITHDRAWN = "elementReference"
_COUNTED = ("situationRecord", "siteMeasurements", "elaboratedData", _WITHDRAWN)


class Datex2:
    """Decoder of DATEX II publications."""

    content_types = (*XML_TYPES, JSON_TYPES[0], "application/gzip", "application/x-gzip")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of all publications in `body`; see `Decoder`."""
        try:
            tree = read_tree(body)
        except Refused as refused:
            return Decode(rejections=[rejection(1, body, refused)])
        counts = {name: len(list(tree.root.iter(name))) for name in _COUNTED}
        count = sum(counts.values())
        if count > context.max_events:
            raise TooManyEvents(count, context.max_events)
        result = Decode()
        found = list(publications(tree.root))
        for publication in found:
            for item in _publication(publication, tree, context):
                _take(item, result, context)
        if counts[_WITHDRAWN]:
            for item in withdrawals(tree, context, _generated_us(tree, context)):
                _take(item, result, context)
        if not found and not result.events and not _is_keep_alive(tree.root):
            detail = "expected a DATEX II message with a payload"
            nothing = Refused("publication", detail, "payloadPublication")
            result.rejections.append(rejection(1, body, nothing))
        return result


def _take(item: Decoded | Rejection | int, result: Decode, context: DecodeContext) -> None:
    if isinstance(item, Decoded):
        result.events.append(item)
    elif isinstance(item, Rejection):
        result.rejections.append(item)
    else:
        result.dropped_fields += item
        return
    count = len(result.events) + len(result.rejections)
    if count > context.max_events:
        raise TooManyEvents(count, context.max_events)


def _publication(
    publication: Element, tree: Tree, context: DecodeContext
) -> Iterator[Decoded | Rejection | int]:
    try:
        stated_us = time_at(publication, "publicationTime", context.zone, "publicationTime")
    except Refused as refused:
        yield rejection(1, tree.raw(publication), refused)
        return
    at_us = context.now_us if stated_us is None else stated_us
    if is_of(publication, "SituationPublication", "situation"):
        yield from situations(publication, tree, context, at_us)
    elif is_of(publication, "MeasuredDataPublication", "siteMeasurements"):
        yield from measured(publication, tree, context, at_us)
    elif is_of(publication, "ElaboratedDataPublication", "elaboratedData"):
        yield from elaborated(publication, tree, context, at_us)
    else:
        yield rejection(1, tree.raw(publication), _unknown(publication))


def _unknown(publication: Element) -> Refused:
    if is_of(publication, "MeasurementSiteTablePublication", "measurementSiteTable"):
        detail = "a table of sites is not an event: `ioc devices import-sites FILE --publisher ID`"
        return Refused("site_table", detail, "payload")
    kind = type_of(publication)[:64] or "no class is stated"
    detail = f"{kind}: situations, measured data and elaborated data are taken"
    return Refused("publication", detail, "payload.type")


def _generated_us(tree: Tree, context: DecodeContext) -> int:
    """Return when a container was made, ours where it does not say or not well."""
    for name in ("messageGenerationTimestamp", "publicationTime"):
        for found in tree.root.iter(name):
            try:
                stated_us = own_time(found, context.zone, name)
            except Refused:
                continue
            if stated_us is not None:
                return stated_us
    return context.now_us


def _is_keep_alive(root: Element) -> bool:
    return any(own_text(found) in ("true", "1") for found in root.iter("keepAlive")) or any(
        True for _ in root.iter("exchangeInformation")
    )
