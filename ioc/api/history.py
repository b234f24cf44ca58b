"""What was measured, seen and reported, from the store."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import History, HistoryQuery
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, Right, require_right, visible_wards
from ioc.model.events import Event, Stream
from ioc.model.times import DAY_US, HOUR_US, format_us, parse_us
from ioc.store.users import Person
from ioc.stream.masking import mask_event
from ioc.stream.ports import ClockUs

MAX_LIMIT = 1_000
MAX_SPAN_US = 31 * DAY_US
MAX_TIME_US = parse_us("2200-01-01T00:00:00Z")
"""Times near the calendar's ends cannot be computed with, neither here nor in the database."""


class HistoryItem(msgspec.Struct, frozen=True):
    """A stored event. `data` is as the source sent it, with personal data masked."""

    id: str
    source: str
    type: str
    time: str
    received: str
    ward: str | None
    lon: float | None
    lat: float | None
    subject: str | None
    data: dict[str, Any]


class HistoryPage(msgspec.Struct, frozen=True):
    """A page, newest first; `next` null ends the list."""

    items: list[HistoryItem]
    next: str | None


def event_view(event: Event) -> HistoryItem:
    """Return `event` as people may see it: personal data is masked, see `ioc.stream.masking`."""
    event = mask_event(event)
    data = msgspec.to_builtins(event.data)
    del data["type"]
    return HistoryItem(
        event.id,
        event.source,
        event.type,
        format_us(event.time_us),
        format_us(event.received_us),
        event.ward,
        event.lon,
        event.lat,
        event.subject,
        data,
    )


def parse_time(field: str, text: str | None, default_us: int) -> int:
    """Return the time of a query parameter.

    Raises:
        Problem: it is not RFC 3339 with a zone, or none that an event of ours could have.
    """
    if text is None:
        return default_us
    try:
        # A plus sign in a query means a space to whoever decodes it.
        time_us = parse_us(text.replace(" ", "+"))
    except (ValueError, OverflowError) as error:
        raise refused(field, "rfc3339", "expected a time with a zone, e.g. 2026-11-22T10:00:00Z") from error
    if not 0 <= time_us <= MAX_TIME_US:
        raise refused(field, "range", "expected a time from 1970 until 2200")
    return time_us


def parse_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north of a query parameter.

    Raises:
        Problem: it is not four numbers in range and order.
    """
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise ValueError
    except ValueError as error:
        detail = "expected west,south,east,north in degrees"
        raise refused("bbox", "bbox", detail) from error
    return west, south, east, north


def history_router(history: History, access: Access, clock_us: ClockUs) -> APIRouter:
    """Return the routes of history."""
    router = APIRouter(prefix="/api/v1/history", tags=["history"])

    @router.get("/{stream}", **documented(HistoryPage, text="Events, newest first."))
    async def read_history(
        stream: Stream,
        person: Annotated[Person, Depends(access.person)],
        start: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        end: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
        bbox: Annotated[str | None, Query(max_length=120), NO_NUL] = None,
        source: Annotated[str | None, Query(max_length=200), NO_NUL] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 200,
        cursor: Annotated[str | None, Query(max_length=500), NO_NUL] = None,
    ) -> Response:
        """Return stored events from `from` until before `to`; by default the last hour, 31 days at most."""
        require_right(person, Right.HISTORY)
        to_us = parse_time("to", end, clock_us())
        from_us = parse_time("from", start, to_us - HOUR_US)
        if not 0 <= to_us - from_us <= MAX_SPAN_US:
            raise refused("from", "span", "expected from before to, and at most 31 days between them")
        query = HistoryQuery(
            stream=stream,
            from_us=from_us,
            to_us=to_us,
            wards=visible_wards(person, ward),
            bbox=parse_bbox(bbox),
            source=source,
            limit=limit,
            cursor=cursor,
        )
        try:
            events, following = await history.page(query)
        except ValueError as error:
            raise refused("cursor", "cursor", str(error)) from error
        return json_answer(HistoryPage([event_view(event) for event in events], following))

    return router
