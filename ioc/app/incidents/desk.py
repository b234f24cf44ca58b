"""The policies in force, read from the database and kept in memory, for every decision on incidents."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from psycopg import AsyncConnection

from ioc.app.directory import Directory
from ioc.app.retry import RETRYABLE
from ioc.geo.index import WARD, AreaIndex
from ioc.incidents.policies import POLICIES, Policies, derive, parse_policy
from ioc.incidents.policy_shapes import PolicyError
from ioc.incidents.procedures import Procedure, ref_of
from ioc.store import policies as rows
from ioc.store.pool import Pool

REFRESH_S = 2.0
MAX_TEXTS = 20_000
"""Procedures remembered; an incident whose text is older than so many others cannot be worked through."""

_log = structlog.get_logger()


class Desk:
    """Policies as of the last refresh.

    A change takes effect within `REFRESH_S` in every process, for what is raised or changed from then on.
    """

    def __init__(self, pool: Pool, directory: Directory) -> None:
        self._pool = pool
        self._directory = directory
        self._seen: tuple[int, AreaIndex] | None = None
        self._kept = False
        self._policies = Policies()

    def policies(self) -> Policies:
        """Return what is in force."""
        return self._policies

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            try:
                await self.refresh(keep=True)
            except RETRYABLE as error:
                _log.warning("policies could not be refreshed", error=str(error))
            await asyncio.sleep(REFRESH_S)

    async def refresh(self, *, keep: bool = False) -> None:
        """Read the policies where they, or the wards of the day, have changed.

        Whoever lets incidents follow them has to `keep` their procedures; looking at history writes nothing.
        """
        index = self._directory.index
        async with self._pool.connection() as connection:
            version = await rows.read_version(connection)
            if self._seen == (version, index) and (self._kept or not keep):
                return
            stored = await rows.read_policies(connection)
            policies = assemble(stored, ward_names(index))
            texts = await _all_texts(connection, policies, keep)
        self._kept = keep
        self._policies = msgspec.structs.replace(policies, texts=texts)
        self._seen = (version, index)


async def _all_texts(
    connection: AsyncConnection[Any], policies: Policies, keep: bool
) -> dict[str, Procedure]:
    """Return all procedures that ever were in force; `keep` those that are, before an incident names one."""
    own = {ref_of(procedure): procedure for procedure in policies.procedures.procedures}
    known = await rows.read_procedure_texts(connection, MAX_TEXTS)
    fresh = {ref: msgspec.to_builtins(text) for ref, text in own.items() if ref not in known}
    if fresh and keep:
        await rows.keep_procedure_texts(connection, fresh)
    try:
        return {ref: msgspec.convert(doc, Procedure) for ref, doc in known.items()} | own
    except msgspec.ValidationError as error:
        _log.error("a procedure once in force is not understood", error=str(error))
        return own


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
