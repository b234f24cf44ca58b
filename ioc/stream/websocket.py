"""The WebSocket shell of the feed: moves text between a socket and its session, and nothing else.

Each socket owns one task group with a reader, a writer and a guard; whichever ends first ends the others,
so neither a silent client nor a shutdown can leave one of them waiting.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from struct import pack
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from ioc.stream.hub import Client, Hub, TooManyClientsError
from ioc.stream.ports import Authenticate, SourceUnavailableError
from ioc.stream.session import Join, Measured, Reauthenticate, ViewMoved
from ioc.stream.shell import SESSION_COOKIE, SocketSettings, first_ends_all, guard, join
from ioc.stream.wire import (
    BAD_FRAME,
    FORBIDDEN,
    NO_SESSION,
    SLOW,
    SUBPROTOCOL,
    UNAVAILABLE,
    Bye,
    CloseRule,
    Frame,
    encode_frame,
)

WS_MAX_BYTES: Final = 64 * 1024
FRAMES: Final = "ioc.frames"
_ABORT_S: Final = 3.0
_TEXT: Final = 0x81


class FeedProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own protocol, except for two things.

    A peer which never reads cannot keep its socket open for ever: after the application ended, uvicorn closes
    the transport, which first waits until everything written was taken, and a stalled peer never takes it.

    And the texts of one flush go out in one write, as the bytes that other sockets write too: a message of
    type `websocket.send` may hold a list of them as `FRAMES`, where the scope's extensions name it.
    """

    def handle_connect(self, event: Request) -> None:
        """Say that a message may hold several frames, unless each has to be compressed."""
        super().handle_connect(event)
        # uvicorn made the task of the application, which has not begun.
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS and not self.conn.extensions:
            self.scope["extensions"][FRAMES] = {}

    async def send(self, message: Any) -> None:
        """Send what the application sends."""
        frames = message.get(FRAMES)
        if frames is None:
            await super().send(message)
            return
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            raise ClientDisconnected
        self.transport.writelines([part for data in frames for part in (text_head(len(data)), data)])

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Give the peer a last chance to take what was written, then drop the connection."""
        super().on_task_complete(task)
        self.loop.call_later(_ABORT_S, self.transport.abort)


def text_head(size: int) -> bytes:
    """Return what a server sends before `size` bytes of text in one frame (RFC 6455, 5.2)."""
    if size < 126:
        return pack("!BB", _TEXT, size)
    if size < 1 << 16:
        return pack("!BBH", _TEXT, 126, size)
    return pack("!BBQ", _TEXT, 127, size)


UVICORN_OPTIONS: Final[dict[str, Any]] = {
    "ws": FeedProtocol,
    "ws_max_size": WS_MAX_BYTES,
    "ws_per_message_deflate": False,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
}
"""What a server of the feed must be started with. Deflate would cost memory per socket and most of a core."""


class FeedSocket:
    """The endpoint: `app.add_websocket_route("/api/v1/feed", feed.serve)`."""

    def __init__(self, hub: Hub, authenticate: Authenticate, settings: SocketSettings | None = None) -> None:
        self._hub = hub
        self._authenticate = authenticate
        self._settings = settings or SocketSettings()

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one socket until it closes.

        A refused client is accepted first: a browser shows its page no code of a failed handshake, and would
        try again for ever.
        """
        try:
            offered = SUBPROTOCOL in websocket.scope["subprotocols"]
            await websocket.accept(subprotocol=SUBPROTOCOL if offered else None)
            if not offered:
                return await self._refuse(websocket, BAD_FRAME._replace(reason="subprotocol"))
            if not origin_allowed(
                websocket.headers.get("origin"), websocket.headers.get("host", ""), self._settings.origins
            ):
                return await self._refuse(websocket, FORBIDDEN._replace(reason="origin"))
            token = websocket.cookies.get(SESSION_COOKIE, "")
            try:
                viewer = await self._authenticate(token) if token else None
            except SourceUnavailableError:
                return await self._refuse(websocket, UNAVAILABLE)
            if viewer is None:
                return await self._refuse(websocket, NO_SESSION)
            try:
                client = self._hub.admit(viewer)
            except TooManyClientsError:
                return await self._refuse(websocket, self._hub.refusal)
            try:
                await self._run(websocket, client, token)
            finally:
                self._hub.release(client)
        except (WebSocketDisconnect, ConnectionError, TimeoutError):
            return None

    async def _refuse(self, websocket: WebSocket, rule: CloseRule) -> None:
        bye = encode_frame(Bye(rule.code, rule.reason, rule.reconnect, rule.after_ms))
        async with asyncio.timeout(self._settings.send_timeout_s):
            await websocket.send_text(bye.text)
            await websocket.close(rule.code, rule.reason)

    async def _run(self, websocket: WebSocket, client: Client, token: str) -> None:
        joining = asyncio.Event()
        await first_ends_all(
            lambda: self._read(websocket, client, joining),
            lambda: self._write(websocket, client),
            lambda: join(self._hub, client, joining),
            lambda: guard(client, token, self._authenticate, self._settings.revalidate_s),
        )
        rule = client.session.closing
        if rule is not None:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await websocket.close(rule.code, rule.reason)

    async def _read(self, websocket: WebSocket, client: Client, joining: asyncio.Event) -> None:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                client.close(BAD_FRAME)
                continue
            for out in client.session.on_frame(text, self._hub.clock_us(), self._hub.wall_clock_us()):
                match out:
                    case Join():
                        joining.set()
                    case Reauthenticate(newer):
                        client.ask(newer)
                    case ViewMoved():
                        self._hub.show_states(client)
                    case Measured(delays):
                        self._hub.metrics.measured(delays)
            client.wake()

    async def _write(self, websocket: WebSocket, client: Client) -> None:
        session, hub = client.session, self._hub
        at_once = FRAMES in websocket.scope["extensions"]
        while True:
            frames = session.flush(hub.clock_us())
            if frames:
                try:
                    async with asyncio.timeout(self._settings.send_timeout_s):
                        await _send(websocket, frames, at_once)
                except TimeoutError:
                    # Not even a farewell would get through: only the connection itself can be ended.
                    client.close(SLOW)
                    raise
                hub.sent(client, frames)
            if session.has_more:
                continue
            if session.closing is not None:
                return
            await client.wait(hub.clock_us())


async def _send(websocket: WebSocket, frames: Sequence[Frame], at_once: bool) -> None:
    if at_once:
        await websocket.send({"type": "websocket.send", FRAMES: [frame.data for frame in frames]})
    else:
        for frame in frames:
            await websocket.send_text(frame.text)


def origin_allowed(origin: str | None, host: str, origins: frozenset[str]) -> bool:
    """Return whether a page of `origin` may open a socket on `host` (the request's Host header).

    Exact comparison: the scheme must be of the web, and host and port must be the server's own, or the whole
    origin must be configured. A request without an origin is no browser's and is refused.
    """
    if not origin:
        return False
    if origin in origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    own = parts.scheme in ("http", "https") and not parts.path and bool(host)
    return own and parts.netloc.lower() == host.lower()
