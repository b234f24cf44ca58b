"""What citizens do without logging in: report, see what is known, follow, vote, look at the public board."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ioc.api.answers import documented, json_answer
from ioc.api.citizen_ports import (
    Board,
    Citizens,
    Followed,
    NotYetError,
    PublicBoard,
    QuotaError,
    Receipt,
    ReportCandidate,
    Submission,
    UnfitReportError,
)
from ioc.api.intake import Intake, TooMuch, WorkNeeded
from ioc.api.problems import NO_NUL, FieldError, Problem, refused
from ioc.api.security import require_own_page
from ioc.incidents.citizen_policy import Service
from ioc.stream.ports import ClockUs

MAX_TEXT: int = 4_000
MAX_PHOTOS: int = 5
PREFIX = "/api/v1/public"
_Found = TypeVar("_Found")
_refused = Counter("ioc_citizen_refused_total", "Requests of citizens that were refused", ["rule"])

Line = Annotated[str, StringConstraints(strip_whitespace=True), Field(max_length=300), NO_NUL]
Words = Annotated[
    str, StringConstraints(strip_whitespace=True), Field(min_length=5, max_length=MAX_TEXT), NO_NUL
]
Lon = Annotated[float, Field(ge=-180, le=180)]
Lat = Annotated[float, Field(ge=-90, le=90)]
Code = Annotated[str, Path(min_length=8, max_length=40), NO_NUL]
ServiceCode = Annotated[str, Field(min_length=1, max_length=40), NO_NUL]


class ServiceList(msgspec.Struct, frozen=True):
    """What may be reported."""

    services: list[Service]


class CandidateList(msgspec.Struct, frozen=True):
    """Earlier reports that may tell of the same thing, the likeliest first."""

    items: list[ReportCandidate]


class Question(BaseModel):
    """What somebody is about to report, as far as they have come."""

    model_config = ConfigDict(extra="forbid")

    service: ServiceCode
    text: Annotated[str, Field(max_length=MAX_TEXT), NO_NUL] = ""
    lon: Lon | None = None
    lat: Lat | None = None
    address: Line | None = None


class ReportBody(BaseModel):
    """A report: what, where (a position, an address, or both), and if wanted how to reach its author.

    `joins` names an earlier report of the same thing; `idem` makes a repeat harmless; `solution` answers the
    challenge of a 428.
    """

    model_config = ConfigDict(extra="forbid")

    service: ServiceCode
    text: Words
    lon: Lon | None = None
    lat: Lat | None = None
    address: Line | None = None
    contact: Line | None = None
    language: Literal["vi", "en"] = "vi"
    photos: Annotated[list[Annotated[str, Field(max_length=100), NO_NUL]], Field(max_length=MAX_PHOTOS)] = []
    joins: Annotated[str, Field(max_length=40), NO_NUL] | None = None
    idem: Annotated[str, Field(min_length=16, max_length=100, pattern=r"^[\x21-\x7e]+$")]
    solution: Annotated[str, Field(max_length=200), NO_NUL] | None = None


class VoteBody(BaseModel):
    """Whether the reporter is content with the result."""

    model_config = ConfigDict(extra="forbid")

    satisfied: bool
    text: Annotated[str, StringConstraints(strip_whitespace=True), Field(max_length=1_000), NO_NUL] | None = (
        None
    )


def public_router(citizens: Citizens, board: PublicBoard, intake: Intake, clock_us: ClockUs) -> APIRouter:
    """Return the routes that are open to everybody. None of them shows personal data."""
    router = APIRouter(prefix=PREFIX, tags=["public"], dependencies=[Depends(require_own_page)])

    def look(request: Request) -> None:
        _limited(intake.look, address_of(request), clock_us())

    Looking = [Depends(look)]  # noqa: N806 - reads as a type does

    @router.get("/services", **documented(ServiceList, text="What may be reported."))
    async def list_services() -> Response:
        """Return what citizens can report."""
        headers = {"Cache-Control": "max-age=60"}
        return json_answer(ServiceList(list(citizens.policy.services)), headers=headers)

    @router.post(
        "/duplicates", dependencies=Looking, **documented(CandidateList, text="What is known already.")
    )
    async def find_duplicates(body: Question) -> Response:
        """Say which earlier reports may tell of the same thing."""
        told = Submission(channel="web", **body.model_dump())
        return json_answer(CandidateList(list(await citizens.duplicates(told))))

    @router.post("/reports", status_code=201, **documented(Receipt, 201, "Taken, durably."))
    async def report(body: ReportBody, request: Request) -> Response:
        """Take a report. 428 with a `challenge` where an address sends many: solve it and send again."""
        _limited(intake.report, address_of(request), clock_us(), body.solution)
        fields = body.model_dump(exclude={"solution"}) | {"photos": tuple(body.photos)}
        receipt = await taken(citizens.submit(Submission(channel="web", **fields)))
        return json_answer(receipt, 201)

    @router.get("/reports/{code}", dependencies=Looking, **documented(Followed, text="How far it has come."))
    async def follow(code: Code) -> Response:
        """Return a report to whoever has its code."""
        return json_answer(await citizens.follow(code))

    @router.post(
        "/reports/{code}/vote", dependencies=Looking, **documented(Followed, text="The report then.")
    )
    async def vote(code: Code, body: VoteBody) -> Response:
        """Say whether the result is good; where it is not, the incident may be opened again."""
        try:
            found = await citizens.vote(code, satisfied=body.satisfied, text=body.text or None)
        except NotYetError as error:
            raise refused("satisfied", "no_result_yet", "There is no result to judge yet.", 409) from error
        return json_answer(found)

    @router.get("/board", **documented(Board, text="Figures and rough places of the last days."))
    async def read_board() -> Response:
        """Return the public board, at most a minute old."""
        return json_answer(await board.board(), headers={"Cache-Control": "max-age=30"})

    return router


def address_of(request: Request) -> str:
    """Return where a request comes from, as the proxies that we trust say."""
    return request.client.host if request.client else "unknown"


async def taken(submit: Awaitable[_Found]) -> _Found:
    """Return what `submit` does; its refusals become problems."""
    try:
        return await submit
    except UnfitReportError as error:
        _refused.labels(error.rule).inc()
        raise Problem(422, error.detail, [FieldError(error.field, error.rule, error.detail)]) from error
    except QuotaError as error:
        raise _too_much("contact", error.retry_after_s) from error


def _limited(count: Any, *arguments: Any) -> None:
    try:
        count(*arguments)
    except TooMuch as error:
        raise _too_much("address", error.retry_after_s) from error
    except WorkNeeded as error:
        _refused.labels("work").inc()
        detail = "Many reports come from your address: solve the challenge and send the report again."
        members = {"challenge": msgspec.to_builtins(error.challenge)}
        raise Problem(428, detail, [FieldError("solution", "work", detail)], members=members) from error


def _too_much(field: str, retry_after_s: int) -> Problem:
    _refused.labels(f"{field}_rate").inc()
    detail = "Too many requests; wait before the next."
    headers = {"Retry-After": str(retry_after_s)}
    return Problem(429, detail, [FieldError(field, "rate", detail)], headers=headers)
