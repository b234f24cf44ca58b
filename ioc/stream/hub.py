"""The feed's centre, one per process: follows the changes, keeps the latest states, feeds every session.

No client ever waits for another: the hub only hands shared batches to sessions, which is work in memory, and
wakes their sockets. What a client did not take yet waits in its own outbox, or it is closed as slow.
"""

import asyncio
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
import structlog

from ioc.model.events import Event
from ioc.model.incidents import Incident
from ioc.model.times import format_us
from ioc.stream.batches import ChangeBatch, EncodedChange, Snapshot, encode_change
from ioc.stream.devices import DeviceRegister
from ioc.stream.metrics import FeedMetrics
from ioc.stream.patches import Bases
from ioc.stream.ports import MAX_LIVE, ChangeSource, ClockUs, SourceUnavailableError, StoredChange, Viewer
from ioc.stream.ring import ChangeRing
from ioc.stream.session import Horizon, Phase, Session, SessionLimits, TakeSnapshot
from ioc.stream.states import EntityStates
from ioc.stream.wire import (
    EPOCH_CHANGED,
    NO_SESSION,
    SHUTTING_DOWN,
    TOO_MANY,
    UNAVAILABLE,
    CloseRule,
    DeviceJson,
    Frame,
    NoticeLevel,
)

_log = structlog.get_logger(__name__)
_SPREAD_MS = 3_000
_CURRENT: Final[tuple[NoticeLevel, str]] = ("info", "incidents_current")
_CUT: Final[tuple[NoticeLevel, str]] = ("warning", "incidents_cut")
_DELAYED: Final[tuple[NoticeLevel, str]] = ("warning", "incidents_delayed")
_THINNED: Final[tuple[NoticeLevel, str]] = ("warning", "events_thinned")
_WHOLE: Final[tuple[NoticeLevel, str]] = ("info", "events_whole")


class HubSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and paces of the feed."""

    session: SessionLimits = SessionLimits()
    flush_s: float = 0.1
    """Least time between two publications of changes; a quiet feed publishes at once."""
    state_flush_s: float = 0.25
    """The same of states, which are many: a map is drawn no oftener, and incidents do not wait for them."""
    poll_s: float = 1.0
    """How often the log of changes is looked at when nobody calls `wake`."""
    read_gap_s: float = 0.03
    """Least time between two looks."""
    read_timeout_s: float = 5.0
    read_changes: int = 500
    batch_bytes: int = 256 * 1024
    """Changes of one publication; a burst is spread over several, so that it does not make clients slow."""
    ring_changes: int = 10_000
    ring_bytes: int = 16 * 1024 * 1024
    snapshot_age_s: float = 5.0
    """How long joining clients share one snapshot; the changes since then follow it anyway."""
    join_timeout_s: float = 20.0
    max_entities: int = 50_000
    max_clients: int = 2_000
    max_clients_per_user: int = 5
    remembered_wards: int = 50_000
    patch_bases: int = 10_000
    """Open incidents whose newest revision is kept, about a kilobyte each; others are only given whole."""


class TooManyClientsError(Exception):
    """This user, or the process, has as many sockets as are allowed."""


class Client:
    """A session, who it belongs to, and the bell that its socket's writer waits for."""

    def __init__(self, session: Session, viewer: Viewer, drain_bytes: int) -> None:
        self.session = session
        self.viewer = viewer
        self._woken = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_us = 0
        self.asked = asyncio.Event()
        """Set when the client wants to be authenticated again, with `newer_token` if that is not empty."""
        self.newer_token = ""
        self.conflated_reported = 0
        self._drained: asyncio.Event | None = None
        """Made for whoever waits, which most clients never do."""
        self._drain_bytes = drain_bytes

    def wake(self) -> None:
        """Make the writer flush."""
        self._woken.set()

    async def wait(self, now_us: int) -> None:
        """Wait until there may be something to flush, at most until the session's deadline."""
        if not self._woken.is_set():
            self._set_alarm(self.session.deadline_us(), now_us)
            await self._woken.wait()
        self._woken.clear()

    def _set_alarm(self, due_us: int, now_us: int) -> None:
        # A deadline mostly moves away with every frame. An alarm that is too early only wakes for nothing;
        # one that is set anew with every frame costs more than the frame.
        if self._alarm is not None:
            if now_us < self._alarm_us <= due_us:
                return
            self._alarm.cancel()
        self._alarm_us = due_us
        self._alarm = asyncio.get_running_loop().call_later(max(0, due_us - now_us) / 1e6, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.wake()

    def end(self) -> None:
        """Call it when nobody waits any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def ask(self, token: str) -> None:
        """Have the guard look at once whether the person may still be here."""
        self.newer_token = token
        self.asked.set()

    def after_flush(self) -> None:
        """Call it when the frames of a flush have been sent."""
        if self._drained and (
            self.session.outbox_bytes <= self._drain_bytes or self.session.closing is not None
        ):
            self._drained.set()

    async def drained(self) -> None:
        """Wait until the outbox is short enough for another page of changes."""
        while self.session.outbox_bytes > self._drain_bytes and self.session.closing is None:
            self._drained = asyncio.Event()
            self.wake()
            await self._drained.wait()

    def close(self, rule: CloseRule) -> None:
        """End the session for `rule`; its socket says goodbye and closes."""
        self.session.close(rule)
        if self._drained:
            self._drained.set()
        self.wake()


def monotonic_us() -> int:
    """Return a clock that never goes back."""
    return time.monotonic_ns() // 1000


def wall_us() -> int:
    """Return the time of day, in microseconds since the epoch."""
    return time.time_ns() // 1000


class Hub:
    """Run `run()` in the process's task group; call `wake` after commits and `apply_event` for events."""

    def __init__(
        self,
        source: ChangeSource,
        settings: HubSettings | None = None,
        metrics: FeedMetrics | None = None,
        *,
        clock_us: ClockUs = monotonic_us,
        wall_clock_us: ClockUs = wall_us,
    ) -> None:
        self.settings = settings or HubSettings()
        self.metrics = metrics or FeedMetrics()
        self.clock_us = clock_us
        self.wall_clock_us = wall_clock_us
        self._source = source
        self._states = EntityStates(self.settings.max_entities)
        self._clients: dict[Client, None] = {}
        self._per_user: Counter[str] = Counter()
        self._epoch = ""
        self._ring = ChangeRing(0, 1, 1)
        self._published = 0
        self._ward_of: OrderedDict[str, str | None] = OrderedDict()
        self._bases = Bases(self.settings.patch_bases)
        self._ready = asyncio.Event()
        self._hint = asyncio.Event()
        self._dirty = asyncio.Event()
        self._states_dirty = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._snapshot: Snapshot | None = None
        self._snapshot_at_us = 0
        self._snapshot_lock = asyncio.Lock()
        self._current = True
        self._thinned = False
        self._devices = DeviceRegister()
        self._closing = False

    # For the process that owns the hub

    async def run(self) -> None:
        """Follow the changes and publish, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(_in_turns(self._dirty, self.publish_changes, self.settings.flush_s))
            group.create_task(_in_turns(self._states_dirty, self.publish_states, self.settings.state_flush_s))

    def wake(self) -> None:
        """Say that changes were committed; cheap, and any number of calls cause one read."""
        self._hint.set()

    def apply_event(self, event: Event) -> None:
        """Take an event into account for the state lane."""
        if self._states.apply(event) and not self._states_dirty.is_set():
            self._states_dirty.set()

    @property
    def ready(self) -> bool:
        """True when the log of changes has been read and can be read."""
        return self._ready.is_set() and self._current

    @property
    def clients(self) -> int:
        """Connected clients."""
        return len(self._clients)

    async def shutdown(self, grace_s: float = 5.0) -> None:
        """Say goodbye to every client and wait until their sockets are closed, at most `grace_s`."""
        self._closing = True
        for number, client in enumerate(list(self._clients)):
            # Spread the return of everybody, or the next process meets them all in one moment.
            after_ms = SHUTTING_DOWN.after_ms + number * 37 % _SPREAD_MS
            client.close(SHUTTING_DOWN._replace(after_ms=after_ms))
        try:
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        except TimeoutError:
            _log.warning("feed_clients_left", clients=len(self._clients))

    def close_user(self, user: str, rule: CloseRule = NO_SESSION) -> int:
        """Close every socket of `user` at once (disabled, role changed); return how many."""
        return self._close_where(lambda viewer: viewer.user == user, rule)

    def close_login(self, login: str, rule: CloseRule = NO_SESSION) -> int:
        """Close the sockets of one browser session at once (logged out); return how many."""
        return self._close_where(lambda viewer: viewer.login == login, rule)

    def _close_where(self, matches: Callable[[Viewer], bool], rule: CloseRule) -> int:
        found = [client for client in self._clients if matches(client.viewer)]
        for client in found:
            client.close(rule)
        return len(found)

    # For the shells of the sockets

    def admit(self, viewer: Viewer, *, one_way: bool = False) -> Client:
        """Return a new client for `viewer`; the caller must `release` it.

        Raises:
            TooManyClientsError: the user or the process has no place left.
        """
        settings = self.settings
        if (
            self._closing
            or len(self._clients) >= settings.max_clients
            or self._per_user[viewer.user] >= settings.max_clients_per_user
        ):
            raise TooManyClientsError(viewer.user)
        session = Session(
            viewer.scope,
            settings.session,
            self.clock_us(),
            session_id=secrets.token_hex(8),
            one_way=one_way,
        )
        client = Client(session, viewer, settings.session.outbox_bytes // 2)
        self._clients[client] = None
        self._per_user[viewer.user] += 1
        self._empty.clear()
        self.metrics.clients.set(len(self._clients))
        return client

    def release(self, client: Client) -> None:
        """Forget `client`; harmless when repeated."""
        if client not in self._clients:
            return
        del self._clients[client]
        client.end()
        user = client.viewer.user
        self._per_user[user] -= 1
        if not self._per_user[user]:
            del self._per_user[user]
        if not self._clients:
            self._empty.set()
        self.metrics.clients.set(len(self._clients))
        if client.session.closing is not None:
            self.metrics.closes.labels(client.session.closing.reason).inc()

    def sent(self, client: Client, frames: Sequence[Frame]) -> None:
        """Say that the frames of a flush left for the socket."""
        now_us = self.wall_clock_us()
        for frame in frames:
            if frame.received_us is not None:
                self.metrics.delay.observe(max(0.0, (now_us - frame.received_us) / 1e6))
        if client.session.conflated != client.conflated_reported:
            self.metrics.conflated.inc(client.session.conflated - client.conflated_reported)
            client.conflated_reported = client.session.conflated
        client.after_flush()

    @property
    def refusal(self) -> CloseRule:
        """Why `admit` refuses now."""
        return SHUTTING_DOWN if self._closing else TOO_MANY

    def show_states(self, client: Client) -> None:
        """Offer every state to a client whose viewport moved."""
        if client.session.phase is Phase.LIVE:
            client.session.offer_states(self._states.everything())
            client.wake()

    async def join(self, client: Client) -> None:
        """Bring a client that said hello up to date and make it live. Its writer must run meanwhile."""
        try:
            async with asyncio.timeout(self.settings.join_timeout_s):
                await self._ready.wait()
            if client.session.closing is None:
                await self._join(client)
        except (SourceUnavailableError, TimeoutError):
            self.metrics.source_errors.inc()
            client.close(UNAVAILABLE)

    async def _join(self, client: Client) -> None:
        session = client.session
        plan = session.start(Horizon(self._epoch, self._ring.last), format_us(self.wall_clock_us()))
        if not self._current:
            session.notify(*_DELAYED)
        if self._thinned:
            session.notify(*_THINNED)
        client.wake()
        if isinstance(plan, TakeSnapshot):
            self.metrics.resumes.labels(plan.reason).inc()
            await self._give_snapshot(session)
        else:
            self.metrics.resumes.labels("resumed").inc()
        while not await self._catch_up(client):
            self.metrics.resumes.labels("retention").inc()
            session.reset("retention")
            await self._give_snapshot(session)
        if session.closing is None:
            if not any(self._live()):
                # Nobody was there to collect for; what waited is part of everything.
                self._states.collect()
            session.go_live()
            if self._devices.standing is not None:
                session.offer_devices(self._devices.standing)
            session.offer_states(self._states.everything())
        client.wake()

    async def _give_snapshot(self, session: Session) -> None:
        snapshot = await self._take_snapshot()
        session.offer_snapshot(snapshot, self.clock_us())
        if snapshot.size >= MAX_LIVE:
            session.give_whole()
            session.notify(*_CUT)

    async def _catch_up(self, client: Client) -> bool:
        """Offer every change the client lacks; return False when some are gone.

        Between the last page and the return nothing is awaited, so no change can slip in between.
        """
        session, limit = client.session, self.settings.read_changes
        while session.closing is None:
            if session.epoch != self._epoch or session.position > self._ring.last:
                client.close(EPOCH_CHANGED)
            elif session.position == self._ring.last:
                return True
            elif self._ring.covers(session.position):
                self._offer(session, self._ring.after(session.position, limit))
                if session.position != self._ring.last:
                    await client.drained()
            elif session.scope.wards is not None:
                # Stored changes do not say which ward an incident came from; a snapshot cannot be wrong.
                return False
            else:
                changes = await self._read(session.position, limit)
                if not changes or changes[0].offset != session.position + 1:
                    return False
                self._offer(session, [encode_change(stored.offset, stored.incident) for stored in changes])
                await client.drained()
        return True

    def _offer(self, session: Session, changes: Sequence[EncodedChange]) -> None:
        taken = session.offer_changes(ChangeBatch(session.epoch, changes), self.clock_us())
        assert taken, "catching up offers exactly what follows"

    # Following the log of changes

    async def _follow(self) -> None:
        while True:
            try:
                more = await self.follow_once()
                self._say_current(True)
            except (SourceUnavailableError, TimeoutError) as error:
                more = False
                self.metrics.source_errors.inc()
                self._say_current(False, str(error))
            if not more:
                await _wait_at_most(self._hint, self.settings.poll_s)
            self._hint.clear()
            # A thousand commits a second must not become a thousand reads.
            await asyncio.sleep(self.settings.read_gap_s)

    async def follow_once(self) -> bool:
        """Read what is new; `run` calls it. Return True when there may be more at once."""
        async with asyncio.timeout(self.settings.read_timeout_s):
            epoch, last = await self._source.position()
        if epoch != self._epoch or last < self._ring.last:
            await self._begin(epoch, last)
            return False
        if last == self._ring.last:
            return False
        if self._ring.last - self._published > self.settings.ring_changes // 2:
            # Let the clients have what was read before it is pushed out of the ring.
            return True
        changes = await self._read(self._ring.last, self.settings.read_changes)
        if not changes or changes[0].offset != self._ring.last + 1:
            # The position promised changes. Retention overtook us: nobody can be given what is gone.
            await self._begin(epoch, last)
            return False
        for stored in changes:
            self._ring.append(self._encode(stored))
        self._dirty.set()
        return self._ring.last < last

    async def _begin(self, epoch: str, last: int) -> None:
        """Start from the log as it is now; whoever followed another one has to start anew."""
        async with asyncio.timeout(self.settings.read_timeout_s):
            offset, incidents = await self._source.snapshot()
        read_at, offset = offset, min(offset, last)
        self._epoch = epoch
        self._ring = ChangeRing(offset, self.settings.ring_changes, self.settings.ring_bytes)
        self._published = offset
        self._ward_of = OrderedDict((incident.id, incident.ward) for incident in reversed(incidents))
        snapshot = self._keep(epoch, offset, incidents, read_at)
        self._bases = Bases(self.settings.patch_bases)
        for incident, whole in zip(reversed(incidents), reversed(snapshot.wholes), strict=True):
            self._bases.put(incident, whole)
        self._ready.set()
        self.wake()
        for client in list(self._clients):
            if client.session.phase in (Phase.JOINING, Phase.LIVE) and client.session.epoch:
                client.close(EPOCH_CHANGED)
        _log.info("feed_begins", epoch=epoch, offset=offset, incidents=len(incidents))

    async def _read(self, after: int, limit: int) -> Sequence[StoredChange]:
        async with asyncio.timeout(self.settings.read_timeout_s):
            return await self._source.read(after, limit)

    def _encode(self, stored: StoredChange) -> EncodedChange:
        incident = stored.incident
        before = self._ward_of.pop(incident.id, incident.ward)
        self._ward_of[incident.id] = incident.ward
        if len(self._ward_of) > self.settings.remembered_wards:
            self._ward_of.popitem(last=False)
        left_ward = before if before != incident.ward else None
        return encode_change(stored.offset, incident, left_ward, self._bases)

    def _keep(self, epoch: str, offset: int, incidents: Sequence[Incident], read_at: int) -> Snapshot:
        self._snapshot = Snapshot(epoch, offset, incidents, read_at)
        self._snapshot_at_us = self.clock_us()
        return self._snapshot

    async def _take_snapshot(self) -> Snapshot:
        """Return a snapshot from which the changes lead to now; shared by those who join together."""
        async with self._snapshot_lock:
            kept, epoch = self._snapshot, self._epoch
            age_us = self.clock_us() - self._snapshot_at_us
            if (
                kept is not None
                and kept.epoch == epoch
                and self._ring.covers(kept.offset)
                and age_us <= self.settings.snapshot_age_s * 1e6
            ):
                return kept
            async with asyncio.timeout(self.settings.read_timeout_s):
                offset, incidents = await self._source.snapshot()
            # The snapshot may be ahead of what we follow; what follows is then given once more, which
            # revisions make harmless, while a position ahead of ours would look like a replaced log.
            return self._keep(epoch, min(offset, self._ring.last), incidents, offset)

    # Publishing

    def publish_changes(self) -> None:
        """Offer what changed to every live client; `run` calls it, never oftener than each `flush_s`."""
        batch = self._next_batch()
        if batch is None:
            return
        now_us = self.clock_us()
        fullest = oldest_us = 0
        for client in list(self._live()):
            session = client.session
            # What still waits now was not taken since the publication before.
            oldest_us = max(oldest_us, session.outbox_age_us(now_us))
            if not session.offer_changes(batch, now_us):
                # Cannot happen while live; if it did, resuming is always right.
                client.close(EPOCH_CHANGED)
            fullest = max(fullest, session.outbox_bytes)
            client.wake()
        self.metrics.outbox_bytes.set(fullest)
        self.metrics.outbox_age.observe(oldest_us / 1e6)

    def publish_states(self) -> None:
        """Offer the latest states to every live client, never oftener than each `state_flush_s`."""
        live = list(self._live())
        # Without clients the states are left to wait: encoding them would be for nobody.
        states = self._states.collect() if live else None
        if states is None:
            return
        for client in live:
            client.session.offer_states(states)
            client.wake()

    def _live(self) -> Iterator[Client]:
        return (client for client in self._clients if client.session.phase is Phase.LIVE)

    def _next_batch(self) -> ChangeBatch | None:
        """Return what comes next for live clients, None when they have been offered everything."""
        # The ring is bounded by bytes too: what it dropped unpublished, live clients will resume for.
        self._published = max(self._published, self._ring.first - 1)
        if self._published == self._ring.last:
            return None
        changes = self._ring.after(self._published, self.settings.read_changes)
        size, count = 0, 0
        while count < len(changes) and (size := size + changes[count].size) <= self.settings.batch_bytes:
            count += 1
        batch = ChangeBatch(self._epoch, changes[: max(count, 1)])
        self._published = batch.last
        if self._published < self._ring.last:
            self._dirty.set()
        return batch

    def _say_current(self, current: bool, reason: str = "") -> None:
        if current == self._current:
            return
        self._current = current
        _log.log(20 if current else 30, "feed_source", current=current, reason=reason)
        self._tell_all(*(_CURRENT if current else _DELAYED))

    def say_thinned(self, thinned: bool) -> None:
        """Tell everybody, now and when they join, whether events are left out because there are too many."""
        if thinned != self._thinned:
            self._thinned = thinned
            self._tell_all(*(_THINNED if thinned else _WHOLE))

    def show_devices(self, version: int, devices: Iterable[DeviceJson]) -> None:
        """Tell everybody what has changed of the register of devices; whoever joins, which version it is."""
        batch = self._devices.update(version, devices)
        if batch is None:
            return
        for client in list(self._live()):
            client.session.offer_devices(batch)
            client.wake()

    def _tell_all(self, level: NoticeLevel, code: str) -> None:
        for client in list(self._clients):
            client.session.notify(level, code)
            client.wake()


async def _in_turns(wanted: asyncio.Event, publish: Callable[[], None], gap_s: float) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        publish()
        await asyncio.sleep(gap_s)


async def _wait_at_most(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return
