"""OpenDataCam: Darknet's detection frames, `{"frame_id", "objects": [{class_id, name, …}]}`, and its API.

A frame names neither its camera nor, usually, its time: the device that sent it is the source, and the
time of receipt stands in. Each object becomes one `camera.object`. What is no such frame is looked at again
as a document of OpenDataCam's API (`opendatacam_counts`).
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.ingest.decoders.data import MAX_NAME_CHARS, Refused
from ioc.ingest.decoders.fields import rejection
from ioc.ingest.decoders.jsonlines import (
    JSON_ERRORS,
    JSON_TYPES,
    NDJSON_TYPES,
    split_objects,
)
from ioc.ingest.decoders.opendatacam_counts import read_document
from ioc.model.events import CameraObject

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Fraction = Annotated[float, msgspec.Meta(ge=-1.0, le=2.0)]
"""Darknet's boxes may reach a little beyond the picture."""


class _Coordinates(msgspec.Struct, frozen=True):
    center_x: _Fraction
    center_y: _Fraction
    width: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]
    height: Annotated[float, msgspec.Meta(ge=0.0, le=2.0)]


class _Object(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
    relative_coordinates: _Coordinates
    confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0
    class_id: Annotated[int, msgspec.Meta(ge=-1, le=2**31)] = -1


class _Frame(msgspec.Struct, frozen=True):
    frame_id: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    objects: list[_Object]
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


_frame_decoder = msgspec.json.Decoder(_Frame)


class OpenDataCam:
    """Decoder of Darknet's JSON stream as OpenDataCam reads it: a frame, an array, or NDJSON."""

    content_types = (*JSON_TYPES[:1], *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per object; a frame is refused as a whole. See `Decoder`."""
        # Darknet ends each frame of its stream with ", \n" once it has written a first one.
        pieces, rejections = split_objects(body, context)
        result = Decode(rejections=rejections)
        for line, piece in pieces:
            raw = piece.rstrip(b", ")
            try:
                if b"\\u0000" in raw:
                    raise Refused("no_nul", "the character U+0000 cannot be stored")
                events = _read(line, raw, context)
            except (Refused, *JSON_ERRORS) as error:
                rejections.append(rejection(line, raw, error))
                continue
            if len(result.events) + len(events) > context.max_events:
                raise TooManyEvents(len(result.events) + len(events), context.max_events)
            result.events.extend(events)
        rejections.sort(key=lambda rejection: rejection.line)
        return result


def _read(line: int, raw: bytes, context: DecodeContext) -> list[Decoded]:
    try:
        frame = _frame_decoder.decode(raw)
    except msgspec.ValidationError:
        if b'"frame_id"' in raw:
            raise
        return read_document(line, raw, context)
    return _events(line, raw, frame, context)


def _events(line: int, raw: bytes, frame: _Frame, context: DecodeContext) -> list[Decoded]:
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
        for number, found in enumerate(frame.objects)
    ]


def _object(found: _Object) -> CameraObject:
    at = found.relative_coordinates
    return CameraObject(
        label=found.name,
        confidence=found.confidence,
        box=(at.center_x - at.width / 2, at.center_y - at.height / 2, at.width, at.height),
        extra={} if found.class_id < 0 else {"class_id": found.class_id},
    )
