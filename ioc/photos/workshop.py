"""Few processes at a time that re-encode pictures, each for one picture and not for long."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from prometheus_client import Gauge, Histogram

from ioc.model.photos import Made
from ioc.photos.check import PhotoRefused
from ioc.photos.child import Answer

_COMMAND: Final = (sys.executable, "-I", "-m", "ioc.photos.child")
_waiting = Gauge("ioc_photos_waiting", "Pictures that are received or wait to be re-encoded")
_seconds = Histogram(
    "ioc_photo_encode_seconds",
    "Time a picture took in its process",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 20),
)


class WorkshopBusy(Exception):
    """As many pictures as may wait do; the same one may succeed in a moment."""


class WorkshopSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many at once, and how long each."""

    processes: int = 1
    waiting: int = 8
    """Pictures admitted at once, those being received included: each may hold its whole size in memory."""
    timeout_s: float = 20.0


class Workshop:
    """Re-encodes pictures. Ask `admission` before receiving one."""

    def __init__(self, settings: WorkshopSettings | None = None) -> None:
        self._settings = settings or WorkshopSettings()
        self._processes = asyncio.Semaphore(self._settings.processes)
        self._admitted = 0

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[None]:
        """Hold a place for one picture within the block.

        Raises:
            WorkshopBusy: none is free.
        """
        if self._admitted >= self._settings.waiting:
            raise WorkshopBusy
        self._admitted += 1
        _waiting.set(self._admitted)
        try:
            yield
        finally:
            self._admitted -= 1
            _waiting.set(self._admitted)

    async def make(self, data: bytes) -> Made:
        """Return the picture made anew.

        Raises:
            PhotoRefused: it cannot be; its `rule` says why.
        """
        async with self._processes:
            with _seconds.time():
                said = await self._run(data)
        line, _, files = said.partition(b"\n")
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.MsgspecError:
            # It was ended by one of its limits, or by a fault in a decoder.
            raise PhotoRefused("too_costly") from None
        if answer.refused:
            raise PhotoRefused(answer.refused)
        picture, thumb = files[: answer.picture], files[answer.picture :]
        if len(thumb) != answer.thumb:
            raise PhotoRefused("too_costly")
        return Made(answer.width, answer.height, picture, thumb)

    async def _run(self, data: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                said, _ = await process.communicate(data)
        except TimeoutError:
            return b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return said
