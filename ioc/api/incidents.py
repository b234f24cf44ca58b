"""Incidents: list, look, look back, act."""

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Annotated

import msgspec
import psycopg
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Incidents, NotFoundError
from ioc.api.problems import NO_NUL, FieldError, Problem, refused
from ioc.api.security import Access, Right, may, require_op, require_own_page, scope_of, visible_wards
from ioc.incidents.commands import Command, Conflict, Op, Refused
from ioc.model.incidents import Audit, Incident, PauseReason, Severity
from ioc.model.times import format_us, to_us
from ioc.store.incidents import MAX_PAGE, CursorError, IncidentFilter
from ioc.store.row_scope import SERVICE, acting_as
from ioc.store.users import Person
from ioc.stream.masking import mask_text, mask_value
from ioc.stream.wire import IncidentJson, incident_view


class Shown(StrEnum):
    """Which incidents a list holds."""

    OPEN = "open"
    ALL = "all"


class IncidentPage(msgspec.Struct, frozen=True):
    """A page, newest first; `next` null ends the list."""

    items: list[IncidentJson]
    next: str | None


class AuditJson(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """One entry of an incident's history."""

    rev: int
    at: str
    actor: str
    op: str
    before: str | None
    after: str | None
    note: str | None
    details: dict[str, str | int | float | bool | None]


class MemberList(msgspec.Struct, frozen=True):
    """What is merged into an incident, oldest first."""

    items: list[IncidentJson]


class AuditList(msgspec.Struct, frozen=True):
    """An incident's history, oldest first."""

    items: list[AuditJson]


class CommandArguments(BaseModel):
    """What some commands need: `assignee` assign and involve, `ward` reroute, `into` merge, `until` shelve,
    `reason` pause, `photo` resolve and step (the reference of a picture), `step` step and skip, `answer`
    step, `override` resolve (why a supervisor ends it although required steps are open)."""

    model_config = ConfigDict(extra="forbid")

    assignee: Annotated[str, Field(max_length=500), NO_NUL] | None = None
    note: Annotated[str, Field(max_length=20_000), NO_NUL] | None = None
    ward: Annotated[str, Field(max_length=64), NO_NUL] | None = None
    into: Annotated[str, Field(max_length=100), NO_NUL] | None = None
    until: AwareDatetime | None = None
    reason: PauseReason | None = None
    photo: Annotated[str, Field(max_length=500), NO_NUL] | None = None
    step: Annotated[str, Field(max_length=64), NO_NUL] | None = None
    answer: Annotated[str, Field(max_length=64), NO_NUL] | None = None
    override: Annotated[str, Field(max_length=20_000), NO_NUL] | None = None


class CommandBody(BaseModel):
    """One command. `expect_rev` is the revision the person saw; `idem` makes a repeat harmless."""

    model_config = ConfigDict(extra="forbid")

    op: Op
    expect_rev: Annotated[int, Field(ge=1, le=2**31 - 1)]
    idem: Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[\x21-\x7e]+$")]
    args: CommandArguments = CommandArguments()


def _audit_view(audit: Audit) -> AuditJson:
    return AuditJson(
        audit.rev,
        format_us(audit.at_us),
        audit.actor,
        audit.op,
        audit.before,
        audit.after,
        None if audit.note is None else mask_text(audit.note),
        {name: mask_value(name, value) for name, value in audit.details.items()},
    )


def incidents_router(incidents: Incidents, access: Access) -> APIRouter:
    """Return the routes of incidents. What lies outside the person's wards does not exist for them: 404."""
    router = APIRouter(
        prefix="/api/v1/incidents", tags=["incidents"], dependencies=[Depends(require_own_page)]
    )
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    visible = partial(visible_incident, incidents)

    @router.get("", **documented(IncidentPage, text="A page of incidents, newest first."))
    async def list_incidents(
        person: Me,
        state: Shown = Shown.OPEN,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
        severity: Annotated[list[Severity] | None, Query(max_length=4)] = None,
        category: Annotated[str | None, Query(max_length=100), NO_NUL] = None,
        ended_since: AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        cursor: Annotated[str | None, Query(max_length=500), NO_NUL] = None,
    ) -> Response:
        """Return open incidents, or all, filtered; `ended_since`: those resolved or closed then or later."""
        query = IncidentFilter(
            open_only=state is Shown.OPEN, wards=visible_wards(person, ward),
            severities=tuple(severity or ()), category=category, ended_since=ended_since,
            limit=limit, cursor=cursor,
        )  # fmt: skip
        items, following = await page_of(incidents, query)
        return json_answer(IncidentPage([incident_view(item) for item in items], following))

    @router.get("/{incident_id}", **documented(IncidentJson, text="The incident as it is now."))
    async def read_incident(incident_id: str, person: Me) -> Response:
        """Return one incident."""
        return json_answer(incident_view(await visible(incident_id, person)))

    @router.get("/{incident_id}/history", **documented(AuditList, text="All that happened to it."))
    async def read_history(incident_id: str, person: Me) -> Response:
        """Return who did what to an incident, oldest first."""
        await visible(incident_id, person)
        rows = await incidents.history(incident_id)
        return json_answer(AuditList([_audit_view(row) for row in rows]))

    @router.get("/{incident_id}/members", **documented(MemberList, text="The incidents that are part of it."))
    async def read_members(incident_id: str, person: Me) -> Response:
        """Return what has been merged into an incident, by grouping or by people."""
        await visible(incident_id, person)
        seen = filter(lambda item: scope_of(person).allows(item.ward), await incidents.members(incident_id))
        return json_answer(MemberList([incident_view(item) for item in seen]))

    @router.post("/{incident_id}/commands", **documented(IncidentJson, text="The incident afterwards."))
    async def command_incident(incident_id: str, body: CommandBody, person: Me) -> Response:
        """Carry out a command; 409 with `current` when the incident has changed since `expect_rev`, or when
        `idem` was used for another command."""
        await visible(incident_id, person)
        require_op(person, body.op)
        if body.args.into is not None:
            await visible(body.args.into, person)
        return json_answer(incident_view(await _carry_out(incidents, incident_id, body, person)))

    return router


async def visible_incident(incidents: Incidents, incident_id: str, person: Person) -> Incident:
    """Return an incident of the person's wards. Raises NotFoundError for any other, existing or not."""
    if "\x00" in incident_id:
        # No incident has such an id, and the database would refuse the question.
        raise NotFoundError(incident_id)
    incident = await incidents.get(incident_id)
    if not scope_of(person).allows(incident.ward):
        raise NotFoundError(incident_id)
    return incident


async def page_of(incidents: Incidents, query: IncidentFilter) -> tuple[Sequence[Incident], str | None]:
    """Return a page of incidents and the cursor of the next. Raises Problem: 422, no cursor of ours."""
    try:
        return await incidents.page(query)
    except CursorError as error:
        raise refused("cursor", "cursor", str(error)) from error
    except psycopg.DataError as error:
        if query.cursor is None:
            raise
        # Everything else was checked: the cursor holds a value that the database cannot.
        detail = "cursor: use the `next` value of the page before, unchanged"
        raise refused("cursor", "cursor", detail) from error


async def _carry_out(incidents: Incidents, incident_id: str, body: CommandBody, person: Person) -> Incident:
    command = Command(
        op=body.op,
        expect_rev=body.expect_rev,
        idem=body.idem,
        assignee=body.args.assignee,
        note=body.args.note,
        ward=body.args.ward,
        into=body.args.into,
        until_us=to_us(body.args.until) if body.args.until else None,
        reason=body.args.reason,
        photo=body.args.photo,
        step=body.args.step,
        answer=body.args.answer,
        override=body.args.override,
    )
    try:
        # The route has seen that the person may act on it; the command may hand it to another ward.
        with acting_as(SERVICE):
            supervises = may(person, Right.SUPERVISE)
            return await incidents.command(incident_id, command, person.username, supervises=supervises)
    except Conflict as error:
        raise _conflict(error, person) from error
    except Refused as error:
        raise Problem(422, error.detail, [FieldError(error.field, error.rule, error.detail)]) from error


def _conflict(error: Conflict, person: Person) -> Problem:
    if not scope_of(person).allows(error.current.ward):
        # It went to another ward between the look and the command.
        return Problem(404)
    errors = [FieldError(error.field, error.rule, str(error))]
    return Problem(409, str(error), errors, members={"current": incident_view(error.current)})
