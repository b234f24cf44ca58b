"""Follows the feed of incident changes for something beside the consoles: notices, other systems.

Each follower has a position in the database. One process at a time moves it (a row lock that ends with the
transaction), so any number of processes may run the same follower.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from ioc.app.retry import with_retry
from ioc.store.change_followers import (
    FollowedChange,
    begin_following,
    lock_follower,
    move_follower,
    read_after,
)
from ioc.store.pool import Pool

BATCH_CHANGES: Final = 500
POLL_S: Final = 1.0

Handle = Callable[[AsyncConnection[Any], Sequence[FollowedChange]], Awaitable[None]]

_log = structlog.get_logger()
_followed = Counter("ioc_follower_changes_total", "Incident changes a follower has taken", ["follower"])
_lost = Counter(
    "ioc_follower_lost_changes_total",
    "Incident changes that were forgotten before a follower had taken them",
    ["follower"],
)
_offset = Gauge("ioc_follower_offset", "Feed offset a follower of this process has come to", ["follower"])


class ChangeFollower:
    """Calls `handle` with every change, in order, in the transaction that moves the position."""

    def __init__(self, name: str, pool: Pool, handle: Handle, *, from_start: bool = False) -> None:
        """Prepare to follow.

        Args:
            name: of the position.
            handle: takes changes; what it does on the connection commits with the position. What it does
                elsewhere may be repeated after a crash.
            from_start: whether a new follower begins with the oldest change kept rather than with the next.
        """
        self._name = name
        self._pool = pool
        self._handle = handle
        self._from_start = from_start
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look for changes now rather than at the next poll."""
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await with_retry(f"follower {self._name}", self._follow)

    async def _follow(self) -> None:
        async with self._pool.connection() as connection:
            await begin_following(connection, self._name, from_start=self._from_start)
        while True:
            self._woken.clear()
            while await self.step():
                pass
            try:
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def step(self) -> bool:
        """Take one batch; return whether there may be more at once."""
        async with self._pool.connection() as connection, connection.transaction():
            after = await lock_follower(connection, self._name)
            if after is None:
                return False
            changes = await read_after(connection, after, BATCH_CHANGES)
            if not changes:
                return False
            if self._from_start is False or after:
                self._report_gap(after, changes[0].offset)
            await self._handle(connection, changes)
            await move_follower(connection, self._name, changes[-1].offset)
        _followed.labels(self._name).inc(len(changes))
        _offset.labels(self._name).set(changes[-1].offset)
        return len(changes) == BATCH_CHANGES

    def _report_gap(self, after: int, first: int) -> None:
        if missing := first - after - 1:
            _lost.labels(self._name).inc(missing)
            _log.error("changes were forgotten before they were followed", follower=self._name, count=missing)
