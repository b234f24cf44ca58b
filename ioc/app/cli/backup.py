"""`ioc backup` and `ioc restore`: the embedded database, into a folder and out of it; the keys for that."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ioc.app.backup.age import Identities, checked_recipient, new_identity
from ioc.app.backup.embedded import back_up, restore
from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError, with_command
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import notes, out, print_json
from ioc.app.settings import Settings

FolderArgument = Annotated[Path, typer.Argument(help="folder of the backup")]
RecipientOption = Annotated[
    list[str] | None,
    typer.Option("--recipient", help="age recipient (age1…) who can open it; repeat for several"),
]
PlainOption = Annotated[bool, typer.Option("--plain", help="write it in clear, whatever the settings say")]
IdentityOption = Annotated[
    Path | None, typer.Option("--identity", help="file of the private key of an encrypted backup")
]


def backup_command(
    folder: FolderArgument,
    recipient: RecipientOption = None,
    plain: PlainOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Back the embedded database up while it runs; the folder must be empty or absent."""
    settings = _of_embedded(config, data)
    recipients = _recipients(settings, recipient or [], plain)
    with use_database(settings) as database:
        assert database.server
        manifest = back_up(settings, database.server, folder, recipients, datetime.now(UTC))
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "dump_bytes": manifest.dump_bytes,
                "files": manifest.files,
                "recipients": manifest.recipients,
            }
        )
    else:
        out.print(f"{folder}: {manifest.dump_bytes / 1e6:.1f} MB and {len(manifest.files)} files beside")
    if recipients:
        notes.print(f"Encrypted for {', '.join(recipients)}: nobody else can open it. Keep it elsewhere.")
        return
    notes.print("NOT ENCRYPTED: it holds personal data, logins and keys in clear. ", style="red", end="")
    notes.print("Keep it on an encrypted disk, away from this machine;")
    notes.print(with_command("or make a key with `{ioc} backup-key FILE` and set backup.recipients."))


def key_command(
    file: Annotated[Path, typer.Argument(help="new file of the private key, best on a removable disk")],
    as_json: JsonOption = False,
) -> None:
    """Make a pair of keys for encrypted backups (age): a private one into FILE, and its recipient."""
    recipient = new_identity(file, datetime.now(UTC))
    if as_json:
        print_json({"recipient": recipient, "identity": str(file)})
        return
    out.print(recipient)
    notes.print(f'Set backup.recipients = ["{recipient}"], or give it to `ioc backup` with --recipient.')
    notes.print(
        f"{file} is the private key and opens every backup for that recipient: without it they are lost, with"
        " it anybody reads them. Take it off this machine: two copies in two places that are locked, none"
        " beside the backups."
    )


def restore_command(
    folder: FolderArgument,
    identity: IdentityOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new data folder's database from a backup."""
    settings = _of_embedded(config, data)
    manifest = restore(settings, folder, Identities(identity) if identity else None)
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


def _recipients(settings: Settings, given: list[str], plain: bool) -> list[str]:
    if plain and given:
        raise CommandError(
            "--plain and --recipient exclude each other", "Say either who can open it, or that anybody can."
        )
    if plain:
        return []
    return list(dict.fromkeys(map(checked_recipient, given or settings.backup.recipients)))
