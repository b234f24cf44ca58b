"""Logging in at the identity provider: the provider's answer and our accounts put together."""

import asyncio

from ioc.api.oidc import LoggedIn, LoginRefusedError, LoginUnavailableError
from ioc.app.settings.sections import OidcSettings
from ioc.outbound.oidc import (
    ClaimsRefusedError,
    OidcClient,
    OidcClientSettings,
    ProviderUnavailableError,
)
from ioc.store.oidc_accounts import ClaimMapping, NoAccessError, OidcAccounts, person_of
from ioc.store.pool import Pool

MAX_AT_ONCE = 32
"""Exchanges with the provider under way; further ones are answered as unavailable."""


class OidcLogins:
    """Implements `ioc.api.oidc.OidcLogin`. Close it with `aclose`."""

    def __init__(self, settings: OidcSettings, pool: Pool) -> None:
        self._client = OidcClient(
            OidcClientSettings(
                issuer=settings.issuer,
                client_id=settings.client_id,
                client_secret=settings.client_secret.get_secret_value(),
                redirect_uri=settings.redirect_uri,
                scope=settings.scope,
                algorithms=settings.algorithms,
                timeout_s=settings.timeout_s,
            )
        )
        self._mapping = ClaimMapping(
            username=settings.username_claim,
            name=settings.name_claim,
            roles_claim=settings.roles_claim,
            roles=tuple(settings.roles.items()),
            wards=settings.wards_claim,
        )
        self._accounts = OidcAccounts(pool)
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def aclose(self) -> None:
        """Close the connections to the provider."""
        await self._client.aclose()

    async def begin(self, former: bytes | None) -> tuple[str, str]:
        """Return where to send the browser, and the state; see `ioc.api.oidc.OidcLogin`."""
        started = await self._accounts.start(former)
        try:
            return (
                await self._client.login_url(started.state, started.nonce, started.verifier),
                started.state,
            )
        except ProviderUnavailableError as error:
            raise LoginUnavailableError(str(error)) from error

    async def complete(self, state: str, code: str) -> LoggedIn:
        """Return whom the answer is about; see `ioc.api.oidc.OidcLogin`."""
        if self._places.locked():
            raise LoginUnavailableError(f"{MAX_AT_ONCE} logins are under way")
        started = await self._accounts.finish(state)
        if started is None:
            raise LoginRefusedError("this login is unknown, used or older than ten minutes")
        async with self._places:
            try:
                claims = await self._client.claims(code, started.nonce, started.verifier)
                person = person_of(claims, self._mapping)
                username = await self._accounts.enter(self._client.issuer, claims["sub"], person)
                return LoggedIn(username, started.former)
            except ProviderUnavailableError as error:
                raise LoginUnavailableError(str(error)) from error
            except (ClaimsRefusedError, NoAccessError) as error:
                raise LoginRefusedError(str(error)) from error
