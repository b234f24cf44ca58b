"""What every role needs, opened in order and closed in reverse: database, log, directory."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ioc.app.directory import Directory
from ioc.app.settings import Settings
from ioc.eventlog.postgres import PostgresLog
from ioc.eventlog.settings import LogSettings
from ioc.model.records import EVENTS_TOPIC, WIDE_TOPIC
from ioc.store.embedded import PostgresServer, create_database, embedded_postgres
from ioc.store.migrate import migrate
from ioc.store.pool import Pool, open_pool

DATABASE = "ioc"


@dataclass(frozen=True)
class Database:
    """A migrated database."""

    app: str
    """How the unprivileged role connects; everything but migrations does."""
    server: PostgresServer | None = None
    """The embedded server, where that is what it is."""


@contextmanager
def open_database(settings: Settings, *, keep: bool = False) -> Iterator[Database]:
    """Yield a migrated database: the configured one, or the embedded one.

    The first user starts the embedded server and the last one stops it; one process at a time may `keep` it.

    Raises:
        DataFolderError: the data folder cannot hold the embedded database, or somebody else runs it.
        psycopg.Error: the configured database cannot be reached or migrated.
    """
    if settings.database.admin_dsn:
        migrate(settings.database.admin_dsn)
        yield Database(settings.database.app_dsn)
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with _alone(settings.data / "setup.lock"):
            server = stack.enter_context(embedded_postgres(settings.data / "pg", keep=keep))
            dsns = create_database(server, DATABASE)
            migrate(dsns.admin)
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
    log: PostgresLog
    pool: Pool
    """For rules, store and housekeeping."""
    api_pool: Pool
    """For people: a burst of events must not take their connections."""
    directory: Directory


@asynccontextmanager
async def open_core(settings: Settings, database: Database, owner: str = "") -> AsyncIterator[Core]:
    """Open pools and log, create the topics, read the directory once."""
    size = settings.database.pool_size
    async with AsyncExitStack() as stack:
        log_pool = await stack.enter_async_context(open_pool(database.app, name="log", max_size=size))
        pool = await stack.enter_async_context(open_pool(database.app, name="work", max_size=size))
        api_pool = await stack.enter_async_context(open_pool(database.app, name="api", max_size=size))
        log = PostgresLog(
            log_pool,
            database.app,
            LogSettings(
                dedup_window_s=settings.log.dedup_window_s,
                retention_s=settings.log.retention_s,
            ),
        )
        await log.create_topic(WIDE_TOPIC, await log.create_topic(EVENTS_TOPIC, settings.log.partitions))
        directory = Directory(pool)
        await directory.refresh()
        yield Core(settings, database.app, owner, log, pool, api_pool, directory)
