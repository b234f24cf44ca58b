"""Logins at devices and the event streams that we hold, for engineers. A password goes in and never out."""

from collections.abc import Sequence
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from ioc.api.answers import documented, json_answer
from ioc.api.device_files import DeviceId, device_problem
from ioc.api.device_ports import DeviceRefusedError
from ioc.api.problems import NO_NUL
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.model.attachments import Attachment, AttachState
from ioc.model.places import AttachKind
from ioc.model.times import format_us
from ioc.store.users import Person


class Attachments(Protocol):
    """What the routes ask for; `ioc.app.attach.registry.StoredAttachments` answers.

    Methods that name a device raise `NotFoundError` where there is none.
    """

    async def attachments(self) -> Sequence[Attachment]:
        """Return every device whose events are fetched, by id."""

    async def set_login(self, device_id: str, user: str, password: str, actor: str) -> None:
        """Give a device a login. Raises `DeviceRefusedError`."""

    async def remove_login(self, device_id: str, actor: str) -> None:
        """Forget a device's login; none is not found."""


class AttachmentJson(msgspec.Struct, frozen=True):
    """A stream that we hold. `connects` less one are the cuts; `due` is when it is tried again."""

    id: str
    attach: AttachKind
    url: str
    login_user: str | None
    state: AttachState
    changed: str | None
    seen: str | None
    connects: int
    due: str | None
    error: str | None


class AttachmentList(msgspec.Struct, frozen=True):
    """Every device whose events are fetched, by id."""

    items: list[AttachmentJson]


class LoginJson(msgspec.Struct, frozen=True):
    """The login of a device, as far as it is told; no user is no login."""

    device: str
    user: str | None


class LoginBody(BaseModel):
    """A login at a device."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(max_length=1_000), NO_NUL]
    password: SecretStr = Field(max_length=1_000)


def attachment_view(found: Attachment) -> AttachmentJson:
    """Return a stream in the shape of the API."""
    changed, seen, due = (
        None if time_us is None else format_us(time_us)
        for time_us in (found.changed_us, found.seen_us, found.due_us)
    )
    return AttachmentJson(
        found.device_id, found.kind, found.url, found.login_user, found.state, changed, seen, found.connects,
        due, found.error,
    )  # fmt: skip


def attachments_router(attachments: Attachments, access: Access) -> APIRouter:
    """Return the routes of logins and held streams."""
    router = APIRouter(prefix="/api/v1/registry", tags=["devices"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/attachments", **documented(AttachmentList, text="Held streams."))
    async def list_attachments(person: Me) -> Response:
        """Return the devices whose event streams we hold, and how that fares."""
        require_right(person, Right.DEVICES)
        return json_answer(
            AttachmentList([attachment_view(each) for each in await attachments.attachments()])
        )

    @router.put(
        "/devices/{device_id}/login", **documented(LoginJson, text="The login, without its password.")
    )
    async def put_login(device_id: DeviceId, body: LoginBody, person: Me) -> Response:
        """Give a device the login with which its pictures and events are fetched; it replaces any other."""
        require_right(person, Right.DEVICES)
        password = body.password.get_secret_value()
        try:
            await attachments.set_login(device_id, body.user, password, person.username)
        except DeviceRefusedError as error:
            raise device_problem(error) from error
        return json_answer(LoginJson(device_id, body.user))

    @router.delete("/devices/{device_id}/login", **documented(LoginJson))
    async def delete_login(device_id: DeviceId, person: Me) -> Response:
        """Forget a device's login."""
        require_right(person, Right.DEVICES)
        await attachments.remove_login(device_id, person.username)
        return json_answer(LoginJson(device_id, None))

    return router
