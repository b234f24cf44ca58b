"""Policies as people see and change them, and the look ahead at what a change would do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import anyio.to_thread
import msgspec

from ioc.api.ports import NotFoundError, PolicyInfo
from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk, ward_names
from ioc.geo.geojson import parse_areas
from ioc.geo.index import WARD, AreaIndex
from ioc.incidents.policies import POLICIES, AuthorityTable, Policies, parse_policy
from ioc.incidents.routing import Preview, preview
from ioc.model.incidents import Incident
from ioc.model.times import CITY_ZONE, format_us, to_us
from ioc.store import policies as rows
from ioc.store.incidents import read_open
from ioc.store.row_scope import Pool

MAX_PREVIEW = 100_000
"""Open incidents looked at in one preview."""
MAX_VERSIONS = 100


class StoredPolicies:
    """`ioc.api.ports.PolicyStore` over the database."""

    def __init__(self, pool: Pool, desk: Desk, directory: Directory) -> None:
        self._pool = pool
        self._desk = desk
        self._directory = directory

    async def list(self) -> Sequence[PolicyInfo]:
        """Return every policy as it is in force."""
        async with self._pool.connection() as connection:
            stored = await rows.read_policies(connection)
        return [_info(stored[name]) if name in stored else shipped(name) for name in POLICIES]

    async def versions(self, name: str) -> Sequence[PolicyInfo]:
        """Return the versions of one, the newest first, the shipped one last."""
        if name not in POLICIES:
            raise NotFoundError(name)
        async with self._pool.connection() as connection:
            stored = await rows.read_versions(connection, name, MAX_VERSIONS)
        return [*map(_info, stored), shipped(name)]

    async def put(
        self, name: str, doc: object, *, author: str, reason: str, expect_version: int
    ) -> PolicyInfo:
        """Store the next version and take it into force here at once."""
        parsed = _builtins(parse_policy(name, doc))
        async with self._pool.connection() as connection:
            version = await rows.add_policy(
                connection, name, parsed, author=author, reason=reason, expect_version=expect_version
            )
            (stored, *_) = await rows.read_versions(connection, name, 1)
        await self._desk.refresh(keep=True)
        assert stored.version >= version
        return _info(stored)

    async def preview(
        self, authority: object | None, areas: bytes | None, wards: Sequence[str] | None
    ) -> Preview:
        """Return what another table or other boundaries would change for open incidents."""
        async with self._pool.connection() as connection:
            incidents = await read_open(connection, wards, MAX_PREVIEW)
        policies = self._desk.policies()
        return await anyio.to_thread.run_sync(look_ahead, incidents, policies, authority, areas)


def look_ahead(
    incidents: Sequence[Incident], policies: Policies, authority: object | None, areas: bytes | None
) -> Preview:
    """Return what another table or other boundaries (GeoJSON; today's are looked at) would change.

    Raises:
        PolicyError: `authority` is no authority table.
        ValueError: `areas` are none, or hold no ward of today.
    """
    table = policies.authority
    if authority is not None:
        parsed = parse_policy("authority", authority)
        assert isinstance(parsed, AuthorityTable)
        table = parsed
    if areas is None:
        return preview(incidents, table, policies.ward_names, None)
    index = AreaIndex.at(parse_areas(areas, kind=WARD), datetime.now(CITY_ZONE).date())
    names = ward_names(index)
    if not names:
        raise ValueError("the areas hold no ward that is in force today")
    return preview(incidents, table, names, index)


def shipped(name: str) -> PolicyInfo:
    """Return a policy as it comes with the program."""
    return PolicyInfo(name=name, version=0, doc=_builtins(POLICIES[name]()))


def _builtins(policy: object) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(policy, str_keys=True)
    return found


def _info(stored: rows.StoredPolicy) -> PolicyInfo:
    return PolicyInfo(
        name=stored.name,
        version=stored.version,
        doc=stored.doc,
        author=stored.author,
        reason=stored.reason,
        at=format_us(to_us(stored.at)),
    )
