"""Open311 GeoReport v2: other cities' programs report here, and anybody follows what became of reports.

Partners send with an API token as `api_key` (`ioc tokens issue NAME --scope reports:write`), in the body,
since addresses are logged. Asking needs none. A tracking code is what the specification calls a token.
Pictures come within the form or not at all: an address where one might be is never fetched.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
import psycopg
from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ioc.api import georeport as doc
from ioc.api import georeport_input as asked
from ioc.api.access_table import TokenScope
from ioc.api.citizen_ports import (
    Citizens,
    PublicRequests,
    QuotaError,
    Receipt,
    Submission,
    UnfitReportError,
)
from ioc.api.georeport_form import MAX_PICTURES, MULTIPART, PICTURE
from ioc.api.georeport_input import Arguments, GeoReportError, Locale
from ioc.api.intake import Intake, TooMuch
from ioc.api.open311_documents import (
    created_document,
    definition_document,
    discovery_document,
    service_document,
    shown_document,
)
from ioc.api.open311_form import IncomingForm
from ioc.api.photos import PUBLIC_PHOTOS_PATH
from ioc.api.ports import NotFoundError, Photos, PhotosFullError, Tokens
from ioc.api.problems import NO_NUL
from ioc.api.public import address_of
from ioc.api.security import MAX_TOKEN_CHARS
from ioc.ingest.http_body import LingeringResponse
from ioc.model.texts import Text
from ioc.model.times import from_us
from ioc.photos.check import MAX_BYTES, MAX_PIXELS, PhotoRefused
from ioc.photos.workshop import WorkshopBusy
from ioc.store.users import Person
from ioc.stream.ports import ClockUs

PREFIX: Final = "/open311/v2"

_UNFIT: Final = {
    "service": (404, Text("service_code: không có dịch vụ này", "service_code was not found")),
    "place_required": (
        400,
        Text(
            "lat: phải có lat và long, hoặc address_string", "lat: expected lat and long, or address_string"
        ),
    ),
    "in_city": (400, Text("lat: vị trí nằm ngoài thành phố", "lat: this place is outside the city")),
    "in_ward": (
        400,
        Text(
            "lat: vị trí không thuộc phường, xã nào của thành phố", "lat: this place is in none of our wards"
        ),
    ),
    "idem_reused": (
        400,
        Text(
            "Idempotency-Key: khóa này đã dùng cho phản ánh khác",
            "Idempotency-Key: this key was used for another report",
        ),
    ),
}
"""What the counter refuses, in the names that the specification gives."""
_NO_KEY: Final = Text(
    "api_key không có hoặc không hợp lệ; gửi trong nội dung biểu mẫu.",
    "Missing or invalid api_key; send it in the body of the form.",
)
_NOT_FOUND: Final = Text("Không tìm thấy.", "Not found.")
_TOO_MANY: Final = Text("Quá nhiều yêu cầu; vui lòng chờ.", "Too many requests; wait before the next.")
_KEY_FIRST: Final = Text(
    f"Không có api_key hợp lệ trước {PICTURE}: gửi các trường trước, ảnh sau.",
    f"No valid api_key before {PICTURE}: send the fields first and then the pictures.",
)
_NO_PICTURES: Final = Text(f"{PICTURE}: nơi này không nhận ảnh", f"{PICTURE}: pictures are not taken here")
_BUSY: Final = Text(
    f"{PICTURE}: đang nhận quá nhiều ảnh; vui lòng gửi lại sau",
    f"{PICTURE}: too many pictures at once; send the report again",
)
_FULL: Final = Text(
    f"{PICTURE}: hiện không còn chỗ lưu ảnh", f"{PICTURE}: there is no room for another picture now"
)
_PICTURE_FAULTS: Final = {
    "empty": Text("ảnh rỗng", "the picture is empty"),
    "max_bytes": Text(
        f"ảnh có nhiều nhất {MAX_BYTES >> 20} MB", f"a picture has at most {MAX_BYTES >> 20} MB"
    ),
    "not_an_image": Text("phải là ảnh JPEG, PNG hoặc WebP", "expected a JPEG, PNG or WebP picture"),
    "max_pixels": Text(
        f"ảnh có nhiều nhất {MAX_PIXELS // 1_000_000} megapixel",
        f"a picture has at most {MAX_PIXELS // 1_000_000} megapixels",
    ),
    "animated": Text("phải là ảnh tĩnh", "expected a still picture"),
    "polyglot": Text(
        "tệp vừa là ảnh vừa là thứ khác (trang web, mã lệnh, tệp nén)",
        "the file is a picture and something else as well (a page, a script, an archive)",
    ),
    "broken": Text("ảnh bị hỏng hoặc thiếu phần cuối", "the picture is damaged or ends too early"),
    "too_costly": Text(
        "giải mã ảnh tốn quá nhiều bộ nhớ hoặc thời gian",
        "decoding the picture takes more memory or time than a picture may",
    ),
}
"""By the rule that refuses a picture, see `ioc/photos/check.py`."""
_BUSY_S: Final = 5
_CLIENT_CLOSED: Final = 499
_AWAY: Final = Text("Hệ thống tạm thời không trả lời.", "The service does not answer at the moment.")
_errors = Counter("ioc_open311_errors_total", "Requests of Open311 that were refused", ["status"])

OurKind = Annotated[doc.Kind, Path(description="form of the answer")]
RequestId = Annotated[str, Path(max_length=40), NO_NUL]


class _SpecRoute(APIRoute):
    """Answers every refusal in the specification's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except (
                GeoReportError,
                NotFoundError,
                TooMuch,
                RequestValidationError,
                HTTPException,
                psycopg.OperationalError,
            ) as error:
                answer = _refusal(request, _as_geo(error))
                # Let the sender finish, so that the answer is read.
                unread = getattr(request.state, "unread", False)
                return LingeringResponse(answer, MAX_BYTES, 5.0) if unread else answer
            except ClientDisconnect:
                return Response(status_code=_CLIENT_CLOSED)

        return handler


def _as_geo(error: Exception) -> GeoReportError:
    if isinstance(error, GeoReportError):
        return error
    if isinstance(error, NotFoundError):
        return GeoReportError(404, _NOT_FOUND)
    if isinstance(error, TooMuch):
        return GeoReportError(429, _TOO_MANY, retry_after_s=error.retry_after_s)
    if isinstance(error, RequestValidationError):
        faults = [f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors()]
        return GeoReportError(400, *(Text(fault, fault) for fault in faults))
    if isinstance(error, HTTPException):
        return GeoReportError(error.status_code, Text(error.detail, error.detail))
    return GeoReportError(503, _AWAY, retry_after_s=2)


def _refusal(request: Request, error: GeoReportError) -> Response:
    _errors.labels(str(error.status)).inc()
    kind: doc.Kind = "json" if request.path_params.get("kind") == "json" else "xml"
    english = request.query_params.get("locale") == "en"
    found = [
        doc.Error(code=error.status, description=text.en if english else text.vi) for text in error.errors
    ]
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return _answer(doc.ErrorList(errors=found), kind, error.status, headers)


def _answer(
    document: doc.Document, kind: doc.Kind, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    media_type = f"{doc.MEDIA_TYPES[kind]}; charset=utf-8"
    merged = {"Cache-Control": "no-store", "Content-Type": media_type} | (headers or {})
    return Response(doc.render(document, kind), status, merged)


def _documented(text: str, *names: str) -> dict[str, Any]:
    """Return the keyword arguments of a route whose query holds `names`."""
    content: dict[str, dict[str, Any]] = {media_type: {} for media_type in doc.MEDIA_TYPES.values()}
    parameters = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
        for name in ("jurisdiction_id", "locale", *names)
    ]
    return {
        "responses": {200: {"description": text, "content": content}},
        "openapi_extra": {"parameters": parameters},
        "response_class": Response,
    }


_QUERY: Final = (
    "service_request_id",
    "service_code",
    "start_date",
    "end_date",
    "status",
    "page",
    "page_size",
)
_FIELDS: Final = (
    "api_key", "jurisdiction_id", "service_code", "lat", "long", "address_string", "description", "email",
    "phone", "first_name", "last_name", "media_url", "attribute[depth]",
)  # fmt: skip


def _form_schema(**more: Any) -> dict[str, Any]:
    fields = {name: {"type": "string"} for name in _FIELDS}
    return {
        "schema": {
            "type": "object",
            "properties": fields | more,
            "required": ["api_key", "service_code"],
        }
    }


_SENDING: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"In {MULTIPART} fields come before pictures.",
        "content": {
            asked.FORM: _form_schema(),
            MULTIPART: _form_schema(
                media={
                    "type": "array",
                    "maxItems": MAX_PICTURES,
                    "items": {"type": "string", "format": "binary"},
                    "description": f"JPEG, PNG or WebP; {MAX_BYTES} bytes together.",
                }
            ),
        },
    }
}


class Open311(msgspec.Struct, frozen=True, kw_only=True):
    """What the interface stands on; `jurisdiction` empty takes any `jurisdiction_id`."""

    citizens: Citizens
    requests: PublicRequests
    tokens: Tokens
    intake: Intake
    clock_us: ClockUs
    photos: Photos | None = None
    """None takes reports without pictures only."""
    jurisdiction: str = ""
    is_real: Callable[[], bool] = lambda: True
    """False for a demonstration, whose reports nobody looks after."""

    def arguments(self, request: Request) -> Arguments:
        """Return the arguments in a request's query. Raises `GeoReportError`."""
        arguments = asked.read_arguments(request.url.query)
        self.check_jurisdiction(arguments)
        return arguments

    def check_jurisdiction(self, arguments: Arguments) -> None:
        """Raise `GeoReportError` where another city is meant."""
        named = arguments.one("jurisdiction_id")
        if self.jurisdiction and named is not None and named != self.jurisdiction:
            raise GeoReportError(
                404, Text("jurisdiction_id: không tìm thấy", "jurisdiction_id provided was not found")
            )

    def look(self, request: Request) -> None:
        """Count a look of the address that asks. Raises `TooMuch`."""
        self.intake.look(address_of(request), self.clock_us())

    async def shown(
        self, query: asked.RequestQuery, request: Request, locale: Locale
    ) -> list[doc.ServiceRequest]:
        """Return the reports that are asked for."""
        found = await self.requests.find(query)
        photos = f"{str(request.base_url).rstrip('/')}{PUBLIC_PHOTOS_PATH}"
        return [shown_document(each, self.citizens.policy, locale, photos) for each in found]


def open311_router(parts: Open311) -> APIRouter:
    """Return the routes of GeoReport v2."""
    router = APIRouter(prefix=PREFIX, tags=["open311"], route_class=_SpecRoute)
    _add_services(router, parts)
    _add_sending(router, parts)
    _add_requests(router, parts)
    return router


def _add_services(router: APIRouter, parts: Open311) -> None:
    @router.get("/discovery.{kind}", **_documented("Where to find what."))
    async def discover(kind: OurKind, request: Request) -> Response:
        """Say which interface there is."""
        parts.arguments(request)
        url = f"{request.base_url}{PREFIX.removeprefix('/')}"
        return _answer(discovery_document(url, is_real=parts.is_real()), kind)

    @router.get("/services.{kind}", **_documented("What can be reported."))
    async def list_services(kind: OurKind, request: Request) -> Response:
        """Return what can be reported."""
        locale = parts.arguments(request).locale
        services = [service_document(service, locale) for service in parts.citizens.policy.services]
        return _answer(doc.ServiceList(services=services), kind, headers={"Cache-Control": "max-age=60"})

    @router.get("/services/{service_code}.{kind}", **_documented("What it asks for."))
    async def define_service(service_code: RequestId, kind: OurKind, request: Request) -> Response:
        """Return what a service asks for besides text and place."""
        locale = parts.arguments(request).locale
        service = parts.citizens.policy.service(service_code)
        if service is None:
            raise GeoReportError(*_UNFIT["service"])
        return _answer(definition_document(service, locale), kind)


def _add_sending(router: APIRouter, parts: Open311) -> None:
    @router.post("/requests.{kind}", openapi_extra=_SENDING, response_class=Response, status_code=201)
    async def send(kind: OurKind, request: Request) -> Response:
        """Take a report of a partner; the tracking code in `service_notice` is for its author."""
        incoming = IncomingForm(request)
        partner = await _partner(parts, await incoming.fields(), pictures=incoming.has_pictures)
        async with AsyncExitStack() as held:
            if incoming.has_pictures:
                await held.enter_async_context(_admission(parts.photos))
            form, pictures = await incoming.rest()
            locale = parts.arguments(request).locale
            key = request.headers.get("idempotency-key")
            told = _submission(parts.citizens, form, partner.name, key, locale)
            told = msgspec.structs.replace(told, pictures=pictures)
            created = [created_document(await _taken(parts.citizens, told), locale)]
        return _answer(doc.RequestList(service_requests=created), kind, 201)


def _add_requests(router: APIRouter, parts: Open311) -> None:
    @router.get("/tokens/{token}.{kind}", **_documented("Which report it stands for."))
    async def of_token(token: RequestId, kind: OurKind, request: Request) -> Response:
        """Return the number of the report that a tracking code follows."""
        parts.look(request)
        parts.arguments(request)
        report = await parts.citizens.follow(token)
        found = [doc.OfToken(service_request_id=report.id, token=token)]
        return _answer(doc.RequestList(service_requests=found), kind)

    @router.get("/requests.{kind}", **_documented("The reports, the latest first.", *_QUERY))
    async def list_requests(kind: OurKind, request: Request) -> Response:
        """Return reports of at most 90 days, at most 1,000 at once."""
        parts.look(request)
        arguments = parts.arguments(request)
        query = asked.read_query(arguments, from_us(parts.clock_us()))
        shown = await parts.shown(query, request, arguments.locale)
        return _answer(doc.RequestList(service_requests=shown), kind)

    @router.get("/requests/{request_id}.{kind}", **_documented("The report."))
    async def read_request(request_id: RequestId, kind: OurKind, request: Request) -> Response:
        """Return one report."""
        parts.look(request)
        locale, now = parts.arguments(request).locale, from_us(parts.clock_us())
        shown = await parts.shown(asked.RequestQuery(ids=(request_id,), start=now, end=now), request, locale)
        if not shown:
            raise NotFoundError(request_id)
        return _answer(doc.RequestList(service_requests=shown), kind)


async def _partner(parts: Open311, form: Arguments, *, pictures: bool) -> Person:
    """Return whose key it is, and count their report."""
    api_key = form.one("api_key")
    bearer = await parts.tokens.read(api_key) if api_key and len(api_key) <= MAX_TOKEN_CHARS else None
    if bearer is None or TokenScope.REPORTS_WRITE.value not in bearer.scopes:
        raise GeoReportError(403, _KEY_FIRST if pictures else _NO_KEY)
    parts.check_jurisdiction(form)
    parts.intake.partner(bearer.person.username, parts.clock_us())
    return bearer.person


@asynccontextmanager
async def _admission(photos: Photos | None) -> AsyncIterator[None]:
    """Hold a place for a report's pictures while they are received and re-encoded."""
    if photos is None:
        raise GeoReportError(400, _NO_PICTURES)
    try:
        async with photos.admission():
            yield
    except WorkshopBusy as error:
        raise GeoReportError(503, _BUSY, retry_after_s=_BUSY_S) from error


def _submission(
    citizens: Citizens, arguments: Arguments, partner: str, key: str | None, locale: Locale
) -> Submission:
    sent = asked.read_sent(arguments)
    service = citizens.policy.service(sent.service_code)
    if service is None:
        raise GeoReportError(*_UNFIT["service"])
    if key is not None and not (16 <= len(key) <= 100 and key.isascii() and key.isprintable()):
        raise GeoReportError(
            400,
            Text(
                "Idempotency-Key: phải có 16 đến 100 ký tự ASCII", "Idempotency-Key: expected 16 to 100 ASCII"
            ),
        )
    answers = asked.answers_to(service.attributes, sent.attributes, locale)
    return Submission(
        service=service.code,
        text="\n".join([sent.description or service.name.vi, *answers]),
        channel="open311",
        lon=sent.lon,
        lat=sent.lat,
        address=sent.address,
        contact=sent.contact,
        language=locale,
        partner=partner,
        media_url=sent.media_url,
        idem=key,
    )


async def _taken(citizens: Citizens, told: Submission) -> Receipt:
    try:
        return await citizens.submit(told)
    except UnfitReportError as error:
        fallback = (400, Text(str(error), str(error)))
        raise GeoReportError(*_UNFIT.get(error.rule, fallback)) from error
    except PhotoRefused as error:
        text = _PICTURE_FAULTS[error.rule]
        status = 413 if error.rule == "max_bytes" else 400
        raise GeoReportError(status, Text(f"{PICTURE}: {text.vi}", f"{PICTURE}: {text.en}")) from error
    except PhotosFullError as error:
        raise GeoReportError(507, _FULL) from error
    except QuotaError as error:
        raise GeoReportError(429, _TOO_MANY, retry_after_s=error.retry_after_s) from error
