"""Which of two ways this database holds history: TimescaleDB hypertables or native partitions.

The first migration that differs decides, and its name in `schema_migration` tells. TimescaleDB installed
later changes nothing: history stays in native partitions, which the start and `ioc doctor` say. Aggregates
older than their events could not be brought into continuous aggregates, so there is no conversion in place;
docs/timescale.md says how to move into a new database.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Any, Final, LiteralString

import msgspec
import psycopg
from psycopg import AsyncConnection

from ioc.model.events import Stream
from ioc.store.history_tables import TABLES

_VERSION: Final[LiteralString] = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_FAILED: Final[LiteralString] = """
    SELECT j.proc_name, j.hypertable_name FROM timescaledb_information.job_stats s
    JOIN timescaledb_information.jobs j USING (job_id)
    WHERE s.last_run_status = 'Failed' AND j.hypertable_name IS NOT NULL ORDER BY 1, 2
"""
_DECIDING: Final = "0060_history"


class Layout(StrEnum):
    """How history is held; also the ending of the migration files for it."""

    PARTITIONS = "partitions"
    HYPERTABLES = "hypertables"


class Found(msgspec.Struct, frozen=True):
    """What a database is and has."""

    layout: Layout
    postgres: str
    timescale: str | None
    """Version of the extension, also where history does not use it."""

    def __str__(self) -> str:
        if self.layout is Layout.HYPERTABLES:
            return f"PostgreSQL {self.postgres} with TimescaleDB {self.timescale}: history in hypertables"
        unused = (
            ""
            if self.timescale is None
            else f"; TimescaleDB {self.timescale} came after them and stays unused, see docs/timescale.md"
        )
        return f"PostgreSQL {self.postgres}: history in native partitions{unused}"


def layout_of_names(migrations: Collection[str]) -> Layout | None:
    """Return what the applied `migrations` decided, None while they have not."""
    return next((each for each in Layout if f"{_DECIDING}.{each}.sql" in migrations), None)


def timescale_version(connection: psycopg.Connection[Any]) -> str | None:
    """Return the version of TimescaleDB in this database, None without it."""
    row = connection.execute(_VERSION).fetchone()
    return None if row is None else str(row[0])


async def failed_policies(connection: AsyncConnection[Any]) -> list[str]:
    """Return the policies whose last run failed, as `what on hypertable`; call it with hypertables only."""
    rows = await connection.execute(_FAILED)
    return [f"{name} on {table}" async for name, table in rows]


async def find_layout(connection: AsyncConnection[Any]) -> Found:
    """Return how the migrated database holds history."""
    names = [str(name) async for (name,) in await connection.execute("SELECT name FROM schema_migration")]
    row = await (await connection.execute(_VERSION)).fetchone()
    return Found(
        layout_of_names(names) or Layout.PARTITIONS,
        str(connection.info.parameter_status("server_version")).partition(" ")[0],
        None if row is None else str(row[0]),
    )


HISTORY_TABLES: Final = {stream: TABLES[stream].name for stream in Stream}
AGGREGATES: Final = {Stream.CAMERA: "camera_5m", Stream.TRAFFIC: "traffic_5m"}
"""The 5-minute aggregate of each stream that has one, under one name in both layouts."""
