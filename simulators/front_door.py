"""The service's front door for replays: one request after another, each repeated until there is an answer."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import httpx
import msgspec

from simulators import SimulatorError
from simulators.outbox import Receipt
from simulators.senders import NotDelivered, key_of, receipt_of
from simulators.times import format_us

ANSWER_S = 60.0
"""The service may be slow, being asked for nothing but to be quick."""
ATTEMPTS = 20
PAUSE_S = 1.0
UNKNOWN_ATTEMPTS = 5
"""With a key that the service does not know: one that has just been issued it learns within seconds."""
FAREWELL_S = 2.0
"""How long a stop waits for the answer to what was sent."""


class FrontDoorError(SimulatorError):
    """The service does not take a replay."""


class Stopped(Exception):
    """Asked to stop while the service gave no answer; what was sent last may have arrived."""


class Sent(msgspec.Struct):
    """What was sent. `events = accepted + duplicate + rejected + shed`."""

    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    shed: int = 0
    """Left out by a service that could not keep up."""

    @property
    def all_taken(self) -> bool:
        """Whether the service has all that was sent."""
        return self.accepted + self.duplicate == self.events

    def add(self, receipt: Receipt, events: int) -> None:
        """Count what became of a body."""
        self.events += events
        self.accepted += receipt.accepted
        self.duplicate += receipt.duplicate
        self.rejected += receipt.rejected
        self.shed += receipt.shed


class FrontDoor:
    """Posts bodies in order: the next one only once the last has its answer.

    Args:
        client: for all requests.
        url: the service.
        keys: device id → key.
        stop: ends the attempts at a body that finds no answer.
        tell: hears why a body has to be sent again.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        keys: Mapping[str, str],
        stop: asyncio.Event,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._keys = keys
        self._stop = stop
        self._tell = tell

    async def tell_time(self, keeper: str, now_us: int) -> None:
        """Let it be `now_us` in an installation that takes its time from us.

        Raises:
            FrontDoorError: the service keeps its own time, knows a later one, or gives no answer any more.
            Stopped: it was asked to stop before there was an answer.
        """
        answer = await self._post(keeper, "clock", msgspec.json.encode({"now": format_us(now_us)}))
        if answer.status_code in (404, 405):
            raise FrontDoorError(f"{self._url} keeps its own time; start it with IOC_REPLAY__ENABLED=true")
        if answer.status_code != 200:
            raise FrontDoorError(f"{self._url} refuses {format_us(now_us)}: {_detail(answer)}")

    async def send(self, sender: str, body: bytes, events: int) -> Receipt:
        """Send NDJSON of so many events and return what became of them.

        Raises:
            FrontDoorError: the body as a whole was refused, or there is no answer any more.
            Stopped: it was asked to stop before there was an answer.
        """
        answer = await self._post(sender, "events", body)
        if answer.status_code != 202:
            raise FrontDoorError(f"{self._url} refuses the events of {sender}: {_detail(answer)}")
        try:
            return receipt_of(answer, events)
        except NotDelivered as problem:
            raise FrontDoorError(f"{self._url}: {problem}") from problem

    async def _post(self, sender: str, what: str, body: bytes) -> httpx.Response:
        """Post until there is an answer that stands; a body that comes twice is known by its events' ids."""
        kind = "application/json" if what == "clock" else "application/x-ndjson"
        headers = {"Authorization": f"Bearer {key_of(self._keys, sender)}", "Content-Type": kind}
        request = self._client.build_request(
            "POST", f"{self._url}/api/v1/ingest/{what}", content=body, headers=headers
        )
        trouble = ""
        for attempt in range(1, ATTEMPTS + 1):
            pause_s = PAUSE_S
            answer = await self._answer(request)
            if isinstance(answer, str):
                trouble = answer
            elif answer.status_code not in (401, 429, 503) or _stays_unknown(answer, attempt):
                return answer
            else:
                trouble, pause_s = _detail(answer), max(pause_s, _asked_s(answer))
            self._tell(f"{self._url}: {trouble}; trying on")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()
            if self._stop.is_set():
                raise Stopped
        raise FrontDoorError(
            f"{self._url} took nothing in {ATTEMPTS} attempts; the last: {trouble}; is the service up?"
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response | str:
        """Return the answer to one attempt, or why there is none; a stop shortens the wait for it."""
        async with asyncio.TaskGroup() as group:
            try:
                async with asyncio.timeout(None) as wait:
                    hurry = group.create_task(self._hurry(wait))
                    return await self._client.send(request)
            except httpx.HTTPError as problem:
                return f"{type(problem).__name__}: {problem}"
            except TimeoutError:
                return "no answer before the end"
            finally:
                hurry.cancel()

    async def _hurry(self, wait: asyncio.Timeout) -> None:
        await self._stop.wait()
        wait.reschedule(asyncio.get_running_loop().time() + FAREWELL_S)


def _stays_unknown(answer: httpx.Response, attempt: int) -> bool:
    return answer.status_code == 401 and attempt >= UNKNOWN_ATTEMPTS


def _asked_s(answer: httpx.Response) -> float:
    """Return how long the service asks to wait, at most as long as it may take to answer."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), ANSWER_S) if text.isdigit() else 0.0


def _detail(answer: httpx.Response) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
