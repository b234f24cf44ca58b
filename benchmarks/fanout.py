"""The feed's fan-out: many consoles, one of which never reads, on a server process of their own.

Every console looks at one of `--views` parts of the city. Loss is counted by offset and by (incident,
revision): each console must have been given every change, in order and once. The delay is from the `updated`
of a frame's oldest change to its arrival in this process, which reads for all consoles and so adds to it. On
a machine that others use, `cpu_us_per_frame` and `cpu_share` beside `load_average` say more than delays.
`--idle N` instead measures what N silent consoles cost in memory.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import datetime
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from benchmarks.fanout_server import EAST, NORTH, SOUTH, WEST
from benchmarks.machine import cpu_seconds, percentile, resident_mb
from benchmarks.service import free_port

START_TIMEOUT_S = 30.0
SETTLE_S = 30.0
_EVENTS = b'{"type":"ev"'
_PING = b'{"type":"ping"'
_SNAP = b'{"type":"snap"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--consoles", type=int, default=500, help="consoles that read")
    parser.add_argument("--changes", type=float, default=50, help="incident changes a second")
    parser.add_argument("--states", type=float, default=25_000, help="state updates a second")
    parser.add_argument("--entities", type=int, default=10_000, help="cameras and detectors")
    parser.add_argument("--views", type=int, default=100, help="different parts of the city looked at")
    parser.add_argument("--seconds", type=float, default=60, help="length of the measurement")
    parser.add_argument("--idle", type=int, default=0, help="measure the memory of this many idle consoles")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    with feed_server(arguments.entities) as (process, port):
        if arguments.idle:
            return asyncio.run(_idle(process, port, arguments))
        return asyncio.run(_busy(process, port, arguments))


@contextmanager
def feed_server(entities: int, *options: str) -> Iterator[tuple[psutil.Process, int]]:
    """Run `benchmarks.fanout_server` with more `options`; yields its process and port."""
    port = free_port()
    command = ["-m", "benchmarks.fanout_server", "--port", str(port), "--entities", str(entities), *options]
    with subprocess.Popen([sys.executable, *command]) as child:
        try:
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while time.monotonic() < deadline_s:
                if child.poll() is not None:
                    raise RuntimeError(f"the server ended with code {child.returncode}")
                with suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/figures", timeout=2)
                    break
                time.sleep(0.1)
            yield psutil.Process(child.pid), port
        finally:
            child.terminate()


class _Console:
    """One console: what it was given, and when."""

    def __init__(self, shared: "_Shared", view: list[float]) -> None:
        self._shared = shared
        self._view = view
        self.joined = asyncio.Event()
        self.position = 0
        self.lost = self.repeated = 0
        self.changes = 0
        self.bytes = self.frames = 0
        self._revs: dict[str, int] = {}

    async def follow(self, socket: ClientConnection) -> None:
        """Read until the socket closes."""
        await socket.send(json.dumps({"type": "hello", "client": "benchmark"}))
        await socket.send(json.dumps({"type": "view", "bbox": self._view}))
        with suppress(ConnectionClosed):
            while True:
                self._take(data := await socket.recv(decode=False))
                if data.startswith(_PING):
                    await socket.send(json.dumps({"type": "pong", "t": json.loads(data)["t"]}))

    def _take(self, data: bytes) -> None:
        self.bytes += len(data)
        self.frames += 1
        if data.startswith(_EVENTS):
            first, last, at_ms, events = self._shared.parsed(data)
            self._shared.delays_ms.append(time.time() * 1000 - at_ms)
            self.lost += first != self.position + 1
            self.position = last
            self.changes += len(events)
            for incident, rev in events:
                known = self._revs.get(incident, rev - 1)
                self.lost += max(0, rev - known - 1)
                self.repeated += rev <= known
                self._revs[incident] = rev
        elif data.startswith(_SNAP):
            page = json.loads(data)
            self._revs |= {item["id"]: item["rev"] for item in page["items"]}
            if page["last"]:
                self.position = page["offset"]
                self.joined.set()


class _Shared:
    """What consoles share here: a frame that many get is parsed once."""

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self._data = b""
        self._parsed: tuple[int, int, float, list[tuple[str, int]]] = (0, 0, 0.0, [])

    def parsed(self, data: bytes) -> tuple[int, int, float, list[tuple[str, int]]]:
        """Return (first offset, last offset, oldest change's time in ms, (incident, revision) of each)."""
        if data != self._data:
            frame = json.loads(data)
            incidents = [each["incident"] for each in frame["events"]]
            oldest_ms = min(datetime.fromisoformat(each["updated"]).timestamp() for each in incidents) * 1000
            self._data = data
            self._parsed = (
                frame["from"],
                frame["to"],
                oldest_ms,
                [(each["id"], each["rev"]) for each in incidents],
            )
        return self._parsed


async def _busy(server: psutil.Process, port: int, arguments: argparse.Namespace) -> dict[str, object]:
    shared = _Shared()
    consoles = [_Console(shared, _view(number % arguments.views)) for number in range(arguments.consoles)]
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as control,
        AsyncExitStack() as sockets,
        asyncio.TaskGroup() as group,
    ):
        stalled = await sockets.enter_async_context(_socket(port, "stalled", max_queue=1))
        await stalled.send(json.dumps({"type": "hello", "client": "stalled"}))
        tasks = await _join(consoles, port, sockets, group)
        await _pace(control, arguments.changes, arguments.states)
        await asyncio.sleep(min(10.0, arguments.seconds / 4))  # warm-up
        shared.delays_ms.clear()
        before, measured = await _figures(control), _Cost(server)
        given = _given(consoles)
        memory = await _watch(server, arguments.seconds)
        after, cost = await _figures(control), measured.spent()
        delays = list(shared.delays_ms)
        given = [now - then for now, then in zip(_given(consoles), given, strict=True)]
        final = (await _pace(control, 0, 0))["offset"]
        caught_up = await _all_reach(consoles, final)
        slow = (await _figures(control))["slow"]
        for task in tasks:
            task.cancel()
    elapsed_s = cost["seconds"]
    load_cpu = (after["load_cpu_s"] - before["load_cpu_s"]) / elapsed_s
    return {
        "workload": {name: getattr(arguments, name) for name in
                     ("consoles", "changes", "states", "entities", "views", "seconds")} | {"stalled": 1},
        "events_per_s": round((after["states"] - before["states"]) / elapsed_s),
        "changes_per_s": round((after["offset"] - before["offset"]) / elapsed_s, 1),
        "lost": sum(console.lost + final - console.position for console in consoles),
        "repeated": sum(console.repeated for console in consoles),
        "behind_at_the_end": arguments.consoles - caught_up,
        "stalled_closed_as_slow": int(slow),
        "p50_ms": round(percentile(delays, 0.5), 1),
        "p99_ms": round(percentile(delays, 0.99), 1),
        "max_ms": round(max(delays, default=0.0), 1),
        "delivered_changes_per_s": round(given[2] / elapsed_s),
        "delivered_frames_per_s": round(given[1] / elapsed_s),
        "delivered_mb_per_s": round(given[0] / elapsed_s / 1e6, 1),
        "cpu_us_per_frame": round(cost["server"] * elapsed_s / max(1, given[1]) * 1e6, 1),
        "conflated": int(after["conflated"] - before["conflated"]),
        "cpu_share": round(cost["server"], 3),
        "cpu_share_of_making_the_load": round(load_cpu, 3),
        "cpu_share_of_the_consoles": round(cost["own"], 3),
        "load_average": round(os.getloadavg()[0], 1),
        "rss_start_mb": memory[0],
        "rss_mb": memory[-1],
    }  # fmt: skip


async def _join(
    consoles: Sequence["_Console"], port: int, sockets: AsyncExitStack, group: asyncio.TaskGroup
) -> list[asyncio.Task[None]]:
    """Connect all of `consoles` and return what follows the feed once every one is live."""
    tasks = []
    for number, console in enumerate(consoles):
        socket = await sockets.enter_async_context(_socket(port, f"user-{number}"))
        tasks.append(group.create_task(console.follow(socket)))
    for console in consoles:
        await console.joined.wait()
    return tasks


async def _idle(server: psutil.Process, port: int, arguments: argparse.Namespace) -> dict[str, object]:
    before_mb = resident_mb([server])
    consoles = [_Console(_Shared(), _view(number % arguments.views)) for number in range(arguments.idle)]
    async with AsyncExitStack() as sockets, asyncio.TaskGroup() as group:
        tasks = await _join(consoles, port, sockets, group)
        memory = await _watch(server, arguments.seconds)
        for task in tasks:
            task.cancel()
    return {
        "workload": {"idle": arguments.idle, "entities": arguments.entities, "seconds": arguments.seconds},
        "rss_empty_mb": before_mb,
        "rss_mb": memory[-1],
        "more_mb": round(memory[-1] - before_mb, 1),
        "kb_per_console": round((memory[-1] - before_mb) * 1024 / arguments.idle, 1),
    }


class _Cost:
    """CPU of the server and of this process since it was made, as shares of one core."""

    def __init__(self, server: psutil.Process) -> None:
        self._server, self._own = server, psutil.Process()
        self._began = (time.monotonic(), cpu_seconds([server]), cpu_seconds([self._own]))

    def spent(self) -> dict[str, float]:
        """Return the seconds passed and both shares."""
        seconds = time.monotonic() - self._began[0]
        return {
            "seconds": seconds,
            "server": (cpu_seconds([self._server]) - self._began[1]) / seconds,
            "own": (cpu_seconds([self._own]) - self._began[2]) / seconds,
        }


async def _watch(server: psutil.Process, seconds: float) -> list[float]:
    """Return the server's memory in MB at the start, about each 5 s, and at the end."""
    memory, ends_s = [resident_mb([server])], time.monotonic() + seconds
    while (left_s := ends_s - time.monotonic()) > 0:
        await asyncio.sleep(min(5.0, left_s))
        memory.append(resident_mb([server]))
    return memory


def _given(consoles: list[_Console]) -> list[int]:
    """Return the bytes, frames and changes that all consoles were given so far."""
    return [
        sum(each) for each in zip(*((one.bytes, one.frames, one.changes) for one in consoles), strict=True)
    ]


async def _all_reach(consoles: list[_Console], offset: int) -> int:
    """Return how many consoles reached `offset` within `SETTLE_S`."""
    for _ in range(int(SETTLE_S / 0.1)):
        if all(console.position >= offset for console in consoles):
            break
        await asyncio.sleep(0.1)
    return sum(console.position >= offset for console in consoles)


def _socket(port: int, user: str, max_queue: int | None = 16) -> connect:
    return connect(
        f"ws://127.0.0.1:{port}/api/v1/feed",
        subprotocols=[Subprotocol("ioc.feed.v1")],
        additional_headers={"cookie": f"ioc_session={user}"},
        origin=Origin(f"http://127.0.0.1:{port}"),
        compression=None,
        max_size=None,
        max_queue=max_queue,
        ping_interval=None,
    )


def _view(number: int) -> list[float]:
    """Return a tenth of the city's width and height, the `number`th of a hundred."""
    wide, high = (EAST - WEST) / 10, (NORTH - SOUTH) / 10
    west, south = WEST + number % 10 * wide, SOUTH + number // 10 % 10 * high
    return [west, south, west + wide, south + high]


async def _figures(control: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await control.get("/figures")).json()
    return found


async def _pace(control: httpx.AsyncClient, changes: float, states: float) -> dict[str, Any]:
    wanted = {"changes_per_s": changes, "states_per_s": states}
    found: dict[str, Any] = (await control.post("/load", json=wanted)).json()
    return found
