"""The whole HTTP interface, assembled from what `ioc/app` hands over."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
from fastapi import APIRouter, FastAPI
from prometheus_client import REGISTRY, CollectorRegistry

from ioc import __version__
from ioc.api.answers import document
from ioc.api.attachments import Attachments, attachments_router
from ioc.api.basemap import BASEMAP_PATH, BasemapFiles
from ioc.api.citizen_ports import Citizens, PublicBoard, PublicRequests, Reports
from ioc.api.device_files import IMPORT_BYTES, IMPORT_PATH, device_files_router
from ioc.api.device_outages import device_outages_router
from ioc.api.device_ports import Devices
from ioc.api.devices import devices_router
from ioc.api.exports import exports_router
from ioc.api.figure_ports import Figures
from ioc.api.figures import figures_router
from ioc.api.forecast import forecast_router
from ioc.api.headers import BodyLimit, RequestScope, SecurityHeaders
from ioc.api.health import NO_TELEMETRY, MetricsDoor, health_router
from ioc.api.history import history_router
from ioc.api.incidents import incidents_router
from ioc.api.intake import Intake
from ioc.api.oidc import OidcLogin, oidc_router
from ioc.api.open311 import PREFIX as OPEN311_PREFIX
from ioc.api.open311 import Open311, open311_router
from ioc.api.personal import personal_router
from ioc.api.photos import BODY_BYTES, PHOTOS_PATH, PUBLIC_PHOTOS_PATH, photos_router, public_photos_router
from ioc.api.pictures import PictureProxy
from ioc.api.places import City, places_router
from ioc.api.playback import playback_router
from ioc.api.policies import POLICY_BYTES, POLICY_PREFIX, PREVIEW_BYTES, PREVIEW_PATH, policies_router
from ioc.api.ports import (
    History,
    Incidents,
    NoTokens,
    Personal,
    Photos,
    Places,
    PolicyStore,
    Quarantine,
    ReadinessCheck,
    Receivers,
    Rules,
    Shifts,
    Tokens,
    Users,
)
from ioc.api.problems import install
from ioc.api.procedures import procedures_router
from ioc.api.public import public_router
from ioc.api.public_places import public_places_router
from ioc.api.quarantine import quarantine_router
from ioc.api.receivers import deliveries_router, notices_router, receivers_router
from ioc.api.replay import PlaybackBounds, replay_router
from ioc.api.reports import reports_router
from ioc.api.rules import rules_router
from ioc.api.security import Access, feed_authenticator
from ioc.api.session import session_router
from ioc.api.shifts import shifts_router
from ioc.api.static import Console
from ioc.api.wall import wall_router
from ioc.api.workbench import BODY_BYTES as BENCH_BYTES
from ioc.api.workbench import WIDE_PATHS, workbench_router
from ioc.api.workbench_ports import Workbench
from ioc.ingest.allowance import Allowances
from ioc.stream.hub import Hub, wall_us
from ioc.stream.ports import ClockUs
from ioc.stream.shell import SocketSettings
from ioc.stream.sse import SseEndpoint
from ioc.stream.websocket import FeedSocket

FEED_PATH: Final = "/api/v1/feed"
SSE_PATH: Final = "/api/v1/feed/sse"
INGEST_PREFIX: Final = "/api/v1/ingest/"
_WIDER: Final = {
    PREVIEW_PATH: PREVIEW_BYTES,
    POLICY_PREFIX + "authority": POLICY_BYTES,
    POLICY_PREFIX + "procedures": POLICY_BYTES,
    IMPORT_PATH: IMPORT_BYTES,
    PHOTOS_PATH: BODY_BYTES,
    PUBLIC_PHOTOS_PATH: BODY_BYTES,
    **dict.fromkeys(WIDE_PATHS, BENCH_BYTES),
}
"""Bodies of these paths may be larger."""
_BOUNDED_THEMSELVES: Final = (INGEST_PREFIX, f"{OPEN311_PREFIX}/requests.")
"""What is below these has bounds of its own, and refuses in the form that its clients read."""
_DESCRIPTION: Final = (
    "Incidents, places and history of a smart city's operations centre. People use a session cookie, their "
    "unsafe requests carry `X-IOC: 1`; machines use a bearer token (`ioc tokens issue`). Every error is a "
    f"problem document (RFC 9457). The live feed is the WebSocket `{FEED_PATH}` with subprotocol "
    "`ioc.feed.v1`."
)


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """Where citizens and those who answer them meet."""

    citizens: Citizens
    reports: Reports
    board: PublicBoard
    requests: PublicRequests
    intake: Intake
    jurisdiction: str = ""
    """The only one that programs of Open311 may name; empty for any."""


class ApiDeps(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the interface needs; nothing of it is global."""

    users: Users
    incidents: Incidents
    figures: Figures
    policies: PolicyStore
    shifts: Shifts
    places: Places
    devices: Devices
    attachments: Attachments
    history: History
    quarantine: Quarantine
    rules: Rules
    receivers: Receivers
    hub: Hub
    pictures: PictureProxy
    city: Callable[[], City]
    """Asked each time: real boundaries may replace illustrative ones while we run."""
    playback: PlaybackBounds = PlaybackBounds()
    readiness: Mapping[str, ReadinessCheck] = {}
    console: Path | None = None
    """The console's built files; None serves none."""
    basemap_folder: Path | None = None
    """Where PMTiles files are dropped in; None serves none."""
    basemap_origin: str | None = None
    """Another origin that the map's tiles come from."""
    tokens: Tokens = NoTokens()
    oidc: OidcLogin | None = None
    """None where everybody logs in here."""
    personal: Personal | None = None
    """None unmasks nothing for anybody."""
    photos: Photos | None = None
    """None takes none and shows none."""
    public_photos: Allowances = Allowances(rate_per_s=20 / 3_600, burst=20)
    """Pictures that one address may send."""
    counter: Counter | None = None
    """None takes no reports of citizens."""
    workbench: Workbench | None = None
    """None has no workbench of rules."""
    routers: tuple[APIRouter, ...] = ()
    """Further routers with authentication of their own, e.g. ingest."""
    sockets: SocketSettings = SocketSettings()
    secure_cookies: bool = False
    """True where people always come by https; a cookie set over https is secure in any case."""
    body_bytes: int = 64 * 1024
    registry: CollectorRegistry = REGISTRY
    metrics_door: MetricsDoor = MetricsDoor()
    """By default shut."""
    clock_us: ClockUs = wall_us
    """The time of day."""


def _counter_routers(counter: Counter, deps: ApiDeps, access: Access) -> list[APIRouter]:
    return [
        public_router(counter.citizens, counter.board, counter.intake, deps.clock_us),
        open311_router(
            Open311(
                citizens=counter.citizens,
                requests=counter.requests,
                tokens=deps.tokens,
                intake=counter.intake,
                clock_us=deps.clock_us,
                photos=deps.photos,
                jurisdiction=counter.jurisdiction,
                is_real=lambda: not deps.city().demo,
            )
        ),
        reports_router(counter.reports, deps.incidents, access),
    ]


def create_api(deps: ApiDeps) -> FastAPI:
    """Return the application. It starts and stops nothing: run `deps.hub`, close `deps.pictures`."""
    app = FastAPI(
        telemetry=NO_TELEMETRY,
        title="IOC",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    install(app)
    access = Access(deps.users, deps.tokens)
    for router in (
        health_router(deps.readiness, deps.registry, deps.metrics_door),
        session_router(
            deps.users,
            access,
            deps.hub,
            secure_cookies=deps.secure_cookies,
            identity_provider=deps.oidc is not None,
        ),
        incidents_router(deps.incidents, access),
        procedures_router(deps.incidents, access),
        exports_router(deps.incidents, deps.places, deps.city, access, deps.clock_us),
        forecast_router(deps.incidents, access),
        figures_router(deps.figures, access),
        wall_router(deps.figures, access),
        policies_router(deps.policies, access),
        shifts_router(deps.shifts, deps.places, access),
        places_router(deps.places, deps.pictures, deps.city, access),
        *_device_routers(deps, access),
        public_places_router(deps.places, deps.city),
        playback_router(deps.history, access, deps.clock_us),
        replay_router(deps.history, access, deps.clock_us, deps.playback),
        history_router(deps.history, access, deps.clock_us),
        quarantine_router(deps.quarantine, access),
        rules_router(deps.rules, access),
        receivers_router(deps.receivers, access),
        deliveries_router(deps.receivers, access),
        notices_router(deps.receivers, access),
        *_oidc_routers(deps),
        *([personal_router(deps.personal, access)] if deps.personal else []),
        *_photo_routers(deps, access),
        *([workbench_router(deps.workbench, access)] if deps.workbench else []),
        *(_counter_routers(deps.counter, deps, access) if deps.counter else []),
        *deps.routers,
    ):
        app.include_router(router)
    authenticate = feed_authenticator(deps.users)
    app.add_api_websocket_route(FEED_PATH, FeedSocket(deps.hub, authenticate, deps.sockets).serve)
    app.add_route(SSE_PATH, SseEndpoint(deps.hub, authenticate, deps.sockets).serve, include_in_schema=False)
    if deps.basemap_folder is not None:
        app.mount(BASEMAP_PATH, BasemapFiles(deps.basemap_folder), name="basemap")
    if deps.console is not None:
        app.mount("/", Console(deps.console), name="console")
    document(app)
    app.add_middleware(BodyLimit, max_bytes=deps.body_bytes, exempt=_BOUNDED_THEMSELVES, wider=_WIDER)
    app.add_middleware(RequestScope)
    app.add_middleware(SecurityHeaders, connect=deps.basemap_origin)
    return app


def _device_routers(deps: ApiDeps, access: Access) -> list[APIRouter]:
    return [
        devices_router(deps.devices, access),
        attachments_router(deps.attachments, access),
        device_files_router(deps.devices, access),
        device_outages_router(deps.devices, access),
    ]


def _oidc_routers(deps: ApiDeps) -> list[APIRouter]:
    if deps.oidc is None:
        return []
    return [oidc_router(deps.oidc, deps.users, deps.hub, secure_cookies=deps.secure_cookies)]


def _photo_routers(deps: ApiDeps, access: Access) -> list[APIRouter]:
    if deps.photos is None:
        return []
    return [
        photos_router(deps.photos, deps.incidents, access),
        public_photos_router(deps.photos, deps.public_photos, deps.clock_us),
    ]
