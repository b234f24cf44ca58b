"""Figures, their past, the incidents behind them, and early warnings."""

import csv
import io
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from ioc.api.answers import documented, json_answer
from ioc.api.figure_ports import BrakeStanding, FigureGroup, FigureQuery, FigureReport, Figures, FigureSeries
from ioc.api.incidents import IncidentPage
from ioc.api.ports import NotFoundError
from ioc.api.problems import NO_NUL, refused
from ioc.api.security import Access, visible_wards
from ioc.incidents.figure_report import Reading, Trend
from ioc.incidents.figures import FIGURES, Better, Figure, Unit
from ioc.incidents.periods import Period, PeriodError, Window
from ioc.model.texts import Text
from ioc.model.times import format_us, to_us
from ioc.store.figures import By
from ioc.store.incidents import MAX_PAGE, CursorError
from ioc.store.open_data import FORMULA_STARTS
from ioc.store.users import Person
from ioc.store.warnings import CITY, MAX_WARNINGS, StoredWarning
from ioc.stream.wire import incident_view


class GroupBy(StrEnum):
    """What figures are told apart by."""

    WARD = "ward"
    CATEGORY = "category"


class Shown(StrEnum):
    """Which warnings a list holds."""

    OPEN = "open"
    ALL = "all"


class DefinitionJson(msgspec.Struct, frozen=True):
    """What a figure says. `now`: as things are at this moment, whatever the period."""

    id: str
    title: Text
    words: Text
    covers: Text
    unit: Unit
    better: Better
    now: bool
    city_only: bool
    has_incidents: bool


class DefinitionList(msgspec.Struct, frozen=True):
    """Every figure, in the order of reports."""

    items: list[DefinitionJson]


class PeriodJson(msgspec.Struct, frozen=True):
    """A period; its part up to `compared_to` is compared with the same part `shift_s` before."""

    name: Period
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    compared_to: str
    shift_s: int


class GroupJson(msgspec.Struct, frozen=True):
    """One ward or category: `key` null is the whole, empty what has none."""

    key: str | None
    name: Text | None
    figures: list[Reading]


class KpiReport(msgspec.Struct, frozen=True):
    """Figures as of `at`, the whole first."""

    at: str
    period: PeriodJson
    items: list[GroupJson]


class PointJson(msgspec.Struct, frozen=True):
    """A figure in one hour or day that begins at `at`; `complete` is false for the one that goes on."""

    at: str
    value: float | None
    n: int
    complete: bool


class KpiSeries(msgspec.Struct, frozen=True):
    """One figure through a period, oldest first."""

    at: str
    period: PeriodJson
    grain: str
    items: list[PointJson]


class WarningJson(msgspec.Struct, frozen=True):
    """An early warning. `ward` null is the whole city; `incidents` leads to what makes up the figure."""

    id: str
    rev: int
    brake: str
    title: Text
    figure: str
    ward: str | None
    category: str | None
    period: str
    severity: str
    stage: str
    opened: str
    changed: str
    crossed: str | None
    cleared: str | None
    forecast: str | None
    value: float
    threshold: float
    clear_at: float
    n: int
    coverage: float | None
    blind: bool
    incidents: str | None


class BrakeJson(msgspec.Struct, frozen=True):
    """How a brake was found at `checked`: evaluated in `scopes`, without enough data in `blind` of them."""

    brake: str
    title: Text
    scopes: int
    blind: int
    checked: str


class WarningList(msgspec.Struct, frozen=True):
    """Warnings, open and severe ones first; a brake that is blind somewhere cannot warn there."""

    items: list[WarningJson]
    brakes: list[BrakeJson]


class Asked:
    """The question of a request: a dependency."""

    def __init__(
        self,
        period: Period = Period.TODAY,
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
        category: Annotated[str | None, Query(max_length=100), NO_NUL] = None,
        trend: bool = True,
    ) -> None:
        """Take `period` (`custom` needs the days `from` and `to`), `ward`, `category`, `trend`."""
        self.period = period
        self.first = first
        self.last = last
        self.ward = ward
        self.category = category
        self.trend = trend

    def query(self, person: Person, figures: list[str] | None = None) -> FigureQuery:
        """Return what `person` asks within their wards.

        Raises:
            NotFoundError: the ward is none of theirs.
            Problem: there is no such figure.
        """
        for figure in figures or ():
            if figure not in FIGURES:
                raise refused("figure", "figure", f"expected one of {', '.join(FIGURES)}")
        return FigureQuery(
            period=self.period,
            first=self.first,
            last=self.last,
            wards=visible_wards(person, self.ward),
            category=self.category,
            figures=tuple(figures or ()),
            trend=self.trend,
        )


def figures_router(figures: Figures, access: Access) -> APIRouter:
    """Return the routes of figures and warnings. People see their own wards."""
    router = APIRouter(prefix="/api/v1", tags=["kpis"])
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type
    Question = Annotated[Asked, Depends()]  # noqa: N806 - likewise
    Chosen = Annotated[list[str] | None, Query(alias="figure", max_length=len(FIGURES))]  # noqa: N806

    async def report(
        person: Person, asked: Asked, by: GroupBy | None, chosen: list[str] | None
    ) -> FigureReport:
        try:
            return await figures.report(asked.query(person, chosen), By(by) if by else By.NOTHING)
        except PeriodError as error:
            raise refused(error.field, error.rule, str(error)) from error

    @router.get("/kpis", **documented(KpiReport, text="The figures of the whole, and of each group."))
    async def read_kpis(
        person: Me, asked: Question, group_by: GroupBy | None = None, figure: Chosen = None
    ) -> Response:
        """Return figures with their coverage, age and trend; all of them unless `figure` names some."""
        return json_answer(report_json(await report(person, asked, group_by, figure)))

    @router.get("/kpis/definitions", **documented(DefinitionList, text="What each figure says."))
    async def read_definitions(_person: Me) -> Response:
        """Return every figure with its formula in words."""
        return json_answer(DefinitionList([_definition(each) for each in FIGURES.values()]))

    @router.get("/kpis/export", responses={200: {"content": {"text/csv": {}}}}, response_class=Response)
    async def export_kpis(
        person: Me, asked: Question, group_by: GroupBy | None = None, figure: Chosen = None
    ) -> Response:
        """Return the same figures as CSV, one row per group and figure."""
        found = await report(person, asked, group_by, figure)
        headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="kpis.csv"'}
        return Response(write_csv(found), 200, headers, "text/csv; charset=utf-8")

    _add_figure_routes(router, figures, access)
    _add_warnings_route(router, figures, access)
    return router


def _add_figure_routes(router: APIRouter, figures: Figures, access: Access) -> None:
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type
    Question = Annotated[Asked, Depends()]  # noqa: N806 - likewise

    @router.get("/kpis/{figure}/series", **documented(KpiSeries, text="The figure by hours or days."))
    async def read_series(figure: str, person: Me, asked: Question) -> Response:
        """Return one figure hour by hour (today) or day by day."""
        try:
            found = await figures.series(_known(figure), asked.query(person))
        except PeriodError as error:
            raise refused(error.field, error.rule, str(error)) from error
        return json_answer(_series(found))

    @router.get("/kpis/{figure}/incidents", **documented(IncidentPage, text="A page, newest first."))
    async def read_incidents(
        figure: str,
        person: Me,
        asked: Question,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str | None, Query(max_length=500), NO_NUL] = None,
    ) -> Response:
        """Return the incidents that make up a figure: for shares of what was done in time, the late ones."""
        try:
            items, following = await figures.incidents(_known(figure), asked.query(person), limit, cursor)
        except PeriodError as error:
            raise refused(error.field, error.rule, str(error)) from error
        except CursorError as error:
            raise refused("cursor", "cursor", str(error)) from error
        return json_answer(IncidentPage([incident_view(item) for item in items], following))


def _add_warnings_route(router: APIRouter, figures: Figures, access: Access) -> None:
    Me = Annotated[Person, Depends(access.person)]  # noqa: N806 - a type

    @router.get("/warnings", **documented(WarningList, text="Early warnings."))
    async def read_warnings(
        person: Me,
        state: Shown = Shown.OPEN,
        ward: Annotated[str | None, Query(max_length=64), NO_NUL] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_WARNINGS)] = 100,
    ) -> Response:
        """Return open warnings, or all, and how every brake was found."""
        found, brakes = await figures.warnings(
            open_only=state is Shown.OPEN, wards=visible_wards(person, ward), limit=limit
        )
        return json_answer(WarningList([_warning(each) for each in found], [_brake(each) for each in brakes]))


def _known(figure: str) -> str:
    if figure not in FIGURES:
        raise NotFoundError(figure)
    return figure


def _definition(figure: Figure) -> DefinitionJson:
    return DefinitionJson(
        figure.id, figure.title, figure.words, figure.covers, figure.unit, figure.better, figure.now,
        figure.city_only, figure.selection is not None,
    )  # fmt: skip


def _period(window: Window) -> PeriodJson:
    return PeriodJson(
        window.period, format_us(window.start_us), format_us(window.end_us), format_us(window.compared_us),
        window.shift_us // 1_000_000,
    )  # fmt: skip


def report_json(found: FigureReport) -> KpiReport:
    """Return a report as it is answered, without digits that say nothing."""
    groups = [
        GroupJson(each.key, each.name, [_rounded(one) for one in each.figures]) for each in found.groups
    ]
    return KpiReport(format_us(found.now_us), _period(found.window), groups)


def _rounded(reading: Reading) -> Reading:
    """Return `reading` without digits that say nothing."""
    trend = reading.trend
    return msgspec.structs.replace(
        reading,
        value=_short(reading.value),
        coverage=_short(reading.coverage),
        age_s=None if reading.age_s is None else round(reading.age_s, 1),
        trend=trend and Trend(now=_cut(trend.now), before=_cut(trend.before), verdict=trend.verdict),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else _cut(value)


def _cut(value: float) -> float:
    return round(value, 4)


def _series(found: FigureSeries) -> KpiSeries:
    items = [
        PointJson(format_us(each.time_us), _short(each.value), each.n, each.complete) for each in found.points
    ]
    return KpiSeries(format_us(found.now_us), _period(found.window), found.grain, items)


def _warning(stored: StoredWarning) -> WarningJson:
    ward = None if stored.ward == CITY else stored.ward
    shown = FIGURES.get(stored.figure)
    link = None
    if shown is not None and shown.selection is not None:
        pairs = {"period": stored.period, "ward": ward, "category": stored.category}
        link = f"/api/v1/kpis/{stored.figure}/incidents?" + urlencode(
            {name: value for name, value in pairs.items() if value is not None}
        )
    return WarningJson(
        stored.id, stored.rev, stored.brake, stored.title, stored.figure, ward, stored.category,
        stored.period, stored.severity, stored.stage, _time(stored.opened), _time(stored.changed),
        _moment(stored.crossed), _moment(stored.cleared), _moment(stored.forecast), _cut(stored.value),
        stored.threshold,        stored.clear_at, stored.n, _short(stored.coverage), stored.blind, link,
    )  # fmt: skip


def _time(moment: datetime) -> str:
    return format_us(to_us(moment))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else _time(moment)


def _brake(standing: BrakeStanding) -> BrakeJson:
    return BrakeJson(
        standing.brake, standing.title, standing.scopes, standing.blind, format_us(standing.checked_us)
    )


# CSV --------------------------------------------------------------------------------------------------------

_COLUMNS: Final = (
    "scope", "name", "figure", "title", "value", "unit", "n", "coverage", "age_s", "before", "verdict",
    "from", "to",
)  # fmt: skip


def write_csv(found: FigureReport) -> str:
    """Return the report as CSV with a byte order mark, so that spreadsheets read its Vietnamese."""
    text = io.StringIO()
    text.write("\ufeff")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(_COLUMNS)
    start, end = format_us(found.window.start_us), format_us(found.window.end_us)
    for group in found.groups:
        for each in map(_rounded, group.figures):
            rows.writerow([guarded(cell) for cell in _row(group, each, start, end)])
    return text.getvalue()


def _row(group: FigureGroup, reading: Reading, start: str, end: str) -> list[object]:
    figure = FIGURES[reading.figure]
    trend = reading.trend
    return [
        "all" if group.key is None else group.key, group.name.vi if group.name else "", figure.id,
        figure.title.vi, reading.value, figure.unit.value, reading.n, reading.coverage, reading.age_s,
        trend.before if trend else None, trend.verdict.value if trend else None, start, end,
    ]  # fmt: skip


def guarded(cell: object) -> object:
    """Return `cell` so that no spreadsheet takes a text for a formula."""
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return "'" + cell
    return cell
