"""An OpenID Connect provider as we ask it: authorization code with PKCE, and what its answer must prove.

    OidcError
    ├── ProviderUnavailableError   it did not answer, or not as the specification says; try again later
    └── ClaimsRefusedError         its answer does not prove who somebody is; trying again does not help

An ID token counts only with a signature by one of the provider's keys and an algorithm of our own list (never
`none`, never a shared secret), our issuer, our client as audience, within its time, and with the nonce of
this very login. Role and wards come from its claims at every login.
https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from ioc.outbound.body import ACCEPT_ENCODING, BodyError, read_body

SIGNATURES: Final = ("RS256", "PS256", "ES256", "EdDSA", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512")
"""What may be configured: signatures by a key pair only."""
LEEWAY_S: Final = 60
_MAX_BYTES: Final = 256 * 1024
_FRESH_S: Final = 600.0
_RENEW_S: Final = 30.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class OidcError(Exception):
    """Base of this module's errors."""


class ProviderUnavailableError(OidcError):
    """The provider did not answer as it should; the message says what happened."""


class ClaimsRefusedError(OidcError):
    """The answer does not prove who somebody is; the message names the claim or check."""


class OidcClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How we are registered at the provider."""

    issuer: str
    client_id: str
    client_secret: str
    redirect_uri: str
    scope: str = "openid profile email"
    algorithms: tuple[str, ...] = ("RS256", "PS256", "ES256")
    timeout_s: float = 5.0


class _Provider(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class OidcClient:
    """Asks one provider. Close it with `aclose`."""

    def __init__(
        self, settings: OidcClientSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        unknown = set(settings.algorithms) - set(SIGNATURES)
        if unknown or not settings.algorithms:
            raise ValueError(f"algorithms: expected some of {', '.join(SIGNATURES)}, not {sorted(unknown)}")
        self._settings = settings
        self._http = httpx.AsyncClient(
            transport=transport, timeout=settings.timeout_s, follow_redirects=False, trust_env=False
        )
        self._provider: tuple[float, _Provider] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def issuer(self) -> str:
        """Whose names the subjects are."""
        return self._settings.issuer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def login_url(self, state: str, nonce: str, verifier: str) -> str:
        """Return where to send the browser. Raises `ProviderUnavailableError`."""
        provider = await self._discover()
        url: str = prepare_grant_uri(
            provider.authorization_endpoint,
            self._settings.client_id,
            "code",
            redirect_uri=self._settings.redirect_uri,
            scope=self._settings.scope,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    async def claims(self, code: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange a code and return the claims of the checked ID token.

        Raises:
            ProviderUnavailableError: no usable answer.
            ClaimsRefusedError: the code or the token is refused.
        """
        provider, settings = await self._discover(), self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect_uri,
            "code_verifier": verifier,
        }
        answer = await self._ask(
            "POST", provider.token_endpoint, data=form, auth=(settings.client_id, settings.client_secret)
        )
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ClaimsRefusedError(f"no id_token: {answer.get('error', 'the answer has none')}")
        return self._checked(await self._signed(token), nonce, answer.get("access_token"))

    async def _signed(self, token: str) -> jwt.Token:
        algorithms = list(self._settings.algorithms)
        try:
            try:
                return jwt.decode(token, await self._key_set(_FRESH_S), algorithms=algorithms)
            except InvalidKeyIdError:
                # The provider may have changed its keys since we read them.
                return jwt.decode(token, await self._key_set(_RENEW_S), algorithms=algorithms)
        except (ValueError, JoseError) as error:
            raise ClaimsRefusedError(f"signature: {error}") from error

    def _checked(self, token: jwt.Token, nonce: str, access_token: object) -> Mapping[str, Any]:
        settings = self._settings
        options = {
            "iss": {"essential": True, "value": settings.issuer},
            "aud": {"essential": True, "value": settings.client_id},
            "sub": {"essential": True},
        }
        params = {"nonce": nonce, "client_id": settings.client_id, "access_token": access_token}
        claims = CodeIDToken(token.claims, token.header, options, params)
        try:
            claims.validate(now=int(time.time()), leeway=LEEWAY_S)
        except (AuthlibBaseError, JoseError, ValueError, TypeError) as error:
            raise ClaimsRefusedError(f"claims: {error}") from error
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise ClaimsRefusedError("claims: sub is no text of 1 to 255 characters")
        return dict(claims)

    async def _discover(self) -> _Provider:
        if self._provider and time.monotonic() - self._provider[0] < _FRESH_S:
            return self._provider[1]
        url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            found = msgspec.convert(await self._ask("GET", url), _Provider)
        except msgspec.ValidationError as error:
            raise ProviderUnavailableError(f"{url}: {error}") from error
        if found.issuer != self._settings.issuer:
            raise ProviderUnavailableError(f"{url}: its issuer is {found.issuer!r}, not ours")
        for endpoint in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            require_encrypted(endpoint)
        self._provider = time.monotonic(), found
        return found

    async def _key_set(self, fresh_s: float) -> KeySet:
        if self._keys and time.monotonic() - self._keys[0] < fresh_s:
            return self._keys[1]
        answer = await self._ask("GET", (await self._discover()).jwks_uri)
        try:
            keys = KeySet.import_key_set(answer)  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderUnavailableError(f"the provider's keys cannot be read: {error}") from error
        self._keys = time.monotonic(), keys
        return keys

    async def _ask(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        require_encrypted(url)
        headers = {"accept": "application/json", "accept-encoding": ACCEPT_ENCODING}
        try:
            async with self._http.stream(method, url, headers=headers, **request) as answer:
                body = await read_body(answer, _MAX_BYTES)
            found = msgspec.json.decode(body, type=dict[str, Any])
        except (httpx.HTTPError, BodyError, msgspec.DecodeError) as error:
            raise ProviderUnavailableError(f"{url}: {error}") from error
        # A refused code is answered with 400 or 401 and `error`: the caller says so.
        if answer.status_code >= 500 or (answer.status_code >= 400 and "error" not in found):
            raise ProviderUnavailableError(f"{url}: HTTP {answer.status_code}")
        return found


def require_encrypted(url: str) -> None:
    """Raise `ProviderUnavailableError` unless `url` is https, or http on this machine."""
    parsed = httpx.URL(url)
    if parsed.scheme != "https" and not (parsed.scheme == "http" and parsed.host in _LOOPBACK):
        raise ProviderUnavailableError(f"{url}: expected https")
