"""The city, its areas, its devices, and the cameras' pictures."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from ioc.api.answers import documented, json_answer
from ioc.api.basemap import Basemap
from ioc.api.pictures import PictureError, PictureProxy
from ioc.api.ports import NotFoundError, Places
from ioc.api.problems import NO_NUL, Problem
from ioc.api.security import Access, scope_of
from ioc.model.places import Area, Device, DeviceKind
from ioc.model.texts import Text
from ioc.store.users import Person
from ioc.stream.wire import DeviceJson

_MAX_KINDS_CACHED: Final = 32
_PRIVATE: Final = "private, no-cache"
_PLAYLISTS: Final = (".m3u8", ".mpd")
_PICTURE_HEADERS: Final = {
    "Cache-Control": "private, max-age=1",
    # Whatever the camera sent is shown as a picture or not at all.
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


class City(msgspec.Struct, frozen=True, kw_only=True):
    """The city as a console first needs it. `bounds` is west, south, east, north."""

    name: Text
    center: tuple[float, float]
    bounds: tuple[float, float, float, float]
    illustrative: bool
    version: str
    state_ttl_s: int
    demo: bool
    basemap: Basemap | None = None
    """None draws the areas and nothing under them."""


class AreaFeature(msgspec.Struct, frozen=True):
    """A GeoJSON feature. `properties` has code, kind, name, name_en, illustrative, valid_from, valid_to."""

    geometry: dict[str, Any]
    properties: dict[str, Any]
    type: Literal["Feature"] = "Feature"


class AreaCollection(msgspec.Struct, frozen=True):
    """A GeoJSON feature collection."""

    features: list[AreaFeature]
    type: Literal["FeatureCollection"] = "FeatureCollection"


class DeviceList(msgspec.Struct, frozen=True):
    """Every device that the person may see."""

    items: list[DeviceJson]
    version: int
    """Of the register: what the feed's frames of devices go on from."""


def _feature(area: Area) -> AreaFeature:
    properties = {
        **area.properties,
        "code": area.code,
        "kind": area.kind,
        "name": area.name.vi,
        "name_en": area.name.en,
        "illustrative": area.illustrative,
        "valid_from": area.valid_from,
        "valid_to": area.valid_to,
    }
    return AreaFeature(area.geometry, properties)


class _AreaBodies:
    """The encoded collections of the present version, by kind."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._version = ""
        self._bodies: dict[str | None, tuple[str, bytes]] = {}

    async def get(self, kind: str | None) -> tuple[str, bytes]:
        """Return the entity tag and the body."""
        version = await self._places.areas_version()
        if version != self._version or len(self._bodies) >= _MAX_KINDS_CACHED:
            self._version, self._bodies = version, {}
        if kind not in self._bodies:
            areas = await self._places.areas(kind)
            body = msgspec.json.encode(AreaCollection([_feature(area) for area in areas]))
            self._bodies[kind] = (f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', body)
        return self._bodies[kind]


def places_router(
    places: Places, pictures: PictureProxy, city: Callable[[], City], access: Access
) -> APIRouter:
    """Return the routes of places. Ward staff see the devices of their wards; areas are no secret."""
    router = APIRouter(prefix="/api/v1", tags=["places"])
    bodies = _AreaBodies(places)
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/city", **documented(City, text="The city."))
    async def read_city(_person: Me) -> Response:
        """Return what a console needs before anything else."""
        return json_answer(city())

    @router.get("/areas", **documented(AreaCollection, text="Areas; send If-None-Match to ask again."))
    async def list_areas(
        _person: Me, request: Request, kind: Annotated[str | None, Query(max_length=64), NO_NUL] = None
    ) -> Response:
        """Return wards, roads, underpasses and so on, of one kind or all."""
        tag, body = await bodies.get(kind)
        headers = {"ETag": tag, "Cache-Control": _PRIVATE}
        known = {
            item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")
        }
        if tag in known or "*" in known:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="application/geo+json")

    @router.get("/devices", **documented(DeviceList, text="Registered devices."))
    async def list_devices(person: Me) -> Response:
        """Return the devices that the person may see."""
        scope, devices, version = scope_of(person), await places.devices(), places.devices_version()
        items = [shown(d, disabled=places.disabled(d.id)) for d in devices if scope.allows(d.ward)]
        return json_answer(DeviceList(items, version))

    @router.get(
        "/cameras/{camera_id}/picture",
        response_class=Response,
        responses={200: {"description": "The picture.", "content": {"image/jpeg": {}}}},
    )
    async def read_picture(camera_id: str, person: Me) -> Response:
        """Return what a camera sees now; 502 when it does not answer."""
        device = await places.device(camera_id)
        url = _picture_url(device, person)
        if url is None:
            raise NotFoundError(camera_id)
        try:
            picture = await pictures.fetch(url, device)
        except PictureError as error:
            raise Problem(502, f"No picture of {camera_id}: {error}") from error
        return Response(picture.data, media_type=picture.media_type, headers=_PICTURE_HEADERS)

    return router


def shown(d: Device, *, disabled: bool) -> DeviceJson:
    """Return a device as the map shows it."""
    return DeviceJson(d.id, d.kind, d.name, d.ward, d.lon, d.lat, still_of(d) is not None, disabled)


def _picture_url(device: Device | None, person: Person) -> str | None:
    """Return where the picture is, None where there is none or the person may not see it."""
    if device is None or device.kind is not DeviceKind.CAMERA or not scope_of(person).allows(device.ward):
        return None
    return still_of(device)


def still_of(device: Device) -> str | None:
    """Return where pictures of a camera are: its own address, or else its stream where that may be MJPEG."""
    if device.picture_url is not None or device.stream_url is None:
        return device.picture_url
    parts = urlsplit(device.stream_url)
    fetched = parts.scheme in ("http", "https") and not parts.path.lower().endswith(_PLAYLISTS)
    return device.stream_url if fetched else None
