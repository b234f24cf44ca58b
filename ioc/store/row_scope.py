"""For whom a transaction reads and writes: row-level security compares its rows with this (migration 0080).

    nobody      the default: no row of a protected table exists
    a person    rows of their wards; every ward for those who are not limited to some
    SERVICE     every row: machines at work, and what has to happen before anybody is known (logging in)

A machine's pool carries its scope on each connection; a pool that serves people sets the scope of whoever is
being served at the start of each transaction, so that it ends with the transaction.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

import msgspec
from psycopg import AsyncConnection

SCOPE_SETTING: Final = "ioc.scope"
_WARD_SEPARATOR: Final = "\x1f"


class RowScope(msgspec.Struct, frozen=True):
    """A kind (`service`, `person` or nothing), the wards (None is every ward) and the person's name."""

    kind: str
    wards: tuple[str, ...] | None = None
    user: str = ""

    @classmethod
    def of_person(cls, username: str, wards: Sequence[str] | None) -> "RowScope":
        """Return the scope of somebody who asks."""
        return cls("person", None if wards is None else tuple(wards), username)

    @property
    def parameters(self) -> tuple[str, str, str]:
        """Return the values of `ioc.scope`, `ioc.wards` and `ioc.user`."""
        kind = "city" if self.kind == "person" and self.wards is None else self.kind
        return kind, _WARD_SEPARATOR.join(self.wards or ()), self.user


NOBODY: Final = RowScope("")
SERVICE: Final = RowScope("service")

_current: ContextVar[RowScope] = ContextVar("row_scope", default=NOBODY)


@contextmanager
def acting_as(scope: RowScope) -> Iterator[None]:
    """Serve `scope` within the block: transactions that begin inside see its rows."""
    before = _current.set(scope)
    try:
        yield
    finally:
        _current.reset(before)


def serve(scope: RowScope) -> None:
    """Serve `scope` until the block of `acting_as` around it ends."""
    _current.set(scope)


class Pool(Protocol):
    """Where transactions come from."""

    def connection(self, timeout: float | None = None) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """Lend a connection; what was done on it is committed at the end, rolled back after an error."""


class ScopedPool:
    """A pool whose transactions belong to one scope, or to whoever is being served when they begin."""

    def __init__(self, pool: Pool, scope: RowScope | None = None) -> None:
        self._pool = pool
        self._scope = scope

    def of(self, scope: RowScope) -> "ScopedPool":
        """Return the same connections for `scope`, whoever is being served."""
        return ScopedPool(self._pool, scope)

    @asynccontextmanager
    async def connection(self, timeout: float | None = None) -> AsyncIterator[AsyncConnection[Any]]:
        """Lend a connection inside a transaction of the scope."""
        async with self._pool.connection(timeout) as connection:
            await connection.execute(
                "SELECT set_config('ioc.scope', %s, true), set_config('ioc.wards', %s, true),"
                " set_config('ioc.user', %s, true)",
                (self._scope or _current.get()).parameters,
            )
            yield connection
