"""The counter on a real PostgreSQL: repeats at once, what joins, and who takes a report out of its group."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import msgspec
import pytest

from ioc.api.citizen_ports import Submission
from ioc.app.citizen_desk import CitizenDesk
from ioc.app.report_desk import ReportDesk
from ioc.app.sealing import Seal
from ioc.incidents.commands import Command
from ioc.incidents.policies import Policies
from ioc.model.incidents import Change, Handling
from ioc.model.records import NewRecord
from ioc.model.times import to_us
from ioc.model.tracking import hash_code, read_code
from ioc.store.embedded import Dsns
from ioc.store.incidents import write_changes
from ioc.store.pool import open_pool
from ioc.store.reports import OF_INCIDENT
from ioc.store.row_scope import NOBODY, SERVICE, RowScope, ScopedPool, acting_as
from tests.integration.store.test_incidents import change, incident

OWN = "25747"
SEAL = Seal(b"k" * 32)
WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'citizen_report'::regclass AND NOT granted"
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


@pytest.fixture
async def pool(database: Dsns) -> AsyncIterator[ScopedPool]:
    async with open_pool(database.app, name="people", max_size=4, scope=NOBODY) as opened:
        yield ScopedPool(opened)


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


def counter(pool: ScopedPool, log: Log, incidents: Incidents | None = None) -> CitizenDesk:
    return CitizenDesk(
        pool, log=log, incidents=incidents or Incidents(), policies=Policies, ward_of=lambda *_: OWN,  # type: ignore[arg-type]
        bounds=(106.0, 10.0, 107.0, 11.0), seal=SEAL, per_contact=20,
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


async def test_a_report_sent_twice_at_once_is_one_report_and_one_event(pool: ScopedPool) -> None:
    log = Log()
    desk = counter(pool, log)
    async with (
        asyncio.timeout(60),
        asyncio.TaskGroup() as senders,
        pool.of(SERVICE).connection() as holding,
    ):
        # All see that nothing is there, and only then can any of them write.
        await holding.execute("LOCK TABLE citizen_report IN SHARE MODE")
        sent = [senders.create_task(desk.submit(HOLE)) for _ in range(3)]
        waiting = 0
        while waiting < len(sent):
            ((waiting,),) = await (await holding.execute(WAITING)).fetchall()
    receipts = [each.result() for each in sent]
    stored = await fetch(pool, "SELECT id, code_hash FROM citizen_report")
    assert [receipt.id for receipt in receipts] == [stored[0][0]] * 3
    assert stored[0][1] in {hash_code(read_code(receipt.code) or "") for receipt in receipts}
    assert len(stored) == len(log.told) == 1


async def test_a_contact_cannot_be_guessed_from_what_recognises_a_repeat(pool: ScopedPool) -> None:
    told = msgspec.structs.replace(HOLE, contact="0912345678")
    await counter(pool, Log()).submit(told)
    ((digest,),) = await fetch(pool, "SELECT digest FROM citizen_report")
    plain = msgspec.json.encode(msgspec.structs.replace(told, idem=None))
    assert digest != hashlib.sha256(plain).digest()


async def test_staff_of_a_ward_take_a_report_out_of_its_group(pool: ScopedPool) -> None:
    desk = counter(pool, Log())
    first = await desk.submit(HOLE)
    await raise_incident(pool, first.id)
    other = await desk.submit(msgspec.structs.replace(HOLE, idem=None, text="Cống vỡ", joins=first.id))
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        await ReportDesk(pool, SEAL).separate(other.id)
    assert await fetch(pool, "SELECT root, appended FROM citizen_report WHERE id = %s", other.id) == [
        (other.id, None)
    ]


@pytest.mark.parametrize(("days", "joined"), [(1, True), (14, True), (16, False)])
async def test_a_report_joins_what_has_ended_only_while_that_may_be_opened_again(
    pool: ScopedPool, days: int, *, joined: bool
) -> None:
    incidents = Incidents()
    desk = counter(pool, Log(), incidents)
    first = await desk.submit(HOLE)
    await raise_incident(pool, first.id, ended=datetime.now(UTC) - timedelta(days=days))
    again = await desk.submit(msgspec.structs.replace(HOLE, idem=None, joins=first.id))
    assert again.joined == joined
    assert incidents.done == (["reopen"] if joined else [])


async def test_an_unhappy_vote_sent_again_opens_what_could_not_be_opened_at_first(pool: ScopedPool) -> None:
    log, incidents = Log(), Incidents(failing=1)
    desk = counter(pool, log, incidents)
    first = await desk.submit(HOLE)
    await raise_incident(pool, first.id, ended=datetime.now(UTC))
    with pytest.raises(ConnectionError):
        await desk.vote(first.code, satisfied=False, text=None)
    await desk.vote(first.code, satisfied=False, text=None)
    assert incidents.done == ["reopen"]
    assert len(log.told) == 2, "the report and one vote"


async def test_reports_of_an_incident_are_found_by_index_whoever_asks(pool: ScopedPool) -> None:
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute(
            "INSERT INTO citizen_report (id, code_hash, root, service, text, channel, received, digest)"
            " SELECT 'r' || n, sha256(n::text::bytea), 'r' || n, 'road', 'x', 'web', now(), ''"
            " FROM generate_series(1, 5000) n"
        )
    await raise_incident(pool, "r1")
    asked: LiteralString = "EXPLAIN SELECT * FROM citizen_report" + OF_INCIDENT
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        async with pool.connection() as connection:
            plan = await (await connection.execute(asked, {"id": "inc-r1", "limit": 200})).fetchall()
    assert any("Index Cond: (root = ANY" in line for (line,) in plan), plan
