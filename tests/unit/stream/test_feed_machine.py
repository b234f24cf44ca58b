"""Whatever happens, a client that is up to date knows exactly what the server knows, and never a gap."""

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from prometheus_client import CollectorRegistry

from ioc.model.events import TrafficFlow
from ioc.model.incidents import Handling
from ioc.stream.batches import Box, box_contains
from ioc.stream.hub import Client, Hub, HubSettings
from ioc.stream.metrics import FeedMetrics
from ioc.stream.ports import Viewer
from ioc.stream.scope import Scope
from ioc.stream.session import Phase, SessionLimits
from ioc.stream.wire import EPOCH_CHANGED, PATCH, incident_json
from tests.unit.stream.peer import Peer
from tests.unit.stream.samples import T0_US, FakeLog, event, publish

WARDS = ["a", "b", None]
SCOPES = [Scope(), Scope(frozenset({"a"})), Scope(frozenset({"a", "b"}))]
KINDS = [(SCOPES[0], ()), (SCOPES[1], ()), (SCOPES[2], ()), (SCOPES[0], (PATCH,)), (SCOPES[1], (PATCH,))]
"""Consoles that are given whole incidents, and others that take patches."""
CONSOLES = st.integers(0, len(KINDS) - 1)
HANDLINGS = [Handling.NEW, Handling.ACKNOWLEDGED, Handling.RESOLVED]
NOTES = st.sampled_from([None, "một", "hai"])
PLACES = [(106.2, 11.0), (106.8, 11.0), (107.4, 11.0)]
BOXES: list[Box | None] = [
    None,
    (106.0, 10.0, 107.0, 12.0),
    (107.0, 10.0, 108.0, 12.0),
    (107.0, 10.0, 106.5, 12.0),
]
"""The last one goes around the back of the world."""
MAX_DEVICES = 2


class Console:
    """A peer, and the client the hub holds for it while connected."""

    def __init__(self, scope: Scope, caps: tuple[str, ...]) -> None:
        self.scope = scope
        self.next_scope = scope
        self.box: Box | None = None
        self.peer = Peer(*caps)
        self.client: Client | None = None
        self.task: asyncio.Task[None] | None = None


class Feed(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now_us = 0
        self.reports = 0
        self.log = FakeLog()
        self.epochs = 1
        self.all = [Console(scope, caps) for scope, caps in KINDS]
        self.devices: dict[str, dict[str, Any]] = {}
        self.hub = self.runner.run(self._new_hub())
        self.runner.run(self.hub.follow_once())

    async def _new_hub(self) -> Hub:
        limits = SessionLimits(outbox_bytes=12_000, replay_changes=40)
        sizes = HubSettings(
            session=limits,
            read_changes=4,
            ring_changes=10,
            ring_bytes=9_000,
            snapshot_age_s=1,
            batch_bytes=3_000,
            max_entities=MAX_DEVICES,
        )
        return Hub(self.log, sizes, FeedMetrics(CollectorRegistry()), clock_us=lambda: self.now_us)

    def teardown(self) -> None:
        try:
            for console in self.all:
                self._settle(console)
        finally:
            self._end()

    def _end(self) -> None:
        for console in self.all:
            if console.task is not None:
                console.task.cancel()
        self.runner.close()

    @initialize(there=st.booleans())
    def everybody_is_there_from_the_beginning(self, there: bool) -> None:
        for console in self.all if there else []:
            self._connect(console)
        self.all_goes_well_for_a_while()

    # The world

    @rule(
        number=st.integers(0, 5),
        ward=st.sampled_from(WARDS),
        revisions=st.lists(st.tuples(st.sampled_from(HANDLINGS), NOTES), min_size=1, max_size=6),
    )
    def incidents_change(
        self, number: int, ward: str | None, revisions: list[tuple[Handling, str | None]]
    ) -> None:
        for handling, note in revisions:
            self.log.touch(f"inc-{number}", ward, handling=handling, note=note)

    @rule()
    def what_ended_grows_old(self) -> None:
        self.log.age()

    @rule(keep=st.integers(0, 12))
    def retention_passes(self, keep: int) -> None:
        self.log.forget_before(self.log.last + 1 - keep)

    @rule(further=st.sampled_from([None, 0, 3]))
    def database_is_replaced(self, further: int | None) -> None:
        """By an empty one, or by another one that has got as far."""
        self.epochs += 1
        self.log.replace(f"e{self.epochs}", 0 if further is None else self.log.last + further)

    @rule(broken=st.booleans())
    def database_comes_and_goes(self, broken: bool) -> None:
        self.log.broken = broken

    @rule(passed_us=st.integers(0, 2_000_000))
    def time_passes(self, passed_us: int) -> None:
        self.now_us += passed_us

    @rule(
        number=st.integers(0, MAX_DEVICES),
        ward=st.sampled_from(WARDS),
        place=st.sampled_from(PLACES),
        speed=st.integers(1, 90),
    )
    def device_reports(self, number: int, ward: str | None, place: tuple[float, float], speed: int) -> None:
        """From somewhere else each time: what moves leaves wards and viewports, and one is too many."""
        self.reports += 1
        name, (lon, lat) = f"det-{number}", place
        flow = TrafficFlow(interval_s=60, speed_kmh=float(speed))
        told = event(name, flow, time_us=T0_US + self.reports, ward=ward, lon=lon, lat=lat)
        self.hub.apply_event(told)
        self.devices.pop(name, None)
        if len(self.devices) == MAX_DEVICES:
            del self.devices[next(iter(self.devices))]
        self.devices[name] = {"ward": ward, "lon": lon, "lat": lat, "speed_kmh": float(speed)}

    # The hub

    @rule()
    def hub_follows(self) -> None:
        if not self.log.broken:
            self.runner.run(self.hub.follow_once())

    @rule()
    def hub_publishes(self) -> None:
        publish(self.hub)

    # The consoles

    @rule(number=CONSOLES)
    def console_connects(self, number: int) -> None:
        self._connect(self.all[number])

    def _connect(self, console: Console) -> None:
        if console.client is None:
            console.peer.reconnect()
            console.scope = console.next_scope
            viewer = Viewer(f"user-{id(console)}", "login", console.scope)
            console.client = self.hub.admit(viewer)
            console.client.session.on_frame(console.peer.hello, self.now_us)
            if console.box is not None:
                self._look(console, console.box)
            self.runner.run(self._begin_join(console))

    def _look(self, console: Console, box: Box | None) -> None:
        assert console.client is not None
        self.now_us += 1_000_000
        console.client.session.on_frame(json.dumps({"type": "view", "bbox": box}), self.now_us)
        self.hub.show_states(console.client)

    @rule(number=CONSOLES, box=st.sampled_from(BOXES))
    def console_looks_elsewhere(self, number: int, box: Box | None) -> None:
        console = self.all[number]
        console.box = box
        if console.client is not None and console.client.session.closing is None:
            self._look(console, box)

    @rule(number=CONSOLES, scope=st.sampled_from(SCOPES))
    def person_gets_other_wards(self, number: int, scope: Scope) -> None:
        """What the guard of the socket does when it finds out."""
        console = self.all[number]
        console.next_scope = scope
        if console.client is not None and scope != console.scope:
            console.client.close(EPOCH_CHANGED._replace(reason="scope_changed"))

    async def _begin_join(self, console: Console) -> None:
        assert console.client is not None
        console.task = asyncio.get_running_loop().create_task(self.hub.join(console.client))
        await asyncio.sleep(0)

    @rule(number=CONSOLES, flushes=st.integers(1, 4), budget=st.integers(1, 6_000))
    def console_reads(self, number: int, flushes: int, budget: int) -> None:
        for _ in range(flushes):
            self.runner.run(self._read(self.all[number], budget))

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        """Everybody who is connected reads everything."""
        self.log.broken = False
        for _ in range(3):
            self.now_us += 100_000
            self.hub_follows()
            self.hub_publishes()
            for console in self.all:
                self.runner.run(self._read(console, 100_000))

    async def _read(self, console: Console, budget: int) -> None:
        client = console.client
        if client is None:
            return
        console.peer.take(client.session.flush(self.now_us, budget))
        client.after_flush()
        for _ in range(6):
            await asyncio.sleep(0)
        if client.session.closing is not None and not client.session.has_more:
            await self._drop(console)

    @rule(number=CONSOLES)
    def connection_breaks(self, number: int) -> None:
        console = self.all[number]
        if console.client is not None:
            self.runner.run(self._drop(console))

    async def _drop(self, console: Console) -> None:
        assert console.client is not None and console.task is not None
        console.task.cancel()
        await asyncio.wait([console.task])
        self.hub.release(console.client)
        console.client = console.task = None

    @rule(number=CONSOLES)
    def everything_settles(self, number: int) -> None:
        self._settle(self.all[number])

    def _settle(self, console: Console) -> None:
        """After the mishaps end, a connected client catches up, whatever it has been through."""
        self.log.broken = False
        for _ in range(60 + self.log.last):
            self.now_us += 100_000
            self._connect(console)
            self.runner.run(self.hub.follow_once())
            publish(self.hub)
            self.runner.run(self._read(console, 100_000))
            if self._is_current(console):
                break
        assert self._is_current(console)
        self._knows_what_is_stored(console)
        assert self._seen(console) == self._to_be_seen(console)

    def _is_current(self, console: Console) -> bool:
        client = console.client
        return (
            client is not None
            and client.session.phase is Phase.LIVE
            and not client.session.has_more
            and client.session.position == self.log.last
            and client.session.epoch == self.log.epoch
        )

    def _knows_what_is_stored(self, console: Console) -> None:
        """All of it, field by field; of what has grown old it may or may not have heard."""
        known = console.peer.incidents
        stored = {i.id: i for i in self.log.incidents.values() if console.scope.allows(i.ward)}
        assert stored.keys() - self.log.aged <= known.keys() <= stored.keys()
        for name, item in known.items():
            assert item == json.loads(bytes(incident_json(stored[name])))

    def _to_be_seen(self, console: Console) -> dict[str, float]:
        return {
            name: device["speed_kmh"]
            for name, device in self.devices.items()
            if console.scope.allows(device["ward"]) and _inside(console.box, device)
        }

    @staticmethod
    def _seen(console: Console) -> dict[str, float]:
        """What stands in the viewport; what lies outside may be old."""
        states = console.peer.states.items()
        return {name: state["speed_kmh"] for name, state in states if _inside(console.box, state)}

    @invariant()
    def nobody_is_given_a_foreign_ward(self) -> None:
        for console in self.all:
            assert all(console.scope.allows(ward) for ward in console.peer.wards_given)

    @invariant()
    def every_revision_counts_once(self) -> None:
        for console in self.all:
            assert max(Counter(console.peer.applied).values(), default=1) == 1


def _inside(box: Box | None, place: dict[str, Any]) -> bool:
    return box is None or box_contains(box, place["lon"], place["lat"])


Feed.TestCase.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)
TestFeed = Feed.TestCase
