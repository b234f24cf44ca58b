"""Pictures: sent by staff and citizens, seen by staff, and by the public once an operator released one."""

import asyncio
from math import ceil
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import ClientDisconnect

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Incidents, NotFoundError, Photos, PhotosFullError
from ioc.api.problems import NO_NUL, Problem, refused, respond
from ioc.api.security import Access, Right, require_own_page, require_right, scope_of
from ioc.ingest.allowance import Allowances
from ioc.ingest.http_body import LingeringResponse
from ioc.model.addresses import place_of
from ioc.photos.check import MAX_BYTES, RULES, PhotoRefused
from ioc.photos.workshop import WorkshopBusy
from ioc.store.photos import Origin, PhotoInfo
from ioc.store.users import Person
from ioc.stream.ports import ClockUs

PHOTOS_PATH: Final = "/api/v1/photos"
PUBLIC_PHOTOS_PATH: Final = "/api/v1/public/photos"
BODY_BYTES: Final = 3 * MAX_BYTES
"""What a sender may send at all: a picture, and what is thrown away so that the refusal is read."""
MIN_REASON: Final = 10
READ_TIMEOUT_S: Final = 60.0
_BUSY_S: Final = "5"
_CLIENT_CLOSED: Final = 499
_STATUS: Final = {"max_bytes": 413, "not_an_image": 415}
_HEADERS: Final = {
    # A picture is no page: should a browser ever open it as one, nothing in it runs.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"The bytes of the picture, at most {MAX_BYTES} of them.",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}}
            for media in ("image/jpeg", "image/png", "image/webp")
        },
    }
}
_JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The picture.", "content": {"image/jpeg": {}}}
}
_Ref = Annotated[str, NO_NUL]
_Small = Annotated[bool, Query(description="the small one")]


class PhotoJson(msgspec.Struct, frozen=True):
    """A stored picture. `ref` names it, in commands and reports as in addresses."""

    ref: str
    width: int
    height: int
    origin: str
    """staff, citizen"""
    uploaded: str
    released: bool
    """Whether the public may see it."""


class PhotoList(msgspec.Struct, frozen=True):
    """Pictures of an incident and of what is merged into it, the oldest first."""

    items: list[PhotoJson]


class Sent(msgspec.Struct, frozen=True):
    """A picture has been taken. It is forgotten when nothing refers to it within `kept_s` seconds."""

    ref: str
    width: int
    height: int
    kept_s: float


class Release(BaseModel):
    """Whether the public may see it, and why; the reason stands in the audit log."""

    model_config = ConfigDict(extra="forbid")

    released: bool
    reason: Annotated[
        str, StringConstraints(strip_whitespace=True), Field(min_length=MIN_REASON, max_length=500), NO_NUL
    ]


def photo_view(info: PhotoInfo) -> PhotoJson:
    """Return what the API shows of a picture."""
    return PhotoJson(
        info.ref, info.width, info.height, info.origin, info.uploaded.isoformat(), info.released is not None
    )


def photos_router(photos: Photos, incidents: Incidents, access: Access) -> APIRouter:
    """Return the staff's routes. What belongs to another ward's incident does not exist: 404."""
    router = APIRouter(prefix="/api/v1", tags=["photos"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.post("/photos", **_taking())
    async def send_photo(request: Request, person: Me) -> Response:
        """Take a picture of what was found or done. Name it as `photo` when resolving."""
        require_right(person, Right.PHOTOS)
        return await _take(request, photos, Origin.STAFF, person.username)

    @router.get("/photos/{ref}", response_class=Response, responses=_JPEG)
    async def read_photo(ref: _Ref, person: Me, small: _Small = False) -> Response:
        """Return a picture as JPEG; a look at a citizen's whole picture is recorded in the audit log."""
        return _picture(ref, await photos.read(ref, person, small=small), "no-store")

    @router.post("/photos/{ref}/release", **documented(PhotoJson, text="As it is now."))
    async def release_photo(ref: _Ref, body: Release, person: Me) -> Response:
        """Show a picture to the public, or no longer. Look first: faces and plates in it are not masked."""
        require_right(person, Right.PUBLISH)
        return json_answer(photo_view(await photos.release(ref, person, body.reason, released=body.released)))

    @router.get("/incidents/{incident_id}/photos", **documented(PhotoList, text="Its pictures."))
    async def list_photos(incident_id: _Ref, person: Me) -> Response:
        """Return the pictures of an incident, by citizens and by staff."""
        incident = await incidents.get(incident_id)
        if not scope_of(person).allows(incident.ward):
            raise NotFoundError(incident_id)
        return json_answer(PhotoList([photo_view(info) for info in await photos.of_incident(incident_id)]))

    return router


def public_photos_router(photos: Photos, allowances: Allowances, clock_us: ClockUs) -> APIRouter:
    """Return the public's routes. `allowances` has a bucket per address."""
    router = APIRouter(prefix="/api/v1/public", tags=["public"], dependencies=[Depends(require_own_page)])

    @router.post("/photos", **_taking())
    async def send_public_photo(request: Request) -> Response:
        """Take a citizen's picture. Name it in the report; nobody but staff sees it until they release it."""
        address = place_of(request.client.host if request.client else "unknown")
        wait_s = allowances.take(address, 1, clock_us())
        if wait_s:
            detail = "This address has sent as many pictures as one may for now."
            problem = refused("body", "rate", detail, 429)
            problem.headers["Retry-After"] = str(ceil(wait_s))
            return _lingering(problem)
        return await _take(request, photos, Origin.CITIZEN, None)

    @router.get("/photos/{ref}", response_class=Response, responses=_JPEG)
    async def read_public_photo(ref: _Ref, small: _Small = False) -> Response:
        """Return a picture that an operator has released; any other does not exist here."""
        answer = _picture(ref, await photos.read_released(ref, small=small), "public, max-age=300")
        # Open311 gives its address to other cities' pages.
        answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return answer

    return router


def _taking() -> dict[str, Any]:
    answer = documented(Sent, 201, "The picture is kept; the answer names it.")
    return answer | {"status_code": 201, "openapi_extra": answer["openapi_extra"] | _BODY}


def _picture(ref: str, data: bytes, cache: str) -> Response:
    headers = {**_HEADERS, "Cache-Control": cache, "Content-Disposition": f'inline; filename="ioc-{ref}.jpg"'}
    return Response(data, headers=headers, media_type="image/jpeg")


async def _take(request: Request, photos: Photos, origin: Origin, author: str | None) -> Response:
    incoming = _Incoming(request)
    try:
        async with photos.admission():
            info = await photos.take(await incoming.read(), origin, author)
    except (PhotoRefused, WorkshopBusy, PhotosFullError, TimeoutError) as error:
        problem = _problem(error)
        return respond(problem) if incoming.complete else _lingering(problem)
    except ClientDisconnect:
        return Response(status_code=_CLIENT_CLOSED)
    return json_answer(Sent(info.ref, info.width, info.height, photos.kept_s), 201)


class _Incoming:
    """The body of a request, and whether all of it was read."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.complete = False

    async def read(self) -> bytes:
        declared = self._request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > MAX_BYTES:
            raise PhotoRefused("max_bytes")
        data = bytearray()
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for chunk in self._request.stream():
                data += chunk
                if len(data) > MAX_BYTES:
                    raise PhotoRefused("max_bytes")
        self.complete = True
        return bytes(data)


def _problem(error: PhotoRefused | WorkshopBusy | PhotosFullError | TimeoutError) -> Problem:
    match error:
        case PhotoRefused():
            return refused("body", error.rule, RULES[error.rule], _STATUS.get(error.rule, 422))
        case PhotosFullError():
            return refused("body", error.rule, str(error), 507)
        case WorkshopBusy():
            problem = refused("body", "busy", "Too many pictures at once; send this one again.", 503)
            problem.headers["Retry-After"] = _BUSY_S
            return problem
    return refused("body", "read_timeout", f"The picture did not arrive within {READ_TIMEOUT_S:g} s.", 408)


def _lingering(problem: Problem) -> Response:
    """Let the sender finish, so that the answer is read."""
    return LingeringResponse(respond(problem), MAX_BYTES, 5.0)
