"""What the API stands on, in memory."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from ioc.api.application import ApiDeps
from ioc.api.health import MetricsDoor
from ioc.api.oidc import LoggedIn, LoginRefusedError
from ioc.api.pictures import PictureProxy
from ioc.api.places import City
from ioc.api.ports import (
    HistoryQuery,
    NotFoundError,
    PolicyInfo,
    Quarantined,
    RuleInfo,
    ShadowDiff,
    TooManyLooksError,
)
from ioc.geo.geojson import parse_areas
from ioc.incidents.clocks import WardForecast
from ioc.incidents.commands import Command
from ioc.incidents.lifecycle import Context, on_command
from ioc.incidents.policies import parse_policy
from ioc.incidents.procedures import Procedure, begin, find
from ioc.incidents.routing import Preview
from ioc.incidents.shift import ShiftCommand, ShiftConflict, on_shift_command
from ioc.incidents.shift_report import build_report
from ioc.incidents.shipped_procedures import SHIPPED
from ioc.ingest.allowance import Allowances
from ioc.model.events import Event
from ioc.model.incidents import Audit, Handling, Incident, Severity
from ioc.model.notices import Kind, Receiver
from ioc.model.places import Area, Device
from ioc.model.shifts import Item, ItemKind, Listed, Shift, ShiftState
from ioc.model.texts import Text
from ioc.model.times import from_us
from ioc.photos.workshop import WorkshopBusy
from ioc.store.incidents import CursorError, IncidentFilter
from ioc.store.photos import Origin, PhotoInfo
from ioc.store.playback import Histogram, PlaybackRange, Revisions, TooMuchError
from ioc.store.policies import StalePolicyError
from ioc.store.receivers import DeliveryRow, NoticeRow, Resent, StoredReceiver
from ioc.store.second_factor import CodeNeededError
from ioc.store.series import Point, SeriesQuery
from ioc.store.tokens import Bearer
from ioc.store.users import Person, Role, ThrottledError, login_id, token_hash
from ioc.stream.hub import Hub
from ioc.stream.metrics import FeedMetrics
from ioc.stream.ports import Viewer
from ioc.stream.scope import EVERYTHING
from tests.unit.api.fake_counter import fake_counter
from tests.unit.api.fake_devices import (
    FOREIGN as FOREIGN,
)
from tests.unit.api.fake_devices import (
    FOREIGN_CAMERA as FOREIGN_CAMERA,
)
from tests.unit.api.fake_devices import (
    OWN_CAMERA as OWN_CAMERA,
)
from tests.unit.api.fake_devices import (
    WARD as WARD,
)
from tests.unit.api.fake_devices import (
    FakeAttachments,
)
from tests.unit.api.fake_devices import (
    FakeDevices as FakeDevices,
)
from tests.unit.api.fake_figures import FakeFigures
from tests.unit.api.fake_workbench import FakeWorkbench
from tests.unit.stream.samples import T0_US, FakeLog, incident


@dataclass
class FakeUsers:
    """Everybody's password is `secret`."""

    people: dict[str, Person] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    throttled: bool = False
    asked: CodeNeededError | None = None
    """What is said to whoever sends no code."""
    addresses: list[str] = field(default_factory=list)

    def add(self, role: Role, wards: tuple[str, ...] | None = None) -> str:
        """Return the token of a new person of `role`."""
        name = f"{role.value}-{len(self.people)}"
        self.people[name] = Person(username=name, name=name.title(), role=role, wards=wards)
        self.sessions[f"token-{name}"] = name
        return f"token-{name}"

    async def authenticate(
        self, username: str, password: str, address: str, code: str | None = None
    ) -> Person | None:
        self.addresses.append(address)
        if self.throttled:
            raise ThrottledError(77)
        if self.asked is not None and code is None:
            raise self.asked
        return self.people.get(username) if password == "secret" else None

    async def open_session(self, username: str, user_agent: str = "", address: str = "") -> str:
        token = f"opened-{len(self.sessions)}-{username}"
        self.sessions[token] = username
        return token

    async def read_session(self, token: str) -> Person | None:
        return self.people.get(self.sessions.get(token, ""))

    async def close_session(self, hashed: bytes) -> None:
        self.sessions = {token: name for token, name in self.sessions.items() if token_hash(token) != hashed}


@dataclass
class FakeIncidents:
    """Two incidents: one in `WARD`, one in `FOREIGN`."""

    known: dict[str, Incident] = field(
        default_factory=lambda: {
            "inc-1": incident("inc-1", ward=WARD, checklist=begin(SHIPPED[0])),
            "inc-2": incident("inc-2", ward=FOREIGN),
        }
    )
    queries: list[IncidentFilter] = field(default_factory=list)
    commands: list[tuple[str, Command, str]] = field(default_factory=list)
    fault: Exception | None = None

    async def page(self, query: IncidentFilter) -> tuple[Sequence[Incident], str | None]:
        self.queries.append(query)
        if self.fault:
            raise self.fault
        if query.cursor == "bad":
            raise CursorError("cursor: use the `next` value of the page before, unchanged")
        found = [i for i in self.known.values() if query.wards is None or i.ward in query.wards]
        return found, "more"

    async def get(self, incident_id: str) -> Incident:
        if incident_id not in self.known:
            raise NotFoundError(incident_id)
        return self.known[incident_id]

    async def history(self, incident_id: str) -> Sequence[Audit]:
        return [Audit(incident_id=incident_id, rev=1, at_us=T0_US, actor="rule:x", op="raised", after="new")]

    async def command(
        self, incident_id: str, command: Command, actor: str, *, supervises: bool = False
    ) -> Incident:
        self.commands.append((incident_id, command, actor))
        context = Context(supervises=supervises)
        known = self.known[incident_id]
        (change, *_) = on_command(known, command, actor=actor, now_us=T0_US, context=context)
        self.known[incident_id] = change.incident
        return change.incident

    async def members(self, incident_id: str) -> Sequence[Incident]:
        return [
            incident("inc-3", ward=WARD, handling=Handling.MERGED, merged_into=incident_id),
            incident("inc-4", ward=FOREIGN, handling=Handling.MERGED, merged_into=incident_id),
        ]

    async def procedure(self, incident: Incident) -> Procedure | None:
        return find(incident.checklist.ref, SHIPPED, {}) if incident.checklist else None

    async def forecast(self, wards: Sequence[str] | None, hours: int) -> Sequence[WardForecast]:
        return [
            WardForecast(
                ward=ward, open=2, overdue=1, will_breach=1, paused=0, per_hour=1 / 3,
                first_breach_us=T0_US, incidents=("inc-1",),
            )
            for ward in (WARD, FOREIGN)
            if wards is None or ward in wards
        ]  # fmt: skip


@dataclass
class FakePolicies:
    """One policy at version 2."""

    put_calls: list[tuple[str, object, str, str, int]] = field(default_factory=list)
    previews: list[tuple[object | None, bytes | None, Sequence[str] | None]] = field(default_factory=list)

    async def list(self) -> Sequence[PolicyInfo]:
        return [PolicyInfo(name="grouping", version=2, doc={"metres": 90}, author="an", reason="ít hơn")]

    async def versions(self, name: str) -> Sequence[PolicyInfo]:
        if name != "grouping":
            raise NotFoundError(name)
        return [*await self.list(), PolicyInfo(name=name, version=0, doc={})]

    async def put(
        self, name: str, doc: object, *, author: str, reason: str, expect_version: int
    ) -> PolicyInfo:
        parse_policy(name, doc)
        if expect_version != 2:
            raise StalePolicyError(name, 2)
        self.put_calls.append((name, doc, author, reason, expect_version))
        return PolicyInfo(name=name, version=3, doc={}, author=author, reason=reason)

    async def preview(
        self, authority: object | None, areas: bytes | None, wards: Sequence[str] | None
    ) -> Preview:
        if authority is not None:
            parse_policy("authority", authority)
        if areas is not None:
            parse_areas(areas)
        self.previews.append((authority, areas, wards))
        return Preview(looked_at=7, changed=(), homeless=0)


@dataclass
class FakeShifts:
    """A shift that is being handed over, and one that has passed."""

    shift: Shift = field(
        default_factory=lambda: Shift(
            id=2, lead="an", began_us=T0_US, rev=3, state=ShiftState.HANDING_OVER, started_us=T0_US,
            started_by="an",
        )
    )  # fmt: skip
    items: dict[str, Item] = field(
        default_factory=lambda: {
            "inc-2": Item(
                listed=Listed(
                    ref="inc-2", kind=ItemKind.INCIDENT, title=Text("<b>Ùn tắc</b>", "Congestion"),
                    since_us=T0_US, severity=Severity.HIGH, ward=FOREIGN, due_us=T0_US,
                ),
                rev=2, added_us=T0_US,
            )
        }
    )  # fmt: skip

    async def current(self) -> tuple[Shift, Sequence[Item]]:
        return self.shift, list(self.items.values())

    async def list(self, before: int | None, limit: int) -> Sequence[Shift]:
        return [self.shift]

    async def report(self, shift_id: int) -> tuple[str, str]:
        if shift_id != 1:
            raise NotFoundError(str(shift_id))
        passed = msgspec.structs.replace(self.shift, id=1, incoming="binh", passed_us=T0_US)
        text = msgspec.json.encode(build_report(passed, self.items.values(), 2, 1)).decode()
        return text, hashlib.sha256(text.encode()).hexdigest()

    async def begin(self, actor: str, idem: str) -> Shift:
        if idem != "begin-anew":
            raise ShiftConflict(self.shift)
        return self.shift

    async def command(self, shift_id: int, command: ShiftCommand, actor: str) -> Shift:
        if shift_id != self.shift.id:
            raise ShiftConflict(self.shift)
        outcome = on_shift_command(self.shift, self.items, command, actor=actor, now_us=T0_US)
        self.shift = outcome.shift
        self.items |= {item.listed.ref: item for item in outcome.items}
        return self.shift


@dataclass
class FakePlaces:
    devices_known: list[Device]
    areas_known: list[Area]
    version: str = "1"
    reads: int = 0
    disabled_ids: set[str] = field(default_factory=set)

    async def areas(self, kind: str | None) -> Sequence[Area]:
        self.reads += 1
        return [area for area in self.areas_known if kind in (None, area.kind)]

    async def areas_version(self) -> str:
        return self.version

    async def devices(self) -> Sequence[Device]:
        return self.devices_known

    def devices_version(self) -> int:
        return 7

    async def device(self, device_id: str) -> Device | None:
        return next((device for device in self.devices_known if device.id == device_id), None)

    def disabled(self, device_id: str) -> bool:
        return device_id in self.disabled_ids


@dataclass
class FakeHistory:
    events: list[Event] = field(default_factory=list)
    queries: list[HistoryQuery] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    stepped: list[tuple[int, Event]] = field(default_factory=list)
    too_much: bool = False
    revised: Revisions = field(default_factory=lambda: Revisions([], [], None, None))

    async def series(self, query: SeriesQuery) -> Sequence[Point]:
        self.asked.append(query)
        return self.points

    async def moment(self, wards: Sequence[str] | None, moment_us: int, window_us: int) -> Sequence[Event]:
        self.asked.append((None if wards is None else tuple(wards), moment_us, window_us))
        return self.events

    async def steps(self, asked: PlaybackRange, step_us: int, most: int) -> Sequence[tuple[int, Event]]:
        self.asked.append((asked, step_us, most))
        if self.too_much:
            raise TooMuchError("more than 100000 values: ask for a shorter range, or for one ward")
        return self.stepped

    async def revisions(self, asked: PlaybackRange, after: int, limit: int) -> Revisions:
        self.asked.append((asked, after, limit))
        return self.revised

    async def histogram(self, asked: PlaybackRange, bucket_s: int) -> Histogram:
        self.asked.append((asked, bucket_s))
        return Histogram([(asked.from_us, "critical", 2)], [(asked.from_us, 7)])

    async def page(self, query: HistoryQuery) -> tuple[Sequence[Event], str | None]:
        self.queries.append(query)
        if query.cursor == "bad":
            raise ValueError("cursor: not one of ours")
        return self.events, None


class FakeQuarantine:
    async def page(
        self, limit: int, cursor: str | None, device: str | None = None
    ) -> tuple[Sequence[Quarantined], str | None]:
        row = Quarantined(
            id=1,
            received_us=T0_US,
            source="cam-1",
            reason="time",
            field="time",
            detail="too old",
            raw=b'{"a":1}',
        )
        return [row, msgspec.structs.replace(row, id=2, raw=b"\xff\xfe")], None


class FakeRules:
    async def rules(self) -> Sequence[RuleInfo]:
        return [
            RuleInfo(
                rule="underpass-jam",
                title=Text(vi="Ùn tắc hầm chui", en="Underpass congestion"),
                version="3",
                severity="high",
                enabled=True,
            )
        ]

    async def shadow(self, rule: str) -> Sequence[ShadowDiff]:
        if rule != "underpass-jam":
            raise NotFoundError(rule)
        text = Text(vi="…", en="…")
        return [
            ShadowDiff(
                change="gained",
                key="d1",
                ward=None,
                shadow="2026-11-22T10:00:00.000Z",
                active=None,
                shift_s=0.0,
                summary=text,
            )
        ]


@dataclass
class FakeReceivers:
    """One webhook; a notice of `WARD` for everybody who may see it."""

    receivers: dict[str, Receiver] = field(
        default_factory=lambda: {
            "other": Receiver(id="other", kind=Kind.WEBHOOK, target="https://other.example/in")
        }
    )
    read: dict[str, int] = field(default_factory=dict)
    resent: list[tuple[str, Sequence[str] | None, int]] = field(default_factory=list)

    async def list(self) -> Sequence[StoredReceiver]:
        return [
            StoredReceiver(
                receiver=each,
                author="an",
                open_until=None,
                last_error=None,
                last_sent=None,
                former_until=None,
                waiting=0,
            )
            for each in self.receivers.values()
        ]

    async def put(self, receiver: Receiver, author: str) -> str | None:
        known = receiver.id in self.receivers
        self.receivers[receiver.id] = receiver
        return None if known or receiver.kind is not Kind.WEBHOOK else "whsec_c2VjcmV0"

    async def renew_secret(
        self, receiver_id: str, author: str, overlap_s: float | None
    ) -> tuple[str, int | None]:
        if receiver_id not in self.receivers:
            raise NotFoundError(receiver_id)
        return "whsec_bmV3", None if overlap_s == 0 else T0_US

    async def remove(self, receiver_id: str, author: str) -> bool:
        return self.receivers.pop(receiver_id, None) is not None

    async def deliveries(
        self, receiver_id: str, limit: int, *, state: str | None = None, since_us: int = 0
    ) -> Sequence[DeliveryRow]:
        at = from_us(T0_US)
        found = [DeliveryRow(1, "inc-1.1", at, at, 1, "sent", None, at, 0)]
        return [row for row in found if state in (None, row.state) and since_us <= T0_US]

    async def resend(
        self, receiver_id: str, author: str, *, notices: Sequence[str] | None = None, since_us: int = 0
    ) -> Resent:
        if receiver_id not in self.receivers:
            raise NotFoundError(receiver_id)
        self.resent.append((author, notices, since_us))
        return Resent(1, 0)

    async def notices(self, person: Person, limit: int) -> tuple[Sequence[NoticeRow], int]:
        rows = [
            NoticeRow(
                number, "raised", f"inc-{number}", 1, "high", "traffic", ward, {"vi": "…"}, from_us(T0_US)
            )
            for number, ward in ((1, WARD), (2, FOREIGN))
            if person.wards is None or ward in person.wards
        ]
        return rows, self.read.get(person.username, 0)

    async def mark_read(self, person: Person, up_to: int) -> None:
        self.read[person.username] = up_to


CITY = City(
    name=Text(vi="Bình Dương", en="Binh Duong"),
    center=(106.65, 11.0),
    bounds=(106.3, 10.8, 107.0, 11.5),
    illustrative=True,
    version="0.1.0",
    state_ttl_s=90,
    demo=True,
)


def make_hub() -> Hub:
    return Hub(FakeLog(), metrics=FeedMetrics(CollectorRegistry()))


def socket_of(hub: Hub, token: str) -> object:
    """Admit a socket of the login that `token` belongs to."""
    return hub.admit(Viewer("somebody", login_id(token), EVERYTHING))


@dataclass
class FakeTokens:
    known: dict[str, Bearer] = field(default_factory=dict)

    def add(self, scope: str, role: Role = Role.ADMIN, wards: tuple[str, ...] | None = None) -> str:
        """Return a token for one scope."""
        person = Person(username=f"token:{scope}", name=scope, role=role, wards=wards)
        self.known[f"ioct_{scope}"] = Bearer(person, frozenset({scope}))
        return f"ioct_{scope}"

    async def read(self, token: str) -> Bearer | None:
        return self.known.get(token)


@dataclass
class FakePersonal:
    """Knows `inc-1` and message 1; `left` looks may be taken."""

    left: int = 100
    reasons: list[tuple[str, str, str]] = field(default_factory=list)

    def _record(self, subject: str, person: Person, reason: str) -> None:
        if not self.left:
            raise TooManyLooksError
        self.left -= 1
        self.reasons.append((subject, person.username, reason))

    async def incident(self, incident_id: str, person: Person, reason: str) -> Incident:
        self._record(incident_id, person, reason)
        found = FakeIncidents().known.get(incident_id)
        if found is None:
            raise NotFoundError(incident_id)
        return msgspec.structs.replace(found, note="gọi 0912 345 678")

    async def quarantined(self, message_id: int, person: Person, reason: str) -> Quarantined:
        self._record(str(message_id), person, reason)
        for row in (await FakeQuarantine().page(1, None))[0]:
            if row.id == message_id:
                return row
        raise NotFoundError(str(message_id))


@dataclass
class FakePhotos:
    """One citizen's picture, of `inc-1`, not released; takes any other."""

    kept_s: float = 60.0
    taken: list[tuple[bytes, Origin, str | None]] = field(default_factory=list)
    fault: Exception | None = None
    info: PhotoInfo = field(
        default_factory=lambda: PhotoInfo(
            "photo-1", "citizen", None, from_us(T0_US), 640, 480, 9, incident_id="inc-1", released=None
        )
    )

    @asynccontextmanager
    async def admission(self) -> AsyncIterator[None]:
        if isinstance(self.fault, WorkshopBusy):
            raise self.fault
        yield

    async def take(self, data: bytes, origin: Origin, author: str | None) -> PhotoInfo:
        if self.fault:
            raise self.fault
        self.taken.append((data, origin, author))
        return self.info

    def _known(self, ref: str) -> PhotoInfo:
        if ref != self.info.ref:
            raise NotFoundError(ref)
        return self.info

    async def read(self, ref: str, person: Person, *, small: bool) -> bytes:
        self._known(ref)
        return b"small" if small else b"whole"

    async def read_released(self, ref: str, *, small: bool) -> bytes:
        if self._known(ref).released is None:
            raise NotFoundError(ref)
        return b"small" if small else b"whole"

    async def release(self, ref: str, person: Person, reason: str, *, released: bool) -> PhotoInfo:
        self.info = msgspec.structs.replace(self._known(ref), released=from_us(T0_US) if released else None)
        return self.info

    async def of_incident(self, incident_id: str) -> Sequence[PhotoInfo]:
        return [self.info]


class FakeOidc:
    """A provider that knows nobody."""

    async def begin(self, former: bytes | None) -> tuple[str, str]:
        return "https://id.example/authorize?state=s", "s"

    async def complete(self, state: str, code: str) -> LoggedIn:
        raise LoginRefusedError("nobody")


def make_deps(users: FakeUsers, **changes: object) -> ApiDeps:
    deps = ApiDeps(
        users=users,
        incidents=FakeIncidents(),
        figures=FakeFigures(),
        policies=FakePolicies(),
        shifts=FakeShifts(),
        places=FakePlaces([], []),
        devices=FakeDevices(),
        attachments=FakeAttachments(),
        history=FakeHistory(),
        quarantine=FakeQuarantine(),
        rules=FakeRules(),
        receivers=FakeReceivers(),
        oidc=FakeOidc(),
        personal=FakePersonal(),
        counter=fake_counter(),
        photos=FakePhotos(),
        public_photos=Allowances(1.0, 3),
        workbench=FakeWorkbench(),
        hub=make_hub(),
        pictures=PictureProxy(transport=httpx.MockTransport(lambda _request: httpx.Response(404))),
        city=lambda: CITY,
        registry=CollectorRegistry(),
        metrics_door=MetricsDoor(networks=(ip_network("10.9.8.7"),)),
        clock_us=lambda: T0_US,
    )
    return msgspec.structs.replace(deps, **changes)
