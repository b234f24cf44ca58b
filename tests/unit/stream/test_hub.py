"""The hub as its sockets and its process see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from ioc.model.events import TrafficFlow
from ioc.model.incidents import Handling
from ioc.stream.hub import Client, Hub, HubSettings, TooManyClientsError, monotonic_us
from ioc.stream.metrics import FeedMetrics
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING, Scope
from ioc.stream.session import Session, SessionLimits
from ioc.stream.wire import NO_SESSION, PATCH, Frame
from tests.unit.stream.peer import Peer
from tests.unit.stream.samples import FakeLog, event, publish


def make_hub(log: FakeLog, **settings: object) -> Hub:
    return Hub(log, HubSettings(**settings), FeedMetrics(CollectorRegistry()))  # type: ignore[arg-type]


@asynccontextmanager
async def connected(
    hub: Hub, peer: Peer, scope: Scope = EVERYTHING, user: str = "an"
) -> AsyncIterator[Client]:
    """A client that is joined and whose frames the peer has taken."""
    client = hub.admit(Viewer(user, f"login-{user}", scope))
    peer.reconnect()
    client.session.on_frame(peer.hello, hub.clock_us())
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(hub.join(client))
            while not task.done():
                take(hub, client, peer)
                await asyncio.sleep(0)
        take(hub, client, peer)
        yield client
    finally:
        hub.release(client)


def take(hub: Hub, client: Client, peer: Peer) -> None:
    frames = client.session.flush(hub.clock_us())
    peer.take(frames)
    hub.sent(client, frames)


async def test_clients_that_join_together_share_one_read_of_the_snapshot() -> None:
    log = FakeLog()
    log.touch("inc-1", "a")
    hub = make_hub(log)
    await hub.follow_once()
    for n in range(5):
        async with connected(hub, Peer(), user=f"u{n}"):
            pass
    assert log.snapshots == 1


async def test_a_short_absence_is_answered_from_memory_and_a_longer_one_from_the_log() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, ring_changes=10, read_changes=3)
    await hub.follow_once()
    async with connected(hub, peer):
        pass
    for _ in range(8):
        log.touch("inc-1", "a")
    while await hub.follow_once():
        publish(hub)
    reads = log.reads
    async with connected(hub, peer):
        assert peer.welcome is not None and peer.welcome["mode"] == "resume"
        assert peer.incidents["inc-1"]["rev"] == 8 and log.reads == reads
    for _ in range(40):
        log.touch("inc-2", "a")
    for _ in range(20):
        await hub.follow_once()
        publish(hub)
    reads = log.reads
    async with connected(hub, peer):
        assert peer.welcome is not None and peer.welcome["mode"] == "resume"
        assert peer.incidents["inc-2"]["rev"] == 40 and log.reads > reads


async def test_a_burst_does_not_make_a_client_slow_that_keeps_up() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, batch_bytes=5_000, session=SessionLimits(outbox_bytes=8_000))
    await hub.follow_once()
    async with connected(hub, peer) as client:
        for n in range(100):
            log.touch(f"inc-{n}", "a")
        for _ in range(100):
            await hub.follow_once()
            publish(hub)
            take(hub, client, peer)
        assert client.session.closing is None
        assert len(peer.incidents) == 100


async def test_one_that_never_reads_is_closed_and_the_others_do_not_notice() -> None:
    log, reading, stalled = FakeLog(), Peer(), Peer()
    hub = make_hub(log, session=SessionLimits(outbox_bytes=20_000))
    await hub.follow_once()
    async with connected(hub, reading, user="an") as good, connected(hub, stalled, user="binh") as bad:
        for n in range(100):
            log.touch(f"inc-{n}", "a")
            await hub.follow_once()
            publish(hub)
            take(hub, good, reading)
        assert bad.session.closing is not None and bad.session.closing.reason == "slow"
        assert len(reading.incidents) == 100
        take(hub, bad, stalled)
    async with connected(hub, stalled, user="binh"):
        assert stalled.welcome is not None and stalled.welcome["mode"] == "resume"
        assert stalled.incidents == reading.incidents


async def test_states_reach_everybody_who_joined_before_or_after() -> None:
    log, early, late = FakeLog(), Peer(), Peer()
    hub = make_hub(log)
    await hub.follow_once()
    async with connected(hub, early) as client:
        hub.apply_event(event("det-1", TrafficFlow(speed_kmh=30.0)))
        publish(hub)
        take(hub, client, early)
        async with connected(hub, late, user="binh"):
            assert early.states == late.states
            assert late.states["det-1"]["speed_kmh"] == 30.0


async def test_states_that_nobody_watched_are_there_for_whoever_comes() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log)
    await hub.follow_once()
    for n in range(3):
        hub.apply_event(event(f"det-{n}", TrafficFlow(speed_kmh=30.0)))
        publish(hub)
    async with connected(hub, peer):
        assert set(peer.states) == {"det-0", "det-1", "det-2"}


async def test_whoever_comes_while_incidents_are_delayed_is_told() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, poll_s=0.01, read_gap_s=0.0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(hub.run())
        async with connected(hub, Peer(), user="binh") as watching:
            log.broken = True
            while hub.ready:
                await watching.wait(hub.clock_us())
        async with connected(hub, peer):
            assert [frame["type"] for frame in peer.frames[:2]] == ["welcome", "notice"]
        running.cancel()


async def test_an_unreachable_log_is_told_to_the_people_and_so_is_its_return() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, poll_s=0.01, read_gap_s=0.0, flush_s=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(hub.run())
        async with connected(hub, peer) as client:
            for broken, code in ((True, "incidents_delayed"), (False, "incidents_current")):
                log.broken = broken
                while not any(f.get("code") == code for f in peer.frames):
                    take(hub, client, peer)
                    await asyncio.sleep(0.001)
                assert hub.ready is not broken
        running.cancel()


async def test_everybody_and_whoever_comes_is_told_while_measurements_are_thinned() -> None:
    hub, early, late = make_hub(FakeLog()), Peer(), Peer()
    await hub.follow_once()
    async with connected(hub, early) as client:
        hub.say_thinned(True)
        hub.say_thinned(True)
        async with connected(hub, late, user="binh"):
            assert "events_thinned" in [frame.get("code") for frame in late.frames]
        hub.say_thinned(False)
        take(hub, client, early)
    codes = [frame["code"] for frame in early.frames if "code" in frame]
    assert codes == ["events_thinned", "events_whole"]


async def test_a_console_is_told_that_it_was_not_given_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ioc.stream.hub.MAX_LIVE", 2)
    log = FakeLog()
    for count, told in ((1, []), (2, ["incidents_cut"])):
        log.touch(f"inc-{count}", "a")
        hub = make_hub(log)
        await hub.follow_once()
        peer = Peer()
        async with connected(hub, peer) as client:
            take(hub, client, peer)
            assert [frame["code"] for frame in peer.frames if frame["type"] == "notice"] == told


async def test_what_goes_on_comes_as_patches_and_what_ended_comes_back_whole() -> None:
    log, early, late = FakeLog(), Peer(PATCH), Peer(PATCH)
    hub = make_hub(log, snapshot_age_s=-1)  # none is shared

    async def change(handling: Handling) -> None:
        log.touch("inc-1", "a", handling=handling)
        await hub.follow_once()
        publish(hub)

    log.touch("inc-1", "a")
    await hub.follow_once()
    async with connected(hub, early) as client:
        await change(Handling.ACKNOWLEDGED)
        await change(Handling.RESOLVED)
        take(hub, client, early)
        assert early.patches == 2
        log.age()
        async with connected(hub, late, user="binh") as other:
            assert late.incidents == {}
            await change(Handling.NEW)
            take(hub, client, early)
            take(hub, other, late)
            assert late.incidents == early.incidents and (early.patches, late.patches) == (2, 0)


async def test_nothing_that_a_snapshot_is_ahead_of_comes_as_a_patch() -> None:
    log, peer = FakeLog(), Peer(PATCH)
    hub = make_hub(log, snapshot_age_s=-1)  # none is shared
    log.touch("inc-1", "a")
    await hub.follow_once()
    log.touch("inc-1", "a", handling=Handling.RESOLVED)
    log.age()
    async with connected(hub, peer) as client:
        assert peer.incidents == {}
        await hub.follow_once()
        publish(hub)
        take(hub, client, peer)
        assert peer.incidents["inc-1"]["rev"] == 2


async def test_who_was_not_given_everything_is_given_no_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ioc.stream.hub.MAX_LIVE", 1)
    log, peer = FakeLog(), Peer(PATCH)
    hub = make_hub(log)
    log.touch("inc-1", "a")
    await hub.follow_once()
    async with connected(hub, peer) as client:
        log.touch("inc-1", "a")
        await hub.follow_once()
        publish(hub)
        take(hub, client, peer)
        assert (peer.incidents["inc-1"]["rev"], peer.patches) == (2, 0)


async def test_a_commit_reaches_a_client_without_waiting_for_the_poll() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, poll_s=60.0, read_gap_s=0.0, flush_s=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(hub.run())
        async with connected(hub, peer) as client:
            log.touch("inc-1", "a")
            hub.wake()
            await client.wait(hub.clock_us())
            while "inc-1" not in peer.incidents:
                take(hub, client, peer)
                await asyncio.sleep(0.001)
        running.cancel()


async def test_a_client_that_joins_while_the_log_is_away_is_told_to_come_back() -> None:
    log, peer = FakeLog(), Peer()
    hub = make_hub(log, join_timeout_s=0.01)
    async with connected(hub, peer):
        assert peer.bye is not None and (peer.bye["code"], peer.bye["reconnect"]) == (4503, True)


async def test_places_are_bounded_per_user_and_in_all_and_are_given_back() -> None:
    hub = make_hub(FakeLog(), max_clients_per_user=2, max_clients=3)
    viewer, other = Viewer("an", "l", EVERYTHING), Viewer("binh", "l", EVERYTHING)
    clients = [hub.admit(viewer), hub.admit(viewer)]
    with pytest.raises(TooManyClientsError):
        hub.admit(viewer)
    clients.append(hub.admit(other))
    with pytest.raises(TooManyClientsError):
        hub.admit(other)
    for client in clients:
        hub.release(client)
        hub.release(client)
    assert hub.clients == 0
    hub.admit(viewer)


async def test_a_disabled_person_and_an_ended_login_lose_their_sockets_at_once() -> None:
    hub = make_hub(FakeLog())
    first, second = (hub.admit(Viewer("an", login, EVERYTHING)) for login in ("l1", "l2"))
    assert hub.close_login("l1") == 1
    assert first.session.closing == NO_SESSION and second.session.closing is None
    assert hub.close_user("an") == 2
    assert second.session.closing == NO_SESSION


async def test_a_shutdown_says_goodbye_lets_nobody_in_and_waits_for_the_sockets() -> None:
    hub = make_hub(FakeLog())
    clients = [hub.admit(Viewer(f"u{n}", "l", EVERYTHING)) for n in range(3)]
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        done = group.create_task(hub.shutdown())
        await asyncio.sleep(0)
        rules = [client.session.closing for client in clients]
        assert [rule.code for rule in rules if rule] == [4503] * 3
        assert len({rule.after_ms for rule in rules if rule}) == 3
        with pytest.raises(TooManyClientsError):
            hub.admit(Viewer("late", "l", EVERYTHING))
        assert hub.refusal.code == 4503 and not done.done()
        for client in clients:
            hub.release(client)


async def test_a_hub_that_finds_nothing_of_what_the_position_promises_begins_anew() -> None:
    log = FakeLog()
    hub = make_hub(log)
    await hub.follow_once()
    log.touch("inc-1", "a")
    log.forget_before(log.last + 1)
    peer = Peer()
    assert not await hub.follow_once()
    async with connected(hub, peer):
        assert list(peer.incidents) == ["inc-1"]


async def test_what_a_client_does_not_take_shows_in_the_age_of_the_outbox() -> None:
    log, now_us = FakeLog(), 0
    metrics = FeedMetrics(registry := CollectorRegistry())
    hub = Hub(log, HubSettings(), metrics, clock_us=lambda: now_us)
    await hub.follow_once()

    async def change() -> float:
        log.touch("inc-1", "a")
        await hub.follow_once()
        publish(hub)
        return registry.get_sample_value("ioc_feed_outbox_age_seconds_sum") or 0.0

    reading, stalled = Peer(), Peer()
    async with connected(hub, reading, user="an") as good, connected(hub, stalled, user="binh") as bad:
        assert await change() == 0
        now_us = 2_000_000
        take(hub, good, reading)
        take(hub, bad, stalled)
        assert await change() == 0, "both had taken what was offered before"
        now_us = 5_000_000
        take(hub, good, reading)
        assert await change() == 3


async def test_a_writer_is_woken_at_every_deadline() -> None:
    session = Session(EVERYTHING, SessionLimits(hb_ms=20), monotonic_us(), one_way=True)
    session.on_frame(Peer().hello, monotonic_us())
    client = Client(session, Viewer("an", "login", EVERYTHING), 0)
    frames: list[Frame] = []
    async with asyncio.timeout(10):
        while len(frames) < 3:
            await client.wait(monotonic_us())
            frames += session.flush(monotonic_us())
    client.end()
    assert all('"ping"' in frame.text for frame in frames)


async def test_an_alarm_that_rings_before_the_deadline_rings_again() -> None:
    began_us = monotonic_us()
    session = Session(EVERYTHING, SessionLimits(hello_us=20_000), began_us)
    client = Client(session, Viewer("an", "login", EVERYTHING), 0)
    async with asyncio.timeout(10):
        for _ in range(2):
            # A clock that has not moved when the alarm rings: to it the deadline is still to come.
            await client.wait(began_us)
    client.end()
