"""One number per data set, raised by every change: caches and ETags compare it."""

from typing import Any, Literal

from psycopg import AsyncConnection

Dataset = Literal["area", "device", "gazetteer"]


async def dataset_version(connection: AsyncConnection[Any], name: Dataset) -> int:
    """Return the present version of a data set; equal versions mean equal contents."""
    found = await connection.execute("SELECT version FROM dataset_version WHERE name = %s", (name,))
    row = await found.fetchone()
    assert row is not None, f"a migration creates {name}"
    return int(row[0])


async def bump_version(connection: AsyncConnection[Any], name: Dataset) -> int:
    """Raise the version in the caller's transaction, one writer of the data set at a time."""
    found = await connection.execute(
        "UPDATE dataset_version SET version = version + 1 WHERE name = %s RETURNING version", (name,)
    )
    row = await found.fetchone()
    assert row is not None, f"a migration creates {name}"
    return int(row[0])


async def hold_version(connection: AsyncConnection[Any], name: Dataset) -> None:
    """Keep other writers of the data set out until the caller's transaction ends; nothing is raised."""
    await connection.execute("SELECT FROM dataset_version WHERE name = %s FOR UPDATE", (name,))
