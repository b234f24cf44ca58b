"""A body of JSON objects (one object, an array, or one object per line) cut into single objects."""

from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext, Rejection, TooManyEvents

BOM: Final = b"\xef\xbb\xbf"
BLANK: Final = b" \t\r\n"

NDJSON_TYPES: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
JSON_TYPES: Final = ("application/json", "application/cloudevents+json", "application/cloudevents-batch+json")

_array_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder: Final = msgspec.json.Decoder(msgspec.Raw)
_any_decoder: Final = msgspec.json.Decoder()

JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for bytes that are no JSON text (ValidationError is a DecodeError)."""


def split_objects(body: bytes, context: DecodeContext) -> tuple[list[tuple[int, bytes]], list[Rejection]]:
    """Cut `body` into (line, bytes) pieces of one object each, unparsed, and what cannot be cut.

    Lines are cut before anything is parsed, so one broken line never hides another. A broken array has
    no such seams and is refused whole.

    Raises:
        TooManyEvents: more than `context.max_events` pieces.
    """
    text = body.removeprefix(BOM).strip(BLANK)
    if not text:
        return [], [Rejection(line=1, rule="empty", detail="the body holds no event", raw=b"")]
    stated = context.content_type
    if stated in NDJSON_TYPES:
        return _within_limits(_lines(body), context)
    try:
        if text.startswith(b"["):
            elements = _array_decoder.decode(text)
            if not elements:
                return [], [Rejection(line=1, rule="empty", detail="the array holds no event", raw=b"")]
            if len(elements) > context.max_events:
                raise TooManyEvents(len(elements), context.max_events)
            return _within_limits([(line, bytes(raw)) for line, raw in enumerate(elements, 1)], context)
        if stated is not None or b"\n" not in text:
            return _within_limits([(1, text)], context)
        _object_decoder.decode(text)
    except JSON_ERRORS as error:
        if stated is None and b"\n" in text and not text.startswith(b"["):
            return _within_limits(_lines(body), context)
        return [], [_unreadable(1, text, error)]
    return _within_limits([(1, text)], context)


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    lines = enumerate(body.removeprefix(BOM).split(b"\n"), 1)
    return [(number, stripped) for number, line in lines if (stripped := line.strip(BLANK))]


def _within_limits(
    pieces: list[tuple[int, bytes]], context: DecodeContext
) -> tuple[list[tuple[int, bytes]], list[Rejection]]:
    if len(pieces) > context.max_events:
        raise TooManyEvents(len(pieces), context.max_events)
    limit = context.max_event_bytes
    for _, piece in pieces:
        if len(piece) > limit:
            break
    else:
        return pieces, []
    return [piece for piece in pieces if len(piece[1]) <= limit], [
        Rejection(
            line=line,
            rule="max_event_bytes",
            detail=f"the event has {len(piece)} bytes, at most {limit} are taken",
            raw=piece,
        )
        for line, piece in pieces
        if len(piece) > limit
    ]


def _unreadable(line: int, raw: bytes, error: Exception) -> Rejection:
    rule, detail = why_unreadable(error)
    return Rejection(line=line, rule=rule, detail=detail, raw=raw)


def why_unreadable(error: Exception) -> tuple[str, str]:
    """Return rule and detail for one of JSON_ERRORS."""
    if isinstance(error, RecursionError):
        return "depth", "nested more deeply than any event of ours"
    if isinstance(error, UnicodeDecodeError):
        return "utf8", f"not UTF-8: {error.reason}"
    return "json", str(error)


def parse_any(raw: bytes) -> Any:
    """Return the JSON value of `raw`.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: see `why_unreadable`.
    """
    return _any_decoder.decode(raw)
