"""OpenDataCam detections (darknet JSON: frames of boxes) as camera events. Pure except `load_recording`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from simulators import SimulatorError
from simulators.times import SECOND_US
from simulators.tracker import Box, Tracker
from simulators.world import Event, event_of

_VEHICLES = frozenset({"car", "truck", "bus", "motorbike", "motorcycle", "bicycle"})


class RecordingError(SimulatorError):
    """The recording is unreadable or of another form."""


class Place(msgspec.Struct, frozen=True):
    """A box by its middle, as darknet writes it."""

    center_x: float
    center_y: float
    width: float
    height: float


class Detection(msgspec.Struct, frozen=True):
    """One box of one frame, as fractions of the picture."""

    name: str
    relative_coordinates: Place
    confidence: float

    @property
    def box(self) -> Box:
        """Left, top, width, height, cut to the picture."""
        place = self.relative_coordinates
        left, top = max(0.0, place.center_x - place.width / 2), max(0.0, place.center_y - place.height / 2)
        right, bottom = place.center_x + place.width / 2, place.center_y + place.height / 2
        return left, top, min(1.0, right) - left, min(1.0, bottom) - top


class Frame(msgspec.Struct, frozen=True):
    """One frame; numbers rise by one but need not begin at zero."""

    frame_id: int
    objects: list[Detection]


def load_recording(path: Path) -> list[Frame]:
    """Return the frames of a recording, in order.

    Raises:
        RecordingError: no such file, another form, or no frames.
    """
    try:
        frames = msgspec.json.decode(path.read_bytes(), type=list[Frame])
    except (OSError, msgspec.MsgspecError) as problem:
        raise RecordingError(f"cannot read a detections recording from {path}: {problem}") from problem
    if not frames:
        raise RecordingError(f"{path} has no frames")
    return sorted(frames, key=lambda frame: frame.frame_id)


def length_us(frames: Sequence[Frame], fps: float) -> int:
    """Return how long the recording lasts."""
    return round((frames[-1].frame_id - frames[0].frame_id + 1) / fps * SECOND_US)


def recorded_events(
    frames: Sequence[Frame],
    source: str,
    start_us: int,
    *,
    fps: float = 30.0,
    every: int = 5,
    speed: float = 1.0,
) -> Iterator[tuple[int, Event]]:
    """Yield (time, event) of one pass through a recording that begins at `start_us`.

    Every `every`-th frame gives one `camera.object` per detection; each whole second of the recording gives
    one `camera.count`: the vehicles detected in that frame, and those of them that have stood still for
    three seconds of the recording.
    """
    tracker = Tracker(fps=fps)
    first = frames[0].frame_id
    second = round(fps)
    for frame in frames:
        number = frame.frame_id - first
        at_us = start_us + round(number / fps / speed * SECOND_US)
        tracks = tracker.step(frame.frame_id, [item.box for item in frame.objects])
        if number % every == 0:
            for item, track in zip(frame.objects, tracks, strict=True):
                data: dict[str, object] = {
                    "label": item.name,
                    "confidence": round(item.confidence, 4),
                    "track_id": str(track.number),
                    "box": [round(value, 4) for value in item.box],
                }
                yield at_us, event_of(source, "camera.object", at_us, data, str(track.number))
        if number % second == 0:
            seen = [
                track for item, track in zip(frame.objects, tracks, strict=True) if item.name in _VEHICLES
            ]
            data = {
                "people": sum(item.name == "person" for item in frame.objects),
                "vehicles": len(seen),
                "stopped_vehicles": sum(tracker.stands_still(track) for track in seen),
            }
            yield at_us, event_of(source, "camera.count", at_us, data)
