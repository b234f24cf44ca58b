"""Plays a scenario at its own times, as fast as the service takes it, and keeps the service's clock.

Second by second: the time is told, then the second's events are sent, one body after another in one order.
Each waits for its answer, so the log of an empty installation is a function of scenario, seed and times.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import httpx
import msgspec

from simulators import SimulatorError
from simulators.outbox import Receipt
from simulators.senders import HTTP_PARCEL, key_of, ndjson, receipt_of
from simulators.times import SECOND_US, format_us
from simulators.world import Event, World

ANSWER_S = 60.0
"""The service may be slow, being asked for nothing but to be quick."""
ATTEMPTS = 20
PAUSE_S = 1.0


class RerunError(SimulatorError):
    """The service does not take the rerun."""


class Report(msgspec.Struct):
    """What was sent. `events = accepted + duplicate + rejected`."""

    seconds: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0


class Rerun:
    """One rerun in progress.

    Args:
        world: what happens.
        client: for all requests, one at a time.
        url: the service.
        keys: device id → key; one for every sender.
        sender: the device that speaks for all; None for each source's own gateway.
    """

    def __init__(
        self,
        world: World,
        client: httpx.AsyncClient,
        url: str,
        keys: Mapping[str, str],
        sender: str | None = None,
    ) -> None:
        self._world = world
        self._client = client
        self._url = url.rstrip("/")
        self._keys = keys
        fleet = world.fleet
        self._senders = {unit: sender or fleet.sender_of(unit) for unit in fleet.units}
        self._keeper = min(self._senders.values())
        self.report = Report()

    async def run(self, duration_s: int, stop: asyncio.Event, told: Callable[[Report], None]) -> Report:
        """Play `duration_s` seconds, then one more without events, so that none of them waits for a tick.

        Raises:
            RerunError: the service keeps its own time, knows a later one, or gives no answer any more.
            KeysError: a sender has no key.
        """
        begin_us = self._world.start_us
        for second in range(duration_s):
            if stop.is_set():
                break
            first_us = begin_us + second * SECOND_US
            await self._tell_time(first_us + SECOND_US)
            for sender, events in self._by_sender(self._world.events_between(first_us, first_us + SECOND_US)):
                for start in range(0, len(events), HTTP_PARCEL):
                    await self._send(sender, events[start : start + HTTP_PARCEL])
            self.report.seconds += 1
            told(self.report)
        await self._tell_time(begin_us + (self.report.seconds + 1) * SECOND_US)
        return self.report

    def _by_sender(self, events: Sequence[Event]) -> list[tuple[str, list[Event]]]:
        found: dict[str, list[Event]] = {}
        for event in events:
            found.setdefault(self._senders[str(event["source"])], []).append(event)
        return sorted(found.items())

    async def _tell_time(self, now_us: int) -> None:
        answer = await self._post(self._keeper, "clock", msgspec.json.encode({"now": format_us(now_us)}))
        if answer.status_code in (404, 405):
            raise RerunError(f"{self._url} keeps its own time; start it with IOC_REPLAY__ENABLED=true")
        if answer.status_code != 200:
            raise RerunError(f"{self._url} refuses {format_us(now_us)}: {_detail(answer)}")

    async def _send(self, sender: str, events: Sequence[Event]) -> None:
        answer = await self._post(sender, "events", ndjson(events))
        if answer.status_code != 202:
            raise RerunError(f"{self._url} refuses the events of {sender}: {_detail(answer)}")
        receipt: Receipt = receipt_of(answer, len(events))
        self.report.events += len(events)
        self.report.accepted += receipt.accepted
        self.report.duplicate += receipt.duplicate
        self.report.rejected += receipt.rejected

    async def _post(self, sender: str, what: str, body: bytes) -> httpx.Response:
        """Post until there is an answer that stands; a body that comes twice is known by its events' ids."""
        kind = "application/json" if what == "clock" else "application/x-ndjson"
        headers = {"Authorization": f"Bearer {key_of(self._keys, sender)}", "Content-Type": kind}
        trouble = ""
        for _ in range(ATTEMPTS):
            try:
                answer = await self._client.post(
                    f"{self._url}/api/v1/ingest/{what}", content=body, headers=headers
                )
                if answer.status_code not in (429, 503):
                    return answer
                trouble = _detail(answer)
            except httpx.TransportError as problem:
                trouble = f"{type(problem).__name__}: {problem}"
            await asyncio.sleep(PAUSE_S)
        raise RerunError(f"no answer from {self._url} in {ATTEMPTS} attempts; the last: {trouble}")


async def rerun(
    world: World,
    url: str,
    keys: Mapping[str, str],
    duration_s: int,
    stop: asyncio.Event,
    told: Callable[[Report], None],
    sender: str | None = None,
) -> Report:
    """Play `duration_s` seconds of `world` into the service at `url`; see `Rerun`."""
    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        return await Rerun(world, client, url, keys, sender).run(duration_s, stop, told)


def _detail(answer: httpx.Response) -> str:
    try:
        return f"HTTP {answer.status_code}: {answer.json()['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"
