"""uvicorn as one service among others: it leaves signals to the supervisor and is stopped by it."""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ioc.app.settings import HttpSettings

DRAIN_S = 5
MAX_FRAME_BYTES = 64 * 1024


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
                ws="websockets-sansio",
                ws_max_size=MAX_FRAME_BYTES,
                # Compression of the feed costs more memory and CPU than it saves on a city's own network.
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=DRAIN_S,
                backlog=2048,
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
