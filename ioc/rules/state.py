"""What the engine remembers per key, and its packed form in the store.

Everything a later decision can depend on is here; whatever is left out (timers, caches) is derived from it.
"""

from typing import Any, NamedTuple

import msgspec

from ioc.model.events import Event
from ioc.model.incidents import Evidence, Severity
from ioc.rules.windows import Window

ENGINE_KEY = ("", "")
"""(rule, key) of the row that holds the engine's own state."""


class StateChange(NamedTuple):
    """One row to write: `data` None deletes it."""

    rule: str
    key: str
    data: bytes | None


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What remains of the last event of a key: enough for place and evidence."""

    source: str | None
    ward: str | None
    lon: float | None
    lat: float | None
    values: dict[str, float | str | bool | None]


class Held(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an event of a rule on events until the watermark has passed it."""

    time_us: int
    matched: bool
    clearing: bool
    id: str
    seen: Seen
    value: float | str | bool | None = None
    """What the window measures of it."""


class Episode(msgspec.Struct, array_like=True):
    """An open episode."""

    incident_id: str
    opened_us: int
    severity: Severity
    count: int
    reported: int
    """`count` when it was last told."""
    told_us: int
    """Log time of the last effect."""


class SpellState:
    """One key of a rule on events (with or without a window)."""

    __slots__ = (
        "clock_us",
        "cool_us",
        "count",
        "due_us",
        "ends_us",
        "episode",
        "floor_us",
        "ids",
        "last",
        "last_us",
        "since_us",
        "waiting",
        "window",
    )

    def __init__(self, window: Window | None, clock_us: int) -> None:
        self.window = window
        self.clock_us = clock_us
        """Newest time of an event that mattered to this key."""
        self.since_us: int | None = None
        """Since when the condition holds."""
        self.ends_us: int | None = None
        """Since when an open episode seems over."""
        self.last_us = clock_us
        """Time of the newest matching event."""
        self.floor_us: int | None = None
        """Start of the last episode: a new one begins later, so that ids never repeat."""
        self.cool_us: int | None = None
        """Until when nothing is raised, after an episode."""
        self.count = 0
        """Matching events since the condition holds."""
        self.ids: list[str] = []
        self.last: Event | Seen | None = None
        self.episode: Episode | None = None
        self.waiting: list[Held] | None = None
        """Events the watermark has not passed, by time; only of rules whose `order` is time."""
        self.due_us: int | None = None
        """Scheduled wake-up; never later than needed. Derived, not stored."""


class QuietState(msgspec.Struct, array_like=True, tag="quiet"):
    """One key of a silence rule."""

    heard_us: int
    """On the silence clock, rounded up to the rule's grain."""
    last: Seen
    episode: Episode | None = None
    last_id: str | None = None
    expected: bool = False
    """Whether it is listened for as a device that should talk, not merely because it was heard."""


class PackedSpell(msgspec.Struct, array_like=True, tag="spell"):
    """Wire form of `SpellState`."""

    clock_us: int
    since_us: int | None
    ends_us: int | None
    last_us: int
    floor_us: int | None
    count: int
    ids: list[str]
    last: Seen | None
    episode: Episode | None
    window: list[Any] | None
    cool_us: int | None = None
    waiting: list[Held] = []


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of an event until the watermark has passed it."""

    time_us: int
    rank: int
    """Order among events of one moment."""
    role: int
    """What the event is to the rule, in bits."""
    id: str
    seen: Seen
    number: float = 0.0
    """The value measured, where the rule measures one."""
    area: str | None = None
    """The area it lies in, where the rule asks for one."""


class OrderedState(msgspec.Struct, array_like=True):
    """One key of an order-sensitive rule: what all kinds remember."""

    waiting: list[Waiting] = []
    episode: Episode | None = None
    last: Seen | None = None
    last_us: int = -(1 << 62)
    """When the pattern was last complete."""
    floor_us: int | None = None
    cool_us: int | None = None
    ends_us: int | None = None
    ids: list[str] = []
    evidence: list[Evidence] = []
    clauses: list[str] = []
    """The kind's part of the summary, vi and en."""
    measured: float | None = None


class Partial(msgspec.Struct, frozen=True, array_like=True):
    """The first `taken` steps of a sequence."""

    taken: int
    began_us: int
    ids: list[str]


class SequenceState(OrderedState, array_like=True, tag="sequence"):
    """One key of a sequence rule."""

    partials: list[Partial] = []


class FenceState(OrderedState, array_like=True, tag="fence"):
    """One subject of a fence rule."""

    place: tuple[float, float] | None = None
    """Where it was last; None while unknown."""
    seen_us: int = 0
    inside: str | None = None
    entered_us: int = 0
    position: Waiting | None = None
    """The last position, to speak of when time alone completes a dwell."""


class NearState(OrderedState, array_like=True, tag="near"):
    """One key of a correlation rule: the events of either side that may still meet."""

    ours: list[Waiting] = []
    others: list[Waiting] = []


class EwmaState(OrderedState, array_like=True, tag="ewma"):
    """One key of an early warning: what is usual for it."""

    mean: float = 0.0
    variance: float = 0.0
    n: int = 0
    read_us: int = 0
    """Time of the newest reading."""
    since_us: int = 0
    """Time of the first reading; 0 in rows stored before it was kept, which therefore count as warm."""
    z: float = 0.0
    """How the newest reading was judged: what explanations show where nothing fired."""


class EngineState(msgspec.Struct, array_like=True):
    """The engine's own state."""

    now_us: int | None
    watermark_us: int
    silence_us: int
    shapes: dict[str, str]
    failed: dict[str, tuple[str, int, str]]
    """Rule → (version, failures, last message)."""


_encoder = msgspec.msgpack.Encoder()
spell_decoder = msgspec.msgpack.Decoder(PackedSpell)
quiet_decoder = msgspec.msgpack.Decoder(QuietState)
AnyState = PackedSpell | QuietState | SequenceState | FenceState | NearState | EwmaState
_any_decoder: msgspec.msgpack.Decoder[AnyState] = msgspec.msgpack.Decoder(AnyState)
engine_decoder = msgspec.msgpack.Decoder(EngineState)


def encode(state: PackedSpell | QuietState | OrderedState | EngineState) -> bytes:
    """Return the stored form."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> AnyState:
    """Return a stored row of any kind of rule."""
    return _any_decoder.decode(data)


def episode_of(data: bytes) -> Episode | None:
    """Return the open episode in a stored row of any kind of rule."""
    return decode_state(data).episode


def seen_in(state: AnyState) -> list[Seen]:
    """Return what is left of a key's events, the newest first within each part of its state."""
    waiting: list[Held | Waiting] = list(state.waiting) if not isinstance(state, QuietState) else []
    if isinstance(state, NearState):
        waiting += [*state.ours, *state.others]
    if isinstance(state, FenceState) and state.position is not None:
        waiting.append(state.position)
    found = [item.seen for item in sorted(waiting, key=lambda item: item.time_us, reverse=True)]
    return found if state.last is None else [*found, state.last]
