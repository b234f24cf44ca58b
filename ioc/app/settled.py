"""Waits until the rules have taken everything that the log held."""

import asyncio
import time
from typing import Final

from ioc.eventlog.port import EventLog
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.store.pool import Pool
from ioc.store.positions import standings

GROUP: Final = "rules"
PATIENCE_S: Final = 60.0
"""Without progress for so long nobody waits any more."""
LOOK_S: Final = 0.2


class NotSettledError(Exception):
    """The rules do not get on; the message says where they stand."""


async def rules_settled(log: EventLog, pool: Pool, patience_s: float = PATIENCE_S) -> None:
    """Return once the rules have committed what is in the log now, wide rules included.

    Raises:
        NotSettledError: nothing has moved for `patience_s`.
    """
    for topic in (EVENTS_TOPIC, WIDE_TOPIC):  # what the first passes on ends up in the second
        ends = await log.ends(topic)
        behind, moved_s = -1, time.monotonic()
        while left := await _behind(pool, topic, ends):
            if left != behind:
                behind, moved_s = left, time.monotonic()
            elif time.monotonic() - moved_s > patience_s:
                raise NotSettledError(f"the rules stand still, {left} records of {topic} behind")
            await asyncio.sleep(LOOK_S)


async def _behind(pool: Pool, topic: str, ends: dict[int, int]) -> int:
    """Return how many records before `ends` the rules have not committed."""
    async with pool.connection() as connection:
        found = await standings(connection)
    taken = {each.partition: each.next_offset for each in found if (each.group, each.topic) == (GROUP, topic)}
    return sum(max(0, end - taken.get(partition, 0)) for partition, end in ends.items())
