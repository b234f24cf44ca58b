"""What has to hold whatever happens. Each function returns or raises what contradicts it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import AsyncConnection

from ioc.app.incidents.checksum import Checksum, checksum
from ioc.eventlog.memory import MemoryLog
from ioc.model.events import Event, decode_event
from ioc.model.incidents import Condition, Incident
from ioc.model.records import EVENTS_TOPIC, RecordKind
from ioc.store.incidents import MAX_PAGE, IncidentFilter, StoredChange, read_changes, read_page
from ioc.store.pool import Pool
from ioc.store.positions import Standing, standings
from tests.simulation.ledger import EventKey

ALL = 1_000_000


class Broken(Exception):
    """An invariant does not hold."""


class PositionWatch:
    """Positions never go back, and only the owner of a partition moves its position."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._last: dict[tuple[str, str, int], Standing] = {}

    async def look(self, worked: str) -> None:
        """Compare with the last look; only `worked` has worked since.

        Raises:
            Broken: one of the two does not hold.
        """
        async with self._pool.connection() as connection:
            found = await standings(connection)
        for now in found:
            key = now.group, now.topic, now.partition
            before = self._last.get(key, Standing(*key, None, 0, 0))
            if now.next_offset < before.next_offset or now.generation < before.generation:
                raise Broken(f"{worked}: a position went back from {before} to {now}")
            if now.next_offset > before.next_offset and now.owner != worked:
                raise Broken(f"{worked} moved a position that was not its own: {before} to {now}")
            self._last[key] = now


class FeedReader:
    """Follows the feed as a console does, and keeps all it has seen."""

    def __init__(self) -> None:
        self.seen: list[StoredChange] = []

    @property
    def after(self) -> int:
        """The offset to go on behind."""
        return self.seen[-1].offset if self.seen else 0

    def take(self, changes: Sequence[StoredChange]) -> None:
        """See what was read behind `after`.

        Raises:
            Broken: an offset or a revision is missing or comes twice.
        """
        for change in changes:
            if change.offset != self.after + 1:
                raise Broken(f"the feed goes on at {change.offset} behind {self.after}")
            self.seen.append(change)

    def faults(self) -> list[str]:
        """Return which revisions are missing, and which rule and key had two open episodes at a time."""
        found = []
        known: dict[str, Incident] = {}
        active: dict[tuple[str, str], str] = {}
        for offset, incident in ((change.offset, change.incident) for change in self.seen):
            before = known[incident.id].rev if incident.id in known else 0
            if incident.rev != before + 1:
                found.append(
                    f"feed offset {offset}: {incident.id} has revision {incident.rev} behind {before}"
                )
            known[incident.id] = incident
            episode = incident.rule, incident.key
            if incident.condition is Condition.ACTIVE:
                if active.setdefault(episode, incident.id) != incident.id:
                    found.append(f"feed offset {offset}: a second open episode of {episode}")
            elif active.get(episode) == incident.id:
                del active[episode]
        return found


async def events_in_log(log: MemoryLog) -> list[Event]:
    """Return every event that stands in the log, as often as it does."""
    return [
        decode_event(record.payload)
        for partition in await log.ends(EVENTS_TOPIC)
        for record in log.read(EVENTS_TOPIC, partition, 0, ALL)
        if record.kind is RecordKind.EVENT
    ]


async def events_stored(connection: AsyncConnection[Any]) -> Counter[EventKey]:
    """Return how often each event stands in the history."""
    rows = await connection.execute(
        "SELECT source, type, event_id FROM camera_event"
        " UNION ALL SELECT source, type, event_id FROM traffic_measurement"
    )
    return Counter([EventKey(*row) async for row in rows])


@dataclass(frozen=True)
class Decided:
    """What rules have made of a log."""

    incidents: Mapping[str, Incident]
    """As they stand now, by id."""
    chains: Mapping[str, Sequence[Incident]]
    """Their revisions in the order of the feed."""

    @property
    def sum(self) -> Checksum:
        """The sum by which replays are compared."""
        return checksum(self.incidents.values())

    def faults(self, seen: Sequence[StoredChange]) -> list[str]:
        """Return where the feed, as a console has `seen` it, is not what is stored."""
        newest = {change.incident.id: change.incident for change in seen}
        return [
            f"{name}: the feed ends with {newest.get(name)}, stored is {self.incidents.get(name)}"
            for name in sorted(newest.keys() | self.incidents.keys())
            if newest.get(name) != self.incidents.get(name)
        ]

    def differences(self, reference: "Decided") -> list[str]:
        """Return in which incidents this differs from `reference`, byte for byte."""
        found = [
            f"{name}: {_difference(self.chains.get(name, ()), reference.chains.get(name, ()))}"
            for name in sorted(self.chains.keys() | reference.chains.keys())
            if _bytes(self.chains.get(name, ())) != _bytes(reference.chains.get(name, ()))
        ]
        if not found and self.sum != reference.sum:
            found.append(f"checksum {self.sum}, in the replay {reference.sum}")
        return found


async def decided(connection: AsyncConnection[Any]) -> Decided:
    """Read what rules have decided."""
    chains: dict[str, list[Incident]] = defaultdict(list)
    for change in await read_changes(connection, 0, ALL):
        chains[change.incident.id].append(change.incident)
    page, _ = await read_page(connection, IncidentFilter(open_only=False, limit=MAX_PAGE))
    return Decided({incident.id: incident for incident in page}, chains)


def _bytes(chain: Sequence[Incident]) -> list[bytes]:
    return [msgspec.json.encode(revision) for revision in chain]


def _difference(chain: Sequence[Incident], reference: Sequence[Incident]) -> str:
    if len(chain) != len(reference):
        return f"{len(chain)} revisions, {len(reference)} in the replay"
    for revision, other in zip(chain, reference, strict=True):
        for name in Incident.__struct_fields__:
            if (ours := getattr(revision, name)) != (theirs := getattr(other, name)):
                return f"revision {revision.rev} has {name} {ours!r}, in the replay {theirs!r}"
    return "other bytes"
