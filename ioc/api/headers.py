"""What every answer carries, and how large a request may be."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ioc.api.problems import FieldError, Problem, respond
from ioc.store.row_scope import NOBODY, acting_as

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def content_security_policy(connect: str | None = None) -> str:
    """Return the policy of every page: everything from here, and requests also to the origin `connect`."""
    return "; ".join(
        (
            "default-src 'self'",
            "script-src 'self'",
            "worker-src 'self' blob:",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            f"connect-src 'self' {connect}" if connect else "connect-src 'self'",
            "style-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """Adds the headers above and the content security policy wherever the answer did not set its own."""

    def __init__(self, app: ASGIApp, connect: str | None = None) -> None:
        """Allow pages to ask the origin `connect` too."""
        self.app = app
        self._headers = {**_HEADERS, "Content-Security-Policy": content_security_policy(connect)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the answer's headers."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return await self.app(scope, receive, send_with_headers)


class RequestScope:
    """Begins each request as nobody's: rows are seen once somebody is known (`ioc/api/security.py`)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        with acting_as(NOBODY):
            await self.app(scope, receive, send)


class BodyLimit:
    """Refuses bodies above `max_bytes` with 413, except below `exempt`, which has limits of its own.

    `wider` are paths whose bodies may be larger, and how large.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        exempt: tuple[str, ...] = (),
        wider: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._exempt = exempt
        self._wider = wider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless its body is, or turns out, too large."""
        if scope["type"] != "http" or scope["path"].startswith(self._exempt or ("\x00",)):
            return await self.app(scope, receive, send)
        most = self._wider.get(scope["path"], self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
            return await respond(_too_large(most))(scope, receive, send)
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                problem = _too_large(most)
                # The form of error that FastAPI lets through while it reads a body.
                raise HTTPException(413, problem.detail, problem.headers)
            return message

        return await self.app(scope, receive_bounded, send)


def _too_large(most: int) -> Problem:
    detail = f"The body may have at most {most} bytes."
    error = FieldError("body", "max_bytes", detail)
    return Problem(413, detail, [error], headers={"Connection": "close"})
