"""The whole way of an event: HTTP in, logged, stored, rules on, incidents to a connected console.

Two phases over one fresh service. *Sustained*: an open-loop schedule offers `--rate` events a second for
`--seconds`; it holds when everything is acknowledged, stored and evaluated when the last event was sent plus
two seconds. *Latency*: at `--latency-rate` events a second, wrong-way alarms are timed from just before they
are posted until the console's socket delivers the incident.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import psutil
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from benchmarks import backlog
from benchmarks.broker import running_broker
from benchmarks.machine import cpu_seconds, family, percentile, resident_mb
from benchmarks.service import Service, kafka_environment, running_service
from benchmarks.workload import Workload, schedule

POSTS_PER_S = 30.0
PROBES_PER_S = 4.0
WARM_UP_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--log", choices=["embedded", "kafka"], default="embedded", help="where the log is")
    parser.add_argument("--rate", type=float, default=3000, help="events a second, sustained phase")
    parser.add_argument("--seconds", type=float, default=60, help="length of the sustained phase")
    parser.add_argument("--latency-rate", type=float, default=1000, help="events a second, latency phase")
    parser.add_argument("--latency-seconds", type=float, default=30, help="length of the latency phase")
    parser.add_argument(
        "--backlog", type=int, default=0, help="measure memory and rate at so many events waiting"
    )


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    if arguments.backlog:
        return backlog.run(arguments)
    if arguments.log == "embedded":
        with running_service() as service:
            return asyncio.run(_measure(service, arguments))
    with running_broker() as broker, running_service(kafka_environment(broker.address)) as service:
        measured = asyncio.run(_measure(service, arguments))
        spent = family(broker.pid)
        return measured | {"broker": {"rss_mb": resident_mb(spent), "cpu_s": round(cpu_seconds(spent), 1)}}


@dataclass
class _Load:
    """What one open-loop phase did."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    failed: int = 0
    late_s: float = 0.0
    post_ms: list[float] = field(default_factory=list)


@dataclass
class _Console:
    """A connected console: when each source's incident arrived."""

    delivered_s: dict[str, float] = field(default_factory=dict)
    frames: int = 0
    states: int = 0


async def _measure(service: Service, arguments: argparse.Namespace) -> dict[str, object]:
    workload = Workload(service.devices("camera"), service.devices("detector"))
    headers = {
        "authorization": f"Bearer {service.add_gateway()}",
        "content-type": "application/x-ndjson",
    }
    console = _Console()
    async with (
        asyncio.TaskGroup() as group,
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=30) as client,
    ):
        follower = group.create_task(_follow(service, console))
        _say("warming up")
        await _offer(client, workload, arguments.rate, WARM_UP_S)
        sustained = await _sustained(client, service, workload, arguments)
        latency = await _latency(client, workload, console, arguments)
        follower.cancel()
    return {
        "workload": {
            "log": arguments.log,
            "rate_per_s": arguments.rate,
            "seconds": arguments.seconds,
            "cameras": 300,
            "detectors": 120,
        },
        **sustained,
        **latency,
        "console": {"frames": console.frames, "states": console.states},
    }


async def _sustained(
    client: httpx.AsyncClient, service: Service, workload: Workload, arguments: argparse.Namespace
) -> dict[str, object]:
    _say(f"offering {arguments.rate:.0f} events/s for {arguments.seconds:.0f} s")
    processes = service.processes()
    before, cpu_before, started_s = service.metrics(), cpu_seconds(processes), time.monotonic()
    memory: list[tuple[float, float]] = []
    async with asyncio.TaskGroup() as group:
        sampler = group.create_task(_sample(service, memory))
        load = await _offer(client, workload, arguments.rate, arguments.seconds)
        sampler.cancel()
    elapsed_s = time.monotonic() - started_s
    cpu = (cpu_seconds(processes) - cpu_before) / elapsed_s
    await asyncio.sleep(2.0)
    after = service.metrics()
    spent = {name: after.get(name, 0.0) - before.get(name, 0.0) for name in after}
    stored = spent.get("ioc_store_rows_total", 0.0)
    return {
        "events_per_s": round(load.accepted / elapsed_s, 1),
        "accepted": load.accepted,
        "rejected": load.rejected,
        "failed": load.failed,
        "stored_2s_after": int(stored),
        "held": load.failed == 0 and load.rejected == 0 and stored >= load.accepted and load.late_s < 1.0,
        "late_s": round(load.late_s, 2),
        "post_p50_ms": round(percentile(load.post_ms, 0.5), 1),
        "post_p99_ms": round(percentile(load.post_ms, 0.99), 1),
        **_memory(memory),
        "cpu_share": round(cpu, 2),
        "seconds_spent": {
            name.removesuffix("_seconds_sum"): round(value, 2)
            for name, value in sorted(spent.items())
            if name.startswith("ioc_") and name.endswith("_seconds_sum") and value > 0
        },
    }


async def _latency(
    client: httpx.AsyncClient,
    workload: Workload,
    console: _Console,
    arguments: argparse.Namespace,
) -> dict[str, object]:
    _say(f"timing event to screen at {arguments.latency_rate:.0f} events/s")
    posted_s: dict[str, float] = {}

    async def probe() -> None:
        while True:
            camera, body = workload.probe()
            posted_s.setdefault(camera, time.monotonic())
            await _post(client, body, _Load(), 1)
            await asyncio.sleep(1 / PROBES_PER_S)

    async with asyncio.TaskGroup() as group:
        prober = group.create_task(probe())
        await _offer(client, workload, arguments.latency_rate, arguments.latency_seconds)
        prober.cancel()
    await asyncio.sleep(2.0)
    delays_ms = [
        (console.delivered_s[camera] - at_s) * 1000
        for camera, at_s in posted_s.items()
        if camera in console.delivered_s
    ]
    return {
        "probes": len(posted_s),
        "probes_delivered": len(delays_ms),
        "p50_ms": round(percentile(delays_ms, 0.5), 1),
        "p99_ms": round(percentile(delays_ms, 0.99), 1),
        "max_ms": round(max(delays_ms, default=0.0), 1),
    }


async def _offer(client: httpx.AsyncClient, workload: Workload, rate: float, seconds: float) -> _Load:
    load = _Load()
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for at_s, size in schedule(rate, seconds, POSTS_PER_S):
            body = workload.lines(size)
            wait_s = started_s + at_s - time.monotonic()
            load.late_s = max(load.late_s, -wait_s)
            await asyncio.sleep(max(0.0, wait_s))
            load.sent += size
            group.create_task(_post(client, body, load, size))
    return load


async def _post(client: httpx.AsyncClient, body: bytes, load: _Load, size: int) -> None:
    started_s = time.monotonic()
    try:
        answer = await client.post("/api/v1/ingest/events", content=body)
    except httpx.HTTPError:
        load.failed += size
        return
    load.post_ms.append((time.monotonic() - started_s) * 1000)
    if answer.status_code != 202:
        load.failed += size
        return
    outcome = answer.json()
    load.accepted += outcome["accepted"]
    load.rejected += len(outcome["rejected"])


async def _sample(service: Service, memory: list[tuple[float, float]]) -> None:
    """Append (our process, database) in MB every two seconds."""
    while True:
        with suppress(psutil.Error):
            database = family(service.postmaster())
            own = [process for process in service.processes() if process not in database]
            memory.append((resident_mb(own), resident_mb(database)))
        await asyncio.sleep(2.0)


def _memory(samples: list[tuple[float, float]]) -> dict[str, object]:
    """Return the peak, and means of the first and last third: flat memory has equal thirds.

    The database's own share grows until its buffers (128 MB) have been touched once, and then stays.
    """
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    return {
        "rss_mb": max((own + database for own, database in samples), default=0.0),
        "rss_service_mb": [_mean(own for own, _ in part) for part in (first, last)],
        "rss_database_mb": [_mean(database for _, database in part) for part in (first, last)],
    }


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return round(sum(found) / len(found), 1) if found else 0.0


async def _follow(service: Service, console: _Console) -> None:
    url = service.url.replace("http", "ws", 1) + "/api/v1/feed"
    headers = service.login()
    async with connect(
        url, subprotocols=[Subprotocol("ioc.feed.v1")], additional_headers=headers, max_size=None
    ) as socket:
        await socket.send(json.dumps({"type": "hello", "client": "benchmark", "lang": "vi"}))
        async for text in socket:
            arrived_s = time.monotonic()
            frame = json.loads(text)
            console.frames += 1
            if frame["type"] == "ev":
                for event in frame["events"]:
                    incident = event["incident"]
                    if incident["rule"] == "wrong-way":
                        console.delivered_s.setdefault(incident["source"], arrived_s)
            elif frame["type"] == "state":
                console.states += len(frame["set"])
            elif frame["type"] == "ping":
                await socket.send(json.dumps({"type": "pong", "t": frame["t"]}))


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
