"""Settings: defaults, then `ioc.toml`, then `IOC_…` environment variables, then the command line.

A wrong value stops the start and names the file, the line and what is expected. Every bound of the
service is a field here; the page `docs/settings.md` is generated from them.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_FILE = "ioc.toml"

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class SettingsError(Exception):
    """A setting is wrong; the message lists each with its place and what is expected."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(_Section):
    """The one HTTP port: API, feed, console, metrics."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8000, description="port to listen on")
    allowed_origins: tuple[str, ...] = Field(
        (), description="origins besides our own host that may open the live feed"
    )
    secure_cookies: bool = Field(False, description="send session cookies over HTTPS only")
    picture_hosts: tuple[str, ...] = Field(
        ("127.0.0.0/8",), description="networks camera pictures may be fetched from"
    )


class MqttSettings(_Section):
    """The MQTT listener for field hardware, and an external broker to read from."""

    enabled: bool = Field(True, description="listen for MQTT at all")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(1883, description="port to listen on")
    broker_host: str = Field("", description="external broker to read from as well, e.g. Mosquitto")
    broker_port: Port = Field(1883, description="its port")
    broker_username: str = Field("", description="our name there")
    broker_password: SecretStr = Field(SecretStr(""), description="our password there")
    broker_topic: str = Field("ioc/v1/+/events", description="what to read; may be a shared subscription")


class DatabaseSettings(_Section):
    """Which PostgreSQL; empty means the embedded one inside the data folder."""

    admin_dsn: str = Field("", description="connection that may migrate; empty for the embedded database")
    app_dsn: str = Field("", description="unprivileged connection; empty for the embedded database")
    pool_size: Count = Field(8, description="connections per process and purpose")


class LogSettings(_Section):
    """The embedded event log."""

    partitions: Annotated[int, Field(gt=0, le=256)] = Field(
        4, description="partitions of the events topic; fixed once the log holds data"
    )
    dedup_window_s: Seconds = Field(86_400, description="how long a repeated event id is recognised")
    retention_s: Seconds = Field(7 * 86_400, description="how long the log is kept")


class RulesSettings(_Section):
    """The rule engine."""

    folder: Path = Field(Path("rules"), description="folder of rule files")
    batch_records: Count = Field(1_000, description="records taken per poll")
    commit_s: Seconds = Field(1.0, description="longest time between commits when nothing fires")
    lateness_s: Seconds = Field(2.0, description="how far the watermark stays behind the clock ticks")
    operators: Count = Field(
        1, description="people on duty who share the alarms: the budget is six alarms per person and hour"
    )
    close_returned_s: Count = Field(
        600, description="an incident that went away untouched closes itself after this time"
    )


class StoreSettings(_Section):
    """History and its limits."""

    batch_records: Count = Field(2_000, description="records taken per poll")
    linger_s: Seconds = Field(0.25, description="longest time events wait to be stored together")
    history_retention_s: Seconds = Field(90 * 86_400, description="how long history is kept")
    quarantine_rows: Count = Field(100_000, description="refused messages kept; the oldest go first")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="IOC_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data: Path = Field(Path("var"), description="folder that holds all data")
    city_name_vi: str = Field(
        "Trung tâm điều hành – khu vực Bình Dương", description="name shown, Vietnamese"
    )
    city_name_en: str = Field("Operations centre – Bình Dương area", description="name shown, English")
    bounds: tuple[float, float, float, float] = Field(
        (106.2, 10.7, 107.1, 11.65), description="west, south, east, north: positions outside are not data"
    )
    console: Path = Field(Path("dashboards/console/dist"), description="folder of the built console")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least level written")
    http: HttpSettings = HttpSettings()
    mqtt: MqttSettings = MqttSettings()
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()
    rules: RulesSettings = RulesSettings()
    store: StoreSettings = StoreSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: command line, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings; `overrides` come from the command line and win.

    Raises:
        SettingsError: a file that is absent or no TOML, an unknown name, a value out of bounds.
    """
    path = config or (Path(CONFIG_FILE) if Path(CONFIG_FILE).exists() else None)
    text = _read(path) if path else ""

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return FromFile(**overrides)
    except ValidationError as error:
        lines = [_explain(path, text, item["loc"], item["msg"], item["input"]) for item in error.errors()]
        raise SettingsError("\n".join(lines)) from error


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
        tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    return text


def _explain(
    path: Path | None, text: str, location: tuple[int | str, ...], message: str, value: object
) -> str:
    name = ".".join(str(part) for part in location)
    line = _line_of(text, location)
    where = f"{path}:{line}: " if path and line else f"IOC_{name.upper().replace('.', '__')}: "
    return f"{where}{name} = {value!r}: {message}"


def _line_of(text: str, location: tuple[int | str, ...]) -> int | None:
    """Return the 1-based line that sets `location` in a TOML text, None where it does not."""
    section, key = ("", location[0]) if len(location) == 1 else (str(location[0]), location[1])
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([^]]+)]", line):
            current = header[1].strip()
            if len(location) == 1 and current == key:
                return number
        elif current == section and re.match(rf"\s*{re.escape(str(key))}\s*=", line):
            return number
    return None
