"""The sections of the settings but those of ingest and feed, which are bounds (`settings_bounds`)."""

import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from ioc.api.basemap import BasemapKind, TileSchema
from ioc.app.settings.base import Count, Port, Seconds, Section
from ioc.ingest.decoders import DECODERS
from ioc.ingest.mqtt_routes import parse_routes
from ioc.outbound.sending import MailTls
from ioc.outbound.webhook import MAX_OVERLAP_S
from ioc.store.users import Role

_SERVERS = r"^([^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*)?$"


def _network(text: str) -> str:
    ip_network(text)
    return text


def _dsn(text: str) -> str:
    try:
        conninfo_to_dict(text)
    except psycopg.Error as error:
        raise ValueError(f"expected a PostgreSQL connection string: {error}".strip()) from None
    return text


def _four(value: object) -> object:
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise ValueError("expected four numbers: [west, south, east, north]")
    return value


def _ordered(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError("expected west < east and south < north, in degrees")
    return bounds


Network = Annotated[str, AfterValidator(_network)]
Dsn = Annotated[str, AfterValidator(_dsn)]
Bounds = Annotated[tuple[float, float, float, float], BeforeValidator(_four), AfterValidator(_ordered)]


class HttpSettings(Section):
    """The one HTTP port: API, feed, console, metrics."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on")
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins besides our own host that may open the live feed"
    )
    secure_cookies: bool = Field(False, description="send session cookies over HTTPS only")
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="networks of reverse proxies whose X-Forwarded-For and -Proto are believed"
    )
    metrics_networks: tuple[Network, ...] = Field(
        ("127.0.0.0/8", "::1/128"), description="networks that may read /metrics without a token"
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer token that opens /metrics from anywhere; empty: none does"
    )
    ops_port: Port | None = Field(
        None, description="port of /healthz, /readyz and /metrics for roles without API; empty: none"
    )
    picture_hosts: tuple[Network, ...] = Field(
        ("127.0.0.0/8",), description="networks of cameras: pictures and event streams come from there only"
    )


class MqttSettings(Section):
    """The MQTT listener for field hardware, and an external broker to read from."""

    enabled: bool = Field(True, description="listen for MQTT at all")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(1883, description="port to listen on")
    tls_certificate: Path | None = Field(
        None, description="PEM certificate chain; with `tls_key` the listener speaks TLS only"
    )
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    broker_host: str = Field("", description="external broker to read from as well, e.g. Mosquitto")
    broker_port: Port = Field(1883, description="its port")
    broker_tls: bool = Field(False, description="speak TLS with it, checked against the system's authorities")
    broker_username: str = Field("", description="our name there")
    broker_password: SecretStr = Field(SecretStr(""), description="our password there")
    broker_topic: str = Field(
        "ioc/v1/+/#", description="what to read; may be a shared subscription; empty: only the routes"
    )
    broker_routes: dict[str, str] = Field(
        {}, description="other topics to read there: topic filter → device id, e.g. `frigate/#`"
    )

    @field_validator("broker_routes")
    @classmethod
    def _known_filters(cls, routes: dict[str, str]) -> dict[str, str]:
        parse_routes(routes)
        return routes


class DatabaseSettings(Section):
    """Which PostgreSQL; empty means the embedded one inside the data folder."""

    admin_dsn: Dsn = Field("", description="connection that may migrate; empty for the embedded database")
    app_dsn: Dsn = Field("", description="unprivileged connection; empty for the embedded database")
    pool_size: Count = Field(8, description="connections per process and purpose")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.admin_dsn) != bool(self.app_dsn):
            raise ValueError("expected admin_dsn and app_dsn, or neither for the embedded database")
        return self


class LogKind(StrEnum):
    """Where the event log is."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


class KafkaProtocol(StrEnum):
    """How connections to Kafka are protected, in Kafka's words."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """How we log in to Kafka."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class LogSettings(Section):
    """The event log: embedded in PostgreSQL, or Kafka."""

    kind: LogKind = Field(LogKind.EMBEDDED, description="where the log is: `embedded` or `kafka`")
    partitions: Annotated[int, Field(gt=0, le=256)] = Field(
        4, description="partitions of a new log; where set, a log with another number is refused"
    )
    dedup_window_s: Seconds = Field(86_400, description="how long a repeated event id is recognised")
    retention_s: Seconds = Field(7 * 86_400, description="how long the log is kept")
    lease_s: Annotated[float, Field(ge=6, le=60)] = Field(
        8.0, description="a process silent for this long loses its partitions to the others"
    )
    bootstrap_servers: str = Field(
        "", pattern=_SERVERS, description="Kafka brokers to ask first, `host:port`, separated by commas"
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,40}$")] = Field(
        "", description="put before topics and groups, for clusters that serve others too"
    )
    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,80}$")] = Field(
        "",
        description="name of this process, no other's, kept over restarts: its partitions then wait for it",
    )
    replication: Annotated[int, Field(ge=1, le=9)] = Field(
        3, description="copies of a new topic; 1 where there is one broker"
    )
    min_insync: Annotated[int, Field(ge=1, le=9)] = Field(
        2, description="copies that must have a record before it is acknowledged; at most `replication`"
    )
    security: KafkaProtocol = Field(
        KafkaProtocol.PLAINTEXT, description="`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`"
    )
    sasl_mechanism: SaslMechanism = Field(
        SaslMechanism.SCRAM_SHA_512, description="`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`"
    )
    username: str = Field("", description="our name there")
    password: SecretStr = Field(SecretStr(""), description="our password there")
    tls_ca: Path | None = Field(None, description="PEM authorities of the brokers; the system's if not set")
    tls_certificate: Path | None = Field(None, description="PEM certificate of ours, where brokers ask")
    tls_key: Path | None = Field(None, description="PEM private key of the certificate")
    tls_key_password: SecretStr = Field(
        SecretStr(""), description="what that key is encrypted with, if it is"
    )
    spill: bool = Field(
        False,
        description="keep and acknowledge events in PostgreSQL while Kafka takes none (log.kind = kafka)",
    )
    spill_records: Count = Field(
        5_000_000, description="records that may wait there for Kafka; beyond, ingest answers 503 again"
    )
    spill_bytes: Annotated[int, Field(ge=1 << 20)] = Field(
        2 << 30, description="the same in bytes: have twice as much free on the database's disk"
    )
    spill_after_s: Annotated[float, Field(ge=0.5, le=8)] = Field(
        2.0, description="how long Kafka may take to store an append before it is kept there"
    )

    @model_validator(mode="after")
    def _complete(self) -> "LogSettings":
        if self.spill and self.kind is not LogKind.KAFKA:
            raise ValueError("log.spill is for log.kind = kafka: the embedded log is in PostgreSQL already")
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("log.tls_key needs log.tls_certificate")
        if self.kind is LogKind.KAFKA and not self.bootstrap_servers:
            raise ValueError("log.kind = kafka needs log.bootstrap_servers")
        if self.security.startswith("SASL") and not self.username:
            raise ValueError(f"log.security = {self.security} needs log.username and log.password")
        return self


class RelaySettings(Section):
    """Publishing incident changes to Kafka for other systems; the store role does it."""

    enabled: bool = Field(
        False, description="publish to the topic `ioc.incidents`; Kafka is where `log.bootstrap_servers` says"
    )
    partitions: Annotated[int, Field(gt=0, le=256)] = Field(
        4, description="partitions of that topic when it is made"
    )


def _decoder(name: str) -> str:
    if name not in DECODERS:
        raise ValueError(f"expected a decoder: {', '.join(sorted(DECODERS))}")
    return name


class BridgeTopic(Section):
    """A foreign topic of Kafka that the ingest role reads."""

    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    decoder: Annotated[str, AfterValidator(_decoder)]
    device: Annotated[str, Field(min_length=1, max_length=128)]
    group: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,200}$")] = ""
    """Empty: `ioc-bridge-` and the topic, so that no topic waits for another one's members."""


class BridgeSection(Section):
    """Taking events from foreign topics of Kafka."""

    topics: Annotated[tuple[BridgeTopic, ...], Field(max_length=32)] = Field(
        (),
        description="topics to read, each with `topic`, `decoder`, `device` (a registered one that sends "
        "them) and, if need be, `group`; Kafka is where `log.bootstrap_servers` says",
    )
    batch_records: Annotated[int, Field(gt=0, le=10_000)] = Field(
        500, description="records of one topic stored together; no more are read meanwhile"
    )
    batch_bytes: Annotated[int, Field(ge=1 << 20, le=64 << 20)] = Field(
        2 << 20, description="the same in bytes"
    )


class RulesSettings(Section):
    """The rule engine."""

    folder: Path = Field(Path("rules"), description="folder of rule files")
    batch_records: Count = Field(1_000, description="records taken per poll")
    commit_s: Seconds = Field(1.0, description="longest time between commits when nothing fires")
    lateness_s: Seconds = Field(2.0, description="how far the watermark stays behind the clock ticks")
    slow_us: Count = Field(
        200,
        description="a rule that takes longer per log record, for 15 s, is disabled; all rules together need "
        "about 4, `matches` over 2,000 characters in every record about 160; a condition that rules share is "
        "charged to the first of them",
    )
    warm_records: Count = Field(
        500_000,
        description="most records of a partition that pushed rules run over before they go live",
    )
    wide_keys: Count = Field(
        8, description="keys of wide rules that one event is passed on for; more are left out and counted"
    )
    wide_held: Count = Field(
        200_000,
        description="events of wide rules that wait in a partition for one that lags; more are refused and "
        "counted",
    )
    operators: Count = Field(
        1, description="people on duty who share the alarms: the budget is six alarms per person and hour"
    )
    workbench_jobs: Count = Field(
        2,
        description="backtests that people run at a time, one each, and as many test runs; more are refused; "
        "each is a process of its own, at low priority",
    )
    workbench_s: Seconds = Field(900.0, description="longest time of a backtest of the workbench")
    workbench_keep_s: Seconds = Field(3_600.0, description="how long the result of a backtest is kept")
    close_returned_s: Count = Field(
        600, description="an incident that went away untouched closes itself after this time"
    )


class StoreSettings(Section):
    """History and its limits."""

    batch_records: Count = Field(2_000, description="records taken per poll")
    linger_s: Seconds = Field(0.25, description="longest time events wait to be stored together")
    history_retention_s: Seconds = Field(
        90 * 86_400, description="how long history is kept; camera events 30 days at most"
    )
    aggregate_retention_s: Seconds = Field(
        1_825 * 86_400, description="how long 5-minute aggregates are kept"
    )
    compress_after_s: Annotated[float, Field(ge=8 * 86_400)] = Field(
        8 * 86_400,
        description="age at which TimescaleDB compresses history; longer than the 7 days events may be late",
    )
    expected_events_per_s: Seconds = Field(
        50.0, description="events per second of the busier stream, from which the width of a chunk follows"
    )
    database_memory_mb: Count = Field(
        4_096, description="the database's memory; a quarter must hold the indexes of the newest chunk"
    )
    quarantine_rows: Count = Field(100_000, description="refused messages kept; the oldest go first")


class NotifySettings(Section):
    """Telling others of incidents: mail and webhooks. Receivers themselves are data, see the API."""

    smtp_host: str = Field("", description="mail server that takes our messages; empty sends no mail")
    smtp_port: Port = Field(587, description="its port")
    smtp_tls: MailTls = Field(MailTls.STARTTLS, description="how the connection to it is protected")
    smtp_username: str = Field("", description="our name there")
    smtp_password: SecretStr = Field(SecretStr(""), description="our password there")
    sender: str = Field("ioc@localhost.localdomain", description="address our mails come from")
    timeout_s: Seconds = Field(10.0, le=10.0, description="longest wait for a receiver's answer")
    webhook_networks: tuple[Network, ...] = Field(
        (), description="networks webhooks may lead into, besides the public Internet"
    )
    secret_overlap_s: float = Field(
        86_400.0,
        ge=0,
        le=MAX_OVERLAP_S,
        description="time for which a webhook's former secret signs beside a new one; 0: not at all",
    )
    max_resent: int = Field(1_000, ge=1, le=10_000, description="failed deliveries sent again by one request")


class PullSettings(Section):
    """Fetching what other systems hold, e.g. other cities' service requests (Open311)."""

    every_s: Seconds = Field(300.0, ge=10.0, description="time between two fetches from one system")
    check_s: Seconds = Field(5.0, description="time between two looks at which systems are due")
    timeout_s: Seconds = Field(15.0, le=60.0, description="longest wait for an answer")
    max_pages: int = Field(
        50, ge=1, le=1_000, description="pages taken of one window of time; beyond, the window is halved"
    )
    first_s: Seconds = Field(
        86_400.0, description="how far back the first fetch goes; at most 7 days are taken"
    )
    overlap_s: Seconds = Field(900.0, description="time that is asked for again, for what is shown late")
    networks: tuple[Network, ...] = Field(
        (), description="networks that may be fetched from, besides the public Internet over https"
    )


class PrivacySettings(Section):
    """How long personal data is kept in plain text; `ioc retention report` shows where each stands."""

    plate_s: Seconds = Field(
        7 * 86_400, description="plates in camera history; then only a keyed token of each stays"
    )
    contact_s: Seconds = Field(
        180 * 86_400, description="who sent a report, and names and numbers in its text"
    )
    incident_text_s: Seconds = Field(
        365 * 86_400, description="texts of finished incidents, and notes in their history"
    )
    photo_s: Seconds = Field(
        180 * 86_400, description="pictures, which may show faces and plates; those of open incidents longer"
    )
    unclaimed_photo_s: Seconds = Field(
        86_400, description="pictures that nothing refers to: neither a report nor an incident"
    )
    quarantine_s: Seconds = Field(14 * 86_400, description="refused messages as they came")
    plate_key: Path | None = Field(
        None, description="file of the tokens' key; empty: `secrets/plate.key` in the data folder"
    )


class PhotoSettings(Section):
    """Pictures of citizens and staff: at most 10 MB and 25 megapixels each, re-encoded, in the database."""

    processes: Annotated[int, Field(gt=0, le=16)] = Field(
        1, description="pictures re-encoded at once, each in a process of its own of up to 640 MB"
    )
    waiting: Annotated[int, Field(gt=0, le=256)] = Field(
        8, description="pictures being received or waiting for that; more are refused with 503"
    )
    timeout_s: Seconds = Field(20.0, le=60.0, description="longest time a picture's process may take")
    total_bytes: Count = Field(10 << 30, description="bytes of all pictures; beyond, new ones are refused")
    unclaimed: Count = Field(
        2_000,
        description="pictures of staff that nothing refers to yet, and as many of citizens; beyond, the same",
    )
    public_per_hour: Annotated[int, Field(gt=0, le=10_000)] = Field(
        30, description="pictures that one address may send; behind a proxy see `http.trusted_proxies`"
    )


class CitizenSettings(Section):
    """The public counter: how much one address and one contact may send."""

    free_per_hour: int = Field(
        5, ge=1, le=10_000, description="reports of one address without a proof of work"
    )
    most_per_hour: int = Field(30, ge=1, le=100_000, description="reports of one address in all")
    looks_per_minute: int = Field(
        60, ge=1, le=100_000, description="looks of one address: duplicates, following, votes"
    )
    per_contact_day: int = Field(20, ge=1, le=10_000, description="reports that name one contact")
    per_partner_minute: int = Field(
        60, ge=1, le=100_000, description="reports that one token may send by Open311"
    )
    jurisdiction: str = Field(
        "",
        max_length=100,
        description="`jurisdiction_id` that programs of Open311 have to name if they name one; empty: any",
    )
    work_bits: int = Field(
        16, ge=0, le=24, description="zero bits of the proof of work; each doubles its cost"
    )
    contact_key: Path | None = Field(
        None,
        description="file of the key that seals contacts; empty: `secrets/contact.key` in the data folder",
    )


class PlaybackSettings(Section):
    """How much of the past one question may ask for; the console needs the least that is allowed here."""

    max_span_h: int = Field(
        24, ge=24, le=24 * 31, description="longest range of incidents and of their histogram"
    )
    max_states_min: int = Field(60, ge=60, le=24 * 60, description="longest range of devices' states")
    max_steps: int = Field(180, ge=180, le=3_600, description="most frames of states in one answer")
    max_buckets: int = Field(300, ge=120, le=3_000, description="most buckets of a histogram")
    max_values: int = Field(
        100_000,
        ge=1_000,
        le=1_000_000,
        description="most values of one stream in one answer, at about 1 kB of memory each; beyond, "
        "the answer is refused and the console asks for coarser steps",
    )
    silent_s: int = Field(
        120,
        ge=10,
        le=3_600,
        description="a device silent for longer before the start is not in the first frame",
    )


class FigureSettings(Section):
    """Figures of incidents and early warnings about them."""

    fold_s: Seconds = Field(10.0, description="time between two foldings of changed counts into the sums")
    evaluate_s: Seconds = Field(
        60.0, description="time between two looks at devices, samples of figures, and brakes"
    )


class OidcSettings(Section):
    """Logging in at an identity provider; without an issuer everybody logs in here."""

    issuer: str = Field("", description="the provider's issuer, exactly as it names itself; empty: none")
    client_id: str = Field("", description="our name there")
    client_secret: SecretStr = Field(SecretStr(""), description="our secret there")
    redirect_uri: str = Field(
        "", description="where it sends people back: our public address + `/api/v1/session/oidc/callback`"
    )
    scope: str = Field("openid profile email", description="what we ask for")
    algorithms: tuple[Literal["RS256", "PS256", "ES256", "EdDSA", "RS384", "PS384", "ES384"], ...] = Field(
        ("RS256", "PS256", "ES256"), description="signatures of ID tokens that count"
    )
    username_claim: str = Field("preferred_username", description="claim that holds the user name")
    name_claim: str = Field("name", description="claim that holds the name shown")
    roles_claim: str = Field("roles", description="claim that holds the roles there")
    roles: dict[str, Role] = Field(
        {}, description="role there → role here; the first that somebody has counts"
    )
    wards_claim: str = Field("wards", description="claim that holds the ward codes of ward staff")
    timeout_s: Seconds = Field(5.0, le=30.0, description="longest wait for the provider's answer")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = ("client_id", "client_secret", "redirect_uri", "roles")
        missing = [name for name in needed if not getattr(self, name)]
        if self.issuer and missing:
            raise ValueError(f"with an issuer, expected also {', '.join(missing)}")
        return self


class LoginSettings(Section):
    """Logging in here with a name and a password."""

    second_factor: tuple[Role, ...] = Field(
        (), description="roles that also need a code of an app on their phone (TOTP)"
    )
    issuer: str = Field("IOC", min_length=1, max_length=40, description="how that app names this service")


class AuditSettings(Section):
    """The audit log's anchors outside the database."""

    anchors: Path | None = Field(
        None, description="file of anchors; empty: `audit-anchors.jsonl` in the data folder"
    )
    interval_s: Seconds = Field(3_600.0, description="time between two anchors")


class BasemapSettings(Section):
    """The ground under the map. Without a file in the folder and without an address: our own areas and roads.

    An address wins over a file. Whoever loads a page can read it, so a key in it is no secret: bind it to
    your site at its provider.
    """

    folder: Path | None = Field(
        None,
        description="folder whose newest `*.pmtiles` file is the ground; empty: `basemap` in the data folder",
    )
    url: str = Field(
        "",
        description="tiles as `https://…/{z}/{x}/{y}.png`, or a file `https://…/city.pmtiles`; empty: none",
    )
    kind: BasemapKind = Field(
        BasemapKind.RASTER, description="what is at `url`: `pmtiles`, `raster` tiles or `vector` tiles"
    )
    tile_schema: TileSchema = Field(
        TileSchema.PROTOMAPS, description="how `vector` tiles name layers: `protomaps` or `openmaptiles`"
    )
    max_zoom: int = Field(18, ge=0, le=22, description="closest zoom that `url` has tiles of")
    attribution: str = Field(
        "", max_length=200, description="text shown on the map, e.g. © OpenStreetMap; required with `url`"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.url:
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:\[\]-]+", parts.netloc, re.ASCII):
            raise ValueError("url: expected http(s)://host/…")
        missing = [part for part in ("{z}", "{x}", "{y}") if part not in self.url]
        if self.kind is not BasemapKind.PMTILES and missing:
            raise ValueError(f"url: expected {', '.join(missing)} in the address of {self.kind} tiles")
        if not self.attribution.strip():
            raise ValueError("attribution: expected the words that the tiles' owner asks for")
        return self


class TracingSettings(Section):
    """OpenTelemetry traces; credentials come from the standard `OTEL_EXPORTER_OTLP_…` variables."""

    endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="where spans go by OTLP/HTTP, e.g. `http://collector:4318/v1/traces`; empty: nowhere",
    )
    service_name: str = Field("ioc", min_length=1, max_length=100, description="`service.name` of our spans")
    sample_ratio: float = Field(1.0, ge=0.0, le=1.0, description="share of traces written, by the trace's id")
    queue_spans: int = Field(
        2_048, ge=512, le=1_000_000, description="spans that wait to be sent; beyond, new ones are dropped"
    )
    timeout_s: Seconds = Field(5.0, le=60.0, description="longest wait for the collector's answer")


class ReplaySettings(Section):
    """Installations that relive a recording, see docs/operations.md."""

    enabled: bool = Field(
        False,
        description="time is what the sender says by `POST /api/v1/ingest/clock`, and only that: no clock "
        "ticks, and nothing happens to incidents by the passing of time alone. For one process, `ioc up`, on "
        "an empty data folder",
    )
