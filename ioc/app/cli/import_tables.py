"""`ioc import …`: tables of measurements, counts or reports as files."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import notes, out, print_json, print_table
from ioc.app.core import Database, open_core
from ioc.app.logs import configure_logs
from ioc.app.settings import Settings
from ioc.app.table_import import (
    ImportReport,
    Nowhere,
    front_door,
    import_table,
    parse_mapping,
    pieces,
    sender_of,
)
from ioc.ingest.ports import IngestError
from ioc.model.events import Event
from ioc.model.places import Device
from ioc.model.times import format_us

DRY_SHOWN: Final = 5
"""Events that a dry run shows."""


def import_file(
    file: Annotated[
        Path, typer.Argument(help="CSV, or JSON objects one per line", exists=True, dir_okay=False)
    ],
    device: Annotated[str, typer.Option(help="registered device that stands for the file")],
    mapping: Annotated[
        Path | None,
        typer.Option(help="YAML file of columns; default: the device's options", exists=True, dir_okay=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="store nothing; show the first events and every refusal")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a table through the front door: each row is validated, located, and stored or quarantined."""
    settings = settings_from(config, data)
    configure_logs(settings.log_level)
    options = None if mapping is None else parse_mapping(mapping.read_bytes())
    instead = Nowhere(DRY_SHOWN) if dry_run else None
    size = file.stat().st_size
    with use_database(settings) as database:
        report = asyncio.run(_send(settings, database, file, size, (device, options), instead))
    if as_json:
        found: dict[str, Any] = msgspec.to_builtins(report)
        if instead is not None:
            found["events"] = msgspec.to_builtins(instead.events)
        print_json(found)
    else:
        _show(report, instead)
    if report.rejected and not (report.accepted or report.duplicate):
        raise CommandError("no row could be taken", "Mend the mapping, and look first with --dry-run.")


async def _send(
    settings: Settings,
    database: Database,
    file: Path,
    size: int,
    sender: tuple[str, dict[str, str] | None],
    instead: Nowhere | None,
) -> ImportReport:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    async with open_core(settings, database) as core, asyncio.TaskGroup() as group:
        device = sender_of(_registered(core.directory.registry.device(sender[0]), sender[0]), sender[1])
        log = group.create_task(core.log.run())
        try:
            with (
                Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar,
                closing(pieces(file, device.options)) as found,
            ):
                task = bar.add_task(file.name, total=size)
                return await import_table(
                    front_door(core, instead), device, found, lambda done: bar.update(task, completed=done)
                )
        except IngestError as error:
            raise CommandError(
                f"not everything could be stored: {error}",
                "Import the same file again: rows that are stored are known by their ids.",
            ) from error
        finally:
            log.cancel()


def _registered(device: Device | None, device_id: str) -> Device:
    if device is None:
        raise CommandError(
            f"no such device: {device_id}", "`{ioc} devices list` shows them, `{ioc} devices add` adds one."
        )
    return device


def _show(report: ImportReport, instead: Nowhere | None) -> None:
    if instead is not None:
        print_table(
            ["time", "source", "ward", "type", "data"], [_row(event) for event in instead.events], False
        )
    if report.shown:
        rows = [[each.line, each.field, each.rule, each.detail] for each in report.shown]
        print_table(["line", "column", "rule", "detail"], rows, False)
        more = report.rejected - len(report.shown)
        if more > 0:
            out.print(
                f"and {more} more refused rows: " + ", ".join(f"{n} × {r}" for r, n in report.rules.items())
            )
    verb = "would be stored" if instead is not None else "stored"
    out.print(f"{report.accepted} {verb}, {report.duplicate} known already, {report.rejected} refused")


def _row(event: Event) -> list[object]:
    fields = msgspec.to_builtins(event.data)
    told = ", ".join(f"{name}={value}" for name, value in fields.items() if name not in ("type", "extra"))
    return [format_us(event.time_us), event.source, event.ward, event.type, told]
