"""Which layout a database gets, how it is kept up to date, and what the service may do to it."""

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege, InvalidParameterValue

from ioc.model.events import Stream
from ioc.model.times import DAY_US, HOUR_US, SECOND_US, from_us, to_us
from ioc.store.embedded import Dsns
from ioc.store.history import HistoryQuery, read_history
from ioc.store.history_plan import DAY_S, HOUR_S, HistoryPlan, RetentionError
from ioc.store.hypertables import UnsupportedTimescaleError, require_supported
from ioc.store.layout import HISTORY_TABLES, Layout, failed_policies, find_layout
from ioc.store.maintenance import Maintenance
from ioc.store.migrate import migrate
from ioc.store.pool import Pool, open_pool
from ioc.store.quarantine import Quarantine
from ioc.store.series import SeriesQuery, read_series
from ioc.store.writer import HistoryWriter
from tests.integration.store.samples import event

NOW_US = to_us(datetime.now(UTC)) // HOUR_US * HOUR_US


def has_timescale(admin: str) -> bool:
    with psycopg.connect(admin) as connection:
        found = connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'")
        return found.fetchone() is not None


def without_timescale(admin: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP EXTENSION IF EXISTS timescaledb")


@pytest.fixture
def native(empty_database: Dsns) -> Dsns:
    """A database with native partitions, also where the server has TimescaleDB."""
    without_timescale(empty_database.admin)
    migrate(empty_database.admin)
    return empty_database


@pytest.fixture
def hyper(empty_database: Dsns) -> Dsns:
    if not has_timescale(empty_database.admin):
        pytest.skip("the server has no TimescaleDB (set IOC_TEST_DATABASE_URL)")
    migrate(empty_database.admin)
    return empty_database


async def layout_of(database: Dsns) -> Layout:
    async with await AsyncConnection.connect(database.app) as connection:
        return (await find_layout(connection)).layout


async def test_the_extension_decides_and_migrating_again_changes_nothing(empty_database: Dsns) -> None:
    assert migrate(empty_database.admin)
    expected = Layout.HYPERTABLES if has_timescale(empty_database.admin) else Layout.PARTITIONS
    assert await layout_of(empty_database) is expected
    assert migrate(empty_database.admin) == []


def apply_until(admin: str, number: str) -> None:
    """Make the database that a version before migration `number` left behind."""
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE schema_migration"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        for each in sorted(files("ioc.store").joinpath("migrations").iterdir(), key=lambda r: r.name):
            if each.name.endswith(".sql") and each.name < number:
                connection.execute(each.read_text("utf-8").encode())
                connection.execute("INSERT INTO schema_migration (name) VALUES (%s)", (each.name,))


@pytest.mark.parametrize("extension", [True, False], ids=["as it is", "without the extension"])
async def test_what_an_earlier_version_stored_is_kept_and_aggregated(
    empty_database: Dsns, extension: bool
) -> None:
    if not extension:
        without_timescale(empty_database.admin)
    apply_until(empty_database.admin, "0060")
    ages_us = [0, HOUR_US, 3 * DAY_US, 40 * DAY_US, -400 * DAY_US]
    events = [event(n, time_us=NOW_US - age, source="det-1") for n, age in enumerate(ages_us)]
    with psycopg.connect(empty_database.admin) as connection:
        for each in events:
            connection.execute(
                "INSERT INTO traffic_measurement (time, received, event_id, source, type, ward, speed_kmh)"
                " VALUES (%s, %s, %s, %s, %s, %s, 1)",
                (from_us(each.time_us), from_us(each.received_us), each.id, "det-1", each.type, each.ward),
            )
    migrate(empty_database.admin)
    async with open_pool(empty_database.app, name="test", max_size=2) as pool:
        everything = {"from_us": 0, "to_us": NOW_US + 500 * DAY_US}
        history = HistoryQuery(stream=Stream.TRAFFIC, **everything)
        buckets = SeriesQuery(stream=Stream.TRAFFIC, source="det-1", **everything)
        async with pool.connection() as connection_:
            series = await read_series(connection_, buckets)
        assert len(series) == len(events)
        await Maintenance(pool, Quarantine()).round(NOW_US)
        async with pool.connection() as connection_:
            assert await read_series(connection_, buckets) == series
            # Into what an earlier version left.
            late = event(9, time_us=NOW_US - 2 * DAY_US, source="det-1")
            await HistoryWriter().write(connection_, [late])
            page = await read_history(connection_, history)
        assert {e.id for e in page.items} == {e.id for e in [*events, late]}


async def test_retention_that_would_outrun_the_aggregates_is_refused_before_anything_changes(
    empty_database: Dsns,
) -> None:
    with pytest.raises(RetentionError, match=r"kept for 15 days, which .* store\.history_retention_s"):
        migrate(empty_database.admin, HistoryPlan(traffic_s=15 * DAY_S))
    with psycopg.connect(empty_database.admin) as connection:
        assert connection.execute("SELECT to_regclass('schema_migration')").fetchone() == (None,)
    migrate(empty_database.admin, HistoryPlan(traffic_s=15.1 * DAY_S))


async def test_an_extension_that_comes_later_is_named_and_changes_nothing(native: Dsns) -> None:
    with psycopg.connect(native.admin, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
        if found.fetchone() is None:
            pytest.skip("the server has no TimescaleDB (set IOC_TEST_DATABASE_URL)")
    with psycopg.connect(native.admin, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
    assert migrate(native.admin) == []
    async with await AsyncConnection.connect(native.app) as connection_:
        found_ = await find_layout(connection_)
    assert found_.layout is Layout.PARTITIONS
    assert "came after them and stays unused" in str(found_)


def test_an_extension_that_cannot_hold_history_says_what_to_do(native: Dsns) -> None:
    with psycopg.connect(native.admin) as connection:
        require_supported(connection, "2.13.0-rc1")
        with pytest.raises(UnsupportedTimescaleError, match=r"2\.9\.3 is too old.*ALTER EXTENSION"):
            require_supported(connection, "2.9.3")
        connection.execute("SELECT set_config('timescaledb.license', 'apache', true)")
        with pytest.raises(UnsupportedTimescaleError, match="community edition"):
            require_supported(connection, "2.21.4")


# TimescaleDB


async def test_policies_follow_the_settings_and_are_left_alone_where_they_fit(hyper: Dsns) -> None:
    def jobs() -> dict[tuple[str, str], tuple[int, dict[str, Any]]]:
        with psycopg.connect(hyper.admin) as connection:
            rows = connection.execute(
                "SELECT proc_name, hypertable_name, job_id, config FROM timescaledb_information.jobs"
                " WHERE hypertable_name IS NOT NULL"
            ).fetchall()
        return {(proc, table): (job, config) for proc, table, job, config in rows}

    first = jobs()
    assert (
        len(first) == 3 + 2 + 2 + 2
    )  # retention, compression but of reports; refreshing and retention of aggregates
    assert first["policy_retention", "camera_event"][1]["drop_after"] == "30 days"
    assert first["policy_compression", "camera_event"][1]["compress_after"] == "8 days"
    migrate(hyper.admin)
    assert jobs() == first
    migrate(hyper.admin, HistoryPlan(camera_s=20 * DAY_S, width_s=6 * HOUR_S, compress_after_s=9 * DAY_S))
    second = jobs()
    assert second["policy_retention", "camera_event"][1]["drop_after"] == "20 days"
    assert second["policy_compression", "camera_event"][1]["compress_after"] == "9 days"
    assert (
        second["policy_retention", "traffic_measurement"] == first["policy_retention", "traffic_measurement"]
    )
    with psycopg.connect(hyper.admin) as connection:
        rows = connection.execute(
            "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions"
            " WHERE hypertable_name = ANY(%s)",
            (list(HISTORY_TABLES.values()),),
        ).fetchall()
    assert dict(rows) == {
        "camera_event": timedelta(hours=6),
        "traffic_measurement": timedelta(hours=6),
        "feedback_report": timedelta(days=30),
    }


async def test_every_policy_runs(hyper: Dsns) -> None:
    with psycopg.connect(hyper.admin, autocommit=True) as connection:
        for (job,) in connection.execute("SELECT job_id FROM timescaledb_information.jobs").fetchall():
            connection.execute("CALL run_job(%s)", (job,))
    async with await AsyncConnection.connect(hyper.app) as connection_:
        assert await failed_policies(connection_) == []


async def test_a_policy_that_failed_is_said_once_and_its_recovery_too(
    hyper: Dsns, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ioc.store.maintenance")
    with psycopg.connect(hyper.admin, autocommit=True) as admin:
        row = admin.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
            " AND hypertable_name = 'camera_event'"
        ).fetchone()
        assert row is not None
        async with open_pool(hyper.app, name="test", max_size=1) as pool:
            maintenance = Maintenance(pool, Quarantine())
            for status in ("f", "f", "t"):
                admin.execute(
                    "INSERT INTO _timescaledb_internal.bgw_job_stat (job_id, last_start, last_finish,"
                    " next_start, last_successful_finish, last_run_success, total_runs, total_duration,"
                    " total_duration_failures, total_successes, total_failures, total_crashes,"
                    " consecutive_failures, consecutive_crashes) VALUES (%s, now(), now(), 'infinity', now(),"
                    " %s, 1, '0', '0', 0, 1, 0, 1, 0) ON CONFLICT (job_id) DO UPDATE SET"
                    " last_run_success = excluded.last_run_success",
                    (row[0], status),
                )
                await maintenance.round(NOW_US)
    assert [record.message for record in caplog.records] == [
        "TimescaleDB's policies failed, see `ioc doctor`: policy_retention on camera_event",
        "TimescaleDB's policies work again",
    ]


async def test_late_events_enter_compressed_chunks_once_each(hyper: Dsns) -> None:
    """Issues 5553, 6302 and 7672 (ON CONFLICT on compressed chunks: duplicates, rows skipped)."""
    old_us = NOW_US - 6 * DAY_US
    events = [event(n, time_us=old_us + n * SECOND_US, source=f"det-{n % 3}") for n in range(2000)]
    async with open_pool(hyper.app, name="test", max_size=2) as pool:
        async with pool.connection() as connection:
            await HistoryWriter().write(connection, events)
        with psycopg.connect(hyper.admin, autocommit=True) as admin:
            admin.execute("SELECT compress_chunk(c) FROM show_chunks('traffic_measurement') c")
        late = [event(n, time_us=old_us + n * SECOND_US, source=f"det-{n % 3}") for n in range(2000, 3000)]
        async with pool.connection() as connection:
            await HistoryWriter().write(connection, late)
        assert sorted(await ids(pool)) == sorted(e.id for e in events + late)
        with psycopg.connect(hyper.admin, autocommit=True) as admin:
            admin.execute("SELECT compress_chunk(c, true) FROM show_chunks('traffic_measurement') c")
        assert sorted(await ids(pool)) == sorted(e.id for e in events + late)


async def ids(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        rows = await (await connection.execute("SELECT event_id FROM traffic_measurement")).fetchall()
    return [name for (name,) in rows]


# Both


async def test_history_has_no_unique_index_so_that_nothing_can_depend_on_conflicts(database: Dsns) -> None:
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute(
            "SELECT indexrelid::regclass FROM pg_index WHERE indisunique AND indrelid = ANY(%s::regclass[])",
            (list(HISTORY_TABLES.values()),),
        ).fetchall()
    assert rows == []


# Native partitions


async def test_partitions_are_there_before_their_time_and_dropped_after_it(native: Dsns) -> None:
    async with open_pool(native.app, name="test", max_size=2) as pool:
        async with pool.connection() as connection:
            await HistoryWriter().write(
                connection, [event(n, time_us=NOW_US - n * DAY_US) for n in range(-2, 8)]
            )
            parts = await rows_per_partition(connection)
        assert parts["traffic_measurement_rest"] == 0
        assert sum(parts.values()) == 10
        plan = HistoryPlan(traffic_s=16 * DAY_S)
        done = await Maintenance(pool, Quarantine(), plan=plan).round(NOW_US + 12 * DAY_US)
        assert done["partitions"] >= 3
        async with pool.connection() as connection:
            left = await rows_per_partition(connection)
            page = await read_history(
                connection, HistoryQuery(stream=Stream.TRAFFIC, from_us=0, to_us=NOW_US + 9 * DAY_US)
            )
    # What is younger than 16 days stays, and up to one partition's width beyond.
    kept = {e.id for e in page.items}
    assert {f"e-{n}" for n in range(-2, 4)} <= kept
    assert not kept & {f"e-{n}" for n in (6, 7)}
    assert len(left) < len(parts)


async def rows_per_partition(connection: AsyncConnection[Any]) -> dict[str, int]:
    rows = await (
        await connection.execute(
            "SELECT c.oid::regclass::text, count(m.time) FROM pg_inherits"
            " JOIN pg_class c ON c.oid = inhrelid LEFT JOIN traffic_measurement m ON m.tableoid = c.oid"
            " WHERE inhparent = 'traffic_measurement'::regclass GROUP BY 1"
        )
    ).fetchall()
    return dict(rows)


async def test_strays_move_into_the_partition_that_is_made_for_them(native: Dsns) -> None:
    ahead = event(1, time_us=NOW_US + 20 * DAY_US)
    async with open_pool(native.app, name="test", max_size=2) as pool, pool.connection() as connection:
        await HistoryWriter().write(connection, [ahead])
        assert (await rows_per_partition(connection))["traffic_measurement_rest"] == 1
        await connection.execute(
            "SELECT history_extend('traffic_measurement', '1 day', now() + '30 days'::interval)"
        )
        assert (await rows_per_partition(connection))["traffic_measurement_rest"] == 0
        page = await read_history(
            connection, HistoryQuery(stream=Stream.TRAFFIC, from_us=0, to_us=NOW_US + 99 * DAY_US)
        )
    assert [e.id for e in page.items] == [ahead.id]


async def test_another_width_begins_where_the_partitions_of_the_old_one_end(native: Dsns) -> None:
    migrate(native.admin, HistoryPlan(width_s=6 * HOUR_S))
    async with open_pool(native.app, name="test", max_size=2) as pool, pool.connection() as connection:
        await connection.execute(
            "SELECT history_extend('camera_event', '6 hours', now() + '9 days'::interval)"
        )
        rows = await (
            await connection.execute(
                "SELECT lower, upper FROM history_partition WHERE parent = 'camera_event' ORDER BY 1"
            )
        ).fetchall()
    assert all(before[1] == after[0] for before, after in pairwise(rows))
    assert {upper - lower for lower, upper in rows} == {timedelta(days=1), timedelta(hours=6)}


async def test_the_service_may_only_make_and_drop_partitions_of_history(native: Dsns) -> None:
    async with open_pool(native.app, name="test", max_size=2) as pool:
        for refused, statement in (
            (InvalidParameterValue, "SELECT history_extend('incident', '1 day', now())"),
            (InvalidParameterValue, "SELECT history_extend('camera_event', '1 second', now())"),
            (
                InvalidParameterValue,
                "SELECT history_extend('camera_event', '1 day', now() + '2 years')",
            ),
            (InsufficientPrivilege, "INSERT INTO history_partition VALUES ('x', 'incident', now(), now())"),
            (InsufficientPrivilege, "DROP TABLE camera_event_rest"),
        ):
            async with pool.connection() as connection:
                with pytest.raises(refused):
                    await connection.execute(statement)  # type: ignore[call-overload]
                await connection.rollback()
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT history_drop('incident', now())")).fetchone()
            assert row == (0,)


# Roles


async def test_whoever_migrates_needs_to_own_the_database_and_no_more(empty_database: Dsns) -> None:
    with psycopg.connect(empty_database.admin, autocommit=True) as connection:
        name = str(connection.info.dbname)
        owner = f"{name}_owner"
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(owner)))
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'ioc_app'").fetchone():
            connection.execute("CREATE ROLE ioc_app LOGIN")
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(owner))
        )
        try:
            admin = make_conninfo(empty_database.admin, user=owner, password="x")
            migrate(admin)
            migrate(admin, HistoryPlan(width_s=6 * HOUR_S, camera_s=20 * DAY_S))
            async with open_pool(empty_database.app, name="test", max_size=2) as pool:
                async with pool.connection() as writer:
                    await HistoryWriter().write(writer, [event(n, time_us=NOW_US - n) for n in range(9)])
                await Maintenance(pool, Quarantine()).round(NOW_US + DAY_US)
                assert len(await ids(pool)) == 9
        finally:
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(owner)))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(owner)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))
