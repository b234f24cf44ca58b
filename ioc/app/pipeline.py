"""The whole way of an event, in one place: which parts exist and how they hold on to each other.

    foreign topics ─► KafkaBridge ──┐
    held streams ──► Attacher ──────┤
    field hardware ─► MqttListener ─┤
    field hardware ─► ingest_router ┴─► IngestService ─► event log ───┬─► StoreWorker ─► history tables
                                             │                        ├─► RulesWorker ─► incidents ─┐
                                             └─► quarantine            └─► StateLane ─► Hub ◄───────┘
    operators ─► api routers ─► IncidentService ─► incidents ────────────────────────────┘  │
                                                                                            └─► consoles

Each role is a function that adds its services to a plan; `ioc up` runs all of them in one process, `ioc run`
one of them.
"""

import time
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_network
from typing import Any, Final

from fastapi import APIRouter
from prometheus_client import REGISTRY
from psycopg import AsyncConnection

from ioc import __version__
from ioc.api.application import ApiDeps, create_api
from ioc.api.basemap import Basemap, dropped_in
from ioc.api.health import MetricsDoor, health_app
from ioc.api.pictures import PictureProxy, PictureSettings
from ioc.api.places import City
from ioc.api.replay import PlaybackBounds
from ioc.app.address_book import AddressBook
from ioc.app.attach.attacher import Attacher
from ioc.app.attach.registry import StoredAttachments
from ioc.app.audit_keeper import AuditKeeper
from ioc.app.bridges import bridges
from ioc.app.citizens.counter import open_counter
from ioc.app.citizens.open311_puller import Open311Puller
from ioc.app.citizens.reopening import Reopening
from ioc.app.citizens.report_keeper import ReportKeeper
from ioc.app.clock import Ticker, now_us
from ioc.app.core import Core, history_plan, kafka_settings
from ioc.app.devices.keeper import DeviceKeeper
from ioc.app.devices.logins import DeviceLogins, seal_of
from ioc.app.devices.registry import StoredDevices
from ioc.app.feed.listener import ChangeListener
from ioc.app.feed.source import FeedSource
from ioc.app.feed.state_lane import StateLane
from ioc.app.figures.keeper import FigureKeeper
from ioc.app.figures.view import StoredFigures
from ioc.app.incidents.change_follower import ChangeFollower
from ioc.app.incidents.keeper import IncidentKeeper
from ioc.app.incidents.notifier import Deliverer, mail_settings, queue_notices
from ioc.app.incidents.policy_view import StoredPolicies
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.incidents.relay import IncidentRelay
from ioc.app.incidents.service import IncidentService
from ioc.app.incidents.shift_keeper import ShiftKeeper
from ioc.app.incidents.shift_service import ShiftService
from ioc.app.load_watch import LoadWatch
from ioc.app.loop_watch import watch_loop
from ioc.app.mqtt_tls import broker_tls, listener_tls
from ioc.app.oidc import OidcLogins
from ioc.app.personal import StoredPersonal
from ioc.app.photos import StoredPhotos
from ioc.app.privacy import Retention, read_key
from ioc.app.readiness import Readiness
from ioc.app.retry import RETRYABLE
from ioc.app.rules.jobs import RuleJobs
from ioc.app.rules.sets import RuleSets
from ioc.app.rules.tick_ages import TickAges
from ioc.app.rules.view import RunningRules
from ioc.app.rules.wide_worker import WideRulesWorker
from ioc.app.rules.workbench import RulesBench
from ioc.app.rules.worker import RulesWorker
from ioc.app.settings import Settings
from ioc.app.settings.sections import HttpSettings, MqttSettings, PlaybackSettings
from ioc.app.store_worker import StoreWorker, count_maintenance
from ioc.app.supervisor import Plan, Service
from ioc.app.told_clock import ToldClock
from ioc.app.tracing import TracedRequests
from ioc.app.views import DirectoryPlaces, StoredHistory, StoredQuarantine, show_devices
from ioc.app.web import WebServer, require_free
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import LogRetryable
from ioc.ingest.allowance import Allowances
from ioc.ingest.gateway import Gateway
from ioc.ingest.http import ingest_router
from ioc.ingest.http_clock import clock_router
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.mqtt import MqttListener
from ioc.ingest.mqtt_subscriber import MqttSubscriber, SubscriberSettings
from ioc.ingest.service import IngestService
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.model.texts import Text
from ioc.model.times import HOUR_US, MINUTE_US, SECOND_US
from ioc.outbound.destination import Destinations
from ioc.outbound.fetching import Fetcher
from ioc.outbound.webhook import WebhookSender
from ioc.store.change_followers import FollowedChange
from ioc.store.maintenance import Maintenance
from ioc.store.quarantine import Quarantine, QuarantineLimits
from ioc.store.row_scope import SERVICE
from ioc.store.second_factor import SecondFactors
from ioc.store.tokens import Tokens
from ioc.store.users import Users
from ioc.store.writer import HistoryWriter
from ioc.stream.hub import Hub
from ioc.stream.shell import SocketSettings

ROLES: Final = ("ingest", "store", "rules", "api")
STATE_TTL_S: Final = 90


class Pipeline:
    """Builds the services of the roles of one process."""

    def __init__(self, core: Core, demo: bool = False) -> None:
        self._core = core
        self._rules_stored = RuleSets(core.pool)
        self._demo = demo
        self._ticks = TickAges(now_us())
        self._told = ToldClock(core.log, LogRetryable) if core.settings.replay.enabled else None
        """Keeps the time where a recording is relived."""
        self._addresses = AddressBook(core.pool, core.directory)
        login = core.settings.login
        factors = SecondFactors(
            core.api_pool.of(SERVICE), seal_of(core.settings), login.second_factor, issuer=login.issuer
        )
        self.users = Users(core.api_pool.of(SERVICE), factors=factors)
        self._logins = DeviceLogins(core.directory, seal_of(core.settings))

    def plan(self, roles: tuple[str, ...]) -> Plan:
        """Return the services of `roles`, in the order in which they end."""
        core, plan = self._core, Plan()
        plan.base.append(Service("log", core.log.run))
        plan.base.append(Service("directory", core.directory.run))
        plan.base.append(Service("desk", core.desk.run))
        plan.base.append(Service("loop watch", watch_loop))
        if {"ingest", "api"} & set(roles):
            plan.work.append(Service("gazetteer", self._addresses.run))
        ingest = self._ingest(plan) if "ingest" in roles else None
        if "store" in roles:
            self._store(plan)
        if "rules" in roles:
            self._rules(plan)
        if ingest or "api" in roles:
            self._web(plan, ingest, with_console="api" in roles)
        elif core.settings.http.ops_port is not None:
            self._ops(plan, core.settings.http, core.settings.http.ops_port)
        return plan

    def _ingest(self, plan: Plan) -> IngestService:
        core, settings = self._core, self._core.settings
        limits = settings.ingest.limits
        service = IngestService(
            log=core.log,
            quarantine=StoredQuarantine(core.pool, QuarantineLimits(max_rows=settings.store.quarantine_rows)),
            registry=core.directory.registry,
            gateway=Gateway(
                core.directory.registry, core.directory, settings.bounds, limits, self._addresses
            ),
            metrics=IngestMetrics(REGISTRY),
            clock=self._told or now_us,
            limits=limits,
            retryable=RETRYABLE,
            tracer=core.tracer,
        )
        keeper = DeviceKeeper(
            core.pool, service.device_counts, service.budgets, core.directory, self._told or now_us,
            settings.ingest.health_s,
        )  # fmt: skip
        plan.work.append(Service("devices", keeper.run))
        if self._told is None:
            plan.work.append(Service("ticker", Ticker(core.log, LogRetryable, self._ticks).run))
            plan.work.append(Service("other cities", self._puller(service).run))
        if isinstance(core.log, KafkaLog):
            plan.work.append(Service("spill", core.log.drain_spill))
        if settings.mqtt.enabled:
            require_free(settings.mqtt.host, settings.mqtt.port, "--mqtt-port")
            tls = listener_tls(settings.mqtt)
            listener = MqttListener(service, settings.mqtt.host, settings.mqtt.port, tls)
            plan.intake.append(Service("mqtt", listener.run))
        if settings.mqtt.broker_host:
            subscriber = MqttSubscriber(service, _broker(settings.mqtt), broker_tls(settings.mqtt))
            plan.intake.append(Service("mqtt broker", subscriber.run))
        plan.intake.extend(bridges(service, settings))
        if self._told is None:
            attacher = Attacher(
                core.pool, core.directory, self._logins.reach_of, service, _cameras(settings.http),
                settings.attach, now_us,
            )  # fmt: skip
            plan.intake.append(Service("attached streams", attacher.run, attacher.stop))
        return service

    def _puller(self, service: IngestService) -> Open311Puller:
        core, settings = self._core, self._core.settings.pull
        networks = tuple(ip_network(text) for text in settings.networks)
        fetcher = Fetcher(
            Destinations(networks=networks, public=True),
            timeout_s=settings.timeout_s,
            max_bytes=service.limits.max_body_bytes,
        )
        return Open311Puller(core.pool, core.directory, service, fetcher, settings, now_us)

    def _ingest_routers(self, ingest: IngestService) -> tuple[APIRouter, ...]:
        told = () if self._told is None else (clock_router(ingest, self._told),)
        return (ingest_router(ingest), *told)

    def _store(self, plan: Plan) -> None:
        core, settings = self._core, self._core.settings.store
        quarantine = Quarantine(QuarantineLimits(max_rows=settings.quarantine_rows))
        worker = StoreWorker(core.log, core.pool, HistoryWriter(), settings, core.owner, quarantine)
        maintenance = Maintenance(
            core.pool,
            quarantine,
            plan=history_plan(core.settings),
            log=core.log,
            topics=(EVENTS_TOPIC, WIDE_TOPIC),
            retryable=(LogRetryable,),
        )
        plan.work.append(Service("store", worker.run))
        plan.work.append(Service("maintenance", lambda: maintenance.run(now_us, count_maintenance)))
        keeper = AuditKeeper(core.pool, core.settings.anchors_file, core.settings.audit.interval_s, now_us)
        plan.work.append(Service("audit anchors", keeper.run))
        retention = Retention(core.pool, core.settings.privacy, read_key(core.settings.plate_key_file))
        plan.work.append(Service("retention", retention.run))
        reports = ReportKeeper(
            core.pool,
            core.log,
            core.desk.policies,
            Reopening(core.pool, IncidentService(core.pool, core.desk.policies), core.desk.policies),
            quarantine,
        )
        plan.work.append(Service("reports", reports.run))
        self._notices(plan)
        self._figures(plan)
        if core.settings.relay.enabled:
            kafka = kafka_settings(core.settings)
            relay = IncidentRelay(core.pool, kafka, core.settings.relay.partitions)
            plan.work.append(Service("relay", relay.run))

    def _notices(self, plan: Plan) -> None:
        core, settings = self._core, self._core.settings.notify

        async def queue(connection: AsyncConnection[Any], changes: Sequence[FollowedChange]) -> None:
            await queue_notices(connection, changes, now_us())

        networks = tuple(ip_network(text) for text in settings.webhook_networks)
        webhook = WebhookSender(Destinations(networks=networks, public=True), timeout_s=settings.timeout_s)
        deliverer = Deliverer(core.pool, webhook, mail_settings(settings), now_us)
        plan.work.append(Service("notices", ChangeFollower("notices", core.pool, queue).run))
        plan.work.append(Service("deliveries", deliverer.run))

    def _figures(self, plan: Plan) -> None:
        core, settings = self._core, self._core.settings.figures
        keeper = FigureKeeper(
            core.pool,
            StoredFigures(core.pool, core.directory.ward_texts, now_us),
            core.desk.policies,
            now_us,
            fold_s=settings.fold_s,
            evaluate_s=settings.evaluate_s,
        )
        plan.work.append(Service("figures", keeper.run))

    def _rules(self, plan: Plan) -> None:
        core, settings = self._core, self._core.settings.rules
        policies = core.desk.policies
        worker, wide = (
            stage(
                core.log,
                core.pool,
                self._rules_stored,
                settings,
                core.owner,
                core.directory,
                policies,
                core.tracer,
            )
            for stage in (RulesWorker, WideRulesWorker)
        )
        plan.work.append(Service("rules", worker.run))
        plan.work.append(Service("wide rules", wide.run))
        if self._told is None:  # it works by the wall clock, on incidents of another time
            keeper = IncidentKeeper(core.pool, settings.close_returned_s, policies)
            plan.work.append(Service("keeper", keeper.run))

    def _ops(self, plan: Plan, settings: HttpSettings, port: int) -> None:
        api = health_app(Readiness(self._core, None).checks(None), REGISTRY, _metrics_door(settings))
        server = WebServer(api, settings.model_copy(update={"port": port}), "http.ops_port")

        async def stop() -> None:
            server.stop()

        plan.intake.append(Service("ops http", server.run_service, stop))

    def _web(self, plan: Plan, ingest: IngestService | None, *, with_console: bool) -> None:
        core, settings = self._core, self._core.settings
        hub = self._hub(plan, ingest)
        pictures = _pictures(settings, self._logins)
        oidc = OidcLogins(settings.oidc, core.api_pool.of(SERVICE)) if settings.oidc.issuer else None
        incidents = IncidentService(core.api_pool, core.desk.policies, core.api_pool.of(SERVICE))
        photos = _photos(core)
        rules = RunningRules(self._rules_stored, core.api_pool)
        # Of the service: the list's upkeep knows no person.
        of_service = RunningRules(self._rules_stored, core.pool)
        shifts = ShiftService(core.api_pool, of_service.rules, core.api_pool.of(SERVICE))
        api = create_api(
            ApiDeps(
                users=self.users,
                incidents=incidents,
                figures=StoredFigures(core.api_pool, core.directory.ward_texts, now_us),
                policies=StoredPolicies(core.api_pool, core.desk, core.directory),
                places=DirectoryPlaces(core.directory),
                devices=StoredDevices(core.api_pool, self._told or now_us, seal_of(core.settings)),
                attachments=StoredAttachments(core.api_pool, seal_of(core.settings)),
                history=StoredHistory(core.api_pool),
                playback=_playback(settings.playback),
                quarantine=StoredQuarantine(core.api_pool, QuarantineLimits()),
                rules=rules,
                shifts=shifts,
                workbench=self._bench(plan),
                receivers=StoredReceivers(core.api_pool, settings.notify, now_us),
                oidc=oidc,
                tokens=Tokens(core.api_pool.of(SERVICE)),
                personal=StoredPersonal(core.api_pool),
                photos=photos,
                public_photos=_hourly(settings.photos.public_per_hour),
                counter=open_counter(core, incidents, photos, self._addresses),
                hub=hub,
                pictures=pictures,
                city=lambda: _city(settings, core, self._demo),
                readiness=Readiness(core, self._ticks, told=self._told is not None).checks(
                    hub if with_console else None
                ),
                console=settings.console if with_console else None,
                basemap_folder=settings.basemap_folder,
                basemap_origin=basemap.origin if (basemap := _basemap(settings)) else None,
                routers=self._ingest_routers(ingest) if ingest else (),
                sockets=SocketSettings(origins=frozenset(settings.http.allowed_origins)),
                secure_cookies=settings.http.secure_cookies,
                metrics_door=_metrics_door(settings.http),
            )
        )
        server = WebServer(TracedRequests(api, core.tracer) if core.tracer.on else api, settings.http)

        async def stop() -> None:
            await hub.shutdown()
            await pictures.aclose()
            if oidc:
                await oidc.aclose()
            server.stop()

        plan.intake.append(Service("http", server.run_service, stop))
        if with_console:
            plan.work.extend(self._live(hub, shifts))

    def _bench(self, plan: Plan) -> RulesBench:
        core, rules = self._core, self._core.settings.rules
        jobs = RuleJobs(
            most=rules.workbench_jobs,
            limit_s=rules.workbench_s,
            keep_s=rules.workbench_keep_s,
            clock_s=time.time,
        )
        plan.work.append(Service("workbench", jobs.run))
        return RulesBench(
            pool=core.pool,
            dsn=core.dsn,
            log=core.log,
            sets=self._rules_stored,
            directory=core.directory,
            settings=rules,
            jobs=jobs,
        )

    def _hub(self, plan: Plan, ingest: IngestService | None) -> Hub:
        """Return the hub; where this process takes events, consoles are told when it sheds some."""
        core, settings = self._core, self._core.settings
        hub = Hub(FeedSource(core.feed_pool, core.tracer), settings.feed.hub)
        core.directory.follow(partial(show_devices, core.directory, hub))
        after_s = settings.ingest.shed_after_s
        if ingest and after_s and self._told is None:
            watch = LoadWatch(
                core.log, core.pool, ingest.shedder, ingest.metrics, after_s,
                lambda level: hub.say_thinned(level > 0),
            )  # fmt: skip
            plan.work.append(Service("load watch", watch.run))
        return hub

    def _live(self, hub: Hub, shifts: ShiftService) -> tuple[Service, ...]:
        """Return what keeps consoles true."""
        core = self._core
        return (
            Service("hub", hub.run),
            Service("shifts", ShiftKeeper(shifts).run),
            Service("state lane", StateLane(core.log, hub, self._ticks).run),
            Service("change listener", ChangeListener(core.dsn, hub.wake, hub.close_user).run),
        )


def _pictures(settings: Settings, logins: DeviceLogins) -> PictureProxy:
    bounds = PictureSettings(
        destinations=_cameras(settings.http),
        login_wait_s=settings.attach.login_wait_s,
        login_wait_max_s=settings.attach.login_wait_max_s,
    )
    return PictureProxy(bounds, reach_of=logins.reach_of)


def _cameras(settings: HttpSettings) -> Destinations:
    return Destinations(networks=tuple(ip_network(text) for text in settings.picture_hosts))


def _photos(core: Core) -> StoredPhotos:
    kept_s = core.settings.privacy.unclaimed_photo_s
    return StoredPhotos(core.api_pool, core.settings.photos, kept_s=kept_s)


def _playback(settings: PlaybackSettings) -> PlaybackBounds:
    return PlaybackBounds(
        span_us=settings.max_span_h * HOUR_US,
        states_us=settings.max_states_min * MINUTE_US,
        steps=settings.max_steps,
        buckets=settings.max_buckets,
        values=settings.max_values,
        silent_us=settings.silent_s * SECOND_US,
    )


def _hourly(count: int) -> Allowances:
    return Allowances(count / 3_600, count)


def _metrics_door(settings: HttpSettings) -> MetricsDoor:
    return MetricsDoor(
        networks=tuple(ip_network(text) for text in settings.metrics_networks),
        token=settings.metrics_token.get_secret_value(),
    )


def _broker(settings: MqttSettings) -> SubscriberSettings:
    return SubscriberSettings(
        hostname=settings.broker_host,
        port=settings.broker_port,
        username=settings.broker_username or None,
        password=settings.broker_password.get_secret_value() or None,
        topic=settings.broker_topic,
        routes=settings.broker_routes,
    )


def _basemap(settings: Settings) -> Basemap | None:
    chosen = settings.basemap
    if not chosen.url:
        return dropped_in(settings.basemap_folder)
    return Basemap(
        kind=chosen.kind,
        url=chosen.url,
        attribution=chosen.attribution,
        schema=chosen.tile_schema,
        max_zoom=chosen.max_zoom,
    )


def _city(settings: Settings, core: Core, demo: bool) -> City:
    west, south, east, north = settings.bounds
    return City(
        name=Text(settings.city_name_vi, settings.city_name_en),
        center=((west + east) / 2, (south + north) / 2),
        bounds=settings.bounds,
        illustrative=any(area.illustrative for area in core.directory.areas),
        version=__version__,
        state_ttl_s=STATE_TTL_S,
        demo=demo,
        basemap=_basemap(settings),
    )
