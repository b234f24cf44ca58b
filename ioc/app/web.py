"""uvicorn as one service among others: it leaves signals to the supervisor and is stopped by it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from ioc.app.settings.sections import HttpSettings
from ioc.stream.websocket import UVICORN_OPTIONS

DRAIN_S = 5
BACKLOG = 2048


class PortInUseError(Exception):
    """Somebody else listens on the port."""


class WebServer(uvicorn.Server):
    """Serves the API until `stop` is called, then lets running requests finish for `DRAIN_S` seconds."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, option: str = "--port") -> None:
        """Take the port at once, so that a start fails before anything else has begun.

        Raises:
            PortInUseError: somebody else listens there.
        """
        self._socket = _listen(settings.host, settings.port, option)
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
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_graceful_shutdown=DRAIN_S,
                **UVICORN_OPTIONS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def run_service(self) -> None:
        """Serve until stopped."""
        await self.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Ask the server to finish."""
        self.should_exit = True


def require_free(host: str, port: int, option: str) -> None:
    """Find out early that a port is taken; who listens there later takes it for good.

    Raises:
        PortInUseError: somebody else listens there.
    """
    if port:
        _listen(host, port, option).close()


def _listen(host: str, port: int, option: str = "--port") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because loops switch Nagle's delay off only where they see that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        detail = f"cannot listen on {host}:{port}: {error.strerror}; choose another {option}"
        raise PortInUseError(detail) from error
    listener.listen(BACKLOG)
    return listener
