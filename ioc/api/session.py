"""Log in, log out, who am I."""

from typing import Annotated, Final

import msgspec
import segno
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Sockets, Users
from ioc.api.problems import FieldError, Problem
from ioc.api.security import Access, require_own_page, session_hash
from ioc.store.second_factor import CodeNeededError
from ioc.store.users import Person, ThrottledError, login_id_of
from ioc.stream.shell import SESSION_COOKIE

COOKIE_AGE_S: Final = 7 * 24 * 3600


class Me(msgspec.Struct, frozen=True):
    """Who is logged in. `wards` null means every ward."""

    user: str
    name: str
    role: str
    wards: tuple[str, ...] | None
    lang: str


class LoginOptions(msgspec.Struct, frozen=True):
    """Ways to log in besides name and password. `oidc`: at `/api/v1/session/oidc`."""

    oidc: bool


class Login(BaseModel):
    """A name, a password and, where it is asked for, a code."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=1024)]
    code: Annotated[str, Field(max_length=16)] | None = None
    """Of the second factor, where one is needed."""


def _me(person: Person) -> Me:
    return Me(person.username, person.name, person.role.value, person.wards, person.lang)


_CODES: Final = {
    "code_required": "Send the code that your app shows.",
    "code_wrong": "The code is wrong or was used already; wait for the next one.",
    "code_unreadable": "Your second factor cannot be read; ask an administrator for a new one.",
}


def _code_needed(error: CodeNeededError) -> Problem:
    detail = _CODES[error.rule]
    members: dict[str, object] = {}
    if error.enrolment is not None:
        secret, uri = error.enrolment
        picture = segno.make(uri, micro=False).svg_data_uri(scale=4, border=2)
        members["enrolment"] = {"secret": secret, "uri": uri, "picture": picture}
    return Problem(401, detail, [FieldError("code", error.rule, detail)], members=members)


def set_session_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Give the browser a session's token, where no script and no other site's page can use it."""
    response.set_cookie(
        SESSION_COOKIE, token, max_age=COOKIE_AGE_S, secure=secure, httponly=True, samesite="strict"
    )


async def end_session(users: Users, sockets: Sockets, hashed: bytes | None) -> None:
    """End the session of the token with this hash, and its sockets; None is nobody's."""
    if hashed is not None:
        await users.close_session(hashed)
        sockets.close_login(login_id_of(hashed))


def session_router(
    users: Users, access: Access, sockets: Sockets, *, secure_cookies: bool, identity_provider: bool = False
) -> APIRouter:
    """Return the routes of the session."""
    router = APIRouter(prefix="/api/v1/session", tags=["session"], dependencies=[Depends(require_own_page)])

    @router.post("", **documented(Me, text="Logged in; the answer sets the session's cookie."))
    async def log_in(login: Login, request: Request) -> Response:
        """Open a session; 401 for a wrong name or password, 429 after too many attempts.

        401 with an error of the field `code` asks for the code of the second factor; `enrolment`, where it
        is there, is what the person's app needs to make codes: `secret`, `uri` and that as a `picture`.
        """
        address = request.client.host if request.client else "unknown"
        try:
            person = await users.authenticate(login.username, login.password, address, login.code)
        except CodeNeededError as error:
            raise _code_needed(error) from error
        except ThrottledError as error:
            retry = {"Retry-After": str(error.retry_after_s)}
            raise Problem(429, "Too many attempts; wait before the next.", headers=retry) from error
        if person is None:
            raise Problem(401, "The name or the password is wrong.")
        await end_session(users, sockets, session_hash(request))
        token = await users.open_session(person.username, request.headers.get("user-agent", ""), address)
        response = json_answer(_me(person))
        set_session_cookie(response, token, secure=secure_cookies or request.url.scheme == "https")
        return response

    @router.get("/options", **documented(LoginOptions, text="How one can log in here."))
    async def list_options() -> Response:
        """Return the ways to log in."""
        return json_answer(LoginOptions(identity_provider))

    @router.get("", **documented(Me, text="Who is logged in."))
    async def who_am_i(person: Annotated[Person, Depends(access.person)]) -> Response:
        """Return who is logged in; 401 when nobody is."""
        return json_answer(_me(person))

    @router.delete("", status_code=204, response_class=Response)
    async def log_out(request: Request) -> Response:
        """End the session and its sockets; harmless when there is none."""
        await end_session(users, sockets, session_hash(request))
        response = Response(status_code=204)
        response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
        return response

    return router
