"""The city and its map for everybody: what stands on any map, and nothing else."""

import gzip
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Header, Response

from ioc.api.answers import documented, json_answer
from ioc.api.basemap import Basemap
from ioc.api.places import AreaCollection, AreaFeature, City
from ioc.api.ports import Places
from ioc.model.places import Area
from ioc.model.texts import Text

KINDS: Final = ("ward", "road", "water")
_CACHE: Final = "public, max-age=300"


class PublicCity(msgspec.Struct, frozen=True):
    """The city as a citizen's page first needs it. `bounds` is west, south, east, north."""

    name: Text
    center: tuple[float, float]
    bounds: tuple[float, float, float, float]
    illustrative: bool
    """Boundaries are drawn for illustration and are not the official ones."""
    demo: bool
    wards: dict[str, Text]
    """By code, as they are named today."""
    former: dict[str, str]
    """By code, what those wards took over, as people still call it: names apart by semicolons."""
    basemap: Basemap | None = None


def public_places_router(places: Places, city: Callable[[], City]) -> APIRouter:
    """Return the routes; both answers may be kept for 5 minutes by whoever likes."""
    router = APIRouter(prefix="/api/v1/public", tags=["public"])
    bodies = _PublicAreas(places)

    @router.get("/city", **documented(PublicCity, text="The city."))
    async def read_public_city() -> Response:
        """Return the city's name and bounds, and its wards' names."""
        known = city()
        areas = await places.areas("ward")
        wards = {area.code: area.name for area in areas}
        former = {area.code: str(names) for area in areas if (names := area.properties.get("former"))}
        shown = PublicCity(
            known.name,
            known.center,
            known.bounds,
            known.illustrative,
            known.demo,
            wards,
            former,
            known.basemap,
        )
        return json_answer(shown, headers={"Cache-Control": _CACHE})

    @router.get("/areas", **documented(AreaCollection, text="Wards, roads and water."))
    async def list_public_areas(
        accept_encoding: Annotated[str, Header(max_length=500)] = "",
        if_none_match: Annotated[str, Header(max_length=500)] = "",
    ) -> Response:
        """Return what a map is drawn from; send If-None-Match to ask again."""
        tag, plain, packed = await bodies.get()
        headers = {"ETag": tag, "Cache-Control": _CACHE, "Vary": "Accept-Encoding"}
        if tag in if_none_match:
            return Response(status_code=304, headers=headers)
        if "gzip" in accept_encoding:
            return Response(
                packed, headers=headers | {"Content-Encoding": "gzip"}, media_type="application/geo+json"
            )
        return Response(plain, headers=headers, media_type="application/geo+json")

    return router


class _PublicAreas:
    """The encoded collection of the present version: entity tag, plain, gzipped."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._version = ""
        self._made = ("", b"", b"")

    async def get(self) -> tuple[str, bytes, bytes]:
        version = await self._places.areas_version()
        if version != self._version:
            areas = [area for kind in KINDS for area in await self._places.areas(kind)]
            self._made = await to_thread.run_sync(_encoded, areas)
            self._version = version
        return self._made


def _encoded(areas: list[Area]) -> tuple[str, bytes, bytes]:
    plain = msgspec.json.encode(AreaCollection([_feature(area) for area in areas]))
    return f'W/"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"', plain, gzip.compress(plain, 6)


def _feature(area: Area) -> AreaFeature:
    properties: dict[str, Any] = {
        "code": area.code,
        "kind": area.kind,
        "name": area.name.vi,
        "name_en": area.name.en,
        "class": area.properties.get("class"),
    }
    return AreaFeature(area.geometry, properties)
