"""Who is told of incidents and how that went; and the notices of the person who asks."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.history import parse_time
from ioc.api.ports import NotFoundError, Receivers
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_own_page, require_right
from ioc.model.incidents import Severity
from ioc.model.notices import Kind, Receiver
from ioc.model.times import format_us, to_us
from ioc.model.warnings import WARNING_OP
from ioc.outbound.receivers import MAX_FILTERS, MAX_TARGET_CHARS, ReceiverError, checked
from ioc.outbound.webhook import MAX_OVERLAP_S
from ioc.store.receivers import MAX_PAGE, DeliveryRow, NoticeRow, StoredReceiver, TooManyReceiversError
from ioc.store.users import Person, Role

ROLES: Final = frozenset(role.value for role in Role)
_Code = Annotated[str, Field(min_length=1, max_length=100), NO_NUL]
DeliveryState = Literal["waiting", "sent", "failed", "dropped"]
_Codes = Annotated[list[_Code], Field(max_length=MAX_FILTERS)]


class ReceiverBody(BaseModel):
    """A receiver as a person writes it. An empty `ops` or `categories` lets everything through."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    target: Annotated[str, Field(min_length=1, max_length=MAX_TARGET_CHARS), NO_NUL]
    lang: str = "vi"
    min_severity: Severity = Severity.LOW
    ops: _Codes = ["raised", "escalate", WARNING_OP]
    categories: _Codes = []
    wards: _Codes | None = None
    enabled: bool = True


class ReceiverJson(msgspec.Struct, frozen=True):
    """A receiver with how it fares.

    `paused_until`: left alone after failures. `former_secret_until`: until then two secrets sign deliveries.
    """

    id: str
    kind: Kind
    target: str
    lang: str
    min_severity: Severity
    ops: tuple[str, ...]
    categories: tuple[str, ...]
    wards: tuple[str, ...] | None
    enabled: bool
    author: str
    waiting: int
    paused_until: str | None
    last_error: str | None
    last_sent: str | None
    former_secret_until: str | None


class ReceiverList(msgspec.Struct, frozen=True):
    """Every receiver by id."""

    items: list[ReceiverJson]


class ReceiverSecret(msgspec.Struct, frozen=True):
    """A webhook's signing secret (Standard Webhooks); shown this once. Null for other kinds.

    `former_until`: until then deliveries are signed with the former secret as well.
    """

    id: str
    secret: str | None
    former_until: str | None = None


class SecretBody(BaseModel):
    """For how long the former secret signs beside the new one: 0 where it has leaked."""

    model_config = ConfigDict(extra="forbid")

    overlap_h: Annotated[float | None, Field(ge=0, le=MAX_OVERLAP_S / 3_600, allow_inf_nan=False)] = None


class DeliveryJson(msgspec.Struct, frozen=True):
    """One delivery: waiting, sent, failed (given up) or dropped (too many waited).

    `resent`: how often it failed and was asked for again; `attempts` counts since then.
    """

    notice: str
    created: str
    due: str
    attempts: int
    state: str
    error: str | None
    finished: str | None
    resent: int


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, newest first."""

    items: list[DeliveryJson]


class ResendBody(BaseModel):
    """Which failed deliveries are tried again: those of `notices`, or all that were queued since `since`."""

    model_config = ConfigDict(extra="forbid")

    notices: Annotated[list[_Code], Field(min_length=1, max_length=MAX_PAGE)] | None = None
    since: str | None = None


class ResentJson(msgspec.Struct, frozen=True):
    """So many wait `again`; so many that failed are `left`, for the next request."""

    again: int
    left: int


class NoticeJson(msgspec.Struct, frozen=True):
    """One notice: what happened to which revision of which incident."""

    id: int
    op: str
    incident: str
    rev: int
    severity: str
    category: str
    ward: str | None
    title: dict[str, str]
    at: str


class NoticeList(msgspec.Struct, frozen=True):
    """The newest notices, newest first; those above `read_up_to` are new to the person."""

    items: list[NoticeJson]
    read_up_to: int


class ReadBody(BaseModel):
    """The newest notice the person has seen."""

    model_config = ConfigDict(extra="forbid")

    up_to: Annotated[int, Field(ge=0, le=2**62)]


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else format_us(to_us(moment))


def _receiver_view(stored: StoredReceiver) -> ReceiverJson:
    known = stored.receiver
    return ReceiverJson(
        known.id, known.kind, known.target, known.lang, known.min_severity, known.ops, known.categories,
        known.wards, known.enabled, stored.author, stored.waiting,
        _shown(stored.open_until), stored.last_error,
        _shown(stored.last_sent), _shown(stored.former_until),
    )  # fmt: skip


def _delivery_view(row: DeliveryRow) -> DeliveryJson:
    return DeliveryJson(
        row.notice_id, format_us(to_us(row.created)), format_us(to_us(row.due)), row.attempts, row.state,
        row.error, _shown(row.finished), row.resent,
    )  # fmt: skip


def _notice_view(row: NoticeRow) -> NoticeJson:
    return NoticeJson(
        row.id, row.op, row.incident_id, row.rev, row.severity, row.category, row.ward, row.title,
        format_us(to_us(row.at)),
    )  # fmt: skip


def _receiver(receiver_id: str, body: ReceiverBody) -> Receiver:
    receiver = Receiver(
        id=receiver_id,
        kind=body.kind,
        target=body.target,
        lang=body.lang,
        min_severity=body.min_severity,
        ops=tuple(body.ops),
        categories=tuple(body.categories),
        wards=None if body.wards is None else tuple(body.wards),
        enabled=body.enabled,
    )
    try:
        return checked(receiver, ROLES)
    except ReceiverError as error:
        raise refused(error.field, error.rule, str(error)) from error


def receivers_router(receivers: Receivers, access: Access) -> APIRouter:
    """Return the routes of receivers."""
    router = APIRouter(prefix="/api/v1", tags=["notices"], dependencies=[Depends(require_own_page)])

    @router.get("/receivers", **documented(ReceiverList))
    async def list_receivers(person: Annotated[Person, Depends(access.person)]) -> Response:
        """Return who is told of incidents."""
        require_right(person, Right.RECEIVERS)
        return json_answer(ReceiverList([_receiver_view(each) for each in await receivers.list()]))

    @router.put("/receivers/{receiver_id}", **documented(ReceiverSecret))
    async def put_receiver(
        receiver_id: str, body: ReceiverBody, person: Annotated[Person, Depends(access.person)]
    ) -> Response:
        """Add a receiver, or replace its fields. A new webhook's secret is in the answer and nowhere else."""
        require_right(person, Right.RECEIVERS)
        try:
            secret = await receivers.put(_receiver(receiver_id, body), person.username)
        except TooManyReceiversError as error:
            raise refused("id", "max_receivers", str(error), 409) from error
        return json_answer(ReceiverSecret(receiver_id, secret))

    @router.post("/receivers/{receiver_id}/secret", **documented(ReceiverSecret))
    async def renew_secret(
        receiver_id: Annotated[str, NO_NUL],
        person: Annotated[Person, Depends(access.person)],
        body: SecretBody | None = None,
    ) -> Response:
        """Replace a webhook's secret and return the new one.

        The former one signs too for `overlap_h`, where absent for `notify.secret_overlap_s`.
        """
        require_right(person, Right.RECEIVERS)
        overlap_s = body.overlap_h * 3_600 if body and body.overlap_h is not None else None
        secret, until_us = await receivers.renew_secret(receiver_id, person.username, overlap_s)
        return json_answer(ReceiverSecret(receiver_id, secret, format_us(until_us) if until_us else None))

    @router.delete("/receivers/{receiver_id}", status_code=204)
    async def delete_receiver(
        receiver_id: Annotated[str, NO_NUL], person: Annotated[Person, Depends(access.person)]
    ) -> Response:
        """Remove a receiver with everything that waits for it."""
        require_right(person, Right.RECEIVERS)
        if not await receivers.remove(receiver_id, person.username):
            raise NotFoundError(receiver_id)
        return Response(status_code=204)

    return router


def deliveries_router(receivers: Receivers, access: Access) -> APIRouter:
    """Return the routes of what became of a receiver's deliveries."""
    router = APIRouter(prefix="/api/v1", tags=["notices"], dependencies=[Depends(require_own_page)])

    @router.get("/receivers/{receiver_id}/deliveries", **documented(DeliveryList))
    async def list_deliveries(
        receiver_id: Annotated[str, NO_NUL],
        person: Annotated[Person, Depends(access.person)],
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        state: Annotated[DeliveryState | None, Query()] = None,
        since: Annotated[str | None, Query(max_length=40)] = None,
    ) -> Response:
        """Return a receiver's newest deliveries queued since `since`; of one state if given."""
        require_right(person, Right.RECEIVERS)
        since_us = parse_time("since", since, 0)
        rows = await receivers.deliveries(receiver_id, limit, state=state, since_us=since_us)
        return json_answer(DeliveryList([_delivery_view(row) for row in rows]))

    @router.post("/receivers/{receiver_id}/deliveries/resend", **documented(ResentJson))
    async def resend_deliveries(
        receiver_id: Annotated[str, NO_NUL],
        body: ResendBody,
        person: Annotated[Person, Depends(access.person)],
    ) -> Response:
        """Try failed deliveries again, oldest first and under the same ids; ask again while some are left."""
        require_right(person, Right.RECEIVERS)
        if (body.notices is None) == (body.since is None):
            raise refused("since", "one_of", "expected either notices or since")
        since_us = parse_time("since", body.since, 0)
        resent = await receivers.resend(receiver_id, person.username, notices=body.notices, since_us=since_us)
        return json_answer(ResentJson(resent.again, resent.left))

    return router


def notices_router(receivers: Receivers, access: Access) -> APIRouter:
    """Return the routes of a person's own notices."""
    router = APIRouter(prefix="/api/v1", tags=["notices"], dependencies=[Depends(require_own_page)])

    @router.get("/notices", **documented(NoticeList))
    async def list_notices(
        person: Annotated[Person, Depends(access.person)],
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> Response:
        """Return the notices for the person's role, within their wards."""
        rows, read = await receivers.notices(person, limit)
        return json_answer(NoticeList([_notice_view(row) for row in rows], read))

    @router.post("/notices/read", status_code=204)
    async def mark_read(body: ReadBody, person: Annotated[Person, Depends(access.person)]) -> Response:
        """Remember which notices the person has seen."""
        await receivers.mark_read(person, body.up_to)
        return Response(status_code=204)

    return router
