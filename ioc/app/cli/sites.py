"""`ioc devices import-sites`: the detectors of another authority, from its own table of sites."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json
from ioc.ingest.decoders.datex2_sites import SiteTableError, read_sites
from ioc.model.places import Device
from ioc.store.audit import Area as AuditArea
from ioc.store.audit import record
from ioc.store.devices import read_devices, upsert_devices


def import_sites(
    file: Annotated[
        Path,
        typer.Argument(
            help="MeasurementSiteTablePublication, XML, JSON or gzip", exists=True, dir_okay=False
        ),
    ],
    publisher: Annotated[str, typer.Option(help="registered device that sends the measurements")],
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register every site of a DATEX II table as a detector that its publisher may speak for.

    Sites that exist are replaced; the publisher's `covers` grows by what it needs.
    """
    body = file.read_bytes()

    async def store(connection: Connection) -> tuple[list[Device], tuple[str, ...]]:
        known = {device.id: device for device in await read_devices(connection)}
        if publisher not in known:
            raise CommandError(
                f"there is no device {publisher!r}",
                f"Register the publisher first: `{{ioc}} devices add {publisher} --decoder datex2`.",
            )
        sender = known[publisher]
        try:
            sites = read_sites(body, sender)
        except SiteTableError as error:
            raise CommandError(
                str(error), "Nothing was registered: mend the table, then import it."
            ) from error
        if any(site.id == sender.id for site in sites):
            detail = f"a site has the publisher's own id, {publisher!r}"
            raise CommandError(detail, "Give the publisher another `--option prefix=…` and import again.")
        added = _missing(sender, sites)
        grown = msgspec.structs.replace(sender, covers=sender.covers + added)
        async with connection.transaction():
            await upsert_devices(connection, [*sites, *([grown] if added else [])])
            await record(
                connection,
                AuditArea.ACCESS,
                actor=command_line_user(),
                op="sites_imported",
                subject=publisher,
                details={"file": file.name, "sites": len(sites)},
            )
        return sites, added

    sites, added = with_connection(settings_from(config, data), store)
    nowhere = sum(site.lon is None for site in sites)
    if as_json:
        print_json({"imported": len(sites), "without_position": nowhere, "covers_added": list(added)})
        return
    out.print(f"imported {len(sites)} detectors of {publisher}")
    if nowhere:
        out.print(f"{nowhere} of them have no coordinates in the table: their events belong to no ward")
    if added:
        out.print(f"{publisher} now covers {', '.join(added)}")


def _missing(sender: Device, sites: list[Device]) -> tuple[str, ...]:
    """Return what the publisher's `covers` lacks: one pattern where its sources have a prefix, else ids."""
    lacking = [site.id for site in sites if not sender.may_send_for(site.id)]
    prefix = sender.options.get("prefix", f"{sender.id}-")
    if not lacking:
        return ()
    return (f"{prefix}*",) if prefix else tuple(lacking)
