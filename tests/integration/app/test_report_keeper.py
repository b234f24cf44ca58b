"""What a crash or a log that refuses leaves undone the keeper finishes, and nothing is tried for ever."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ioc.app.citizens.reopening import Reopening
from ioc.app.citizens.report_keeper import AGAIN, BATCH, ReportKeeper
from ioc.app.incidents.service import IncidentService
from ioc.eventlog.port import LogRejected
from ioc.incidents.policies import Policies
from ioc.model.records import NewRecord
from ioc.store.quarantine import Quarantine
from ioc.store.row_scope import SERVICE, ScopedPool
from tests.integration.app.counter_room import HOLE, Incidents, Log, counter, fetch, raise_incident

LATER = timedelta(minutes=1)
STANDING = "SELECT handling FROM incident"


class Refusing(Log):
    """Refuses what is about `subject`, alone or among others; None refuses everything."""

    def __init__(self, subject: str | None = None) -> None:
        super().__init__()
        self.subject = subject
        self.calls = 0

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[object]:
        self.calls += 1
        if self.subject is None or any(self.subject.encode() in record.payload for record in records):
            raise LogRejected("too large")
        return await super().append(topic, records)


class Meeting(Refusing):
    """Lets something else happen before it answers, as `takes` does or with a refusal."""

    def __init__(self, takes: Log | None = None) -> None:
        super().__init__()
        self.takes = takes
        self.meets: Callable[[], Awaitable[object]]

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[object]:
        await self.meets()
        return await (self.takes.append if self.takes else super().append)(topic, records)


def keeper(pool: ScopedPool, log: Log, incidents: object | None = None) -> ReportKeeper:
    service = pool.of(SERVICE)
    reopening = Reopening(service, incidents or IncidentService(service), Policies)  # type: ignore[arg-type]
    return ReportKeeper(service, log, Policies, reopening, Quarantine())  # type: ignore[arg-type]


async def test_a_crash_before_the_incident_is_opened_again_is_made_up_for_at_the_next_start(
    pool: ScopedPool,
) -> None:
    crashing = counter(pool, Log(), Incidents(failing=2))
    first = await crashing.submit(HOLE)
    await raise_incident(pool, first.id, ended=datetime.now(UTC))
    with pytest.raises(ConnectionError):
        await crashing.submit(msgspec.structs.replace(HOLE, idem=None, joins=first.id))
    with pytest.raises(ConnectionError):
        await crashing.vote(first.code, satisfied=False, text=None)
    assert await fetch(pool, STANDING) == [("resolved",)]

    await keeper(pool, Log()).reopen(datetime.now(UTC))
    assert await fetch(pool, STANDING) == [("resolved",)], "who took it may be at it still"
    await keeper(pool, Log()).reopen(datetime.now(UTC) + LATER)
    assert await fetch(pool, STANDING) == [("new",)]
    incidents = Incidents()
    await keeper(pool, Log(), incidents).reopen(datetime.now(UTC) + LATER)
    assert incidents.done == [], "once"


async def test_what_was_resolved_after_it_had_been_told_of_is_not_opened_again(pool: ScopedPool) -> None:
    desk, incidents = counter(pool, Log()), Incidents()
    first = await desk.submit(HOLE)
    await desk.submit(msgspec.structs.replace(HOLE, idem=None, joins=first.id))
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute("UPDATE citizen_report SET reopen_due = true WHERE root <> id")
    await raise_incident(pool, first.id, ended=datetime.now(UTC))
    await keeper(pool, Log(), incidents).reopen(datetime.now(UTC) + LATER)
    assert incidents.done == []
    assert await fetch(pool, "SELECT count(*) FROM citizen_report WHERE reopen_due") == [(0,)]


async def test_one_report_that_the_log_refuses_for_good_holds_up_no_other(pool: ScopedPool) -> None:
    away = Refusing()
    places = (106.60, 106.62, 106.64, 106.66, 106.68)
    ids = [
        (await counter(pool, away).submit(msgspec.structs.replace(HOLE, idem=None, lon=lon))).id
        for lon in places
    ]
    log, now = Refusing(ids[2]), datetime.now(UTC) + LATER
    assert await keeper(pool, log).step(now) == len(ids)
    told = b"".join(record.payload for record in log.told)
    assert [report_id.encode() in told for report_id in ids] == [True, True, False, True, True]
    found = "SELECT event_id, reason, detail FROM quarantine"
    assert await fetch(pool, found) == [(ids[2], "poison", "too large")]

    calls = log.calls
    assert await keeper(pool, log).step(now + LATER) == 0 < BATCH
    assert log.calls == calls, "it is not offered again at once"
    await keeper(pool, log).step(now + AGAIN + LATER)
    assert log.calls == calls + 1 and len(await fetch(pool, found)) == 1, "again later, and told once"
    log.subject = "nothing"
    assert await keeper(pool, log).step(now + 3 * AGAIN) == 1
    assert ids[2].encode() in log.told[-1].payload, "what was at fault has been mended"


class Slow(Log):
    """Takes its time: looks what transactions are open meanwhile."""

    def __init__(self, pool: ScopedPool, rejects: bool) -> None:
        super().__init__()
        self.open: list[tuple[int]] = []
        self._pool = pool
        self._rejects = rejects

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[object]:
        self.open += await fetch(
            self._pool,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ioc-people'"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
        )
        if self._rejects:
            raise LogRejected("too large")
        return await super().append(topic, records)


@pytest.mark.parametrize("rejects", [False, True])
async def test_no_transaction_waits_for_a_slow_log(pool: ScopedPool, rejects: bool) -> None:
    for lon in (106.60, 106.64):
        await counter(pool, Refusing()).submit(msgspec.structs.replace(HOLE, idem=None, lon=lon))
    log = Slow(pool, rejects)
    assert await keeper(pool, log).step(datetime.now(UTC) + LATER) == 2
    assert log.open == [(0,)] * (3 if rejects else 1)


async def test_what_two_keepers_offer_at_once_is_the_same_to_the_log_and_is_set_aside_once(
    pool: ScopedPool,
) -> None:
    await counter(pool, Refusing()).submit(HOLE)
    now, log, first, second = datetime.now(UTC) + LATER, Log(), Meeting(), Refusing()
    first.meets = lambda: keeper(pool, second).step(now)
    await keeper(pool, first).step(now)
    assert first.calls == second.calls == 1
    assert await fetch(pool, "SELECT count(*) FROM quarantine") == [(1,)]
    later = Meeting(log)
    later.meets = lambda: keeper(pool, log).step(now + AGAIN + LATER)
    await keeper(pool, later).step(now + AGAIN + LATER)
    assert len(log.told) == 2 and len({record.dedup for record in log.told}) == 1
    assert await fetch(pool, "SELECT count(*) FROM citizen_report WHERE appended IS NULL") == [(0,)]
