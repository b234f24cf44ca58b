"""The running city against a small HTTP service: everything made is delivered, and a stop is quick."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from simulators.fleet import Fleet
from simulators.live import LiveCity, Status, Target
from simulators.recording import Detection, Frame, Place
from simulators.replay import replay
from simulators.senders import KeysError
from simulators.world import World


@contextmanager
def service() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """An ingest endpoint that takes everything and notes (source, id)."""
    taken: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            events = [json.loads(line) for line in body.splitlines()]
            taken.extend((event["source"], event["id"]) for event in events)
            answer = json.dumps({"accepted": len(events), "duplicate": 0, "rejected": []}).encode()
            self.send_response(202)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def live(fleet: Fleet, url: str, *parts: str) -> LiveCity:
    world = World(fleet, [], seed=1, start_us=time.time_ns() // 1000)
    keys = {unit.id: "k" for unit in fleet.units.values()}
    return LiveCity(world, Target(url, "127.0.0.1", 1), keys, parts)


async def test_all_that_is_made_is_delivered_once_before_the_end(fleet: Fleet) -> None:
    with service() as (url, taken):
        city, seen, stop = live(fleet, url, "detectors"), list[Status](), asyncio.Event()

        def watch(status: Status) -> None:
            seen.append(status)
            if status.counters.made > 5:
                stop.set()

        await city.run(stop, 60, watch)
    counters = city.status().counters
    assert counters.made == counters.acked == len(taken) == len(set(taken)) > 5
    assert {source[:4] for source, _ in taken} == {"det-"}
    assert seen[0].lanes == 1


async def test_a_stop_is_soon_even_without_a_service(fleet: Fleet) -> None:
    city, stop = live(fleet, "http://127.0.0.1:1"), asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(city.run(stop, None, lambda _: None))
        while city.status().counters.made < 20:  # noqa: ASYNC110 - the city has no event for this
            await asyncio.sleep(0.05)
        began = time.monotonic()
        stop.set()
    assert time.monotonic() - began < 10  # three on a machine that does nothing else
    counters = city.status().counters
    assert counters.made == counters.waiting
    assert (counters.acked, counters.dropped) == (0, 0)


def test_a_sender_without_a_key_stops_the_start(fleet: Fleet) -> None:
    world = World(fleet, [], seed=1, start_us=0)
    with pytest.raises(KeysError, match="gw-traffic"):
        LiveCity(world, Target("http://x", "x", 1), {}, ["detectors"])


async def test_a_replay_delivers_the_whole_recording() -> None:
    box = Detection("car", Place(0.5, 0.5, 0.1, 0.1), 0.9)
    frames = [Frame(number, [box]) for number in range(60)]
    with service() as (url, taken):
        counters = await replay(
            frames, "cam-1", url=url, sender="cam-1", key="k", stop=asyncio.Event(), speed=4.0
        )
    assert counters.acked == counters.made == len(taken) == 12 + 2


async def test_a_replay_that_reaches_nobody_says_so() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        told: list[str | None] = []
        frames = [Frame(0, [Detection("car", Place(0.5, 0.5, 0.1, 0.1), 0.9)])]
        counters = await replay(
            frames,
            "cam-1",
            url=url,
            sender="cam-1",
            key="k",
            stop=asyncio.Event(),
            tell=lambda _, trouble: told.append(trouble),
        )
    assert counters.made == counters.waiting > 0
    assert told[-1] is not None
    assert told[-1].startswith("ConnectError")
