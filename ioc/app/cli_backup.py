"""`ioc backup` and `ioc restore`: the embedded database, into a folder and out of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ioc.app.backup import back_up, restore
from ioc.app.cli_database import use_database
from ioc.app.cli_errors import CommandError
from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli_output import notes, out, print_json
from ioc.app.settings import Settings

FolderArgument = Annotated[Path, typer.Argument(help="folder of the backup")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("backup")(backup_command)
    app.command("restore")(restore_command)


def backup_command(
    folder: FolderArgument,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back the embedded database up while it runs; the folder must be empty or absent."""
    settings = _of_embedded(config, data)
    with use_database(settings) as database:
        assert database.server
        manifest = back_up(settings, database.server, folder, datetime.now(UTC))
    if as_json:
        print_json({"folder": str(folder), "dump_bytes": manifest.dump_bytes, "files": manifest.files})
        return
    out.print(f"{folder}: {manifest.dump_bytes / 1e6:.1f} MB and {len(manifest.files)} files beside")
    notes.print("It holds personal data and keys: keep it encrypted, away from this machine.")


def restore_command(
    folder: FolderArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Make a new data folder's database from a backup."""
    settings = _of_embedded(config, data)
    manifest = restore(settings, folder)
    # Brings the schema up to this version, where the backup is older.
    with use_database(settings):
        pass
    if as_json:
        print_json({"data": str(settings.data), "taken": manifest.taken.isoformat()})
        return
    out.print(f"{settings.data}: as of {manifest.taken.isoformat(timespec='seconds')}")
    place = f" --data {data}" if data else ""
    notes.print(
        f"Next: `ioc audit verify{place}`, then `ioc up{place}`; devices send again what they have not seen"
        " taken."
    )


def _of_embedded(config: Path | None, data: Path | None) -> Settings:
    settings = settings_from(config, data)
    if settings.database.admin_dsn:
        raise CommandError(
            "database.admin_dsn names a database that is not the embedded one",
            "Use PostgreSQL's own tools for it: docs/operations.md.",
        )
    return settings
