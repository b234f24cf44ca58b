"""Errors as RFC 9457 problems: every refusal names what was refused and by which rule."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from ioc.api.ports import NotFoundError

MEDIA_TYPE: Final = "application/problem+json"
_MAX_ERRORS: Final = 20
_log = logging.getLogger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    """One value at fault."""

    field: str
    rule: str
    detail: str


class ProblemDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error answer."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str = ""
    errors: list[FieldError] = []


def _without_nul(text: str | None) -> str | None:
    if text is not None and "\x00" in text:
        raise PydanticCustomError("no_nul", "expected a text without the character NUL")
    return text


NO_NUL: Final = AfterValidator(_without_nul)
"""For the type of every text that may reach the database: PostgreSQL holds no NUL."""


class Problem(Exception):
    """Raise it to answer with a problem. `members` are added to the document."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def refused(field: str, rule: str, detail: str, status: int = 422) -> Problem:
    """Return the problem of one value at fault."""
    return Problem(status, detail, [FieldError(field, rule, detail)])


def respond(problem: Problem) -> Response:
    """Return the answer that tells of `problem`."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail or HTTPStatus(problem.status).description,
    }
    if problem.errors:
        document["errors"] = problem.errors[:_MAX_ERRORS]
    headers = {"Cache-Control": "no-store"} | problem.headers
    body = msgspec.json.encode(document | problem.members)
    return Response(body, problem.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem, whoever raised it."""

    @app.exception_handler(Problem)
    async def on_problem(_request: Request, error: Problem) -> Response:
        return respond(error)

    @app.exception_handler(HTTPException)
    async def on_http(_request: Request, error: HTTPException) -> Response:
        return respond(Problem(error.status_code, str(error.detail), headers=error.headers))

    @app.exception_handler(NotFoundError)
    async def on_missing(_request: Request, _error: NotFoundError) -> Response:
        return respond(Problem(404))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: Request, error: RequestValidationError) -> Response:
        return respond(_invalid(error))

    @app.exception_handler(psycopg.OperationalError)
    async def on_database(_request: Request, error: psycopg.OperationalError) -> Response:
        _log.warning("the database did not answer: %s", error)
        detail = "The database did not answer; the same request may succeed in a moment."
        return respond(Problem(503, detail, headers={"Retry-After": "2"}))

    @app.exception_handler(psycopg.DataError)
    async def on_data(_request: Request, error: psycopg.DataError) -> Response:
        # The net below the checks of the routes, which name the field: here nobody knows which it was.
        _log.warning("the database refused a value that no route did", exc_info=error)
        return respond(Problem(422, "A value is not one that the database can hold."))

    @app.exception_handler(Exception)
    async def on_fault(_request: Request, _error: Exception) -> Response:
        # Starlette logs the traceback; outward nothing of it is told.
        return respond(Problem(500, "The fault is ours and has been logged."))


def _invalid(error: RequestValidationError) -> Problem:
    errors = [_field_error(item) for item in error.errors()]
    unreadable = any(item.rule == "json_invalid" for item in errors)
    detail = "The body is not JSON." if unreadable else "Some values are not accepted."
    return Problem(400 if unreadable else 422, detail, errors)


def _field_error(item: Mapping[str, Any]) -> FieldError:
    """Name the field as the client wrote it; what it sent is not repeated, since it may be a password."""
    place, *names = item["loc"]
    rule = str(item["type"])
    path = ".".join(str(name) for name in names)
    return FieldError(str(place) if rule == "json_invalid" or not path else path, rule, str(item["msg"]))
