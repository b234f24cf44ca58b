"""`ioc export open`: history as open data."""

import asyncio
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Final

import typer

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from, time_option
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.cli.progress import progress
from ioc.app.open_export import Exported, export
from ioc.model.times import CITY_ZONE, DAY_US
from ioc.store.open_data import DATASETS, DEFAULT_GRID_M, Dataset, Form, Grid
from ioc.store.pool import open_pool

STATEMENT_TIMEOUT_S: Final = 600.0
"""Of one slice."""


def open_data(
    dataset: Annotated[
        str | None, typer.Argument(help=f"one of {', '.join(DATASETS)}", show_default=False)
    ] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="file to write")] = None,
    form: Annotated[Form, typer.Option("--format", help="how")] = Form.CSV,
    begin: Annotated[str | None, typer.Option("--from", help="RFC 3339 time")] = None,
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339 time; not included")] = None,
    day: Annotated[str | None, typer.Option(help="instead: one day of the city, e.g. 2026-11-23")] = None,
    grid_m: Annotated[
        float,
        typer.Option("--grid-m", help="cells that stand for positions of reports and incidents, metres"),
    ] = DEFAULT_GRID_M,
    columns: Annotated[bool, typer.Option("--columns", help="print what each column means, and end")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="write over a file that exists")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write history without personal data, for everybody: no plates, contacts, words, pictures or tracks."""
    if columns:
        _print_columns([_dataset(dataset)] if dataset else list(DATASETS.values()), as_json)
        return
    chosen, path = _dataset(dataset), out_file
    if path is None:
        raise typer.BadParameter("where to?", param_hint="--out")
    if path.exists() and not path.is_file():
        raise CommandError(f"{path} is no file", "Name a file with --out.")
    if path.exists() and not replace:
        raise CommandError(f"{path} exists", "Name another file with --out, or say --replace.")
    span = _span(begin, end, day)
    try:
        grid = Grid.of_metres(grid_m)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--grid-m") from error
    settings = settings_from(config, data)
    with use_database(settings) as database, progress() as tell:

        async def write() -> Exported:
            async with (
                open_pool(
                    database.app, name="export", max_size=1, statement_timeout_s=STATEMENT_TIMEOUT_S
                ) as pool,
                pool.connection() as connection,
            ):
                return await export(
                    connection,
                    chosen,
                    form,
                    path.resolve(),
                    span,
                    grid,
                    lambda now, all_: tell("writing", now, all_),
                )

        done = asyncio.run(write())
    if as_json:
        print_json({"file": str(path), "dataset": chosen.name, "rows": done.rows, "bytes": done.bytes})
    else:
        out.print(f"{path}: {done.rows:,} rows of {chosen.name}, {done.bytes:,} bytes")


def _dataset(name: str | None) -> Dataset:
    if name not in DATASETS:
        raise typer.BadParameter(f"expected one of {', '.join(DATASETS)}", param_hint="DATASET")
    return DATASETS[name]


def _span(begin: str | None, end: str | None, day: str | None) -> tuple[int, int]:
    """Return the time that is asked for, in microseconds."""
    if day is not None and begin is None and end is None:
        try:
            first = datetime.combine(date.fromisoformat(day), time(), CITY_ZONE)
        except ValueError as error:
            raise typer.BadParameter(f"{error}; expected e.g. 2026-11-23", param_hint="--day") from error
        begin_us = time_option(first.isoformat(), "--day")
        return begin_us, begin_us + DAY_US
    if day is not None or begin is None or end is None:
        raise typer.BadParameter("say either --day, or --from and --to", param_hint="--from, --to, --day")
    span = time_option(begin, "--from"), time_option(end, "--to")
    if span[0] >= span[1]:
        raise typer.BadParameter("expected a time after --from", param_hint="--to")
    return span


def _print_columns(datasets: list[Dataset], as_json: bool) -> None:
    rows = [
        [dataset.name, column.name, column.kind.value, column.title.vi, column.title.en]
        for dataset in datasets
        for column in dataset.columns
    ]
    print_table(["dataset", "column", "kind", "nghĩa", "meaning"], rows, as_json)
