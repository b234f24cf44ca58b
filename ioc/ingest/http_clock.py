"""`POST /api/v1/ingest/clock`: the sender says what time it is. Only where a recording is relived."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request, Response

from ioc.ingest.http import answer_error
from ioc.ingest.http_body import declared_length, read_body
from ioc.ingest.http_keys import authenticate
from ioc.ingest.ports import BodyRefused, IngestError, ToldClock
from ioc.ingest.service import IngestService
from ioc.model.times import format_us, parse_us

MAX_BODY_BYTES: Final = 1_000

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "It is that time; its ticks are durable, and what is sent now is received at it."},
    400: {"description": "No time, one before the last, or more than an hour after it."},
    401: {"description": "No device key, or an unknown one."},
    503: {"description": "Not stored; send the same request again after Retry-After seconds."},
}
_REQUEST_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["now"],
                    "properties": {"now": {"type": "string", "format": "date-time"}},
                }
            }
        },
    }
}


class _Now(msgspec.Struct, forbid_unknown_fields=True):
    now: str


def clock_router(service: IngestService, clock: ToldClock) -> APIRouter:
    """Return the router of the told clock; include it only where nothing else keeps the time."""
    router = APIRouter(tags=["ingest"])

    @router.post(
        "/api/v1/ingest/clock",
        responses=_RESPONSES,
        openapi_extra=_REQUEST_BODY,
        response_class=Response,
    )
    async def tell_time(request: Request) -> Response:
        """Say what time it is; the seconds that have passed since are ticked, then the answer comes."""
        try:
            authenticate(request, service)
            declared_length(request.headers.get("content-length"), MAX_BODY_BYTES)
            now_us = _read(await read_body(request.stream(), "", MAX_BODY_BYTES))
            ticks = await clock.tell(now_us)
        except IngestError as error:
            return answer_error(error)
        answer = msgspec.json.encode({"now": format_us(now_us), "ticks": ticks})
        return Response(answer, media_type="application/json")

    return router


def _read(body: bytes) -> int:
    try:
        return parse_us(msgspec.json.decode(body, type=_Now).now)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        detail = f'expected {{"now": "2026-11-23T07:00:00Z"}}: {error}'
        raise BodyRefused(400, "rfc3339", detail, "now") from error
