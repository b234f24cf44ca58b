"""`ioc areas …`, `ioc devices …`, `ioc export …`: what goes in and out as files."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table

from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.core import open_database
from ioc.app.device_file import parse_devices
from ioc.app.settings import Settings
from ioc.geo.geojson import parse_areas
from ioc.geo.index import surface
from ioc.model.places import Device, DeviceKind
from ioc.store.areas import area_kinds, replace_areas
from ioc.store.devices import issue_key, read_devices, upsert_devices
from ioc.store.incidents import IncidentFilter, read_page
from ioc.store.pool import open_pool

areas = typer.Typer(no_args_is_help=True)
devices = typer.Typer(no_args_is_help=True)
export = typer.Typer(no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="file to read", exists=True, dir_okay=False)]
Connection = AsyncConnection[Any]
Result = TypeVar("Result")
_out = Console(highlight=False)


def with_connection(settings: Settings, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Run `work` on one connection as the unprivileged role."""

    async def run(dsn: str) -> Result:
        async with open_pool(dsn, name="cli", max_size=1) as pool, pool.connection() as connection:
            return await work(connection)

    with open_database(settings) as database:
        return asyncio.run(run(database.app))


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
    warnings = [warning for area in found if (warning := surface(area)[1])]

    async def replace(connection: Connection) -> None:
        for each in sorted({area.kind for area in found}):
            await replace_areas(connection, each, [area for area in found if area.kind == each])

    with_connection(settings, replace)
    counts = {
        each: sum(area.kind == each for area in found) for each in sorted({area.kind for area in found})
    }
    if as_json:
        print(json.dumps({"imported": counts, "warnings": warnings}, ensure_ascii=False))
        return
    for warning in warnings:
        _out.print(f"[yellow]mended:[/] {warning}")
    _out.print("imported " + ", ".join(f"{count} × {each}" for each, count in counts.items()))
    _out.print("A running service uses them within seconds.")


@areas.command("list")
def list_areas(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Count the areas by kind."""
    counts = with_connection(settings_from(config, data), area_kinds)
    _print_table(["kind", "areas"], [[kind, count] for kind, count in counts.items()], as_json)


@devices.command("import")
def import_devices(
    file: FileArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Import a GeoJSON file of devices; devices that exist are replaced, others are kept."""
    found = parse_devices(file.read_bytes())
    with_connection(settings_from(config, data), lambda connection: upsert_devices(connection, found))
    print(json.dumps({"imported": len(found)}) if as_json else f"imported {len(found)} devices")


@devices.command("list")
def list_devices(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the registered devices."""
    found = with_connection(settings_from(config, data), read_devices)
    rows = [[device.id, device.kind, device.ward, device.name] for device in found]
    _print_table(["id", "kind", "ward", "name"], rows, as_json)


@devices.command("add")
def add_device(
    device_id: Annotated[str, typer.Argument(help="the device's id: `source` of its events")],
    kind: Annotated[DeviceKind, typer.Option(help="what it is")] = DeviceKind.GATEWAY,
    name: Annotated[str, typer.Option(help="name shown")] = "",
    ward: Annotated[str | None, typer.Option(help="code of its ward")] = None,
    lon: Annotated[float | None, typer.Option(help="longitude, degrees")] = None,
    lat: Annotated[float | None, typer.Option(help="latitude, degrees")] = None,
    covers: Annotated[list[str] | None, typer.Option(help="sources it may send for; prefix* allowed")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a device and issue its key, which is shown once."""
    device = Device(
        id=device_id,
        kind=kind,
        name=name or device_id,
        ward=ward,
        lon=lon,
        lat=lat,
        covers=tuple(covers or ()),
    )

    async def add(connection: Connection) -> str:
        await upsert_devices(connection, [device])
        return await issue_key(connection, device_id, "command line")

    _show_key(device_id, with_connection(settings_from(config, data), add), as_json)


@devices.command("key")
def new_key(
    device_id: Annotated[str, typer.Argument(help="a registered device")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a further key for a device, so that keys can be rotated."""
    settings = settings_from(config, data)
    key = with_connection(settings, lambda connection: issue_key(connection, device_id, "command line"))
    _show_key(device_id, key, as_json)


def _show_key(device_id: str, key: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"device": device_id, "key": key}))
    else:
        _out.print(f"key of {device_id}, shown once: [bold]{key}[/]")


@export.command("incidents")
def export_incidents(data: DataOption = None, config: ConfigOption = None) -> None:
    """Write every incident as one JSON line, in the order of their ids: equal data gives equal bytes."""

    async def read(connection: Connection) -> list[bytes]:
        lines: dict[str, bytes] = {}
        cursor = None
        while True:
            query = IncidentFilter(open_only=False, limit=500, cursor=cursor)
            page, cursor = await read_page(connection, query)
            lines |= {incident.id: msgspec.json.encode(incident) for incident in page}
            if cursor is None:
                return [lines[incident_id] for incident_id in sorted(lines)]

    for line in with_connection(settings_from(config, data), read):
        sys.stdout.buffer.write(line + b"\n")


def _print_table(columns: list[str], rows: list[list[Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(str(value) if value is not None else "–" for value in row))
    _out.print(table)
