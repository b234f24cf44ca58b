"""Shared fixtures: one real PostgreSQL for the whole run, one fresh database per test."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from benchmarks.broker import BrokerUnavailable, shared_broker
from ioc.store.embedded import Dsns, PostgresServer, create_database, embedded_postgres
from ioc.store.migrate import migrate

SHARED_DATA = Path(os.environ.get("IOC_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running embedded server in a throw-away folder."""
    with tempfile.TemporaryDirectory(prefix="ioc-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with embedded_postgres(Path(folder) / "pg") as server:
            # The folder is thrown away: nobody needs it on disk. Tests of durability start their own server.
            with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """A migrated database that tests copy, so that each starts from the real schema in milliseconds."""
    dsns = create_database(postgres, "ioc_template")
    migrate(dsns.admin)
    return "ioc_template"


@pytest.fixture
def database(postgres: PostgresServer, migrated_template: str) -> Dsns:
    """A fresh migrated database of this test's own."""
    return create_database(postgres, f"ioc_test_{next(_numbers)}", template=migrated_template)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Kafka, one for all workers: `IOC_TEST_KAFKA`, else one of our own."""
    if address := os.environ.get("IOC_TEST_KAFKA"):
        yield address
        return
    base = tmp_path_factory.getbasetemp()
    with ExitStack() as stack:
        try:
            folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "kafka"
            address = stack.enter_context(shared_broker(folder))
        except BrokerUnavailable as error:
            pytest.skip(f"no Kafka: {error}")
        yield address


@pytest.fixture
def shared_data() -> Path:
    """The folder of real samples; a test that needs it skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real samples are absent: {SHARED_DATA} (set IOC_SHARED_DATA)")
    return SHARED_DATA
