"""`ioc init`: everything that has to exist before the roles start."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import print_json
from ioc.app.core import Database, open_core
from ioc.app.installation import InstallationError, create_external_database, prepare, write_secrets
from ioc.app.rules.files import RuleFolder
from ioc.app.settings import Settings
from ioc.store.passwords import UnfitPasswordError


def init(
    env: Annotated[
        Path | None, typer.Option("--env", help="only write random secrets for compose.yaml to this file")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="with --env: replace the file, whose secrets are then lost")
    ] = False,
    superuser_dsn: Annotated[
        str,
        typer.Option(
            envvar="IOC_SUPERUSER_DSN",
            help="with an external database: connection that creates its roles and the database",
        ),
    ] = "",
    admin_password: Annotated[
        str,
        typer.Option(envvar="IOC_ADMIN_PASSWORD", help="password of the first account, admin; empty: none"),
    ] = "",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prepare an installation: database, roles, schema, topics, rules. May be repeated."""
    if env is not None:
        _write_secrets(env, force, as_json)
        return
    settings = settings_from(config, data)
    try:
        if superuser_dsn and settings.database.admin_dsn:
            create_external_database(superuser_dsn, settings.database)
        with use_database(settings) as database:
            lines = uvloop.run(_prepare(settings, database, admin_password))
    except InstallationError as error:
        raise CommandError(str(error), "docs/settings.md lists every setting.") from error
    except UnfitPasswordError as error:
        raise CommandError(f"the password of admin: {error}", "Give another IOC_ADMIN_PASSWORD.") from error
    if as_json:
        print_json({"prepared": lines})
        return
    for line in lines:
        print(line)
    if "wards: 0" in lines:
        print("next: `ioc areas import FILE` and `ioc devices import FILE`, then `ioc up` or `ioc run ROLE`")
    else:
        print("next: `ioc up`, or `ioc run ROLE` for each role; `ioc doctor` looks whether all is well")


def _write_secrets(path: Path, force: bool, as_json: bool) -> None:
    try:
        write_secrets(path, force=force)
    except FileExistsError as error:
        raise CommandError(
            f"{path} exists: its secrets may be those of a database that holds data",
            "Keep it, or replace it with --force.",
        ) from error
    if as_json:
        print_json({"file": str(path)})
        return
    print(f"wrote {path}, readable by you alone")
    print("next: `docker compose up --build`")


async def _prepare(settings: Settings, database: Database, admin_password: str) -> list[str]:
    async with open_core(settings, database) as core:
        return await prepare(core, RuleFolder(settings.rules.folder), admin_password)
