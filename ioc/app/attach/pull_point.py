"""ONVIF without MQTT: a subscription at the camera's pull point, asked again and again.

clock ─► where are events ─► subscribe ─► pull, pull, … ─► unsubscribe
                                             └ renew at half of the term
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import structlog

from ioc.app.attach import soap
from ioc.app.attach.stream import AttachedStream
from ioc.app.attach.target import addresses, beside
from ioc.outbound.camera import CameraDoor, CameraError, LoginRefusedError, plainly

UNSUBSCRIBE_S: Final = 0.5
"""How long a camera may take to let a subscription go; else it ends by itself."""
LEAST_PULL_S: Final = 1.0
"""Time between two answers without an event, of a camera that does not hold its answers back."""
_TOLD: Final = b"NotificationMessage"

_log = structlog.get_logger()


async def hold(stream: AttachedStream, door: CameraDoor, connecting: asyncio.Semaphore) -> None:
    """Pull until the camera does not want any more.

    Raises:
        CameraError: it could not be had, or why it ended.
    """
    point = PullPoint(stream, door)
    async with connecting:
        await point.subscribe()
    async with point.subscribed():
        stream.connected()
        while True:
            await point.pull()


class PullPoint:
    """One subscription."""

    def __init__(self, stream: AttachedStream, door: CameraDoor) -> None:
        self._stream = stream
        self._door = door
        self._settings = stream.settings
        self._service = addresses(stream.target, stream.settings.heartbeat_s)[0]
        self._ahead = timedelta()
        """How far the camera's clock is ahead of ours."""
        self._address = ""
        self._references = ""
        self._renew_at_s = 0.0

    async def subscribe(self) -> None:
        """Make the subscription.

        Raises:
            CameraError: it cannot be had.
        """
        timeout_s, term_s = self._settings.timeout_s, self._settings.subscription_s
        await self._learn_clock()
        answer = await self._ask(soap.CAPABILITIES, self._service, timeout_s)
        where = soap.read_events_address(answer.inside)
        if where is None:
            raise CameraError("answer", "has no service of events (GetCapabilities names none)")
        events = beside(self._service, where)
        made = await self._ask(soap.subscribe(term_s), events, timeout_s)
        with _answers():
            found = soap.read_subscription(made)
        self._address, self._references = beside(self._service, found.address), found.references
        self._live_for(found.term_s)

    @asynccontextmanager
    async def subscribed(self) -> AsyncIterator[None]:
        """Let the subscription go at the end: cameras have room for few."""
        try:
            yield
        finally:
            try:
                await self._ask(soap.UNSUBSCRIBE, self._address, UNSUBSCRIBE_S)
            except CameraError as error:
                _log.debug("not unsubscribed", device=self._stream.device_id, error=str(error))

    async def pull(self) -> None:
        """Take what there is, and renew the subscription in time.

        Raises:
            CameraError: the subscription has ended, or the camera does not answer.
        """
        settings = self._settings
        begun_s = time.monotonic()
        request = soap.pull(settings.pull_s, settings.pull_messages)
        answer = await self._ask(request, self._address, settings.pull_s + settings.timeout_s)
        self._stream.heard()
        if _TOLD in answer.body:
            await self._stream.take([answer.body], "application/soap+xml")
        elif (early_s := LEAST_PULL_S - (time.monotonic() - begun_s)) > 0:
            await asyncio.sleep(early_s)
        if time.monotonic() >= self._renew_at_s:
            await self._renew()

    async def _renew(self) -> None:
        term_s = self._settings.subscription_s
        try:
            answer = await self._ask(soap.renew(term_s), self._address, self._settings.timeout_s)
        except LoginRefusedError:
            raise
        except CameraError as error:
            # Some cameras do not know how, or count a pull as renewal: the next pull says whether it lives.
            _log.debug("not renewed", device=self._stream.device_id, error=str(error))
            self._live_for(None)
        else:
            self._live_for(soap.read_term_s(answer.inside))

    def _live_for(self, term_s: float | None) -> None:
        self._renew_at_s = time.monotonic() + (term_s or self._settings.subscription_s) / 2

    async def _learn_clock(self) -> None:
        try:
            answer = await self._ask(soap.CLOCK, self._service, self._settings.timeout_s, with_token=False)
        except LoginRefusedError:
            raise
        except CameraError as error:
            if error.reason != "answer":
                raise
            return  # it does not tell its time: then ours must do
        now = soap.read_clock(answer.inside)
        self._ahead = now - datetime.now(UTC) if now else timedelta()

    async def _ask(
        self, request: soap.Request, url: str, timeout_s: float, *, with_token: bool = True
    ) -> soap.Answer:
        """Return an answer that is no refusal.

        Raises:
            CameraError: there is none.
        """
        reach = self._stream.target.reach
        message = soap.envelope(
            request,
            url,
            reach.login if with_token else None,
            datetime.now(UTC) + self._ahead,
            secrets.token_bytes(20),
            self._references,
        )
        headers = {"Content-Type": soap.content_type(request)}
        with plainly():
            async with asyncio.timeout(timeout_s):
                response = await self._door.send("POST", url, reach, headers=headers, content=message)
                body = await self._read(response)
        with _answers():
            return soap.read_answer(body)

    async def _read(self, response: httpx.Response) -> bytes:
        most = self._settings.max_part_bytes
        body = bytearray()
        try:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > most:
                    self._stream.passed_over("too_large")
                    raise CameraError("answer", f"answered more than {most} bytes")
        finally:
            await response.aclose()
        status = response.status_code
        if status != httpx.codes.OK and not body.lstrip().startswith(b"<"):
            raise CameraError("answer", f"answered {status} for {response.url.path}")
        return bytes(body)


@contextmanager
def _answers() -> Iterator[None]:
    """Turn what an answer may say into `CameraError`."""
    try:
        yield
    except soap.SoapFault as fault:
        if fault.is_login:
            raise LoginRefusedError(f"refuses the login: {fault}") from fault
        raise CameraError("answer", f"refused: {fault}") from fault
    except soap.AnswerError as error:
        raise CameraError("answer", str(error)) from error
