"""The real database as hosts see it: connections that break, a clean slate for every run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncTransaction, sql
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo

from ioc.store.row_scope import SCOPE_SETTING, SERVICE
from tests.simulation.faults import Point
from tests.simulation.process import Host

_T = TypeVar("_T")
_OPTIONS: Final = f"-c {SCOPE_SETTING}={SERVICE.kind} -c timezone=UTC -c jit=off"
_CLEAR: Final[LiteralString] = """
    BEGIN;
    SET LOCAL session_replication_role = replica; -- the audit log is append-only even for its owner
    DELETE FROM audit_entry; DELETE FROM incident_audit; DELETE FROM incident_change; DELETE FROM incident;
    DELETE FROM rule_state; DELETE FROM rule_status; DELETE FROM rule_activation; DELETE FROM log_owner;
    DELETE FROM quarantine; DELETE FROM camera_event; DELETE FROM traffic_measurement;
    DELETE FROM rollup_open;
    DELETE FROM rule_change WHERE version > 1; DELETE FROM rule_version WHERE version > 1;
    UPDATE feed_position SET next_offset = 1;
    COMMIT
"""


class SimulatedConnection(AsyncConnection[Any]):
    """A connection to which faults happen: those of the host that it is lent to."""

    host: Host | None = None
    _inside = False
    """In a transaction whose commit has not begun."""

    @asynccontextmanager
    async def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[AsyncTransaction]:
        """Begin a transaction; a savepoint where one is begun."""
        if self._inside or self.host is None:
            async with super().transaction(savepoint_name, force_rollback) as savepoint:
                yield savepoint
            return
        await self.host.reach(Point.BEFORE_TRANSACTION, self)
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                self._inside = True
                yield transaction
                self._inside = False
                await self.host.reach(Point.BEFORE_COMMIT, self)
        finally:
            self._inside = False
        await self.host.reach(Point.AFTER_COMMIT, self)

    async def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        """Exchange something with the database."""
        if self._inside and self.host is not None:
            await self.host.reach(Point.IN_TRANSACTION, self)
        return await super().wait(gen, interval, timeout)


class Connections:
    """Connections to one database, kept from run to run."""

    def __init__(self, dsn: str) -> None:
        self._dsn = make_conninfo(dsn, options=_OPTIONS)
        self._idle: list[SimulatedConnection] = []

    @asynccontextmanager
    async def lend(self, host: Host | None) -> AsyncIterator[SimulatedConnection]:
        """Lend one; what was done on it is committed at the end, rolled back after an error."""
        connection = self._idle.pop() if self._idle else await SimulatedConnection.connect(self._dsn)
        connection.host = host
        try:
            yield connection
        except BaseException:
            if not connection.closed:
                await connection.rollback()
            raise
        else:
            await connection.commit()
        finally:
            connection.host = None
            if not connection.closed:
                self._idle.append(connection)

    async def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            await self._idle.pop().close()


class HostPool:
    """`Pool` of one host; of nobody, to whom nothing happens, where there is none."""

    def __init__(self, connections: Connections, host: Host | None = None) -> None:
        self._connections = connections
        self._host = host

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection[Any]]:
        """Lend a connection."""
        async with self._connections.lend(self._host) as connection:
            yield connection


def copy_rules(admin_dsn: str, to_admin_dsn: str) -> None:
    """Let the second database know the same versions of the rules as the first."""
    with psycopg.connect(admin_dsn) as source, psycopg.connect(to_admin_dsn) as target:
        target.execute("DELETE FROM rule_change; DELETE FROM rule_version; DELETE FROM rule_source")
        for table in map(sql.Identifier, ("rule_source", "rule_version", "rule_change")):
            with (
                source.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as reading,
                target.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(table)) as writing,
            ):
                for block in reading:
                    writing.write(block)


def clear(admin_dsn: str) -> None:
    """Undo everything that a run has done."""
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute(_CLEAR)
