"""The command `ioc`. Every command ends with what to do next when it cannot do its work."""

import sys
from typing import Annotated, Final

import typer
import uvloop
from prometheus_client import disable_created_metrics

from ioc import __version__
from ioc.app.cli import (
    attach,
    audit,
    backup,
    data,
    device_add,
    devices,
    export,
    figures,
    gazetteer,
    import_tables,
    log,
    ngsi,
    outages,
    policies,
    privacy,
    receivers,
    recordings,
    replay,
    rule_ops,
    rules,
    shifts,
    sites,
    tokens,
    users,
)
from ioc.app.cli.database import use_database
from ioc.app.cli.errors import expected_in, show
from ioc.app.cli.init import init
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    HostOption,
    JsonOption,
    MqttPortOption,
    PortOption,
    settings_from,
)
from ioc.app.cli.output import out, print_json
from ioc.app.doctor import Finding, diagnose
from ioc.app.logs import configure_logs
from ioc.app.open_files import raise_limit
from ioc.app.pipeline import ROLES
from ioc.app.rules.files import RuleFolder
from ioc.app.run import DATABASE_ROLE, RunOptions, run_database, run_roles
from ioc.app.settings import Settings, SettingsError
from ioc.app.tracing import trace_ids

RUNNING: Final = "Running the service"
CITY: Final = "The city and its devices"
RULES: Final = "Rules and rehearsal"
INCIDENTS: Final = "Incidents and figures"
PEOPLE: Final = "People and their data"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Event-streaming service of a smart city's operations centre."""


@app.command(rich_help_panel=RUNNING)
def up(
    demo: Annotated[bool, typer.Option(help="add the simulated city")] = False,
    simulators: Annotated[bool, typer.Option(help="with --demo: start the simulators too")] = True,
    scenario: Annotated[str, typer.Option(help="with --demo: scenario to play")] = "demo",
    data: DataOption = None,
    port: PortOption = None,
    host: HostOption = None,
    mqtt_port: MqttPortOption = None,
    config: ConfigOption = None,
) -> None:
    """Run everything in one place."""
    settings = settings_from(config, data, http={"port": port, "host": host}, mqtt={"port": mqtt_port})
    _run(settings, RunOptions(ROLES, demo=demo, simulators=simulators and demo, scenario=scenario))


@app.command(rich_help_panel=RUNNING)
def run(
    role: Annotated[str, typer.Argument(help=f"one of {', '.join(ROLES)}, {DATABASE_ROLE}")],
    data: DataOption = None,
    port: PortOption = None,
    host: HostOption = None,
    mqtt_port: MqttPortOption = None,
    config: ConfigOption = None,
) -> None:
    """Run one role; others may run beside it against the same data.

    `database` keeps the embedded database running, and restarts it should it die.
    """
    if role not in (*ROLES, DATABASE_ROLE):
        known = ", ".join((*ROLES, DATABASE_ROLE))
        raise typer.BadParameter(f"{role!r} is no role; choose one of {known}", param_hint="role")
    settings = settings_from(config, data, http={"port": port, "host": host}, mqtt={"port": mqtt_port})
    if role == DATABASE_ROLE:
        configure_logs(settings.log_level)
        with use_database(settings, keep=True) as database:
            uvloop.run(run_database(database))
    else:
        _run(settings, RunOptions((role,)))


def _run(settings: Settings, options: RunOptions) -> None:
    configure_logs(settings.log_level, *([trace_ids] if settings.tracing.endpoint else []))
    raise_limit()
    # Creation times as series of their own double `/metrics` and serve nobody here.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    rules = RuleFolder(settings.rules.folder)
    with use_database(settings, keep=options.roles == ROLES) as database:
        uvloop.run(run_roles(settings, database, rules, options))


@app.command(rich_help_panel=RUNNING)
def doctor(
    data: DataOption = None,
    port: PortOption = None,
    host: HostOption = None,
    mqtt_port: MqttPortOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a set-up and say what to do about each finding; exit code 1 if something must be done."""
    http, mqtt = {"port": port, "host": host}, {"port": mqtt_port}
    try:
        findings = diagnose(settings_from(config, data, http=http, mqtt=mqtt))
    except SettingsError as error:
        findings = [Finding("settings", False, str(error), "mend it; docs/settings.md lists every setting")]
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            _print_finding(finding)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _print_finding(finding: Finding) -> None:
    mark, style = ("ok  ", "green") if finding.ok else ("fix ", "red")
    out.print(mark, style=style, end=" ")
    out.print(f"{finding.name}: {finding.detail}")
    if finding.remedy:
        out.print(f"     → {finding.remedy}")


app.command("init", rich_help_panel=RUNNING)(init)
app.command("backup", rich_help_panel=RUNNING)(backup.backup_command)
app.command("backup-key", rich_help_panel=RUNNING)(backup.key_command)
app.command("restore", rich_help_panel=RUNNING)(backup.restore_command)
app.add_typer(log.app, name="log", help="The event log and the positions in it.", rich_help_panel=RUNNING)

device_add.register(data.devices)
devices.register(data.devices)
outages.register(data.devices)
attach.register(data.devices)
data.devices.command("import-sites")(sites.import_sites)
app.command("import", rich_help_panel=CITY)(import_tables.import_file)
app.add_typer(data.areas, name="areas", help="Areas: wards, roads, schools …", rich_help_panel=CITY)
app.add_typer(data.devices, name="devices", help="Registered devices and their keys.", rich_help_panel=CITY)
app.add_typer(gazetteer.app, name="gazetteer", help="Addresses that place reports.", rich_help_panel=CITY)
app.add_typer(ngsi.app, name="ngsi", help="Context brokers of FIWARE.", rich_help_panel=CITY)

rule_ops.register(rules.app)
app.command("record", rich_help_panel=RULES)(recordings.record)
app.command("replay", rich_help_panel=RULES)(replay.replay)
app.add_typer(rules.app, name="rules", rich_help_panel=RULES)
app.add_typer(
    recordings.app,
    name="recording",
    help="Look at recordings, cut them, make them anonymous.",
    rich_help_panel=RULES,
)

data.export.command("open")(export.open_data)
app.command("forecast", rich_help_panel=INCIDENTS)(policies.forecast)
app.command("kpis", rich_help_panel=INCIDENTS)(figures.kpis)
app.command("warnings", rich_help_panel=INCIDENTS)(figures.warnings)
app.add_typer(
    policies.app,
    name="policies",
    help="Who is responsible, how long things may take …",
    rich_help_panel=INCIDENTS,
)
app.add_typer(
    shifts.app,
    name="shifts",
    help="Shifts and the reports of their hand-over.",
    rich_help_panel=INCIDENTS,
)
app.add_typer(
    receivers.app,
    name="receivers",
    help="Who is told of incidents, and what failed.",
    rich_help_panel=INCIDENTS,
)
app.add_typer(data.export, name="export", help="Write out what is stored.", rich_help_panel=INCIDENTS)

app.add_typer(users.app, name="users", help="People who may log in.", rich_help_panel=PEOPLE)
app.add_typer(tokens.app, name="tokens", help="Tokens of machines that use the API.", rich_help_panel=PEOPLE)
app.add_typer(audit.app, name="audit", help="Who did or saw what.", rich_help_panel=PEOPLE)
app.add_typer(
    privacy.retention, name="retention", help="Personal data and when it ends.", rich_help_panel=PEOPLE
)
app.add_typer(
    privacy.erasure,
    name="erasure",
    help="Requests of people to erase their data.",
    rich_help_panel=PEOPLE,
)


def main() -> None:
    """Run the command line; expected errors become one message and exit code 1."""
    try:
        app()
    except Exception as error:
        expected = expected_in(error)
        if expected is None:
            raise
        for each in expected:
            show(each)
        sys.exit(1)
