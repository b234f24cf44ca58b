"""The brake on guessing passwords.

Guessing is braked by counts of failures within a window, in `login_throttle`:

    key                      beyond its limit
    ip:{address}             refused: one place tries many names
    pair:{name} {address}    refused: one place tries one name
    user:{name}              delayed, never refused: many places try one name; who knows the password gets in

An attempt is counted before its password is looked at, so that parallel guesses cannot slip past, and taken
back when it succeeds or is refused: a control room behind one address may log in as often as it likes.

The address is that of the connection, or what a reverse proxy listed in `http.trusted_proxies` forwards.
Behind a proxy that is not listed everybody shares the proxy's count.
"""

from datetime import timedelta
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from ioc.model.addresses import place_of
from ioc.store.pool import Pool

_log = structlog.get_logger()
_refused = Counter("ioc_login_throttled_total", "Logins refused because of too many failures before them")


class ThrottledError(Exception):
    """Too many failures from this address, or for this name from this address."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ThrottleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Failures allowed within a window."""

    attempts_window: timedelta = timedelta(minutes=15)
    failures_per_pair: int = 10
    """For one name from one address."""
    failures_per_ip: int = 50
    failures_per_user: int = 100
    """From all addresses together, before attempts are delayed."""
    delay_step_s: float = 0.1
    """For every further failure, up to `max_delay_s`."""
    max_delay_s: float = 5.0
    throttle_rows: int = 20_000


class ThrottleKeys(msgspec.Struct, frozen=True):
    """The three counts of one attempt."""

    ip: str
    pair: str
    user: str

    @classmethod
    def of(cls, username: str, address: str) -> "ThrottleKeys":
        """Return the keys of an attempt from `address`, as its text."""
        place = place_of(address)
        return cls(f"ip:{place}", f"pair:{username} {place}", f"user:{username}")

    @property
    def in_order(self) -> tuple[str, ...]:
        """Always the same order: two logins at once must not wait for each other."""
        return self.ip, self.pair, self.user


class LoginThrottle:
    """Counts attempts over a pool that serves the service."""

    def __init__(self, pool: Pool, settings: ThrottleSettings) -> None:
        self._pool = pool
        self._settings = settings

    async def count(self, keys: ThrottleKeys) -> float:
        """Count an attempt and return for how many seconds it has to wait.

        Raises:
            ThrottledError: it is refused, and not counted.
        """
        settings = self._settings
        refusing = {keys.ip: settings.failures_per_ip, keys.pair: settings.failures_per_pair}
        async with self._pool.connection() as connection, connection.transaction():
            counts = {key: await self._add_attempt(connection, key) for key in keys.in_order}
            waits = [left_s for key, (count, left_s) in counts.items() if count > refusing.get(key, count)]
            if waits:
                _refused.inc()
                # Whose name or address it was stays in the table: the log tells of nobody.
                _log.warning("a login was refused: too many failures before it")
                # The transaction is rolled back: a refused attempt is no failure.
                raise ThrottledError(max(1, int(max(waits))))
        async with self._pool.connection() as connection:
            # A flood of invented names must not fill the disk: the oldest counts go first.
            await connection.execute(
                "DELETE FROM login_throttle WHERE key IN (SELECT key FROM login_throttle"
                " WHERE since < now() - %s OR since < (SELECT since FROM login_throttle"
                " ORDER BY since DESC OFFSET %s LIMIT 1) FOR UPDATE SKIP LOCKED)",
                (settings.attempts_window, settings.throttle_rows - 1),
            )
        beyond = counts[keys.user][0] - settings.failures_per_user
        return min(settings.max_delay_s, max(0, beyond) * settings.delay_step_s)

    async def forgive(self, keys: ThrottleKeys) -> None:
        """Take a successful attempt back, and forget this person's failures at this address.

        The other counts keep their failures: a success must not give somebody else new guesses.
        """
        async with self._pool.connection() as connection, connection.transaction():
            for key in keys.in_order:
                await connection.execute(
                    "UPDATE login_throttle SET attempts = CASE WHEN key = %s THEN 0"
                    " ELSE greatest(attempts - 1, 0) END WHERE key = %s",
                    (keys.pair, key),
                )
            await connection.execute(
                "DELETE FROM login_throttle WHERE key = ANY(%s) AND attempts = 0", (list(keys.in_order),)
            )

    async def _add_attempt(self, connection: AsyncConnection[Any], key: str) -> tuple[int, float]:
        window = self._settings.attempts_window
        found = await connection.execute(
            "INSERT INTO login_throttle AS t (key, attempts) VALUES (%(key)s, 1)"
            " ON CONFLICT (key) DO UPDATE SET (attempts, since) = ("
            "  SELECT CASE WHEN t.since < now() - %(window)s THEN 1 ELSE least(t.attempts + 1, 1000000) END,"
            "         CASE WHEN t.since < now() - %(window)s THEN now() ELSE t.since END)"
            " RETURNING attempts, extract(epoch FROM since + %(window)s - now())::float8",
            {"key": key, "window": window},
        )
        row = await found.fetchone()
        assert row is not None
        return row[0], row[1]
