"""The service's front door for replays: one request after another, each repeated until there is an answer."""

import asyncio
from collections.abc import Mapping

import httpx
import msgspec

from simulators import SimulatorError
from simulators.outbox import Receipt
from simulators.senders import key_of, receipt_of
from simulators.times import format_us

ANSWER_S = 60.0
"""The service may be slow, being asked for nothing but to be quick."""
ATTEMPTS = 20
PAUSE_S = 1.0


class FrontDoorError(SimulatorError):
    """The service does not take a replay."""


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
    """

    def __init__(self, client: httpx.AsyncClient, url: str, keys: Mapping[str, str]) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._keys = keys

    async def tell_time(self, keeper: str, now_us: int) -> None:
        """Let it be `now_us` in an installation that takes its time from us.

        Raises:
            FrontDoorError: the service keeps its own time, knows a later one, or gives no answer any more.
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
        """
        answer = await self._post(sender, "events", body)
        if answer.status_code != 202:
            raise FrontDoorError(f"{self._url} refuses the events of {sender}: {_detail(answer)}")
        return receipt_of(answer, events)

    async def _post(self, sender: str, what: str, body: bytes) -> httpx.Response:
        """Post until there is an answer that stands; a body that comes twice is known by its events' ids."""
        kind = "application/json" if what == "clock" else "application/x-ndjson"
        headers = {"Authorization": f"Bearer {key_of(self._keys, sender)}", "Content-Type": kind}
        trouble = ""
        for _ in range(ATTEMPTS):
            pause_s = PAUSE_S
            try:
                answer = await self._client.post(
                    f"{self._url}/api/v1/ingest/{what}", content=body, headers=headers
                )
                if answer.status_code not in (429, 503):
                    return answer
                trouble = _detail(answer)
                pause_s = max(pause_s, _asked_s(answer))
            except httpx.TransportError as problem:
                trouble = f"{type(problem).__name__}: {problem}"
            await asyncio.sleep(pause_s)
        raise FrontDoorError(f"no answer from {self._url} in {ATTEMPTS} attempts; the last: {trouble}")


def _asked_s(answer: httpx.Response) -> float:
    """Return how long the service asks to wait, at most as long as it may take to answer."""
    text = answer.headers.get("Retry-After", "")
    return min(float(text), ANSWER_S) if text.isdigit() else 0.0


def _detail(answer: httpx.Response) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
