"""What Frigate's topics hold, as msgspec reads it."""

from typing import Any

import msgspec


class Tracked(msgspec.Struct):
    """A tracked object as `events` has it."""

    id: str
    camera: str
    label: str
    frame_time: float | None = None
    start_time: float | None = None
    end_time: float | None = None
    score: float | None = None
    top_score: float | None = None
    box: Any = None
    sub_label: Any = None
    current_zones: list[str] | None = None
    entered_zones: list[str] | None = None
    current_estimated_speed: float | None = None
    average_estimated_speed: float | None = None
    recognized_license_plate: Any = None
    recognized_license_plate_score: float | None = None
    attributes: Any = None
    stationary: bool | None = None
    active: bool | None = None
    false_positive: bool | None = None
    area: float | None = None
    ratio: float | None = None
    has_snapshot: bool | None = None
    has_clip: bool | None = None
    position_changes: int | None = None
    motionless_count: int | None = None
    velocity_angle: float | None = None


class Before(msgspec.Struct):
    """What `events` had told before."""

    recognized_license_plate: Any = None


class TrackedChange(msgspec.Struct):
    """A message of `events`."""

    after: Tracked
    type: str = "update"
    before: Before | None = None


class Seen(msgspec.Struct):
    """What a review is about."""

    objects: list[str] | None = None
    zones: list[str] | None = None
    audio: list[str] | None = None


class Review(msgspec.Struct):
    """A review as `reviews` has it."""

    id: str
    camera: str
    severity: str
    start_time: float | None = None
    end_time: float | None = None
    data: Seen = msgspec.field(default_factory=Seen)


class Reviewed(msgspec.Struct):
    """A message of `reviews`."""

    after: Review
    type: str = "update"


class Update(msgspec.Struct):
    """`tracked_object_update`: a plate, a class or a description of an object that `events` told of."""

    type: str
    id: str
    camera: str | None = None
    timestamp: float | None = None
    score: float | None = None
    plate: str | None = None
    plate_box: Any = None
    model: str | None = None
    sub_label: str | None = None
    attribute: str | None = None
    description: str | None = None


class Trigger(msgspec.Struct):
    """A message of `triggers`: a picture or text like the one that was asked for."""

    name: str
    camera: str
    event_id: str
    type: str = ""
    score: float | None = None


class Kind(msgspec.Struct):
    """What tells the messages apart where no topic does."""

    after: dict[str, Any] | None = None
    event_id: str | None = None


class CameraStats(msgspec.Struct):
    """How a camera does: no pictures a second means it is gone."""

    camera_fps: float | None = None


class ServiceStats(msgspec.Struct):
    """When the statistics were made."""

    last_updated: float | None = None


class Stats(msgspec.Struct):
    """A message of `stats`."""

    cameras: dict[str, CameraStats]
    service: ServiceStats | None = None
