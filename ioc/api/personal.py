"""Unmasking: what is personal, for a right, with a reason, never without an entry in the audit log."""

from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ioc.api.answers import documented, json_answer
from ioc.api.ports import NotFoundError, Personal, TooManyLooksError
from ioc.api.problems import NO_NUL, Problem
from ioc.api.quarantine import QuarantineItem, quarantine_view
from ioc.api.security import Access, Right, require_own_page, require_right, scope_of
from ioc.model.incidents import Incident
from ioc.model.texts import Text
from ioc.store.users import Person

MIN_REASON: Final = 10
_Found = TypeVar("_Found")


class Reason(BaseModel):
    """Why somebody needs to see it; it stands in the audit log under their name."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True),
        Field(min_length=MIN_REASON, max_length=500),
        NO_NUL,
    ]


class Unmasked(msgspec.Struct, frozen=True):
    """Those texts of an incident that are masked elsewhere."""

    id: str
    key: str
    title: Text
    summary: Text
    evidence: list[str]
    """`name = value`, one each."""
    note: str | None


def _unmasked(incident: Incident) -> Unmasked:
    why = incident.why
    evidence = [f"{item.name} = {item.value}" for item in why.evidence]
    return Unmasked(incident.id, incident.key, incident.title, why.summary, evidence, incident.note)


async def looked_up(look: Awaitable[_Found]) -> _Found:
    """Return what `look` finds; beyond what one may see in an hour the answer is 429."""
    try:
        return await look
    except TooManyLooksError as error:
        detail = "You have unmasked as much as one person may in an hour."
        raise Problem(429, detail, headers={"Retry-After": "600"}) from error


def personal_router(personal: Personal, access: Access) -> APIRouter:
    """Return the routes that unmask."""
    router = APIRouter(prefix="/api/v1", tags=["personal"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.post("/incidents/{incident_id}/unmask", **documented(Unmasked, text="The texts as written."))
    async def unmask_incident(incident_id: Annotated[str, NO_NUL], body: Reason, person: Me) -> Response:
        """Return an incident's texts unmasked; the look is recorded first."""
        require_right(person, Right.PERSONAL)
        incident = await looked_up(personal.incident(incident_id, person, body.reason))
        if not scope_of(person).allows(incident.ward):
            raise NotFoundError(incident_id)
        return json_answer(_unmasked(incident))

    @router.post("/quarantine/{message_id}/unmask", **documented(QuarantineItem, text="The message as sent."))
    async def unmask_message(
        message_id: Annotated[int, Path(ge=1, le=2**62)], body: Reason, person: Me
    ) -> Response:
        """Return a refused message's bytes as they came; the look is recorded first."""
        require_right(person, Right.QUARANTINE)
        require_right(person, Right.RAW)
        found = await looked_up(personal.quarantined(message_id, person, body.reason))
        return json_answer(quarantine_view(found, masked=False))

    return router
