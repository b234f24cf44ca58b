"""Moving the rules' state of a whole topic to other partitions, key by key, in the caller's transaction.

Rows are written anew beside the former ones, under negative numbers of partitions, which then take their
place: so no row meets one that is still to move.
"""

from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

Connection = AsyncConnection[Any]
Rows = dict[int, bytes]
"""State by partition."""

SLICE_ROWS: Final = 2_000
_OWN: Final[LiteralString] = """
    SELECT rule, key, partition, data FROM rule_state
    WHERE topic = %(topic)s AND (rule = '' OR (rule = %(shadow)s AND key = ''))
"""
_COUNT: Final[LiteralString] = "SELECT count(*) FROM rule_state WHERE topic = %s"
_KEYS: Final[LiteralString] = """
    SELECT rule, key, partition, data FROM rule_state
    WHERE topic = %(topic)s AND rule <> '' AND NOT (rule = %(shadow)s AND key = '')
    ORDER BY rule, key
"""
_PLACE: Final[LiteralString] = """
    INSERT INTO rule_state (topic, partition, rule, key, data)
    SELECT %s, -1 - partition, rule, key, data
    FROM unnest(%s::int[], %s::text[], %s::text[], %s::bytea[]) AS row (partition, rule, key, data)
"""
_DROP: Final[LiteralString] = "DELETE FROM rule_state WHERE topic = %s AND partition >= 0"
_TURN: Final[LiteralString] = """
    UPDATE rule_state SET partition = -1 - partition WHERE topic = %s AND partition < 0
"""
_SWITCH: Final[LiteralString] = """
    INSERT INTO rule_activation (topic, partition, version, "offset")
    SELECT topic, added, version, 0
    FROM (SELECT topic, max(version) AS version FROM rule_activation
          WHERE topic = %(topic)s GROUP BY topic) AS known
    CROSS JOIN generate_series(%(former)s::int, %(partitions)s::int - 1) AS added
    ON CONFLICT (topic, partition) DO UPDATE SET version = excluded.version, "offset" = excluded."offset"
"""


async def count_state(connection: Connection, topic: str) -> int:
    """Return how many rows there are."""
    row = await (await connection.execute(_COUNT, (topic,))).fetchone()
    return 0 if row is None else int(row[0])


async def engines_own(connection: Connection, topic: str, shadow: str) -> dict[tuple[str, str], Rows]:
    """Return what engines and stages remember of themselves, by (rule, key); `shadow` marks shadows."""
    found: dict[tuple[str, str], Rows] = {}
    rows = await connection.execute(_OWN, {"topic": topic, "shadow": shadow})
    async for rule, key, partition, data in rows:
        found.setdefault((rule, key), {})[partition] = data
    return found


async def keyed_state(
    connection: Connection, topic: str, shadow: str
) -> AsyncIterator[tuple[str, str, Rows]]:
    """Yield (rule, key, rows) of everything else, all partitions' rows of a key together."""
    async with connection.cursor(name="keyed_state") as cursor:
        await cursor.execute(_KEYS, {"topic": topic, "shadow": shadow})
        last: list[tuple[str, str, int, bytes]] = []
        while rows := await cursor.fetchmany(SLICE_ROWS):
            # The last key of a slice may go on in the next one.
            groups = [list(group) for _, group in groupby([*last, *rows], key=lambda row: row[:2])]
            last = groups.pop()
            for group in groups:
                yield _key(group)
        if last:
            yield _key(last)


def _key(group: list[tuple[str, str, int, bytes]]) -> tuple[str, str, Rows]:
    return group[0][0], group[0][1], {partition: data for _, _, partition, data in group}


async def place(connection: Connection, topic: str, rows: Iterable[tuple[int, str, str, bytes]]) -> None:
    """Write (partition, rule, key, data) where `turn` makes them the state."""
    if columns := list(map(list, zip(*rows, strict=True))):
        await connection.execute(_PLACE, (topic, *columns))


async def turn(connection: Connection, topic: str, former: int, partitions: int) -> None:
    """Let what was placed be the state, and new partitions run the version that all others run."""
    await connection.execute(_DROP, (topic,))
    await connection.execute(_TURN, (topic,))
    await connection.execute(_SWITCH, {"topic": topic, "former": former, "partitions": partitions})
