"""People and their sessions in PostgreSQL.

    AccessError
    ├── ThrottledError        too many attempts; try again after `retry_after_s`
    ├── UsernameTakenError    create_user
    ├── UnknownUserError      set_password, set_disabled
    └── UnfitError            a name, password, role or ward list that we do not accept

Passwords are Argon2id hashes; hashing runs in few threads, because each needs 19 MiB and a core. A session's
token is 256 random bits, of which only the SHA-256 is stored.

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

import hashlib
import secrets
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import anyio
import anyio.to_thread
import msgspec
import psycopg
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg import AsyncConnection

from ioc.store.pool import Pool

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 256
_USERNAME_SIGNS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-@")


class AccessError(Exception):
    """Base of this module's errors."""


class ThrottledError(AccessError):
    """Too many failures from this address, or for this name from this address."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class UsernameTakenError(AccessError):
    """Somebody has this name already."""


class UnknownUserError(AccessError):
    """Nobody has this name."""


class UnfitError(AccessError):
    """The message says which value is not accepted and what is expected."""


class Role(StrEnum):
    """What a person may do; `ioc/api/security.py` says what that is."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    WARD = "ward"
    LEADER = "leader"
    ENGINEER = "engineer"
    ADMIN = "admin"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account. `wards` None means every ward."""

    username: str
    name: str
    role: Role
    wards: tuple[str, ...] | None = None
    lang: str = "vi"
    disabled: bool = False


class AccessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of sessions, attempts and hashing."""

    idle: timedelta = timedelta(hours=12)
    absolute: timedelta = timedelta(days=7)
    touch_every: timedelta = timedelta(minutes=1)
    """How stale `seen` may become, so that reading a session rarely writes."""
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
    sessions_per_user: int = 20
    hash_threads: int = 2
    argon2_memory_kib: int = 19 * 1024
    argon2_passes: int = 2


def normal_username(text: str) -> str:
    """Return the one spelling of a username: NFC, lower case, without surrounding spaces."""
    return unicodedata.normalize("NFC", text).strip().lower()


def token_hash(token: str) -> bytes:
    """Return what is stored of a session's token."""
    return hashlib.sha256(token.encode()).digest()


def login_id(token: str) -> str:
    """Return a name for the session that can be shown and logged: it opens nothing."""
    return token_hash(token).hex()[:16]


class Users:
    """Accounts and sessions, over a pool of connections of the unprivileged role."""

    def __init__(
        self,
        pool: Pool,
        settings: AccessSettings | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._pool = pool
        self._settings = settings or AccessSettings()
        self._sleep = sleep
        self._hasher = PasswordHasher(
            time_cost=self._settings.argon2_passes,
            memory_cost=self._settings.argon2_memory_kib,
            parallelism=1,
            type=Type.ID,
        )
        self._threads = anyio.CapacityLimiter(self._settings.hash_threads)
        self._decoy: str | None = None

    # Accounts

    async def create_user(
        self,
        username: str,
        *,
        name: str,
        password: str,
        role: Role,
        wards: Sequence[str] | None = None,
        lang: str = "vi",
    ) -> Person:
        """Create an account.

        Raises:
            UnfitError: a value is not accepted.
            UsernameTakenError: the name is in use, in whatever case.
        """
        person = Person(
            username=_checked_username(username),
            name=name.strip(),
            role=role,
            wards=_checked_wards(role, wards),
            lang=lang,
        )
        if not 1 <= len(person.name) <= 200:
            raise UnfitError("name: expected 1 to 200 characters")
        if lang not in ("vi", "en"):
            raise UnfitError("lang: expected vi or en")
        hashed = await self._hash(_checked_password(password, person.username))
        try:
            async with self._pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO account (username, name, password_hash, role, wards, lang)"
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    (person.username, person.name, hashed, role.value, _as_list(person.wards), lang),
                )
        except psycopg.errors.UniqueViolation as error:
            raise UsernameTakenError(person.username) from error
        return person

    async def set_password(self, username: str, password: str) -> None:
        """Replace a password and end all of the person's sessions.

        Raises:
            UnfitError: the password is too short or too long.
            UnknownUserError: nobody has this name.
        """
        username = normal_username(username)
        hashed = await self._hash(_checked_password(password, username))
        async with self._pool.connection() as connection:
            updated = await connection.execute(
                "UPDATE account SET password_hash = %s, password_set = now() WHERE username = %s",
                (hashed, username),
            )
            if not updated.rowcount:
                raise UnknownUserError(username)
            await connection.execute("DELETE FROM login_session WHERE username = %s", (username,))

    async def set_disabled(self, username: str, disabled: bool = True) -> None:
        """Disable a person, which ends all sessions, or enable them again.

        Raises:
            UnknownUserError: nobody has this name.
        """
        username = normal_username(username)
        async with self._pool.connection() as connection:
            updated = await connection.execute(
                "UPDATE account SET disabled = %s WHERE username = %s", (disabled, username)
            )
            if not updated.rowcount:
                raise UnknownUserError(username)
            if disabled:
                await connection.execute("DELETE FROM login_session WHERE username = %s", (username,))

    async def set_access(self, username: str, role: Role, wards: Sequence[str] | None = None) -> None:
        """Change what a person may do; open sessions have the new rights with their next request.

        Raises:
            UnfitError: the wards do not go with the role.
            UnknownUserError: nobody has this name.
        """
        checked = _checked_wards(role, wards)
        async with self._pool.connection() as connection:
            updated = await connection.execute(
                "UPDATE account SET role = %s, wards = %s WHERE username = %s",
                (role.value, _as_list(checked), normal_username(username)),
            )
            if not updated.rowcount:
                raise UnknownUserError(username)

    async def list_users(self) -> list[Person]:
        """Return everybody, by username."""
        async with self._pool.connection() as connection:
            rows = await connection.execute(
                "SELECT username, name, role, wards, lang, disabled FROM account ORDER BY username"
            )
            return [_person(row) async for row in rows]

    # Logging in

    async def authenticate(self, username: str, password: str, address: str) -> Person | None:
        """Return the person whose name and password these are, None if they are nobody's.

        The same work is done whether or not the name exists, so that time does not tell. The module says how
        failures are counted.

        Raises:
            ThrottledError: too many failures from this address, or for this name from this address.
        """
        username = normal_username(username)
        if not _is_username(username):
            # It cannot exist, and its characters need not reach the database.
            username = "?"
        keys = _ThrottleKeys.of(username, address)
        delay_s = await self._count_attempt(keys)
        if delay_s > 0:
            await self._sleep(delay_s)
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "SELECT username, name, role, wards, lang, disabled, password_hash FROM account"
                " WHERE username = %s",
                (username,),
            )
            row = await found.fetchone()
        stored = row[6] if row else await self._decoy_hash()
        fits = await self._verify(stored, password[: MAX_PASSWORD + 1])
        if row is None or not fits or row[5]:
            return None
        await self._forgive(keys)
        if self._hasher.check_needs_rehash(stored):
            await self._rehash(username, stored, password)
        return _person(row[:6])

    async def _count_attempt(self, keys: "_ThrottleKeys") -> float:
        """Count an attempt, unless it is refused, and return for how many seconds it has to wait."""
        settings = self._settings
        refusing = {keys.ip: settings.failures_per_ip, keys.pair: settings.failures_per_pair}
        async with self._pool.connection() as connection, connection.transaction():
            counts = {key: await self._add_attempt(connection, key) for key in keys.in_order}
            waits = [left_s for key, (count, left_s) in counts.items() if count > refusing.get(key, count)]
            if waits:
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

    async def _forgive(self, keys: "_ThrottleKeys") -> None:
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

    async def _rehash(self, username: str, stored: str, password: str) -> None:
        hashed = await self._hash(password)
        async with self._pool.connection() as connection:
            # Not if the password was changed meanwhile.
            await connection.execute(
                "UPDATE account SET password_hash = %s WHERE username = %s AND password_hash = %s",
                (hashed, username, stored),
            )

    # Sessions

    async def open_session(self, username: str, user_agent: str = "") -> str:
        """Open a session and return its token, which nobody can read again.

        The oldest sessions beyond `sessions_per_user` end, and so do those past their limits.
        """
        token = secrets.token_urlsafe(32)
        settings = self._settings
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO login_session (token_hash, username, user_agent) VALUES (%s, %s, %s)",
                (token_hash(token), username, user_agent[:200].replace("\x00", "")),
            )
            await connection.execute(
                "DELETE FROM login_session WHERE seen < now() - %s OR created < now() - %s",
                (settings.idle, settings.absolute),
            )
            await connection.execute(
                "DELETE FROM login_session WHERE token_hash IN (SELECT token_hash FROM login_session"
                " WHERE username = %s ORDER BY created DESC OFFSET %s)",
                (username, settings.sessions_per_user),
            )
        return token

    async def read_session(self, token: str) -> Person | None:
        """Return whose session this is, None when it is unknown, past a limit, or the person disabled."""
        settings = self._settings
        hashed = token_hash(token)
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "SELECT a.username, a.name, a.role, a.wards, a.lang, a.disabled, s.seen < now() - %s"
                " FROM login_session s JOIN account a USING (username)"
                " WHERE s.token_hash = %s AND NOT a.disabled"
                " AND s.seen >= now() - %s AND s.created >= now() - %s",
                (settings.touch_every, hashed, settings.idle, settings.absolute),
            )
            row = await found.fetchone()
            if row is None:
                return None
            if row[6]:
                await connection.execute(
                    "UPDATE login_session SET seen = now() WHERE token_hash = %s", (hashed,)
                )
        return _person(row[:6])

    async def close_session(self, token: str) -> None:
        """End one session; harmless when it is over."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM login_session WHERE token_hash = %s", (token_hash(token),))

    async def close_sessions(self, username: str) -> int:
        """End every session of a person; return how many there were."""
        async with self._pool.connection() as connection:
            deleted = await connection.execute(
                "DELETE FROM login_session WHERE username = %s", (normal_username(username),)
            )
            return deleted.rowcount

    # Hashing

    async def _hash(self, password: str) -> str:
        return await anyio.to_thread.run_sync(self._hasher.hash, _nfc(password), limiter=self._threads)

    async def _verify(self, hashed: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return self._hasher.verify(hashed, _nfc(password))
            except (VerificationError, InvalidHashError):
                return False

        return await anyio.to_thread.run_sync(verify, limiter=self._threads)

    async def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = await self._hash(secrets.token_urlsafe(32))
        return self._decoy


class _ThrottleKeys(msgspec.Struct, frozen=True):
    """The three counts of one attempt."""

    ip: str
    pair: str
    user: str

    @classmethod
    def of(cls, username: str, address: str) -> "_ThrottleKeys":
        place = _place_of(address)
        return cls(f"ip:{place}", f"pair:{username} {place}", f"user:{username}")

    @property
    def in_order(self) -> tuple[str, ...]:
        """Always the same order: two logins at once must not wait for each other."""
        return self.ip, self.pair, self.user


def _place_of(address: str) -> str:
    """Return what is counted as one place: an address, of IPv6 the network that one subscriber gets."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or f"{IPv6Address(int(found) >> 64 << 64)}/64")


def _person(row: Sequence[Any]) -> Person:
    username, name, role, wards, lang, disabled = row
    return Person(
        username=username,
        name=name,
        role=Role(role),
        wards=None if wards is None else tuple(wards),
        lang=lang,
        disabled=disabled,
    )


def _as_list(wards: tuple[str, ...] | None) -> list[str] | None:
    return None if wards is None else list(wards)


def _nfc(password: str) -> bytes:
    # Two keyboards may compose the same Vietnamese letter differently.
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")


def _is_username(username: str) -> bool:
    return 2 <= len(username) <= 64 and set(username) <= _USERNAME_SIGNS


def _checked_username(text: str) -> str:
    username = normal_username(text)
    if not _is_username(username):
        raise UnfitError("username: expected 2 to 64 letters a-z, digits, or . _ - @")
    return username


def _checked_password(password: str, username: str) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UnfitError(f"password: expected {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if password.lower() == username:
        raise UnfitError("password: must not be the username")
    return password


def _checked_wards(role: Role, wards: Sequence[str] | None) -> tuple[str, ...] | None:
    if role is Role.WARD:
        if not wards:
            raise UnfitError("wards: ward staff need at least one ward")
        return tuple(sorted(set(wards)))
    if wards:
        raise UnfitError(f"wards: only ward staff are limited to wards, not role {role.value}")
    return None
