"""How often rules fired lately."""

from typing import Any, NamedTuple

from psycopg import AsyncConnection


class Rate(NamedTuple):
    """Incidents of one rule."""

    day: int
    """Detected within the last 24 hours."""
    hour: int


async def read_rates(connection: AsyncConnection[Any]) -> dict[str, Rate]:
    """Return the rates of all rules that fired within a day."""
    found = await connection.execute(
        "SELECT rule, count(*), count(*) FILTER (WHERE detected > now() - interval '1 hour') FROM incident"
        " WHERE detected > now() - interval '1 day' GROUP BY rule"
    )
    return {rule: Rate(day, hour) async for rule, day, hour in found}
