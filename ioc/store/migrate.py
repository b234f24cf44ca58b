"""Apply `migrations/*.sql` in the order of their numbers, each once, each in its own transaction.

A migration that depends on TimescaleDB comes as two files of one number: `NNNN_name.hypertables.sql` for
databases that have the extension, `NNNN_name.partitions.sql` for the others. The first such migration decides
for the database; `ioc.store.layout` tells which one it was.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg

from ioc.store.history_plan import HistoryPlan, check_retention
from ioc.store.hypertables import apply_policies, require_supported
from ioc.store.layout import Layout, layout_of_names, timescale_version
from ioc.store.partitions import extend_partitions

_LOCK_KEY = 0x10C


def migrate(admin_dsn: str, plan: HistoryPlan | None = None) -> list[str]:
    """Bring the database of `admin_dsn` up to date and return the names of the migrations applied now.

    Raises:
        RetentionError: `plan` would lose what aggregates need; nothing was changed.
        UnsupportedTimescaleError: the extension is too old or lacks what we need.
    """
    plan = plan or HistoryPlan()
    check_retention(plan)
    applied: list[str] = []
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        # Several processes may start at once; the second waits here and then finds nothing to do.
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            "name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {name for (name,) in connection.execute("SELECT name FROM schema_migration")}
        layout = layout_of_names(done) or _choose_layout(connection)
        for resource in _migrations(layout):
            if resource.name in done:
                continue
            with connection.transaction():
                # The text is a file of ours, never input.
                connection.execute(resource.read_text("utf-8").encode())
                connection.execute("INSERT INTO schema_migration (name) VALUES (%s)", (resource.name,))
            applied.append(resource.name)
        _fit(connection, layout, plan)
    return applied


def _choose_layout(connection: psycopg.Connection) -> Layout:
    version = timescale_version(connection)
    if version is None:
        return Layout.PARTITIONS
    require_supported(connection, version)
    return Layout.HYPERTABLES


def _migrations(layout: Layout) -> list[Traversable]:
    """Return the files for `layout` in order."""
    others = tuple(f".{other}.sql" for other in Layout if other is not layout)
    found = files("ioc.store").joinpath("migrations").iterdir()
    return sorted(
        (each for each in found if each.name.endswith(".sql") and not each.name.endswith(others)),
        key=lambda each: each.name,
    )


def _fit(connection: psycopg.Connection, layout: Layout, plan: HistoryPlan) -> None:
    """Bring what settings decide up to date."""
    if layout is Layout.HYPERTABLES:
        apply_policies(connection, plan)
    else:
        extend_partitions(connection, plan)
