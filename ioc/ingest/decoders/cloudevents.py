"""CloudEvents 1.0 in JSON: one event, an array (batch), or one per line.

The common case costs one typed parse (`wire`). Only what fails there is looked at again, field by field,
either to read it after all or to say exactly what is wrong.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection
from ioc.ingest.decoders.data import (
    COUNT_MAX,
    MAX_NAME_CHARS,
    NAMES,
    RANGES,
    Refused,
    as_number,
    refusal,
    refuse_nul,
    typed_data,
)
from ioc.ingest.decoders.jsonlines import (
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    parse_any,
    split_objects,
    why_unreadable,
)
from ioc.ingest.decoders.wire import MAX_ID_CHARS, MODEL_OF, AnyEnvelope, Envelope, envelope_decoder
from ioc.model.events import EventData

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


_envelope_decoder: Final = msgspec.json.Decoder(AnyEnvelope)
_decode_strictly: Final = envelope_decoder(RANGES, NAMES, MAX_NAME_CHARS, (0, COUNT_MAX))


class CloudEvents:
    """Decoder of CloudEvents 1.0 JSON (structured mode, batch mode, NDJSON)."""

    content_types = (*JSON_TYPES, *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of `body`; see `ioc.ingest.decoders.base.Decoder`."""
        pieces, rejections = split_objects(body, context)
        # PostgreSQL cannot hold U+0000 in text; looking once per body spares looking per event.
        if not rejections and b"\\u0000" not in body and (events := _all_at_once(pieces)) is not None:
            return Decode(events=events)
        result = Decode(rejections=rejections)
        for line, raw in pieces:
            try:
                decoded, dropped = _one(line, raw)
            except Refused as refused:
                rejections.append(_rejection(line, raw, refused))
                continue
            result.events.append(decoded)
            result.dropped_fields += dropped
        rejections.sort(key=lambda rejection: rejection.line)
        return result


def _all_at_once(pieces: Sequence[tuple[int, bytes]]) -> list[Decoded] | None:
    """Return the events of a body in which each is the common case, else None.

    What is asked of every event is asked here of all of them in one go.
    """
    try:
        envelopes = [_decode_strictly(raw) for _, raw in pieces]
    except JSON_ERRORS:
        return None
    names = "".join([text for e in envelopes for text in (e.id, e.source, e.subject or "")])
    if not names.isprintable():
        return None
    return [
        _decoded(line, raw, envelope, MODEL_OF[type(envelope.data)](**asdict(envelope.data)))
        for (line, raw), envelope in zip(pieces, envelopes, strict=True)
    ]


def _one(line: int, raw: bytes) -> tuple[Decoded, int]:
    """Return the event of `raw` and how many of its fields were dropped.

    Raises:
        Refused: what is wrong with it.
    """
    refuse_nul(raw)
    try:
        envelope = _decode_strictly(raw)
        strict = envelope.data
        data: EventData = MODEL_OF[type(strict)](**asdict(strict))
        dropped = 0
    except JSON_ERRORS:
        envelope = _read_patiently(raw)
        data, dropped = typed_data(envelope.type, envelope.data)
    subject = envelope.subject
    if not (
        envelope.id.isprintable()
        and envelope.source.isprintable()
        and (subject is None or subject.isprintable())
    ):
        raise _unprintable(envelope)
    return _decoded(line, raw, envelope, data), dropped


def _decoded(line: int, raw: bytes, envelope: Any, data: EventData) -> Decoded:
    return Decoded(
        line=line,
        id=envelope.id,
        source=envelope.source,
        time_us=(envelope.time - _EPOCH) // _MICROSECOND,
        data=data,
        raw=raw,
        lon=envelope.lon,
        lat=envelope.lat,
        subject=envelope.subject,
        trace=envelope.traceparent if isinstance(envelope.traceparent, str) else None,
    )


def _read_patiently(raw: bytes) -> AnyEnvelope:
    try:
        return _envelope_decoder.decode(raw)
    except JSON_ERRORS:
        return _read_leniently(raw)


def _read_leniently(raw: bytes) -> AnyEnvelope:
    try:
        value = parse_any(raw)
    except JSON_ERRORS as error:
        raise Refused(*why_unreadable(error)) from None
    if not isinstance(value, dict):
        raise Refused("object", f"expected one JSON object, got {type(value).__name__}")
    if value.get("specversion") != "1.0":
        raise Refused("specversion", "this attribute is required and must be the string 1.0", "specversion")
    value["lon"] = as_number(value.get("lon"))
    value["lat"] = as_number(value.get("lat"))
    try:
        return msgspec.convert(value, AnyEnvelope)
    except msgspec.ValidationError as error:
        raise refusal(error) from None


def _unprintable(envelope: Envelope) -> Refused:
    """Control characters are refused where a value becomes a key, a log line or a topic."""
    field = "subject"
    if not envelope.id.isprintable():
        field = "id"
    elif not envelope.source.isprintable():
        field = "source"
    return Refused("printable", "control characters are not allowed here", field)


def _rejection(line: int, raw: bytes, refused: Refused) -> Rejection:
    event_id, source = _identity(raw)
    return Rejection(
        line=line,
        rule=refused.rule,
        detail=refused.detail[:500],
        raw=raw,
        id=event_id,
        source=source,
        field=refused.field,
    )


def _identity(raw: bytes) -> tuple[str | None, str | None]:
    """Return id and source of a refused event where they can still be read."""
    try:
        value = parse_any(raw)
    except JSON_ERRORS:
        return None, None
    if not isinstance(value, dict):
        return None, None
    found = [value.get(name) for name in ("id", "source")]
    event_id, source = (
        name[:MAX_ID_CHARS] if isinstance(name, str) and name.isprintable() else None for name in found
    )
    return event_id, source
