"""Incidents on a real PostgreSQL: what is written is what is read, and the feed has no gaps."""

import asyncio

import msgspec
import psycopg
import pytest

from ioc.model.incidents import (
    Audit,
    Change,
    Checklist,
    Condition,
    Handling,
    Incident,
    PauseReason,
    Severity,
    Taken,
    Why,
)
from ioc.model.records import EVENTS_TOPIC
from ioc.model.texts import Text
from ioc.model.times import SECOND_US, from_us
from ioc.store.embedded import Dsns
from ioc.store.incidents import (
    CursorError,
    IncidentFilter,
    claim_command,
    read_changes,
    read_for_update,
    read_history,
    read_incident,
    read_live,
    read_members,
    read_page,
    read_position,
    read_returned,
    write_changes,
)
from ioc.store.rule_state import StateRow, load_state, save_state

NOW_US = 1_700_000_000 * SECOND_US
MOMENTS = (
    "updated", "cleared", "acknowledged", "resolved", "closed", "ack_due", "resolve_due", "respond_due",
    "responded", "paused", "escalate", "escalated", "shelved_until",
)  # fmt: skip


def incident(number: int, **changes: object) -> Incident:
    base = Incident(
        id=f"inc-{number:04d}",
        rev=1,
        rule="congestion",
        key=f"det-{number}",
        category="traffic",
        severity=Severity.HIGH,
        condition=Condition.ACTIVE,
        handling=Handling.NEW,
        title=Text("Ùn tắc", "Congestion"),
        why=Why(rule_version="v1", summary=Text("vì tốc độ thấp", "slow"), event_ids=("e1",)),
        opened_us=NOW_US + number * SECOND_US,
        detected_us=NOW_US + 123_456,
        updated_us=NOW_US,
        ward="25747" if number % 2 else "25750",
        source=f"det-{number}",
        lon=106.65,
        lat=10.98,
    )
    return msgspec.structs.replace(base, **changes)


def change(row: Incident) -> Change:
    return Change(
        incident=row,
        audit=Audit(incident_id=row.id, rev=row.rev, at_us=NOW_US, actor="an", op="raised", details={"n": 1}),
    )


async def connect(dsns: Dsns) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(dsns.app, autocommit=True, options="-c ioc.scope=service")


async def test_an_incident_reads_back_exactly_with_its_history(database: Dsns) -> None:
    row = incident(1, note="ghi chú", cleared_us=NOW_US + 1)
    async with await connect(database) as connection:
        async with connection.transaction():
            await write_changes(connection, [change(row)])
        assert await read_incident(connection, row.id) == row
        assert (await read_for_update(connection, [row.id, "absent"])) == {row.id: row}
        (audit,) = await read_history(connection, row.id)
        assert (audit.op, audit.details, audit.at_us) == ("raised", {"n": 1}, NOW_US)
        (stored,) = await read_changes(connection, 0, 10)
        assert (stored.offset, stored.incident) == (1, row)


async def test_every_field_of_an_incident_is_stored_and_changed(database: Dsns) -> None:
    plain = incident(1)
    full = incident(
        1, rev=2, handling=Handling.MERGED, severity=Severity.LOW, assignee="a", team="b", note="c", count=9,
        working_clock=True, pause_reason=PauseReason.PARTS, level=2, handed_from="w", photo="p",
        merged_into="inc-0002", merged_by="place", resumes=Handling.ASSIGNED, agencies=("x", "y"),
        checklist=Checklist(ref="r", done=1, total=2, taken=(Taken(step="a", by="an", at_us=NOW_US),)),
        **{f"{name}_us": NOW_US + 1 + n for n, name in enumerate(MOMENTS)},
    )  # fmt: skip
    head = incident(2, members=3, members_active=1)
    changing = set(Incident.__struct_fields__) - {
        "id", "rule", "key", "category", "condition", "title", "why", "opened_us", "detected_us", "ward",
        "source", "lon", "lat", "members", "members_active",
    }  # fmt: skip
    assert {name for name in changing if getattr(full, name) == getattr(plain, name)} == set()
    async with await connect(database) as connection:
        for row in (plain, head, full):
            async with connection.transaction():
                await write_changes(connection, [change(row)])
        assert await read_incident(connection, full.id) == full
        assert await read_incident(connection, head.id) == head
        assert await read_members(connection, head.id, 10) == [full]


async def test_a_second_active_episode_of_one_rule_and_key_is_impossible(database: Dsns) -> None:
    async with await connect(database) as connection:
        await write_changes(connection, [change(incident(1))])
        with pytest.raises(psycopg.errors.UniqueViolation):
            await write_changes(connection, [change(incident(1, id="inc-other"))])


async def test_a_revision_written_twice_fails_whole(database: Dsns) -> None:
    async with await connect(database) as connection:
        await write_changes(connection, [change(incident(1))])
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await write_changes(connection, [change(incident(1, note="zweimal"))])
        assert (await read_position(connection))[1] == 1, "the failed transaction took no offset"


async def test_pages_follow_each_other_without_gap_or_repeat(database: Dsns) -> None:
    async with await connect(database) as connection:
        await write_changes(connection, [change(incident(n)) for n in range(25)])
        seen: list[str] = []
        cursor = None
        while True:
            page, cursor = await read_page(connection, IncidentFilter(limit=10, cursor=cursor))
            seen += [row.id for row in page]
            if cursor is None:
                break
        assert seen == [f"inc-{n:04d}" for n in reversed(range(25))]
        with pytest.raises(CursorError):
            await read_page(connection, IncidentFilter(cursor="nonsense"))


async def test_a_filter_shows_its_wards_only_and_no_ward_shows_nothing(database: Dsns) -> None:
    async with await connect(database) as connection:
        await write_changes(connection, [change(incident(n)) for n in range(6)])
        page, _ = await read_page(connection, IncidentFilter(wards=("25747",)))
        assert {row.ward for row in page} == {"25747"}
        assert len(page) == 3
        assert await read_page(connection, IncidentFilter(wards=())) == ([], None)


async def test_what_ended_since_a_moment_is_listed_however_it_ended(database: Dsns) -> None:
    since_us = incident(0).opened_us + 10_000_000
    async with await connect(database) as connection:
        ended = {"handling": Handling.RESOLVED, "condition": Condition.CLEARED}
        await write_changes(
            connection,
            [
                change(incident(0, resolved_us=since_us - 1, **ended)),
                change(incident(1, resolved_us=since_us, **ended)),
                change(incident(2, resolved_us=since_us - 1, closed_us=since_us + 1, **ended)),
                change(incident(3, closed_us=since_us + 1, **ended)),
                change(incident(4)),
            ],
        )
        query = IncidentFilter(open_only=False, ended_since=from_us(since_us))
        page, _ = await read_page(connection, query)
        assert {row.id for row in page} == {"inc-0001", "inc-0002", "inc-0003"}


async def test_what_a_console_starts_from_is_open_or_just_finished(database: Dsns) -> None:
    old = incident(
        1, handling=Handling.CLOSED, condition=Condition.CLEARED, updated_us=NOW_US - 10 * SECOND_US
    )
    fresh = incident(2, handling=Handling.CLOSED, condition=Condition.CLEARED)
    async with await connect(database) as connection:
        await write_changes(connection, [change(row) for row in (old, fresh, incident(3))])
        live = await read_live(connection, from_us(NOW_US - SECOND_US), 100)
        assert [row.id for row in live] == ["inc-0003", "inc-0002"]


async def test_of_too_many_a_console_starts_from_the_gravest_that_are_open(database: Dsns) -> None:
    finished = incident(9, handling=Handling.CLOSED, severity=Severity.CRITICAL)
    rows = [finished, *(incident(n, severity=each) for n, each in enumerate(reversed(Severity)))]
    async with await connect(database) as connection:
        await write_changes(connection, [change(row) for row in rows])
        live = await read_live(connection, from_us(NOW_US - SECOND_US), 2)
        assert [row.severity for row in live] == [Severity.CRITICAL, Severity.HIGH]
        assert finished.id not in {row.id for row in live}


async def test_returned_incidents_are_found_once_nobody_took_them(database: Dsns) -> None:
    returned = incident(1, condition=Condition.CLEARED, cleared_us=NOW_US)
    taken = incident(2, condition=Condition.CLEARED, cleared_us=NOW_US, handling=Handling.ACKNOWLEDGED)
    spoken = incident(3, condition=Condition.CLEARED, cleared_us=NOW_US, note="đã mở lại")
    async with await connect(database) as connection:
        await write_changes(connection, [change(row) for row in (returned, taken, spoken)])
        assert await read_returned(connection, from_us(NOW_US + 1), 10) == [returned.id]


async def test_an_idempotency_key_is_claimed_once_per_person(database: Dsns) -> None:
    async with await connect(database) as connection:
        assert await claim_command(connection, "k", "inc-1", "an", b"one") is None
        assert await claim_command(connection, "k", "inc-2", "an", b"two") == b"one"
        assert await claim_command(connection, "k", "inc-2", "binh", b"two") is None


async def test_a_reader_behind_concurrent_writers_misses_no_change(database: Dsns) -> None:
    writers, each = 6, 30
    seen: list[int] = []

    async def write(writer: int) -> None:
        async with await connect(database) as connection:
            for n in range(each):
                await write_changes_in_one(connection, incident(writer * 1000 + n))

    async def follow() -> None:
        async with await connect(database) as connection:
            while len(seen) < writers * each:
                batch = await read_changes(connection, seen[-1] if seen else 0, 50)
                seen.extend(stored.offset for stored in batch)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for writer in range(writers):
            group.create_task(write(writer))
    assert seen == list(range(1, writers * each + 1))


async def write_changes_in_one(connection: psycopg.AsyncConnection, row: Incident) -> None:
    async with connection.transaction():
        await write_changes(connection, [change(row)])


async def test_rule_state_is_replaced_deleted_and_kept_per_partition(database: Dsns) -> None:
    async with await connect(database) as connection:
        await save_state(connection, EVENTS_TOPIC, 0, [StateRow("r", "a", b"1"), StateRow("r", "b", b"2")])
        await save_state(connection, EVENTS_TOPIC, 1, [StateRow("r", "a", b"9")])
        await save_state(connection, EVENTS_TOPIC, 0, [StateRow("r", "a", b"3"), StateRow("r", "b", None)])
        assert await load_state(connection, EVENTS_TOPIC, 0) == [StateRow("r", "a", b"3")]
        assert await load_state(connection, EVENTS_TOPIC, 1) == [StateRow("r", "a", b"9")]
