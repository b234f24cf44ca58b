"""People and their sessions in PostgreSQL.

    AccessError
    ├── UsernameTakenError    create_user
    ├── UnknownUserError      set_password, set_disabled, set_access
    └── UnfitError            a name, password, role or ward list that we do not accept

Passwords are Argon2id hashes; hashing runs in few threads, because each needs 19 MiB and a core. A session's
token is 256 random bits, of which only the SHA-256 is stored. `ioc/store/login_throttle.py` brakes guessing.

Whatever takes rights away (password, role, wards, disabling) deletes the person's sessions and notifies
`ACCESS_CHANNEL` with the username, so that every process closes the person's sockets at once. Each change of
an account and each login is an entry of the audit log; `by` is who did it.
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, LiteralString

import anyio
import anyio.to_thread
import msgspec
import psycopg
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg import AsyncConnection

from ioc.store import audit
from ioc.store.login_throttle import LoginThrottle, ThrottleKeys, ThrottleSettings
from ioc.store.login_throttle import ThrottledError as ThrottledError
from ioc.store.passwords import MAX_PASSWORD, UnfitPasswordError, check_password
from ioc.store.pool import Pool
from ioc.store.second_factor import CodeNeededError, SecondFactors

ACCESS_CHANNEL: Final = "ioc_access"
"""NOTIFY's channel; the payload is the username whose sockets must close."""
_USERNAME_SIGNS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-@")


class AccessError(Exception):
    """Base of this module's errors."""


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


class AccessSettings(ThrottleSettings, frozen=True, kw_only=True):
    """Limits of sessions, attempts and hashing."""

    idle: timedelta = timedelta(hours=12)
    absolute: timedelta = timedelta(days=7)
    touch_every: timedelta = timedelta(minutes=1)
    """How stale `seen` may become, so that reading a session rarely writes."""
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
    return login_id_of(token_hash(token))


def login_id_of(hashed: bytes) -> str:
    """Return the same of a session of which only the token's hash is known."""
    return hashed.hex()[:16]


class Users:
    """Accounts and sessions, over a pool of connections of the unprivileged role."""

    def __init__(
        self,
        pool: Pool,
        settings: AccessSettings | None = None,
        *,
        factors: SecondFactors | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._pool = pool
        self._factors = factors
        self._settings = settings or AccessSettings()
        self._sleep = sleep
        self._throttle = LoginThrottle(pool, self._settings)
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
        by: str = "system",
    ) -> Person:
        """Create an account.

        Raises:
            UnfitError: a value is not accepted.
            UsernameTakenError: the name is in use, in whatever case.
        """
        person = checked_person(username, name, role, wards, lang)
        hashed = await self._hash(_checked_password(password, person.username, person.name))
        try:
            async with self._pool.connection() as connection:
                await connection.execute(
                    "INSERT INTO account (username, name, password_hash, role, wards, lang)"
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    (person.username, person.name, hashed, role.value, _as_list(person.wards), lang),
                )
                await _tell(connection, by, "user_added", person.username, rights_of(role, person.wards))
        except psycopg.errors.UniqueViolation as error:
            raise UsernameTakenError(person.username) from error
        return person

    async def set_password(self, username: str, password: str, *, by: str = "system") -> None:
        """Replace a password and end all of the person's sessions.

        Raises:
            UnfitError: the password is not good enough.
            UnknownUserError: nobody has this name.
        """
        username = normal_username(username)
        hashed = await self._hash(_checked_password(password, username))
        await self._change(
            username,
            by,
            "password_changed",
            "UPDATE account SET password_hash = %s, password_set = now() WHERE username = %s",
            (hashed,),
        )

    async def set_disabled(self, username: str, disabled: bool = True, *, by: str = "system") -> None:
        """Disable a person, or enable them again; either ends all sessions.

        Raises:
            UnknownUserError: nobody has this name.
        """
        op = "user_disabled" if disabled else "user_enabled"
        statement: LiteralString = "UPDATE account SET disabled = %s WHERE username = %s"
        await self._change(normal_username(username), by, op, statement, (disabled,))

    async def set_access(
        self, username: str, role: Role, wards: Sequence[str] | None = None, *, by: str = "system"
    ) -> None:
        """Change what a person may do, and end all sessions: nothing shown under other rights stays open.

        Raises:
            UnfitError: the wards do not go with the role.
            UnknownUserError: nobody has this name.
        """
        checked = checked_wards(role, wards)
        await self._change(
            normal_username(username),
            by,
            "access_changed",
            "UPDATE account SET role = %s, wards = %s WHERE username = %s",
            (role.value, _as_list(checked)),
            rights_of(role, checked),
        )

    async def _change(
        self,
        username: str,
        by: str,
        op: str,
        statement: LiteralString,
        values: tuple[object, ...],
        details: dict[str, object] | None = None,
    ) -> None:
        async with self._pool.connection() as connection:
            updated = await connection.execute(statement, (*values, username))
            if not updated.rowcount:
                raise UnknownUserError(username)
            await end_sessions(connection, username)
            await _tell(connection, by, op, username, details)

    async def list_users(self) -> list[Person]:
        """Return everybody, by username."""
        async with self._pool.connection() as connection:
            rows = await connection.execute(
                "SELECT username, name, role, wards, lang, disabled FROM account ORDER BY username"
            )
            return [_person(row) async for row in rows]

    # Logging in

    async def authenticate(
        self, username: str, password: str, address: str, code: str | None = None
    ) -> Person | None:
        """Return the person whose name and password these are, None if they are nobody's.

        `code` is that of the second factor, where the person has one. The same work is done whether or not
        the name exists, so that time does not tell. The module says how failures are counted.

        Raises:
            ThrottledError: too many failures from this address, or for this name from this address.
            CodeNeededError: they are right, but a code is needed; a wrong one is a failure like any other.
        """
        username = normal_username(username)
        if not _is_username(username):
            # It cannot exist, and its characters need not reach the database.
            username = "?"
        keys = ThrottleKeys.of(username, address)
        delay_s = await self._throttle.count(keys)
        if delay_s > 0:
            await self._sleep(delay_s)
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "SELECT username, name, role, wards, lang, disabled, password_hash FROM account"
                " WHERE username = %s",
                (username,),
            )
            row = await found.fetchone()
        # Who logs in elsewhere has no password here, which takes as long to find out as a wrong one.
        stored = row[6] if row and row[6] else await self._decoy_hash()
        fits = await self._verify(stored, password[: MAX_PASSWORD + 1])
        if row is None or not fits or row[5]:
            return None
        await self._check_code(_person(row[:6]), code, keys)
        await self._throttle.forgive(keys)
        if self._hasher.check_needs_rehash(stored):
            await self._rehash(username, stored, password)
        return _person(row[:6])

    async def _check_code(self, person: Person, code: str | None, keys: ThrottleKeys) -> None:
        if self._factors is None:
            return
        try:
            await self._factors.check(person.username, person.role.value, code)
        except CodeNeededError:
            if not code:  # who has not been asked yet has not failed
                await self._throttle.forgive(keys)
            raise

    async def _rehash(self, username: str, stored: str, password: str) -> None:
        hashed = await self._hash(password)
        async with self._pool.connection() as connection:
            # Not if the password was changed meanwhile.
            await connection.execute(
                "UPDATE account SET password_hash = %s WHERE username = %s AND password_hash = %s",
                (hashed, username, stored),
            )

    # Sessions

    async def open_session(self, username: str, user_agent: str = "", address: str = "") -> str:
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
            await _tell(connection, username, "logged_in", username, {"address": address})
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

    async def close_session(self, hashed: bytes) -> None:
        """End the session of the token with this hash; harmless when it is over."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM login_session WHERE token_hash = %s", (hashed,))

    async def close_sessions(self, username: str, *, by: str = "system") -> int:
        """End every session of a person; return how many there were."""
        username = normal_username(username)
        async with self._pool.connection() as connection:
            ended = await end_sessions(connection, username)
            await _tell(connection, by, "sessions_ended", username, {"sessions": ended})
            return ended

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


async def end_sessions(connection: AsyncConnection[Any], username: str) -> int:
    """End every session and, once the transaction commits, every socket of a person."""
    deleted = await connection.execute("DELETE FROM login_session WHERE username = %s", (username,))
    await connection.execute("SELECT pg_notify(%s, %s)", (ACCESS_CHANNEL, username))
    return deleted.rowcount


async def _tell(
    connection: AsyncConnection[Any],
    by: str,
    op: str,
    username: str,
    details: dict[str, object] | None = None,
) -> None:
    await audit.record(connection, audit.Area.ACCESS, actor=by, op=op, subject=username, details=details)


def rights_of(role: Role, wards: Sequence[str] | None) -> dict[str, object]:
    """Return what the audit log tells of somebody's rights."""
    return {"role": role.value, "wards": None if wards is None else list(wards)}


def checked_person(
    username: str, name: str, role: Role, wards: Sequence[str] | None, lang: str = "vi"
) -> Person:
    """Return an account's values as they are stored.

    Raises:
        UnfitError: a value is not accepted.
    """
    person = Person(
        username=_checked_username(username),
        name=name.strip(),
        role=role,
        wards=checked_wards(role, wards),
        lang=lang,
    )
    if not 1 <= len(person.name) <= 200 or "\x00" in person.name:
        raise UnfitError("name: expected 1 to 200 characters, none of them NUL")
    if lang not in ("vi", "en"):
        raise UnfitError("lang: expected vi or en")
    return person


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


def _checked_password(password: str, *names: str) -> str:
    try:
        return check_password(password, *names)
    except UnfitPasswordError as error:
        raise UnfitError(f"password: {error}") from error


def checked_wards(role: Role, wards: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the wards of a role, None for every ward. Raises `UnfitError` where the two do not fit."""
    if role is Role.WARD:
        if not wards or any("\x00" in ward for ward in wards):
            raise UnfitError("wards: ward staff need at least one ward, and no code holds NUL")
        return tuple(sorted(set(wards)))
    if wards:
        raise UnfitError(f"wards: only ward staff are limited to wards, not role {role.value}")
    return None
