"""Native partitions: made ahead of time and dropped when they are too old, by functions of migration 0060."""

from datetime import timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection

from ioc.model.events import Stream
from ioc.model.times import SECOND_US, from_us
from ioc.store.history_plan import HistoryPlan
from ioc.store.layout import HISTORY_TABLES

AHEAD: Final = timedelta(days=3)
"""How long maintenance may be away before events fall into the rest partition."""
_EXTEND: Final[LiteralString] = "SELECT history_extend(%s, %s, now() + %s)"
_DROP: Final[LiteralString] = "SELECT history_drop(%s, %s)"


def extend_partitions(connection: psycopg.Connection[Any], plan: HistoryPlan) -> None:
    """Make the partitions of the coming days, at a start."""
    for stream in Stream:
        connection.execute(_EXTEND, _extension(plan, stream))


async def renew_partitions(connection: AsyncConnection[Any], plan: HistoryPlan, now_us: int) -> int:
    """Make the partitions of the coming days, drop those too old at `now_us` and return how many went.

    The newest end of a dropped partition is `kept_s` old, so events live up to one width longer.

    Raises:
        psycopg.errors.LockNotAvailable: somebody holds a table for long; try again later.
    """
    dropped = 0
    for stream in Stream:
        await connection.execute(_EXTEND, _extension(plan, stream))
        before = from_us(now_us - round(plan.kept_s(stream) * SECOND_US))
        row = await (await connection.execute(_DROP, (HISTORY_TABLES[stream], before))).fetchone()
        assert row is not None
        dropped += int(row[0])
    return dropped


def _extension(plan: HistoryPlan, stream: Stream) -> tuple[str, timedelta, timedelta]:
    width = timedelta(seconds=plan.partition_s(stream))
    return HISTORY_TABLES[stream], width, max(AHEAD, width)
