"""Frigate: tracked objects, reviews, plates, counts and the state of its cameras, from its MQTT topics.

One Frigate server is one device that covers its cameras: camera `front_door` of `frigate-1` is the source
`frigate-1-front_door`.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.data import MAX_NAME_CHARS, NUMBERS, Refused, refuse_nul
from ioc.ingest.decoders.fields import KMH_OF
from ioc.ingest.decoders.frigate_forms import (
    Kind,
    Reviewed,
    Tracked,
    TrackedChange,
    Trigger,
    Update,
)
from ioc.ingest.decoders.frigate_topics import StateTopics, split_topic
from ioc.ingest.decoders.gathering import (
    Gathering,
    kind_option,
    leniently,
    part_of,
    pieces_of,
    put_named,
    tidy,
)
from ioc.ingest.decoders.jsonlines import JSON_ERRORS, JSON_TYPES, NDJSON_TYPES
from ioc.ingest.decoders.moments import epoch_us
from ioc.model.events import AlarmKind, Extra

_SIZE: Final = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_FIRE: Final = frozenset({"fire", "smoke", "fire_alarm", "smoke_detector"})
_KEPT: Final = (
    "stationary", "active", "false_positive", "top_score", "area", "ratio", "has_snapshot", "has_clip",
    "position_changes", "motionless_count", "velocity_angle",
)  # fmt: skip


_events: Final = leniently(TrackedChange)
_reviews: Final = leniently(Reviewed)
_updates: Final = leniently(Update)
_triggers: Final = leniently(Trigger)
_kinds: Final = msgspec.json.Decoder(Kind)


class Frigate:
    """Decoder of Frigate's MQTT topics; without a topic the content says which it is."""

    content_types = (*JSON_TYPES[:1], *NDJSON_TYPES)

    def decode(self, body: bytes, context: DecodeContext) -> Decode:
        """Return the events of `body`; see `ioc.ingest.decoders.base.Decoder`.

        Topics that say nothing of the street (commands, settings, pictures) give none.
        """
        topic = split_topic(context.topic, context.options.get("topic_prefix", "frigate"))
        gathering = Gathering(context)
        if topic is not None and topic[0] not in _READERS:
            StateTopics(context, gathering).take(topic, body)
            return gathering.result
        pieces, rejections = pieces_of(body, context)
        gathering.result.rejections = rejections
        reader = _Reader(context, gathering)
        for line, raw in pieces:
            try:
                refuse_nul(raw)
                _READERS[topic[0] if topic is not None else _topic_of(raw)](reader, line, raw)
            except (Refused, *JSON_ERRORS) as error:
                gathering.refuse(line, raw, error)
        rejections.sort(key=lambda rejection: rejection.line)
        return gathering.result


def _topic_of(raw: bytes) -> str:
    """Return the topic whose messages look like this one."""
    kind = _kinds.decode(raw)
    if kind.after is not None:
        return "reviews" if "severity" in kind.after else "events"
    return "triggers" if kind.event_id is not None else "tracked_object_update"


class _Reader:
    """One method for each message of JSON."""

    def __init__(self, context: DecodeContext, gathering: Gathering) -> None:
        self._context = context
        self._gathering = gathering
        self._options = context.options

    def event(self, line: int, raw: bytes) -> None:
        """Take a tracked object, and the plate that was read on it since the last message."""
        told = _events(raw)
        seen = told.after
        moment = seen.frame_time if seen.frame_time is not None else seen.start_time
        if told.type == "end" and seen.end_time is not None:
            moment = seen.end_time
        time_us = self._time_us(moment, "after.frame_time")
        source = part_of(self._context, seen.camera, "after.camera")
        extra: Extra = {"operation": tidy(told.type, 32)}
        for name in _KEPT:
            put_named(extra, name, getattr(seen, name))
        put_named(extra, "entered_zones", " ".join(seen.entered_zones or ()))
        if isinstance(seen.attributes, dict):
            put_named(extra, "attributes", " ".join(seen.attributes))
        self._put_sub_label(extra, seen)
        speed_kmh = self._kmh(seen.current_estimated_speed)
        put_named(extra, "average_speed_kmh", self._kmh(seen.average_estimated_speed))
        score = seen.score if seen.score is not None else seen.top_score
        fields = {
            "label": tidy(seen.label).lower(),
            "confidence": 1.0 if score is None else score,
            "track_id": tidy(seen.id),
            "zone": tidy(seen.current_zones[-1]) if seen.current_zones else None,
            "speed_kmh": speed_kmh,
            "box": self._box(seen.camera, seen.box, extra),
            "extra": extra,
        }
        identity = raw if moment is not None else raw + b"@%d" % time_us
        self._gathering.take(
            line, raw, "camera.object", fields, source=source, time_us=time_us, identity=identity
        )
        before = told.before.recognized_license_plate if told.before is not None else None
        if seen.recognized_license_plate and before != seen.recognized_license_plate:
            plate, score = _plate_and_score(seen)
            about = {"vehicle": tidy(seen.label).lower(), "speed_kmh": speed_kmh}
            self._plate(line, raw, source, time_us, seen.id, plate, score, about)

    def _put_sub_label(self, extra: Extra, seen: Tracked) -> None:
        """Keep what kind of car or animal it is; of a person or of a known plate it is somebody's name."""
        named = seen.sub_label
        if isinstance(named, list):
            named = named[0] if named else None
        if seen.label == "person" or seen.recognized_license_plate is not None:
            self._gathering.result.dropped_fields += named is not None
        else:
            self._gathering.result.dropped_fields += not put_named(extra, "sub_label", named)

    def review(self, line: int, raw: bytes) -> None:
        """Take a review item: an alarm while it lasts, ended by `end`."""
        told = _reviews(raw)
        review, seen = told.after, told.after.data
        # What a language model writes of an item comes after its end, and must not begin it anew.
        ended = told.type == "end" or review.end_time is not None
        moment = review.end_time if ended else review.start_time if told.type == "new" else None
        time_us = self._time_us(moment, "after.start_time")
        extra: Extra = {"operation": tidy(told.type, 32), "severity": tidy(review.severity)}
        objects, zones, audio = seen.objects or [], seen.zones or [], seen.audio or []
        for name, words in (("objects", objects), ("zones", zones), ("audio", audio)):
            put_named(extra, name, " ".join(words))
        fields: dict[str, Any] = {
            "kind": self._kind(review.severity, objects, zones, audio),
            "active": not ended,
            "zone": tidy(zones[0]) if zones else None,
            "track_id": tidy(review.id),
            "extra": extra,
        }
        if ended and review.start_time is not None and review.end_time is not None:
            fields["duration_s"] = max(0.0, round(review.end_time - review.start_time, 3))
        source = part_of(self._context, review.camera, "after.camera")
        self._gathering.take(line, raw, "camera.alarm", fields, source=source, time_us=time_us, identity=raw)

    def update(self, line: int, raw: bytes) -> None:
        """Take what was found out about a tracked object afterwards. Names of people are not kept."""
        told = _updates(raw)
        time_us = self._time_us(told.timestamp, "timestamp")
        source = self._context.device_id
        if told.camera is not None:
            source = part_of(self._context, told.camera, "camera")
        if told.type == "lpr":
            if not told.plate:
                raise Refused("required", "this field is required", "plate")
            self._plate(line, raw, source, time_us, told.id, told.plate, told.score, {})
            return
        label = "face" if told.type == "face" else told.sub_label or "object"
        extra: Extra = {"operation": tidy(told.type, 64)}
        put_named(extra, "model", told.model)
        put_named(extra, "attribute", told.attribute)
        fields: dict[str, Any] = {
            "label": tidy(label).lower(),
            "track_id": tidy(told.id),
            "extra": extra,
        }
        if told.score is not None:
            fields["confidence"] = told.score
        if told.description is not None:
            put_named(extra, "description", told.description[:MAX_NAME_CHARS])
        self._gathering.take(line, raw, "camera.object", fields, source=source, time_us=time_us, identity=raw)

    def trigger(self, line: int, raw: bytes) -> None:
        """Take a trigger of semantic search that has fired."""
        told = _triggers(raw)
        extra: Extra = {"topic": "triggers"}
        put_named(extra, "type", told.type)
        fields: dict[str, Any] = {
            "kind": kind_option(self._options, (told.name,)) or AlarmKind.OTHER,
            "zone": tidy(told.name),
            "track_id": tidy(told.event_id),
            "extra": extra,
        }
        if told.score is not None:
            fields["confidence"] = told.score
        source = part_of(self._context, told.camera, "camera")
        now_us = self._context.now_us
        self._gathering.take(line, raw, "camera.alarm", fields, source=source, time_us=now_us, identity=raw)

    def _plate(
        self,
        line: int,
        raw: bytes,
        source: str,
        time_us: int,
        track: str,
        plate: str,
        score: float | None,
        about: dict[str, Any],
    ) -> None:
        """Take a plate. Object and plate identify it: two topics tell of it, and again while it is read.

        Only one of them tells what vehicle it is `about`: cars and motorcycles have plates.
        """
        extra: Extra = {"track_id": tidy(track)}
        fields: dict[str, Any] = {"plate": tidy(plate), **about, "extra": extra}
        if score is not None:
            fields["confidence"] = score
        identity = f"plate\0{track}\0{plate}".encode()
        self._gathering.take(
            line, raw, "camera.plate", fields, source=source, time_us=time_us, identity=identity, once=True
        )

    def _time_us(self, seconds: float | None, field: str) -> int:
        return self._context.now_us if seconds is None else epoch_us(seconds, field)

    def _kmh(self, speed: float | None) -> float | None:
        unit = self._options.get("speed_unit", "kph")
        return None if not speed else round(speed * KMH_OF.get(unit, 1.0), 3)

    def _box(self, camera: str, box: Any, extra: Extra) -> tuple[float, float, float, float] | None:
        """Return a box as fractions of the picture; Frigate's pixels need its size to be known."""
        if not isinstance(box, list) or len(box) != 4:
            return None
        left, top, right, bottom = box
        if not (_is_number(left) and _is_number(top) and _is_number(right) and _is_number(bottom)):
            return None
        left, top, right, bottom = float(left), float(top), float(right), float(bottom)
        size = _SIZE.fullmatch(self._options.get(f"frame.{camera}", self._options.get("frame", "")))
        if size is None:
            extra["box_left_px"], extra["box_top_px"] = left, top
            extra["box_right_px"], extra["box_bottom_px"] = right, bottom
            return None
        width, height = int(size[1]), int(size[2])
        x, y = round(left / width, 6), round(top / height, 6)
        wide, high = round((right - left) / width, 6), round((bottom - top) / height, 6)
        return (x, y, wide, high) if all(-0.5 <= edge <= 1.5 for edge in (x, y, wide, high)) else None

    def _kind(self, severity: str, objects: list[str], zones: list[str], audio: list[str]) -> AlarmKind:
        """Return the kind that the operator gave to a zone or an object, or what Frigate's words mean."""
        chosen = kind_option(self._options, (*zones, *objects, *audio, severity))
        if chosen is not None:
            return chosen
        if not _FIRE.isdisjoint((*objects, *audio)):
            return AlarmKind.FIRE_SMOKE
        if severity == "alert" and zones:
            return AlarmKind.INTRUSION
        return AlarmKind.MOTION if objects else AlarmKind.OTHER


def _is_number(value: Any) -> bool:
    return type(value) in NUMBERS and -1e9 < value < 1e9


def _plate_and_score(seen: Tracked) -> tuple[str, float | None]:
    """Return the plate, a text or (in some releases) a pair with its score."""
    plate, score = seen.recognized_license_plate, seen.recognized_license_plate_score
    if isinstance(plate, list):
        score = plate[1] if len(plate) > 1 and _is_number(plate[1]) else score
        plate = plate[0] if plate else ""
    if not isinstance(plate, str) or not plate:
        raise Refused("type", "expected a plate as text", "after.recognized_license_plate")
    return plate, score


_READERS: Final[dict[str, Callable[[_Reader, int, bytes], None]]] = {
    "events": _Reader.event,
    "reviews": _Reader.review,
    "tracked_object_update": _Reader.update,
    "triggers": _Reader.trigger,
}
