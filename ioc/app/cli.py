"""The command `ioc`. Every command ends with what to do next when it cannot do its work."""

import sys
from typing import Annotated

import typer
import uvloop
from prometheus_client import disable_created_metrics

from ioc.app import (
    cli_attach,
    cli_audit,
    cli_backup,
    cli_data,
    cli_device_add,
    cli_devices,
    cli_export,
    cli_figures,
    cli_gazetteer,
    cli_import,
    cli_log,
    cli_ngsi,
    cli_outages,
    cli_policies,
    cli_privacy,
    cli_recordings,
    cli_replay,
    cli_rule_ops,
    cli_rules,
    cli_shifts,
    cli_sites,
    cli_tokens,
    cli_users,
)
from ioc.app.cli_database import use_database
from ioc.app.cli_errors import expected_in, show
from ioc.app.cli_init import init
from ioc.app.cli_options import (
    ConfigOption,
    DataOption,
    HostOption,
    JsonOption,
    MqttPortOption,
    PortOption,
    settings_from,
)
from ioc.app.cli_output import notes, print_json
from ioc.app.doctor import Finding, diagnose
from ioc.app.logs import configure_logs
from ioc.app.open_files import raise_limit
from ioc.app.pipeline import ROLES
from ioc.app.rule_files import RuleFolder
from ioc.app.run import DATABASE_ROLE, RunOptions, run_database, run_roles
from ioc.app.settings import Settings, SettingsError
from ioc.app.tracing import trace_ids

app = typer.Typer(
    help="Event-streaming service of a smart city's operations centre.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.areas, name="areas", help="Areas: wards, roads, schools …")
cli_device_add.register(cli_data.devices)
cli_devices.register(cli_data.devices)
cli_outages.register(cli_data.devices)
cli_attach.register(cli_data.devices)
app.add_typer(cli_data.devices, name="devices", help="Registered devices and their keys.")
app.command("import")(cli_import.import_file)
app.add_typer(cli_gazetteer.app, name="gazetteer", help="Addresses that place reports.")
app.add_typer(cli_data.export, name="export", help="Write out what is stored.")
app.add_typer(cli_ngsi.app, name="ngsi", help="Context brokers of FIWARE.")
app.add_typer(cli_users.app, name="users", help="People who may log in.")
app.add_typer(cli_policies.app, name="policies", help="Who is responsible, how long things may take …")
app.add_typer(cli_shifts.app, name="shifts", help="Shifts and the reports of their hand-over.")
app.command("forecast")(cli_policies.forecast)
app.command("kpis")(cli_figures.kpis)
app.command("warnings")(cli_figures.warnings)
app.add_typer(cli_tokens.app, name="tokens", help="Tokens of machines that use the API.")
app.add_typer(cli_audit.app, name="audit", help="Who did or saw what.")
app.add_typer(cli_privacy.retention, name="retention", help="Personal data and when it ends.")
app.add_typer(cli_privacy.erasure, name="erasure", help="Requests of people to erase their data.")
app.add_typer(cli_log.app, name="log", help="The event log and the positions in it.")
cli_data.devices.command("import-sites")(cli_sites.import_sites)
cli_backup.register(app)
cli_recordings.register(app)
app.command("replay")(cli_replay.replay)
cli_data.export.command("open")(cli_export.open_data)
app.command()(init)
cli_rule_ops.register(cli_rules.app)
app.add_typer(cli_rules.app, name="rules")


@app.command()
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


@app.command()
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


@app.command()
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
    notes.print(mark, style=style, end=" ")
    notes.print(f"{finding.name}: {finding.detail}")
    if finding.remedy:
        notes.print(f"     → {finding.remedy}")


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


if __name__ == "__main__":
    main()
