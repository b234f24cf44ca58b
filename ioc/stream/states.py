"""The latest state of every camera and detector, from their events (pure).

Only the latest value matters here: however many events arrive between two collections, each entity is
encoded once. An event older than what is known changes nothing.
"""

from collections import OrderedDict
from typing import Final

from ioc.model.events import CameraAlarm, CameraCount, CameraStatus, Event, TrafficFlow, TrafficStatus
from ioc.model.times import SECOND_US, format_us
from ioc.stream.batches import Place, StateBatch, StateEntry, removal
from ioc.stream.wire import EntityState, encode_part

MAX_LANES: Final = 16
_LANE_INTERVALS: Final = 3


class _Entity:
    """What is known of one camera or detector; mutable, owned by the map."""

    __slots__ = (
        "alarm", "alarm_us", "count_us", "id", "kind", "lanes", "lat", "lon", "merged", "objects", "online",
        "received_us", "status_us", "time_us", "ward",
    )  # fmt: skip

    def __init__(self, entity_id: str, kind: str) -> None:
        self.id = entity_id
        self.kind = kind
        self.time_us = 0
        self.ward: str | None = None
        self.lon: float | None = None
        self.lat: float | None = None
        self.online: bool | None = None
        self.status_us = 0
        self.objects: int | None = None
        self.count_us = 0
        self.alarm: str | None = None
        self.alarm_us = 0
        self.lanes: dict[str | None, tuple[int, TrafficFlow]] = {}
        self.merged = 0
        self.received_us: int | None = None


class EntityStates:
    """The latest states, at most `max_entities`; the one that was silent longest gives way to a new one."""

    def __init__(self, max_entities: int = 50_000) -> None:
        self._max = max_entities
        self._entities: OrderedDict[str, _Entity] = OrderedDict()
        self._entries: dict[str, StateEntry] = {}
        self._changed: dict[str, _Entity] = {}
        self._gone: dict[str, StateEntry] = {}
        self._full: StateBatch | None = None

    def __len__(self) -> int:
        return len(self._entities)

    @property
    def changed(self) -> bool:
        """True when `collect` would return something."""
        return bool(self._changed or self._gone)

    def apply(self, event: Event) -> bool:
        """Take `event` into account; return whether it changed an entity."""
        data = event.data
        if isinstance(data, (TrafficFlow, TrafficStatus)):
            kind = "detector"
        elif isinstance(data, (CameraCount, CameraAlarm, CameraStatus)):
            kind = "camera"
        else:
            return False
        entity = self._entities.get(event.source)
        if entity is None:
            if event.lon is None or event.lat is None:
                return False
            entity = _Entity(event.source, kind)
        if not _apply(entity, event):
            return False
        self._touch(entity, event)
        return True

    def _touch(self, entity: _Entity, event: Event) -> None:
        if event.time_us >= entity.time_us:
            entity.time_us = event.time_us
            entity.ward = event.ward
            if event.lon is not None and event.lat is not None:
                entity.lon, entity.lat = event.lon, event.lat
        if entity.id in self._changed:
            entity.merged += 1
        else:
            self._changed[entity.id] = entity
            entity.merged = 0
            entity.received_us = event.received_us
        self._entities[entity.id] = entity
        self._entities.move_to_end(entity.id)
        shown = self._gone.pop(entity.id, None)
        if shown is not None:
            # Back before anybody was told: they still have it where it was.
            self._entries[entity.id] = shown
        if len(self._entities) > self._max:
            self._evict()

    def _evict(self) -> None:
        entity_id, _ = self._entities.popitem(last=False)
        self._changed.pop(entity_id, None)
        shown = self._entries.pop(entity_id, None)
        if shown is not None:
            self._gone[entity_id] = shown

    def collect(self) -> StateBatch | None:
        """Return what changed since the last call, None when nothing did."""
        if not self.changed:
            return None
        entries = [removal(shown.id, _place(shown)) for shown in self._gone.values()]
        for entity_id, entity in self._changed.items():
            entry = _encode(entity, self._entries.get(entity_id))
            self._entries[entity_id] = entry
            entries.append(entry)
        self._changed.clear()
        self._gone.clear()
        self._full = None
        return StateBatch(entries)

    def everything(self) -> StateBatch:
        """Return all that was collected so far, for a client that joins or moves its viewport."""
        if self._full is None:
            # Whoever comes anew was shown nothing: no older values, no older place.
            self._full = StateBatch([StateEntry(*entry[:5]) for entry in self._entries.values()])
        return self._full


def _apply(entity: _Entity, event: Event) -> bool:
    """Update `entity`; return False when the event is of the other kind or older than what is known."""
    data, time_us = event.data, event.time_us
    fresh = False
    if isinstance(data, TrafficFlow) and entity.kind == "detector":
        known = entity.lanes.get(data.lane)
        fresh = (known is None and len(entity.lanes) < MAX_LANES) or (
            known is not None and known[0] <= time_us
        )
        if fresh:
            entity.lanes[data.lane] = (time_us, data)
    elif isinstance(data, (CameraStatus, TrafficStatus)):
        fresh = entity.status_us <= time_us
        if fresh:
            entity.status_us, entity.online = time_us, data.online
    elif isinstance(data, CameraCount) and entity.kind == "camera":
        fresh = entity.count_us <= time_us
        if fresh:
            entity.count_us, entity.objects = time_us, _objects(data)
    elif isinstance(data, CameraAlarm) and entity.kind == "camera":
        fresh = _apply_alarm(entity, data, time_us)
    if fresh and entity.status_us < time_us and not isinstance(data, (CameraStatus, TrafficStatus)):
        # Whoever sends data is online, whatever its last heartbeat said.
        entity.status_us, entity.online = time_us, True
    return fresh


def _apply_alarm(entity: _Entity, data: CameraAlarm, time_us: int) -> bool:
    if time_us < entity.alarm_us:
        return False
    if data.active:
        entity.alarm = data.kind.value
    elif entity.alarm == data.kind.value:
        entity.alarm = None
    entity.alarm_us = time_us
    return True


def _objects(data: CameraCount) -> int:
    return data.people + data.vehicles or sum(data.counts.values())


def _encode(entity: _Entity, before: StateEntry | None) -> StateEntry:
    """Return the entry of `entity`; `before` is what was last shown of it."""
    ward, lon, lat = entity.ward, entity.lon, entity.lat
    assert lon is not None and lat is not None, "an entity enters the map with its position"
    if entity.kind == "camera":
        state = EntityState(
            entity.id, "camera", format_us(entity.time_us), lon, lat, ward,
            online=entity.online, objects=entity.objects, alarm=entity.alarm,
        )  # fmt: skip
    else:
        speed_kmh, occupancy, volume_veh = _flow(entity)
        state = EntityState(
            entity.id, "detector", format_us(entity.time_us), lon, lat, ward,
            online=entity.online, speed_kmh=speed_kmh, occupancy=occupancy, volume_veh=volume_veh,
        )  # fmt: skip
    left = None
    if before is not None and (before.lon != lon or before.lat != lat or before.ward != ward):
        left = _place(before)
    return StateEntry(entity.id, ward, lon, lat, encode_part(state), entity.merged, entity.received_us, left)


def _place(entry: StateEntry) -> Place:
    return Place(entry.ward, entry.lon, entry.lat)


def _flow(entity: _Entity) -> tuple[float | None, float | None, int | None]:
    """Return speed, occupancy and volume over the lanes that still report.

    Speed is weighted by volume, because an empty lane's speed says little about the road.
    """
    if len(entity.lanes) == 1:
        ((_, flow),) = entity.lanes.values()
        return flow.speed_kmh, flow.occupancy, flow.volume_veh
    newest_us = max((time_us for time_us, _ in entity.lanes.values()), default=0)
    flows = [
        flow
        for time_us, flow in entity.lanes.values()
        if newest_us - time_us <= _LANE_INTERVALS * flow.interval_s * SECOND_US
    ]
    speeds = [(flow.speed_kmh, max(flow.volume_veh or 0, 1)) for flow in flows if flow.speed_kmh is not None]
    shares = [flow.occupancy for flow in flows if flow.occupancy is not None]
    volumes = [flow.volume_veh for flow in flows if flow.volume_veh is not None]
    speed_kmh = (
        sum(speed * weight for speed, weight in speeds) / sum(w for _, w in speeds) if speeds else None
    )
    return (
        None if speed_kmh is None else round(speed_kmh, 1),
        round(sum(shares) / len(shares), 4) if shares else None,
        sum(volumes) if volumes else None,
    )
