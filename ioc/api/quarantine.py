"""Messages that did not become events, with the reason and their raw text, masked."""

import base64
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Quarantine, Quarantined
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_right
from ioc.model.times import format_us
from ioc.store.users import Person
from ioc.stream.masking import mask_raw, mask_text


class QuarantineItem(msgspec.Struct, frozen=True):
    """One message. `raw` is its text, or base64 where its `size` bytes are not UTF-8 (masked: empty then)."""

    id: int
    received: str
    source: str | None
    reason: str
    field: str | None
    detail: str
    raw: str
    raw_encoding: Literal["utf-8", "base64"]
    size: int
    masked: bool


class QuarantinePage(msgspec.Struct, frozen=True):
    """A page, newest first; `next` null ends the list."""

    items: list[QuarantineItem]
    next: str | None


def quarantine_view(row: Quarantined, *, masked: bool = True) -> QuarantineItem:
    """Return a message in the shape of the API; masked, bytes that are no text are left out."""
    encoding: Literal["utf-8", "base64"] = "utf-8"
    try:
        raw = row.raw.decode()
    except UnicodeDecodeError:
        encoding = "base64"
        raw = "" if masked else base64.b64encode(row.raw).decode()
    if masked:
        raw = mask_raw(raw)
    detail = mask_text(row.detail) if masked else row.detail
    return QuarantineItem(
        row.id, format_us(row.received_us), row.source, row.reason, row.field, detail, raw, encoding,
        len(row.raw), masked,
    )  # fmt: skip


def quarantine_router(quarantine: Quarantine, access: Access) -> APIRouter:
    """Return the route of the quarantine."""
    router = APIRouter(prefix="/api/v1/quarantine", tags=["quarantine"])

    @router.get("", **documented(QuarantinePage, text="Refused messages, newest first."))
    async def list_quarantine(
        person: Annotated[Person, Depends(access.person)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500), NO_NUL] = None,
        device: Annotated[str | None, Query(max_length=128), NO_NUL] = None,
    ) -> Response:
        """Return what was refused and why; of `device` what it sent, and what others sent of it."""
        require_right(person, Right.QUARANTINE)
        try:
            rows, following = await quarantine.page(limit, cursor, device)
        except ValueError as error:
            raise refused("cursor", "cursor", str(error)) from error
        return json_answer(QuarantinePage([quarantine_view(row) for row in rows], following))

    return router
