"""Encoded changes, snapshots and states, shared by every client that may see the same (pure).

A batch encodes lazily and remembers the frame per scope, so that the first of five hundred clients pays.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from ioc.model.incidents import Incident
from ioc.stream.patches import Bases
from ioc.stream.scope import Scope
from ioc.stream.wire import (
    ChangeEvent,
    Departed,
    Ev,
    Frame,
    Op,
    Snap,
    State,
    encode_frame,
    encode_part,
    incident_json,
)

SNAP_PAGE: Final = 200
STATE_PAGE: Final = 500
TILES_ACROSS: Final = 8
SMALLEST_VIEW_DEG: Final = 2.0**-7
FEW_ENTRIES: Final = 48
"""Up to here looking at each costs less than making columns."""
MAX_SHARED_FRAMES: Final = 256

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; west > east crosses the antimeridian."""


def box_contains(box: Box, lon: float, lat: float) -> bool:
    """Return whether the point is inside or on the edge of `box`."""
    west, south, east, north = box
    if not south <= lat <= north:
        return False
    return west <= lon <= east if west <= east else (lon >= west or lon <= east)


def tiled(box: Box) -> Box:
    """Return `box` widened to the edges of tiles an eighth to a quarter of its longer side.

    Consoles that look at nearly the same then get the very same frames, and one that is moved a little needs
    nothing anew.
    """
    west, south, east, north = box
    width = east - west if west <= east else 360 - (west - east)
    step = 2.0 ** math.ceil(math.log2(max(width, north - south, SMALLEST_VIEW_DEG) / TILES_ACROSS))
    tile_west, tile_east = math.floor(west / step) * step, math.ceil(east / step) * step
    if west > east and tile_east >= tile_west:
        tile_west, tile_east = -180.0, 180.0  # Both ends meet: that is all the way round.
    return (
        max(-180.0, tile_west),
        max(-90.0, math.floor(south / step) * step),
        min(180.0, tile_east),
        min(90.0, math.ceil(north / step) * step),
    )


class EncodedChange(msgspec.Struct, frozen=True):
    """One change, encoded. `left_ward` is the incident's ward before this change, if it was another."""

    offset: int
    incident_id: str
    rev: int
    ward: str | None
    left_ward: str | None
    updated_us: int
    part: msgspec.Raw
    patch: msgspec.Raw | None = None
    """The same for clients that take patches, where they must hold the revision before."""

    @property
    def size(self) -> int:
        """Bytes of the encoded change."""
        return len(self.part) + (0 if self.patch is None else len(self.patch))


def encode_change(
    offset: int, incident: Incident, left_ward: str | None = None, bases: Bases | None = None
) -> EncodedChange:
    """Return the change in the form that frames are made of; `bases` know the revisions before it."""
    op = Op.ADD if incident.rev == 1 else Op.UPDATE
    whole = incident_json(incident)
    step = None if bases is None else bases.step(incident, whole)
    return EncodedChange(
        offset,
        incident.id,
        incident.rev,
        incident.ward,
        left_ward,
        incident.updated_us,
        encode_part(ChangeEvent(offset, op, incident.rev, whole)),
        None if step is None else encode_part(ChangeEvent(offset, Op.PATCH, incident.rev, step)),
    )


def _departure(change: EncodedChange) -> msgspec.Raw:
    rest = msgspec.Raw(msgspec.json.encode(Departed(change.incident_id, change.rev)))
    return encode_part(ChangeEvent(change.offset, Op.DELETE, change.rev, rest))


class ChangeBatch:
    """Consecutive changes from offset `first` to `last`, both included."""

    __slots__ = ("_frames", "_tails", "changes", "epoch", "first", "last")

    def __init__(self, epoch: str, changes: Sequence[EncodedChange]) -> None:
        assert changes, "an empty batch has no offsets"
        self.epoch = epoch
        self.changes = changes
        self.first = changes[0].offset
        self.last = changes[-1].offset
        self._frames: dict[tuple[Scope, bool], Frame] = {}
        self._tails: dict[int, ChangeBatch] = {}

    def frame(self, scope: Scope, patches: bool = False) -> Frame:
        """Return the frame for clients of `scope`; offsets they may not see are skipped inside it.

        With `patches` a change is only what it changes, wherever every such client must hold what it changes.
        """
        frame = self._frames.get((scope, patches))
        if frame is None:
            frame = self._frames[scope, patches] = self._encode(scope, patches)
        return frame

    def _encode(self, scope: Scope, patches: bool) -> Frame:
        parts: list[msgspec.Raw] = []
        received_us: int | None = None
        for change in self.changes:
            if scope.allows(change.ward):
                parts.append(change.patch if patches and change.patch is not None else change.part)
                if received_us is None:
                    received_us = change.updated_us
            elif change.left_ward is not None and scope.allows(change.left_ward):
                parts.append(_departure(change))
        epoch = scope.stamp(self.epoch)
        return encode_frame(Ev(epoch, self.first, self.last, parts), (epoch, self.last), received_us)

    def after(self, position: int) -> "ChangeBatch | None":
        """Return the part behind `position`, None when nothing is; shared between callers."""
        if position < self.first:
            return self
        if position >= self.last:
            return None
        tail = self._tails.get(position)
        if tail is None:
            tail = ChangeBatch(self.epoch, self.changes[position + 1 - self.first :])
            self._tails[position] = tail
        return tail


class Snapshot:
    """The incidents as of `read_at`, in pages, for clients that then get every change after `offset`."""

    __slots__ = ("_frames", "_items", "epoch", "offset", "read_at")

    def __init__(
        self, epoch: str, offset: int, incidents: Sequence[Incident], read_at: int | None = None
    ) -> None:
        self.epoch = epoch
        self.offset = offset
        self.read_at = offset if read_at is None else read_at
        self._items = [(incident.ward, incident_json(incident)) for incident in incidents]
        self._frames: dict[Scope, tuple[Frame, ...]] = {}

    @property
    def size(self) -> int:
        """Incidents in it, whoever may see them."""
        return len(self._items)

    @property
    def wholes(self) -> Sequence[msgspec.Raw]:
        """Its incidents, encoded, in the order in which they were given."""
        return [whole for _, whole in self._items]

    def frames(self, scope: Scope) -> tuple[Frame, ...]:
        """Return the pages for clients of `scope`; at least one, since an empty snapshot says so."""
        frames = self._frames.get(scope)
        if frames is None:
            frames = self._frames[scope] = self._encode(scope)
        return frames

    def _encode(self, scope: Scope) -> tuple[Frame, ...]:
        items = [raw for ward, raw in self._items if scope.allows(ward)]
        epoch = scope.stamp(self.epoch)
        pages = [items[start : start + SNAP_PAGE] for start in range(0, len(items), SNAP_PAGE)] or [[]]
        final = len(pages) - 1
        return tuple(
            encode_frame(
                Snap(epoch, self.offset, number, number == final, page),
                # Half a snapshot is nothing to resume from.
                (epoch, self.offset) if number == final else None,
            )
            for number, page in enumerate(pages)
        )


class Place(NamedTuple):
    """Where an entity was before it moved."""

    ward: str | None
    lon: float
    lat: float


class StateEntry(NamedTuple):
    """The latest of one entity, encoded; `part` None says that it is no longer tracked.

    `merged` counts the older values that this one replaced before anybody could see them. `left` is where it
    was before, if it moved: whoever saw it there must learn that it is gone.
    """

    id: str
    ward: str | None
    lon: float
    lat: float
    part: msgspec.Raw | None
    merged: int = 0
    received_us: int | None = None
    left: Place | None = None


def removal(entity_id: str, left: Place) -> StateEntry:
    """Return the entry that tells whoever saw the entity at `left` that it is gone."""
    return StateEntry(entity_id, left.ward, 0.0, 0.0, None, left=left)


def within(entries: Sequence[StateEntry], box: Box | None) -> Sequence[StateEntry]:
    """Return the entries that are or were inside `box`, and every removal, wherever it was."""
    if box is None:
        return entries
    west, south, east, north = box
    if west > east:
        return [
            entry
            for entry in entries
            if entry.part is None or box_contains(box, entry.lon, entry.lat) or _was_inside(box, entry)
        ]
    # Written out: this runs for every client with a viewport of its own, several times a second.
    return [
        entry
        for entry in entries
        if (west <= entry.lon <= east and south <= entry.lat <= north)
        or entry.part is None
        or (entry.left is not None and _was_inside(box, entry))
    ]


class _Places:
    """Where entries are, as columns, because every client with a viewport of its own asks."""

    def __init__(self, entries: Sequence[StateEntry]) -> None:
        self._entries = entries
        self._lon = np.array([entry.lon for entry in entries])
        self._lat = np.array([entry.lat for entry in entries])
        # Few move or go, so they are looked at one by one.
        self._special = [
            (index, entry)
            for index, entry in enumerate(entries)
            if entry.part is None or entry.left is not None
        ]

    def within(self, box: Box) -> Sequence[StateEntry]:
        """Return the entries that are or were inside `box`, and every removal."""
        west, south, east, north = box
        east_of, west_of = self._lon >= west, self._lon <= east
        seen = east_of & west_of if west <= east else east_of | west_of
        seen &= self._lat >= south
        seen &= self._lat <= north
        for index, entry in self._special:
            seen[index] |= entry.part is None or _was_inside(box, entry)
        return [self._entries[index] for index in np.flatnonzero(seen).tolist()]


def _was_inside(box: Box, entry: StateEntry) -> bool:
    return entry.left is not None and box_contains(box, entry.left.lon, entry.left.lat)


def _as_seen(entry: StateEntry, scope: Scope) -> StateEntry | None:
    """Return the entry as `scope` may see it: itself, its removal if it has just left, or nothing."""
    if scope.allows(entry.ward):
        return entry
    if entry.left is not None and scope.allows(entry.left.ward):
        return removal(entry.id, entry.left)
    return None


def state_frame(entries: Sequence[StateEntry], conflated: int) -> Frame:
    """Return the frame of `entries`; `conflated` is added to what they merged themselves."""
    put: list[msgspec.Raw] = []
    gone: list[str] = []
    oldest_us: int | None = None
    # One walk and no attributes: this runs for every client with a viewport of its own.
    for entity_id, _, _, _, part, merged, received_us, _ in entries:
        if part is None:
            gone.append(entity_id)
        else:
            put.append(part)
        conflated += merged
        if received_us is not None and (oldest_us is None or received_us < oldest_us):
            oldest_us = received_us
    return encode_frame(State(put, gone, conflated), None, oldest_us)


def state_frames(entries: Sequence[StateEntry], conflated: int = 0) -> tuple[Frame, ...]:
    """Return `entries` in frames of at most `STATE_PAGE` entities."""
    return tuple(
        state_frame(entries[start : start + STATE_PAGE], conflated if start == 0 else 0)
        for start in range(0, len(entries), STATE_PAGE)
    )


class StateBatch:
    """The entities that changed since the batch before (or all of them, for a client that joins)."""

    __slots__ = ("_frames", "_places", "_visible", "entries")

    def __init__(self, entries: Sequence[StateEntry]) -> None:
        self.entries = entries
        self._places: dict[Scope, _Places] = {}
        self._frames: dict[tuple[Scope, Box | None], tuple[Frame, ...]] = {}
        self._visible: dict[Scope, Sequence[StateEntry]] = {}

    def visible(self, scope: Scope) -> Sequence[StateEntry]:
        """Return the entries that `scope` may see."""
        visible = self._visible.get(scope)
        if visible is None:
            visible = self.entries
            if scope.wards is not None:
                visible = [seen for entry in self.entries if (seen := _as_seen(entry, scope)) is not None]
            self._visible[scope] = visible
        return visible

    def _within(self, scope: Scope, box: Box | None) -> Sequence[StateEntry]:
        visible = self.visible(scope)
        if box is None or len(visible) < FEW_ENTRIES:
            return within(visible, box)
        places = self._places.get(scope)
        if places is None:
            places = self._places[scope] = _Places(visible)
        return places.within(box)

    def frames(self, scope: Scope, box: Box | None) -> tuple[Frame, ...]:
        """Return the frames for clients of `scope` that look at `box`; none when nothing is left."""
        key = (scope, box)
        frames = self._frames.get(key)
        if frames is None:
            frames = state_frames(self._within(scope, box))
            # Who looks at everything shares it; viewports are as many as clients, and seldom the same.
            if box is None or len(self._frames) < MAX_SHARED_FRAMES:
                self._frames[key] = frames
        return frames
