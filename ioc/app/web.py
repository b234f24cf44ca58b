"""uvicorn as one service among others: it leaves signals to the supervisor and is stopped by it."""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ioc.app.settings import HttpSettings
from ioc.stream.websocket import UVICORN_OPTIONS

DRAIN_S = 5


class WebServer(uvicorn.Server):
    """Serves the API until `stop` is called, then lets running requests finish for `DRAIN_S` seconds."""

    def __init__(self, app: FastAPI, settings: HttpSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                loop="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_S,
                backlog=2048,
                **UVICORN_OPTIONS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def run_service(self) -> None:
        """Serve until stopped."""
        await self.serve()

    def stop(self) -> None:
        """Ask the server to finish."""
        self.should_exit = True
