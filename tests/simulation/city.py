"""What all runs share: two databases with devices and rules, one to simulate on and one for the replay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ioc.app.directory import Directory
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import ensure_first_version
from ioc.store.devices import upsert_devices
from ioc.store.embedded import Dsns
from tests.simulation.database import Connections, HostPool
from tests.simulation.process import Host
from tests.simulation.senders import DEVICES

RULES: Final = Path(__file__).parent / "rules"
REVISIONS: Final = (
    ("count >= 3 within 20s", "count >= 2 within 20s"),
    ("absence: 10s", "absence: 16s"),
    ("distinct(ward) >= 2", "distinct(ward) >= 3"),
    ("hold: 8s", "hold: 3s"),
)
"""What may be changed in the rules while they run: from, to."""


@dataclass(frozen=True)
class City:
    """One database with what is registered there."""

    dsns: Dsns
    connections: Connections
    directory: Directory

    def pool(self, host: Host | None = None) -> HostPool:
        """Return the connections of a host; nothing happens to those of nobody."""
        return HostPool(self.connections, host)


@dataclass(frozen=True)
class Cities:
    """Where a run is simulated, and where its log is replayed without faults."""

    simulated: City
    replayed: City


@asynccontextmanager
async def open_cities(simulated: Dsns, replayed: Dsns) -> AsyncIterator[Cities]:
    """Prepare two migrated databases."""
    async with _open_city(simulated) as city, _open_city(replayed) as reference:
        yield Cities(city, reference)


@asynccontextmanager
async def _open_city(dsns: Dsns) -> AsyncIterator[City]:
    """Register devices and rules in a migrated database."""
    connections = Connections(dsns.app)
    pool = HostPool(connections)
    async with pool.connection() as connection:
        await upsert_devices(connection, DEVICES)
    directory = Directory(pool)
    await directory.refresh()
    await ensure_first_version(pool, RuleFolder(RULES), directory.index)
    try:
        yield City(dsns, connections, directory)
    finally:
        await connections.close()
