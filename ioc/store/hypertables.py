"""TimescaleDB's side of history: what the extension must be, and the policies that settings decide.

Only the administrator's connection does this, at a start. The policies then run inside the database.
"""

from datetime import timedelta
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

from ioc.model.events import Stream
from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import AGGREGATES, HISTORY_TABLES

MIN_VERSION: Final = (2, 13)
"""The first with `by_range`; the ON CONFLICT faults on compressed chunks ended in 2.17, we use none."""
REFRESH_EVERY: Final = timedelta(minutes=5)
REFRESH_LAG: Final = timedelta(minutes=10)
"""Buckets still being written to are left to the real-time part of the view."""

_JOB: Final[LiteralString] = """
    SELECT config FROM timescaledb_information.jobs
    WHERE proc_name = %(policy)s AND hypertable_name = ANY(%(names)s)
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
    """Bring chunk width, compression, retention and refreshing up to `plan`; what fits already stays.

    The connection must be in autocommit mode: refreshing commits by itself.
    """
    for stream, table in HISTORY_TABLES.items():
        connection.execute(
            "SELECT set_chunk_time_interval(%s::regclass, %s)",
            (table, timedelta(seconds=plan.chunk_s(stream))),
        )
        _retention(connection, _Names(table), plan.kept_s(stream))
        if stream is not Stream.FEEDBACK:  # few rows, under row-level security: see 0060
            _compression(connection, _Names(table), timedelta(seconds=plan.compress_after_s))
    for view in AGGREGATES.values():
        row = connection.execute(_MATERIALIZED, (view,)).fetchone()
        assert row is not None, f"migration 0060 creates {view}"
        names = _Names(view, row[0])
        _refreshing(connection, names, plan)
        _retention(connection, names, plan.aggregates_s)


class _Names(NamedTuple):
    """A hypertable; for an aggregate, newer versions list its jobs under the view, older under `stored`."""

    name: str
    stored: str = ""


def _retention(connection: psycopg.Connection[Any], names: _Names, kept_s: float) -> None:
    kept = timedelta(seconds=kept_s)
    if not _has(connection, "policy_retention", names, drop_after=kept):
        connection.execute("SELECT remove_retention_policy(%s::regclass, if_exists => true)", (names.name,))
        connection.execute("SELECT add_retention_policy(%s::regclass, drop_after => %s)", (names.name, kept))


def _compression(connection: psycopg.Connection[Any], names: _Names, after: timedelta) -> None:
    if not _has(connection, "policy_compression", names, compress_after=after):
        connection.execute("SELECT remove_compression_policy(%s::regclass, if_exists => true)", (names.name,))
        connection.execute(
            "SELECT add_compression_policy(%s::regclass, compress_after => %s)", (names.name, after)
        )


def _refreshing(connection: psycopg.Connection[Any], names: _Names, plan: HistoryPlan) -> None:
    start, policy = timedelta(seconds=plan.refresh_s), "policy_refresh_continuous_aggregate"
    if _has(connection, policy, names, start_offset=start, end_offset=REFRESH_LAG):
        return
    if _config(connection, policy, names) is None:
        # What is older than the policy's window would never be computed, and be hidden by its first run.
        connection.execute(
            "CALL refresh_continuous_aggregate(%s::regclass, NULL, now() - %s)", (names.name, REFRESH_LAG)
        )
    connection.execute(
        "SELECT remove_continuous_aggregate_policy(%s::regclass, if_exists => true)", (names.name,)
    )
    connection.execute(
        "SELECT add_continuous_aggregate_policy(%s::regclass, start_offset => %s, end_offset => %s,"
        " schedule_interval => %s)",
        (names.name, start, REFRESH_LAG, REFRESH_EVERY),
    )


def _config(connection: psycopg.Connection[Any], policy: str, names: _Names) -> dict[str, Any] | None:
    row = connection.execute(_JOB, {"policy": policy, "names": list(names)}).fetchone()
    return None if row is None else dict(row[0])


def _has(connection: psycopg.Connection[Any], policy: str, names: _Names, **intervals: timedelta) -> bool:
    """Return whether there is such a policy with exactly these intervals: it and its statistics stay then."""
    config = _config(connection, policy, names)
    return config is not None and all(
        connection.execute("SELECT %s::interval = %s", (config.get(key), value)).fetchone() == (True,)
        for key, value in intervals.items()
    )
