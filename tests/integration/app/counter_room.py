"""The counter with real rows behind it, and what it needs around it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from ioc.api.citizen_ports import Submission
from ioc.app.citizens.citizen_desk import CitizenDesk
from ioc.app.photos import StoredPhotos
from ioc.app.sealing import Seal
from ioc.app.settings.sections import PhotoSettings
from ioc.incidents.commands import Command
from ioc.incidents.policies import Policies
from ioc.ingest.ports import NO_ADDRESSES, Addresses
from ioc.model.incidents import Change, Handling
from ioc.model.records import NewRecord
from ioc.model.times import to_us
from ioc.store.incidents import write_changes
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.integration.store.test_incidents import change, incident

OWN = "25747"
SEAL = Seal(b"k" * 32)
HOLE = Submission(
    channel="web", service="road", text="Ổ gà lớn giữa đường", lon=106.65, lat=10.98, idem="idem-000000000001"
)


class Log:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[NewRecord] = []

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[object]:
        self.told += records
        return []


class Incidents:
    """Remembers the commands it carried out; the first `failing` fail."""

    def __init__(self, failing: int = 0) -> None:
        self.failing = failing
        self.done: list[str] = []

    async def command(self, incident_id: str, command: Command, actor: str) -> None:
        if self.failing:
            self.failing -= 1
            raise ConnectionError
        self.done.append(command.op)


def counter(
    pool: ScopedPool,
    log: Log,
    incidents: Incidents | None = None,
    per_contact: int = 20,
    addresses: Addresses = NO_ADDRESSES,
) -> CitizenDesk:
    return CitizenDesk(
        pool, log=log, incidents=incidents or Incidents(), policies=Policies, ward_of=lambda *_: OWN,  # type: ignore[arg-type]
        pictures=StoredPhotos(pool, PhotoSettings(), kept_s=86_400.0),
        bounds=(106.0, 10.0, 107.0, 11.0), seal=SEAL, per_contact=per_contact,
        addresses=addresses,
    )  # fmt: skip


async def fetch(pool: ScopedPool, statement: str, *values: object) -> list[tuple[Any, ...]]:
    async with pool.of(SERVICE).connection() as connection:
        return await (await connection.execute(statement.encode(), values)).fetchall()


async def raise_incident(pool: ScopedPool, root: str, *, ended: datetime | None = None) -> None:
    row = incident(1, id=f"inc-{root}", rule="citizen-report", key=f"citizens|{root}", ward=OWN)
    told = change(row)
    if ended:
        row = msgspec.structs.replace(row, handling=Handling.RESOLVED, resolved_us=to_us(ended))
        audit = msgspec.structs.replace(told.audit, op="resolve", after="resolved", at_us=to_us(ended))
        told = Change(incident=row, audit=audit)
    async with pool.of(SERVICE).connection() as connection:
        await write_changes(connection, [told])
