"""How devices fare, for everybody who sees them; the registry and maintenance, for engineers."""

import gzip
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Body, Depends, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.attachments import AttachmentJson, attachment_view
from ioc.api.device_files import DeviceId, device_problem
from ioc.api.device_outages import OutageJson, outage_view, tag_of
from ioc.api.device_ports import (
    DeviceRefusedError,
    Devices,
    DeviceStanding,
    RegistryChangedError,
    device_tag,
)
from ioc.api.places import still_of
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, may, require_own_page, require_right, scope_of
from ioc.model.device_health import Condition, Window
from ioc.model.places import Device, DeviceKind
from ioc.model.times import format_us, to_us
from ioc.store.users import Person

PACKED_FROM: Final = 64 << 10
"""Bytes from which an answer is packed for whoever reads that: ten thousand devices are four megabytes."""
_NO_TAG: Final = "-"
_Tag = Annotated[str | None, Header(max_length=100)]


class HealthJson(msgspec.Struct, frozen=True):
    """How a device fares. Rates are of the last five whole minutes, counts of the last hour.

    `clock_skew_s` is the median of received − time: above 0 its events come late or its clock is behind.
    """

    id: str
    kind: DeviceKind
    name: str
    ward: str | None
    condition: Condition
    seen: str | None
    event: str | None
    expected_interval_s: float | None
    events_per_min: float
    refused_per_min: float
    error_rate: float | None
    clock_skew_s: float | None
    wrong_positions: int
    backward_times: int
    repeated_times: int
    last_refusal: str | None
    decoder: str
    throttled: str | None
    """When a process last said that it lets through a trickle only."""
    lon: float | None
    lat: float | None
    has_picture: bool
    disabled: OutageJson | None
    """Since when it is out of service and why; null for one in service."""
    stream: AttachmentJson | None
    """Its event stream where we hold it; told to those who may change devices."""


class HealthList(msgspec.Struct, frozen=True):
    """Every device that the person may see, by id, as of `at`."""

    items: list[HealthJson]
    at: str


class RegisteredList(msgspec.Struct, frozen=True):
    """Devices with everything that is registered of them but their keys."""

    items: list[Device]


class WindowJson(msgspec.Struct, frozen=True, kw_only=True):
    """Maintenance of a device, `from` ≤ t < `to`."""

    id: int
    device: str
    from_: str = msgspec.field(name="from")
    to: str
    reason: str
    author: str
    created: str


class WindowList(msgspec.Struct, frozen=True):
    """Maintenance in the order in which it begins."""

    items: list[WindowJson]


class MaintenanceBody(BaseModel):
    """When somebody works on a device, and why. Without `from` it begins as soon as rules can know of it."""

    model_config = ConfigDict(extra="forbid")

    from_: Annotated[datetime | None, Field(alias="from")] = None
    to: datetime
    reason: Annotated[str, Field(min_length=1, max_length=500), NO_NUL]


def health_view(standing: DeviceStanding, *, streams: bool) -> HealthJson:
    """Return a device's health in the shape of the API, with its held `streams` or without."""
    device, health, outage = standing.device, standing.health, standing.outage
    stream = standing.stream if streams else None
    rate = None if health.error_rate is None else round(health.error_rate, 4)
    return HealthJson(
        device.id, device.kind, device.name, device.ward, standing.condition, _shown(health.seen_us),
        _shown(health.event_us), device.expected_interval_s, health.events_per_min, health.refused_per_min,
        rate, health.skew_s, health.positions, health.backward, health.repeated, health.refusal,
        device.decoder, _shown(health.throttled_us), device.lon, device.lat, still_of(device) is not None,
        None if outage is None else outage_view(outage), None if stream is None else attachment_view(stream),
    )  # fmt: skip


def window_view(window: Window) -> WindowJson:
    """Return maintenance in the shape of the API."""
    return WindowJson(
        id=window.id, device=window.device_id, from_=format_us(window.from_us), to=format_us(window.to_us),
        reason=window.reason, author=window.author, created=format_us(window.created_us),
    )  # fmt: skip


def _shown(time_us: int | None) -> str | None:
    return None if time_us is None else format_us(time_us)


def _moment_us(moment: datetime | None, field: str) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise refused(field, "zone", "expected a time with a zone, e.g. 2026-11-29T01:00:00+07:00")
    return to_us(moment)


def _seen(if_match: str | None, if_none_match: str | None) -> str | None:
    """Return the tag that a device must have to be replaced, "" where there must be none, None for any."""
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise refused("If-None-Match", "asterisk", "expected *: register it only where there is none")
        return ""
    return None if if_match is None else tag_of(if_match) or _NO_TAG


def _tagged(device: Device) -> Response:
    return json_answer(device, headers={"ETag": f'"{device_tag(device)}"'})


def devices_router(devices: Devices, access: Access) -> APIRouter:
    """Return the routes of the device registry."""
    router = APIRouter(prefix="/api/v1", tags=["devices"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/devices/health", **documented(HealthList, text="Devices and how they fare."))
    async def list_health(
        person: Me, accept_encoding: Annotated[str, Header(max_length=500)] = ""
    ) -> Response:
        """Return how the devices fare that the person may see, as of a few seconds ago at the most."""
        scope = scope_of(person)
        at_us, standings = await devices.standings()
        streams = may(person, Right.DEVICES)
        found = [health_view(each, streams=streams) for each in standings if scope.allows(each.device.ward)]
        answer = json_answer(HealthList(found, format_us(at_us)))
        return await _packed(answer) if "gzip" in accept_encoding else answer

    @router.get("/registry/devices", **documented(RegisteredList, text="The registry."))
    async def list_registered(person: Me) -> Response:
        """Return what is registered of every device."""
        require_right(person, Right.DEVICES)
        return json_answer(RegisteredList(list(await devices.registered())))

    @router.get("/registry/devices/{device_id}", **documented(Device, text="The device as registered."))
    async def read_device(device_id: DeviceId, person: Me) -> Response:
        """Return what is registered of a device; its ETag goes with a change as `If-Match`."""
        require_right(person, Right.DEVICES)
        return _tagged(await devices.device(device_id))

    @router.put("/registry/devices/{device_id}", **documented(Device, text="The device as registered."))
    async def put_device(
        device_id: DeviceId,
        values: Annotated[dict[str, Any], Body()],
        person: Me,
        if_match: _Tag = None,
        if_none_match: _Tag = None,
    ) -> Response:
        """Register a device, or replace all of it but its keys. The body has its fields without `id`.

        With `If-Match` only the device of that ETag is replaced, with `If-None-Match: *` none is; else 412.
        """
        require_right(person, Right.DEVICES)
        seen = _seen(if_match, if_none_match)
        try:
            return _tagged(await devices.put(device_id, values, person.username, seen))
        except RegistryChangedError as error:
            detail = (
                "There is already a device of this id." if seen == "" else "Somebody has changed it since."
            )
            raise refused("If-None-Match" if seen == "" else "If-Match", "unchanged", detail, 412) from error
        except DeviceRefusedError as error:
            raise device_problem(error) from error

    _maintenance_routes(router, devices, access)
    return router


async def _packed(answer: Response) -> Response:
    if len(answer.body) < PACKED_FROM:
        return answer
    packed = await to_thread.run_sync(gzip.compress, bytes(answer.body), 1)
    headers = {"Cache-Control": "no-store", "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(packed, headers=headers, media_type="application/json")


def _maintenance_routes(router: APIRouter, devices: Devices, access: Access) -> None:
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/registry/maintenance", **documented(WindowList, text="Maintenance."))
    async def list_maintenance(person: Me) -> Response:
        """Return maintenance that goes on, will come, or ended within a month."""
        require_right(person, Right.DEVICES)
        return json_answer(WindowList([window_view(each) for each in await devices.windows()]))

    @router.post("/registry/devices/{device_id}/maintenance", **documented(WindowJson, 201))
    async def announce(device_id: DeviceId, body: MaintenanceBody, person: Me) -> Response:
        """Announce maintenance: meanwhile nobody misses the device. It begins in ten seconds or later."""
        require_right(person, Right.DEVICES)
        begin_us, end_us = _moment_us(body.from_, "from"), _moment_us(body.to, "to")
        assert end_us is not None
        try:
            window = await devices.maintain(device_id, begin_us, end_us, body.reason, person.username)
        except DeviceRefusedError as error:
            raise device_problem(error) from error
        return json_answer(window_view(window), 201)

    @router.delete("/registry/maintenance/{window_id}", **documented(WindowJson))
    async def end(window_id: Annotated[int, Path(ge=1, le=2**62)], person: Me) -> Response:
        """End maintenance in ten seconds, or let it never begin."""
        require_right(person, Right.DEVICES)
        return json_answer(window_view(await devices.end_maintenance(window_id, person.username)))
