"""What the routes of figures and warnings need from others; `ioc/app` connects them."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

import msgspec

from ioc.incidents.figure_report import FigurePoint, Reading
from ioc.incidents.periods import Grain, Period, Window
from ioc.model.incidents import Incident
from ioc.model.texts import Text
from ioc.store.figures import By
from ioc.store.warnings import StoredWarning


class FigureQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which figures of which incidents. `wards` None is every ward, `figures` empty is every figure.

    `first` and `last` are the days of a custom period.
    """

    period: Period = Period.TODAY
    first: date | None = None
    last: date | None = None
    wards: tuple[str, ...] | None = None
    category: str | None = None
    figures: tuple[str, ...] = ()
    trend: bool = True
    """False leaves the period before alone."""


class FigureGroup(msgspec.Struct, frozen=True):
    """The figures of one ward or category; `key` null is the whole, '' what has none."""

    key: str | None
    name: Text | None
    figures: list[Reading]


class FigureReport(msgspec.Struct, frozen=True):
    """The figures of a period as of `now_us`, whole first."""

    now_us: int
    window: Window
    groups: list[FigureGroup]


class FigureSeries(msgspec.Struct, frozen=True):
    """One figure in the hours or days of a period, oldest first."""

    now_us: int
    window: Window
    grain: Grain
    points: list[FigurePoint]


class BrakeStanding(msgspec.Struct, frozen=True):
    """How one brake was found when it was last evaluated: in how many scopes, without data in how many."""

    brake: str
    title: Text
    scopes: int
    blind: int
    checked_us: int


class Figures(Protocol):
    """Figures of incidents, and warnings about them."""

    async def report(self, query: FigureQuery, by: By) -> FigureReport:
        """Return the whole, and each ward or category where `by` says so. Raises `PeriodError`."""

    async def series(self, figure: str, query: FigureQuery) -> FigureSeries:
        """Return a figure bucket by bucket. Raises `PeriodError`."""

    async def incidents(
        self, figure: str, query: FigureQuery, limit: int, cursor: str | None
    ) -> tuple[Sequence[Incident], str | None]:
        """Return the incidents that make up a figure, newest first, and the cursor of the next page.

        Raises `PeriodError`, `ioc.store.incidents.CursorError`, and `NotFoundError` for a figure that is not
        made of incidents.
        """

    async def warnings(
        self, *, open_only: bool, wards: Sequence[str] | None, limit: int
    ) -> tuple[Sequence[StoredWarning], Sequence[BrakeStanding]]:
        """Return warnings, those that are open and severe first, and how every brake was found."""
