"""How a city is played from the command line: until a signal, with its progress on stderr."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer
from rich.console import Console
from rich.live import Live

from simulators import SimulatorError
from simulators.live import LiveCity, Status, Target
from simulators.outbox import Counters

T = TypeVar("T")
LOG_EVERY_S = 10.0


def target_of(url: str, mqtt: str) -> Target:
    """Return the service at `url` and the broker at `mqtt`, host:port."""
    host, _, port = mqtt.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise SimulatorError(f"--mqtt wants host:port, not {mqtt!r}")
    return Target(url, host, int(port))


def play_live(live: LiveCity, duration: float | None, quiet: bool, parent: int | None = None) -> Status:
    """Run `live` until a signal or its end; return the totals."""
    with _Teller(quiet) as teller:
        until_signal(lambda stop: live.run(stop, duration, teller.tell), parent)
    return live.status()


def until_signal(work: Callable[[asyncio.Event], Awaitable[T]], parent: int | None = None) -> T:
    """Run `work` with an event that SIGINT and SIGTERM set, and the end of process `parent`."""

    async def watch(stop: asyncio.Event) -> None:
        while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(1.0)
        stop.set()

    async def guarded() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if parent is None:
            return await work(stop)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(stop))
            result = await work(stop)
            watching.cancel()
        return result

    return asyncio.run(guarded())


def line_of(counters: Counters) -> str:
    """Return what became of the events, on one line."""
    shown = ("made", "acked", "waiting", "retried", "duplicate", "rejected", "shed", "dropped")
    return "  ".join(f"{name} {getattr(counters, name):,}" for name in shown)


def all_taken(counters: Counters) -> bool:
    """Return whether the service has all that was made."""
    return counters.acked == counters.made


class Troubles:
    """Says on stderr what keeps events from arriving, one line every ten seconds at most."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, trouble: str) -> None:
        """Say `trouble`, unless something was said a moment ago."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LOG_EVERY_S
            typer.echo(f"ioc-sim: {trouble}", err=True)


class _Teller:
    """Shows progress: one live line on a terminal, else a line every ten seconds on stderr."""

    def __init__(self, quiet: bool) -> None:
        console = Console(stderr=True)
        self._live = (
            Live(console=console, refresh_per_second=4) if console.is_terminal and not quiet else None
        )
        self._next = 0.0

    def __enter__(self) -> "_Teller":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def tell(self, status: Status) -> None:
        trouble = next(iter(status.troubles.values()), "")
        lanes = f"lanes {status.healthy}/{status.lanes}"
        crew = f"crew handled {status.crew.handled:,}  " if status.crew else ""
        told = f"citizens told {status.citizens.reports:,}  " if status.citizens else ""
        line = f"{status.uptime_s:7.0f} s  {line_of(status.counters)}  {lanes}  {crew}{told}{trouble}"
        if self._live:
            self._live.update(line)
        elif status.uptime_s >= self._next:
            self._next = status.uptime_s + LOG_EVERY_S
            typer.echo(line, err=True)
