"""What every role needs, opened in order and closed in reverse: database, log, directory."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ioc.app.directory import Directory
from ioc.app.incidents.desk import Desk
from ioc.app.settings import Settings
from ioc.app.settings.sections import LogKind
from ioc.app.tracing import open_tracer
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.kafka_settings import KafkaSecurity, KafkaSettings
from ioc.eventlog.port import LogRejected
from ioc.eventlog.postgres import PostgresLog
from ioc.eventlog.settings import LogSettings
from ioc.eventlog.spill import SpillSettings
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.model.tracing import NO_TRACER, Tracer
from ioc.store.embedded import PostgresServer, create_database, embedded_postgres
from ioc.store.history_plan import DAY_S, HistoryPlan, chunk_width_s
from ioc.store.migrate import migrate
from ioc.store.pool import Connections, Pool, open_pool
from ioc.store.positions import StorePositions
from ioc.store.row_scope import NOBODY, ScopedPool

DATABASE = "ioc"
MAX_CAMERA_S = 30 * DAY_S


@dataclass(frozen=True)
class Database:
    """A migrated database."""

    app: str
    """How the unprivileged role connects; everything but migrations does."""
    server: PostgresServer | None = None
    """The embedded server, where that is what it is."""


def history_plan(settings: Settings) -> HistoryPlan:
    """Return how long history is kept and how it is cut."""
    store = settings.store
    return HistoryPlan(
        camera_s=min(store.history_retention_s, MAX_CAMERA_S),
        traffic_s=store.history_retention_s,
        aggregates_s=store.aggregate_retention_s,
        compress_after_s=store.compress_after_s,
        log_retention_s=settings.log.retention_s,
        width_s=chunk_width_s(store.expected_events_per_s, store.database_memory_mb),
    )


@contextmanager
def open_database(settings: Settings, *, keep: bool = False) -> Iterator[Database]:
    """Yield a migrated database: the configured one, or the embedded one.

    The first user starts the embedded server and the last one stops it; one process at a time may `keep` it.

    Raises:
        DataFolderError: the data folder cannot hold the embedded database, or somebody else runs it.
        psycopg.Error: the configured database cannot be reached or migrated.
        RetentionError: history would be deleted before aggregates have read it.
        UnsupportedTimescaleError: the extension there cannot hold our history.
    """
    if settings.database.admin_dsn:
        migrate(settings.database.admin_dsn, history_plan(settings))
        yield Database(settings.database.app_dsn)
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _alone(settings.data / "setup.lock"):
            server = stack.enter_context(embedded_postgres(settings.data / "pg", keep=keep))
            dsns = create_database(server, DATABASE)
            migrate(dsns.admin, history_plan(settings))
        yield Database(dsns.app, server)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time set the database up; the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Core:
    """Shared resources of the roles in this process."""

    settings: Settings
    dsn: str
    """For connections that live outside the pools."""
    owner: str
    """Unique among living processes: who holds a partition."""
    log: PostgresLog | KafkaLog
    pool: Pool
    """For rules, store and housekeeping."""
    api_pool: ScopedPool
    """For people: a burst of events must not take their connections, and each sees their own wards' rows."""
    feed_pool: Pool
    """For the live feed, which reads every ward's changes and gives each client its own."""
    directory: Directory
    desk: Desk
    tracer: Tracer = NO_TRACER


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Return how to reach Kafka."""
    log = settings.log
    return KafkaSettings(
        bootstrap_servers=log.bootstrap_servers,
        prefix=log.prefix,
        instance=log.instance,
        replication=log.replication,
        min_insync=log.min_insync,
        security=KafkaSecurity(
            protocol=log.security.value,
            mechanism=log.sasl_mechanism.value,
            username=log.username,
            password=log.password.get_secret_value(),
            ca_file=log.tls_ca,
            certificate_file=log.tls_certificate,
            key_file=log.tls_key,
            key_password=log.tls_key_password.get_secret_value(),
        ),
    )


def spill_settings(settings: Settings) -> SpillSettings:
    """Return what may wait for Kafka: events and their ticks, where that is switched on.

    `ioc.wide` never spills: who writes it reads Kafka and repeats what was not taken.
    """
    log = settings.log
    return SpillSettings(
        topics=frozenset([EVENTS_TOPIC] if log.spill else []),
        max_records=log.spill_records,
        max_bytes=log.spill_bytes,
        after_s=log.spill_after_s,
    )


def log_limits(settings: Settings) -> LogSettings:
    """Return the bounds of the log, whichever it is."""
    return LogSettings(
        dedup_window_s=settings.log.dedup_window_s,
        retention_s=settings.log.retention_s,
        lease_s=settings.log.lease_s,
    )


@asynccontextmanager
async def open_log(settings: Settings, pool: Connections, dsn: str) -> AsyncIterator[PostgresLog | KafkaLog]:
    """Open the log that the settings name, without looking at it yet."""
    limits = log_limits(settings)
    if settings.log.kind is LogKind.EMBEDDED:
        yield PostgresLog(pool, dsn, limits)
        return
    kafka, spilling = kafka_settings(settings), spill_settings(settings)
    log = KafkaLog(pool, StorePositions(pool), kafka, limits, spilling)
    try:
        yield log
    finally:
        await log.close()


def asked_partitions(settings: Settings) -> int | None:
    """Return how many partitions the log is to have; None where the settings do not say so themselves."""
    return settings.log.partitions if "partitions" in settings.log.model_fields_set else None


def refuse_other_partitions(settings: Settings, found: int) -> None:
    """See that the log has as many partitions as the settings say, where they say it.

    Raises:
        LogRejected: it has another number.
    """
    asked = asked_partitions(settings)
    if asked is None or asked == found:
        return
    message = f"log.partitions is {asked}, and {EVENTS_TOPIC} has {found}: set it to {found}"
    if asked > found:
        message += f", or stop every role and add partitions with `ioc log partitions {asked}`"
    raise LogRejected(message)


@asynccontextmanager
async def open_core(settings: Settings, database: Database, owner: str = "") -> AsyncIterator[Core]:
    """Open pools and log, create the topics, read directory and policies once."""
    size = settings.database.pool_size
    async with AsyncExitStack() as stack:
        tracer, end_tracing = open_tracer(settings.tracing)
        stack.callback(end_tracing)
        log_pool = await stack.enter_async_context(open_pool(database.app, name="log", max_size=size))
        pool = await stack.enter_async_context(open_pool(database.app, name="work", max_size=size))
        api_pool = await stack.enter_async_context(
            open_pool(database.app, name="api", max_size=size, scope=NOBODY)
        )
        feed_pool = await stack.enter_async_context(open_pool(database.app, name="feed", max_size=2))
        log = await stack.enter_async_context(open_log(settings, log_pool, database.app))
        partitions = await log.create_topic(EVENTS_TOPIC, settings.log.partitions)
        refuse_other_partitions(settings, partitions)
        await log.create_topic(WIDE_TOPIC, partitions)
        directory = Directory(pool)
        await directory.refresh()
        desk = Desk(pool, directory)
        await desk.refresh()
        api = ScopedPool(api_pool)
        yield Core(settings, database.app, owner, log, pool, api, feed_pool, directory, desk, tracer)
