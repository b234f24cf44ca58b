"""Versions of the rules in PostgreSQL: append-only, numbered without gaps, one writer at a time."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

Connection = AsyncConnection[Any]
Lane = Literal["active", "shadow"]
Op = Literal["import", "push", "shadow", "disable", "enable"]
_LOCK_KEY: Final = 0x10C6

_SET: Final[LiteralString] = """
    SELECT DISTINCT ON (c.rule, c.lane)
        c.rule, c.lane, c.version, c.source, c.hash, c.enabled, s.file, s.text, v.op, v.at, v.author, v.reason
    FROM rule_change c JOIN rule_version v USING (version) JOIN rule_source s ON s.digest = c.source
    WHERE c.version <= %s ORDER BY c.rule, c.lane, c.version DESC
"""
_HISTORY: Final[LiteralString] = """
    SELECT c.rule, c.lane, c.version, c.source, c.hash, c.enabled, s.file, s.text, v.op, v.at, v.author,
        v.reason, v.flood
    FROM rule_change c JOIN rule_version v USING (version) JOIN rule_source s ON s.digest = c.source
    WHERE (%(rule)s::text IS NULL OR c.rule = %(rule)s) ORDER BY c.version DESC, c.rule, c.lane
    LIMIT %(limit)s
"""


class RuleItem(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in one lane as of a version; `version` is the one that changed it last."""

    rule: str
    lane: Lane
    version: int
    source: str
    hash: str
    enabled: bool
    file: str
    text: str
    op: Op
    at: datetime
    author: str
    reason: str | None = None
    flood: str | None = None
    """Why more alarms than the budget were accepted; read with the history only."""


class NewChange(NamedTuple):
    """A change to store. `text` is the whole file that holds the rule."""

    rule: str
    lane: Lane
    file: str
    text: str
    hash: str
    enabled: bool = True


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to store."""

    author: str
    op: Op
    changes: Sequence[NewChange]
    reason: str | None = None
    flood: str | None = None
    warm_s: int = 0
    """How much of the log's past new and reshaped rules run over before they go live."""


async def lock_versions(connection: Connection) -> int:
    """Become the only writer until the transaction ends; return the newest version, 0 for none."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
    return await newest_version(connection)


async def newest_version(connection: Connection) -> int:
    """Return the newest version stored, 0 for none."""
    row = await (await connection.execute("SELECT coalesce(max(version), 0) FROM rule_version")).fetchone()
    assert row is not None
    return int(row[0])


async def add_version(connection: Connection, new: NewVersion) -> int:
    """Store the version after the newest and return its number; call `lock_versions` first.

    Version 1 needs no announcement: it is what every partition begins with.
    """
    version = await newest_version(connection) + 1
    await connection.execute(
        "INSERT INTO rule_version (version, author, op, reason, flood, warm_s, announced)"
        " VALUES (%s, %s, %s, %s, %s, %s, CASE WHEN %s = 1 THEN now() END)",
        (version, new.author, new.op, new.reason, new.flood, new.warm_s, version),
    )
    sources = {_digest(change.text): change for change in new.changes}
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO rule_source (digest, file, text) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [(digest, change.file, change.text) for digest, change in sources.items()],
        )
        await cursor.executemany(
            "INSERT INTO rule_change (version, rule, lane, source, hash, enabled)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [(version, c.rule, c.lane, _digest(c.text), c.hash, c.enabled) for c in new.changes],
        )
    return version


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


async def read_set(connection: Connection, version: int) -> list[RuleItem]:
    """Return the rules as of `version`, disabled ones and ended shadows too."""
    async with connection.cursor(row_factory=class_row(RuleItem)) as cursor:
        return await (await cursor.execute(_SET, (version,))).fetchall()


async def read_changes(connection: Connection, rule: str | None = None, limit: int = 200) -> list[RuleItem]:
    """Return the changes of one rule or of all, newest first."""
    async with connection.cursor(row_factory=class_row(RuleItem)) as cursor:
        return await (await cursor.execute(_HISTORY, {"rule": rule, "limit": limit})).fetchall()


async def unannounced(connection: Connection) -> list[tuple[int, int]]:
    """Return version and `warm_s` of each version whose activation the log may not have yet, oldest first."""
    found = await connection.execute(
        "SELECT version, warm_s FROM rule_version WHERE announced IS NULL ORDER BY version"
    )
    return [(version, warm_s) async for version, warm_s in found]


async def warm_between(connection: Connection, after: int, version: int) -> int:
    """Return the longest `warm_s` of the versions beyond `after` up to `version`."""
    found = await connection.execute(
        "SELECT coalesce(max(warm_s), 0) FROM rule_version WHERE version > %s AND version <= %s",
        (after, version),
    )
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def mark_announced(connection: Connection, version: int) -> None:
    """Note that every partition of the log has the activation."""
    await connection.execute(
        "UPDATE rule_version SET announced = now() WHERE version = %s AND announced IS NULL", (version,)
    )


async def read_activation(connection: Connection, topic: str, partition: int) -> int:
    """Return the version the partition has switched to; 1 where it never did."""
    found = await connection.execute(
        "SELECT version FROM rule_activation WHERE topic = %s AND partition = %s", (topic, partition)
    )
    row = await found.fetchone()
    return 1 if row is None else int(row[0])


class Activation(NamedTuple):
    """Where a partition switched."""

    partition: int
    version: int
    offset: int


async def save_activation(connection: Connection, topic: str, activation: Activation) -> None:
    """Record the switch in the transaction that commits the position behind it."""
    await connection.execute(
        'INSERT INTO rule_activation (topic, partition, version, "offset") VALUES (%s, %s, %s, %s)'
        " ON CONFLICT (topic, partition) DO UPDATE SET version = excluded.version,"
        ' "offset" = excluded."offset"',
        (topic, *activation),
    )


async def read_activations(connection: Connection, topic: str) -> list[Activation]:
    """Return where each partition stands that has ever switched."""
    found = await connection.execute(
        'SELECT partition, version, "offset" FROM rule_activation WHERE topic = %s ORDER BY partition',
        (topic,),
    )
    return [Activation(*row) async for row in found]
