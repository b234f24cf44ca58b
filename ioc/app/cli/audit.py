"""`ioc audit …`: whether the audit log is what was written."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ioc.app.audit_keeper import read_anchors
from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import notes, out, print_json
from ioc.store.audit import Verified, count_entries
from ioc.store.audit import verify as verify_entries

app = typer.Typer(no_args_is_help=True)


@app.callback()
def about() -> None:
    """Keep `verify` a command of its own."""


@app.command()
def verify(
    anchors: Annotated[
        Path | None, typer.Option(help="file of anchors to compare with (default: setting audit.anchors)")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check every entry of the audit log; exit code 1 if something was changed."""
    settings = settings_from(config, data)
    known = read_anchors(anchors or settings.anchors_file)

    async def check(connection: Connection) -> Verified:
        with Progress(console=notes, transient=True) as shown:
            task = shown.add_task("checking the audit log", total=await count_entries(connection))
            tell: Callable[[int], None] = lambda done: shown.update(task, completed=done)  # noqa: E731
            return await verify_entries(connection, known, tell)

    found = with_connection(settings, check)
    if as_json:
        print_json(
            {
                "intact": found.intact,
                "entries": found.entries,
                "areas": found.areas,
                "anchors": found.anchors,
                "findings": [
                    {"kind": each.kind, "area": each.area, "seq": each.seq, "detail": each.detail}
                    for each in found.findings
                ],
                "more_findings": found.more,
            }
        )
    else:
        _show(found)
    raise typer.Exit(0 if found.intact else 1)


def _show(found: Verified) -> None:
    for each in found.findings:
        place = f"{each.area} {each.seq}" if each.seq is not None else "–"
        out.print(f"{each.kind:10} {place:20} {each.detail}")
    if found.more:
        out.print(f"and {found.more} more")
    checked = f"{found.entries} entries in {found.areas} areas, {found.anchors} anchors"
    out.print(f"{'intact' if found.intact else 'NOT intact'}: {checked}")
    if not found.anchors:
        notes.print("no anchors yet: a log that was rewritten as a whole would not show")
