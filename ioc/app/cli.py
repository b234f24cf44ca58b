"""The command `ioc`. Every command ends with what to do next when it cannot do its work."""

import asyncio
import json
import sys
from typing import Annotated, Final

import psycopg
import typer
import uvloop
from prometheus_client import disable_created_metrics
from rich.console import Console

from ioc.api.ports import NotFoundError
from ioc.app import cli_data, cli_rule_ops, cli_users
from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.core import Database, open_core, open_database
from ioc.app.device_file import DeviceFileError
from ioc.app.doctor import diagnose
from ioc.app.logs import configure_logs
from ioc.app.pipeline import ROLES
from ioc.app.rule_files import RuleFolder
from ioc.app.rule_push import PushRefused
from ioc.app.rules_backtest import NoHistoryError
from ioc.app.run import DATABASE_ROLE, RunOptions, run_database, run_roles
from ioc.app.settings import Settings, SettingsError
from ioc.app.web import PortInUseError
from ioc.geo.geojson import InvalidAreas
from ioc.rules.errors import InvalidRules
from ioc.store.areas import AreaError
from ioc.store.embedded import DataFolderError
from ioc.store.pool import PrivilegedRoleError, StoreUnavailable
from ioc.store.users import AccessError

app = typer.Typer(
    help="Event-streaming service of a smart city's operations centre.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.areas, name="areas", help="Areas: wards, roads, schools …")
app.add_typer(cli_data.devices, name="devices", help="Registered devices and their keys.")
app.add_typer(cli_data.export, name="export", help="Write out what is stored.")
app.add_typer(cli_users.app, name="users", help="People who may log in.")
rules_app = typer.Typer(help="Rule files.", no_args_is_help=True)
cli_rule_ops.register(rules_app)
app.add_typer(rules_app, name="rules")

_errors = Console(stderr=True, highlight=False)

EXPECTED: Final = (
    SettingsError,
    DataFolderError,
    DeviceFileError,
    InvalidAreas,
    AreaError,
    InvalidRules,
    AccessError,
    StoreUnavailable,
    PrivilegedRoleError,
    psycopg.OperationalError,
    FileNotFoundError,
    PortInUseError,
    PushRefused,
    NoHistoryError,
    NotFoundError,
)
"""What a user can cause and mend; shown without a traceback."""


@app.command()
def up(
    demo: Annotated[bool, typer.Option(help="add the simulated city")] = False,
    simulators: Annotated[bool, typer.Option(help="with --demo: start the simulators too")] = True,
    scenario: Annotated[str, typer.Option(help="with --demo: scenario to play")] = "demo",
    data: DataOption = None,
    port: Annotated[int | None, typer.Option(help="HTTP port")] = None,
    host: Annotated[str | None, typer.Option(help="HTTP address to listen on")] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="MQTT port")] = None,
    config: ConfigOption = None,
) -> None:
    """Run everything in one place."""
    http = {name: value for name, value in (("port", port), ("host", host)) if value is not None}
    mqtt = {"port": mqtt_port} if mqtt_port is not None else {}
    settings = settings_from(config, data, http=http, mqtt=mqtt)
    _run(settings, RunOptions(ROLES, demo=demo, simulators=simulators and demo, scenario=scenario))


@app.command()
def run(
    role: Annotated[str, typer.Argument(help=f"one of {', '.join(ROLES)}, {DATABASE_ROLE}")],
    data: DataOption = None,
    port: Annotated[int | None, typer.Option(help="HTTP port")] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="MQTT port")] = None,
    config: ConfigOption = None,
) -> None:
    """Run one role; others may run beside it against the same data.

    Start `database` first where the embedded one is used: whoever starts it also stops it.
    """
    if role not in (*ROLES, DATABASE_ROLE):
        known = ", ".join((*ROLES, DATABASE_ROLE))
        raise typer.BadParameter(f"{role!r} is no role; choose one of {known}", param_hint="role")
    http = {"port": port} if port is not None else {}
    mqtt = {"port": mqtt_port} if mqtt_port is not None else {}
    settings = settings_from(config, data, http=http, mqtt=mqtt)
    if role == DATABASE_ROLE:
        configure_logs(settings.log_level)
        with open_database(settings, share=False) as database:
            uvloop.run(run_database(database))
    else:
        _run(settings, RunOptions((role,)))


def _run(settings: Settings, options: RunOptions) -> None:
    configure_logs(settings.log_level)
    # Creation times as series of their own double `/metrics` and serve nobody here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    rules = RuleFolder(settings.rules.folder)
    with open_database(settings, share=options.roles != ROLES) as database:
        uvloop.run(run_roles(settings, database, rules, options))


@app.command()
def doctor(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check a set-up and say what to do about each finding; exit code 1 if something must be done."""
    findings = diagnose(settings_from(config, data))
    if as_json:
        print(json.dumps([finding.as_dict() for finding in findings], ensure_ascii=False))
    else:
        for finding in findings:
            mark = "[green]ok[/]  " if finding.ok else "[red]fix[/] "
            _errors.print(f"{mark}{finding.name}: {finding.detail}")
            if not finding.ok:
                _errors.print(f"     → {finding.remedy}")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


@rules_app.command("check")
def rules_check(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Compile the rule files against the imported areas; exit code 1 and every error if they do not."""
    settings = settings_from(config, data)
    rules = RuleFolder(settings.rules.folder)

    async def check(database: Database) -> int:
        async with open_core(settings, database) as core:
            return len(rules.compiled_for(core.directory.index).declared)

    with open_database(settings) as database:
        count = asyncio.run(check(database))
    print(json.dumps({"rules": count}) if as_json else f"{count} rules compile")


def main() -> None:
    """Run the command line; expected errors become one message and exit code 1."""
    try:
        app()
    except EXPECTED as error:
        _errors.print(f"[red]error:[/] {error}", markup=True, soft_wrap=True)
        _errors.print("Run `ioc doctor` to check the set-up.")
        sys.exit(1)


if __name__ == "__main__":
    main()
