"""The rule engine's state in PostgreSQL: saved in the transaction of its effects, read on assignment."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb


class StateRow(msgspec.Struct, frozen=True):
    """State of one (rule, key); `data` None means that it is gone."""

    rule: str
    key: str
    data: bytes | None


async def load_state(connection: AsyncConnection[Any], partition: int) -> list[StateRow]:
    """Return the whole state of a partition."""
    found = await connection.execute(
        "SELECT rule, key, data FROM rule_state WHERE partition = %s", (partition,)
    )
    return [StateRow(rule, key, data) async for rule, key, data in found]


async def save_state(connection: AsyncConnection[Any], partition: int, rows: Sequence[StateRow]) -> None:
    """Store changed keys and delete those that are gone, in two statements whatever their number."""
    kept = sorted((row.rule, row.key, row.data) for row in rows if row.data is not None)
    gone = sorted((row.rule, row.key) for row in rows if row.data is None)
    if kept:
        await connection.execute(
            "INSERT INTO rule_state (partition, rule, key, data)"
            " SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::bytea[])"
            " ON CONFLICT (partition, rule, key) DO UPDATE SET data = excluded.data",
            (partition, *map(list, zip(*kept, strict=True))),
        )
    if gone:
        await connection.execute(
            "DELETE FROM rule_state USING unnest(%s::text[], %s::text[]) AS gone (rule, key)"
            " WHERE partition = %s AND rule_state.rule = gone.rule AND rule_state.key = gone.key",
            (*map(list, zip(*gone, strict=True)), partition),
        )


async def save_status(connection: AsyncConnection[Any], statuses: Iterable[tuple[str, object]]) -> None:
    """Publish what the workers know of each rule (counters, failures)."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO rule_status (rule, doc) VALUES (%s, %s)"
            " ON CONFLICT (rule) DO UPDATE SET doc = excluded.doc, updated = now()",
            [(rule, Jsonb(doc)) for rule, doc in statuses],
        )


async def read_status(connection: AsyncConnection[Any]) -> dict[str, dict[str, Any]]:
    """Return the newest status of every rule."""
    found = await connection.execute("SELECT rule, doc FROM rule_status ORDER BY rule")
    return {rule: doc async for rule, doc in found}
