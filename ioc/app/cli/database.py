"""The database as commands use it: what keeps it from opening is an expected error."""

import asyncio
import logging
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from psycopg import AsyncConnection

from ioc.app.cli.output import notes
from ioc.app.core import Database, open_database
from ioc.app.settings import Settings
from ioc.store.embedded import DataFolderError, holds_server
from ioc.store.pool import Pool, open_pool

# What goes wrong with a connection a command says once, as its error: without a handler of its own, logging
# would print the driver's view of it beside that, also after Ctrl-C. Roles write it to their log.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Connection = AsyncConnection[Any]
Result = TypeVar("Result")


@contextmanager
def use_database(settings: Settings, *, keep: bool = False) -> Iterator[Database]:
    """Yield a migrated database, see `open_database`.

    Raises:
        DataFolderError: the data folder cannot be used, or the embedded database does not start on it.
        psycopg.Error: the configured database cannot be reached or migrated.
    """
    made = not settings.database.admin_dsn and not holds_server(settings.data / "pg")
    with ExitStack() as stack:
        try:
            database = stack.enter_context(open_database(settings, keep=keep))
        except OSError as error:
            inside = f"{error.filename}: " if error.filename not in (None, str(settings.data)) else ""
            raise DataFolderError(
                f"cannot use the data folder {settings.data}: {inside}{error.strerror or error}. "
                "Choose another with --data."
            ) from error
        except (subprocess.SubprocessError, RuntimeError) as error:
            raise DataFolderError(
                f"the embedded database in {settings.data / 'pg'} does not start: {error}; "
                f"see {settings.data / 'pg' / 'log'}"
            ) from error
        if made and not keep:
            # A mistyped --data would otherwise look like an installation that holds nothing.
            notes.print(f"note: there was no database in {settings.data}, a new one was made there")
        yield database


def with_pool(settings: Settings, work: Callable[[Pool], Awaitable[Result]]) -> Result:
    """Run `work` on a small pool of the unprivileged role."""

    async def run(dsn: str) -> Result:
        async with open_pool(dsn, name="cli", max_size=2) as pool:
            return await work(pool)

    with use_database(settings) as database:
        return asyncio.run(run(database.app))


def with_connection(settings: Settings, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Run `work` on one connection of the unprivileged role; what it did is kept unless it raises."""

    async def run(pool: Pool) -> Result:
        async with pool.connection() as connection:
            return await work(connection)

    return with_pool(settings, run)
