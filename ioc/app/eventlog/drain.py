"""Letting rules and store take everything that the log holds, with nobody else at work."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from psycopg import AsyncConnection

from ioc.app.clock import now_us
from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk
from ioc.app.rules.partition import SHADOW_MARK
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.worker import GROUP as RULES
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings import Settings
from ioc.app.store_worker import GROUP as STORE
from ioc.app.store_worker import StoreWorker
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import LogUnavailable
from ioc.eventlog.postgres import PostgresLog
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.rules.state import ENGINE_KEY, engine_decoder
from ioc.store.pool import Pool
from ioc.store.positions import behind
from ioc.store.quarantine import Quarantine, QuarantineLimits
from ioc.store.rule_moves import engines_own
from ioc.store.writer import HistoryWriter

Log = PostgresLog | KafkaLog
Tell = Callable[[str, int, int], None]
"""Takes note of (what is done, done so far, of how much)."""
PATIENCE_S: Final = 60.0
"""Without progress for so long nobody waits any more."""
LOOK_S: Final = 0.2
STILL_S: Final = 3.0
"""A log that nobody appends to stands still for longer than ticks are apart."""
CLOSING_TRIES: Final = 3
OWNER: Final = "partitions"
READERS: Final = ((EVENTS_TOPIC, STORE), (EVENTS_TOPIC, RULES), (WIDE_TOPIC, RULES))
"""Every group that takes effects from the log."""


class DrainError(Exception):
    """The log is not taken whole; the message says why."""


class Drain:
    """Both stages of the rules and the store, until nothing is left."""

    def __init__(
        self, settings: Settings, log: Log, pool: Pool, directory: Directory, rules: RuleSets, tell: Tell
    ):
        self._settings = settings
        self._log = log
        self._pool = pool
        self._directory = directory
        self._rules = rules
        self._tell = tell

    async def wait_alone(self) -> None:
        """Return once no role is in any group.

        Raises:
            DrainError: one still is when every lease of a dead one must have ended.
        """
        until_s = time.monotonic() + 2 * self._settings.log.lease_s
        while True:
            try:
                found = {
                    f"{group} of {topic}: {name}"
                    for topic, group in READERS
                    for name in await self._log.members(topic, group)
                }
            except LogUnavailable:
                if time.monotonic() > until_s:
                    raise
                found = {"?"}
            if not found:
                return
            if time.monotonic() > until_s:
                raise DrainError(f"roles still run: {', '.join(sorted(found))}. Stop every role first.")
            self._tell("waiting for roles to be gone", 0, 0)
            await asyncio.sleep(LOOK_S)

    async def run(self) -> None:
        """Return once everything is taken, the log closed by a tick, and nobody appends any more.

        Raises:
            DrainError: it does not get on, or something still appends.
        """
        failed: DrainError | None = None
        desk = Desk(self._pool, self._directory)
        await desk.refresh(keep=True)
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            quarantine = Quarantine(QuarantineLimits(max_rows=settings.store.quarantine_rows))
            store = StoreWorker(self._log, self._pool, HistoryWriter(), settings.store, OWNER, quarantine)
            stages = [
                stage(
                    self._log, self._pool, self._rules, settings.rules, OWNER, self._directory, desk.policies
                )
                for stage in (RulesWorker, WideRulesWorker)
            ]
            # The log ends last: whoever leaves a group needs it.
            log = group.create_task(self._log.run())
            work = [group.create_task(run()) for run in (store.run, *(stage.run for stage in stages))]
            try:
                await self._take_all()
            except DrainError as error:
                failed = error
            finally:
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
                log.cancel()
        if failed is not None:
            raise failed

    async def _take_all(self) -> None:
        """Close the log by a tick, so that no event waits for one, and take it."""
        async with self._pool.connection() as connection:
            newest_us = await newest_tick_us(connection)
        for _ in range(CLOSING_TRIES):
            tick_us = max(now_us(), newest_us + 1)
            await self._log.append_ticks(EVENTS_TOPIC, tick_us)
            await self._settle(EVENTS_TOPIC, (STORE, RULES))
            async with self._pool.connection() as connection:
                newest_us = await newest_tick_us(connection)
            if newest_us == tick_us:  # else the log held ticks ahead of this clock
                await self._settle(WIDE_TOPIC, (RULES,))
                if await self._stands_still():
                    return
        raise DrainError("the log still grows: stop ingest and whatever else appends, then try again.")

    async def _stands_still(self) -> bool:
        before = [await self._log.ends(topic) for topic in (EVENTS_TOPIC, WIDE_TOPIC)]
        self._tell("looking whether anybody still appends", 0, 0)
        await asyncio.sleep(STILL_S)
        return before == [await self._log.ends(topic) for topic in (EVENTS_TOPIC, WIDE_TOPIC)]

    async def _settle(self, topic: str, groups: tuple[str, ...]) -> None:
        ends = await self._log.ends(topic)
        behind = whole = await self._behind(topic, groups, ends)
        moved_s = time.monotonic()
        while behind:
            self._tell(f"taking what {topic} holds", whole - behind, whole)
            await asyncio.sleep(LOOK_S)
            if (left := await self._behind(topic, groups, ends)) != behind:
                behind, moved_s = left, time.monotonic()
            elif time.monotonic() - moved_s > PATIENCE_S:
                raise DrainError(f"{' and '.join(groups)} stand still, {left} records of {topic} behind.")

    async def _behind(self, topic: str, groups: tuple[str, ...], ends: Mapping[int, int]) -> int:
        async with self._pool.connection() as connection:
            return sum([await behind(connection, topic, group, ends) for group in groups])


async def newest_tick_us(connection: AsyncConnection[Any]) -> int:
    """Return the newest tick that any engine has taken; 0 before the first."""
    engines = (await engines_own(connection, EVENTS_TOPIC, SHADOW_MARK)).get(ENGINE_KEY, {})
    return max((engine_decoder.decode(data).now_us or 0 for data in engines.values()), default=0)
