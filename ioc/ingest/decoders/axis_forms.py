"""What Axis sends as JSON, as msgspec reads it."""

from typing import Any

import msgspec
from msgspec import field


class Content(msgspec.Struct):
    """What a notification says: which sensor, of which object, what is the matter."""

    source: dict[str, Any] | None = None
    key: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


class Notification(msgspec.Struct):
    """One event message."""

    topic: str | None = None
    timestamp: int | float | str | None = None
    message: Content | None = None


class Params(msgspec.Struct):
    """What the data stream over WebSocket wraps a notification in."""

    notification: Notification | None = None


class Pushed(msgspec.Struct):
    """A plate as the plate reader of Axis cameras pushes it."""

    plate: str | None = field(default=None, name="plateUTF8")
    plate_confidence: Any = field(default=None, name="plateConfidence")
    capture_timestamp: int | float | str | None = None
    country: Any = field(default=None, name="plateCountry")
    direction: Any = field(default=None, name="carMoveDirection")
    state: Any = field(default=None, name="carState")
    track_id: Any = field(default=None, name="carID")
    zone: Any = field(default=None, name="roiID")


class Scene(Pushed):
    """A message of scene metadata, or a push; which fields are there says which form it is."""

    frame: dict[str, Any] | None = None
    detections: list[Any] | None = None
    track_events: list[Any] | None = None
    timestamp: int | float | str | None = None
    classes: list[Any] | None = None
    id: Any = None
    start_time: str | None = None
    end_time: str | None = None
    duration: Any = None
    end_reason: Any = None
    path: Any = None
    observations: Any = None

    def is_scene(self) -> bool:
        """Return whether it is any of them."""
        return not (
            self.frame is None
            and self.detections is None
            and self.track_events is None
            and self.classes is None
        )


class Message(Scene):
    """Any JSON message of Axis; which fields are there says which form it is."""

    topic: str | None = None
    message: Content | None = None
    serial: str | None = None
    params: Params | None = None
    """Of the data stream over WebSocket."""
