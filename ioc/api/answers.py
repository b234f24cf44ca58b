"""Answers in JSON from msgspec types, and the same types in the OpenAPI document."""

from typing import Any, Final

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from ioc.api.problems import MEDIA_TYPE, ProblemDocument

_REF: Final = "#/components/schemas/{name}"
_encoder = msgspec.json.Encoder()


def json_answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `value` as JSON; not to be stored anywhere unless `headers` say otherwise."""
    return Response(
        _encoder.encode(value), status, {"Cache-Control": "no-store"} | (headers or {}), "application/json"
    )


def documented(answer: type[msgspec.Struct], status: int = 200, text: str = "Done.") -> dict[str, Any]:
    """Return the keyword arguments of a route that answers with `answer`."""
    schema = {"$ref": _REF.format(name=answer.__name__)}
    content = {"application/json": {"schema": schema}}
    return {
        "responses": {status: {"description": text, "content": content}},
        "openapi_extra": {"x-answer": answer},
        "response_class": Response,
    }


def document(app: FastAPI) -> None:
    """Make the OpenAPI document of `app` name the answers' types and the one form of errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _openapi(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    answers: set[type[msgspec.Struct]] = {ProblemDocument}
    problem = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(name=ProblemDocument.__name__)}}}
    for operations in schema["paths"].values():
        for operation in operations.values():
            if (answer := operation.pop("x-answer", None)) is not None:
                answers.add(answer)
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "A problem (RFC 9457).", "content": problem}
    _, components = msgspec.json.schema_components(
        sorted(answers, key=lambda t: t.__name__), ref_template=_REF
    )
    known = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    known.update(components)
    return schema
