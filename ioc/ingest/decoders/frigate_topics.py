"""Frigate's topics that carry a word or a number: availability, counts, motion, sound, and its statistics."""

from typing import Any, Final

from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.data import COUNT_MAX, Refused
from ioc.ingest.decoders.frigate_forms import Stats
from ioc.ingest.decoders.gathering import Gathering, leniently, part_of, put_extra, tidy
from ioc.ingest.decoders.jsonlines import JSON_ERRORS
from ioc.ingest.decoders.moments import epoch_us
from ioc.model.events import AlarmKind, Extra

Topic = tuple[str, ...]

_VEHICLES: Final = frozenset({"car", "truck", "bus", "motorcycle", "bicycle", "van"})
_FIRE_SOUNDS: Final = frozenset({"fire_alarm", "smoke_detector", "fire"})
_SERVER: Final = frozenset(
    {
        "restart",
        "onConnect",
        "camera_activity",
        "profile",
        "notifications",
        "notification_test",
        "birdseye_layout",
        "model_state",
        "job_state",
        "embeddings_reindex_progress",
        "audio_transcription_state",
        "audio_detections",
    }
)
_SETTINGS: Final = frozenset(
    {
        "detect", "recordings", "snapshots", "enabled", "ptz", "ptz_autotracker", "improve_contrast",
        "motion_threshold", "motion_contour_area", "motion_mask", "object_mask", "zone", "birdseye",
        "birdseye_mode", "review_alerts", "review_detections", "object_descriptions", "review_descriptions",
        "notifications", "review_status", "classification",
    }
)  # fmt: skip
"""Second parts of a camera's topics that tell how it is set, not what it sees."""


def split_topic(topic: str | None, prefix: str) -> Topic | None:
    """Return the parts of Frigate's topic behind its prefix, where that is still there; None for no topic."""
    if not topic:
        return None
    rest = topic.removeprefix(f"{prefix}/") if prefix else topic
    return tuple(rest.strip("/").split("/"))


_stats: Final = leniently(Stats)


class StateTopics:
    """Reads the topics whose meaning is in their name. None says when, so it is when we hear of it."""

    def __init__(self, context: DecodeContext, gathering: Gathering) -> None:
        self._context = context
        self._gathering = gathering
        self._cameras = frozenset(context.options.get("cameras", "").split(",")) - {""}

    def take(self, topic: Topic, body: bytes) -> None:
        """Take the message of one such topic, refuse it, or leave out what is no event."""
        try:
            self._take(topic, body)
        except (Refused, *JSON_ERRORS) as error:
            self._gathering.refuse(1, body, error)

    def _take(self, topic: Topic, body: bytes) -> None:
        match topic:
            case ("available",):
                word = self._word(body, ("online", "offline", "stopped"))
                self._status(body, self._context.device_id, word == "online", word)
            case ("stats",):
                self._stats(body)
            case (name, *_) if name in _SERVER:
                return
            case (camera, "status", role):
                word = self._word(body, ("online", "offline", "disabled"))
                self._status(body, self._source(camera), word == "online", f"{role} {word}")
            case (camera, "enabled", "state"):
                word = self._word(body, ("ON", "OFF"))
                self._status(body, self._source(camera), word == "ON", f"processing {word.lower()}")
            case (camera, "motion"):
                self._switch(body, camera, AlarmKind.MOTION, {"topic": "motion"})
            case (_, "motion" | "audio", "set" | "state") | (_, "audio", "dBFS" | "rms" | "transcription"):
                return
            case (camera, "audio", sound):
                kind = AlarmKind.FIRE_SMOKE if sound in _FIRE_SOUNDS else AlarmKind.OTHER
                self._switch(body, camera, kind, {"topic": "audio", "sound": tidy(sound)})
            case (_, _, "snapshot") | (_, _, "set" | "state" | "suspend" | "suspended"):
                return
            case (_, name, *_) if name in _SETTINGS:
                return
            case (place, label) | (place, label, "active"):
                self._count(body, place, label, len(topic) == 3)
            case _:
                raise Refused("known_topic", f"Frigate has no topic {'/'.join(topic)[:200]}", "topic")

    def _source(self, camera: str) -> str:
        return part_of(self._context, camera, "topic")

    @staticmethod
    def _word(body: bytes, known: tuple[str, ...]) -> str:
        word = body.strip().decode("utf-8", "replace")
        if word not in known:
            raise Refused("known_value", f"expected one of {', '.join(known)}", "payload")
        return word

    def _put(self, body: bytes, type_name: str, fields: dict[str, Any], source: str) -> None:
        now_us = self._context.now_us
        topic = (self._context.topic or "").encode("utf-8", "replace")
        self._gathering.take(
            1, body, type_name, fields, source=source, time_us=now_us,
            identity=b"%b\0%b@%d" % (topic, body, now_us),
        )  # fmt: skip

    def _status(self, body: bytes, source: str, online: bool, reason: str) -> None:
        self._put(body, "camera.status", {"online": online, "reason": tidy(reason)}, source)

    def _switch(self, body: bytes, camera: str, kind: AlarmKind, extra: Extra) -> None:
        word = self._word(body, ("ON", "OFF"))
        fields = {"kind": kind, "active": word == "ON", "extra": extra}
        self._put(body, "camera.alarm", fields, self._source(camera))

    def _count(self, body: bytes, place: str, label: str, active: bool) -> None:
        """Take how many objects of a class are in view of a camera, or in a zone of one.

        Both have topics of the same form; the option `cameras` tells them apart.
        """
        word = body.strip()
        if not word.isdigit() or len(word) > 9:
            raise Refused("known_topic", f"expected a number of objects from 0 to {COUNT_MAX:g}", "payload")
        count, name = int(word), tidy(label, 64)
        extra: Extra = {}
        source = self._context.device_id
        if self._cameras and place not in self._cameras:
            put_extra(extra, "zone", place)
        else:
            source = self._source(place)
        fields = {
            "people": count if name == "person" and not active else 0,
            "vehicles": count if name in _VEHICLES and not active else 0,
            "counts": {f"{name}_active" if active else name: count},
            "extra": extra,
        }
        self._put(body, "camera.count", fields, source)

    def _stats(self, body: bytes) -> None:
        """Take the server's statistics as a sign of life of each camera: one without frames is offline."""
        stats = _stats(body)
        updated = stats.service.last_updated if stats.service is not None else None
        time_us = self._context.now_us if updated is None else epoch_us(updated, "service.last_updated")
        for name, camera in stats.cameras.items():
            if camera.camera_fps is None:
                continue
            online = camera.camera_fps > 0
            fields = {"online": online, "reason": None if online else "no frames"}
            identity = f"stats\0{name}\0{time_us}".encode()
            self._gathering.take(
                1, body, "camera.status", fields,
                source=part_of(self._context, name, "cameras"), time_us=time_us, identity=identity,
            )  # fmt: skip
