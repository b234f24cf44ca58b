"""Devices out of service and back, for engineers: asked twice, each route answers the same."""

from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.device_files import DeviceId, device_problem
from ioc.api.device_ports import DeviceRefusedError, Devices, RegistryChangedError
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.model.device_health import Outage
from ioc.model.times import format_us
from ioc.store.device_outages import MAX_REASON_CHARS
from ioc.store.users import Person

_Reason = Annotated[str, Field(max_length=MAX_REASON_CHARS), NO_NUL]


class OutageJson(msgspec.Struct, frozen=True):
    """Since when a device is out of service, why, and who said so."""

    since: str
    reason: str
    author: str


class ServiceState(StrEnum):
    """Whether a device takes part."""

    IN_SERVICE = "in_service"
    DISABLED = "disabled"
    REMOVED = "removed"


class ServiceJson(msgspec.Struct, frozen=True):
    """Whether a device is in service; `outage` is what goes on, or what has just ended."""

    device: str
    state: ServiceState
    outage: OutageJson | None


class DisableBody(BaseModel):
    """Why a device is taken out of service."""

    model_config = ConfigDict(extra="forbid")

    reason: _Reason = ""


def outage_view(outage: Outage) -> OutageJson:
    """Return an outage in the shape of the API."""
    return OutageJson(format_us(outage.created_us), outage.reason, outage.author)


def service_view(device_id: str, outage: Outage | None) -> ServiceJson:
    """Return whether a device is in service in the shape of the API."""
    if outage is None:
        return ServiceJson(device_id, ServiceState.IN_SERVICE, None)
    state = ServiceState(outage.kind.value) if outage.lasts else ServiceState.IN_SERVICE
    return ServiceJson(device_id, state, outage_view(outage))


def tag_of(header: str) -> str:
    """Return the tag of an `If-Match`; a proxy that packs answers marks their tags as weak."""
    return header.strip().removeprefix("W/").strip('"')


def device_outages_router(devices: Devices, access: Access) -> APIRouter:
    """Return the routes that disable, enable and remove."""
    router = APIRouter(prefix="/api/v1/registry", tags=["devices"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.post("/devices/{device_id}/disable", **documented(ServiceJson, text="It is disabled."))
    async def disable(device_id: DeviceId, body: DisableBody, person: Me) -> Response:
        """Take a device out of service: what it sends is refused, its stream is closed, nobody misses it."""
        require_right(person, Right.DEVICES)
        try:
            outage = await devices.disable(device_id, body.reason, person.username)
        except DeviceRefusedError as error:
            raise device_problem(error) from error
        return json_answer(service_view(device_id, outage))

    @router.post("/devices/{device_id}/enable", **documented(ServiceJson, text="It is in service."))
    async def enable(device_id: DeviceId, person: Me) -> Response:
        """Put a device into service again, with the keys and the login that it has."""
        require_right(person, Right.DEVICES)
        return json_answer(service_view(device_id, await devices.enable(device_id, person.username)))

    @router.delete("/devices/{device_id}", **documented(ServiceJson, text="It is removed."))
    async def remove(
        device_id: DeviceId,
        person: Me,
        reason: Annotated[str, Query(max_length=MAX_REASON_CHARS), NO_NUL] = "",
        if_match: Annotated[str | None, Header(max_length=100)] = None,
    ) -> Response:
        """Remove a device with its keys and its login. What it sent stays, and it may be registered anew.

        With `If-Match` only the device of that ETag is removed; else 412.
        """
        require_right(person, Right.DEVICES)
        seen = None if if_match is None else tag_of(if_match)
        try:
            outage = await devices.remove(device_id, reason, person.username, seen)
        except RegistryChangedError as error:
            raise refused("If-Match", "unchanged", "Somebody has changed it since.", 412) from error
        except DeviceRefusedError as error:
            raise device_problem(error) from error
        return json_answer(service_view(device_id, outage))

    return router
