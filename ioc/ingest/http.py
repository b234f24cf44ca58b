"""`POST /api/v1/ingest/events` for who can send a key, `…/hooks/{key}` for who only knows an address.

Both take what the device's decoder reads, and answer as the API promises.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from ioc.ingest.decoders.jsonlines import JSON_TYPES, NDJSON_TYPES
from ioc.ingest.decoders.media import media_type
from ioc.ingest.gateway import RejectedEvent
from ioc.ingest.http_body import LingeringResponse, declared_length, read_body
from ioc.ingest.http_keys import CHALLENGE, authenticate, authenticate_address
from ioc.ingest.ports import (
    DEVICE_DISABLED,
    BodyRefused,
    DeviceDisabled,
    IngestError,
    NotAuthorised,
    TooFast,
    Unavailable,
)
from ioc.ingest.service import IngestAnswer, IngestService
from ioc.model.places import Device

CURL_DEFAULT: Final = "application/x-www-form-urlencoded"
_MAX_SHOWN: Final = 100
_CLIENT_CLOSED: Final = 499
"""Nobody reads it; it marks the request in access logs."""

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    202: {"description": "Durable. `rejected` lists refused events with line, field, rule and detail."},
    400: {"description": "Nothing in the body could be read as an event."},
    401: {"description": "No device key, or an unknown one."},
    403: {"description": "The device may not send here, or is disabled (rule device_disabled)."},
    408: {"description": "The body did not arrive in time."},
    413: {"description": "The body is too large or holds too many events."},
    415: {"description": "A media type or content encoding that this device's decoder does not read."},
    429: {"description": "Over the device's rate; see Retry-After."},
    503: {"description": "Not stored; send the same request again after Retry-After seconds."},
}
_EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            **{media: {"schema": _EVENT_SCHEMA} for media in JSON_TYPES[:2]},
            JSON_TYPES[2]: {"schema": {"type": "array", "items": _EVENT_SCHEMA}},
            NDJSON_TYPES[0]: {"schema": {"type": "string"}},
        },
    }
}
_HOOK_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Durable. `rejected` lists refused events with line, field, rule and detail."},
    **{status: told for status, told in _RESPONSES.items() if status not in (202, 415)},
    401: {"description": "Nobody's key."},
}
_HOOK_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}


def problem(
    status: int, detail: str, errors: Sequence[dict[str, Any]] = (), headers: dict[str, str] | None = None
) -> Response:
    """Return an RFC 9457 answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


def ingest_router(service: IngestService) -> APIRouter:
    """Return the router of the ingest endpoints; include it in the application without a prefix."""
    router = APIRouter(tags=["ingest"])
    reception = _Reception(service)

    @router.post(
        "/api/v1/ingest/events",
        status_code=202,
        responses=_RESPONSES,
        openapi_extra=_REQUEST_BODY,
        response_class=Response,
    )
    async def ingest_events(request: Request) -> Response:
        """Take events of the device whose key authorises the request; 202 once they are durable."""
        return await reception.receive(request, None)

    @router.post(
        "/api/v1/ingest/hooks/{key}",
        responses=_HOOK_RESPONSES,
        openapi_extra=_HOOK_BODY,
        response_class=Response,
    )
    async def take_hook(request: Request, key: str) -> Response:
        """Take what hardware posts to the address that ends with its key; 200 once it is durable."""
        return await reception.receive(request, key)

    @router.post(
        "/api/v1/ingest/hooks/{key}/{rest:path}",
        responses=_HOOK_RESPONSES,
        openapi_extra=_HOOK_BODY,
        response_class=Response,
    )
    async def take_hook_below(request: Request, key: str, rest: str) -> Response:
        """Take the same where the hardware appends a path of its own, which means nothing here."""
        return await reception.receive(request, key)

    return router


class _Reception:
    """Receives bodies within the limits of all requests together."""

    def __init__(self, service: IngestService) -> None:
        self._service = service
        self._reading = asyncio.Semaphore(service.limits.max_reading_requests)
        self._reading_pictures = asyncio.Semaphore(service.limits.max_reading_pictures)

    async def receive(self, request: Request, hook_key: str | None) -> Response:
        """Return the answer to a request; `hook_key` is the key in its address, None where there is none."""
        service, chunks = self._service, _Chunks(request)
        try:
            if hook_key is None:
                device = authenticate(request, service)
            else:
                device = authenticate_address(hook_key, service)
            content_type = _content_type(request, service, device, strict=hook_key is None)
            body = await self._read(request, chunks, device)
            service.metrics.messages.labels("http", "").inc()
            answer = await service.accept(device, body, content_type)
        except IngestError as error:
            answered = answer_error(error)
            if chunks.complete:
                return answered
            return LingeringResponse(answered, service.limits.linger_bytes, service.limits.linger_s)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_CLOSED)
        return _answer(answer) if hook_key is None else _hook_answer(answer)

    async def _read(self, request: Request, chunks: "_Chunks", device: Device) -> bytes:
        limit = self._service.body_limit(device)
        large = limit > self._service.limits.max_body_bytes
        reading = self._reading_pictures if large else self._reading
        if reading.locked():
            self._service.metrics.refuse("http", "inflight")
            raise Unavailable("inflight")
        async with reading:
            return await _body(request, chunks, self._service, limit)


def _content_type(request: Request, service: IngestService, device: Device, *, strict: bool) -> str | None:
    """Return the media type as sent, None where the sender gave none (then the first byte decides).

    Where not `strict`, one that the decoder does not read counts as none: who cannot choose an address's
    header cannot choose its media type either.
    """
    header = request.headers.get("content-type", "")
    media, _ = media_type(header)
    readable = service.content_types(device)
    if media == CURL_DEFAULT:
        return None  # what `curl -d` and simple devices say when they say nothing
    if media and media not in readable:
        if not strict:
            return None
        service.metrics.refuse("http", "content_type")
        detail = f"expected one of {', '.join(readable)}"
        raise BodyRefused(415, "content_type", detail, "Content-Type")
    return header or None


class _Chunks:
    """The chunks of a request's body, and whether all of them were read."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._request.stream():
            yield chunk
        self.complete = True


async def _body(request: Request, chunks: _Chunks, service: IngestService, limit: int) -> bytes:
    limits = service.limits
    try:
        declared_length(request.headers.get("content-length"), limit)
        encoding = request.headers.get("content-encoding", "").strip().lower()
        async with asyncio.timeout(limits.read_timeout_s):
            return await read_body(chunks, encoding, limit)
    except BodyRefused as error:
        service.metrics.refuse("http", "body_bytes" if error.status == 413 else "body")
        raise
    except TimeoutError as error:
        service.metrics.refuse("http", "read_timeout")
        detail = f"the body did not arrive within {limits.read_timeout_s:g} s"
        raise BodyRefused(408, "read_timeout", detail) from error


def answer_error(error: IngestError) -> Response:
    """Return what the sender is told instead of an acknowledgement."""
    match error:
        case DeviceDisabled():
            errors = [{"field": "source", "rule": DEVICE_DISABLED, "detail": str(error)}]
            return problem(error.status, str(error), errors)
        case NotAuthorised():
            headers = {"WWW-Authenticate": CHALLENGE} if error.status == 401 else None
            return problem(error.status, str(error), headers=headers)
        case BodyRefused():
            errors = [{"field": error.field, "rule": error.rule, "detail": str(error)}]
            return problem(error.status, str(error), errors)
        case TooFast():
            return problem(429, str(error), headers={"Retry-After": str(ceil(error.retry_after_s))})
        case Unavailable():
            return problem(503, str(error), headers={"Retry-After": str(ceil(error.retry_after_s))})
        case _:
            raise error


def _answer(answer: IngestAnswer) -> Response:
    if answer.unreadable:
        return _unreadable(answer)
    return Response(msgspec.json.encode(answer), 202, media_type="application/json")


def _hook_answer(answer: IngestAnswer) -> Response:
    """Return 200, the one status that all hardware knows, with the word that Dahua's cameras wait for.

    What was refused is in quarantine: sent again it would be refused again.
    """
    if answer.unreadable:
        return _unreadable(answer)
    told = {"Result": True, "Message": "Success", **msgspec.to_builtins(answer)}
    return Response(msgspec.json.encode(told), 200, media_type="application/json")


def _unreadable(answer: IngestAnswer) -> Response:
    return problem(
        400,
        "nothing in the body could be read as an event",
        [_shown(rejected) for rejected in answer.rejected[:_MAX_SHOWN]],
    )


def _shown(rejected: RejectedEvent) -> dict[str, Any]:
    return {
        "field": rejected.field or "body",
        "rule": rejected.rule,
        "detail": rejected.detail,
        "line": rejected.line,
    }
