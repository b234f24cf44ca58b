"""Holds the streams of all devices that are registered for it, shared among the ingest processes.

A stream belongs to the process that has its lease (`ioc/store/attachments.py`). Changes of the registry are
seen within `check_s`: new streams begin, changed ones begin anew, removed ones end.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

import httpx
import structlog

from ioc.app.attach import alert_stream, metrics, pull_point
from ioc.app.attach.stream import AttachedStream
from ioc.app.attach.target import Target, target_of
from ioc.app.retry import RETRYABLE
from ioc.app.settings.attach import AttachSettings
from ioc.ingest.ports import Clock
from ioc.ingest.service import IngestService
from ioc.model.attachments import AttachState
from ioc.model.places import AttachKind, Device
from ioc.outbound.camera import CameraDoor, Reach
from ioc.outbound.destination import Destinations
from ioc.store import attachments as rows
from ioc.store.pool import Pool

CLAIM_AT_ONCE: Final = 32
"""Streams taken per look, so that processes that start together share them."""
LEASE_MARGIN_S: Final = 1.0
"""Streams are let go so long before the lease ends."""

_log = structlog.get_logger()


class Registered(Protocol):
    """The registered devices, as of now."""

    @property
    def devices(self) -> Iterable[Device]:
        """All of them."""
        ...


class _Running(NamedTuple):
    stream: AttachedStream
    task: asyncio.Task[None]


class Attacher:
    """One in each process that takes events."""

    def __init__(
        self,
        pool: Pool,
        directory: Registered,
        reach_of: Callable[[Device], Reach],
        service: IngestService,
        allowed: Destinations,
        settings: AttachSettings,
        clock: Clock,
    ) -> None:
        """Prepare to hold streams of `directory`'s devices, at `allowed` addresses."""
        self._pool = pool
        self._directory = directory
        self._reach_of = reach_of
        self._service = service
        self._allowed = allowed
        self._settings = settings
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._lease = timedelta(seconds=settings.lease_s)
        self._running: dict[str, _Running] = {}
        self._ours: dict[str, Target] = {}
        """Streams whose lease we have, each with what it was begun with."""
        self._renewed_s = 0.0
        self._others: list[str] = []
        """What somebody else holds, or nobody; asked for again at `_claim_at_s`, or when it changes."""
        self._claim_at_s = 0.0
        self._connecting = asyncio.Semaphore(settings.max_connecting)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Hold streams until `stop`, or cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while not self._stopping.is_set():
                    try:
                        await self.look(group)
                    except (*RETRYABLE, TimeoutError) as error:
                        _log.warning("attached streams wait for the database", error=str(error))
                        self._let_go_in_time()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._settings.check_s):
                            await self._stopping.wait()
                await self._finish()
        finally:
            await self._tell_last()

    async def stop(self) -> None:
        """Ask `run` to end: what is being stored becomes durable, then connections are closed."""
        self._stopping.set()

    async def look(self, group: asyncio.TaskGroup) -> None:
        """Bring what runs in line with what is registered and with the leases."""
        disabled = self._service.registry.disabled
        wanted = {
            device.id: target
            for device in self._directory.devices
            if device.attach is not None
            and not disabled(device.id)
            and (target := target_of(device, self._reach_of(device))) is not None
        }
        gone = [device_id for device_id in self._ours if device_id not in wanted]
        self._forget(gone)
        await self._release(gone)
        if self._due():
            await self._renew()
        for device_id, target in self._ours.items():
            if target != wanted[device_id]:
                self._running[device_id].task.cancel()
        await self._claim(group, wanted)
        self._begin_changed(group, wanted)
        self._count()

    def _due(self) -> bool:
        """Return whether leases are to be renewed: a third of them is over, or there is news."""
        if not self._ours:
            return False
        return time.monotonic() - self._renewed_s > self._settings.lease_s / 3 or any(
            each.stream.changed for each in self._running.values()
        )

    async def _renew(self) -> None:
        begun_s = time.monotonic()
        standings = [self._running[device_id].stream.standing() for device_id in self._ours]
        try:
            async with asyncio.timeout(self._patience_s), self._pool.connection() as connection:
                held = await rows.renew(connection, self._owner, standings, self._lease)
        except (*RETRYABLE, TimeoutError):
            for standing in standings:
                self._running[standing.device_id].stream.untold(standing)
            raise
        self._renewed_s = begun_s
        self._forget([device_id for device_id in self._ours if device_id not in held])

    @property
    def _left_s(self) -> float:
        """Seconds until our streams must be let go."""
        return self._renewed_s + self._settings.lease_s - LEASE_MARGIN_S - time.monotonic()

    @property
    def _patience_s(self) -> float:
        """How long the database may take."""
        longest_s = self._settings.lease_s / 3
        return min(max(self._left_s, 0.0), longest_s) if self._ours else longest_s

    def _let_go_in_time(self) -> None:
        """Close what others may take over, since we could not say that we are alive."""
        if self._ours and self._left_s <= 0:
            _log.warning("attached streams are let go: their leases could not be renewed")
            self._forget(list(self._ours))

    async def _claim(self, group: asyncio.TaskGroup, wanted: Mapping[str, Target]) -> None:
        others = [device_id for device_id in wanted if device_id not in self._ours]
        begun_s = time.monotonic()
        if others == self._others and (not others or begun_s < self._claim_at_s):
            return
        room = min(self._settings.max_streams - len(self._ours), CLAIM_AT_ONCE)
        async with asyncio.timeout(self._patience_s), self._pool.connection() as connection:
            claimed = await rows.claim(connection, self._owner, others, self._lease, room) if room > 0 else []
            metrics.unheld.set(await rows.count_unheld(connection, others))
        if claimed and not self._ours:
            self._renewed_s = begun_s
        self._others = [device_id for device_id in others if device_id not in {each[0] for each in claimed}]
        self._claim_at_s = begun_s + (0.0 if len(claimed) == CLAIM_AT_ONCE else self._settings.lease_s / 3)
        for device_id, failures, wait_s in claimed:
            self._ours[device_id] = wanted[device_id]
            self._begin(group, device_id, failures=failures, wait_s=wait_s)

    def _begin_changed(self, group: asyncio.TaskGroup, wanted: Mapping[str, Target]) -> None:
        """Begin anew what was registered otherwise, once the old connection has ended."""
        for device_id, target in self._ours.items():
            if device_id not in self._running or self._running[device_id].task.done():
                self._ours[device_id] = wanted.get(device_id, target)
                self._begin(group, device_id)

    def _begin(
        self, group: asyncio.TaskGroup, device_id: str, *, failures: int = 0, wait_s: float = 0.0
    ) -> None:
        target = self._ours[device_id]
        stream = AttachedStream(
            device_id, target, self._hold, self._service, self._settings, self._clock,
            failures=failures, wait_s=wait_s,
        )  # fmt: skip
        task = group.create_task(stream.run(), name=f"attached {device_id}")
        self._running[device_id] = _Running(stream, task)

    async def _hold(self, stream: AttachedStream) -> None:
        settings = self._settings
        timeout = httpx.Timeout(settings.timeout_s, read=settings.idle_s)
        door = CameraDoor(self._allowed, timeout, limits=httpx.Limits(max_connections=2))
        hold = pull_point.hold if stream.target.kind is AttachKind.ONVIF else alert_stream.hold
        try:
            await hold(stream, door, self._connecting)
        finally:
            await door.aclose()

    def _forget(self, device_ids: Iterable[str]) -> None:
        """Close streams that are no longer ours."""
        for device_id in device_ids:
            del self._ours[device_id]
            self._running.pop(device_id).task.cancel()

    async def _release(self, device_ids: list[str]) -> None:
        """Let others take streams at once; where that cannot be said, they do when the lease ends."""
        if not device_ids:
            return
        with suppress(TimeoutError, *RETRYABLE):
            async with asyncio.timeout(LEASE_MARGIN_S), self._pool.connection() as connection:
                await rows.release(connection, self._owner, device_ids)

    async def _finish(self) -> None:
        async with asyncio.TaskGroup() as group:
            for stream, task in self._running.values():
                group.create_task(stream.finish(task))

    async def _tell_last(self) -> None:
        with suppress(TimeoutError, *RETRYABLE):
            await self._renew()
        await self._release(list(self._ours))

    def _count(self) -> None:
        found = Counter(
            (each.stream.target.kind, each.stream.state)
            for device_id, each in self._running.items()
            if device_id in self._ours
        )
        for kind in AttachKind:
            for state in AttachState:
                metrics.streams.labels(kind.value, state.value).set(found[kind, state])
