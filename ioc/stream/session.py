"""One client of the feed: what it may see, what it has been given, what it gets next (pure).

The session performs nothing. Its shell hands it the client's text (`on_frame`), the hub hands it shared
batches (`offer_*`), and the shell sends what `flush` returns, in that order. `now_us` is any clock that never
goes back. Three lanes leave in this order: control, incidents (never trimmed), states (conflated). A
`one_way` client cannot answer, so it is not asked to.

    hello ──on_frame──► joining ──start, offer_snapshot, offer_changes, go_live──► live
      └──────────────────── close (by anybody, for a `CloseRule`) ────────────────► closed
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ioc.model.times import format_us
from ioc.stream.batches import Box, ChangeBatch, Snapshot, StateBatch, StateEntry, state_frames, tiled, within
from ioc.stream.devices import DeviceBatch
from ioc.stream.scope import Scope
from ioc.stream.wire import (
    BAD_FRAME,
    DEVICES,
    FRAME_TOO_LARGE,
    HELLO_TIMEOUT,
    LOST_BASE,
    PATCH,
    SLOW,
    TOO_MANY,
    Auth,
    Bye,
    ClientFrame,
    CloseRule,
    Delays,
    FeedLimits,
    Frame,
    FrameError,
    Hello,
    Mode,
    Notice,
    NoticeLevel,
    Ping,
    Pong,
    Reset,
    Resume,
    ServerFrame,
    View,
    Welcome,
    decode_client_frame,
    encode_frame,
)

MAX_CONTROL_FRAMES: Final = 64
FLUSH_BYTES: Final = 256 * 1024
_SILENT_HEARTBEATS: Final = 3


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one client."""

    hb_ms: int = 15_000
    hello_us: int = 5_000_000
    frame_bytes: int = 16 * 1024
    messages_per_s: int = 20
    outbox_bytes: int = 1024 * 1024
    outbox_age_us: int = 8_000_000
    replay_changes: int = 5_000
    """A longer absence is answered with a snapshot, which is then the shorter way."""


class Phase(StrEnum):
    """How far a session is."""

    HELLO = "hello"
    JOINING = "joining"
    LIVE = "live"
    CLOSED = "closed"


class Join(NamedTuple):
    """The client said hello: bring it up to date (`start`, then what it asks for)."""


class ViewMoved(NamedTuple):
    """The viewport changed: offer every state again, since what is now in view was not sent."""


class Reauthenticate(NamedTuple):
    """The client asks to be looked at again now; `token` is a newer one, empty: the one it came with."""

    token: str


class Measured(NamedTuple):
    """The client tells how old changes were when it had applied them."""

    delays: Delays


Out = Join | ViewMoved | Reauthenticate | Measured


class Horizon(NamedTuple):
    """What the log of changes covers now: its epoch and its newest offset."""

    epoch: str
    last: int


class ReplayAfter(NamedTuple):
    """Offer every change after `offset`, then go live."""

    offset: int


class TakeSnapshot(NamedTuple):
    """Offer a snapshot, then every change after it, then go live. `reason` is for metrics."""

    reason: str


class _Rate:
    """A token bucket of `per_s` messages a second, holding one second's worth."""

    __slots__ = ("_at_us", "_per_s", "_tokens")

    def __init__(self, per_s: int, now_us: int) -> None:
        self._per_s = per_s
        self._tokens = float(per_s)
        self._at_us = now_us

    def take(self, now_us: int) -> bool:
        """Use one token; return False when there is none."""
        self._tokens = min(self._per_s, self._tokens + (now_us - self._at_us) * self._per_s / 1e6)
        self._at_us = now_us
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Session:
    """The protocol of one client. After `closing` is set, send what `flush` returns and close the socket."""

    def __init__(
        self, scope: Scope, limits: SessionLimits, now_us: int, *, session_id: str = "", one_way: bool = False
    ) -> None:
        self.scope = scope
        self.limits = limits
        self.session_id = session_id
        self.phase = Phase.HELLO
        self.epoch = ""
        """The source's epoch this client follows; it sees `scope.stamp(epoch)`."""
        self.position = 0
        """The newest offset that was offered."""
        self.closing: CloseRule | None = None
        self.conflated = 0
        """Values dropped for newer ones because this client was behind, in total."""
        self._one_way = one_way
        self._resume: Resume | None = None
        self._patches = self._lost_base = self._devices = False
        self._whole_until = 0
        self._box: Box | None = None
        self._rate = _Rate(limits.messages_per_s, now_us)
        # Lists, although taken from the front: they are short, and of two thousand idle clients mostly empty,
        # when a deque costs ten times as much.
        self._control: list[Frame] = []
        self._pages: list[Frame] = []
        self._outbox: list[tuple[int, Frame]] = []
        self._outbox_bytes = 0
        self._batch: StateBatch | None = None
        self._pending: dict[str, StateEntry] = {}
        self._pending_conflated = 0
        self._state_frames: list[Frame] = []
        self._began_us = now_us
        self._heard_us = now_us
        self._sent_us = now_us
        self._pinged_us = now_us
        self._waiting_us = now_us
        """Since when incident frames wait behind nothing else: the snapshot's time does not count."""

    @property
    def outbox_bytes(self) -> int:
        """Bytes of the incident lane that wait for this client."""
        return self._outbox_bytes

    def outbox_age_us(self, now_us: int) -> int:
        """Return how long the oldest frame of the incident lane waits for this client; 0 when none does.

        The time a snapshot before it takes does not count.
        """
        if not self._outbox or self._pages:
            return 0
        return now_us - max(self._outbox[0][0], self._waiting_us)

    @property
    def has_more(self) -> bool:
        """True when another `flush` would return frames right now."""
        return bool(
            self._control
            or self._pages
            or self._outbox
            or self._state_frames
            or self._pending
            or self._batch is not None
        )

    # What the client sends

    def on_frame(self, text: str, now_us: int, wall_us: int | None = None) -> list[Out]:
        """Take one text frame of the client; return what the hub must do for it.

        `wall_us` is the time of day, which a pong tells where it is given.
        """
        if self.closing is not None:
            return []
        self._heard_us = now_us
        if (
            len(text) > self.limits.frame_bytes
            or len(text.encode(errors="replace")) > self.limits.frame_bytes
        ):
            self.close(FRAME_TOO_LARGE)
        elif not self._rate.take(now_us):
            self.close(TOO_MANY._replace(reason="too_many_messages"))
        else:
            try:
                return self._on_message(decode_client_frame(text), wall_us)
            except FrameError:
                self.close(BAD_FRAME)
        return []

    def _on_message(self, message: ClientFrame, wall_us: int | None) -> list[Out]:
        if isinstance(message, Hello) != (self.phase is Phase.HELLO):
            raise FrameError("hello comes first, and once")
        match message:
            case Hello():
                self._resume = message.resume
                self._lost_base = message.lost == LOST_BASE
                # Whoever lost one has a fault, or we have: whole incidents cannot be misunderstood.
                self._patches = PATCH in message.caps and not self._lost_base
                self._devices = DEVICES in message.caps
                self.phase = Phase.JOINING
                return [Join()]
            case View():
                before, self._box = self._box, _tiled_box(message.bbox)
                return [ViewMoved()] if self._box != before else []
            case Auth():
                return [Reauthenticate(message.token)]
            case Ping(t, delays):
                self._say(Pong(t, msgspec.UNSET if wall_us is None else format_us(wall_us)))
                return [] if delays is msgspec.UNSET else [Measured(delays)]
            case Pong():
                return []

    # What the hub offers

    def start(self, horizon: Horizon, server_time: str) -> ReplayAfter | TakeSnapshot:
        """Decide how to bring the client up to date and greet it. `server_time` is RFC 3339.

        A resume is honoured only if nothing can be missing; otherwise the client is told to start anew.
        """
        assert self.phase is Phase.JOINING
        resume, self.epoch = self._resume, horizon.epoch
        reason = self._refusal(resume, horizon)
        mode = Mode.SNAPSHOT if reason else Mode.RESUME
        limits = self.limits
        self._say(
            Welcome(
                self.session_id,
                server_time,
                limits.hb_ms,
                self.scope.stamp(horizon.epoch),
                FeedLimits(
                    limits.outbox_bytes,
                    limits.outbox_age_us // 1000,
                    limits.frame_bytes,
                    limits.messages_per_s,
                ),
                mode,
            )
        )
        if resume is None or reason:
            if resume is not None:
                self._say(Reset(reason))
            return TakeSnapshot(reason)
        self.position = resume.offset
        return ReplayAfter(resume.offset)

    def _refusal(self, resume: Resume | None, horizon: Horizon) -> str:
        if self._lost_base:
            return "no_base"
        if resume is None:
            return "fresh"
        if resume.epoch != self.scope.stamp(horizon.epoch):
            return "epoch"
        if not 0 <= resume.offset <= horizon.last:
            return "ahead"
        return "too_old" if horizon.last - resume.offset > self.limits.replay_changes else ""

    def reset(self, reason: str) -> None:
        """Take back everything given so far; a snapshot must be offered next."""
        self.phase = Phase.JOINING
        self._pages.clear()
        self._outbox.clear()
        self._outbox_bytes = 0
        self._say(Reset(reason))

    def offer_snapshot(self, snapshot: Snapshot, now_us: int) -> None:
        """Give the incidents as of the snapshot's offset."""
        if self.closing is not None:
            return
        assert self.phase is Phase.JOINING
        self.epoch = snapshot.epoch
        self.position = snapshot.offset
        # An incident may have ended and left the snapshot in changes that are still to be given.
        self._whole_until = snapshot.read_at
        # Shared by everybody and of the log's size, not of this client's delay: not part of the outbox.
        self._pages.extend(snapshot.frames(self.scope))
        self._waiting_us = now_us

    def offer_changes(self, batch: ChangeBatch, now_us: int) -> bool:
        """Give consecutive changes; what was given before is skipped.

        Returns:
            False when changes between this client's position and the batch are missing, or its epoch is
            another; nothing was taken then, and the caller must replay them first.
        """
        if self.closing is not None:
            return True
        if batch.epoch != self.epoch or batch.first > self.position + 1:
            return False
        rest = batch.after(self.position)
        if rest is None:
            return True
        frame = rest.frame(self.scope, self._patches and rest.first > self._whole_until)
        self.position = rest.last
        self._outbox.append((now_us, frame))
        self._outbox_bytes += frame.size
        if self.phase is Phase.LIVE and self._outbox_bytes > self.limits.outbox_bytes:
            self.close(SLOW)
        return True

    def give_whole(self) -> None:
        """Give no patches from now on, since the client cannot be known to hold what they change."""
        self._patches = False

    def go_live(self) -> None:
        """From now on every batch of the hub is offered."""
        if self.closing is None:
            self.phase = Phase.LIVE

    def offer_devices(self, batch: DeviceBatch) -> None:
        """Tell what has changed of the register of devices, where the client wants to know."""
        if self._devices and self.closing is None:
            self._control_frame(batch.frame(self.scope))

    def offer_states(self, batch: StateBatch) -> None:
        """Give the latest of some entities; older values that still wait are replaced."""
        if self.closing is not None:
            return
        if self._batch is None and not self._pending:
            # The usual case: this client keeps up, and gets the very frames that the others get.
            self._batch = batch
            return
        if self._batch is not None:
            self._merge(self._batch)
            self._batch = None
        self._merge(batch)

    def _merge(self, batch: StateBatch) -> None:
        for entry in batch.visible(self.scope):
            old = self._pending.pop(entry.id, None)
            if old is not None:
                self._pending_conflated += 1 + old.merged
                self.conflated += 1 + old.merged
                if old.left is not None:
                    # The client still has it where it was before both, even if the older one took it away.
                    entry = entry._replace(left=old.left)  # noqa: PLW2901
            self._pending[entry.id] = entry

    def notify(self, level: NoticeLevel, code: str) -> None:
        """Tell the person something, once the client has been greeted."""
        if self.epoch and self.closing is None:
            self._say(Notice(level, code))

    def close(self, rule: CloseRule) -> None:
        """End the session; the first reason counts. Nothing but the farewell is sent any more."""
        if self.closing is not None:
            return
        self.closing = rule
        self.phase = Phase.CLOSED
        self._control.clear()
        self._pages.clear()
        self._outbox.clear()
        self._outbox_bytes = 0
        self._drop_states()
        self._say(Bye(rule.code, rule.reason, rule.reconnect, rule.after_ms))

    def _drop_states(self) -> None:
        self._batch = None
        self._pending.clear()
        self._state_frames.clear()

    # What the client gets

    def flush(self, now_us: int, budget: int = FLUSH_BYTES) -> list[Frame]:
        """Return the next frames, at least one if any wait, and stop after about `budget` bytes.

        Call it after every wake-up, after sending what it returned, and no later than `deadline_us`.
        """
        self._check(now_us)
        frames: list[Frame] = []
        for frame in self._next(now_us):
            frames.append(frame)
            budget -= frame.size
            if budget <= 0:
                break
        if not frames and self._ping_is_due(now_us):
            self._pinged_us = now_us
            frames.append(encode_frame(Ping(now_us // 1000)))
        if frames:
            self._sent_us = now_us
        return frames

    def _next(self, now_us: int) -> Iterator[Frame]:
        while self._control:
            yield self._control.pop(0)
        if self._ping_is_due(now_us):
            self._pinged_us = now_us
            yield encode_frame(Ping(now_us // 1000))
        while self._pages:
            self._waiting_us = now_us
            yield self._pages.pop(0)
        while self._outbox:
            _, frame = self._outbox.pop(0)
            self._outbox_bytes -= frame.size
            yield frame
        yield from self._next_states()

    def _next_states(self) -> Iterator[Frame]:
        while self.phase is Phase.LIVE:
            if not self._state_frames and not self._collect_states():
                return
            while self._state_frames:
                yield self._state_frames.pop(0)

    def _collect_states(self) -> bool:
        """Move waiting states into frames; return False when none wait."""
        if self._batch is not None:
            self._state_frames.extend(self._batch.frames(self.scope, self._box))
            self._batch = None
            return True
        if not self._pending:
            return False
        seen = within(list(self._pending.values()), self._box)
        self._state_frames.extend(state_frames(seen, self._pending_conflated))
        self._pending.clear()
        self._pending_conflated = 0
        return True

    def _check(self, now_us: int) -> None:
        """Close for what only time shows."""
        if self.phase is Phase.HELLO and now_us - self._began_us >= self.limits.hello_us:
            self.close(HELLO_TIMEOUT)
        elif not self._one_way and now_us - self._heard_us >= _SILENT_HEARTBEATS * self.limits.hb_ms * 1000:
            self.close(SLOW._replace(reason="silent"))
        elif self.phase is Phase.LIVE and self.outbox_age_us(now_us) >= self.limits.outbox_age_us:
            self.close(SLOW)

    def _ping_is_due(self, now_us: int) -> bool:
        """True when we have been silent, or the client has: then we ask, once per heartbeat."""
        if self.phase not in (Phase.LIVE, Phase.JOINING):
            return False
        return now_us >= self._next_ping_us()

    def _next_ping_us(self) -> int:
        quiet_us = self._sent_us if self._one_way else min(self._sent_us, self._heard_us)
        return max(quiet_us, self._pinged_us) + self.limits.hb_ms * 1000

    def deadline_us(self) -> int:
        """Return when `flush` must be called at the latest, even if nothing happens."""
        if self.phase is Phase.HELLO:
            return self._began_us + self.limits.hello_us
        if self.phase is Phase.CLOSED:
            return 0
        return self._next_ping_us()

    def _say(self, message: ServerFrame) -> None:
        self._control_frame(encode_frame(message))

    def _control_frame(self, frame: Frame) -> None:
        if len(self._control) >= MAX_CONTROL_FRAMES:
            # Only a client that never reads gets here: everything in this lane answers it or is rare.
            self._control.clear()
            self.close(SLOW)
            return
        self._control.append(frame)


def _tiled_box(box: tuple[float, float, float, float] | None) -> Box | None:
    if box is None:
        return None
    west, south, east, north = box
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        raise FrameError("bbox: expected [west, south, east, north] in degrees")
    return tiled(box)
