"""The 5-minute aggregates are what the events say, over hypertables and native partitions alike.

Everything here runs unchanged over both; `IOC_TEST_DATABASE_URL` selects which. The expected figures are
computed from the events in Python.
"""

import asyncio
import math
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

from ioc.model.events import CameraCount, CameraObject, Event, Stream, TrafficFlow, TrafficStatus
from ioc.model.times import DAY_US, HOUR_US, MINUTE_US, SECOND_US, from_us, to_us
from ioc.store.embedded import Dsns
from ioc.store.history_plan import DAY_S, HistoryPlan
from ioc.store.layout import AGGREGATES, HISTORY_TABLES, Layout, find_layout
from ioc.store.maintenance import Maintenance
from ioc.store.pool import Pool
from ioc.store.quarantine import Quarantine
from ioc.store.rollups import BUCKET_US, Rollups
from ioc.store.series import Point, SeriesQuery, read_series
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import event

NOW_US = to_us(datetime.now(UTC)) // HOUR_US * HOUR_US
"""The beginning of this hour: policies and partitions go by the real clock."""
PLAN = HistoryPlan()
Refresh = Callable[[], Awaitable[None]]
ANY_TIME: dict[str, int] = {"from_us": NOW_US - 40 * DAY_US, "to_us": NOW_US + DAY_US}


@pytest.fixture
async def layout(pool: Pool) -> Layout:
    async with pool.connection() as connection:
        return (await find_layout(connection)).layout


@pytest.fixture
def refresh(pool: Pool, database: Dsns, layout: Layout) -> Refresh:
    """Do now what the policies or maintenance do every few minutes."""

    async def by_policy() -> None:
        window = (from_us(NOW_US) - _seconds(PLAN.refresh_s), from_us(NOW_US))
        async with await AsyncConnection.connect(database.admin, autocommit=True) as connection:
            for view in AGGREGATES.values():
                await connection.execute(
                    "CALL refresh_continuous_aggregate(%s::regclass, %s, %s)", (view, *window)
                )

    async def by_maintenance() -> None:
        for stream in AGGREGATES:
            await Rollups(pool, stream, PLAN).close(NOW_US)

    return by_policy if layout is Layout.HYPERTABLES else by_maintenance


def _seconds(count: float) -> Any:
    return from_us(round(count * SECOND_US)) - from_us(0)


async def write(pool: Pool, events: Sequence[Event]) -> None:
    async with pool.connection() as connection:
        await HistoryWriter().write(connection, events)


async def points(pool: Pool, **query: Any) -> list[Point]:
    async with pool.connection() as connection:
        return await read_series(connection, SeriesQuery(**({"stream": Stream.TRAFFIC, **ANY_TIME} | query)))


def flow(number: int, time_us: int, source: str = "det-1", ward: str | None = "w-1", **data: Any) -> Event:
    fields = {"speed_kmh": 10.0 + number % 50, "occupancy": (number % 10) / 10, "volume_veh": number}
    return event(number, TrafficFlow(**(fields | data)), time_us=time_us, source=source, ward=ward)


def expected(events: Sequence[Event]) -> dict[tuple[int, str | None], dict[str, float | int | None]]:
    """Compute the buckets of one source by hand."""
    found: dict[tuple[int, str | None], list[TrafficFlow]] = defaultdict(list)
    for each in events:
        if isinstance(each.data, TrafficFlow):
            found[each.time_us // BUCKET_US * BUCKET_US, each.ward].append(each.data)
    buckets: dict[tuple[int, str | None], dict[str, float | int | None]] = {}
    for key, flows in found.items():
        speeds = [f.speed_kmh for f in flows if f.speed_kmh is not None]
        shares = [f.occupancy for f in flows if f.occupancy is not None]
        volumes = [f.volume_veh for f in flows if f.volume_veh is not None]
        buckets[key] = {
            "measurements": len(flows),
            "volume_veh": sum(volumes) if volumes else None,
            "speeds": len(speeds),
            "speed_kmh": statistics.fmean(speeds) if speeds else None,
            "speed_min_kmh": min(speeds, default=None),
            "speed_max_kmh": max(speeds, default=None),
            "occupancies": len(shares),
            "occupancy": statistics.fmean(shares) if shares else None,
        }
    return buckets


def as_buckets(found: Sequence[Point]) -> dict[tuple[int, str | None], Any]:
    assert len({(p.time_us, p.ward) for p in found}) == len(found), "a bucket appears once"
    return {(p.time_us, p.ward): pytest.approx(p.values) for p in found}


async def test_events_are_in_the_aggregates_at_once_and_stay_as_they_are_when_refreshed(
    pool: Pool, refresh: Refresh
) -> None:
    events = [flow(n, NOW_US - n * 50 * SECOND_US) for n in range(60)]
    events.append(flow(90, NOW_US - HOUR_US, ward="w-2"))
    events.append(flow(91, NOW_US - HOUR_US, ward=None))
    events.append(flow(92, NOW_US - 2 * HOUR_US, speed_kmh=None, occupancy=None, volume_veh=None))
    others = [
        flow(93, NOW_US - HOUR_US, source="det-2"),
        event(94, TrafficStatus(online=True), time_us=NOW_US - HOUR_US, source="det-1", ward="w-1"),
    ]
    await write(pool, events + others)
    assert expected(events) == as_buckets(await points(pool, source="det-1"))
    await refresh()
    assert expected(events) == as_buckets(await points(pool, source="det-1"))
    newest = [flow(95, NOW_US + MINUTE_US)]
    await write(pool, newest)
    assert expected(events + newest) == as_buckets(await points(pool, source="det-1"))


@pytest.mark.parametrize("late_us", [HOUR_US, DAY_US, 6 * DAY_US], ids=["1 h", "1 d", "6 d"])
async def test_an_event_that_comes_late_is_counted_by_the_next_refresh(
    pool: Pool, refresh: Refresh, late_us: int
) -> None:
    events = [flow(n, NOW_US - late_us + n * SECOND_US) for n in range(3)]
    await write(pool, events)
    await refresh()
    late = [flow(7, NOW_US - late_us + 2 * SECOND_US), flow(8, NOW_US - late_us - HOUR_US)]
    await write(pool, late)
    await refresh()
    assert expected(events + late) == as_buckets(await points(pool, source="det-1"))


async def test_the_buckets_of_a_ward_are_those_of_its_sources_taken_together(
    pool: Pool, refresh: Refresh
) -> None:
    events = [flow(n, NOW_US - n * 20 * SECOND_US, source=f"det-{n % 4}") for n in range(80)]
    await write(pool, [*events, flow(99, NOW_US - HOUR_US, ward="w-2")])
    await refresh()
    found = await points(pool, ward="w-1")
    for point in found:
        sources = {e.source for e in events if e.time_us // BUCKET_US * BUCKET_US == point.time_us}
        assert point.values.pop("sources") == len(sources)
    assert expected(events) == as_buckets(found)


async def test_cameras_in_view_and_counted_over_intervals_are_kept_apart(
    pool: Pool, refresh: Refresh
) -> None:
    at_us = NOW_US - HOUR_US

    def count(number: int, **data: Any) -> Event:
        return event(number, CameraCount(**data), time_us=at_us + number, source="cam", ward="w-1")

    await write(
        pool,
        [
            count(1, people=3, vehicles=10, stopped_vehicles=1),
            count(2, people=6, vehicles=20),
            count(3, people=100, vehicles=200, interval_s=60.0),
            count(4, people=11, vehicles=22, interval_s=60.0),
            event(5, CameraObject(label="car"), time_us=at_us, source="cam", ward="w-1"),
        ],
    )
    wanted = {
        "views": 2, "people": 4.5, "people_max": 6, "vehicles": 15.0, "vehicles_max": 20,
        "stopped_vehicles_max": 1, "intervals": 2, "people_counted": 111, "vehicles_counted": 222,
    }  # fmt: skip
    for _ in range(2):
        (point,) = await points(pool, stream=Stream.CAMERA, source="cam")
        assert point == Point(at_us, "w-1", wanted)
        (point,) = await points(pool, stream=Stream.CAMERA, ward="w-1")
        assert point.values == wanted | {"sources": 1}
        await refresh()


async def test_wards_that_may_not_be_seen_are_left_out(pool: Pool, refresh: Refresh) -> None:
    await write(pool, [flow(1, NOW_US - HOUR_US, ward="w-1"), flow(2, NOW_US - HOUR_US, ward="w-2")])
    await refresh()
    assert [p.ward for p in await points(pool, source="det-1", wards=("w-2",))] == ["w-2"]
    assert [p.ward for p in await points(pool, source="det-1")] == ["w-1", "w-2"]
    assert await points(pool, source="det-1", wards=()) == []
    assert await points(pool, ward="w-1", wards=("w-2",)) == []


async def test_values_no_road_can_have_do_not_stop_the_aggregates(pool: Pool, refresh: Refresh) -> None:
    hostile = [
        flow(1, NOW_US - HOUR_US, speed_kmh=1e308, volume_veh=2**63 - 1, occupancy=math.inf),
        flow(2, NOW_US - HOUR_US, speed_kmh=-1e308, volume_veh=2**63 - 1, occupancy=math.nan),
        flow(3, NOW_US - HOUR_US, speed_kmh=math.nan),
        flow(4, NOW_US - HOUR_US, speed_kmh=40.0, volume_veh=5, occupancy=0.5),
    ]
    counts = [CameraCount(people=2**63 - 1, vehicles=2**63 - 1, interval_s=n * 60.0) for n in (0, 0, 1, 1)]
    await write(
        pool,
        hostile + [event(9 + n, c, time_us=NOW_US - HOUR_US, source="cam") for n, c in enumerate(counts)],
    )
    for _ in range(2):
        (point,) = await points(pool, source="det-1")
        assert (point.values["measurements"], point.values["speed_kmh"], point.values["speeds"]) == (
            4,
            40.0,
            1,
        )
        assert (point.values["volume_veh"], point.values["occupancy"]) == (8, pytest.approx(0.4))
        await points(pool, stream=Stream.CAMERA, source="cam")
        await refresh()


async def test_aggregates_outlive_their_events(
    pool: Pool, database: Dsns, refresh: Refresh, layout: Layout
) -> None:
    """Once events are older than the refresh window, as `check_retention` makes sure that they are."""
    events = [flow(n, NOW_US - 17 * DAY_US + n * SECOND_US) for n in range(5)]
    await write(pool, events)
    gone_us = NOW_US - round((PLAN.refresh_s + DAY_S) * SECOND_US)
    await refresh()
    if layout is Layout.HYPERTABLES:
        with psycopg.connect(database.admin, autocommit=True) as connection:
            connection.execute("CALL refresh_continuous_aggregate('traffic_5m', NULL, now())")
            connection.execute(
                "SELECT drop_chunks('traffic_measurement', older_than => %s)", (from_us(gone_us),)
            )
    else:
        await Maintenance(pool, Quarantine(), plan=PLAN).round(gone_us + round(PLAN.traffic_s * SECOND_US))
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM traffic_measurement")).fetchone()
        assert row == (0,)
    await refresh()
    assert expected(events) == as_buckets(await points(pool, source="det-1"))


async def test_incidents_are_counted_by_ward_and_hour_with_the_readers_own_rights(pool: Pool) -> None:
    async with pool.connection() as connection:
        for number, (ward, minute, handling) in enumerate(
            [("w-1", 5, "new"), ("w-1", 50, "resolved"), ("w-1", 70, "rejected"), ("w-2", 5, "new")]
        ):
            opened = from_us(NOW_US - 3 * HOUR_US + minute * MINUTE_US)
            await connection.execute(
                "INSERT INTO incident (id, rev, rule, key, category, severity, condition, handling, title,"
                " why, opened, detected, updated, ward, acknowledged, resolved) VALUES"
                " (%s, 1, 'r', %s, 'traffic', 'high', 'active', %s, '{}', '{}', %s, %s, %s, %s, %s, %s)",
                (
                    f"i-{number}", f"k-{number}", handling, opened, opened, opened, ward,
                    opened + _seconds(60.0) if handling == "resolved" else None,
                    opened + _seconds(600.0) if handling == "resolved" else None,
                ),
            )  # fmt: skip
        rows = await (
            await connection.execute(
                "SELECT bucket, ward, opened, acknowledged, resolved, rejected, acknowledge_s, resolve_s"
                " FROM incident_1h ORDER BY ward, bucket"
            )
        ).fetchall()
        options = await (
            await connection.execute("SELECT reloptions FROM pg_class WHERE relname = 'incident_1h'")
        ).fetchone()
    hour = from_us(NOW_US - 3 * HOUR_US)
    assert rows == [
        (hour, "w-1", 2, 1, 1, 0, 60.0, 600.0),
        (hour + _seconds(3600.0), "w-1", 1, 0, 0, 1, None, None),
        (hour, "w-2", 1, 0, 0, 0, None, None),
    ]
    assert options == (["security_invoker=true"],)


# What follows is about how native aggregates are kept, which TimescaleDB does by itself.


@pytest.fixture
def native(layout: Layout) -> None:
    if layout is Layout.HYPERTABLES:
        pytest.skip("TimescaleDB keeps these aggregates: nothing of ours to test")


@pytest.mark.usefixtures("native")
async def test_rows_written_while_their_bucket_is_being_closed_are_not_lost(pool: Pool) -> None:
    first, second = flow(1, NOW_US - HOUR_US), flow(2, NOW_US - HOUR_US)
    await write(pool, [first])
    rollups = Rollups(pool, Stream.TRAFFIC, PLAN)
    async with asyncio.TaskGroup() as group:
        async with pool.connection() as writer:
            await HistoryWriter().write(writer, [second])
            closing = group.create_task(_closed(rollups))
            await _until_somebody_waits(pool)
            assert expected([first]) == as_buckets(await points(pool, source="det-1"))
        await closing
    assert expected([first, second]) == as_buckets(await points(pool, source="det-1"))


@pytest.mark.usefixtures("native")
async def test_writers_of_the_same_new_buckets_never_wait_for_each_other(pool: Pool) -> None:
    bucket = [from_us(NOW_US)]
    count = event(2, CameraCount(people=1), time_us=NOW_US, source="cam")
    async with asyncio.TaskGroup() as group, pool.connection() as other:
        await other.execute("SELECT history_touched(%s, %s)", (Stream.CAMERA, bucket))
        group.create_task(write(pool, [flow(1, NOW_US), count]))
        await _until_somebody_waits(pool)
        await other.execute("SELECT history_touched(%s, %s)", (Stream.TRAFFIC, bucket))
    assert len(await points(pool, source="det-1")) == 1


async def _closed(rollups: Rollups) -> int:
    for _ in range(20):
        try:
            return await rollups.close(NOW_US + HOUR_US)
        except LockNotAvailable:
            continue
    raise AssertionError("the lock never came free")


async def _until_somebody_waits(pool: Pool) -> None:
    async with asyncio.timeout(30):
        while True:
            async with pool.connection() as connection:
                found = await connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
                if await found.fetchone():
                    return
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("native")
async def test_closing_may_end_anywhere_and_be_done_by_two_at_once(pool: Pool) -> None:
    events = [flow(n, NOW_US - HOUR_US - n * MINUTE_US) for n in range(30)]
    await write(pool, events)
    rollups = Rollups(pool, Stream.TRAFFIC, PLAN)
    await rollups._claim(NOW_US)  # and then the process dies
    assert expected(events) == as_buckets(await points(pool, source="det-1"))
    late = [flow(50, NOW_US - HOUR_US)]
    await write(pool, late)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_closed(Rollups(pool, Stream.TRAFFIC, PLAN))) for _ in range(3)]
    assert sum(task.result() for task in tasks) >= 7
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM rollup_open")).fetchone()
    assert row == (0,)
    assert expected(events + late) == as_buckets(await points(pool, source="det-1"))


@pytest.mark.usefixtures("native")
async def test_a_bucket_changed_while_somebody_computes_it_stays_open(pool: Pool) -> None:
    early, late = flow(1, NOW_US - HOUR_US), flow(2, NOW_US - HOUR_US)
    await write(pool, [early])
    rollups = Rollups(pool, Stream.TRAFFIC, PLAN)
    await rollups._claim(NOW_US)
    async with asyncio.TaskGroup() as group:
        async with pool.connection() as computing:
            await computing.execute("SELECT FROM rollup_open WHERE claimed FOR UPDATE")
            await computing.execute("INSERT INTO traffic_5m_closed SELECT * FROM traffic_5m_open")
            await write(pool, [late])
            other = group.create_task(_closed(Rollups(pool, Stream.TRAFFIC, PLAN)))
            await _until_somebody_waits(pool)
            await computing.execute("DELETE FROM rollup_open WHERE claimed")
        assert await other == 1
    assert expected([early, late]) == as_buckets(await points(pool, source="det-1"))


@pytest.mark.usefixtures("native")
async def test_a_round_closes_so_many_buckets_the_newest_first(pool: Pool) -> None:
    await write(pool, [flow(n, NOW_US - HOUR_US - n * BUCKET_US) for n in range(5)])
    assert await Rollups(pool, Stream.TRAFFIC, PLAN, max_buckets=2).close(NOW_US) == 2
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT bucket FROM rollup_open ORDER BY 1 DESC")).fetchall()
    assert rows == [(from_us(NOW_US - HOUR_US - n * BUCKET_US),) for n in (2, 3, 4)]


@pytest.mark.usefixtures("native")
async def test_a_bucket_whose_events_may_be_gone_is_never_computed_again(pool: Pool) -> None:
    old, late = flow(1, NOW_US - 6 * DAY_US), flow(2, NOW_US - 6 * DAY_US)
    rollups = Rollups(pool, Stream.TRAFFIC, PLAN)
    await write(pool, [old])
    await rollups.close(NOW_US)
    await write(pool, [late])
    await rollups.close(NOW_US - 5 * DAY_US + round(PLAN.traffic_s * SECOND_US))
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM traffic_measurement")
    assert expected([old]) == as_buckets(await points(pool, source="det-1"))


@pytest.mark.usefixtures("native")
async def test_old_aggregates_go_in_slices(pool: Pool) -> None:
    await write(pool, [flow(n, NOW_US - HOUR_US - n * BUCKET_US) for n in range(5)])
    rollups = Rollups(pool, Stream.TRAFFIC, HistoryPlan(aggregates_s=PLAN.aggregates_s))
    await rollups.close(NOW_US)
    later = NOW_US + round(PLAN.aggregates_s * SECOND_US) - HOUR_US - 2 * BUCKET_US
    assert [await rollups.expire(later, 1) for _ in range(4)] == [1, 1, 0, 0]
    assert len(await points(pool, source="det-1")) == 3


def test_every_aggregate_names_a_history_table() -> None:
    assert set(AGGREGATES) < set(HISTORY_TABLES)
    assert PLAN.traffic_s > PLAN.refresh_s + DAY_S
