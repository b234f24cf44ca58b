"""Waits until the rules have taken everything that was acknowledged."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import EventLog
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.store.pool import Pool
from ioc.store.positions import behind

GROUP: Final = "rules"
PATIENCE_S: Final = 60.0
"""Without progress for so long nobody waits any more."""
LOOK_S: Final = 0.2


class NotSettledError(Exception):
    """The rules do not get on; the message says where they stand."""


async def rules_settled(log: EventLog, pool: Pool, patience_s: float = PATIENCE_S) -> None:
    """Return once the rules have committed what was acknowledged until now, wide rules included.

    Raises:
        NotSettledError: nothing has moved for `patience_s`.
    """
    if isinstance(log, KafkaLog):
        waiting = "{} records wait for Kafka, and no ingest carries them there"
        await _nothing_left(partial(_spilled_before, log, time.monotonic()), waiting, patience_s)
    for topic in (EVENTS_TOPIC, WIDE_TOPIC):  # what the first passes on ends up in the second
        behind = partial(_behind, pool, topic, await log.ends(topic))
        await _nothing_left(behind, f"the rules stand still, {{}} records of {topic} behind", patience_s)


async def _nothing_left(count: Callable[[], Awaitable[int]], trouble: str, patience_s: float) -> None:
    last, moved_s = -1, time.monotonic()
    while left := await count():
        if left != last:
            last, moved_s = left, time.monotonic()
        elif time.monotonic() - moved_s > patience_s:
            raise NotSettledError(trouble.format(left))
        await asyncio.sleep(LOOK_S)


async def _spilled_before(log: KafkaLog, moment_s: float) -> int:
    """Return how many records wait for Kafka where some have waited since `moment_s`."""
    since_s = time.monotonic() - moment_s
    return sum(each.records for each in await log.spilled() if each.oldest_s >= since_s)


async def _behind(pool: Pool, topic: str, ends: dict[int, int]) -> int:
    """Return how many records before `ends` the rules have not committed."""
    async with pool.connection() as connection:
        return await behind(connection, topic, GROUP, ends)
