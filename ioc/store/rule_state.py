"""The rule engine's state in PostgreSQL: saved in the transaction of its effects, read on assignment."""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb


class StateRow(msgspec.Struct, frozen=True):
    """State of one (rule, key); `data` None means that it is gone."""

    rule: str
    key: str
    data: bytes | None


async def load_state(connection: AsyncConnection[Any], topic: str, partition: int) -> list[StateRow]:
    """Return the whole state of a partition."""
    found = await connection.execute(
        "SELECT rule, key, data FROM rule_state WHERE topic = %s AND partition = %s", (topic, partition)
    )
    return [StateRow(rule, key, data) async for rule, key, data in found]


async def save_state(
    connection: AsyncConnection[Any], topic: str, partition: int, rows: Sequence[StateRow]
) -> None:
    """Store changed keys and delete those that are gone, in two statements whatever their number."""
    kept = sorted((row.rule, row.key, row.data) for row in rows if row.data is not None)
    gone = sorted((row.rule, row.key) for row in rows if row.data is None)
    if kept:
        await connection.execute(
            "INSERT INTO rule_state (topic, partition, rule, key, data)"
            " SELECT %s, %s, * FROM unnest(%s::text[], %s::text[], %s::bytea[])"
            " ON CONFLICT (topic, partition, rule, key) DO UPDATE SET data = excluded.data",
            (topic, partition, *map(list, zip(*kept, strict=True))),
        )
    if gone:
        await connection.execute(
            "DELETE FROM rule_state USING unnest(%s::text[], %s::text[]) AS gone (rule, key)"
            " WHERE topic = %s AND partition = %s"
            " AND rule_state.rule = gone.rule AND rule_state.key = gone.key",
            (*map(list, zip(*gone, strict=True)), topic, partition),
        )


class RuleReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one partition's worker knows of a rule. Counts but `failures` are since the worker began."""

    hash: str
    failures: int = 0
    error: str | None = None
    disabled: bool = False
    seconds: float = 0.0
    """Time the rule has taken; what rules share is charged to the first that asks for it."""
    keys: int = 0
    matched: int = 0
    late: int = 0
    amended: int = 0
    cooled: int = 0
    overflowed: int = 0
    unkeyed: int = 0
    evicted: int = 0
    unwatched: int = 0
    """Devices that should talk and are not watched now."""
    raised: int = 0


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One partition's newest report: by rule, for both lanes."""

    version: int
    active: dict[str, RuleReport] = {}
    shadow: dict[str, RuleReport] = {}
    error: str | None = None
    """Why the newest version does not run, where that is so."""
    warming: float | None = None
    """Share done of running the next version's rules over the past, while that lasts."""


async def save_status(
    connection: AsyncConnection[Any], topic: str, partition: int, status: PartitionStatus
) -> None:
    """Publish what the worker of a partition knows."""
    await connection.execute(
        "INSERT INTO rule_status (topic, partition, version, doc) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (topic, partition)"
        " DO UPDATE SET version = excluded.version, doc = excluded.doc, updated = now()",
        (topic, partition, status.version, Jsonb(msgspec.to_builtins(status))),
    )


async def read_status(connection: AsyncConnection[Any]) -> dict[tuple[str, int], PartitionStatus]:
    """Return the newest status of every (topic, partition)."""
    found = await connection.execute("SELECT topic, partition, doc FROM rule_status ORDER BY 1, 2")
    return {
        (topic, partition): msgspec.convert(doc, PartitionStatus) async for topic, partition, doc in found
    }
