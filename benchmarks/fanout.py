"""The feed's fan-out: many consoles, one of which never reads, on a server process of their own.

Every console looks at one of `--views` parts of the city. Loss is counted by offset and by (incident,
revision): each console must have been given every change, in order and once. The delay is from the `updated`
of a frame's oldest change to its arrival in this process, which reads for all consoles and so adds to it. On
a machine that others use, `cpu_us_per_frame` and `cpu_share` beside `load_average` say more than delays.
`--idle N` instead measures what N silent consoles cost in memory.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psutil
import uvloop

from benchmarks.fanout_console import Box, Console, Frames, connected
from benchmarks.fanout_server import EAST, NORTH, SOUTH, WEST
from benchmarks.machine import cpu_seconds, percentile, resident_mb
from benchmarks.ports import free_port

START_TIMEOUT_S = 30.0
SETTLE_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--consoles", type=int, default=500, help="consoles that read")
    parser.add_argument("--changes", type=float, default=50, help="incident changes a second")
    parser.add_argument("--states", type=float, default=25_000, help="state updates a second")
    parser.add_argument("--entities", type=int, default=10_000, help="cameras and detectors")
    parser.add_argument("--views", type=int, default=100, help="different parts of the city looked at")
    parser.add_argument("--whole", action="store_true", help="consoles that take no patches of incidents")
    parser.add_argument("--seconds", type=float, default=60, help="length of the measurement")
    parser.add_argument("--idle", type=int, default=0, help="measure the memory of this many idle consoles")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    with feed_server(arguments.entities) as (process, port):
        measure = _idle if arguments.idle else _busy
        return uvloop.run(measure(process, port, arguments))


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


async def _busy(server: psutil.Process, port: int, arguments: argparse.Namespace) -> dict[str, object]:
    frames = Frames()
    consoles = _consoles(frames, arguments.consoles, arguments.views, patches=not arguments.whole)
    stalled = Console(frames, "stalled", None, reads=False)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as control,
        connected([stalled, *consoles], port),
    ):
        await _pace(control, arguments.changes, arguments.states)
        await asyncio.sleep(min(10.0, arguments.seconds / 4))  # warm-up
        frames.delays_ms.clear()
        before, measured = await _figures(control), _Cost(server)
        given = _given(consoles)
        memory = await _watch(server, arguments.seconds)
        after, cost = await _figures(control), measured.spent()
        delays = list(frames.delays_ms)
        given = [now - then for now, then in zip(_given(consoles), given, strict=True)]
        final = (await _pace(control, 0, 0))["offset"]
        caught_up = await _all_reach(consoles, final)
        slow = (await _figures(control))["slow"]
    elapsed_s = cost["seconds"]
    load_cpu = (after["load_cpu_s"] - before["load_cpu_s"]) / elapsed_s
    return {
        "workload": {name: getattr(arguments, name) for name in
                     ("consoles", "changes", "states", "entities", "views", "whole", "seconds")
                     } | {"stalled": 1},
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
        "bytes_per_change": round(given[3] / max(1, given[2])),
        "cpu_us_per_frame": round(cost["server"] * elapsed_s / max(1, given[1]) * 1e6, 1),
        "conflated": int(after["conflated"] - before["conflated"]),
        "cpu_share": round(cost["server"], 3),
        "cpu_share_of_making_the_load": round(load_cpu, 3),
        "cpu_share_of_the_consoles": round(cost["own"], 3),
        "load_average": round(os.getloadavg()[0], 1),
        "rss_start_mb": memory[0],
        "rss_mb": memory[-1],
        "rss_by_tenth_mb": [memory[len(memory) * tenth // 10] for tenth in range(10)],
    }  # fmt: skip


async def _idle(server: psutil.Process, port: int, arguments: argparse.Namespace) -> dict[str, object]:
    before_mb = resident_mb([server])
    async with connected(_consoles(Frames(), arguments.idle, arguments.views), port):
        memory = await _watch(server, arguments.seconds)
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


def _given(consoles: list[Console]) -> list[int]:
    """Return the bytes, frames, changes and bytes of changes that all consoles were given so far."""
    given = ((one.bytes, one.frames, one.changes, one.change_bytes) for one in consoles)
    return [sum(each) for each in zip(*given, strict=True)]


async def _all_reach(consoles: list[Console], offset: int) -> int:
    """Return how many consoles reached `offset` within `SETTLE_S`."""
    for _ in range(int(SETTLE_S / 0.1)):
        if all(console.position >= offset for console in consoles):
            break
        await asyncio.sleep(0.1)
    return sum(console.position >= offset for console in consoles)


def _consoles(frames: Frames, count: int, views: int, *, patches: bool = True) -> list[Console]:
    return [
        Console(frames, f"user-{number}", _view(number % views, views), patches=patches)
        for number in range(count)
    ]


def _view(number: int, views: int) -> Box:
    """Return a tenth of the city's width and height; a hundred `views` cover the city, more overlap."""
    wide, high = (EAST - WEST) / 10, (NORTH - SOUTH) / 10
    turn = number // 100 / max(1.0, views / 100)
    west, south = WEST + (number % 10 + turn) * wide, SOUTH + (number // 10 % 10 + turn) * high
    return (round(west, 5), round(south, 5), round(west + wide, 5), round(south + high, 5))


async def _figures(control: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await control.get("/figures")).json()
    return found


async def _pace(control: httpx.AsyncClient, changes: float, states: float) -> dict[str, Any]:
    wanted = {"changes_per_s": changes, "states_per_s": states}
    found: dict[str, Any] = (await control.post("/load", json=wanted)).json()
    return found
