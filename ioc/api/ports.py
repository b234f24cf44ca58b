"""What the routers need from others; `ioc/app` connects them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from ioc.incidents.clocks import WardForecast
from ioc.incidents.commands import Command
from ioc.incidents.procedures import Procedure
from ioc.incidents.routing import Preview
from ioc.incidents.shift import ShiftCommand
from ioc.model.events import Event, Stream
from ioc.model.incidents import Audit, Incident
from ioc.model.notices import Receiver
from ioc.model.places import Area, Device
from ioc.model.shifts import Item, Shift
from ioc.model.texts import Text
from ioc.store.incidents import IncidentFilter
from ioc.store.photos import Origin, PhotoInfo
from ioc.store.playback import Histogram, PlaybackRange, Revisions
from ioc.store.receivers import DeliveryRow, NoticeRow, Resent, StoredReceiver
from ioc.store.series import Point, SeriesQuery
from ioc.store.tokens import Bearer
from ioc.store.users import Person


class NotFoundError(Exception):
    """There is no such thing, or nobody may know that there is."""


class Incidents(Protocol):
    """Incidents as people see and handle them."""

    async def page(self, query: IncidentFilter) -> tuple[Sequence[Incident], str | None]:
        """Return a page and the cursor of the next. Raises `ioc.store.incidents.CursorError`."""

    async def get(self, incident_id: str) -> Incident:
        """Return one incident. Raises `NotFoundError`."""

    async def history(self, incident_id: str) -> Sequence[Audit]:
        """Return its audit rows, oldest first."""

    async def command(
        self, incident_id: str, command: Command, actor: str, *, supervises: bool = False
    ) -> Incident:
        """Carry out a command and return the incident after it; a repeated `idem` is answered, not repeated.

        `supervises`: the person may end it while steps of its procedure are open.
        Raises `NotFoundError`, `ioc.incidents.commands.Conflict`, `ioc.incidents.commands.Refused`.
        """

    async def members(self, incident_id: str) -> Sequence[Incident]:
        """Return what is merged into an incident, oldest first."""

    async def procedure(self, incident: Incident) -> Procedure | None:
        """Return the text of an incident's procedure, None where it has none."""

    async def forecast(self, wards: Sequence[str] | None, hours: int) -> Sequence[WardForecast]:
        """Return what will be late within `hours`, by ward; `wards` None looks at all."""


class PolicyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A policy as it is in force. Version 0 is the shipped one, without author."""

    name: str
    version: int
    doc: dict[str, Any]
    author: str | None = None
    reason: str | None = None
    at: str | None = None


class PolicyStore(Protocol):
    """What the centre decides for itself: `ioc.incidents.policies`."""

    async def list(self) -> Sequence[PolicyInfo]:
        """Return every policy as it is in force."""

    async def versions(self, name: str) -> Sequence[PolicyInfo]:
        """Return the versions of one, the newest first. Raises `NotFoundError`."""

    async def put(
        self, name: str, doc: object, *, author: str, reason: str, expect_version: int
    ) -> PolicyInfo:
        """Store the next version. Raises `PolicyError`, `StalePolicyError`."""

    async def preview(
        self, authority: object | None, areas: bytes | None, wards: Sequence[str] | None
    ) -> Preview:
        """Return what another table or other boundaries would change for open incidents.

        Raises `PolicyError`, ValueError (its text is shown) for areas that cannot be.
        """


class Shifts(Protocol):
    """Shifts and their hand-over; `ioc.app.incidents.shift_service.ShiftService` is one."""

    async def current(self) -> tuple[Shift, Sequence[Item]]:
        """Return the running shift and the list of its hand-over. Raises `NotFoundError`."""

    async def list(self, before: int | None, limit: int) -> Sequence[Shift]:
        """Return shifts with ids below `before`, the newest first."""

    async def report(self, shift_id: int) -> tuple[str, str]:
        """Return a report's text and its SHA-256. Raises `NotFoundError`."""

    async def begin(self, actor: str, idem: str) -> Shift:
        """Begin the first shift. Raises `ioc.incidents.shift.ShiftConflict`."""

    async def command(self, shift_id: int, command: ShiftCommand, actor: str) -> Shift:
        """Carry out a command. Raises `NotFoundError`, `ShiftConflict`, `ShiftRefused`."""


class Places(Protocol):
    """Areas and registered devices."""

    async def areas(self, kind: str | None) -> Sequence[Area]:
        """Return the areas of a kind, or all."""

    async def areas_version(self) -> str:
        """Return a short text that changes whenever `areas` would answer differently."""

    async def devices(self) -> Sequence[Device]:
        """Return every registered device."""

    def devices_version(self) -> int:
        """Return the version of what `devices` and `disabled` answer."""

    async def device(self, device_id: str) -> Device | None:
        """Return one device."""

    def disabled(self, device_id: str) -> bool:
        """Return whether that device is out of service."""


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events. `wards` None means every ward; times are event time, `from_us` ≤ t < `to_us`."""

    stream: Stream
    from_us: int
    to_us: int
    wards: tuple[str, ...] | None = None
    bbox: tuple[float, float, float, float] | None = None
    source: str | None = None
    limit: int = 100
    cursor: str | None = None


class History(Protocol):
    """Stored events."""

    async def page(self, query: HistoryQuery) -> tuple[Sequence[Event], str | None]:
        """Return a page, newest first, and the cursor of the next.

        Raises ValueError (its text is shown) for a cursor that is not ours.
        """

    async def series(self, query: SeriesQuery) -> Sequence[Point]:
        """Return 5-minute buckets, oldest first."""

    async def moment(self, wards: Sequence[str] | None, moment_us: int, window_us: int) -> Sequence[Event]:
        """Return the newest events per source of the window that ends at `moment_us`, oldest first."""

    async def steps(self, asked: PlaybackRange, step_us: int, most: int) -> Sequence[tuple[int, Event]]:
        """Return the newest event per source and step, in order. `TooMuchError`: beyond `most`."""

    async def revisions(self, asked: PlaybackRange, after: int, limit: int) -> Revisions:
        """Return what was open at the start and the changes since."""

    async def histogram(self, asked: PlaybackRange, bucket_s: int) -> Histogram:
        """Return how many incidents and events there were when."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A message that did not become an event, with its raw bytes."""

    id: int
    received_us: int
    source: str | None
    reason: str
    field: str | None
    detail: str
    raw: bytes


class Quarantine(Protocol):
    """Messages that did not become events."""

    async def page(
        self, limit: int, cursor: str | None, device: str | None = None
    ) -> tuple[Sequence[Quarantined], str | None]:
        """Return a page, newest first, and the cursor of the next; of a device what it sent or what is of it.

        Raises ValueError like `History.page`.
        """


class RuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One rule as people see it. `error` says why it is disabled, or how it failed last."""

    rule: str
    title: Text
    version: str
    severity: str
    enabled: bool
    error: str | None = None
    set_version: int = 1
    """The numbered version of the rules that changed it last; `version` is the hash of its text."""
    running: int = 1
    """The numbered version every partition has reached."""
    author: str | None = None
    failures: int = 0
    seconds: float = 0.0
    """Time it has taken since the workers began, over all partitions."""
    keys: int = 0
    """Keys it remembers now."""
    wide: bool = False
    """Whether it is keyed beyond a ward: it sees the events of all partitions, up to a second later."""
    matched: int = 0
    """Events that met its conditions; this and what follows count since the workers began."""
    raised: int = 0
    late: int = 0
    """Events that came too late to be judged."""
    amended: int = 0
    """Late events that were added to an open incident."""
    cooled: int = 0
    """Matches during a cooldown."""
    unkeyed: int = 0
    """Events without a value for its key."""
    overflowed: int = 0
    """Events refused because too many of their key waited."""
    evicted: int = 0
    """Keys forgotten because there were too many."""
    unwatched: int = 0
    """Devices that should talk and are not watched now, because the rule remembers as many keys as it may."""
    shadow: "ShadowInfo | None" = None


class ShadowInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a rule that runs but raises nothing."""

    version: str
    set_version: int
    author: str
    raised: int
    """Incidents it would have raised."""
    failures: int = 0
    error: str | None = None
    seconds: float = 0.0


class ShadowDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One episode that the shadow and the active rule see differently, or alike (`same`)."""

    change: str
    """gained, lost, earlier, later, same"""
    key: str
    ward: str | None
    shadow: str | None
    """When the shadow would have raised it."""
    active: str | None
    shift_s: float
    """How much later the shadow is; negative is earlier."""
    summary: Text


class Rules(Protocol):
    """The rules in force."""

    async def rules(self) -> Sequence[RuleInfo]:
        """Return every rule, enabled or not."""

    async def shadow(self, rule: str) -> Sequence[ShadowDiff]:
        """Compare what the shadow would have raised with what the active rule raised. NotFoundError."""


class Users(Protocol):
    """People and their sessions; `ioc.store.users.Users` is one."""

    async def authenticate(
        self, username: str, password: str, address: str, code: str | None = None
    ) -> Person | None:
        """Return whose name and password these are.

        Raises `ioc.store.users.ThrottledError` and `ioc.store.second_factor.CodeNeededError`.
        """

    async def open_session(self, username: str, user_agent: str = "", address: str = "") -> str:
        """Open a session and return its token."""

    async def read_session(self, token: str) -> Person | None:
        """Return whose session it is."""

    async def close_session(self, hashed: bytes) -> None:
        """End the session of the token with this hash."""


class Tokens(Protocol):
    """Tokens of machines; `ioc.store.tokens.Tokens` is one."""

    async def read(self, token: str) -> Bearer | None:
        """Return whom a token stands for."""


class NoTokens:
    """An installation without tokens."""

    async def read(self, token: str) -> Bearer | None:
        """Return None: nobody has a token."""
        return None


class Personal(Protocol):
    """Personal data, unmasked; each look is in the audit log before it is answered.

    The methods raise `NotFoundError`, and `TooManyLooksError` beyond what one person may see in an hour.
    """

    async def incident(self, incident_id: str, person: Person, reason: str) -> Incident:
        """Return an incident as its rule and people wrote it."""

    async def quarantined(self, message_id: int, person: Person, reason: str) -> Quarantined:
        """Return a refused message with its raw bytes."""


class TooManyLooksError(Exception):
    """This person has unmasked as much as one may in an hour."""


class PhotosFullError(Exception):
    """As much as may be stored is; `rule` says which bound."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


class Photos(Protocol):
    """Pictures. Methods that name one raise `NotFoundError` where the person may not know of it."""

    @property
    def kept_s(self) -> float:
        """How long a picture is kept that nothing refers to."""

    def admission(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for a picture while it is received and taken. Raises `WorkshopBusy`."""

    async def take(self, data: bytes, origin: Origin, author: str | None) -> PhotoInfo:
        """Check, re-encode and store a picture. Raises `ioc.photos.check.PhotoRefused`, `PhotosFullError`."""

    async def read(self, ref: str, person: Person, *, small: bool) -> bytes:
        """Return a picture as JPEG; the look is in the audit log before it is answered."""

    async def read_released(self, ref: str, *, small: bool) -> bytes:
        """Return a picture that the public may see."""

    async def release(self, ref: str, person: Person, reason: str, *, released: bool) -> PhotoInfo:
        """Show a picture to the public, or no longer."""

    async def of_incident(self, incident_id: str) -> Sequence[PhotoInfo]:
        """Return the pictures of an incident and of what is merged into it."""


class Receivers(Protocol):
    """Who is told of incidents."""

    async def list(self) -> Sequence[StoredReceiver]:
        """Return every receiver."""

    async def put(self, receiver: Receiver, author: str) -> str | None:
        """Add or replace a receiver; return the secret of a new webhook. Raises `TooManyReceiversError`."""

    async def renew_secret(
        self, receiver_id: str, author: str, overlap_s: float | None
    ) -> tuple[str, int | None]:
        """Replace a webhook's secret; return it, and until when the former one signs too, None: no more.

        `overlap_s` None: as long as the settings say. Raises `NotFoundError`.
        """

    async def remove(self, receiver_id: str, author: str) -> bool:
        """Remove a receiver; False where there is none."""

    async def deliveries(
        self, receiver_id: str, limit: int, *, state: str | None = None, since_us: int = 0
    ) -> Sequence[DeliveryRow]:
        """Return a receiver's newest deliveries queued since then, of one state if given."""

    async def resend(
        self, receiver_id: str, author: str, *, notices: Sequence[str] | None = None, since_us: int = 0
    ) -> Resent:
        """Try failed deliveries again, of `notices` or all queued since then. Raises `NotFoundError`."""

    async def notices(self, person: Person, limit: int) -> tuple[Sequence[NoticeRow], int]:
        """Return the newest notices a person may see, and the newest one they have read."""

    async def mark_read(self, person: Person, up_to: int) -> None:
        """Remember up to which notice the person has read."""


class Sockets(Protocol):
    """The live feed, as far as a logout concerns it; `ioc.stream.hub.Hub` is one."""

    def close_login(self, login: str) -> int:
        """Close the sockets of one browser session at once."""


class Check(msgspec.Struct, frozen=True):
    """Outcome of one readiness check."""

    ok: bool
    detail: str = ""


ReadinessCheck = Callable[[], Awaitable[Check]]
