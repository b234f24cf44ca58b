"""The second factor of a login: codes of an app on the person's phone (TOTP, RFC 6238).

Who needs one, by their role or because an administrator says so, is given its secret at the next login after
the right password, until the first code has come back; from then on nobody can read it. The secret is stored
sealed, a code counts once, and a new phone needs an administrator (`ioc users second-factor NAME`).
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import structlog
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from psycopg import AsyncConnection

from ioc.store import audit
from ioc.store.pool import Pool

STEP_S: Final = 30
DIGITS: Final = 6
WINDOW: Final = 1
"""Steps that a phone's clock may be early or late."""
_SECRET_BYTES: Final = 20

_log = structlog.get_logger()


class Sealing(Protocol):
    """Seals and opens short texts; `ioc.app.sealing.Seal` is one."""

    def close(self, text: str) -> bytes:
        """Return `text` sealed."""

    def open(self, sealed: bytes) -> str | None:
        """Return what was sealed, None where it was sealed with another key."""


class Enrolment(NamedTuple):
    """What a person's app needs: `secret` in base 32 to type, and the same as an `otpauth:` address."""

    secret: str
    uri: str


class CodeNeededError(Exception):
    """The name and password are right, but not enough.

    `rule`: `code_required`, `code_wrong`, or `code_unreadable` where the secret was sealed with another key.
    `enrolment` is set as long as no code has come back yet.
    """

    def __init__(self, rule: str, enrolment: Enrolment | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.enrolment = enrolment


class _Known(NamedTuple):
    sealed: bytes
    confirmed: bool
    last_step: int


class SecondFactors:
    """Second factors in PostgreSQL."""

    def __init__(
        self,
        pool: Pool,
        seal: Sealing,
        roles: Collection[str] = (),
        *,
        issuer: str = "IOC",
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Ask everybody of `roles` for a code; `issuer` is how their app names this service."""
        self._pool = pool
        self._seal = seal
        self._roles = frozenset(roles)
        self._issuer = issuer
        self._now_s = now_s

    async def check(self, username: str, role: str, code: str | None) -> None:
        """Return where `code` is this person's, or they need none.

        Raises:
            CodeNeededError: it is not, or they have to begin with one.
        """
        async with self._pool.connection() as connection, connection.transaction():
            needed = await self._look(connection, username, role, code)
        if needed is not None:
            raise needed

    async def _look(
        self, connection: AsyncConnection[Any], username: str, role: str, code: str | None
    ) -> CodeNeededError | None:
        known = await _read(connection, username)
        if known is None:
            if role not in self._roles and not await _is_demanded(connection, username):
                return None
            known = await self._begin(connection, username)
        opened = self._open(username, known.sealed)
        if opened is None:
            return CodeNeededError("code_unreadable")
        enrolment = None if known.confirmed else self._enrolment(username, opened)
        if not code:
            return CodeNeededError("code_required", enrolment)
        step = step_of(opened, code, self._now_s())
        if step is None or step <= known.last_step:
            return CodeNeededError("code_wrong", enrolment)
        await connection.execute(
            "UPDATE second_factor SET last_step = %s, confirmed = coalesce(confirmed, now())"
            " WHERE username = %s",
            (step, username),
        )
        if not known.confirmed:
            await _tell(connection, username, "second_factor_enrolled", username)
        return None

    async def _begin(self, connection: AsyncConnection[Any], username: str) -> _Known:
        """Give a person a secret, or find the one that another login has just given them."""
        sealed = self._seal.close(f"{username}\n{_spelt(secrets.token_bytes(_SECRET_BYTES))}")
        found = await connection.execute(
            "INSERT INTO second_factor (username, sealed) VALUES (%s, %s) ON CONFLICT (username)"
            " DO UPDATE SET sealed = coalesce(second_factor.sealed, excluded.sealed)"
            " RETURNING sealed, confirmed IS NOT NULL, last_step",
            (username, sealed),
        )
        row = await found.fetchone()
        assert row is not None, "RETURNING returns the row"
        return _Known(*row)

    def _open(self, username: str, sealed: bytes) -> bytes | None:
        # The person stands in what is sealed: a row copied to another account opens for nobody.
        owner, _, secret = (self._seal.open(sealed) or "").partition("\n")
        if owner == username:
            return base64.b32decode(secret)
        _log.error(
            "a second factor was sealed with another key: restore secrets/login.key, or begin anew with"
            " `ioc users second-factor`",
            user=username,
        )
        return None

    def _enrolment(self, username: str, secret: bytes) -> Enrolment:
        label = quote(f"{self._issuer}:{username}", safe=":@")
        query = urlencode({"secret": _spelt(secret), "issuer": self._issuer})
        return Enrolment(_spelt(secret), f"otpauth://totp/{label}?{query}")


def step_of(secret: bytes, code: str, now_s: float) -> int | None:
    """Return which step of time `code` belongs to, None where it is none of those around `now_s`."""
    given = code.replace(" ", "")
    if len(given) != DIGITS or not (given.isascii() and given.isdigit()):
        return None
    totp = TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303 - the one that every app knows
    now = int(now_s) // STEP_S
    for step in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(totp.generate(step * STEP_S), given.encode()):
            return step
    return None


def _spelt(secret: bytes) -> str:
    return base64.b32encode(secret).decode()


async def _read(connection: AsyncConnection[Any], username: str) -> _Known | None:
    """Return the secret that a person has, locked: a code must not count twice."""
    found = await connection.execute(
        "SELECT sealed, confirmed IS NOT NULL, last_step FROM second_factor"
        " WHERE username = %s AND sealed IS NOT NULL FOR UPDATE",
        (username,),
    )
    row = await found.fetchone()
    return None if row is None else _Known(*row)


async def _is_demanded(connection: AsyncConnection[Any], username: str) -> bool:
    found = await connection.execute("SELECT FROM second_factor WHERE username = %s", (username,))
    return await found.fetchone() is not None


async def demand(connection: AsyncConnection[Any], username: str, *, by: str) -> None:
    """Ask a person for codes from the next login on, which begins with a new secret."""
    await connection.execute(
        "INSERT INTO second_factor (username) VALUES (%s) ON CONFLICT (username)"
        " DO UPDATE SET sealed = NULL, confirmed = NULL, last_step = 0",
        (username,),
    )
    await _tell(connection, by, "second_factor_set", username)


async def drop(connection: AsyncConnection[Any], username: str, *, by: str) -> None:
    """Forget a person's second factor; who needs one by their role begins anew."""
    await connection.execute("DELETE FROM second_factor WHERE username = %s", (username,))
    await _tell(connection, by, "second_factor_dropped", username)


async def read_confirmed(connection: AsyncConnection[Any]) -> dict[str, bool]:
    """Return who has a second factor, and whether its first code has come."""
    rows = await connection.execute("SELECT username, confirmed IS NOT NULL FROM second_factor")
    return {username: confirmed async for username, confirmed in rows}


async def _tell(connection: AsyncConnection[Any], by: str, op: str, username: str) -> None:
    await audit.record(connection, audit.Area.ACCESS, actor=by, op=op, subject=username)
