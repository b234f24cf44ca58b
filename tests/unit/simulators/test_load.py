"""Open-loop load: the schedule waits for nobody, every event is told of, latency counts from its due time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from simulators.load import POST_EVENTS, SLOT_S, LoadReport, load

Answer = Callable[[int], Awaitable[bytes | None]]
"""What a sink says to a post of so many events; None breaks the connection."""


def answered(status: str, body: bytes = b"{}") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def taken(events: int) -> bytes:
    return answered("202 Accepted", b'{"accepted":%d}' % events)


@asynccontextmanager
async def sink(answer: Answer = taken) -> AsyncIterator[str]:
    """The smallest server that takes posts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                said = await answer((await reader.readexactly(length)).count(b"\n"))
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def offered(url: str, rate: float, duration_s: float, connections: int = 64) -> LoadReport:
    report = await load(
        url, "k", ["det-1", "det-2"], rate, duration_s, asyncio.Event(), connections=connections
    )
    ends = (report.unsent, report.acked, report.shed, report.rejected, report.refused_429, report.refused_503)
    assert report.offered == sum(ends) + report.unanswered + report.failed
    return report


async def test_20000_events_a_second_cost_the_sender_less_than_a_core() -> None:
    async with sink() as url:
        # The sink's own work is in this time, too.
        report = await offered(url, 20_000, 1.0, connections=1024)
    assert report.acked == report.offered == 20_000
    assert report.cpu_s < 1.0
    assert report.p50_ms is not None and report.p999_ms is not None and report.max_ms is not None
    assert report.p50_ms <= report.p999_ms <= report.max_ms


async def test_a_service_that_stalls_does_not_slow_the_schedule_and_shows_in_the_latencies() -> None:
    free = asyncio.Event()

    async def stalled(events: int) -> bytes:
        await free.wait()
        return await taken(events)

    def told(_: LoadReport, seconds: float) -> None:
        if seconds >= 0.4 - SLOT_S / 2:
            free.set()

    async with sink(stalled) as url:
        report = await load(url, "k", ["det-1"], 2_000, 0.4, asyncio.Event(), told, connections=4)
    assert report.offered == 800
    # Four posts of 100 find a connection, the other four slots none: they are not kept for later.
    assert (report.acked, report.unsent) == (400, 400)
    assert report.max_ms is not None and report.max_ms >= 340
    assert report.p50_ms is not None and report.p50_ms >= 190


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (answered("429 Too Many Requests"), "refused_429"),
        (answered("503 Service Unavailable"), "refused_503"),
        (None, "unanswered"),
        (answered("422 Unprocessable Entity"), "rejected"),
        (answered("500 Internal Server Error"), "failed"),
    ],
)
async def test_what_was_not_taken_is_told_by_how(said: bytes | None, field: str) -> None:
    async def refuse(_: int) -> bytes | None:
        return said

    async with sink(refuse) as url:
        report = await offered(url, 1_000, 0.1)
    assert getattr(report, field) == report.offered == 100


async def test_a_dead_service_is_told_and_not_waited_for() -> None:
    report = await offered("http://127.0.0.1:1", 100, 0.2)
    assert (report.offered, report.failed, report.acked) == (20, 20, 0)
    assert report.p50_ms is None
    assert report.errors == {"ConnectError": 20}


async def test_posts_are_bounded_and_progress_is_told() -> None:
    sizes: list[int] = []
    heard: list[float] = []

    async def measure(events: int) -> bytes:
        sizes.append(events)
        return await taken(events)

    async with sink(measure) as url:
        rate = 2.5 * POST_EVENTS / SLOT_S
        await load(url, "k", ["det-1"], rate, 2 * SLOT_S, asyncio.Event(), lambda _, s: heard.append(s))
    assert sorted(sizes, reverse=True) == [POST_EVENTS] * 4 + [POST_EVENTS // 2] * 2
    assert heard == pytest.approx([SLOT_S, 2 * SLOT_S])
