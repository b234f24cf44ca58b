"""The read-only twin of the feed as server-sent events, for boards and for proxies that block WebSockets.

The same session decides what is sent. An event's id is `epoch:offset`; a browser sends the last one back when
it reconnects, which resumes. The data is the frame; there is no viewport, so every state is sent.
"""

import asyncio
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ioc.stream.hub import Client, Hub, TooManyClientsError
from ioc.stream.ports import Authenticate, SourceUnavailableError, Viewer
from ioc.stream.shell import SESSION_COOKIE, SocketSettings, first_ends_all, guard, join
from ioc.stream.wire import SLOW, Frame, Hello, Resume

RETRY_MS: Final = 2_000
"""How long a browser waits before it reconnects."""
MAX_ID_CHARS: Final = 200


def parse_event_id(text: str | None) -> Resume | None:
    """Return the position in a `Last-Event-ID`, None when there is none that could be ours."""
    epoch, separator, offset = (text or "").rpartition(":")
    if not separator or not epoch or len(epoch) > MAX_ID_CHARS or not (offset.isascii() and offset.isdigit()):
        return None
    return Resume(epoch, int(offset[:18]))


def as_event(frame: Frame) -> str:
    """Return `frame` as one server-sent event. JSON has no line breaks, so one data line is enough."""
    lead = f"id: {frame.cursor[0]}:{frame.cursor[1]}\n" if frame.cursor else ""
    return f"{lead}data: {frame.text}\n\n"


class SseEndpoint:
    """The endpoint: `app.add_route("/api/v1/feed/sse", endpoint.serve)`."""

    def __init__(self, hub: Hub, authenticate: Authenticate, settings: SocketSettings | None = None) -> None:
        self._hub = hub
        self._authenticate = authenticate
        self._settings = settings or SocketSettings()

    async def serve(self, request: Request) -> Response:
        """Answer with an endless stream.

        Raises:
            HTTPException: nobody is logged in, or it cannot be told now; the application gives every such
                error the same form.
        """
        token = request.cookies.get(SESSION_COOKIE, "")
        try:
            viewer = await self._authenticate(token) if token else None
        except SourceUnavailableError as error:
            raise HTTPException(503, "Try again in a moment.", {"Retry-After": "2"}) from error
        if viewer is None:
            raise HTTPException(401, "Log in first.")
        resume = parse_event_id(request.headers.get("last-event-id"))
        return _EventStream(self._hub, viewer, token, resume, self._authenticate, self._settings)


class _EventStream(Response):
    """One client's stream, from its admission to its release."""

    def __init__(
        self,
        hub: Hub,
        viewer: Viewer,
        token: str,
        resume: Resume | None,
        authenticate: Authenticate,
        settings: SocketSettings,
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        del self.headers["content-length"]
        self._hub = hub
        self._viewer = viewer
        self._token = token
        self._hello = msgspec.json.encode(Hello("sse", resume=resume)).decode()
        self._authenticate = authenticate
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until either side ends it.

        Raises:
            HTTPException: 429, before anything was sent: the person has too many connections.
        """
        try:
            client = self._hub.admit(self._viewer, one_way=True)
        except TooManyClientsError as error:
            raise HTTPException(429, "Too many connections.", {"Retry-After": "30"}) from error
        joining = asyncio.Event()
        client.session.on_frame(self._hello, self._hub.clock_us())
        joining.set()
        revalidate_s = self._settings.revalidate_s
        try:
            await first_ends_all(
                lambda: self._until_disconnected(receive),
                lambda: self._write(client, send),
                lambda: join(self._hub, client, joining),
                lambda: guard(client, self._token, self._authenticate, revalidate_s),
            )
        except (OSError, TimeoutError):
            return
        finally:
            self._hub.release(client)

    @staticmethod
    async def _until_disconnected(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _write(self, client: Client, send: Send) -> None:
        session, hub = client.session, self._hub
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._send(send, f"retry: {RETRY_MS}\n\n", True)
        while session.closing is None or session.has_more:
            frames = session.flush(hub.clock_us())
            if frames:
                try:
                    await self._send(send, "".join(map(as_event, frames)), True)
                except TimeoutError:
                    client.close(SLOW)
                    raise
                hub.sent(client, frames)
            if not session.has_more and session.closing is None:
                await client.wait(hub.clock_us())
        await self._send(send, "", False)

    async def _send(self, send: Send, text: str, more: bool) -> None:
        async with asyncio.timeout(self._settings.send_timeout_s):
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})
