"""Policies of the centre: every version of each, the newest in force."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb


class StalePolicyError(Exception):
    """Somebody else stored a version meanwhile; `version` is the newest."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"the policy {name} is at version {version} now; look at it and try again")
        self.version = version


class StoredPolicy(msgspec.Struct, frozen=True):
    """One version of one policy."""

    name: str
    version: int
    doc: dict[str, Any]
    author: str
    reason: str
    at: datetime


async def read_policies(connection: AsyncConnection[Any]) -> dict[str, StoredPolicy]:
    """Return the newest version of every policy that has been stored, by name."""
    rows = await connection.execute(
        "SELECT DISTINCT ON (name) name, version, doc, author, reason, at FROM policy"
        " ORDER BY name, version DESC"
    )
    return {row[0]: StoredPolicy(*row) async for row in rows}


async def read_versions(connection: AsyncConnection[Any], name: str, limit: int) -> list[StoredPolicy]:
    """Return the versions of a policy, the newest first."""
    rows = await connection.execute(
        "SELECT name, version, doc, author, reason, at FROM policy WHERE name = %s"
        " ORDER BY version DESC LIMIT %s",
        (name, limit),
    )
    return [StoredPolicy(*row) async for row in rows]


async def read_version(connection: AsyncConnection[Any]) -> int:
    """Return a number that grows with every policy stored."""
    found = await connection.execute("SELECT count(*) FROM policy")
    row = await found.fetchone()
    return row[0] if row else 0


async def read_procedure_texts(connection: AsyncConnection[Any], limit: int) -> dict[str, dict[str, Any]]:
    """Return every procedure that was ever in force by the name of its text, the newest `limit`."""
    rows = await connection.execute(
        "SELECT ref, doc FROM procedure_text ORDER BY since DESC, ref LIMIT %s", (limit,)
    )
    return {ref: doc async for ref, doc in rows}


async def keep_procedure_texts(connection: AsyncConnection[Any], texts: Mapping[str, dict[str, Any]]) -> None:
    """Keep procedures that come into force."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO procedure_text (ref, doc) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(ref, Jsonb(doc)) for ref, doc in sorted(texts.items())],
        )


async def add_policy(
    connection: AsyncConnection[Any],
    name: str,
    doc: dict[str, Any],
    *,
    author: str,
    reason: str,
    expect_version: int,
) -> int:
    """Store the version after `expect_version` (0: the shipped default) and return its number.

    Raises:
        StalePolicyError: that is not the newest one.
    """
    stored = await connection.execute(
        "INSERT INTO policy (name, version, doc, author, reason)"
        " SELECT %(name)s, %(expect)s + 1, %(doc)s, %(author)s, %(reason)s"
        " WHERE %(expect)s = (SELECT coalesce(max(version), 0) FROM policy WHERE name = %(name)s)"
        " ON CONFLICT DO NOTHING RETURNING version",
        {"name": name, "expect": expect_version, "doc": Jsonb(doc), "author": author, "reason": reason},
    )
    row = await stored.fetchone()
    if row is None:
        newest = await read_versions(connection, name, 1)
        raise StalePolicyError(name, newest[0].version if newest else 0)
    return int(row[0])
