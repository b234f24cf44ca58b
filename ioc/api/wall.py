"""The figures of a screen on a wall: how the city, its wards and its kinds of incident stand, and nobody."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Response

from ioc.api.answers import documented, json_answer
from ioc.api.figure_ports import FigureQuery, Figures
from ioc.api.figures import GroupJson, report_json
from ioc.api.security import Access
from ioc.store.figures import By
from ioc.store.users import Person

SHOWN: Final = ("open", "overdue", "detected", "within_time", "acknowledge_median", "resolve_median",
                "camera_coverage")  # fmt: skip
"""Numbers only: a screen in a hall is read by whoever passes."""


class Wall(msgspec.Struct, frozen=True):
    """Figures of today as of `at`, by ward and by category; of each list the whole comes first."""

    at: str
    wards: Sequence[GroupJson]
    categories: Sequence[GroupJson]


def wall_router(figures: Figures, access: Access) -> APIRouter:
    """Return the route, which a token of the scope `wall` opens, and no other door than that one."""
    router = APIRouter(prefix="/api/v1", tags=["kpis"])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/wall", **documented(Wall, text="Figures for a screen on a wall."))
    async def read_wall(person: Me) -> Response:
        """Return how things stand today in the wards that the token sees."""
        query = FigureQuery(wards=person.wards, figures=SHOWN, trend=False)
        wards = report_json(await figures.report(query, By.WARD))
        categories = report_json(await figures.report(query, By.CATEGORY))
        return json_answer(Wall(wards.at, wards.items, categories.items))

    return router
