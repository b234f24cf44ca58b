"""Wakes the hub when incidents changed: PostgreSQL's NOTIFY is only a hint, the hub looks by itself too."""

from collections.abc import Callable

from psycopg import AsyncConnection

from ioc.app.retry import with_retry
from ioc.store.incidents import FEED_CHANNEL


class ChangeListener:
    """Listens on a connection of its own and calls `wake` for every change."""

    def __init__(self, dsn: str, wake: Callable[[], None]) -> None:
        self._dsn = dsn
        self._wake = wake

    async def run(self) -> None:
        """Listen until cancelled."""
        await with_retry("feed", self._listen)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute(f"LISTEN {FEED_CHANNEL}")
            self._wake()
            async for _ in connection.notifies():
                self._wake()
