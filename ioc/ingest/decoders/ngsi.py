"""NGSI entities of a FIWARE context broker: NGSI-LD and NGSIv2, normalised, concise and key-values.

A body is a notification (`{"data": […]}`), an entity, an array of entities or one per line, or GeoJSON
features. Attributes are reduced to their values first, so that one function per entity type serves every
representation. What an attribute says besides (`observedAt`, `unitCode`) counts where it changes the meaning.

Entities that measure come from a source of their own, behind `DecodeContext.part`; what is told of the road
comes from the sender. The option `source` set to `sender` lets everything come from it. What is told of the
road lasts, so it is of now while it is fresh or states that it holds; when it was told is in `stated`.
"""

from hashlib import blake2b
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused, refuse_nul, typed_data_of
from ioc.ingest.decoders.jsonlines import (
    BLANK,
    BOM,
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    parse_any,
    split_objects,
    why_unreadable,
)
from ioc.ingest.decoders.moments import lasting_us
from ioc.ingest.decoders.ngsi_entity import Entity
from ioc.ingest.decoders.ngsi_models import READERS
from ioc.ingest.decoders.wire import MAX_ID_CHARS
from ioc.model.times import format_us

LD_TYPES: Final = ("application/ld+json", "application/geo+json")

_json: Final = msgspec.json.Encoder().encode
_msgpack: Final = msgspec.msgpack.Encoder().encode


class Ngsi:
    """Decoder of NGSI-LD and NGSIv2 entities and notifications."""

    content_types = (JSON_TYPES[0], *LD_TYPES, *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per entity; each is refused by itself. See `Decoder`."""
        result = Decode()
        try:
            entities = _entities(body, context, result.rejections)
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            return Decode(rejections=[Rejection(line=1, rule=rule, detail=detail, raw=body)])
        if len(entities) > context.max_events:
            raise TooManyEvents(len(entities), context.max_events)
        for line, entity in entities:
            try:
                decoded, dropped = _decoded(line, entity, context)
            except Refused as refused:
                result.rejections.append(_rejection(line, entity, refused))
                continue
            result.events.append(decoded)
            result.dropped_fields += dropped
        if len(result.rejections) > 1:
            result.rejections.sort(key=lambda rejection: rejection.line)
        return result


def _entities(body: bytes, context: DecodeContext, rejections: list[Rejection]) -> list[tuple[int, Any]]:
    """Return each entity with its number in the body.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: the body is no JSON.
    """
    text = body.removeprefix(BOM).strip(BLANK)
    if text and context.content_type in NDJSON_TYPES:
        return _entities_by_line(body, context, rejections)
    found = parse_any(text) if text else []
    if isinstance(found, dict):
        inner = found.get("features") if found.get("type") == "FeatureCollection" else found.get("data")
        found = inner if isinstance(inner, list) else [found]
    elif not isinstance(found, list):
        found = [found]
    if not found:
        rejections.append(Rejection(line=1, rule="empty", detail="the body holds no entity", raw=b""))
    return list(enumerate(found, 1))


def _entities_by_line(
    body: bytes, context: DecodeContext, rejections: list[Rejection]
) -> list[tuple[int, Any]]:
    pieces, refused = split_objects(body, context)
    rejections += refused
    entities: list[tuple[int, Any]] = []
    for line, raw in pieces:
        try:
            entities.append((line, parse_any(raw)))
        except JSON_ERRORS as error:
            rule, detail = why_unreadable(error)
            rejections.append(Rejection(line=line, rule=rule, detail=detail, raw=raw))
    return entities


def _decoded(line: int, raw: Any, context: DecodeContext) -> tuple[Decoded, int]:
    """Return the event of an entity and how many of its fields were dropped.

    Raises:
        Refused: what is wrong with it.
    """
    if not isinstance(raw, dict):
        raise Refused("object", f"expected an entity, got {type(raw).__name__}")
    entity = Entity(raw, READERS)
    read = READERS.get(entity.type)
    if read is None:
        known = ", ".join(READERS)
        raise Refused("known_type", f"no entity type of ours: {entity.type}. Known: {known}", "type")
    point = entity.position()
    found = read(entity, context)
    fields, time_us = found.fields, found.time_us
    if not found.measures:
        fields["stated"] = format_us(time_us)
    data, dropped = typed_data_of(found.kind, fields, entity.values)
    content = _json(raw)
    refuse_nul(content)
    digest = blake2b(_msgpack((entity.id, time_us, data)), digest_size=12).hexdigest()
    source = context.device_id
    if not found.measures:  # it lasts; the id is of when it was stated
        time_us = lasting_us(time_us, context.now_us if found.holds else time_us, context.now_us)
    elif context.options.get("source") != "sender":
        source = context.part(entity.id.removeprefix(f"urn:ngsi-ld:{entity.type}:"))
    lon, lat = point or (None, None)
    return (
        Decoded(
            line=line,
            id=digest,
            source=source,
            time_us=time_us,
            data=data,
            raw=content[: context.max_event_bytes],
            lon=lon,
            lat=lat,
            subject=entity.id,
        ),
        dropped,
    )


def _rejection(line: int, raw: Any, refused: Refused) -> Rejection:
    try:
        content = _json(raw)
    except (ValueError, RecursionError):
        content = b""
    named = raw.get("id") if isinstance(raw, dict) else None
    return Rejection(
        line=line,
        rule=refused.rule,
        detail=refused.detail[:500],
        raw=content,
        id=named[:MAX_ID_CHARS] if isinstance(named, str) and named.isprintable() else None,
        field=refused.field,
    )
