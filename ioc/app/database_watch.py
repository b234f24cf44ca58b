"""Keeps the embedded database running: should its server die, it is started again; roles wait meanwhile."""

import asyncio

import anyio.to_thread
import structlog
from prometheus_client import Counter

from ioc.store.embedded import DataFolderError, PostgresServer, is_running, start_server

CHECK_S = 1.0

_log = structlog.get_logger()
_restarts = Counter("ioc_database_restarts_total", "Times the embedded database had to be started again")


class DatabaseWatch:
    """Looks after the server that this process owns."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            if not is_running(self._server):
                _log.error("the embedded database has died, starting it again")
                _restarts.inc()
                try:
                    await anyio.to_thread.run_sync(start_server, self._server)
                except DataFolderError as error:
                    _log.error("it will be tried again", error=str(error))
