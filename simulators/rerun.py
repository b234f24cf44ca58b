"""Plays a scenario at its own times, as fast as the service takes it, and keeps the service's clock.

Second by second: the time is told, then the second's events are sent, one body after another in one order.
Each waits for its answer, so the log of an empty installation is a function of scenario, seed and times.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

import httpx

from simulators.front_door import ANSWER_S, FrontDoor, Sent, Stopped
from simulators.senders import HTTP_PARCEL, ndjson
from simulators.times import SECOND_US
from simulators.world import Event, World


class Report(Sent):
    """What was sent, and of how many seconds."""

    seconds: int = 0


class Rerun:
    """One rerun in progress.

    Args:
        world: what happens.
        client: for all requests, one at a time.
        url: the service.
        keys: device id → key; one for every sender.
        stop: ends it early.
        sender: the device that speaks for all; None for each source's own gateway.
        tell: hears why a body has to be sent again.
    """

    def __init__(
        self,
        world: World,
        client: httpx.AsyncClient,
        url: str,
        keys: Mapping[str, str],
        stop: asyncio.Event,
        sender: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._world = world
        self._stop = stop
        self._door = FrontDoor(client, url, keys, stop, tell)
        fleet = world.fleet
        self._senders = {unit: sender or fleet.sender_of(unit) for unit in fleet.units}
        self._keeper = min(self._senders.values())
        self.report = Report()

    async def run(self, duration_s: int, told: Callable[[Report], None]) -> Report:
        """Play `duration_s` seconds, then one more without events, so that none of them waits for a tick.

        Stopped early, the report holds what the service has answered to.

        Raises:
            FrontDoorError: the service keeps its own time, knows a later one, or gives no answer any more.
            KeysError: a sender has no key.
        """
        with contextlib.suppress(Stopped):
            await self._play(duration_s, told)
        return self.report

    async def _play(self, duration_s: int, told: Callable[[Report], None]) -> None:
        begin_us = self._world.start_us
        for second in range(duration_s):
            if self._stop.is_set():
                break
            first_us = begin_us + second * SECOND_US
            await self._door.tell_time(self._keeper, first_us + SECOND_US)
            for sender, events in self._by_sender(self._world.events_between(first_us, first_us + SECOND_US)):
                for start in range(0, len(events), HTTP_PARCEL):
                    parcel = events[start : start + HTTP_PARCEL]
                    receipt = await self._door.send(sender, ndjson(parcel), len(parcel))
                    self.report.add(receipt, len(parcel))
            self.report.seconds += 1
            told(self.report)
        await self._door.tell_time(self._keeper, begin_us + (self.report.seconds + 1) * SECOND_US)

    def _by_sender(self, events: Sequence[Event]) -> list[tuple[str, list[Event]]]:
        found: dict[str, list[Event]] = {}
        for event in events:
            found.setdefault(self._senders[str(event["source"])], []).append(event)
        return sorted(found.items())


async def rerun(
    world: World,
    url: str,
    keys: Mapping[str, str],
    duration_s: int,
    stop: asyncio.Event,
    told: Callable[[Report], None],
    sender: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Play `duration_s` seconds of `world` into the service at `url`; see `Rerun`."""
    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        return await Rerun(world, client, url, keys, stop, sender, tell).run(duration_s, told)
