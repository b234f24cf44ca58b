"""Runs services in one process and stops them in order: intake first, then the work, then the log.

A service that fails ends the process with its error: whoever started it starts it again, and everything
continues from the log.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from ioc.app.core import Core
from ioc.app.retry import RETRYABLE
from ioc.model.records import EVENTS_TOPIC
from ioc.store.positions import lags

DRAIN_S = 3.0
STOP_S = 6.0

Run = Callable[[], Awaitable[None]]
_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """Something that runs until cancelled. `stop` asks it to finish by itself instead."""

    name: str
    run: Run
    stop: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Plan:
    """The services of a process by the order of their end."""

    base: list[Service] = field(default_factory=list)
    work: list[Service] = field(default_factory=list)
    intake: list[Service] = field(default_factory=list)


async def supervise(plan: Plan, core: Core, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run `plan` until `stop` is set; then stop intake, drain, stop work, stop the rest."""
    async with asyncio.TaskGroup() as base_group:
        base = _start(base_group, plan.base)
        async with asyncio.TaskGroup() as work_group:
            work = _start(work_group, plan.work)
            async with asyncio.TaskGroup() as intake_group:
                intake = _start(intake_group, plan.intake)
                ready()
                await stop.wait()
                _log.info("stopping")
                await _finish(plan.intake, intake)
            await _drain(core)
            await _finish(plan.work, work)
        await _finish(plan.base, base)


def _start(group: asyncio.TaskGroup, services: Sequence[Service]) -> list[asyncio.Task[None]]:
    return [group.create_task(_named(service), name=service.name) for service in services]


async def _named(service: Service) -> None:
    try:
        await service.run()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            # Something it waited for was cancelled. The task group would let it vanish without a word.
            raise RuntimeError(f"service {service.name} was cancelled from within") from error
        raise
    except Exception as error:
        error.add_note(f"service {service.name}")
        raise


async def _finish(services: Sequence[Service], tasks: Sequence[asyncio.Task[None]]) -> None:
    for service, task in zip(services, tasks, strict=True):
        if service.stop is None:
            task.cancel()
        else:
            await service.stop()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=STOP_S)
        for task in late:
            _log.warning("service did not stop in time", service=task.get_name())
            task.cancel()


async def _drain(core: Core) -> None:
    """Wait until the groups have taken what was acknowledged; what is left is taken after the next start."""
    try:
        async with asyncio.timeout(DRAIN_S):
            # As of now: the ticker goes on writing.
            ends = await core.log.ends(EVENTS_TOPIC)
            while True:
                async with core.pool.connection() as connection:
                    behind = await lags(connection, EVENTS_TOPIC, ends)
                if not any(behind.values()):
                    return
                await asyncio.sleep(0.1)
    except (TimeoutError, *RETRYABLE):
        _log.info("stopping before everything was processed; the rest follows at the next start")


def stop_on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` at SIGINT and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
