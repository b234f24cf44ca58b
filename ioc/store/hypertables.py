"""TimescaleDB's side of history: what the extension must be, and the policies that settings decide.

Only the administrator's connection does this, at a start. The policies then run inside the database.
"""

from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg

from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import AGGREGATES, HISTORY_TABLES

MIN_VERSION: Final = (2, 13)
"""The first with `by_range`; the ON CONFLICT faults on compressed chunks ended in 2.17, we use none."""
REFRESH_EVERY: Final = timedelta(minutes=5)
REFRESH_LAG: Final = timedelta(minutes=10)
"""Buckets still being written to are left to the real-time part of the view."""

_JOB: Final[LiteralString] = """
    SELECT job_id, config FROM timescaledb_information.jobs
    WHERE proc_name = %(policy)s AND hypertable_name = %(hypertable)s
"""
_MATERIALIZED: Final[LiteralString] = """
    SELECT materialization_hypertable_name FROM timescaledb_information.continuous_aggregates
    WHERE view_name = %s
"""


class UnsupportedTimescaleError(Exception):
    """The extension cannot hold our history; the message says what to do."""


def require_supported(connection: psycopg.Connection[Any], version: str) -> None:
    """Refuse an extension that is too old or has no compression and continuous aggregates.

    Raises:
        UnsupportedTimescaleError: with what to do.
    """
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2])
    if numbers < MIN_VERSION:
        least = ".".join(map(str, MIN_VERSION))
        raise UnsupportedTimescaleError(
            f"TimescaleDB {version} is too old, {least} or newer is needed: "
            "install it, then run ALTER EXTENSION timescaledb UPDATE"
        )
    row = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    if row is not None and row[0] == "apache":
        raise UnsupportedTimescaleError(
            "TimescaleDB runs under its Apache licence, without compression and continuous aggregates: "
            "install the community edition, or use a database without the extension"
        )


def apply_policies(connection: psycopg.Connection[Any], plan: HistoryPlan) -> None:
    """Bring chunk width, compression, retention and refreshing up to `plan`; what fits already stays."""
    for stream, table in HISTORY_TABLES.items():
        connection.execute(
            "SELECT set_chunk_time_interval(%s::regclass, %s)",
            (table, timedelta(seconds=plan.chunk_s(stream))),
        )
        _retention(connection, table, table, plan.kept_s(stream))
        _compression(connection, table, timedelta(seconds=plan.compress_after_s))
    for view in AGGREGATES.values():
        row = connection.execute(_MATERIALIZED, (view,)).fetchone()
        assert row is not None, f"migration 0060 creates {view}"
        _refreshing(connection, view, row[0], plan)
        _retention(connection, view, row[0], plan.aggregates_s)


def _retention(connection: psycopg.Connection[Any], name: str, hypertable: str, kept_s: float) -> None:
    kept = timedelta(seconds=kept_s)
    if not _has(connection, "policy_retention", hypertable, drop_after=kept):
        connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (name,))
        connection.execute("SELECT add_retention_policy(%s::regclass, drop_after => %s)", (name, kept))


def _compression(connection: psycopg.Connection[Any], table: str, after: timedelta) -> None:
    if not _has(connection, "policy_compression", table, compress_after=after):
        connection.execute("SELECT remove_compression_policy(%s::regclass, if_exists => true)", (table,))
        connection.execute(
            "SELECT add_compression_policy(%s::regclass, compress_after => %s)", (table, after)
        )


def _refreshing(connection: psycopg.Connection[Any], view: str, hypertable: str, plan: HistoryPlan) -> None:
    start, policy = timedelta(seconds=plan.refresh_s), "policy_refresh_continuous_aggregate"
    if _has(connection, policy, hypertable, start_offset=start, end_offset=REFRESH_LAG):
        return
    if connection.execute(_JOB, {"policy": policy, "hypertable": hypertable}).fetchone() is None:
        # What is older than the policy's window would never be computed, and be hidden by the first run.
        connection.execute(
            "CALL refresh_continuous_aggregate(%s::regclass, NULL, now() - %s)", (view, REFRESH_LAG)
        )
    connection.execute("SELECT remove_continuous_aggregate_policy(%s::regclass, if_exists => true)", (view,))
    connection.execute(
        "SELECT add_continuous_aggregate_policy(%s::regclass, start_offset => %s, end_offset => %s,"
        " schedule_interval => %s)",
        (view, start, REFRESH_LAG, REFRESH_EVERY),
    )


def _has(connection: psycopg.Connection[Any], policy: str, hypertable: str, **intervals: timedelta) -> bool:
    """Return whether there is such a policy with exactly these intervals: it and its statistics stay then."""
    found = connection.execute(_JOB, {"policy": policy, "hypertable": hypertable}).fetchone()
    if found is None:
        return False
    return all(
        connection.execute("SELECT %s::interval = %s", (found[1].get(key), value)).fetchone() == (True,)
        for key, value in intervals.items()
    )
