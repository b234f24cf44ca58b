"""`ioc areas …`, `ioc devices …`, `ioc export …`: what goes in and out as files."""

import asyncio
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ioc.api.device_ports import FileFormat, ImportReport
from ioc.app.cli.database import Connection, use_database, with_connection
from ioc.app.cli.names import need_device
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    command_line_user,
    settings_from,
)
from ioc.app.cli.output import notes, out, print_json, print_table
from ioc.app.core import Database, open_core
from ioc.app.devices.description import DeviceFile
from ioc.app.devices.importing import READERS, WRITERS, compare, ward_warnings
from ioc.app.devices.logins import seal_of, store_login
from ioc.app.incidents.checksum import checksum
from ioc.app.rules.settled import rules_settled
from ioc.app.settings import Settings
from ioc.app.ward_check import known_wards
from ioc.geo.geojson import parse_areas
from ioc.geo.index import WARD, surface
from ioc.model.incidents import Incident
from ioc.store.areas import area_kinds, read_areas, replace_areas
from ioc.store.audit import Area as AuditArea
from ioc.store.audit import record
from ioc.store.devices import issue_key, read_devices, read_version, rotate_key, upsert_devices
from ioc.store.incidents import IncidentFilter, read_page
from ioc.stream.wire import mask_incident

areas = typer.Typer(no_args_is_help=True)
devices = typer.Typer(no_args_is_help=True)
export = typer.Typer(no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="file to read", exists=True, dir_okay=False)]


@areas.command("import")
def import_areas(
    file: FileArgument,
    kind: Annotated[str, typer.Option(help="kind of features without a property `kind`")] = "ward",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a GeoJSON file; it replaces the areas of the kinds that it holds."""
    settings = settings_from(config, data)
    found = parse_areas(file.read_bytes(), kind=kind, bounds=settings.bounds)
    warnings = [f"{area.kind} {area.code}: {warning}" for area in found if (warning := surface(area)[1])]
    by_kind = {
        each: [area for area in found if area.kind == each] for each in sorted({area.kind for area in found})
    }
    counts = {each: len(areas) for each, areas in by_kind.items()}

    async def replace(connection: Connection) -> tuple[dict[str, int], list[str]]:
        gone = {}
        for each, areas in by_kind.items():
            former = {area.code for area in await read_areas(connection, each)}
            gone[each] = len(former - {area.code for area in areas})
            await replace_areas(connection, each, areas)
        details = {"imported": counts, "gone": gone}
        actor = command_line_user()
        await record(
            connection, AuditArea.ACCESS, actor=actor, op="areas_imported", subject=file.name, details=details
        )
        left = await read_devices(connection) if WARD in by_kind else []
        return gone, ward_warnings(left, await known_wards(connection))

    gone, homeless = with_connection(settings, replace)
    if as_json:
        print_json({"imported": counts, "gone": gone, "warnings": warnings + homeless})
        return
    _print_warnings(warnings + homeless)
    out.print("imported " + _counted(counts))
    if any(gone.values()):
        out.print(f"no longer there, since the file does not hold them: {_counted(gone)}")
    out.print("A running service uses them within seconds.")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in counts.items() if count)


@areas.command("list")
def list_areas(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Count the areas by kind."""
    counts = with_connection(settings_from(config, data), area_kinds)
    print_table(["kind", "areas"], [[kind, count] for kind, count in counts.items()], as_json)


@devices.command("import")
def import_devices(
    file: FileArgument,
    written_as: Annotated[
        FileFormat | None, typer.Option("--format", help="default: by the name, .csv is CSV, else GeoJSON")
    ] = None,
    keep_valid: Annotated[
        bool, typer.Option("--keep-valid", help="register what is right and list what is not")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would change and what is wrong; write nothing")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a file of devices; devices that exist are replaced, others are kept."""
    settings = settings_from(config, data)
    by_name = FileFormat.CSV if file.suffix.lower() == ".csv" else FileFormat.GEOJSON
    read = READERS[written_as or by_name](file.read_bytes())
    if dry_run:
        _print_plan(with_connection(settings, lambda connection: _plan(connection, read)), as_json)
        return
    found = read.devices if keep_valid else read.whole()

    async def store(connection: Connection) -> list[str]:
        await upsert_devices(connection, found)
        for device_id, login in read.logins.items():
            await store_login(connection, seal_of(settings), device_id, login, command_line_user())
        await record(
            connection,
            AuditArea.ACCESS,
            actor=command_line_user(),
            op="devices_imported",
            subject=file.name,
            details={"devices": len(found), "refused": len(read.errors)},
        )
        return ward_warnings(found, await known_wards(connection))

    warnings = with_connection(settings, store)
    if as_json:
        print_json({"imported": len(found), "refused": read.errors, "warnings": warnings})
        return
    for error in read.errors:
        notes.print(f"refused: {error}")
    _print_warnings(warnings)
    out.print(f"imported {len(found)} devices")


async def _plan(connection: Connection, read: DeviceFile) -> ImportReport:
    known = {device.id: device for device in await read_devices(connection)}
    wards, version = await known_wards(connection), await read_version(connection)
    return compare(read, known, wards, version=version, written=False)


def _print_plan(plan: ImportReport, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(plan))
        return
    for finding in plan.findings:
        notes.print(f"refused: {finding}")
    _print_warnings(plan.warnings)
    rows = [
        [change.id, change.kind, "; ".join(f"{f.field}: {f.before} → {f.after}" for f in change.fields)]
        for change in plan.changes
    ]
    print_table(["id", "change", "fields"], rows, as_json)
    out.print(
        f"would register {plan.new} new devices and change {plan.changed}; {plan.same} stay as they are,"
        f" {plan.refused} findings"
    )


@devices.command("export")
def export_devices(
    written_as: Annotated[FileFormat, typer.Option("--format", help="csv or geojson")] = FileFormat.CSV,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the registry to standard output, as `import` reads it; without keys."""
    found = with_connection(settings_from(config, data), read_devices)
    sys.stdout.buffer.write(WRITERS[written_as](found).encode())


@devices.command("list")
def list_devices(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the registered devices."""
    found = with_connection(settings_from(config, data), read_devices)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    rows = [[device.id, device.kind, device.ward, device.name] for device in found]
    print_table(["id", "kind", "ward", "name"], rows, as_json)


@devices.command("key")
def new_key(
    device_id: Annotated[str, typer.Argument(help="a registered device")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a further key for a device, so that keys can be rotated."""

    async def issue(connection: Connection) -> str:
        await need_device(connection, device_id)
        return await issue_key(connection, device_id, "command line")

    show_key(device_id, with_connection(settings_from(config, data), issue), as_json)


@devices.command("rotate-key")
def rotate(
    device_id: Annotated[str, typer.Argument(help="a registered device")],
    overlap_h: Annotated[
        float,
        typer.Option("--overlap-hours", min=0, max=24 * 90, help="how long the old key stays valid too"),
    ] = 168.0,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a new key; the old one is valid until the overlap ends, still older ones end now."""

    async def change(connection: Connection) -> tuple[str, datetime | None]:
        await need_device(connection, device_id)
        found = await rotate_key(connection, device_id, timedelta(hours=overlap_h), "rotated")
        await record(
            connection, AuditArea.ACCESS, actor=command_line_user(), op="key_rotated", subject=device_id
        )
        return found

    key, ends = with_connection(settings_from(config, data), change)
    if as_json:
        print_json({"device": device_id, "key": key, "old_key_ends": ends.isoformat() if ends else None})
        return
    show_key(device_id, key, False)
    if ends:
        out.print(f"the old key is valid until {ends.astimezone():%Y-%m-%d %H:%M %Z}")


def show_key(device_id: str, key: str, as_json: bool) -> None:
    """Print a new key."""
    if as_json:
        print_json({"device": device_id, "key": key})
    else:
        out.print(f"key of {device_id}, shown once: {key}")


@export.command("incidents")
def export_incidents(
    unmasked_because: Annotated[
        str | None,
        typer.Option("--unmasked", help="reason to write plates, phone numbers and names out; is recorded"),
    ] = None,
    settled: Annotated[
        bool, typer.Option("--settled", help="first wait until the rules have taken all that the log holds")
    ] = False,
    only_checksum: Annotated[
        bool, typer.Option("--checksum", help="print only a sum over what rules decided, to compare replays")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write every incident as one JSON line, in the order of their ids: equal data gives equal bytes."""
    masked, settings = unmasked_because is None, settings_from(config, data)
    if settled:
        _settle(settings)
    if only_checksum:
        found = checksum(with_connection(settings, _all_incidents))
        if as_json:
            print_json(msgspec.to_builtins(found))
        else:
            out.print(f"{found.sha256}  {found.incidents} incidents")
        return

    async def read(connection: Connection) -> list[bytes]:
        incidents = await _all_incidents(connection)
        lines = {i.id: msgspec.json.encode(mask_incident(i) if masked else i) for i in incidents}
        if not masked:
            await record(
                connection,
                AuditArea.PERSONAL,
                actor=command_line_user(),
                op="incidents_exported_unmasked",
                subject="all",
                details={"reason": unmasked_because, "incidents": len(lines)},
            )
        return [lines[incident_id] for incident_id in sorted(lines)]

    for line in with_connection(settings, read):
        sys.stdout.buffer.write(line + b"\n")


async def _all_incidents(connection: Connection) -> list[Incident]:
    found: dict[str, Incident] = {}
    cursor = None
    while True:
        query = IncidentFilter(open_only=False, limit=500, cursor=cursor)
        page, cursor = await read_page(connection, query)
        found |= {incident.id: incident for incident in page}
        if cursor is None:
            return list(found.values())


def _settle(settings: Settings) -> None:
    async def wait(database: Database) -> None:
        async with open_core(settings, database) as core:
            await rules_settled(core.log, core.pool)

    with use_database(settings) as database:
        asyncio.run(wait(database))


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        notes.print("warning: ", style="yellow", end="")
        notes.print(warning)
