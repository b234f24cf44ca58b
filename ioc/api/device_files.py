"""The device registry as files, and the devices' keys, for engineers."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.device_ports import (
    DeviceKey,
    DeviceRefusedError,
    Devices,
    FileFormat,
    ImportBusyError,
    ImportReport,
    RegistryChangedError,
)
from ioc.api.problems import NO_NUL, FieldError, Problem, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.model.times import format_us
from ioc.store.users import Person

IMPORT_PATH: Final = "/api/v1/registry/import"
IMPORT_BYTES: Final = 8 << 20
"""About 50,000 devices; what is larger goes in by `ioc devices import`."""
MAX_OVERLAP_H: Final = 24 * 90
_BUSY_S: Final = "5"
_MEDIA: Final = {FileFormat.CSV: "text/csv; charset=utf-8", FileFormat.GEOJSON: "application/geo+json"}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": f"The file, at most {IMPORT_BYTES} bytes.",
        "content": {
            media.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for media in _MEDIA.values()
        },
    }
}
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The file.", "content": {media.partition(";")[0]: {} for media in _MEDIA.values()}}
}

DeviceId = Annotated[str, Path(max_length=128), NO_NUL]
_Format = Annotated[FileFormat, Query(alias="format")]


class KeyJson(msgspec.Struct, frozen=True):
    """What may be shown of a key: `hash` are the first digits of its SHA-256. `revoked`: valid until then."""

    hash: str
    label: str
    created: str
    expires: str | None
    revoked: str | None


class KeyList(msgspec.Struct, frozen=True):
    """A device's keys, valid and revoked, oldest first."""

    items: list[KeyJson]


class NewKey(msgspec.Struct, frozen=True):
    """A device's new key, shown this once. `old_key_ends` is null where it had none."""

    device: str
    key: str
    old_key_ends: str | None


class RotateBody(BaseModel):
    """How long the old key stays valid beside the new one; 0 ends it at once."""

    model_config = ConfigDict(extra="forbid")

    overlap_h: Annotated[float, Field(ge=0, le=MAX_OVERLAP_H, allow_inf_nan=False)] = 168.0


def device_problem(error: DeviceRefusedError) -> Problem:
    """Return the answer that names each finding."""
    errors = [FieldError(field, "device", detail) for field, detail in error.faults]
    return Problem(422, "Some values are not accepted.", errors)


def device_files_router(devices: Devices, access: Access) -> APIRouter:
    """Return the routes of files and keys."""
    router = APIRouter(prefix="/api/v1/registry", tags=["devices"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/devices/{device_id}/keys", **documented(KeyList, text="The keys, without themselves."))
    async def list_keys(device_id: DeviceId, person: Me) -> Response:
        """Return when a device's keys were made and when they end."""
        require_right(person, Right.DEVICES)
        return json_answer(KeyList([_key_view(key) for key in await devices.keys(device_id)]))

    @router.post("/devices/{device_id}/keys", **documented(NewKey, 201))
    async def rotate(device_id: DeviceId, body: RotateBody, person: Me) -> Response:
        """Make a new key, and let the old one end; still older ones end now."""
        require_right(person, Right.DEVICES)
        key, ends_us = await devices.rotate_key(device_id, body.overlap_h * 3_600, person.username)
        return json_answer(NewKey(device_id, key, None if ends_us is None else format_us(ends_us)), 201)

    _import_route(router, devices, access)

    @router.get("/export", response_class=Response, responses=_FILES)
    async def export(person: Me, written_as: _Format = FileFormat.CSV) -> Response:
        """Return the whole registry as a file, without keys; addresses keep the passwords in them."""
        require_right(person, Right.DEVICES)
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="devices.{written_as.value}"',
        }
        text = await devices.write_file(written_as)
        return Response(text.encode(), headers=headers, media_type=_MEDIA[written_as])

    return router


def _import_route(router: APIRouter, devices: Devices, access: Access) -> None:
    answer = documented(ImportReport, text="What the file does to the registry.")

    @router.post("/import", **(answer | {"openapi_extra": answer["openapi_extra"] | _BODY}))
    async def import_file(
        request: Request,
        person: Annotated[Person, Depends(access.person)],
        written_as: _Format,
        dry_run: bool = True,
        keep_valid: bool = False,
        version: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    ) -> Response:
        """Say what a file of devices would do; with `dry_run=false` do it.

        Devices of the file are added or replaced, others stay. A file with any finding is refused without
        `keep_valid`. `version` is that of a dry run: where the registry has changed since, the answer is 409.
        """
        require_right(person, Right.DEVICES)
        data = await request.body()
        try:
            report = await devices.take_file(
                data, written_as, person.username, write=not dry_run, keep_valid=keep_valid, version=version
            )
        except DeviceRefusedError as error:
            raise device_problem(error) from error
        except RegistryChangedError as error:
            detail = "The registry has changed since this file was looked at; look at it again."
            raise refused("version", "unchanged", detail, 409) from error
        except ImportBusyError as error:
            detail = "Another file of devices is being read; try again."
            raise Problem(429, detail, headers={"Retry-After": _BUSY_S}) from error
        return json_answer(report)


def _key_view(key: DeviceKey) -> KeyJson:
    return KeyJson(
        key.hash,
        key.label,
        format_us(key.created_us),
        None if key.expires_us is None else format_us(key.expires_us),
        None if key.revoked_us is None else format_us(key.revoked_us),
    )
