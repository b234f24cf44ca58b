"""`ioc gazetteer import | find`: the addresses that place reports without a position."""

from datetime import datetime
from typing import Annotated

import msgspec
import typer

from ioc.app.address_book import former_names, ward_names
from ioc.app.address_file import AddressFileError, read_address_file
from ioc.app.cli.data import FileArgument
from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import notes, out, print_json
from ioc.geo.gazetteer import Gazetteer, Placement
from ioc.geo.index import AreaIndex
from ioc.model.times import CITY_ZONE
from ioc.store.areas import read_areas
from ioc.store.audit import Area, record
from ioc.store.gazetteer import read_addresses, replace_addresses

app = typer.Typer(no_args_is_help=True)
_MEND = "Nothing was imported: mend the file, then import it again; --keep-valid takes what is right."


@app.command("import")
def import_addresses(
    file: FileArgument,
    keep_valid: Annotated[
        bool, typer.Option("--keep-valid", help="take what is right and list what is not")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the gazetteer by a CSV: code, address, lon, lat, and if wanted ward, old_wards."""
    settings = settings_from(config, data)
    content = file.read_bytes()

    async def store(connection: Connection) -> tuple[int, list[str]]:
        index = await _index(connection)
        try:
            found = read_address_file(content, settings.bounds, index.ward_of)
        except AddressFileError as error:
            raise CommandError(f"{file.name}: {error}", _MEND) from error
        errors = found.errors + ([f"and {found.more} more"] if found.more else [])
        if errors and not keep_valid:
            raise CommandError("\n".join(errors), _MEND)
        await replace_addresses(connection, found.addresses)
        details = {"addresses": len(found.addresses)}
        actor = command_line_user()
        await record(
            connection, Area.ACCESS, actor=actor, op="gazetteer_imported", subject=file.name, details=details
        )
        return len(found.addresses), errors

    count, errors = with_connection(settings, store)
    if as_json:
        print_json({"imported": count, "refused": errors})
        return
    for error in errors:
        notes.print(f"refused: {error}")
    out.print(f"imported {count} addresses; a running service uses them within seconds")


@app.command("find")
def find(
    address: Annotated[str, typer.Argument(help="an address or a code, as a person would write it")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where an address is, how it was found, and how sure that is."""

    async def look(connection: Connection) -> Placement | None:
        index = await _index(connection)
        addresses = await read_addresses(connection)
        return Gazetteer(addresses, ward_names(index), former_names(index)).find(address)

    found = with_connection(settings_from(config, data), look)
    if as_json:
        print_json(None if found is None else msgspec.to_builtins(found))
    elif found is None:
        out.print("not known, or it could be several: name the ward")
    else:
        place = "no point" if found.lon is None else f"{found.lon:.6f}, {found.lat:.6f}"
        out.print(f"{found.matched}: {place}, ward {found.ward or '–'} ({found.by}, {found.confidence:.0%})")


async def _index(connection: Connection) -> AreaIndex:
    return AreaIndex.at(await read_areas(connection), datetime.now(CITY_ZONE).date())
