"""Answers in JSON from msgspec types, and the same types in the OpenAPI document."""

from typing import Any, Final

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from ioc.api.problems import MEDIA_TYPE, ProblemDocument

_REF: Final = "#/components/schemas/{name}"
_COMPONENTS: Final = "x-components"
_encoder = msgspec.json.Encoder()


def json_answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `value` as JSON; not to be stored anywhere unless `headers` say otherwise."""
    return Response(
        _encoder.encode(value), status, {"Cache-Control": "no-store"} | (headers or {}), "application/json"
    )


def documented(answer: type[msgspec.Struct], status: int = 200, text: str = "Done.") -> dict[str, Any]:
    """Return the keyword arguments of a route that answers with `answer`."""
    (schema,), components = msgspec.json.schema_components([answer], ref_template=_REF)
    content = {"application/json": {"schema": schema}}
    return {
        "responses": {status: {"description": text, "content": content}},
        "openapi_extra": {_COMPONENTS: components},
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
    (problem,), known = msgspec.json.schema_components([ProblemDocument], ref_template=_REF)
    error = {"description": "A problem (RFC 9457).", "content": {MEDIA_TYPE: {"schema": problem}}}
    for operations in schema["paths"].values():
        for operation in operations.values():
            known |= operation.pop(_COMPONENTS, {})
            # FastAPI describes its own form of validation errors, which we do not send.
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = error
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(known)
    return schema
