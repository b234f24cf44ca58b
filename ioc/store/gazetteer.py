"""The stored gazetteer: replaced as a whole, read as a whole."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from ioc.geo.gazetteer import Address
from ioc.store.versions import bump_version, dataset_version


async def replace_addresses(connection: AsyncConnection[Any], addresses: Sequence[Address]) -> int:
    """Make `addresses` all there are, in one transaction, and return the gazetteer's new version."""
    async with connection.transaction(), connection.cursor() as cursor:
        version = await bump_version(connection, "gazetteer")
        await cursor.execute("DELETE FROM gazetteer")
        copy = "COPY gazetteer (id, code, address, lon, lat, ward, old_wards) FROM STDIN"
        async with cursor.copy(copy) as rows:
            for number, each in enumerate(addresses):
                values = (each.code, each.address, each.lon, each.lat, each.ward, list(each.old_wards))
                await rows.write_row((number, *values))
    return version


async def read_addresses(connection: AsyncConnection[Any]) -> list[Address]:
    """Return every address in the order of its import."""
    rows = await connection.execute(
        "SELECT code, address, lon, lat, ward, old_wards FROM gazetteer ORDER BY id"
    )
    return [
        Address(code=code, address=address, lon=lon, lat=lat, ward=ward, old_wards=tuple(old))
        async for code, address, lon, lat, ward, old in rows
    ]


async def read_version(connection: AsyncConnection[Any]) -> int:
    """Return the gazetteer's version: as long as it stays the same, so do its addresses."""
    return await dataset_version(connection, "gazetteer")
