"""What will be late, and where."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from ioc.api.answers import documented, json_answer
from ioc.api.ports import Incidents
from ioc.api.problems import NO_NUL
from ioc.api.security import Access, visible_wards
from ioc.incidents.clocks import WardForecast
from ioc.store.users import Person
from ioc.stream.wire import time_text

MAX_HOURS = 30 * 24


class WardForecastJson(msgspec.Struct, frozen=True):
    """One ward: how many are open, late, will be late at the present pace (`per_hour` resolved an hour)."""

    ward: str | None
    open: int
    overdue: int
    will_breach: int
    paused: int
    per_hour: float
    first_breach: str | None
    incidents: tuple[str, ...]


class ForecastJson(msgspec.Struct, frozen=True):
    """Every ward with open incidents, the worst first."""

    hours: int
    items: list[WardForecastJson]


def _view(found: WardForecast) -> WardForecastJson:
    return WardForecastJson(
        found.ward, found.open, found.overdue, found.will_breach, found.paused, round(found.per_hour, 2),
        time_text(found.first_breach_us), found.incidents,
    )  # fmt: skip


def forecast_router(incidents: Incidents, access: Access) -> APIRouter:
    """Return the route of the forecast; people see their own wards."""
    router = APIRouter(prefix="/api/v1/forecast", tags=["incidents"])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("", **documented(ForecastJson, text="What will be late within the hours asked for."))
    async def read_forecast(
        person: Me,
        hours: Annotated[int, Query(ge=1, le=MAX_HOURS)] = 24,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
    ) -> Response:
        """Return which wards are about to miss due dates, judged by their backlog and their pace of a day."""
        found = await incidents.forecast(visible_wards(person, ward), hours)
        return json_answer(ForecastJson(hours, [_view(item) for item in found]))

    return router
