"""Pools are unprivileged, bounded, and never lose a cancellation."""

import asyncio
import random

import psycopg
import pytest
from psycopg import OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege, QueryCanceled

from ioc.store.embedded import Dsns
from ioc.store.pool import Pool, PrivilegedRoleError, StoreUnavailable, open_pool


async def test_a_superuser_is_refused(database: Dsns) -> None:
    with pytest.raises(PrivilegedRoleError, match="postgres"):
        async with open_pool(database.admin, name="test"):
            pass


async def test_an_owner_of_the_tables_is_refused_though_no_superuser(database: Dsns) -> None:
    with psycopg.connect(database.admin, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS ioc_test_owner")
        connection.execute("CREATE ROLE ioc_test_owner")
        connection.execute("GRANT ioc_test_owner TO ioc_app")
        try:
            connection.execute("ALTER TABLE schema_migration OWNER TO ioc_test_owner")
            with pytest.raises(PrivilegedRoleError, match="owns the tables"):
                async with open_pool(database.app, name="test"):
                    pass
        finally:
            connection.execute("ALTER TABLE schema_migration OWNER TO CURRENT_USER")
            connection.execute("DROP ROLE ioc_test_owner")


async def test_an_absent_database_is_said_to_be_unavailable(database: Dsns) -> None:
    with pytest.raises(StoreUnavailable, match="test"):
        async with open_pool(make_conninfo(database.app, dbname="nowhere"), name="test", timeout_s=0.3):
            pass


async def test_the_application_may_not_change_the_schema_or_rewrite_the_log(pool: Pool) -> None:
    for statement in (
        "CREATE TABLE mine (a int)",
        "DROP TABLE log_batch",
        "UPDATE log_batch SET payload = ''",
        "UPDATE traffic_measurement SET speed_kmh = 0",
        "UPDATE quarantine SET raw = ''",
        "TRUNCATE area",
    ):
        async with pool.connection() as connection:
            with pytest.raises(InsufficientPrivilege):
                await connection.execute(statement)
            await connection.rollback()


async def test_statements_and_waiting_are_bounded(database: Dsns) -> None:
    async with (
        open_pool(
            database.app, name="test", max_size=1, timeout_s=0.1, max_waiting=1, statement_timeout_s=0.05
        ) as pool,
        pool.connection() as connection,
    ):
        with pytest.raises(QueryCanceled):
            await connection.execute("SELECT pg_sleep(5)")
        with pytest.raises(OperationalError):
            async with pool.connection():
                pass


@pytest.mark.slow
async def test_no_cancellation_is_lost_while_waiting_for_a_connection(database: Dsns) -> None:
    """Fails within a second on Python 3.11 without the waits that `ioc.store.pool` gives psycopg_pool."""
    seeded = random.Random(7)
    survived = 0

    async def work(pool: Pool) -> None:
        nonlocal survived
        async with pool.connection() as connection:
            await connection.execute("SELECT 1")
        # A cancelled task never gets past its next wait.
        await asyncio.sleep(0.5)
        survived += 1

    async with open_pool(database.app, name="test", max_size=2, timeout_s=5.0) as pool:
        for _ in range(40):
            tasks: list[asyncio.Task[None]] = []
            async with asyncio.TaskGroup() as group:
                tasks += [group.create_task(work(pool)) for _ in range(20)]
                for task in tasks:
                    await asyncio.sleep(seeded.random() / 2000)
                    task.cancel()
    assert survived == 0
