"""`ioc kpis`, `ioc warnings`: figures of incidents, and early warnings about them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from ioc.api.figure_ports import FigureQuery, FigureReport
from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.clock import now_us
from ioc.app.directory import Directory
from ioc.app.figures.view import StoredFigures
from ioc.incidents.figures import FIGURES, Unit
from ioc.incidents.periods import Period, PeriodError
from ioc.model.times import format_us
from ioc.store.figures import By
from ioc.store.pool import Pool

GROUPS = {"ward": By.WARD, "category": By.CATEGORY}
Result = TypeVar("Result")


def _with_figures(
    config: Path | None, data: Path | None, work: Callable[[StoredFigures], Awaitable[Result]]
) -> Result:
    async def run(pool: Pool) -> Result:
        directory = Directory(pool)
        await directory.refresh()
        return await work(StoredFigures(pool, directory.ward_texts, now_us))

    return with_pool(settings_from(config, data), run)


def kpis(
    period: Annotated[Period, typer.Option(help="period, UTC+7")] = Period.TODAY,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="first day of a custom period")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="its last day")] = None,
    ward: Annotated[str | None, typer.Option(help="code of one ward")] = None,
    category: Annotated[str | None, typer.Option(help="one category")] = None,
    by: Annotated[str | None, typer.Option(help=f"group by {' or '.join(GROUPS)}")] = None,
    figure: Annotated[list[str] | None, typer.Option(help="only this figure; may be repeated")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print figures with what they rest on, how old that is, and how they were in the period before."""
    unknown = [each for each in figure or () if each not in FIGURES]
    if unknown or (by is not None and by not in GROUPS):
        wrong = f"there is no figure {unknown[0]!r}" if unknown else f"figures are not told apart by {by!r}"
        raise CommandError(wrong, f"Choose among {', '.join(FIGURES if unknown else GROUPS)}.")
    query = FigureQuery(
        period=period,
        first=None if first is None else first.date(),
        last=None if last is None else last.date(),
        wards=None if ward is None else (ward,),
        category=category,
        figures=tuple(figure or ()),
    )
    try:
        found = _with_figures(
            config, data, lambda figures: figures.report(query, GROUPS.get(by or "", By.NOTHING))
        )
    except PeriodError as error:
        raise CommandError(f"{error.field}: {error}", "See `ioc kpis --help`.") from error
    _print(found, as_json)


def _print(found: FigureReport, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "at": format_us(found.now_us),
                "from": format_us(found.window.start_us),
                "to": format_us(found.window.end_us),
                "items": [msgspec.to_builtins(group) for group in found.groups],
            }
        )
        return
    rows = [
        [
            "all" if group.key is None else group.key or "–", each.figure, _value(each.value, each.figure),
            each.n, _percent(each.coverage), None if each.age_s is None else f"{each.age_s:.0f} s",
            each.trend and _value(each.trend.before, each.figure), each.trend and each.trend.verdict.value,
        ]
        for group in found.groups
        for each in group.figures
    ]  # fmt: skip
    print_table(["scope", "figure", "value", "n", "coverage", "age", "before", "trend"], rows, as_json=False)


def _value(value: float | None, figure: str) -> str | None:
    if value is None:
        return None
    unit = FIGURES[figure].unit
    if unit is Unit.SHARE:
        return _percent(value)
    return (
        f"{value:.0f} s" if unit is Unit.SECONDS else f"{value:g}" if unit is Unit.COUNT else f"{value:.1f}/h"
    )


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def warnings(
    every: Annotated[bool, typer.Option("--all", help="those that have ended too")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print early warnings, and the brakes that lack the data to warn."""
    found, brakes = _with_figures(
        config, data, lambda figures: figures.warnings(open_only=not every, wards=None, limit=500)
    )
    if as_json:
        print_json(msgspec.to_builtins({"items": list(found), "brakes": list(brakes)}))
        return
    rows = [
        [
            each.stage, each.severity.value, each.brake, each.ward, _value(each.value, each.figure),
            _value(each.threshold, each.figure), each.n, each.forecast if each.stage == "forecast" else None,
            each.opened,
        ]
        for each in found
    ]  # fmt: skip
    columns = ["stage", "severity", "brake", "ward", "value", "threshold", "n", "expected", "opened"]
    print_table(columns, rows, as_json=False)
    for brake in brakes:
        if brake.blind:
            out.print(f"{brake.brake}: not enough data in {brake.blind} of {brake.scopes} scopes")
