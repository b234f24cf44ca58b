"""Shifts: who leads, what is handed over, what stays of it."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from ioc.api.answers import documented, json_answer
from ioc.api.ports import NotFoundError, Places, Shifts
from ioc.api.problems import NO_NUL, FieldError, Problem
from ioc.api.security import Access, require_own_page
from ioc.geo.index import WARD
from ioc.incidents.shift import MAX_SELECTED, ShiftCommand, ShiftConflict, ShiftOp, ShiftRefused
from ioc.incidents.shift_report import STYLE, ShiftReport, render_html
from ioc.model.shifts import Item, Shift
from ioc.model.texts import Text
from ioc.model.times import format_us
from ioc.store.users import Person

_REPORT_POLICY: Final = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)
Idem = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[\x21-\x7e]+$")]
ShiftId = Annotated[int, Field(ge=1, le=2**62)]


class ItemJson(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a hand-over. `gone`: it ended meanwhile, and nobody has to decide on it."""

    ref: str
    kind: str
    title: Text
    severity: str | None
    ward: str | None
    source: str | None
    handling: str | None
    since: str
    due: str | None
    rev: int
    added: str
    verdict: str
    by: str | None
    at: str | None
    reason: str | None
    note: str | None
    gone: bool


class ShiftJson(msgspec.Struct, frozen=True, kw_only=True):
    """One shift: running, handing_over or passed."""

    id: int
    rev: int
    lead: str
    state: str
    began: str
    started: str | None
    started_by: str | None
    absent: str | None
    incoming: str | None
    is_opened: bool
    left_out: int
    passed: str | None


class CurrentShift(msgspec.Struct, frozen=True):
    """The shift that runs, null before the first one, with the list where it is being handed over."""

    shift: ShiftJson | None
    items: list[ItemJson]


class ShiftList(msgspec.Struct, frozen=True):
    """Shifts, the newest first; ask for those before the last one's id to go on."""

    items: list[ShiftJson]


class BeginBody(BaseModel):
    """The first shift of all begins."""

    model_config = ConfigDict(extra="forbid")

    idem: Idem


class ShiftArguments(BaseModel):
    """`items` accept, question, note; `note` question, note, and start in place of the lead."""

    model_config = ConfigDict(extra="forbid")

    items: Annotated[list[Annotated[str, Field(max_length=200), NO_NUL]], Field(max_length=MAX_SELECTED)] = []
    note: Annotated[str, Field(max_length=20_000), NO_NUL] | None = None


class ShiftBody(BaseModel):
    """One command. `expect_rev` is the revision the person saw; `idem` makes a repeat harmless."""

    model_config = ConfigDict(extra="forbid")

    op: ShiftOp
    expect_rev: Annotated[int, Field(ge=1, le=2**31 - 1)]
    idem: Idem
    args: ShiftArguments = ShiftArguments()


def shifts_router(shifts: Shifts, places: Places, access: Access) -> APIRouter:
    """Return the routes of shifts; the table of routes says who passes."""
    router = APIRouter(prefix="/api/v1/shifts", tags=["shifts"], dependencies=[Depends(require_own_page)])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("", **documented(ShiftList, text="Shifts, newest first."))
    async def list_shifts(
        _person: Me,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """Return who led when."""
        return json_answer(ShiftList([shift_view(shift) for shift in await shifts.list(before, limit)]))

    @router.get("/current", **documented(CurrentShift, text="The shift that runs."))
    async def read_current(_person: Me) -> Response:
        """Return the running shift and its hand-over."""
        try:
            return json_answer(_current_view(*await shifts.current()))
        except NotFoundError:
            return json_answer(CurrentShift(None, []))

    @router.post("", **documented(CurrentShift, text="The first shift runs."))
    async def begin(body: BeginBody, person: Me) -> Response:
        """Begin the first shift of all; 409 with `current` where one runs."""
        try:
            shift = await shifts.begin(person.username, body.idem)
        except ShiftConflict as error:
            raise _conflict(error) from error
        return json_answer(_current_view(shift, []))

    @router.post("/{shift_id}/commands", **documented(CurrentShift, text="The current shift afterwards."))
    async def command(shift_id: ShiftId, body: ShiftBody, person: Me) -> Response:
        """Carry out a command on a hand-over; 409 with `current` when what it names has changed."""
        try:
            await shifts.command(shift_id, _command(body), person.username)
        except ShiftConflict as error:
            raise _conflict(error) from error
        except ShiftRefused as error:
            raise Problem(422, str(error), [FieldError(error.field, error.rule, str(error))]) from error
        return json_answer(_current_view(*await shifts.current()))

    @router.get("/{shift_id}/report", **documented(ShiftReport, text="What was handed over."))
    async def read_report(
        shift_id: ShiftId,
        _person: Me,
        format: Annotated[Literal["json", "html"], Query()] = "json",
        lang: Annotated[Literal["vi", "en"], Query()] = "vi",
    ) -> Response:
        """Return the report of a shift as it was written: JSON, or a page to print. `ETag` is its SHA-256."""
        text, sha256 = await shifts.report(shift_id)
        headers = {"ETag": f'"{sha256}"', "Cache-Control": "no-store"}
        if format == "json":
            return Response(text, media_type="application/json", headers=headers)
        names = {area.code: area.name for area in await places.areas(WARD)}
        wards = {code: name.vi if lang == "vi" else name.en for code, name in names.items()}
        page = render_html(msgspec.json.decode(text, type=ShiftReport), sha256, lang, wards)
        headers["Content-Security-Policy"] = _REPORT_POLICY
        return Response(page, media_type="text/html", headers=headers)

    return router


def _command(body: ShiftBody) -> ShiftCommand:
    return ShiftCommand(
        op=body.op,
        expect_rev=body.expect_rev,
        idem=body.idem,
        items=tuple(body.args.items),
        note=body.args.note,
    )


def shift_view(shift: Shift) -> ShiftJson:
    """Return a shift in the wire's shape."""
    return ShiftJson(
        id=shift.id,
        rev=shift.rev,
        lead=shift.lead,
        state=shift.state.value,
        began=format_us(shift.began_us),
        started=_time(shift.started_us),
        started_by=shift.started_by,
        absent=shift.absent,
        incoming=shift.incoming,
        is_opened=shift.is_opened,
        left_out=shift.left_out,
        passed=_time(shift.passed_us),
    )


def _current_view(shift: Shift, items: Sequence[Item]) -> CurrentShift:
    return CurrentShift(shift_view(shift), [_item_view(item) for item in items])


def _item_view(item: Item) -> ItemJson:
    listed = item.listed
    return ItemJson(
        ref=listed.ref,
        kind=listed.kind.value,
        title=listed.title,
        severity=listed.severity.value if listed.severity else None,
        ward=listed.ward,
        source=listed.source,
        handling=listed.handling,
        since=format_us(listed.since_us),
        due=_time(listed.due_us),
        rev=item.rev,
        added=format_us(item.added_us),
        verdict=item.verdict.value,
        by=item.by,
        at=_time(item.at_us),
        reason=item.reason,
        note=item.note,
        gone=item.gone,
    )


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_us(time_us)


def _conflict(error: ShiftConflict) -> Problem:
    found = FieldError("expect_rev", "revision", str(error))
    return Problem(409, str(error), [found], members={"current": shift_view(error.current)})
