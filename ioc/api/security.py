"""Who is asking, what they may do, and which wards they may see: decided here and nowhere else."""

from enum import StrEnum
from typing import Final

import psycopg
from fastapi import Request

from ioc.api.ports import NotFoundError, Users
from ioc.api.problems import Problem, refused
from ioc.incidents.commands import Op
from ioc.store.users import Person, Role, login_id
from ioc.stream.ports import Authenticate, SourceUnavailableError, Viewer
from ioc.stream.scope import Scope
from ioc.stream.shell import SESSION_COOKIE

CSRF_HEADER: Final = "X-IOC"
MAX_TOKEN_CHARS: Final = 128
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Right(StrEnum):
    """What a role may look at beyond the incidents and the map."""

    HISTORY = "history"
    QUARANTINE = "quarantine"
    RULES = "rules"
    RECEIVERS = "receivers"
    POLICIES = "policies"


_ALL_RIGHTS: Final = frozenset(Right)
# Where our data is sent to, and mail addresses of people: for those who answer for the installation.
_ALL_BUT_RECEIVERS: Final = _ALL_RIGHTS - {Right.RECEIVERS}
# Engineers repair; who is responsible, and within what time, is for those who lead the shift.
_ENGINEERS: Final = _ALL_BUT_RECEIVERS - {Right.POLICIES}
_HANDED_OVER: Final = frozenset({Op.REROUTE, Op.ACCEPT, Op.DECLINE})
_ALL_OPS: Final = frozenset(Op)

RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.OPERATOR: frozenset({Right.HISTORY, Right.RULES}),
    Role.SUPERVISOR: _ALL_BUT_RECEIVERS,
    Role.WARD: frozenset({Right.HISTORY, Right.RULES}),
    Role.LEADER: frozenset({Right.HISTORY, Right.RULES}),
    # Raw messages may hold personal data: only those who repair the sources see them.
    Role.ENGINEER: _ENGINEERS,
    Role.ADMIN: _ALL_RIGHTS,
}
OPS: Final[dict[Role, frozenset[Op]]] = {
    Role.OPERATOR: _ALL_OPS,
    Role.SUPERVISOR: _ALL_OPS,
    Role.WARD: frozenset({Op.ACKNOWLEDGE, Op.ASSIGN, Op.START, Op.RESOLVE, Op.COMMENT, *_HANDED_OVER}),
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


def require_right(person: Person, right: Right) -> None:
    """Raise the 403 problem unless the person's role has `right`."""
    if right not in RIGHTS[person.role]:
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


class Access:
    """The dependencies of routes: `Depends(access.person)`."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def person(self, request: Request) -> Person:
        """Return who asks.

        Raises:
            Problem: 401, nobody is logged in here.
        """
        token = session_token(request)
        person = await self._users.read_session(token) if token else None
        if person is None:
            raise Problem(401, "Log in first.")
        return person


async def require_own_page(request: Request) -> None:
    """Refuse an unsafe request that another site's page could have caused.

    A foreign page can send a form or a simple request with the cookie, but it cannot add a header of ours
    without a preflight, which we do not answer.

    Raises:
        Problem: 403, the header is missing.
    """
    if request.method not in _SAFE_METHODS and request.headers.get(CSRF_HEADER) != "1":
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
