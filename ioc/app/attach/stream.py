"""One device's stream: connected, cut, tried again; what comes is durable before more is read."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal

import structlog

from ioc.app.attach import metrics
from ioc.app.attach.target import Target
from ioc.app.settings.attach import AttachSettings
from ioc.ingest.ports import Clock, IngestError
from ioc.ingest.service import IngestService
from ioc.model.attachments import AttachState
from ioc.outbound.camera import CameraError, LoginRefusedError
from ioc.store.attachments import MAX_ERROR_CHARS, Standing

FINISH_S: Final = 1.0
"""At a stop, what is being stored may take so long."""
STORE_RETRY_S: Final = (0.2, 5.0)
"""First and longest wait before what could not be stored is tried again."""

Hold = Callable[["AttachedStream"], Awaitable[None]]
"""Holds a stream until it ends. Raises `CameraError` for every way in which that happens."""

_log = structlog.get_logger()


class AttachedStream:
    """Runs until cancelled or told to finish."""

    def __init__(
        self,
        device_id: str,
        target: Target,
        hold: Hold,
        service: IngestService,
        settings: AttachSettings,
        clock: Clock,
        *,
        failures: int = 0,
        wait_s: float = 0.0,
    ) -> None:
        """Prepare a stream that has failed so often in a row and is tried after `wait_s`."""
        self.device_id = device_id
        self.target = target
        self.settings = settings
        self._hold = hold
        self._service = service
        self._clock = clock
        self._failures = failures
        self._first_wait_s = wait_s
        self._state = AttachState.WAITING
        self._due_s = time.monotonic() + wait_s
        self._since_s = 0.0
        self._connects = 0
        self._seen_us: int | None = None
        self._error: str | None = None
        self._stored = asyncio.Event()
        self._stored.set()
        self._finishing = False
        self.changed = True
        """Whether there is something new to tell."""

    async def run(self) -> None:
        """Hold the stream, again and again."""
        await asyncio.sleep(self._first_wait_s)
        while not self._finishing:
            self._turn(AttachState.CONNECTING)
            try:
                await self._hold(self)
            except CameraError as error:
                failure = error
            except Exception as error:
                # A fault of ours, or a camera's that nobody thought of: one stream must not end all others.
                _log.exception("an attached stream failed", device=self.device_id)
                failure = CameraError("fault", f"{type(error).__name__}: {error}")
            else:
                failure = CameraError("ended", "the camera ended the stream")
            if not self._finishing:
                await asyncio.sleep(self._fail(failure))

    async def finish(self, task: asyncio.Task[None]) -> None:
        """Let what is being stored become durable, and end `task`, which runs this."""
        self._finishing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await self._stored.wait()
        task.cancel()

    def standing(self) -> Standing:
        """Return what is to be told of the stream; what is counted begins anew."""
        connects, self._connects, self.changed = self._connects, 0, False
        return Standing(
            device_id=self.device_id,
            state=self._state,
            seen_us=self._seen_us,
            connects=connects,
            failures=self._failures,
            wait_s=max(self._due_s - time.monotonic(), 0.0),
            error=self._error,
        )

    def untold(self, standing: Standing) -> None:
        """Take back what could not be told."""
        self._connects += standing.connects
        self.changed = True

    @property
    def state(self) -> AttachState:
        """The one word for it."""
        return self._state

    # What the ways of holding a stream say of it

    def connected(self) -> None:
        """Note that the camera has begun to answer."""
        self._connects += 1
        self._since_s = time.monotonic()
        metrics.connects.labels(self.target.kind.value).inc()
        self._turn(AttachState.CONNECTED)

    def heard(self) -> None:
        """Note that something came."""
        self._seen_us = self._clock()

    def passed_over(self, result: Literal["picture", "too_large", "malformed"], count: int = 1) -> None:
        """Note parts that are not taken."""
        if result == "picture":
            self._service.metrics.pictures.inc(count)
        else:
            self._error = f"a part was {result.replace('_', ' ')} and passed over"
            self.changed = True
        metrics.parts.labels(self.target.kind.value, result).inc(count)

    async def take(self, bodies: Sequence[bytes], content_type: str | None) -> None:
        """Return once `bodies` are durable, however long that takes.

        Whoever is told to finish takes nothing more, and waits here for its end.
        """
        if self._finishing:
            await asyncio.Event().wait()
        wait_s, longest_s = STORE_RETRY_S
        self._stored.clear()
        try:
            while not await self._store(bodies, content_type):
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, longest_s)
        finally:
            self._stored.set()
        self._failures = 0
        self._service.metrics.messages.labels("attach", "").inc(len(bodies))
        metrics.parts.labels(self.target.kind.value, "taken").inc(len(bodies))

    async def _store(self, bodies: Sequence[bytes], content_type: str | None) -> bool:
        device = self._service.registry.device(self.device_id)
        if device is None:  # removed a moment ago: whoever runs this is about to end it
            return False
        try:
            await self._service.accept_all(device, bodies, content_type, transport="attach", wait=True)
        except IngestError as error:
            _log.warning("an attached stream waits for the log", device=self.device_id, error=str(error))
            return False
        return True

    # Failing

    def _fail(self, error: CameraError) -> float:
        """Note why it ended and return how long to wait."""
        refused = isinstance(error, LoginRefusedError)
        held = self._state is AttachState.CONNECTED
        if held and time.monotonic() - self._since_s > self.settings.retry_max_s:
            self._failures = 0  # nothing happened, but it was well
        self._failures += 1
        self._error = str(error)[:MAX_ERROR_CHARS]
        wait_s = self._wait_s(refused=refused)
        self._due_s = time.monotonic() + wait_s
        metrics.cuts.labels(self.target.kind.value, error.reason).inc()
        self._turn(AttachState.REFUSED if refused else AttachState.WAITING)
        _log.warning(
            "attached stream cut", device=self.device_id, reason=error.reason, error=self._error,
            next_try_s=round(wait_s, 1),
        )  # fmt: skip
        return wait_s

    def _wait_s(self, *, refused: bool) -> float:
        settings = self.settings
        first_s, longest_s = (
            (settings.login_wait_s, settings.login_wait_max_s)
            if refused
            else (settings.retry_min_s, settings.retry_max_s)
        )
        full_s = min(first_s * float(2 ** min(self._failures - 1, 20)), longest_s)
        # Jitter: cameras that fell silent together are not all asked together.
        return full_s * random.uniform(0.75, 1.0)  # noqa: S311 - no secret

    def _turn(self, state: AttachState) -> None:
        self._state = state
        self.changed = True
