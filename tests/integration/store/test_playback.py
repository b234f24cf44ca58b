"""A past range on a real PostgreSQL: what was open when, in the order consoles were told."""

from typing import Any

import msgspec
import psycopg
import pytest

from ioc.model.events import CameraCount, TrafficFlow
from ioc.model.incidents import Audit, Change, Handling, Incident
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US, from_us, to_us
from ioc.store.embedded import Dsns
from ioc.store.incidents import write_changes
from ioc.store.playback import PlaybackRange, TooMuchError, read_histogram, read_revisions, read_steps
from ioc.store.pool import open_pool
from ioc.store.row_scope import RowScope, ScopedPool
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import NOON_US, event
from tests.integration.store.test_incidents import incident

START_US = 1_700_003_600 * SECOND_US
Connection = psycopg.AsyncConnection[Any]
OPEN, DONE = Handling.NEW, Handling.RESOLVED


async def tell(connection: Connection, database: Dsns, at_us: int, told: Incident) -> None:
    """Store a revision as if it had been committed at `at_us`."""
    told = msgspec.structs.replace(told, updated_us=at_us)
    audit = Audit(incident_id=told.id, rev=told.rev, at_us=at_us, actor="r", op="open", after=told.handling)
    await connection.commit()
    async with connection.transaction():
        await write_changes(connection, [Change(incident=told, audit=audit)])
    async with await psycopg.AsyncConnection.connect(database.admin) as admin:
        await admin.execute("SELECT set_config('ioc.scope', 'service', true)")
        await admin.execute(
            "UPDATE incident_change SET at = %s WHERE incident_id = %s AND rev = %s",
            (from_us(at_us), told.id, told.rev),
        )


async def happen(connection: Connection, database: Dsns) -> None:
    """1 is open throughout, 3 lasts from +10 to +20 min, 4 ends at +30, 5 comes after.

    2 ended just before and 6 long before; 8 ended just before and was closed afterwards.
    """
    spans = (
        (1, -60, None),
        (2, -60, -30),
        (3, 10, 20),
        (4, -60, 30),
        (5, 90, None),
        (6, -90, -61),
        (8, -60, -1),
    )
    at = {
        minute: START_US + minute * MINUTE_US for _, *span in spans for minute in span if minute is not None
    }
    for number, begun, ended in spans:
        opened = msgspec.structs.replace(
            incident(number), opened_us=at[begun], detected_us=at[begun], handling=OPEN
        )
        await tell(connection, database, at[begun], opened)
        if ended is not None:
            await tell(connection, database, at[ended], msgspec.structs.replace(opened, rev=2, handling=DONE))
    closed = incident(8, rev=3, handling=Handling.CLOSED)
    await tell(connection, database, START_US + 40 * MINUTE_US, closed)


RANGE = PlaybackRange(from_us=START_US, to_us=START_US + HOUR_US)


async def test_a_range_begins_with_what_was_open_or_just_over_and_tells_each_change_at_its_time(
    connection: Connection, database: Dsns
) -> None:
    await happen(connection, database)
    found = await read_revisions(connection, RANGE, 0, 100)
    assert {each.id: each.handling for each in found.base} == {
        "inc-0001": OPEN, "inc-0002": DONE, "inc-0004": OPEN, "inc-0008": DONE,
    }  # fmt: skip
    told = [(each.at_us, each.incident.id, each.incident.handling) for each in found.changes]
    assert [((at_us - START_US) // MINUTE_US, name, handling) for at_us, name, handling in told] == [
        (10, "inc-0003", OPEN), (20, "inc-0003", DONE), (30, "inc-0004", DONE),
        (40, "inc-0008", Handling.CLOSED),
    ]  # fmt: skip
    assert found.next is None
    assert found.kept_from_us == START_US - HOUR_US


async def test_pages_hold_every_change_once_and_the_start_once(
    connection: Connection, database: Dsns
) -> None:
    await happen(connection, database)
    first = await read_revisions(connection, RANGE, 0, 2)
    assert first.next is not None
    second = await read_revisions(connection, RANGE, first.next, 2)
    assert (len(first.changes), len(second.changes), second.base, second.next) == (2, 2, [], None)


async def test_a_ward_sees_its_own_and_only_what_it_may_see_now(
    connection: Connection, database: Dsns
) -> None:
    await happen(connection, database)
    asked = msgspec.structs.replace(RANGE, wards=("25747",))
    found = await read_revisions(connection, asked, 0, 100)
    assert {each.id for each in found.base} | {r.incident.id for r in found.changes} == {
        "inc-0001",
        "inc-0003",
    }
    assert (await read_histogram(connection, asked, 3_600)).incidents == [(START_US, "high", 1)]
    nobody = msgspec.structs.replace(RANGE, wards=())
    assert (await read_revisions(connection, nobody, 0, 100)).base == []
    await tell(connection, database, START_US + 100 * MINUTE_US, incident(3, rev=3, ward="25750"))
    async with open_pool(database.app, name="ward", max_size=1) as pool:
        people = ScopedPool(pool).of(RowScope.of_person("w", ("25747",)))
        async with people.connection() as ward:
            mine = await read_revisions(ward, RANGE, 0, 100)
    assert {each.id for each in mine.base} == {"inc-0001"}
    assert mine.changes == []


async def test_steps_hold_the_newest_value_of_each_source_and_lane(
    connection: Connection, database: Dsns
) -> None:
    def flow(number: int, second: int, lane: str, speed: float, ward: str = "a") -> None:
        flows.append(
            event(
                number, TrafficFlow(lane=lane, speed_kmh=speed), source="d", ward=ward,
                time_us=NOON_US + second * SECOND_US,
            )
        )  # fmt: skip

    flows: list[object] = []
    flow(1, 0, "1", 1.0)
    flow(2, 1, "1", 2.0)
    flow(3, 10, "1", 3.0)
    flow(4, 11, "1", 4.0)
    flow(5, 10, "2", 5.0)
    flow(6, 21, "1", 6.0)
    flow(7, 5, "1", 7.0, "b")
    flows.append(event(8, CameraCount(people=1), source="c", ward="a", time_us=NOON_US + 2 * SECOND_US))
    await HistoryWriter().write(connection, flows)  # type: ignore[arg-type]
    asked = PlaybackRange(from_us=NOON_US, to_us=NOON_US + 20 * SECOND_US, wards=("a",))
    found = await read_steps(connection, asked, 10 * SECOND_US, most=100)
    assert sorted((step, each.id) for step, each in found) == [(1, "e-3"), (1, "e-5"), (1, "e-8"), (2, "e-4")]
    everywhere = await read_steps(
        connection, msgspec.structs.replace(asked, wards=None), 20 * SECOND_US, most=100
    )
    assert {each.id for _, each in everywhere} == {"e-4", "e-5", "e-8"}


async def test_more_values_than_an_answer_holds_are_refused(connection: Connection) -> None:
    await HistoryWriter().write(connection, [event(number, source=f"d{number}") for number in range(1, 4)])
    asked = PlaybackRange(from_us=NOON_US, to_us=NOON_US + MINUTE_US)
    with pytest.raises(TooMuchError, match="one ward"):
        await read_steps(connection, asked, MINUTE_US, most=2)
    assert len(await read_steps(connection, asked, MINUTE_US, most=3)) == 3


async def test_the_histogram_counts_incidents_by_severity_and_events_by_5_minutes(
    connection: Connection, database: Dsns
) -> None:
    await happen(connection, database)
    await HistoryWriter().write(
        connection,
        [event(number, time_us=START_US + number * SECOND_US, ward="25747") for number in range(7)],
    )
    found = await read_histogram(connection, RANGE, 600)
    assert found.incidents == [(START_US + 10 * MINUTE_US, "high", 1)]
    assert sum(count for _, count in found.coverage) == 7
    assert all(to_us(from_us(at)) % (5 * MINUTE_US) == 0 for at, _ in found.coverage)
