"""Incidents for other systems: DATEX II v3, CAP 1.2, NGSI-LD and GeoJSON, without anything personal."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from ioc.api.export_cap import cap_feed
from ioc.api.export_datex2 import datex2_publication
from ioc.api.export_ngsi import ngsi_alerts
from ioc.api.export_view import PublicIncident, Publisher, public_incidents
from ioc.api.incidents import Shown, page_of
from ioc.api.places import City
from ioc.api.ports import Incidents, Places
from ioc.api.problems import NO_NUL
from ioc.api.security import Access, visible_wards
from ioc.model.incidents import Incident, Severity
from ioc.model.times import format_us
from ioc.store.incidents import MAX_PAGE, IncidentFilter
from ioc.store.users import Person
from ioc.stream.ports import ClockUs

PREFIX: Final = "/api/v1/export"


class ExportFormat(StrEnum):
    """How incidents are written; the end of the path."""

    DATEX2 = "datex2"
    CAP = "cap"
    NGSI_LD = "ngsi-ld"
    GEOJSON = "geojson"


_MEDIA: Final = {
    ExportFormat.DATEX2: "application/json",
    ExportFormat.CAP: "application/atom+xml",
    ExportFormat.NGSI_LD: "application/ld+json",
    ExportFormat.GEOJSON: "application/geo+json",
}
_TEXT: Final = (
    "Incidents without personal data. ETag; `Link` with rel=next names the next page, if there is one."
)


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver asks for."""

    state: Shown
    ward: str | None
    severity: tuple[Severity, ...]
    category: str | None
    limit: int
    cursor: str | None


def _export_query(
    state: Shown = Shown.OPEN,
    ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
    severity: Annotated[list[Severity] | None, Query(max_length=4)] = None,
    category: Annotated[str | None, Query(max_length=100), NO_NUL] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 200,
    cursor: Annotated[str | None, Query(max_length=500), NO_NUL] = None,
) -> ExportQuery:
    return ExportQuery(
        state=state, ward=ward, severity=tuple(severity or ()), category=category, limit=limit, cursor=cursor
    )


def exports_router(
    incidents: Incidents, places: Places, city: Callable[[], City], access: Access, clock_us: ClockUs
) -> APIRouter:
    """Return the routes. A person and a token see the wards they see elsewhere."""
    router = APIRouter(prefix=PREFIX, tags=["incidents"])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type
    Asked = Annotated[ExportQuery, Depends(_export_query)]  # noqa: N806

    def route(form: ExportFormat) -> None:
        async def export(
            person: Me,
            request: Request,
            asked: Asked,
            if_none_match: Annotated[str, Header(max_length=500)] = "",
        ) -> Response:
            query = IncidentFilter(
                open_only=asked.state is Shown.OPEN,
                wards=visible_wards(person, asked.ward),
                severities=asked.severity,
                category=asked.category,
                limit=asked.limit,
                cursor=asked.cursor,
            )
            found, following = await page_of(incidents, query)
            publisher = await _publisher(request, places, city())
            tag = _tag(form, found, publisher, following)
            headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
            if following is not None:
                headers["Link"] = _link(request, following)
            if tag in if_none_match:
                return Response(status_code=304, headers=headers)
            body = _WRITERS[form](public_incidents(found), publisher, clock_us())
            return Response(body, 200, headers, _MEDIA[form])

        router.add_api_route(
            f"/incidents.{form.value}",
            export,
            name=f"export_incidents_{form.name.lower()}",
            description=f"Return open incidents, or all, newest first, as {form.name}.",
            response_class=Response,
            responses={200: {"description": _TEXT, "content": {_MEDIA[form]: {}}}},
        )

    for each in ExportFormat:
        route(each)
    return router


async def _publisher(request: Request, places: Places, known: City) -> Publisher:
    wards = {area.code: area.name for area in await places.areas("ward")}
    host = request.url.hostname or "ioc"
    return Publisher(host=host, city=known.name, is_real=not known.demo, wards=wards)


def _tag(form: ExportFormat, found: Sequence[Incident], publisher: Publisher, following: str | None) -> str:
    """Return what changes when the answer would, but for the time at which it is written."""
    told = [(incident.id, incident.rev) for incident in found]
    content = msgspec.json.encode((form, told, publisher, following))
    return f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def _link(request: Request, cursor: str) -> str:
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f'<{request.url.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'


def _geojson(found: Iterable[PublicIncident], publisher: Publisher, now_us: int) -> bytes:
    """Return a FeatureCollection; an incident without position has no geometry."""
    collection = {
        "type": "FeatureCollection",
        "generated": format_us(now_us),
        "test": not publisher.is_real,
        "features": [_feature(incident) for incident in found],
    }
    return msgspec.json.encode(collection)


def _feature(incident: PublicIncident) -> dict[str, Any]:
    at = None if incident.lon is None else {"type": "Point", "coordinates": [incident.lon, incident.lat]}
    return {
        "type": "Feature",
        "id": incident.id,
        "geometry": at,
        "properties": {
            "rev": incident.rev,
            "category": incident.category,
            "severity": incident.severity,
            "title": incident.title.vi,
            "title_en": incident.title.en,
            "ward": incident.ward,
            "opened": format_us(incident.opened_us),
            "updated": format_us(incident.updated_us),
            "ended": None if incident.ended_us is None else format_us(incident.ended_us),
            "withdrawn": incident.withdrawn,
        },
    }


_WRITERS: Final[dict[ExportFormat, Callable[[Sequence[PublicIncident], Publisher, int], bytes]]] = {
    ExportFormat.DATEX2: datex2_publication,
    ExportFormat.CAP: cap_feed,
    ExportFormat.NGSI_LD: ngsi_alerts,
    ExportFormat.GEOJSON: _geojson,
}
