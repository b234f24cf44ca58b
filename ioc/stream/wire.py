"""Every frame of `ioc.feed.v1` and the JSON of an incident: the one place that spells the wire.

Additive changes only within v1; clients ignore fields they do not know. `Frame` text is encoded once and
shared by every client that may see the same thing.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

import msgspec

from ioc.model.incidents import (
    Checklist,
    Condition,
    Evidence,
    Handling,
    Incident,
    OpenStep,
    PauseReason,
    Severity,
)
from ioc.model.places import DeviceKind
from ioc.model.texts import Text
from ioc.model.times import format_us
from ioc.stream.masking import mask_text, mask_value

SUBPROTOCOL: Final = "ioc.feed.v1"
MAX_DELAY_MS: Final = 3_600_000
MAX_DELAYS: Final = 1_000_000
"""A report of more, or of older ones, is absurd."""

Scalar = float | str | bool | None


class FrameError(ValueError):
    """A client's text is not a frame of this protocol."""


class CloseRule(NamedTuple):
    """What a close code means to the client."""

    code: int
    reason: str
    reconnect: bool
    after_ms: int = 0


BAD_FRAME: Final = CloseRule(4400, "bad_frame", reconnect=False)
NO_SESSION: Final = CloseRule(4401, "no_session", reconnect=False)
FORBIDDEN: Final = CloseRule(4403, "forbidden", reconnect=False)
HELLO_TIMEOUT: Final = CloseRule(4408, "hello_timeout", reconnect=True, after_ms=1_000)
EPOCH_CHANGED: Final = CloseRule(4409, "epoch_changed", reconnect=True, after_ms=500)
FRAME_TOO_LARGE: Final = CloseRule(4413, "frame_too_large", reconnect=False)
TOO_MANY: Final = CloseRule(4429, "too_many", reconnect=True, after_ms=30_000)
SHUTTING_DOWN: Final = CloseRule(4503, "shutting_down", reconnect=True, after_ms=1_000)
UNAVAILABLE: Final = SHUTTING_DOWN._replace(reason="unavailable", after_ms=2_000)
SLOW: Final = CloseRule(4508, "slow", reconnect=True, after_ms=500)

CLOSE_RULES: Final[dict[int, CloseRule]] = {
    rule.code: rule
    for rule in (
        BAD_FRAME,
        NO_SESSION,
        FORBIDDEN,
        HELLO_TIMEOUT,
        EPOCH_CHANGED,
        FRAME_TOO_LARGE,
        TOO_MANY,
        SHUTTING_DOWN,
        SLOW,
    )
}
"""The whole table; the console holds the same one.

One more code comes from the server itself: 1009 for a message above `websocket.WS_MAX_BYTES`. Nothing of it
reaches us, so no `bye` precedes the close; between `FeedLimits.frame_bytes` and that size it is 4413. A
client that sees either has a fault, and should not reconnect to send the same again.
"""


class Resume(msgspec.Struct, frozen=True):
    """How far a client got: every change up to and including `offset` of `epoch`."""

    epoch: str
    offset: int


PATCH: Final = "patch"
"""Of `Hello.caps`: changes may come as what they change (`Op.PATCH`)."""
DEVICES: Final = "devices"
"""Of `Hello.caps`: changes of the register of devices are wanted (`Devices`)."""
LOST_BASE: Final = "base"
"""Of `Hello.lost`: there was a patch whose revision before was not there."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The client's first frame. `caps` says what it can take, `lost` why it begins anew."""

    client: str = ""
    lang: str = "vi"
    resume: Resume | None = None
    caps: tuple[str, ...] = ()
    lost: str = ""


class View(msgspec.Struct, frozen=True, tag="view"):
    """The viewport of the state lane: west, south, east, north in degrees; null shows everything."""

    bbox: tuple[float, float, float, float] | None = None
    zoom: float | None = None


class Auth(msgspec.Struct, frozen=True, tag="auth"):
    """Asks to look at once whether the person may still be here.

    `token` is a newer session token of the same person, for clients without a cookie jar; empty: the one of
    the handshake. The answer is the notice `authenticated`, or the close that the table says.
    """

    token: str = ""


class Delays(msgspec.Struct, frozen=True):
    """How old incident changes were when a client had applied them, since it last said.

    `count` changes, half of them at most `p50_ms` old, 99 of 100 at most `p99_ms`. Changes from before the
    connection's `welcome` are none of them.
    """

    p50_ms: float
    p99_ms: float
    count: int

    @property
    def plausible(self) -> bool:
        """False for what no client can have measured: it is counted and otherwise ignored."""
        return 0 <= self.p50_ms <= self.p99_ms <= MAX_DELAY_MS and 0 < self.count <= MAX_DELAYS


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Either side asks whether the other is there; `t` comes back. A client may tell `delays`."""

    t: float | str = 0
    delays: Delays | msgspec.UnsetType = msgspec.UNSET


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to a ping; the service tells its time, by which a client knows how wrong its own is."""

    t: float | str = 0
    server_time: str | msgspec.UnsetType = msgspec.UNSET


ClientFrame = Hello | View | Auth | Ping | Pong


class FeedLimits(msgspec.Struct, frozen=True):
    """The bounds a client should know."""

    outbox_bytes: int
    outbox_age_ms: int
    frame_bytes: int
    messages_per_s: int


class Mode(StrEnum):
    """How a client is brought up to date."""

    RESUME = "resume"
    SNAPSHOT = "snapshot"


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The server's first frame."""

    session: str
    server_time: str
    hb_ms: int
    epoch: str
    limits: FeedLimits
    mode: Mode


class Snap(msgspec.Struct, frozen=True, tag="snap"):
    """One page of the incidents as of `offset`, numbered from 0; `last` ends the sequence."""

    epoch: str
    offset: int
    page: int
    last: bool
    items: list[msgspec.Raw]


class Op(StrEnum):
    """What a change does to a client's list."""

    ADD = "add"
    UPDATE = "upd"
    PATCH = "patch"
    DELETE = "del"


class Departed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a client may know of an incident that went to a ward it does not see."""

    id: str
    rev: int


class ChangeEvent(msgspec.Struct, frozen=True):
    """One change at offset `o`. With `del` the incident left this client's scope and is a `Departed`.

    With `patch` it is an `IncidentPatch`: what differs from revision `rev` - 1, to whoever asked for it.
    """

    o: int
    op: Op
    rev: int
    incident: msgspec.Raw


class Ev(msgspec.Struct, frozen=True, tag="ev", rename={"first": "from", "last": "to"}):
    """Consecutive changes. `from` is the last `to` plus one; what a client may not see is skipped."""

    epoch: str
    first: int
    last: int
    events: list[msgspec.Raw]


class EntityState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The latest of one camera or detector; which values are present depends on `kind`."""

    id: str
    kind: Literal["camera", "detector"]
    t: str
    lon: float
    lat: float
    ward: str | None
    online: bool | msgspec.UnsetType | None = msgspec.UNSET
    speed_kmh: float | msgspec.UnsetType | None = msgspec.UNSET
    occupancy: float | msgspec.UnsetType | None = msgspec.UNSET
    volume_veh: int | msgspec.UnsetType | None = msgspec.UNSET
    objects: int | msgspec.UnsetType | None = msgspec.UNSET
    alarm: str | msgspec.UnsetType | None = msgspec.UNSET


class State(msgspec.Struct, frozen=True, tag="state", rename={"put": "set", "gone": "del"}):
    """Latest values. `conflated` counts the values that newer ones replaced before this frame."""

    put: list[msgspec.Raw]
    gone: list[str]
    conflated: int


class DeviceJson(msgspec.Struct, frozen=True):
    """A device as the map shows it; its address and keys are nobody's business here."""

    id: str
    kind: DeviceKind
    name: str
    ward: str | None
    lon: float | None
    lat: float | None
    has_picture: bool
    disabled: bool
    """It is out of service: nothing of it is to be expected."""


class Devices(msgspec.Struct, frozen=True, tag="devices", rename={"put": "set", "gone": "del"}):
    """What `version` of the register of devices changes of version `before`, to whoever asked for it.

    Whoever holds another version than `before` reads `GET /api/v1/devices` again; so does everybody where
    `before` is null, since too much has changed at once. A frame whose `before` is `version` changes nothing:
    it says after the greeting which version is in force.
    """

    version: int
    before: int | None
    put: list[DeviceJson]
    gone: list[str]


class Reset(msgspec.Struct, frozen=True, tag="reset"):
    """Forget everything: a snapshot follows, since the changes in between cannot be given."""

    reason: str


NoticeLevel = Literal["info", "warning"]


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Something the person should know, e.g. that incidents are delayed."""

    level: NoticeLevel
    code: str


class Bye(msgspec.Struct, frozen=True, tag="bye"):
    """The last frame before the socket closes with `code`."""

    code: int
    reason: str
    reconnect: bool
    after_ms: int


ServerFrame = Welcome | Snap | Ev | State | Devices | Reset | Notice | Ping | Pong | Bye


class EvidenceJson(msgspec.Struct, frozen=True):
    """One compared value; every field is present."""

    name: str
    value: Scalar
    op: str | None
    threshold: Scalar
    unit: str | None


class WhyJson(msgspec.Struct, frozen=True):
    """Why an incident exists."""

    rule_version: str
    summary: Text
    evidence: list[EvidenceJson]
    event_ids: tuple[str, ...]


class ChecklistJson(msgspec.Struct, frozen=True):
    """How far an incident's procedure has come; `open` are the required steps without which it cannot end."""

    ref: str
    done: int
    total: int
    open: tuple[OpenStep, ...]


class IncidentJson(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as the console and the feed see it: times are RFC 3339, every field is present."""

    id: str
    rev: int
    rule: str
    key: str
    category: str
    severity: Severity
    condition: Condition
    handling: Handling
    title: Text
    ward: str | None
    source: str | None
    lon: float | None
    lat: float | None
    opened: str
    detected: str
    updated: str
    cleared: str | None
    acknowledged: str | None
    resolved: str | None
    closed: str | None
    assignee: str | None
    team: str | None
    note: str | None
    count: int
    ack_due: str | None
    resolve_due: str | None
    respond_due: str | None
    responded: str | None
    paused: str | None
    pause_reason: PauseReason | None
    level: int
    shelved_until: str | None
    handed_from: str | None
    agencies: tuple[str, ...]
    photo: str | None
    merged_into: str | None
    merged_by: str | None
    members: int
    members_active: int
    checklist: ChecklistJson | None
    why: WhyJson


def time_text(time_us: int | None) -> str | None:
    """Return the wire's text of a time that may be absent."""
    return None if time_us is None else format_us(time_us)


def incident_view(incident: Incident) -> IncidentJson:
    """Return `incident` in the wire's shape.

    A rule may compare, group by or quote whatever an event holds, so plates and phone numbers are masked in
    every text, whether a rule made it or a person wrote it.
    """
    why = incident.why
    return IncidentJson(
        id=incident.id,
        rev=incident.rev,
        rule=incident.rule,
        key=mask_text(incident.key),
        category=incident.category,
        severity=incident.severity,
        condition=incident.condition,
        handling=incident.handling,
        title=_mask_both(incident.title),
        ward=incident.ward,
        source=incident.source,
        lon=incident.lon,
        lat=incident.lat,
        opened=format_us(incident.opened_us),
        detected=format_us(incident.detected_us),
        updated=format_us(incident.updated_us),
        cleared=time_text(incident.cleared_us),
        acknowledged=time_text(incident.acknowledged_us),
        resolved=time_text(incident.resolved_us),
        closed=time_text(incident.closed_us),
        assignee=incident.assignee,
        team=incident.team,
        note=None if incident.note is None else mask_text(incident.note),
        count=incident.count,
        ack_due=time_text(incident.ack_due_us),
        resolve_due=time_text(incident.resolve_due_us),
        respond_due=time_text(incident.respond_due_us),
        responded=time_text(incident.responded_us),
        paused=time_text(incident.paused_us),
        pause_reason=incident.pause_reason,
        level=incident.level,
        shelved_until=time_text(incident.shelved_until_us),
        handed_from=incident.handed_from,
        agencies=incident.agencies,
        photo=incident.photo,
        merged_into=incident.merged_into,
        merged_by=incident.merged_by,
        members=incident.members,
        members_active=incident.members_active,
        checklist=_checklist_view(incident.checklist),
        why=WhyJson(
            rule_version=why.rule_version,
            summary=_mask_both(why.summary),
            evidence=[_evidence_view(item) for item in why.evidence],
            event_ids=why.event_ids,
        ),
    )


def _checklist_view(checklist: Checklist | None) -> ChecklistJson | None:
    if checklist is None:
        return None
    return ChecklistJson(checklist.ref, checklist.done, checklist.total, checklist.open)


def mask_incident(incident: Incident) -> Incident:
    """Return `incident` itself masked as `incident_view` shows it, for whoever writes it out elsewhere."""
    why = incident.why
    evidence = tuple(
        msgspec.structs.replace(
            item,
            name=mask_text(item.name),
            value=mask_value(item.name, item.value),
            threshold=mask_value(item.name, item.threshold),
        )
        for item in why.evidence
    )
    return msgspec.structs.replace(
        incident,
        key=mask_text(incident.key),
        title=_mask_both(incident.title),
        note=None if incident.note is None else mask_text(incident.note),
        why=msgspec.structs.replace(why, summary=_mask_both(why.summary), evidence=evidence),
    )


def _evidence_view(item: Evidence) -> EvidenceJson:
    value, threshold = mask_value(item.name, item.value), mask_value(item.name, item.threshold)
    return EvidenceJson(mask_text(item.name), value, item.op, threshold, item.unit)


def _mask_both(text: Text) -> Text:
    return Text(mask_text(text.vi), mask_text(text.en))


_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def incident_json(incident: Incident) -> msgspec.Raw:
    """Return the JSON of `incident`, ready to be put into any response or frame without encoding again."""
    return msgspec.Raw(_encoder.encode(incident_view(incident)))


class Frame(NamedTuple):
    """An encoded server frame: JSON in UTF-8.

    `cursor` is (epoch, offset) where a client that has this frame may resume; `received_us` is when the
    oldest event behind it reached the gateway (wall clock), where that is known.
    """

    data: bytes
    cursor: tuple[str, int] | None = None
    received_us: int | None = None

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.data)

    @property
    def text(self) -> str:
        """It as text, for whoever sends no bytes."""
        return self.data.decode()


def encode_frame(
    message: ServerFrame, cursor: tuple[str, int] | None = None, received_us: int | None = None
) -> Frame:
    """Return `message` in a form that any number of clients can share."""
    return Frame(_encoder.encode(message), cursor, received_us)


def encode_part(part: ChangeEvent | EntityState) -> msgspec.Raw:
    """Return a piece that several frames will contain."""
    return msgspec.Raw(_encoder.encode(part))


def decode_client_frame(text: str) -> ClientFrame:
    """Return the frame a client sent.

    Raises:
        FrameError: the text is not JSON, or not a frame of this protocol.
    """
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise FrameError(str(error)) from error
