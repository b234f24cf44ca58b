"""Accounts of people who log in at the identity provider, and their logins under way.

An account belongs to (issuer, subject) for ever; its name, role and wards follow the provider's claims at
every login. It never takes over an account that exists here: equal names may be different people.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
import psycopg
from psycopg import AsyncConnection

from ioc.store import audit
from ioc.store.pool import Pool
from ioc.store.users import (
    Person,
    Role,
    UnfitError,
    checked_person,
    end_sessions,
    rights_of,
    token_hash,
)

LOGIN_TIME: Final = timedelta(minutes=10)
MAX_LOGINS: Final = 10_000
"""Logins under way; the oldest go first."""


class Started(msgspec.Struct, frozen=True):
    """A login under way: `state` comes back with the answer, the others prove that it is ours."""

    state: str
    nonce: str
    verifier: str
    former: bytes | None = None
    """Hash of the session that the browser had when it began: this login takes its place."""


class NoAccessError(Exception):
    """The claims give this person no role here, or none that fits; the message is for an engineer."""


class ClaimMapping(msgspec.Struct, frozen=True, kw_only=True):
    """Which claims hold what. `roles`: the claim's value → our role, the first that somebody has counts."""

    username: str = "preferred_username"
    name: str = "name"
    roles_claim: str = "roles"
    roles: tuple[tuple[str, Role], ...] = ()
    wards: str = "wards"


def person_of(claims: Mapping[str, Any], mapping: ClaimMapping) -> Person:
    """Return whom the claims describe.

    Raises:
        NoAccessError: no role, or a value that an account cannot have.
    """
    theirs = set(_texts(claims.get(mapping.roles_claim)))
    role = next((role for value, role in mapping.roles if value in theirs), None)
    username = claims.get(mapping.username) or claims["sub"]
    if role is None:
        raise NoAccessError(f"{username}: claim {mapping.roles_claim} has none of the roles in oidc.roles")
    wards = sorted(set(_texts(claims.get(mapping.wards)))) if role is Role.WARD else None
    try:
        return checked_person(str(username), str(claims.get(mapping.name) or username), role, wards)
    except UnfitError as error:
        raise NoAccessError(f"{username}: {error}") from error


def _texts(value: object) -> list[str]:
    """A claim with one value may be a text instead of a list."""
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


class OidcAccounts:
    """Over a pool that serves the service."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def start(self, former: bytes | None = None) -> Started:
        """Remember a login under way in a browser that has the session `former`."""
        state, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(3))
        started = Started(state, nonce, verifier, former)
        async with self._pool.connection() as connection:
            await connection.execute(
                "DELETE FROM oidc_login WHERE created < now() - %s OR created <"
                " (SELECT created FROM oidc_login ORDER BY created DESC OFFSET %s LIMIT 1)",
                (LOGIN_TIME, MAX_LOGINS - 1),
            )
            await connection.execute(
                "INSERT INTO oidc_login (state_hash, nonce, verifier, former) VALUES (%s, %s, %s, %s)",
                (token_hash(started.state), started.nonce, started.verifier, former),
            )
        return started

    async def finish(self, state: str) -> Started | None:
        """Return the login that `state` belongs to, once; None where there is none (any more)."""
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "DELETE FROM oidc_login WHERE state_hash = %s"
                " RETURNING nonce, verifier, former, created >= now() - %s",
                (token_hash(state), LOGIN_TIME),
            )
            row = await found.fetchone()
        return Started(state, *row[:3]) if row and row[3] else None

    async def enter(self, issuer: str, subject: str, person: Person) -> str:
        """Create or update the account and return its username.

        Raises:
            NoAccessError: it is disabled, or the name belongs to somebody else.
        """
        try:
            async with self._pool.connection() as connection:
                return await self._enter(connection, issuer, subject, person)
        except psycopg.errors.UniqueViolation as error:
            raise NoAccessError(f"{person.username}: somebody else has this name here") from error

    async def _enter(
        self, connection: AsyncConnection[Any], issuer: str, subject: str, person: Person
    ) -> str:
        wards = None if person.wards is None else list(person.wards)
        found = await connection.execute(
            "SELECT username, role, wards, disabled FROM account WHERE oidc_issuer = %s AND oidc_subject = %s"
            " FOR UPDATE",
            (issuer, subject),
        )
        row = await found.fetchone()
        rights = rights_of(person.role, person.wards) | {"issuer": issuer}
        if row is None:
            await connection.execute(
                "INSERT INTO account (username, name, role, wards, lang, oidc_issuer, oidc_subject)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                (person.username, person.name, person.role.value, wards, person.lang, issuer, subject),
            )
            await _tell(connection, "user_added", person.username, rights)
            return person.username
        username: str = row[0]
        if row[3]:
            raise NoAccessError(f"{username}: the account is disabled here")
        await connection.execute(
            "UPDATE account SET name = %s, role = %s, wards = %s WHERE username = %s",
            (person.name, person.role.value, wards, username),
        )
        if (row[1], row[2]) != (person.role.value, wards):
            await end_sessions(connection, username)
            await _tell(connection, "access_changed", username, rights)
        return username


async def _tell(
    connection: AsyncConnection[Any], op: str, username: str, details: Mapping[str, object]
) -> None:
    await audit.record(connection, audit.Area.ACCESS, actor="oidc", op=op, subject=username, details=details)
