"""Plate Recognizer: webhooks of Stream and Snapshot, Snapshot's answers, and ParkPow's alerts.

JSON, or a form whose field `json` holds it beside the picture. Stream watches many cameras; each is a part of
the sender.
"""

from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ioc.ingest.decoders.base import Decode, DecodeContext, Decoded, TooManyEvents
from ioc.ingest.decoders.data import NESTED, Refused
from ioc.ingest.decoders.fields import (
    KMH_OF,
    Tree,
    extra_of,
    id_of,
    known_text_of,
    map_of,
    number_of,
    parse_object,
    plate_text_of,
    put_scalars,
    rejection,
    speed_of,
    text_of,
)
from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES, split_objects
from ioc.ingest.decoders.media import MULTIPART_TYPES
from ioc.ingest.decoders.moments import moment_us
from ioc.ingest.decoders.multipart import Part, documents
from ioc.model.events import CameraObject, CameraPlate, CameraStatus, EventData, Extra

_FORM: Final = b"json="
_SEEN: Final = frozenset({"recognition", "image", "new_visit", "visit", ""})
_ONLINE: Final = frozenset({"running", "online", "ok", "active", "connected", "up", "restored"})
_OFFLINE: Final = frozenset(
    {"offline", "stopped", "inactive", "disconnected", "down", "error", "lost", "failed"}
)
_RESULT_EXTRA: Final = (
    ("dscore", "plate_score"),
    ("position_sec", "position_s"),
    ("dwell_time", "dwell_s"),
)
_MODEL: Final = (("make", "make"), ("model", "model"))
_COLOR: Final = (("color", "color"), ("value", "color"))
_ORIENTATION: Final = (("orientation", "orientation"), ("value", "orientation"))
_DIRECTION: Final = (("direction", "direction_in_picture_deg"),)
"""Of a vehicle in the picture, not on the map: 0 is up, 90 is right."""
_ALERT_PLATES: Final = ("license_plate", "plate", "plate_number")
_ALERT_TIMES: Final = ("timestamp", "time", "created", "start_date", "date")


class PlateRecognizer:
    """Decoder of Plate Recognizer's and ParkPow's webhooks."""

    content_types = (JSON_TYPES[0], *NDJSON_TYPES, MULTIPART_TYPES[0], "text/plain")

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return one event per vehicle; a vehicle is refused alone, a webhook as a whole. See `Decoder`."""
        found = documents(body, context)
        result = Decode(rejections=found.rejections, pictures=found.pictures)
        parts = found.parts
        if len(parts) > 1:
            parts = [part for part in parts if part.name == "json"] or parts
        for part in parts:
            pieces, refused = split_objects(_unquoted(part), context)
            result.rejections.extend(refused)
            for number, raw in pieces:
                line = part.line + number - 1
                try:
                    _webhook(parse_object(raw), line, raw, context, result)
                except Refused as refusal:
                    result.rejections.append(rejection(line, raw, refusal))
                if len(result.events) > context.max_events:
                    raise TooManyEvents(len(result.events), context.max_events)
        return result


def _unquoted(part: Part) -> bytes:
    """Return the document of a part; a form that is not multipart has it percent-encoded."""
    if part.body.startswith((b"{", b"[")):
        return part.body
    field = next((field for field in part.body.split(b"&") if field.startswith(_FORM)), None)
    return part.body if field is None else unquote_to_bytes(field.removeprefix(_FORM).replace(b"+", b" "))


def _webhook(value: Tree, line: int, raw: bytes, context: DecodeContext, result: Decode) -> None:
    hook, data = map_of(value, "hook"), map_of(value, "data") or value
    event = (text_of(hook, "event", "hook.") or "").lower()
    camera = (
        text_of(data, "camera_id", "data.")
        or text_of(data, "camera", "data.")
        or text_of(hook, "id", "hook.")
    )
    source = _source(camera, context)
    results = data.get("results")
    if isinstance(results, NESTED):
        time_us = _time_us(data, context)
        listed = results if isinstance(results, list) else [results]
        vehicles = [each for each in listed if isinstance(each, dict)]
        for number, each in enumerate(vehicles):
            try:
                key, found = _vehicle(each, context)
            except Refused as refused:
                refused.field = f"data.results[{number}].{refused.field}"
                result.rejections.append(rejection(line, raw, refused, source))
                continue
            result.events.append(
                Decoded(
                    line=line,
                    id=id_of(source, time_us, text_of(data, "filename", "data."), number, key),
                    source=source,
                    time_us=time_us,
                    data=found,
                    raw=raw,
                )
            )
        return
    result.events.append(_other(event, data, source, line, raw, context))


def _other(event: str, data: Tree, source: str, line: int, raw: bytes, context: DecodeContext) -> Decoded:
    """Return the event of a webhook without results: an alert of ParkPow, or the state of a camera."""
    for name in _ALERT_PLATES:
        plate = plate_text_of(data, name, "data.")
        if plate is not None:
            time_us = _time_us(data, context, _ALERT_TIMES)
            return Decoded(
                line=line,
                id=id_of(source, time_us, plate),
                source=source,
                time_us=time_us,
                data=_alert(plate, data),
                raw=raw,
            )
    status = (text_of(data, "status", "data.") or text_of(data, "state", "data.") or "").lower()
    if event in _SEEN and not status:
        raise Refused("required", "this field is required", "data.results")
    if status and status not in _ONLINE | _OFFLINE:
        expected = f"expected one of {', '.join(sorted(_ONLINE | _OFFLINE))}"
        raise Refused("known_value", expected, "data.status")
    if not status and "heartbeat" not in event:
        raise Refused("known_value", "neither results, a plate nor a status is in it", "hook.event")
    stated = any(data.get(name) for name in ("timestamp", "timestamp_local"))
    time_us = _time_us(data, context) if stated else context.now_us
    return Decoded(
        line=line,
        id=id_of(source, "status", status, time_us),
        source=source,
        time_us=time_us,
        data=CameraStatus(online=status not in _OFFLINE, reason=status or event[:64]),
        raw=raw,
    )


def _source(camera: str | None, context: DecodeContext) -> str:
    if camera is None or camera == context.device_id or context.options.get("cameras") == "one":
        return context.device_id
    return context.part(camera[:64])


def _time_us(
    data: Tree, context: DecodeContext, names: tuple[str, ...] = ("timestamp", "timestamp_local")
) -> int:
    for name in names:
        text = text_of(data, name, "data.")
        if text is not None:
            return moment_us(text, context.zone, f"data.{name}")
    raise Refused("required", "this field is required", f"data.{names[0]}")


def _vehicle(result: Tree, context: DecodeContext) -> tuple[str, EventData]:
    """Return what tells a result from others of its picture, and its event.

    Raises:
        Refused: what is wrong with it, naming the field within the result.
    """
    vehicle = map_of(result, "vehicle")
    plate, score, region = _plate(result)
    kind = known_text_of(vehicle, "type", "vehicle.")
    extra = extra_of(result, _RESULT_EXTRA)
    _put_looks(extra, result, map_of(vehicle, "props"))
    if region is not None:
        extra["region"] = region
    put_scalars(extra, result, _DIRECTION)
    speed = speed_of(result, "speed")
    if speed is not None and (unit := context.options.get("speed_unit")) is not None:
        speed = round(speed * KMH_OF.get(unit, 1.0), 3)
    if plate is None:
        confidence = number_of(vehicle, "score", 0, 1, "vehicle.")
        found: EventData = CameraObject(
            label=kind or "vehicle",
            confidence=1.0 if confidence is None else float(confidence),
            speed_kmh=speed,
            extra=extra,
        )
    else:
        found = CameraPlate(
            plate=plate.upper(),
            confidence=1.0 if score is None else float(score),
            vehicle=kind,
            speed_kmh=speed,
            extra=extra,
        )
    return f"{plate} {result.get('box')}", found


def _plate(result: Tree) -> tuple[str | None, float | None, str | None]:
    """Return plate, score and region, as text beside its score or, in newer versions, as an object."""
    plate = result.get("plate")
    if not isinstance(plate, dict):
        region = known_text_of(map_of(result, "region"), "code", "region.")
        return plate_text_of(result, "plate"), number_of(result, "score", 0, 1), region
    props = map_of(plate, "props")
    best = _best(props.get("plate"))
    where = "plate.props.plate[0]."
    score = number_of(best, "score", 0, 1, where)
    if score is None:
        score = number_of(plate, "score", 0, 1, "plate.")
    return (
        plate_text_of(best, "value", where),
        score,
        known_text_of(_best(props.get("region")), "value", where),
    )


def _put_looks(extra: Extra, result: Tree, props: Tree) -> None:
    put_scalars(extra, _best(result.get("model_make") or props.get("make_model")), _MODEL)
    put_scalars(extra, _best(result.get("color") or props.get("color")), _COLOR)
    put_scalars(extra, _best(result.get("orientation") or props.get("orientation")), _ORIENTATION)


def _best(ranked: Any) -> Tree:
    """Return the first of a ranked list; Plate Recognizer puts the likeliest first."""
    if isinstance(ranked, list):
        for each in ranked:
            if isinstance(each, dict):
                return each
    return ranked if isinstance(ranked, dict) else {}


def _alert(plate: str, data: Tree) -> CameraPlate:
    confidence = number_of(data, "confidence", 0, 1, "data.")
    if confidence is None:
        confidence = number_of(data, "score", 0, 1, "data.")
    extra = extra_of(
        data,
        (
            ("alert_name", "alert"),
            ("site", "site"),
            ("make", "make"),
            ("model", "model"),
            ("color", "color"),
            ("direction", "direction"),
            ("region", "region"),
        ),
    )
    kind = known_text_of(data, "vehicle_type", "data.")
    return CameraPlate(
        plate=plate.upper(),
        confidence=1.0 if confidence is None else float(confidence),
        vehicle=kind,
        extra=extra,
    )
