"""Who is asking, what they may do, and which wards they may see: decided here and nowhere else."""

from typing import Final
from urllib.parse import unquote

import psycopg
from fastapi import Request

from ioc.api.access_table import ROUTES, Right, TokenScope
from ioc.api.ports import NotFoundError, Tokens, Users
from ioc.api.problems import Problem, refused
from ioc.incidents.commands import Op
from ioc.store.row_scope import RowScope, serve
from ioc.store.users import Person, Role, login_id, token_hash
from ioc.stream.ports import Authenticate, SourceUnavailableError, Viewer
from ioc.stream.scope import Scope
from ioc.stream.shell import SESSION_COOKIE

__all__ = [
    "Access",
    "Right",
    "feed_authenticator",
    "may",
    "require_op",
    "require_own_page",
    "require_right",
    "scope_of",
    "visible_wards",
]

CSRF_HEADER: Final = "X-IOC"
USER_HEADER: Final = "X-IOC-User"
"""Whose request it is (percent-encoded), where a page sends later what somebody did."""
MAX_TOKEN_CHARS: Final = 128
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


_ALL_OPS: Final = frozenset(Op)
_HANDED_OVER: Final = frozenset({Op.REROUTE, Op.ACCEPT, Op.DECLINE})

_LOOKING: Final = frozenset({Right.HISTORY, Right.RULES})
RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    # Personal data is unmasked by those who call the citizen or look for the vehicle.
    Role.OPERATOR: _LOOKING | {Right.PERSONAL, Right.SHIFTS, Right.REPORTS, Right.PHOTOS, Right.PUBLISH},
    # Who is responsible, and within what time, is for those who lead the shift.
    Role.SUPERVISOR: _LOOKING
    | {Right.QUARANTINE, Right.RAW, Right.PERSONAL, Right.POLICIES, Right.SHIFTS, Right.SUPERVISE}
    | {Right.REPORTS, Right.PHOTOS, Right.PUBLISH},
    Role.WARD: _LOOKING | {Right.PERSONAL, Right.REPORTS, Right.PHOTOS},
    Role.LEADER: _LOOKING | {Right.SHIFTS},
    # Messages in quarantine are masked too; those who repair the sources may need their bytes, and nothing
    # else that is personal.
    Role.ENGINEER: _LOOKING | {Right.QUARANTINE, Right.RAW, Right.DEVICES, Right.WORKBENCH},
    # Where our data is sent to, and mail addresses of people: for those who answer for the installation.
    Role.ADMIN: _LOOKING
    | {Right.QUARANTINE, Right.RECEIVERS, Right.POLICIES, Right.SHIFTS, Right.SUPERVISE}
    | {Right.REPORTS, Right.PHOTOS, Right.DEVICES, Right.WORKBENCH},
}
OPS: Final[dict[Role, frozenset[Op]]] = {
    Role.OPERATOR: _ALL_OPS,
    Role.SUPERVISOR: _ALL_OPS,
    Role.WARD: frozenset(
        {Op.ACKNOWLEDGE, Op.ASSIGN, Op.START, Op.RESOLVE, Op.COMMENT, Op.STEP, Op.SKIP, *_HANDED_OVER}
    ),
    Role.LEADER: frozenset({Op.COMMENT}),
    Role.ENGINEER: frozenset({Op.COMMENT}),
    Role.ADMIN: _ALL_OPS,
}


def scope_of(person: Person) -> Scope:
    """Return which wards `person` may see."""
    return Scope(None if person.wards is None else frozenset(person.wards))


def visible_wards(person: Person, ward: str | None) -> tuple[str, ...] | None:
    """Return the wards to ask for, given the one the client named; None means every ward.

    Raises:
        NotFoundError: the named ward is none of theirs; whether it exists is not told.
    """
    if ward is not None:
        if not scope_of(person).allows(ward):
            raise NotFoundError(ward)
        return (ward,)
    return person.wards


def may(person: Person, right: Right) -> bool:
    """Return whether the person's role has `right`."""
    return right in RIGHTS[person.role]


def require_right(person: Person, right: Right) -> None:
    """Raise the 403 problem unless the person's role has `right`."""
    if not may(person, right):
        raise refused(
            "role", "forbidden", f"The role {person.role.value} does not include {right.value}.", 403
        )


def require_op(person: Person, op: Op) -> None:
    """Raise the 403 problem unless the person's role may do `op` to an incident."""
    if op not in OPS[person.role]:
        raise refused("op", "forbidden", f"The role {person.role.value} may not {op.value} incidents.", 403)


def session_token(request: Request) -> str | None:
    """Return the session's token of a request, None when there is none that could be ours."""
    token = request.cookies.get(SESSION_COOKIE, "")
    return token if 0 < len(token) <= MAX_TOKEN_CHARS else None


def session_hash(request: Request) -> bytes | None:
    """Return the hash by which the session of a request is stored, None as in `session_token`."""
    token = session_token(request)
    return None if token is None else token_hash(token)


class Access:
    """The dependencies of routes: `Depends(access.person)`."""

    def __init__(self, users: Users, tokens: Tokens) -> None:
        self._users = users
        self._tokens = tokens

    async def person(self, request: Request) -> Person:
        """Return who asks, and serve the rows they may see from here on.

        A bearer token counts alone where there is one: the cookie of a browser is not looked at.

        Raises:
            Problem: 401, nobody is known; 403, the role lacks the route's right, or the token its scope.
        """
        door = ROUTES.get(f"{request.method} {request.scope['route'].path}")
        bearer = bearer_token(request)
        if bearer is None:
            person = await self._by_session(request)
        else:
            person = await self._by_token(bearer, frozenset() if door is None else door.scopes)
        for right in sorted(door.rights) if door else ():
            require_right(person, right)
        serve(RowScope.of_person(person.username, person.wards))
        return person

    async def _by_session(self, request: Request) -> Person:
        token = session_token(request)
        person = await self._users.read_session(token) if token else None
        if person is None:
            raise Problem(401, "Log in first.")
        meant = request.headers.get(USER_HEADER)
        if meant is not None and unquote(meant) != person.username:
            raise refused(USER_HEADER, "other_user", "Somebody else is logged in here now.", 403)
        return person

    async def _by_token(self, token: str, opening: frozenset[TokenScope]) -> Person:
        found = await self._tokens.read(token) if len(token) <= MAX_TOKEN_CHARS else None
        if found is None:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(401, "This token is unknown, expired or revoked.", headers=challenge)
        if opening.isdisjoint(found.scopes):
            named = " or ".join(sorted(opening))
            wanted = f"this needs a token with {named}" if opening else "no token opens this"
            raise refused("scope", "forbidden", f"The token is not for this: {wanted}.", 403)
        return found.person


def bearer_token(request: Request) -> str | None:
    """Return the bearer token of a request, None where it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def require_own_page(request: Request) -> None:
    """Refuse an unsafe request that another site's page could have caused.

    A foreign page can send a form or a simple request with the cookie, but it cannot add a header of ours
    without a preflight, which we do not answer. That also goes for a bearer token, which is why it needs no
    header besides.

    Raises:
        Problem: 403, the header is missing.
    """
    if request.method in _SAFE_METHODS or bearer_token(request) is not None:
        return
    if request.headers.get(CSRF_HEADER) != "1":
        raise refused(CSRF_HEADER, "header_required", f"Send the header {CSRF_HEADER}: 1.", 403)


def feed_authenticator(users: Users) -> Authenticate:
    """Return what the live feed asks about a session's token."""

    async def authenticate(token: str) -> Viewer | None:
        if len(token) > MAX_TOKEN_CHARS:
            return None
        try:
            person = await users.read_session(token)
        except (psycopg.OperationalError, TimeoutError) as error:
            raise SourceUnavailableError(str(error)) from error
        return None if person is None else Viewer(person.username, login_id(token), scope_of(person))

    return authenticate
