"""Log in at the identity provider: there, and back with a code.

The session that the browser had ends as the new one begins, as at any other login. Its cookie does not come
along on the way back from another site, so the login under way remembers it.

Whatever goes wrong ends at the console's login with `?login=refused` (this person, these claims) or
`?login=unavailable` (the provider did not answer); the reason is logged, not told.
"""

import secrets
from typing import Annotated, Any, Final, Protocol

import msgspec
import structlog
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from ioc.api.ports import Sockets, Users
from ioc.api.problems import NO_NUL
from ioc.api.security import session_hash
from ioc.api.session import end_session, set_session_cookie

STATE_COOKIE: Final = "ioc_login"
_PATH: Final = "/api/v1/session/oidc"
_STATE_AGE_S: Final = 600
_log = structlog.get_logger()


class LoginRefusedError(Exception):
    """This person cannot enter; the message is for an engineer."""


class LoginUnavailableError(Exception):
    """The provider cannot be asked now; the message is for an engineer."""


class LoggedIn(msgspec.Struct, frozen=True):
    """Whom the provider's answer is about; `former`: hash of the session that the browser began with."""

    username: str
    former: bytes | None


class OidcLogin(Protocol):
    """Logging in elsewhere; `ioc.app.oidc.OidcLogins` is one."""

    async def begin(self, former: bytes | None) -> tuple[str, str]:
        """Return where to send the browser, and the state that comes back.

        `former` is the hash of the session that it has. Raises `LoginUnavailableError`.
        """

    async def complete(self, state: str, code: str) -> LoggedIn:
        """Return whom the answer is about.

        Raises `LoginRefusedError`, `LoginUnavailableError`.
        """


def oidc_router(logins: OidcLogin, users: Users, sockets: Sockets, *, secure_cookies: bool) -> APIRouter:
    """Return the routes of the login at the identity provider."""
    router = APIRouter(prefix=_PATH, tags=["session"])
    found: dict[int | str, dict[str, Any]] = {303: {"description": "To the provider, or to the console."}}

    @router.get("", status_code=303, response_class=Response, responses=found)
    async def begin_login(request: Request) -> Response:
        """Send the browser to the identity provider."""
        try:
            url, state = await logins.begin(session_hash(request))
        except LoginUnavailableError as error:
            return _back("unavailable", str(error))
        response = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
        response.set_cookie(
            STATE_COOKIE, state, max_age=_STATE_AGE_S, path=_PATH, httponly=True, samesite="lax",
            secure=secure_cookies or request.url.scheme == "https",
        )  # fmt: skip
        return response

    @router.get("/callback", status_code=303, response_class=Response, responses=found)
    async def complete_login(
        request: Request,
        state: Annotated[str, Query(max_length=200), NO_NUL] = "",
        code: Annotated[str, Query(max_length=4_000), NO_NUL] = "",
        error: Annotated[str, Query(max_length=200), NO_NUL] = "",
    ) -> Response:
        """Open a session for whom the provider's answer is about."""
        ours = request.cookies.get(STATE_COOKIE, "")
        # Another browser's answer must not log this one in as somebody else.
        if not state or not secrets.compare_digest(state.encode(), ours.encode()):
            return _back("refused", "the answer belongs to no login of this browser")
        if error or not code:
            return _back("refused", f"the provider answered {error or 'without a code'}")
        try:
            logged_in = await logins.complete(state, code)
        except LoginRefusedError as refusal:
            return _back("refused", str(refusal))
        except LoginUnavailableError as trouble:
            return _back("unavailable", str(trouble))
        # Besides the one at the beginning: another tab may have logged in meanwhile.
        for former in {logged_in.former, session_hash(request)}:
            await end_session(users, sockets, former)
        address = request.client.host if request.client else "unknown"
        agent = request.headers.get("user-agent", "")
        token = await users.open_session(logged_in.username, agent, address)
        response = RedirectResponse("/", 303, {"Cache-Control": "no-store"})
        set_session_cookie(response, token, secure=secure_cookies or request.url.scheme == "https")
        response.delete_cookie(STATE_COOKIE, path=_PATH, httponly=True, samesite="lax")
        return response

    return router


def _back(outcome: str, reason: str) -> Response:
    _log.warning("a login at the identity provider failed", outcome=outcome, reason=reason)
    response = RedirectResponse(f"/?login={outcome}", 303, {"Cache-Control": "no-store"})
    response.delete_cookie(STATE_COOKIE, path=_PATH, httponly=True, samesite="lax")
    return response
