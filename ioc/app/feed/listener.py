"""Listens to the database for what must not wait: incidents changed, somebody's rights ended.

NOTIFY is only a hint. The hub looks for changes by itself too, and every socket asks again and again whether
its person may stay; what is missed while the connection is down is late, not lost.
"""

from collections.abc import Callable

from psycopg import AsyncConnection

from ioc.app.retry import with_retry
from ioc.store.incidents import FEED_CHANNEL
from ioc.store.users import ACCESS_CHANNEL


class ChangeListener:
    """Listens on a connection of its own: `wake` for every change, `leave` for whose rights ended."""

    def __init__(self, dsn: str, wake: Callable[[], None], leave: Callable[[str], object]) -> None:
        self._dsn = dsn
        self._wake = wake
        self._leave = leave

    async def run(self) -> None:
        """Listen until cancelled."""
        await with_retry("feed", self._listen)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(f"LISTEN {FEED_CHANNEL}")
            await connection.execute(f"LISTEN {ACCESS_CHANNEL}")
            self._wake()
            async for notice in connection.notifies():
                if notice.channel == ACCESS_CHANNEL:
                    self._leave(notice.payload)
                else:
                    self._wake()
