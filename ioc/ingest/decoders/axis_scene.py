"""What Axis cameras tell of the scene: frames, whole tracks, and the pushes of their plate reader.

A frame has `observations` in the older format (`com.axis.analytics_scene_description.v0.beta`) and
`detections` in the newer one (`com.axis.scene.frame.v1`). A track (`com.axis.consolidated_track.v1.beta`,
`com.axis.scene.object_track.v1`) tells once, at its end, what an object was. Boxes are fractions of the
picture.
"""

from collections.abc import Iterator
from typing import Any, Final

from ioc.ingest.decoders.axis_forms import Pushed, Scene
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.fields import is_plate
from ioc.ingest.decoders.gathering import put_extra, tidy
from ioc.ingest.decoders.onvif_notices import Told
from ioc.ingest.decoders.onvif_scene import fraction
from ioc.ingest.decoders.onvif_tree import each, first, number, text
from ioc.model.events import Extra

_TRACK: Final = ("track_id", "object_track_id")
_READ: Final = frozenset({"class", "bounding_box", "timestamp", *_TRACK})
_KEPT: Final = ("country", "direction", "state", "track_id", "zone")
"""Of a push."""


def frame_of(scene: Scene) -> tuple[Any, Iterator[Told | Refused]]:
    """Return when a frame was taken and its objects, or why one of them cannot be read."""
    if scene.frame is None:
        return scene.timestamp, map(_told, scene.detections or ())
    return scene.frame.get("timestamp"), map(_told, each(scene.frame, "observations"))


def _told(observation: Any) -> Told | Refused:
    if not isinstance(observation, dict):
        return Refused("type", "expected an object", "frame.observations")
    extra: Extra = {}
    fields: dict[str, Any] = {"label": _label(first(observation, "class")), "extra": extra}
    track = next((tidy(str(found)) for name in _TRACK if (found := observation.get(name)) is not None), "")
    if track:
        fields["track_id"] = track
    if (share := fraction(number(first(observation, "class", "score")))) is not None:
        fields["confidence"] = share
    dropped = 0
    if (box := first(observation, "bounding_box")) is not None:
        fields["box"] = _box(box)
        dropped += fields["box"] is None
    for name, value in observation.items():
        if name not in _READ:
            dropped += not put_extra(extra, name, value)
    put_extra(extra, "color", first(observation, "class", "colors", "name"))
    return Told("camera.object", fields, dropped)


def track_told(scene: Scene) -> Told:
    """Return the object of a track: its likeliest class, and where it was last."""
    extra: Extra = {}
    likeliest = first(scene.classes)
    fields: dict[str, Any] = {"label": _label(likeliest), "extra": extra}
    if scene.id is not None:
        fields["track_id"] = tidy(str(scene.id))
    if (share := fraction(number(first(likeliest, "score")))) is not None:
        fields["confidence"] = share
    path = scene.path or scene.observations
    box = first(path[-1], "bounding_box") if isinstance(path, list) else None
    if box is not None:
        fields["box"] = _box(box)
    put_extra(extra, "color", first(likeliest, "colors", "name"))
    put_extra(extra, "duration_s", scene.duration)
    put_extra(extra, "begin", scene.start_time)
    put_extra(extra, "end_reason", scene.end_reason)
    return Told("camera.object", fields, int(box is not None and fields["box"] is None))


def plate_told(pushed: Pushed) -> Told:
    """Return the plate of a push.

    Raises:
        Refused: `required`, none was read.
    """
    plate = tidy(pushed.plate or "")
    if not is_plate(plate):
        raise Refused("required", "no plate was read", "plateUTF8")
    extra: Extra = {}
    for name in _KEPT:
        put_extra(extra, name, getattr(pushed, name))
    fields: dict[str, Any] = {"plate": plate, "extra": extra}
    if (share := fraction(number(pushed.plate_confidence))) is not None:
        fields["confidence"] = share
    return Told("camera.plate", fields, 0)


def _label(node: Any) -> str:
    return tidy(text(first(node, "type"))).lower() or "object"


def _box(node: Any) -> tuple[float, float, float, float] | None:
    edges = [number(first(node, side)) for side in ("left", "top", "right", "bottom")]
    left, top, right, bottom = (-1.0 if edge is None else edge for edge in edges)
    if not (-0.5 <= left <= right <= 1.5 and -0.5 <= top <= bottom <= 1.5):
        return None
    return (left, top, round(right - left, 6), round(bottom - top, 6))
