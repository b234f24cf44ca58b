"""Requests to cameras: checked addresses, no redirects, and a login in the way the camera asks for it.

Digest wherever it is offered; Basic, which shows the password, only over https or where the device allows it.
A redirect is never followed, so no login reaches another host than the registered one.

    CameraError              nothing usable came; `reason` is a metric label, the message for an engineer
    └── LoginRefusedError    it will not come either until somebody changes a login or a setting
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

import httpx

from ioc.outbound.destination import Destinations, ForbiddenDestinationError, Resolve, pin, resolve_host

Reason = Literal["login", "forbidden", "redirect", "network", "tls", "silent", "ended", "answer", "fault"]
MAX_REFUSAL_BYTES: Final = 16_384
"""Read of a refusal, so that its connection can be used again; beyond, the connection is closed."""
MAX_DIGESTS: Final = 10_000
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)\s+(?=[A-Za-z]+\s*=)")


class CameraError(Exception):
    """Nothing usable came."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


class LoginRefusedError(CameraError):
    """The camera asks for a login that we do not have, may not send, or that it does not take."""

    def __init__(self, detail: str) -> None:
        super().__init__("login", detail)


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password; the latter is never shown."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reach:
    """How one device is reached, see the fields of `Device`."""

    login: Login | None = None
    tls_verify: bool = True
    basic_over_http: bool = False


PLAIN: Final = Reach()
_TELLING: Final = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


class CameraDoor:
    """Sends requests; close it with `aclose`."""

    def __init__(
        self,
        allowed: Destinations,
        timeout: httpx.Timeout,
        *,
        limits: httpx.Limits | None = None,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = allowed
        self._timeout = timeout
        self._limits = limits or httpx.Limits()
        self._resolve = resolve
        self._transport = transport
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._digests: dict[tuple[str, Login], httpx.DigestAuth] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()

    async def send(
        self,
        method: str,
        url: str,
        reach: Reach = PLAIN,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> httpx.Response:
        """Return the answer, its body unread: whoever gets it closes it.

        A login within the address counts where the device has none of its own.

        Raises:
            LoginRefusedError: 401 in spite of what we may send, or 403.
            CameraError: a redirect.
            ForbiddenDestinationError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError: see `plainly`.
        """
        target = httpx.URL(url)
        login = login_for(target, reach)
        target = target.copy_with(userinfo=b"")
        pinned, extensions = await pin(target, self._allowed, self._resolve)
        client = self._client(reach.tls_verify)
        host = target.netloc.decode("ascii")
        request = client.build_request(
            method,
            pinned,
            headers={"Host": host, "User-Agent": "ioc/1", "Accept-Encoding": "identity", **headers},
            content=content,
            extensions=extensions,
        )
        if login is None:
            response = await self._send(client, request)
        else:
            readable = target.scheme == "https" or reach.basic_over_http
            response = await self._log_in(client, request, (host, login), readable=readable)
        if response.status_code not in _TELLING and not response.has_redirect_location:
            return response
        await response.aclose()
        raise _refusal(response, login)

    def _client(self, verify: bool) -> httpx.AsyncClient:
        if verify not in self._clients:
            # Without the environment's proxies: the checked address must be the one that is connected to.
            self._clients[verify] = httpx.AsyncClient(
                transport=self._transport,
                verify=_tls(verify),
                timeout=self._timeout,
                limits=self._limits,
                follow_redirects=False,
                trust_env=False,
            )
        return self._clients[verify]

    @staticmethod
    async def _send(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        return await client.send(request, stream=True, auth=None)

    async def _log_in(
        self, client: httpx.AsyncClient, request: httpx.Request, whose: tuple[str, Login], *, readable: bool
    ) -> httpx.Response:
        """Ask, and ask again with what the camera wants to know; httpx would read a refusal of any length."""
        if whose not in self._digests and len(self._digests) >= MAX_DIGESTS:
            self._digests.clear()
        login = whose[1]
        digest = self._digests.setdefault(whose, httpx.DigestAuth(login.user, login.password))
        flow = digest.auth_flow(request)
        response = await self._send(client, next(flow))
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        offered = _challenges(response)
        await _drain(response)
        if "digest" in offered:
            response.headers["www-authenticate"] = offered["digest"]
            try:
                request = flow.send(response)
            except (httpx.ProtocolError, NotImplementedError, KeyError, StopIteration):
                raise LoginRefusedError("asks for a kind of Digest login that we do not know") from None
        elif "basic" in offered:
            if not readable:
                raise LoginRefusedError(
                    "asks for the password readable (Basic) over http: use https, or allow it for this device"
                    " (basic_over_http)"
                )
            basic = httpx.BasicAuth(login.user, login.password)
            request = next(basic.auth_flow(request))
        else:
            # Without a question the answer was no to what stood in the message itself (WS-Security).
            kinds = ", ".join(sorted(offered))
            raise LoginRefusedError(f"asks for a login by {kinds[:60]}" if kinds else _refuses(login))
        response = await self._send(client, request)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            # Next time it is asked first: what it has refused is not sent once more with every try.
            self._digests.pop(whose, None)
        return response


def login_for(url: httpx.URL, reach: Reach) -> Login | None:
    """Return the login that is used at `url`: the device's own, or else one within the address."""
    return reach.login or (Login(url.username, url.password) if url.userinfo else None)


def _refusal(response: httpx.Response, login: Login | None) -> CameraError:
    """Return what an answer of 401, 403 or a redirect means."""
    status = response.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return LoginRefusedError(_refuses(login))
    if status == httpx.codes.FORBIDDEN:
        return LoginRefusedError("answered 403: the login may not do this, or is locked")
    place = response.headers["location"][:200]
    return CameraError("redirect", f"answered {status}: leads to {place}, which is not followed")


def _refuses(login: Login | None) -> str:
    if login is None:
        return "asks for a login, and none is registered"
    return f"refuses the login of {login.user!r}"


@contextmanager
def plainly() -> Iterator[None]:
    """Turn everything that a request to a camera may raise into `CameraError`."""
    try:
        yield
    except ForbiddenDestinationError as error:
        raise CameraError("forbidden", str(error)) from error
    except httpx.ReadTimeout as error:
        raise CameraError("silent", "sent nothing for too long") from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise CameraError("network", "does not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise CameraError("tls", f"its certificate is not trusted (tls_verify): {error}") from error
        raise CameraError("network", f"{type(error).__name__}: {error}") from error


@cache
def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _challenges(response: httpx.Response) -> dict[str, str]:
    """Return the first challenge of each scheme; several may stand in one header."""
    found: dict[str, str] = {}
    for header in response.headers.get_list("www-authenticate"):
        starts = list(_SCHEME.finditer(header))
        ends = [*(match.start() for match in starts[1:]), len(header)]
        for match, end in zip(starts, ends, strict=True):
            found.setdefault(match[1].lower(), header[match.start(1) : end].strip(" ,"))
    return found


async def _drain(response: httpx.Response) -> None:
    left = MAX_REFUSAL_BYTES
    if response.is_stream_consumed:
        return
    try:
        async for chunk in response.aiter_raw():
            left -= len(chunk)
            if left < 0:
                break
    finally:
        await response.aclose()
