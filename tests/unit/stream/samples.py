"""Incidents, events and a log of changes for the feed's tests."""

from dataclasses import dataclass, field

import msgspec

from ioc.model.events import Event, EventData
from ioc.model.incidents import Condition, Evidence, Handling, Incident, Severity, Why
from ioc.model.texts import Text
from ioc.stream.hub import Hub
from ioc.stream.ports import SourceUnavailableError

T0_US = 1_795_000_000_000_000


def incident(
    incident_id: str = "inc-1", rev: int = 1, ward: str | None = "25747", **changes: object
) -> Incident:
    base = Incident(
        id=incident_id,
        rev=rev,
        rule="underpass-jam",
        key="det-1",
        category="traffic",
        severity=Severity.HIGH,
        condition=Condition.ACTIVE,
        handling=Handling.NEW,
        title=Text(vi="Ùn tắc hầm chui", en="Underpass congestion"),
        why=Why(
            rule_version="3",
            summary=Text(vi="Tốc độ thấp", en="Low speed"),
            evidence=(Evidence(name="speed_kmh", value=12.5),),
        ),
        opened_us=T0_US,
        detected_us=T0_US + 1_000,
        updated_us=T0_US + rev,
        ward=ward,
        lon=106.7,
        lat=10.98,
    )
    return msgspec.structs.replace(base, **changes)


def event(source: str, data: EventData, *, time_us: int = T0_US, **changes: object) -> Event:
    base = Event(
        id=f"{source}-{time_us}",
        source=source,
        time_us=time_us,
        received_us=time_us + 5_000,
        data=data,
        ward="25747",
        lon=106.7,
        lat=10.98,
    )
    return msgspec.structs.replace(base, **changes)


@dataclass(frozen=True)
class Stored:
    offset: int
    incident: Incident


@dataclass
class FakeLog:
    """A `ChangeSource` in memory, with the mishaps that a database can have."""

    epoch: str = "e1"
    changes: list[Stored] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    aged: set[str] = field(default_factory=set)
    """Incidents that ended long enough ago: a snapshot leaves them out."""
    oldest: int = 1
    broken: bool = False
    reads: int = 0
    snapshots: int = 0

    @property
    def last(self) -> int:
        return self.changes[-1].offset if self.changes else self.oldest - 1

    def write(self, changed: Incident) -> None:
        self.changes.append(Stored(self.last + 1, changed))
        self.incidents[changed.id] = changed
        self.aged.discard(changed.id)

    def age(self) -> None:
        self.aged |= {known.id for known in self.incidents.values() if not known.is_open}

    def touch(self, incident_id: str, ward: str | None, **changes: object) -> None:
        known = self.incidents.get(incident_id)
        self.write(incident(incident_id, known.rev + 1 if known else 1, ward, **changes))

    def forget_before(self, offset: int) -> None:
        self.oldest = max(self.oldest, min(offset, self.last + 1))
        kept = [change for change in self.changes if change.offset >= self.oldest]
        # The newest stays: its offset is the position.
        self.changes = kept or self.changes[-1:]

    def replace(self, epoch: str, last: int = 0) -> None:
        self.epoch, self.changes, self.incidents, self.oldest = epoch, [], {}, last + 1
        self.aged = set()

    async def position(self) -> tuple[str, int]:
        self._work()
        return self.epoch, self.last

    async def read(self, after: int, limit: int) -> list[Stored]:
        self._work()
        self.reads += 1
        return [change for change in self.changes if change.offset > after and change.offset >= self.oldest][
            :limit
        ]

    async def snapshot(self) -> tuple[int, list[Incident]]:
        self._work()
        self.snapshots += 1
        return self.last, [known for known in self.incidents.values() if known.id not in self.aged]

    def _work(self) -> None:
        if self.broken:
            raise SourceUnavailableError("the database is away")


def publish(hub: Hub) -> None:
    """Offer everything that is new, as the hub's two lanes do in their own time."""
    hub.publish_changes()
    hub.publish_states()
