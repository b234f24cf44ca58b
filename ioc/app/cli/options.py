"""Options that several commands share."""

import getpass
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ioc.api.history import MAX_TIME_US
from ioc.app.settings import Settings, load_settings
from ioc.model.times import parse_us
from ioc.rules.having import duration_us

DataOption = Annotated[Path | None, typer.Option("--data", help="folder that holds all data (default: var)")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="settings file (default: ioc.toml)")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
PortOption = Annotated[int | None, typer.Option(help="HTTP port")]
HostOption = Annotated[str | None, typer.Option(help="HTTP address to listen on")]
MqttPortOption = Annotated[int | None, typer.Option(help="MQTT port")]


def command_line_user() -> str:
    """Return who is at the command line, for the audit log."""
    with suppress(OSError, KeyError):
        return f"cli:{getpass.getuser()}"
    return f"cli:{os.getuid()}"


def settings_from(config: Path | None, data: Path | None, **sections: dict[str, Any]) -> Settings:
    """Return the settings with what the command line says on top; values that are None say nothing."""
    overrides: dict[str, Any] = {}
    for name, values in sections.items():
        if given := {key: value for key, value in values.items() if value is not None}:
            overrides[name] = given
    if data is not None:
        overrides["data"] = data
    return load_settings(config, **overrides)


def duration_option(text: str, option: str) -> int:
    """Return the microseconds of `90s`, `5m` or `2h` given with `option`."""
    try:
        return duration_us(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def time_option(text: str, option: str) -> int:
    """Return the microseconds of an RFC 3339 time given with `option`."""
    try:
        time_us = parse_us(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from error
    if not 0 <= time_us <= MAX_TIME_US:
        raise typer.BadParameter(f"{text!r}: expected a time from 1970 until 2200", param_hint=option)
    return time_us
