"""The feed over a real server and a real client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ioc.model.events import TrafficFlow
from ioc.stream.hub import Hub, HubSettings
from ioc.stream.metrics import FeedMetrics
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.session import SessionLimits
from ioc.stream.shell import SocketSettings
from ioc.stream.sse import SseEndpoint
from ioc.stream.websocket import UVICORN_OPTIONS, WS_MAX_BYTES, FeedSocket
from tests.unit.stream.samples import FakeLog, event

HELLO = '{"type":"hello","client":"test","lang":"vi"}'


@dataclass
class Feed:
    """A running server with one hub, and who may enter."""

    port: int
    hub: Hub
    log: FakeLog
    server: uvicorn.Server
    figures: CollectorRegistry
    viewers: dict[str, Viewer] = field(default_factory=dict)

    async def authenticate(self, token: str) -> Viewer | None:
        return self.viewers.get(token)

    def connect(self, token: str = "token", **options: Any) -> connect:
        options.setdefault("origin", f"http://127.0.0.1:{self.port}")
        options.setdefault("subprotocols", ["ioc.feed.v1"])
        return connect(
            f"ws://127.0.0.1:{self.port}/feed",
            additional_headers={"Cookie": f"ioc_session={token}"},
            compression=None,
            proxy=None,
            **options,
        )


@asynccontextmanager
async def feed(
    hub_settings: HubSettings | None = None, settings: SocketSettings | None = None
) -> AsyncIterator[Feed]:
    log, figures = FakeLog(), CollectorRegistry()
    hub = Hub(log, hub_settings or HubSettings(flush_s=0.01), FeedMetrics(figures))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        running = Feed(listener.getsockname()[1], hub, log, None, figures)  # type: ignore[arg-type]
        running.viewers["token"] = Viewer("an", "login-1", EVERYTHING)
        endpoint = FeedSocket(hub, running.authenticate, settings)
        sse = SseEndpoint(hub, running.authenticate, settings)
        app = Starlette(
            routes=[WebSocketRoute("/feed", endpoint.serve), Route("/sse", sse.serve, methods=["GET"])]
        )
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", timeout_graceful_shutdown=5, **UVICORN_OPTIONS
        )
        running.server = uvicorn.Server(config)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            following = group.create_task(hub.run())
            serving = group.create_task(running.server.serve([listener]))
            await until(lambda: running.server.started)
            try:
                yield running
            finally:
                running.server.should_exit = True
                await serving
                following.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is another task's state
        await asyncio.sleep(0.01)


async def take(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def bye(socket: ClientConnection) -> tuple[dict[str, Any], int]:
    """Return the farewell and the close code."""
    message = await take(socket, "bye")
    async with asyncio.timeout(10):
        try:
            await socket.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return message, closed.rcvd.code
    raise AssertionError("a frame after bye")


async def test_a_console_is_brought_up_to_date_and_then_follows() -> None:
    async with feed() as running:
        running.log.touch("inc-1", "a")
        running.hub.wake()
        async with running.connect() as socket:
            assert socket.subprotocol == "ioc.feed.v1"
            await socket.send(HELLO)
            welcome = await take(socket, "welcome")
            assert (welcome["mode"], welcome["hb_ms"]) == ("snapshot", 15_000)
            await take(socket, "snap")
            running.log.touch("inc-2", "a")
            running.hub.wake()
            while True:
                change = await take(socket, "ev")
                if change["to"] == 2:
                    break
            assert change["events"][-1]["incident"]["id"] == "inc-2"
            running.hub.apply_event(event("det-1", TrafficFlow(speed_kmh=31.0)))
            assert (await take(socket, "state"))["set"][0]["speed_kmh"] == 31.0
            delays = {"p50_ms": 80, "p99_ms": 400, "count": 12}
            await socket.send(json.dumps({"type": "ping", "t": 5, "delays": delays}))
            pong = await take(socket, "pong")
            assert pong["t"] == 5 and pong["server_time"] >= welcome["server_time"]
            assert running.figures.get_sample_value("ioc_feed_screen_changes_total") == 12


async def test_a_console_resumes_where_it_was() -> None:
    async with feed() as running:
        async with running.connect() as socket:
            await socket.send(HELLO)
            snap = await take(socket, "snap")
        running.log.touch("inc-1", "a")
        running.hub.wake()
        async with running.connect() as socket:
            resume = {"epoch": snap["epoch"], "offset": snap["offset"]}
            await socket.send(json.dumps({"type": "hello", "client": "t", "resume": resume}))
            assert (await take(socket, "welcome"))["mode"] == "resume"
            change = await take(socket, "ev")
            assert (change["from"], change["to"]) == (1, 1)


async def test_whoever_may_not_enter_is_told_why() -> None:
    async with feed() as running:
        cases: list[tuple[dict[str, Any], int]] = [
            ({"token": "unknown"}, 4401),
            ({"origin": "https://evil.example"}, 4403),
            ({"origin": f"http://127.0.0.1:{running.port}.evil.example"}, 4403),
            ({"origin": None}, 4403),
            ({"subprotocols": None}, 4400),
        ]
        for options, code in cases:
            async with running.connect(**options) as socket:
                message, closed = await bye(socket)
                assert (message["code"], closed) == (code, code), options
                assert message["reconnect"] is False


async def test_a_configured_origin_may_enter() -> None:
    settings = SocketSettings(origins=frozenset({"https://ioc.example.vn"}))
    async with feed(settings=settings) as running, running.connect(origin="https://ioc.example.vn") as socket:
        await socket.send(HELLO)
        await take(socket, "welcome")


async def test_a_client_that_says_nothing_is_closed() -> None:
    hurried = HubSettings(session=SessionLimits(hello_us=50_000))
    async with feed(hurried) as running, running.connect() as socket:
        assert (await bye(socket))[1] == 4408


async def test_nonsense_and_oversized_frames_close_the_socket() -> None:
    async with feed() as running:
        for text, code in ((b"\x00", 4400), ("nonsense", 4400), ('{"type":"' + "x" * 20_000 + '"}', 4413)):
            async with running.connect() as socket:
                await socket.send(text)
                assert (await bye(socket))[1] == code


async def test_beyond_what_the_server_takes_at_all_it_closes_with_its_own_code() -> None:
    async with feed() as running, running.connect() as socket:
        await socket.send("x" * (WS_MAX_BYTES + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        await until(lambda: running.hub.clients == 0)


async def test_a_sixth_socket_of_one_person_is_refused_until_one_closes() -> None:
    async with feed() as running:
        sockets = [await running.connect() for _ in range(5)]
        async with running.connect() as sixth:
            message, closed = await bye(sixth)
            assert closed == 4429 and message["after_ms"] > 0
        await sockets[0].close()
        await until(lambda: running.hub.clients < 5)
        async with running.connect() as socket:
            await socket.send(HELLO)
            await take(socket, "welcome")
        for socket in sockets[1:]:
            await socket.close()


async def test_a_logout_closes_at_once_and_a_revoked_session_within_the_revalidation() -> None:
    async with feed(settings=SocketSettings(revalidate_s=0.05)) as running:
        async with running.connect() as socket:
            await socket.send(HELLO)
            await take(socket, "welcome")
            running.hub.close_login("login-1")
            assert (await bye(socket))[1] == 4401
        async with running.connect() as socket:
            await socket.send(HELLO)
            await take(socket, "welcome")
            running.viewers.clear()
            assert (await bye(socket))[1] == 4401


async def test_other_wards_make_the_client_begin_anew() -> None:
    async with feed(settings=SocketSettings(revalidate_s=0.05)) as running, running.connect() as socket:
        await socket.send(HELLO)
        await take(socket, "welcome")
        running.viewers["token"] = Viewer("an", "login-1", Scope(frozenset({"a"})))
        message, code = await bye(socket)
        assert (code, message["reason"], message["reconnect"]) == (4409, "scope_changed", True)


async def test_a_client_proves_itself_again_without_leaving_and_goes_on_with_the_newer_token() -> None:
    async with feed() as running, running.connect() as socket:
        await socket.send(HELLO)
        await take(socket, "welcome")
        await socket.send('{"type":"auth"}')
        assert (await take(socket, "notice"))["code"] == "authenticated"
        running.viewers["newer"] = Viewer("an", "login-2", Scope())
        await socket.send('{"type":"auth","token":"newer"}')
        assert (await take(socket, "notice"))["code"] == "authenticated"
        del running.viewers["token"]
        await socket.send('{"type":"auth"}')
        assert (await take(socket, "notice"))["code"] == "authenticated"
        running.hub.close_login("login-2")
        assert (await bye(socket))[1] == 4401, "the socket belongs to the newer login"


@pytest.mark.parametrize("found", [None, Viewer("somebody else", "login-2", Scope())])
async def test_a_newer_token_that_is_nobodys_or_another_persons_ends_the_session(
    found: Viewer | None,
) -> None:
    async with feed() as running, running.connect() as socket:
        await socket.send(HELLO)
        await take(socket, "welcome")
        if found:
            running.viewers["newer"] = found
        await socket.send('{"type":"auth","token":"newer"}')
        assert (await bye(socket))[1] == 4401


async def test_a_shutdown_says_goodbye_and_does_not_hang() -> None:
    async with feed() as running:
        async with running.connect() as socket, running.connect() as silent:
            await socket.send(HELLO)
            await take(socket, "welcome")
            async with asyncio.timeout(5):
                await running.hub.shutdown()
            assert (await bye(socket))[1] == 4503
            assert (await bye(silent))[1] == 4503
        assert running.hub.clients == 0


async def test_a_server_that_stops_does_not_wait_for_open_sockets() -> None:
    async with feed() as running:
        socket = await running.connect()
        await socket.send(HELLO)
        await take(socket, "welcome")
        running.server.should_exit = True
        async with asyncio.timeout(4):
            await until(lambda: running.hub.clients == 0)
        await socket.close()


@pytest.mark.slow
async def test_a_stalled_reader_is_dropped_while_others_are_served() -> None:
    sizes = HubSettings(flush_s=0.01, read_gap_s=0.001, max_clients_per_user=9)
    async with feed(sizes, SocketSettings(send_timeout_s=0.3)) as running:
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", running.port))
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(raw, _handshake(running.port))
            assert b" 101 " in await loop.sock_recv(raw, 1024)
            await loop.sock_sendall(raw, _masked(HELLO))
            async with running.connect() as reader:
                await reader.send(HELLO)
                await take(reader, "snap")
                assert running.hub.clients == 2
                number = 0
                async with asyncio.timeout(20):
                    while running.hub.clients == 2:
                        for _ in range(200):
                            number += 1
                            running.log.touch(f"inc-{number}", "a")
                        running.hub.wake()
                        while (await take(reader, "ev"))["to"] < number:
                            pass


def _handshake(port: int) -> bytes:
    lines = (
        "GET /feed HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Origin: http://127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: ioc.feed.v1",
        "Cookie: ioc_session=token",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _masked(text: str) -> bytes:
    payload = text.encode()
    return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload


async def test_the_event_stream_gives_the_same_frames_and_resumes() -> None:
    async with feed() as running:
        running.log.touch("inc-1", "a")
        running.hub.wake()
        address = f"http://127.0.0.1:{running.port}/sse"
        async with httpx.AsyncClient(cookies={"ioc_session": "token"}, trust_env=False) as http:
            async with http.stream("GET", address) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                last_id = ""
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        last_id = line.removeprefix("id: ")
                    if '"last":true' in line:
                        break
            running.log.touch("inc-2", "a")
            running.hub.wake()
            async with http.stream("GET", address, headers={"Last-Event-ID": last_id}) as response:
                seen = []
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        seen.append(json.loads(line.removeprefix("data: ")))
                        if seen[-1].get("to") == 2:
                            break
            assert seen[0]["mode"] == "resume"
            assert seen[-1]["events"][-1]["incident"]["id"] == "inc-2"
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(address)).status_code == 401
