"""What the feed needs from others; `ioc/app` connects them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from ioc.model.incidents import Incident
from ioc.stream.scope import Scope


class SourceUnavailableError(Exception):
    """The changes cannot be read now; the hub says so to its clients and tries again."""


class StoredChange(Protocol):
    """One entry of the commit-ordered log of incident changes."""

    @property
    def offset(self) -> int:
        """Counts from 1 without gaps, in the order of commits."""

    @property
    def incident(self) -> Incident:
        """The incident as of this change."""


MAX_LIVE: Final = 10_000
"""Incidents of a snapshot. A source that has more gives the gravest, and consoles say so."""


class ChangeSource(Protocol):
    """The durable log of incident changes. Every method may raise `SourceUnavailableError`."""

    async def position(self) -> tuple[str, int]:
        """Return the epoch and the newest committed offset (0 when there is none).

        The epoch must differ after the database was restored or replaced.
        """

    async def read(self, after: int, limit: int) -> Sequence[StoredChange]:
        """Return up to `limit` changes with offsets above `after`, in order.

        If retention removed some, the first one's offset is not `after` + 1; the hub notices.
        """

    async def snapshot(self) -> tuple[int, Sequence[Incident]]:
        """Return an offset and the incidents a console starts from, at least as new as that offset, at most
        `MAX_LIVE` of them.

        Read the offset first, or both in one repeatable-read transaction.
        """


class Viewer(msgspec.Struct, frozen=True):
    """An authenticated person at a socket. `login` identifies the browser session without being a secret."""

    user: str
    login: str
    scope: Scope


Authenticate = Callable[[str], Awaitable[Viewer | None]]
"""Session token → viewer; None when the session is unknown, expired or disabled."""

ClockUs = Callable[[], int]
"""A clock in microseconds."""
