"""An incident's checklist as people see it: the procedure's text with what has been done of it."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from ioc.api.answers import documented, json_answer
from ioc.api.incidents import visible_incident
from ioc.api.ports import Incidents, NotFoundError
from ioc.api.security import Access
from ioc.incidents.procedures import Procedure, due_steps
from ioc.model.incidents import Audit, Checklist, Incident
from ioc.model.texts import Text
from ioc.model.times import format_us
from ioc.store.users import Person
from ioc.stream.masking import mask_text


class ChoiceJson(msgspec.Struct, frozen=True):
    """One answer."""

    id: str
    text: Text


class StepJson(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `state`: open, done or skipped;"""

    id: str
    text: Text
    kind: str
    required: bool
    state: str
    choices: list[ChoiceJson]
    link: str | None
    by: str | None
    at: str | None
    answer: str | None
    note: str | None
    photo: str | None


class ProcedureJson(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that are due; branches that nobody has entered are left out."""

    incident: str
    rev: int
    ref: str
    title: Text
    done: int
    total: int
    steps: list[StepJson]


def procedure_view(
    incident: Incident, checklist: Checklist, procedure: Procedure, history: Sequence[Audit]
) -> ProcedureJson:
    """Return the checklist of `incident`; what was noted at a step is told by its history, masked."""
    taken = {each.step: each for each in checklist.taken}
    notes = {row.details["step"]: row.note for row in history if row.op in ("step", "skip")}
    steps = []
    for step in due_steps(procedure, checklist.taken):
        entry = taken.get(step.id)
        note = notes.get(step.id) if entry else None
        steps.append(
            StepJson(
                id=step.id,
                text=Text(step.text.vi, step.text.en),
                kind=step.kind.value,
                required=step.required,
                state="open" if entry is None else "skipped" if entry.skipped else "done",
                choices=[ChoiceJson(each.id, Text(each.text.vi, each.text.en)) for each in step.choices],
                link=step.link,
                by=entry.by if entry else None,
                at=format_us(entry.at_us) if entry else None,
                answer=entry.answer if entry else None,
                note=None if note is None else mask_text(note),
                photo=entry.photo if entry else None,
            )
        )
    return ProcedureJson(
        incident=incident.id,
        rev=incident.rev,
        ref=checklist.ref,
        title=Text(procedure.title.vi, procedure.title.en),
        done=checklist.done,
        total=checklist.total,
        steps=steps,
    )


def procedures_router(incidents: Incidents, access: Access) -> APIRouter:
    """Return the route of an incident's checklist."""
    router = APIRouter(prefix="/api/v1/incidents", tags=["incidents"])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/{incident_id}/procedure", **documented(ProcedureJson, text="Its checklist."))
    async def read_procedure(incident_id: str, person: Me) -> Response:
        """Return an incident's checklist with what has been done; 404 where no procedure fits it.

        What is merged shows its head's.
        """
        incident = await visible_incident(incidents, incident_id, person)
        if incident.merged_into is not None:
            incident = await visible_incident(incidents, incident.merged_into, person)
        procedure = await incidents.procedure(incident)
        if procedure is None or incident.checklist is None:
            raise NotFoundError(incident_id)
        history = await incidents.history(incident.id)
        return json_answer(procedure_view(incident, incident.checklist, procedure, history))

    return router
