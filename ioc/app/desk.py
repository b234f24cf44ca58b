"""The policies in force, read from the database and kept in memory, for every decision on incidents."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from ioc.app.directory import Directory
from ioc.app.retry import RETRYABLE
from ioc.geo.index import WARD, AreaIndex
from ioc.incidents.policies import POLICIES, Policies, PolicyError, derive, parse_policy
from ioc.store import policies as rows
from ioc.store.pool import Pool

REFRESH_S = 2.0

_log = structlog.get_logger()


class Desk:
    """Policies as of the last refresh.

    A change takes effect within `REFRESH_S` in every process, for what is raised or changed from then on.
    """

    def __init__(self, pool: Pool, directory: Directory) -> None:
        self._pool = pool
        self._directory = directory
        self._seen: tuple[int, AreaIndex] | None = None
        self._policies = Policies()

    def policies(self) -> Policies:
        """Return what is in force."""
        return self._policies

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except RETRYABLE as error:
                _log.warning("policies could not be refreshed", error=str(error))

    async def refresh(self) -> None:
        """Read the policies where they, or the wards of the day, have changed."""
        index = self._directory.index
        async with self._pool.connection() as connection:
            version = await rows.read_version(connection)
            if self._seen == (version, index):
                return
            stored = await rows.read_policies(connection)
        self._policies = assemble(stored, ward_names(index))
        self._seen = (version, index)


def ward_names(index: AreaIndex) -> dict[str, str]:
    """Return the Vietnamese name of every ward of a day's map."""
    return {area.code: area.name.vi for area in index.members(WARD)}


def assemble(stored: Mapping[str, rows.StoredPolicy], names: dict[str, str]) -> Policies:
    """Return the policies in force: what is stored, else what is shipped."""
    parsed: dict[str, Any] = {}
    for name, policy in stored.items():
        try:
            if name in POLICIES:
                parsed[name] = parse_policy(name, policy.doc)
        except PolicyError as error:
            # It was checked when it was stored, so another version of ours wrote it. The shipped one holds.
            _log.error("a stored policy is not understood", policy=name, error=str(error))
    return derive(Policies(**parsed, ward_names=names))
