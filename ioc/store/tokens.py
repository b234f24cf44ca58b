"""API tokens: how machines ask, without a person's account.

A token is 256 random bits shown once; only its SHA-256 is stored. It has a role and wards like a person, is
further limited to scopes (`ioc/api/access_table.py` says what each opens), and always expires.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import psycopg

from ioc.store import audit
from ioc.store.pool import Pool
from ioc.store.users import Person, Role, UnfitError, checked_wards, rights_of, token_hash

TOKEN_PREFIX: Final = "ioct_"  # noqa: S105 - no secret: it marks what is one
"""Lets a secret scanner recognise a token of ours."""
MAX_TOKEN_DAYS: Final = 366
MAX_TOKENS: Final = 1_000
_TOUCH_EVERY: Final = timedelta(minutes=1)
_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")


class TokenTakenError(Exception):
    """There is or was a token of this id; ids are not used again, because the audit log names them."""


class UnknownTokenError(LookupError):
    """There is no token of this id."""


class TokenInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a token."""

    id: str
    role: Role
    wards: tuple[str, ...] | None
    scopes: tuple[str, ...]
    author: str
    created: datetime
    expires: datetime
    used: datetime | None
    revoked: datetime | None


class Bearer(msgspec.Struct, frozen=True):
    """Whom a valid token stands for, and what it is limited to."""

    person: Person
    scopes: frozenset[str]


class Tokens:
    """Tokens over a pool that serves the service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def issue(
        self,
        token_id: str,
        *,
        role: Role,
        wards: Sequence[str] | None,
        scopes: Sequence[str],
        days: float,
        by: str,
    ) -> tuple[str, TokenInfo]:
        """Create a token and return it in plain text, which nobody can do again.

        Raises:
            UnfitError: a value is not accepted.
            TokenTakenError: the id was used before.
        """
        if not _ID.fullmatch(token_id):
            raise UnfitError(
                "id: expected 2 to 63 letters a-z, digits, or . _ -, beginning with neither sign"
            )
        if not 0 < days <= MAX_TOKEN_DAYS:
            raise UnfitError(f"days: expected more than 0, at most {MAX_TOKEN_DAYS}")
        if not scopes:
            raise UnfitError("scopes: expected at least one")
        checked = checked_wards(role, wards)
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        info = TokenInfo(
            id=token_id, role=role, wards=checked, scopes=tuple(sorted(set(scopes))), author=by,
            created=now, expires=now + timedelta(days=days), used=None, revoked=None,
        )  # fmt: skip
        try:
            async with self._pool.connection() as connection:
                await self._insert(connection, token, info)
        except psycopg.errors.UniqueViolation as error:
            raise TokenTakenError(f"there is or was a token {token_id!r}; choose another id") from error
        return token, info

    async def _insert(self, connection: psycopg.AsyncConnection[Any], token: str, info: TokenInfo) -> None:
        row = await (await connection.execute("SELECT count(*) FROM api_token")).fetchone()
        if row and row[0] >= MAX_TOKENS:
            raise UnfitError(f"id: there are {MAX_TOKENS} tokens already")
        await connection.execute(
            "INSERT INTO api_token (id, token_hash, role, wards, scopes, author, created, expires)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                info.id, token_hash(token), info.role.value, None if info.wards is None else list(info.wards),
                list(info.scopes), info.author, info.created, info.expires,
            ),
        )  # fmt: skip
        details = rights_of(info.role, info.wards) | {
            "scopes": list(info.scopes),
            "expires": info.expires.isoformat(),
        }
        await audit.record(
            connection,
            audit.Area.ACCESS,
            actor=info.author,
            op="token_issued",
            subject=info.id,
            details=details,
        )

    async def revoke(self, token_id: str, *, by: str) -> None:
        """Make a token invalid from now on; doing so twice is harmless.

        Raises:
            UnknownTokenError: there is no such token.
        """
        async with self._pool.connection() as connection:
            done = await connection.execute(
                "UPDATE api_token SET revoked = coalesce(revoked, now()) WHERE id = %s", (token_id,)
            )
            if not done.rowcount:
                raise UnknownTokenError(token_id)
            await audit.record(connection, audit.Area.ACCESS, actor=by, op="token_revoked", subject=token_id)

    async def list(self) -> list[TokenInfo]:
        """Return every token, by id."""
        async with self._pool.connection() as connection:
            rows = await connection.execute(
                "SELECT id, role, wards, scopes, author, created, expires, used, revoked FROM api_token"
                " ORDER BY id"
            )
            return [
                TokenInfo(
                    id=token_id, role=Role(role), wards=None if wards is None else tuple(wards),
                    scopes=tuple(scopes), author=author, created=created, expires=expires, used=used,
                    revoked=revoked,
                )
                async for token_id, role, wards, scopes, author, created, expires, used, revoked in rows
            ]  # fmt: skip

    async def read(self, token: str) -> Bearer | None:
        """Return whom a token stands for, None when it is unknown, expired or revoked."""
        if not token.startswith(TOKEN_PREFIX):
            return None
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "SELECT id, role, wards, scopes, coalesce(used < now() - %s, true) FROM api_token"
                " WHERE token_hash = %s AND revoked IS NULL AND expires > now()",
                (_TOUCH_EVERY, token_hash(token)),
            )
            row = await found.fetchone()
            if row is None:
                return None
            token_id, role, wards, scopes, stale = row
            if stale:
                await connection.execute("UPDATE api_token SET used = now() WHERE id = %s", (token_id,))
        person = Person(
            username=f"token:{token_id}",
            name=token_id,
            role=Role(role),
            wards=None if wards is None else tuple(wards),
        )
        return Bearer(person, frozenset(scopes))
