"""Connection pools: named, bounded, unprivileged."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import psycopg_pool._acompat as pool_waits
from psycopg import AsyncConnection, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from ioc.store.row_scope import NOBODY, SCOPE_SETTING, SERVICE, Pool, RowScope

__all__ = ["Connections", "Pool", "PrivilegedRoleError", "StoreUnavailable", "open_pool"]

Connections = AsyncConnectionPool[AsyncConnection[Any]]

_PRIVILEGED: Final[LiteralString] = """
    SELECT current_user, EXISTS (
        SELECT FROM pg_roles WHERE (rolsuper OR rolbypassrls) AND pg_has_role(oid, 'MEMBER')
    ) OR EXISTS (
        SELECT FROM pg_class WHERE oid = to_regclass('schema_migration') AND pg_has_role(relowner, 'MEMBER')
    )
"""


class StoreUnavailable(Exception):
    """The database cannot be reached; the same call may succeed later."""


class PrivilegedRoleError(Exception):
    """The role of the connection string bypasses row-level security; the message says which to use."""


async def _wait_timeout(self: asyncio.Event | asyncio.Condition, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await self.wait()
    except TimeoutError:
        return False
    return True


def _keep_cancellations() -> None:
    """Give psycopg_pool the waits of Python 3.12.

    It waits for connections with `asyncio.wait_for`, which before 3.12 swallows a cancellation that arrives
    together with the result (cpython issue 86296): measured, a fifth and more of the cancellations of tasks
    waiting for a connection were lost, so a `TaskGroup` or a shutdown could wait for ever.
    """
    if sys.version_info < (3, 12):
        for waiter in (pool_waits.AEvent, pool_waits.ACondition):
            waiter.wait_timeout = _wait_timeout  # type: ignore[method-assign]


_keep_cancellations()


@asynccontextmanager
async def open_pool(
    dsn: str,
    *,
    name: str,
    min_size: int = 1,
    max_size: int = 8,
    timeout_s: float = 5.0,
    max_waiting: int = 200,
    statement_timeout_s: float = 15.0,
    scope: RowScope = SERVICE,
) -> AsyncIterator[Connections]:
    """Open a pool of at most `max_size` connections and close it at the end.

    A caller waits up to `timeout_s` for a connection, `max_waiting` callers at most; beyond either,
    `pool.connection()` raises `psycopg_pool.PoolTimeout` or `TooManyRequests` (`OperationalError`s).
    `scope` is SERVICE for machines at work; a pool that serves people starts from NOBODY and is wrapped in a
    `ScopedPool`. Connections start a transaction with their first statement and commit at the end of
    `async with pool.connection()`.

    Raises:
        StoreUnavailable: no connection within `timeout_s`.
        PrivilegedRoleError: the role is or may become a superuser, one that bypasses row-level security, or
            the owner of the tables.
    """
    pool: Connections = AsyncConnectionPool(
        _bounded(dsn, name, statement_timeout_s, scope),
        name=name,
        min_size=min_size,
        max_size=max_size,
        timeout=timeout_s,
        max_waiting=max_waiting,
        max_idle=120.0,
        open=False,
    )
    async with pool:
        try:
            await pool.wait(timeout_s)
            async with pool.connection() as connection:
                await _refuse_privileged(connection)
        except OperationalError as error:
            raise StoreUnavailable(f"pool {name}: {error}") from error
        yield pool


def _bounded(dsn: str, name: str, statement_timeout_s: float, scope: RowScope) -> str:
    if scope not in (SERVICE, NOBODY):
        raise ValueError("a connection outlives the person it serves: wrap the pool in a ScopedPool")
    limits = {
        SCOPE_SETTING: scope.kind,
        "statement_timeout": f"{round(statement_timeout_s * 1000)}ms",
        # An idle transaction holds back vacuum and everybody who follows commit order.
        "idle_in_transaction_session_timeout": "10s",
        "timezone": "UTC",
        "jit": "off",
        # The default is a spinning disk's: the planner would rather sort a day than follow an index.
        "random_page_cost": "1.1",
    }
    given = str(conninfo_to_dict(dsn).get("options") or "")
    options = " ".join([given, *(f"-c {key}={value}" for key, value in limits.items())]).strip()
    return make_conninfo(dsn, application_name=f"ioc-{name}", options=options)


async def _refuse_privileged(connection: AsyncConnection[Any]) -> None:
    row = await (await connection.execute(_PRIVILEGED)).fetchone()
    assert row is not None
    if row[1]:
        raise PrivilegedRoleError(
            f"role {row[0]} is a superuser, bypasses row-level security or owns the tables: "
            "connect as ioc_app instead"
        )
