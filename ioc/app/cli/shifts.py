"""`ioc shifts …`: who led when, and what was handed over."""

import hashlib
from typing import Annotated

import typer

from ioc.api.shifts import shift_view
from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import print_table
from ioc.app.incidents.shift_service import read_report
from ioc.incidents.shift_report import render_html
from ioc.model.shifts import Shift
from ioc.store import shifts as rows
from ioc.store.areas import read_areas
from ioc.store.pool import Pool

app = typer.Typer(no_args_is_help=True)

LISTED = 200


@app.command("list")
def list_shifts(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the newest shifts: who led, since when, who took over."""

    async def read(pool: Pool) -> list[Shift]:
        async with pool.connection() as connection:
            return await rows.read_shifts(connection, None, LISTED)

    found = [shift_view(shift) for shift in with_pool(settings_from(config, data), read)]
    columns = ["shift", "state", "lead", "began", "passed", "incoming"]
    lines = [[each.id, each.state, each.lead, each.began, each.passed, each.incoming] for each in found]
    print_table(columns, lines, as_json)


@app.command("report")
def report(
    shift: Annotated[int, typer.Argument(help="number of a shift that has passed", min=1)],
    html: Annotated[bool, typer.Option("--html", help="a page to print instead of JSON")] = False,
    lang: Annotated[str, typer.Option(help="vi or en")] = "vi",
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the report of a shift: JSON as it was written, or a page to print."""
    if lang not in ("vi", "en"):
        raise CommandError(f"there is no language {lang!r}", "Choose vi or en.")

    async def read(pool: Pool) -> tuple[rows.ReportRow | None, dict[str, str]]:
        async with pool.connection() as connection:
            areas = await read_areas(connection)
            names = {area.code: getattr(area.name, lang) for area in areas}
            return await rows.read_report(connection, shift), names

    found, names = with_pool(settings_from(config, data), read)
    if found is None:
        raise CommandError(
            f"shift {shift} has no report", "See `ioc shifts list`: a report is made when a shift passes."
        )
    if hashlib.sha256(found.text.encode()).hexdigest() != found.sha256:
        raise CommandError(
            f"the report of shift {shift} is not what was written", "See `ioc audit verify`, and restore it."
        )
    print(render_html(read_report(found.text), found.sha256, lang, names) if html else found.text)
