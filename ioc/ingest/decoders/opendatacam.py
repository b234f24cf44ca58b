"""OpenDataCam: Darknet's detection frames, `{"frame_id", "objects": [{class_id, name, …}]}`, and its API.

A frame names neither its camera nor, usually, its time: the device that sent it is the source, and the
time of receipt stands in. Each object becomes one `camera.object`. What is no such frame is looked at again
as a document of OpenDataCam's API (`opendatacam_counts`).
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, Rejection, TooManyEvents
from ioc.ingest.decoders.data import Refused, refusal, refuse_nul
from ioc.ingest.decoders.fields import parse_object, rejection
from ioc.ingest.decoders.jsonlines import (
    BLANK,
    BOM,
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    split_objects,
)
from ioc.ingest.decoders.opendatacam_counts import read_document
from ioc.ingest.decoders.opendatacam_forms import Frame, Object
from ioc.model.events import CameraObject

_SSE: Final = b"data:"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


_frame_decoder: Final = msgspec.json.Decoder(Frame)


class OpenDataCam:
    """Decoder of Darknet's JSON stream as OpenDataCam reads it: a frame, an array, or NDJSON."""

    content_types = (*JSON_TYPES[:1], *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per object, each refused by itself. See `Decoder`."""
        pieces, rejections = _pieces(body, context)
        result = Decode(rejections=rejections)
        for line, piece in pieces:
            raw = piece.rstrip(b", ")
            try:
                refuse_nul(raw)
                events = _read(line, raw, context, rejections)
            except (Refused, *JSON_ERRORS) as error:
                rejections.append(rejection(line, raw, error))
                continue
            if len(result.events) + len(events) > context.max_events:
                raise TooManyEvents(len(result.events) + len(events), context.max_events)
            result.events.extend(events)
        rejections.sort(key=lambda rejection: rejection.line)
        return result


def _pieces(body: bytes, context: DecodeContext) -> tuple[list[tuple[int, bytes]], list[Rejection]]:
    """Cut a body into frames and documents.

    Darknet's stream is one endless array, its frames spread over lines: a stretch of it is no JSON text. The
    API's stream has its documents behind `data:`.
    """
    text = body.removeprefix(BOM).strip(BLANK)
    if context.content_type in NDJSON_TYPES:
        return split_objects(body, context)
    if text.startswith(_SSE):
        lines = (line.removeprefix(_SSE) if line.startswith(_SSE) else b"" for line in text.split(b"\n"))
        return split_objects(
            b"\n".join(lines), msgspec.structs.replace(context, content_type=NDJSON_TYPES[0])
        )
    several = text.startswith(b"{") and text.count(b'"frame_id"') > 1
    if (
        several
        or text.startswith(b",")
        or text.endswith(b",")
        or text.startswith(b"[") != text.endswith(b"]")
    ):
        stretch = text.strip(b", \t\r\n").removeprefix(b"[").removesuffix(b"]").rstrip(b", \t\r\n")
        whole = msgspec.structs.replace(context, content_type=JSON_TYPES[0])
        pieces, rejections = split_objects(b"[%b]" % stretch, whole)
        if pieces:
            return pieces, rejections
    return split_objects(body, context)


def _read(line: int, raw: bytes, context: DecodeContext, rejections: list[Rejection]) -> list[Decoded]:
    try:
        frame = _frame_decoder.decode(raw)
    except msgspec.ValidationError:
        if b'"frame_id"' not in raw:
            return read_document(line, raw, context, rejections)
        return _read_patiently(line, raw, context, rejections)
    return _events(line, raw, frame, list(enumerate(frame.objects)), context)


def _read_patiently(
    line: int, raw: bytes, context: DecodeContext, rejections: list[Rejection]
) -> list[Decoded]:
    """Return a frame's objects of which some cannot be read; numbers may be written as text."""
    value = parse_object(raw)
    told = value.get("objects")
    if not isinstance(told, list):
        raise Refused("type", f"expected an array, got {type(told).__name__}", "objects")
    frame = msgspec.convert({**value, "objects": []}, Frame, strict=False)
    objects: list[tuple[int, Object]] = []
    for number, each in enumerate(told):
        try:
            objects.append((number, msgspec.convert(each, Object, strict=False)))
        except msgspec.ValidationError as error:
            rejections.append(rejection(line, raw, refusal(error, f"objects[{number}]")))
    return _events(line, raw, frame, objects, context)


def _events(
    line: int, raw: bytes, frame: Frame, objects: list[tuple[int, Object]], context: DecodeContext
) -> list[Decoded]:
    # Frame numbers restart with the program; the content tells a resend from another run's frame.
    digest = hashlib.blake2b(raw, digest_size=6).hexdigest()
    moment = frame.time
    time_us = context.now_us if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)
    return [
        Decoded(
            line=line,
            id=f"{frame.frame_id}-{digest}-{number}",
            source=context.device_id,
            time_us=time_us,
            data=_object(found),
            raw=raw,
        )
        for number, found in objects
    ]


def _object(found: Object) -> CameraObject:
    at = found.relative_coordinates
    return CameraObject(
        label=found.name,
        confidence=found.confidence,
        box=(at.center_x - at.width / 2, at.center_y - at.height / 2, at.width, at.height),
        extra={} if found.class_id < 0 else {"class_id": found.class_id},
    )
