"""Whatever happens, a client that is up to date knows exactly what the server knows, and never a gap."""

import asyncio
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from prometheus_client import CollectorRegistry

from ioc.stream.hub import Client, Hub, HubSettings
from ioc.stream.metrics import FeedMetrics
from ioc.stream.ports import Viewer
from ioc.stream.scope import Scope
from ioc.stream.session import Phase, SessionLimits
from tests.unit.stream.peer import Peer
from tests.unit.stream.samples import FakeLog

WARDS = ["a", "b", None]
SCOPES = [Scope(), Scope(frozenset({"a"})), Scope(frozenset({"a", "b"}))]


class Console:
    """A peer, and the client the hub holds for it while connected."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.peer = Peer()
        self.client: Client | None = None
        self.task: asyncio.Task[None] | None = None


class Feed(RuleBasedStateMachine):
    consoles = Bundle("consoles")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now_us = 0
        self.log = FakeLog()
        self.epochs = 1
        self.all: list[Console] = []
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
        )
        return Hub(self.log, sizes, FeedMetrics(CollectorRegistry()), clock_us=lambda: self.now_us)

    def teardown(self) -> None:
        for console in self.all:
            if console.task is not None:
                console.task.cancel()
        self.runner.close()

    # The world

    @rule(number=st.integers(0, 5), ward=st.sampled_from(WARDS), times=st.integers(1, 6))
    def incidents_change(self, number: int, ward: str | None, times: int) -> None:
        for _ in range(times):
            self.log.touch(f"inc-{number}", ward)

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

    # The hub

    @rule()
    def hub_follows(self) -> None:
        if not self.log.broken:
            self.runner.run(self.hub.follow_once())

    @rule()
    def hub_publishes(self) -> None:
        self.hub.publish()

    # The consoles

    @rule(target=consoles, scope=st.sampled_from(SCOPES))
    def console_opens(self, scope: Scope) -> Console:
        console = Console(scope)
        self.all.append(console)
        return console

    @rule(console=consoles)
    def console_connects(self, console: Console) -> None:
        if console.client is None and len([c for c in self.all if c.client]) < 20:
            console.peer.reconnect()
            viewer = Viewer(f"user-{id(console)}", "login", console.scope)
            console.client = self.hub.admit(viewer)
            console.client.session.on_frame(console.peer.hello, self.now_us)
            self.runner.run(self._begin_join(console))

    async def _begin_join(self, console: Console) -> None:
        assert console.client is not None
        console.task = asyncio.get_running_loop().create_task(self.hub.join(console.client))
        await asyncio.sleep(0)

    @rule(console=consoles, flushes=st.integers(1, 4), budget=st.integers(1, 6_000))
    def console_reads(self, console: Console, flushes: int, budget: int) -> None:
        if console.client is not None:
            for _ in range(flushes):
                self.runner.run(self._read(console, budget))

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

    @rule(console=consoles)
    def connection_breaks(self, console: Console) -> None:
        if console.client is not None:
            self.runner.run(self._drop(console))

    async def _drop(self, console: Console) -> None:
        assert console.client is not None and console.task is not None
        console.task.cancel()
        await asyncio.wait([console.task])
        self.hub.release(console.client)
        console.client = console.task = None

    @rule(console=consumes(consoles))
    def console_goes_for_good(self, console: Console) -> None:
        if console.client is not None:
            self.runner.run(self._drop(console))

    @rule(console=consoles)
    def everything_settles(self, console: Console) -> None:
        """After the mishaps end, a connected client catches up, whatever it has been through."""
        self.log.broken = False
        for _ in range(60):
            self.now_us += 100_000
            self.console_connects(console)
            self.runner.run(self.hub.follow_once())
            self.hub.publish()
            self.runner.run(self._read(console, 100_000))
            if self._is_current(console):
                break
        assert self._is_current(console)
        assert self._knows(console) == self._visible(console)

    def _is_current(self, console: Console) -> bool:
        client = console.client
        return (
            client is not None
            and client.session.phase is Phase.LIVE
            and not client.session.has_more
            and client.session.position == self.log.last
            and client.session.epoch == self.log.epoch
        )

    def _visible(self, console: Console) -> dict[str, int]:
        return {i.id: i.rev for i in self.log.incidents.values() if console.scope.allows(i.ward)}

    @staticmethod
    def _knows(console: Console) -> dict[str, int]:
        return {item["id"]: item["rev"] for item in console.peer.incidents.values()}

    @invariant()
    def nobody_holds_a_foreign_ward(self) -> None:
        for console in self.all:
            wards: set[Any] = {item["ward"] for item in console.peer.incidents.values()}
            assert all(console.scope.allows(ward) for ward in wards)

    @invariant()
    def every_revision_counts_once(self) -> None:
        for console in self.all:
            assert max(Counter(console.peer.applied).values(), default=1) == 1


Feed.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestFeed = Feed.TestCase
