"""The counter on a real PostgreSQL: repeats at once, what joins, and who takes a report out of its group."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import msgspec
import pytest

from ioc.api.citizen_ports import QuotaError, Submission, UnfitReportError
from ioc.api.georeport_input import RequestQuery
from ioc.app.citizens.citizen_desk import CitizenDesk
from ioc.app.citizens.public_requests import StoredRequests
from ioc.app.citizens.report_desk import ReportDesk
from ioc.geo.gazetteer import Address, Gazetteer
from ioc.incidents.policies import Policies
from ioc.model.events import decode_event
from ioc.model.tracking import hash_code, read_code
from ioc.store.incidents import write_changes
from ioc.store.public_requests import _BY_STATUS, _SELECT
from ioc.store.reports import OF_INCIDENT
from ioc.store.row_scope import SERVICE, RowScope, ScopedPool, acting_as
from tests.integration.app.counter_room import HOLE, OWN, SEAL, Incidents, Log, counter, fetch, raise_incident
from tests.integration.store.test_incidents import change, incident

WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'citizen_report'::regclass AND NOT granted"


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


async def test_a_report_that_says_its_place_in_words_gets_ward_and_point_and_says_how_sure_that_is(
    pool: ScopedPool,
) -> None:
    street = Address(code="", address="12 Đường Lê Lợi, Phường Phú Lợi", lon=106.69, lat=10.98, ward=OWN)
    log = Log()
    desk = counter(pool, log, addresses=Gazetteer([street], [(OWN, "Phường Phú Lợi")]))
    words = msgspec.structs.replace(HOLE, lon=None, lat=None, idem=None)
    for address in ("12 le loi, phu loi", "12 Lê Lợii, Phú Lợi", "sau chợ, phường Phú Lợi", "ở đâu đó"):
        await desk.submit(msgspec.structs.replace(words, address=address))
    events = [decode_event(record.payload) for record in log.told]
    assert [(event.ward, event.lon, event.data.extra.get("placed_by")) for event in events] == [
        (OWN, 106.69, "address"), (OWN, 106.69, "fuzzy"), (OWN, None, "ward"), (None, None, None),
    ]  # fmt: skip
    assert [event.data.extra.get("joins") for event in events] == [None] * 4, "no address is the same"
    assert "place_confidence" not in events[3].data.extra
    await raise_incident(pool, events[1].id)
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        (shown,) = await ReportDesk(pool, SEAL).of_incident(f"inc-{events[1].id}")
    assert shown.placed_by == "fuzzy"
    assert shown.place_confidence == events[1].data.extra["place_confidence"]


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


WAITING_AT_ALL = """
    SELECT count(*) FROM pg_locks
    WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
MANY = """
    INSERT INTO citizen_report (id, code_hash, root, service, text, channel, received, digest)
    SELECT 'r' || n, sha256(n::text::bytea), 'r' || n, 'road', 'x', 'web', now() - n * interval '1 minute', ''
    FROM generate_series(1, 5000) n
"""


MANY_INCIDENTS = """
    INSERT INTO incident SELECT (jsonb_populate_record(i, jsonb_build_object(
        'id', 'inc-r' || n, 'key', 'citizens|r' || n, 'ward', ('{25747,25750}'::text[])[1 + n % 2]))).*
    FROM incident i, generate_series(2, 1000) n
"""


async def explained(pool: ScopedPool, statement: LiteralString, values: dict[str, object]) -> str:
    asked: LiteralString = "EXPLAIN " + statement
    async with pool.connection() as connection:
        return "\n".join(line for (line,) in await (await connection.execute(asked, values)).fetchall())


@pytest.fixture
async def many(pool: ScopedPool) -> None:
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute(MANY)
    await raise_incident(pool, "r1")
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute(MANY_INCIDENTS)


@pytest.mark.usefixtures("many")
async def test_reports_of_an_incident_are_found_by_index_whoever_asks(pool: ScopedPool) -> None:
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        plan = await explained(pool, "SELECT * FROM citizen_report" + OF_INCIDENT, {"id": "x", "limit": 200})
    assert "Index Cond: (root = ANY" in plan, plan


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("table", ["citizen_report", "citizen_answer", "citizen_vote"])
async def test_who_may_see_a_report_is_asked_by_index_even_of_many(pool: ScopedPool, table: str) -> None:
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        plan = await explained(pool, f"SELECT * FROM {table}", {})  # type: ignore[arg-type]
    assert "hashed SubPlan" not in plan, plan
    assert "Index Cond: (key = ('citizens|'::text || " in plan, plan


@pytest.mark.usefixtures("many")
async def test_reports_of_a_rare_status_are_found_by_index(pool: ScopedPool) -> None:
    requests, now = StoredRequests(pool, Policies), datetime.now(UTC)
    query = RequestQuery(start=now - timedelta(days=90), end=now, statuses=frozenset(["closed"]))
    assert await requests.find(query) == []
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute("UPDATE incident SET handling = 'resolved' WHERE id = 'inc-r1'")
    assert [found.id for found in await requests.find(query)] == ["r1"]
    values = {"start": query.start, "end": now, "services": None, "finished": True, "limit": 9, "offset": 0}
    with acting_as(SERVICE):
        plan = await explained(pool, _SELECT + _BY_STATUS, values)
    assert "Index Scan using citizen_report_finished" in plan, plan


async def test_open311_calls_a_report_closed_while_its_incident_or_the_one_it_was_merged_into_is(
    pool: ScopedPool,
) -> None:
    desk = counter(pool, Log())
    first = await desk.submit(HOLE)
    await raise_incident(pool, first.id)
    joined = await desk.submit(msgspec.structs.replace(HOLE, idem=None, joins=first.id))
    head = incident(2, id="inc-head", rule="flood", key="k", ward=OWN, members=1)
    async with pool.of(SERVICE).connection() as connection:
        await write_changes(connection, [change(head)])

    async def closed() -> int:
        ((count,),) = await fetch(pool, "SELECT count(*) FROM citizen_report WHERE finished")
        return int(count)

    own, of_head = f"id = 'inc-{first.id}'", "id = 'inc-head'"
    for where, changes, expected in (
        (own, "handling = 'resolved'", 2),
        (own, "handling = 'new'", 0),
        (own, "handling = 'rejected'", 2),
        (own, "handling = 'merged', merged_into = 'inc-head'", 0),
        (of_head, "handling = 'closed'", 2),
        (of_head, "handling = 'in_progress'", 0),
        (of_head, "handling = 'resolved'", 2),
        (own, "handling = 'new', merged_into = NULL", 0),
        (own, "handling = 'resolved'", 2),
    ):
        async with pool.of(SERVICE).connection() as connection:
            await connection.execute(f"UPDATE incident SET {changes} WHERE {where}".encode())
        assert await closed() == expected, changes
    with acting_as(RowScope.of_person("cuong", (OWN,))):
        await ReportDesk(pool, SEAL).separate(joined.id)
    assert await closed() == 1, "one that stands for itself has not been looked at"


async def test_two_reports_at_once_do_not_pass_the_quota_of_their_contact(pool: ScopedPool) -> None:
    desk = counter(pool, Log(), per_contact=1)
    told = msgspec.structs.replace(HOLE, contact="0912345678", idem=None)
    waiting = 0
    async with (
        asyncio.timeout(60),
        asyncio.TaskGroup() as senders,
        pool.of(SERVICE).connection() as holding,
    ):
        # Whoever counts has counted before either of them can write.
        await holding.execute("LOCK TABLE citizen_report IN SHARE MODE")
        sent = [senders.create_task(_outcome(desk, told)) for _ in range(2)]
        while waiting < len(sent):
            ((waiting,),) = await (await holding.execute(WAITING_AT_ALL)).fetchall()
    assert sorted(each.result() for each in sent) == ["quota", "taken"]


async def _outcome(desk: CitizenDesk, told: Submission) -> str:
    try:
        await desk.submit(told)
    except QuotaError:
        return "quota"
    return "taken"


async def test_keys_of_the_public_and_of_each_partner_do_not_meet(pool: ScopedPool) -> None:
    desk, key = counter(pool, Log()), HOLE.idem
    senders = [
        HOLE,
        msgspec.structs.replace(HOLE, channel="open311", partner="p1", lon=106.60),
        msgspec.structs.replace(HOLE, channel="open311", partner="p2", lon=106.70),
        # What a partner's key looked like, sent by somebody of the public.
        msgspec.structs.replace(HOLE, idem=f"p1:{key}", lon=106.80),
    ]
    receipts = [await desk.submit(told) for told in senders]
    assert len({receipt.id for receipt in receipts}) == len(senders)
    assert [(await desk.submit(told)).id for told in senders] == [receipt.id for receipt in receipts]


async def test_an_answer_to_all_reaches_everybody_and_its_repeat_nobody(pool: ScopedPool) -> None:
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute(MANY.replace("'r' || n, 'road'", "'r1', 'road'"))
    await raise_incident(pool, "r1")
    reports, key = ReportDesk(pool, SEAL), "answer-0000000001"

    async def answer(text: str, idem: str | None, *, everybody: bool = True) -> int:
        with acting_as(RowScope.of_person("cuong", (OWN,))):
            return await reports.answer("r7", text, everybody=everybody, author="cuong", idem=idem)

    assert [await answer("đã vá", key) for _ in range(2)] == [5000, 5000]
    assert await fetch(pool, "SELECT count(*) FROM citizen_answer") == [(5000,)]
    with pytest.raises(UnfitReportError) as caught:
        await answer("đã vá xong", key)
    assert caught.value.rule == "idem_reused"
    async with asyncio.timeout(60), asyncio.TaskGroup() as senders:
        sent = [senders.create_task(answer("một người", "k" * 16, everybody=False)) for _ in range(3)]
    assert [each.result() for each in sent] == [1, 1, 1]
    assert await answer("một người", None, everybody=False) == 1
    assert await fetch(pool, "SELECT count(*) FROM citizen_answer WHERE report_id = 'r7'") == [(3,)]


async def test_what_a_forgotten_reporter_says_of_the_result_is_stored_masked(pool: ScopedPool) -> None:
    log = Log()
    desk = counter(pool, log)
    first = await desk.submit(HOLE)
    await raise_incident(pool, first.id, ended=datetime.now(UTC))
    async with pool.of(SERVICE).connection() as connection:
        await connection.execute("UPDATE citizen_report SET forgotten = true")
    await desk.vote(first.code, satisfied=True, text="Tốt, gọi 0912 345 678")
    assert await fetch(pool, "SELECT text FROM citizen_vote") == [("Tốt, gọi •••678",)]
    assert b"345 678" not in log.told[-1].payload
