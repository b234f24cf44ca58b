"""The gazetteer in memory: read from the database when it or the wards change, built off the loop."""

import asyncio
from collections.abc import Sequence
from typing import Final

import anyio.to_thread
import structlog

from ioc.app.directory import Directory
from ioc.app.retry import RETRYABLE
from ioc.geo.gazetteer import Gazetteer, Placement
from ioc.geo.index import WARD, AreaIndex
from ioc.store.gazetteer import read_addresses, read_version
from ioc.store.pool import Pool

REFRESH_S: Final = 5.0

_log = structlog.get_logger()


def ward_names(index: AreaIndex) -> Sequence[tuple[str, str]]:
    """Return code and name of the wards in force."""
    return [(area.code, area.name.vi) for area in index.members(WARD)]


def former_names(index: AreaIndex) -> Sequence[tuple[str, str]]:
    """Return code and name of what those wards took over, by the property `former` of the areas' file."""
    return [
        (area.code, name.strip())
        for area in index.members(WARD)
        for name in str(area.properties.get("former") or "").split(";")
        if name.strip()
    ]


class AddressBook:
    """The gazetteer as of the last refresh; without any address it still knows wards by name."""

    def __init__(self, pool: Pool, directory: Directory) -> None:
        self._pool = pool
        self._directory = directory
        self._gazetteer = Gazetteer(())
        self._version: tuple[int, int] | None = None

    def find(self, text: str) -> Placement | None:
        """Return where an address is."""
        return self._gazetteer.find(text)

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                await self.refresh()
            except RETRYABLE as error:
                _log.warning("the gazetteer could not be refreshed", error=str(error))
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Read the gazetteer where it, or the wards, have changed."""
        async with self._pool.connection() as connection:
            version = await read_version(connection), self._directory.area_version
            if version == self._version:
                return
            addresses = await read_addresses(connection)
        index = self._directory.index
        self._gazetteer = await anyio.to_thread.run_sync(
            Gazetteer, addresses, ward_names(index), former_names(index)
        )
        self._version = version
