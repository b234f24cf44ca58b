"""Runs the city on the wall clock: makes events as their time comes and hands them to the lanes."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

import httpx
import msgspec

from simulators.citizens_client import CitizensClient, Said
from simulators.crew import Counts
from simulators.crew_client import CrewClient
from simulators.outbox import Counters
from simulators.senders import ANSWER_S, HTTP_PARCEL, MQTT_PARCEL, Lane, key_of, run_http, run_mqtt
from simulators.times import SECOND_US
from simulators.world import PORTAL, City, Event

TICK_S = 0.25
LONGEST_GAP_S = 60.0
"""After a longer pause of this machine (a laptop that slept) what was missed is not made up."""
FAREWELL_S = 1.5
"""How long a stop waits for the last acknowledgements."""
_TRAFFIC = "gw-traffic"


class Target(msgspec.Struct, frozen=True):
    """Where the service listens."""

    url: str
    mqtt_host: str
    mqtt_port: int


class Status(msgspec.Struct, frozen=True):
    """Totals over all lanes."""

    uptime_s: float
    counters: Counters
    lanes: int
    healthy: int
    troubles: dict[str, str]
    crew: Counts | None = None
    """None without a crew."""
    citizens: Said | None = None
    """None where nobody goes to the public counter."""


class LiveCity:
    """The running city. `keys` holds a key for every sender of `parts`.

    Args:
        world: what happens.
        target: the service.
        keys: device id → key.
        parts: any of `cameras`, `detectors`, `citizens`.
        crew: works on what the city causes.
        citizens: go to the public counter.

    Raises:
        KeysError: a sender has no key.
    """

    def __init__(
        self,
        world: City,
        target: Target,
        keys: Mapping[str, str],
        parts: Sequence[str] = (),
        crew: CrewClient | None = None,
        citizens: CitizensClient | None = None,
    ) -> None:
        self.world = world
        self._target = target
        self._crew = crew
        self._citizens = citizens
        self._parts = tuple(parts) or ("cameras", "detectors", "citizens")
        self._route = {unit.id: world.fleet.sender_of(unit.id) for unit in world.fleet.units.values()}
        self.lanes = {name: Lane(name, parcel) for name, parcel in self._senders().items()}
        self._keys = {name: key_of(keys, name) for name in self.lanes}
        self._began = time.monotonic()

    def _senders(self) -> dict[str, int]:
        senders: dict[str, int] = {}
        if "cameras" in self._parts:
            senders |= {self._route[unit.id]: MQTT_PARCEL for unit in self.world.fleet.cameras}
        if "detectors" in self._parts:
            senders |= {self._route[unit.id]: HTTP_PARCEL for unit in self.world.fleet.detectors}
        if "citizens" in self._parts:
            senders[PORTAL] = HTTP_PARCEL
        return senders

    async def run(
        self, stop: asyncio.Event, duration_s: float | None, tell: Callable[[Status], None]
    ) -> None:
        """Run until `stop` or `duration_s`, then let the last parcels arrive and end within two seconds."""
        self._began = time.monotonic()
        limits = httpx.Limits(max_connections=8)
        async with (
            httpx.AsyncClient(timeout=ANSWER_S, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            tasks = [group.create_task(self._lane(lane, client)) for lane in self.lanes.values()]
            tasks.append(group.create_task(self._tell(tell)))
            tasks += [group.create_task(each.run()) for each in (self._crew, self._citizens) if each]
            await self._pump(stop, duration_s)
            await self._farewell()
            for task in tasks:
                task.cancel()

    def status(self) -> Status:
        """Return the totals now."""
        lanes, crew, citizens = self.lanes.values(), self._crew, self._citizens
        troubles = {lane.name: lane.trouble for lane in lanes if lane.trouble}
        if crew and crew.trouble:
            troubles["crew"] = crew.trouble
        if citizens and citizens.trouble:
            troubles["citizens"] = citizens.trouble
        return Status(
            uptime_s=round(time.monotonic() - self._began, 1),
            counters=sum((lane.outbox.counters for lane in lanes), Counters()),
            lanes=len(self.lanes),
            healthy=sum(lane.healthy for lane in lanes),
            troubles=troubles,
            crew=crew.crew.counts if crew else None,
            citizens=citizens.said if citizens else None,
        )

    async def _lane(self, lane: Lane, client: httpx.AsyncClient) -> None:
        key = self._keys[lane.name]
        if lane.name in (_TRAFFIC, PORTAL):
            await run_http(lane, client, self._target.url, key)
        else:
            await run_mqtt(lane, self._target.mqtt_host, self._target.mqtt_port, key)

    async def _pump(self, stop: asyncio.Event, duration_s: float | None) -> None:
        done_us = self.world.start_us
        end_us = None if duration_s is None else done_us + round(duration_s * SECOND_US)
        while not stop.is_set():
            now_us = time.time_ns() // 1000
            if end_us is not None:
                now_us = min(now_us, end_us)
            if now_us - done_us > LONGEST_GAP_S * SECOND_US:
                done_us = now_us - round(LONGEST_GAP_S * SECOND_US)
            if now_us > done_us:
                self._hand_out(self.world.events_between(done_us, now_us))
                done_us = now_us
            if end_us is not None and now_us >= end_us:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()

    def _hand_out(self, events: Sequence[Event]) -> None:
        by_lane: dict[str, list[Event]] = {}
        for event in events:
            by_lane.setdefault(self._route[str(event["source"])], []).append(event)
        for name, parcel in by_lane.items():
            if name in self.lanes:
                self.lanes[name].put(parcel)

    async def _farewell(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                for lane in self.lanes.values():
                    await lane.idle.wait()

    async def _tell(self, tell: Callable[[Status], None]) -> None:
        while True:
            tell(self.status())
            await asyncio.sleep(1.0)
