"""Citizens' reports for the people who answer them."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ioc.api.answers import documented, json_answer
from ioc.api.citizen_ports import ReportInfo, Reports, UnfitReportError
from ioc.api.incidents import visible_incident
from ioc.api.personal import Reason, looked_up
from ioc.api.ports import Incidents
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.store.users import Person

ReportId = Annotated[str, Path(max_length=40), NO_NUL]


class ReportList(msgspec.Struct, frozen=True):
    """The reports of an incident, the earliest first."""

    items: list[ReportInfo]


class Answered(msgspec.Struct, frozen=True):
    """How many reporters were answered."""

    answered: int


class Contact(msgspec.Struct, frozen=True):
    """How to reach a reporter; null where they left nothing or it is forgotten."""

    contact: str | None


class AnswerBody(BaseModel):
    """What to tell the reporter, who reads it as it stands; `everybody`: all who reported the same.

    `idem` makes a repeat harmless.
    """

    model_config = ConfigDict(extra="forbid")

    text: Annotated[
        str, StringConstraints(strip_whitespace=True), Field(min_length=5, max_length=4_000), NO_NUL
    ]
    everybody: bool = False
    idem: Annotated[str, Field(min_length=16, max_length=100, pattern=r"^[\x21-\x7e]+$")] | None = None


def reports_router(reports: Reports, incidents: Incidents, access: Access) -> APIRouter:
    """Return the routes of reports; those of another's wards do not exist."""
    router = APIRouter(prefix="/api/v1", tags=["reports"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/incidents/{incident_id}/reports", **documented(ReportList, text="Its reports, masked."))
    async def list_reports(incident_id: str, person: Me) -> Response:
        """Return what citizens told of an incident, with answers and votes."""
        require_right(person, Right.REPORTS)
        await visible_incident(incidents, incident_id, person)
        return json_answer(ReportList(list(await reports.of_incident(incident_id))))

    @router.post("/reports/{report_id}/answer", **documented(Answered, text="Answered."))
    async def answer(report_id: ReportId, body: AnswerBody, person: Me) -> Response:
        """Answer one reporter, or everybody who reported the same."""
        require_right(person, Right.REPORTS)
        try:
            count = await reports.answer(
                report_id, body.text, everybody=body.everybody, author=person.username, idem=body.idem
            )
        except UnfitReportError as error:
            raise refused(error.field, error.rule, error.detail, 409) from error
        return json_answer(Answered(count))

    @router.post("/reports/{report_id}/separate", status_code=204, response_class=Response)
    async def separate(report_id: ReportId, person: Me) -> Response:
        """Take a report out of the group it was put into: it becomes an incident of its own."""
        require_right(person, Right.REPORTS)
        await reports.separate(report_id)
        return Response(status_code=204)

    @router.post("/reports/{report_id}/unmask", **documented(Contact, text="How to reach the reporter."))
    async def unmask(report_id: ReportId, body: Reason, person: Me) -> Response:
        """Return a reporter's contact; the look is recorded first."""
        return json_answer(Contact(await looked_up(reports.contact(report_id, person, body.reason))))

    return router
