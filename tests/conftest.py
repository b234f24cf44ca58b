"""Shared fixtures: one real PostgreSQL for the whole run, one fresh database per test.

It is the embedded server, or the one of `IOC_TEST_DATABASE_URL`, a superuser's connection. Where that one has
TimescaleDB, the test databases use it, so the same suite holds for hypertables.
"""

import asyncio
import gc
import itertools
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from hashlib import sha256
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from benchmarks.broker import Access, Broker, BrokerUnavailable, require_archives
from benchmarks.docker_broker import docker_answers
from benchmarks.shared_broker import shared_broker
from ioc.store.embedded import Dsns, PostgresServer, create_database, embedded_postgres
from ioc.store.migrate import migrate

SHARED_DATA = Path(os.environ.get("IOC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
EXTERNAL_URL = os.environ.get("IOC_TEST_DATABASE_URL", "")
_numbers = itertools.count()

# How long an example takes says more of the machine than of the code.
settings.register_profile("ioc", deadline=None)
settings.load_profile("ioc")


class Server(Protocol):
    """Where tests make their databases."""

    def create(self, name: str, template: str | None = None) -> Dsns:
        """Create database `name`, a copy of `template`."""

    def seal(self, name: str) -> None:
        """Make `name` fit to be copied."""

    def drop(self, name: str) -> None:
        """Drop a test's database."""

    def alone(self) -> AbstractContextManager[None]:
        """Hold off other workers, while that is done which concerns the whole server."""


class Embedded:
    """The embedded server in a throw-away folder."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def create(self, name: str, template: str | None = None) -> Dsns:
        return create_database(self._server, name, template)

    def seal(self, name: str) -> None:
        pass

    def drop(self, name: str) -> None:
        """Drop it at once: two thousand copies of the schema would fill a small disk."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self._server.get_uri("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def alone(self) -> AbstractContextManager[None]:
        return nullcontext()


class External:
    """Somebody else's server; databases carry a name of this run and are dropped at its end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._run = f"ioc_{secrets.token_hex(4)}"
        # The role is the server's, so all workers must give it the same one.
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", self._run)
        self._password = sha256(run.encode()).hexdigest()[:16]
        self._made: list[str] = []

    def create(self, name: str, template: str | None = None) -> Dsns:
        statement = sql.SQL("CREATE DATABASE {}").format(self._name(name))
        if template:
            statement += sql.SQL(" TEMPLATE {}").format(self._name(template))
        self._run_alone(statement)
        self._made.append(name)
        database = f"{self._run}_{name}"
        admin = make_conninfo(self._url, dbname=database)
        with psycopg.connect(admin) as connection:
            if not template and self.has_timescale:
                connection.execute("CREATE EXTENSION timescaledb")
        return Dsns(
            admin=admin,
            app=make_conninfo(self._url, dbname=database, user="ioc_app", password=self._password),
        )

    @property
    def has_timescale(self) -> bool:
        with psycopg.connect(self._url) as connection:
            found = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'")
            return found.fetchone() is not None

    def seal(self, name: str) -> None:
        self._run_alone(sql.SQL("ALTER ROLE ioc_app PASSWORD {}").format(self._password))
        if self.has_timescale:
            with psycopg.connect(make_conninfo(self._url, dbname=f"{self._run}_{name}")) as connection:
                # Tests say themselves when a policy runs.
                connection.execute(
                    "SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs"
                )
        self._run_alone(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(self._name(name)))
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (f"{self._run}_{name}",),
            )

    def drop(self, name: str) -> None:
        self._made.remove(name)
        self._run_alone(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(self._name(name)))

    @contextmanager
    def alone(self) -> Iterator[None]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(hashtext('ioc tests'))")
            yield

    def drop_all(self) -> None:
        for name in list(self._made):
            self.drop(name)

    def _name(self, name: str) -> sql.Identifier:
        return sql.Identifier(f"{self._run}_{name}")

    def _run_alone(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def embedded() -> Iterator[Embedded]:
    with tempfile.TemporaryDirectory(prefix="ioc-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder) / "pg") as server:
            # The folder is thrown away: nobody needs it on disk. Tests of durability start their own server.
            with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield Embedded(server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running server."""
    if not EXTERNAL_URL:
        with embedded() as server:
            yield server
        return
    external = External(EXTERNAL_URL)
    try:
        yield external
    finally:
        external.drop_all()


@pytest.fixture(scope="session")
def migrated_template(postgres: Server) -> str:
    """A migrated database that tests copy, so that each starts from the real schema in milliseconds."""
    with postgres.alone():
        dsns = postgres.create("ioc_template")
        migrate(dsns.admin)
        postgres.seal("ioc_template")
    return "ioc_template"


@pytest.fixture
def database(postgres: Server, migrated_template: str) -> Iterator[Dsns]:
    """A fresh migrated database of this test's own."""
    name = f"ioc_test_{next(_numbers)}"
    yield postgres.create(name, template=migrated_template)
    postgres.drop(name)


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[Dsns]:
    """A database without any migration, with the extension where the server has it."""
    name = f"ioc_empty_{next(_numbers)}"
    yield postgres.create(name)
    postgres.drop(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let every test that talks to Kafka itself end with `dropped_connections`, when its own are closed."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and iscoroutinefunction(item.function)
            and "kafka" in item.nodeid
        ):
            item.fixturenames.insert(0, "dropped_connections")


@pytest.fixture
async def dropped_connections() -> AsyncIterator[None]:
    """Close and collect connections that aiokafka dropped while they were made, as long as the loop is open.

    Collected later, they would be complaints about sockets in a test that knows nothing of them. With TLS
    they may fail to close themselves: of a cycle of garbage, the transport may go before its connection.
    """
    yield
    transports: Mapping[int, asyncio.Transport] = getattr(asyncio.get_running_loop(), "_transports", {})
    for transport in list(transports.values()):
        transport.abort()
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)


@pytest.fixture(scope="session")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A real Kafka of our own, one for all workers, with an entrance that asks for TLS, login and grants."""
    yield from _kafka(tmp_path_factory, own=True)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Kafka, one for all workers: `IOC_TEST_KAFKA`, else by Docker, else our own."""
    if address := os.environ.get("IOC_TEST_KAFKA"):
        yield address
    elif docker_answers():
        yield from (access.address for access in _kafka(tmp_path_factory, own=False))
    else:
        access: Access = request.getfixturevalue("own_kafka")
        yield access.address


def _kafka(factory: pytest.TempPathFactory, *, own: bool) -> Iterator[Access]:
    base = factory.getbasetemp()
    with ExitStack() as stack:
        try:
            folder = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
            access = stack.enter_context(shared_broker(folder / ("kafka-own" if own else "kafka"), own=own))
        except BrokerUnavailable as error:
            pytest.skip(f"no Kafka: {error}")
        yield access


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, to do harm to."""
    try:
        require_archives()
    except BrokerUnavailable as error:
        pytest.skip(f"no Kafka to do harm to: {error}")
    broker = Broker(tmp_path / "broker")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def shared_data() -> Path:
    """The folder of real samples; a test that needs it skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real samples are absent: {SHARED_DATA} (set IOC_SHARED_DATA)")
    return SHARED_DATA
