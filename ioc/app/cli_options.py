"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ioc.app.settings import Settings, load_settings

DataOption = Annotated[Path | None, typer.Option("--data", help="folder that holds all data [default: var]")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="settings file [default: ioc.toml]")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]


def settings_from(config: Path | None, data: Path | None, **sections: dict[str, Any]) -> Settings:
    """Return the settings with what the command line says on top."""
    overrides: dict[str, Any] = {name: values for name, values in sections.items() if values}
    if data is not None:
        overrides["data"] = data
    return load_settings(config, **overrides)
