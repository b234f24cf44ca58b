"""Follows boxes from frame to frame by overlap, and tells which of them stand still. Pure."""

import math
from collections import deque
from collections.abc import Sequence

import msgspec

Box = tuple[float, float, float, float]
"""Left, top, width, height as fractions of the picture."""


class Track:
    """One followed object: its number and its recent positions."""

    def __init__(self, number: int, box: Box, frame: int, memory_frames: int) -> None:
        self.number = number
        self.box = box
        self.first_frame = frame
        self.last_frame = frame
        self.centres: deque[tuple[int, float, float]] = deque(maxlen=memory_frames + 1)
        self.see(box, frame)

    def see(self, box: Box, frame: int) -> None:
        """Note where the object is in `frame`."""
        self.box, self.last_frame = box, frame
        self.centres.append((frame, box[0] + box[2] / 2, box[1] + box[3] / 2))


class Tracker(msgspec.Struct):
    """Greedy overlap tracker.

    Boxes jitter from frame to frame, so standing still is judged on the mean of the first and the last
    `smooth_frames` positions of a window, relative to the object's size: near objects jitter more.
    """

    fps: float = 30.0
    least_overlap: float = 0.3
    """Intersection over union that joins a box to a track."""
    patience_frames: int = 15
    """A track unseen for longer is forgotten."""
    still_s: float = 3.0
    still_share: float = 0.15
    """A move of less than this share of the object's size within `still_s` is none."""
    smooth_frames: int = 10
    tracks: list[Track] = msgspec.field(default_factory=list)
    next_number: int = 1

    def step(self, frame: int, boxes: Sequence[Box]) -> list[Track]:
        """Return the track of each box, in the order of `boxes`; frames come in ascending order."""
        self.tracks = [track for track in self.tracks if frame - track.last_frame <= self.patience_frames]
        pairs = sorted(
            (-overlap, i, j)
            for i, track in enumerate(self.tracks)
            for j, box in enumerate(boxes)
            if (overlap := iou(track.box, box)) >= self.least_overlap
        )
        taken: set[int] = set()
        found: dict[int, Track] = {}
        for _, i, j in pairs:
            if i not in taken and j not in found:
                taken.add(i)
                found[j] = self.tracks[i]
                self.tracks[i].see(boxes[j], frame)
        for j, box in enumerate(boxes):
            if j not in found:
                found[j] = Track(self.next_number, box, frame, round(self.still_s * self.fps))
                self.next_number += 1
                self.tracks.append(found[j])
        return [found[j] for j in range(len(boxes))]

    def stands_still(self, track: Track) -> bool:
        """Return whether `track` has been followed for `still_s` and has not moved in that time."""
        window = round(self.still_s * self.fps)
        recent = [spot for spot in track.centres if spot[0] >= track.last_frame - window]
        whole = recent and recent[0][0] <= track.last_frame - window + self.patience_frames
        if not whole or track.last_frame - track.first_frame < window:
            return False
        size = math.sqrt(track.box[2] * track.box[3])
        old, new = recent[: self.smooth_frames], recent[-self.smooth_frames :]
        dx = sum(x for _, x, _ in new) / len(new) - sum(x for _, x, _ in old) / len(old)
        dy = sum(y for _, _, y in new) / len(new) - sum(y for _, _, y in old) / len(old)
        return math.hypot(dx, dy) < self.still_share * size


def iou(a: Box, b: Box) -> float:
    """Return intersection over union of two boxes, 0 to 1."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
