"""Settings: defaults, then `ioc.toml`, then `IOC_…` environment variables, then the command line.

A wrong value stops the start and names the file, the line and what is expected. Every bound of the
service is a field here; the page `docs/settings.md` is generated from them.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pydantic_settings
from pydantic import (
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ioc.app.settings.attach import AttachSettings
from ioc.app.settings.backup import BackupSettings
from ioc.app.settings.bounds import FeedSettings, IngestSettings
from ioc.app.settings.origin import (
    DELIMITER,
    PREFIX,
    Location,
    Origins,
    names_beside,
    no_json,
    unknown_sections,
    variable_name,
)
from ioc.app.settings.sections import (
    AuditSettings,
    BasemapSettings,
    Bounds,
    BridgeSection,
    CitizenSettings,
    DatabaseSettings,
    FigureSettings,
    HttpSettings,
    LoginSettings,
    LogSettings,
    MqttSettings,
    NotifySettings,
    OidcSettings,
    PhotoSettings,
    PlaybackSettings,
    PrivacySettings,
    PullSettings,
    RelaySettings,
    ReplaySettings,
    RulesSettings,
    StoreSettings,
    TracingSettings,
)
from ioc.model.records import EVENTS_TOPIC, INCIDENTS_TOPIC, WIDE_TOPIC
from ioc.rules.errors import did_you_mean

CONFIG_FILE = "ioc.toml"
CHECKOUT = Path(__file__).parents[3]
"""Where the source stands: its rules and console serve where the current folder has none."""
_SECRETS = ("dsn", "password", "secret", "token")
_PRIVATE_KEY = "AGE-SECRET-KEY"


class SettingsError(Exception):
    """A setting is wrong; the message lists each with its place and what is expected."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    data: Path = Field(Path("var"), description="folder that holds all data")
    city_name_vi: str = Field(
        "Trung tâm điều hành – khu vực Bình Dương", description="name shown, Vietnamese"
    )
    city_name_en: str = Field("Operations centre – Bình Dương area", description="name shown, English")
    bounds: Bounds = Field(
        (106.2, 10.7, 107.1, 11.65), description="west, south, east, north: positions outside are not data"
    )
    console: Path = Field(Path("dashboards/console/dist"), description="folder of the built console")
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="least level written")
    http: HttpSettings = HttpSettings()
    ingest: IngestSettings = IngestSettings()
    feed: FeedSettings = FeedSettings()
    mqtt: MqttSettings = MqttSettings()
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()
    relay: RelaySettings = RelaySettings()
    bridge: BridgeSection = BridgeSection()
    rules: RulesSettings = RulesSettings()
    store: StoreSettings = StoreSettings()
    notify: NotifySettings = NotifySettings()
    pull: PullSettings = PullSettings()
    attach: AttachSettings = AttachSettings()
    audit: AuditSettings = AuditSettings()
    backup: BackupSettings = BackupSettings()
    figures: FigureSettings = FigureSettings()
    login: LoginSettings = LoginSettings()
    oidc: OidcSettings = OidcSettings()
    privacy: PrivacySettings = PrivacySettings()
    photos: PhotoSettings = PhotoSettings()
    citizens: CitizenSettings = CitizenSettings()
    basemap: BasemapSettings = BasemapSettings()
    tracing: TracingSettings = TracingSettings()
    replay: ReplaySettings = ReplaySettings()
    playback: PlaybackSettings = PlaybackSettings()

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.relay.enabled and not self.log.bootstrap_servers:
            raise ValueError("relay.enabled needs log.bootstrap_servers")
        if self.log.spill and self.log.spill_after_s > self.rules.lateness_s:
            raise ValueError(
                "log.spill_after_s: expected at most rules.lateness_s, else spilled events come late"
            )
        if self.bridge.topics and not self.log.bootstrap_servers:
            raise ValueError("bridge.topics needs log.bootstrap_servers")
        names = [each.topic for each in self.bridge.topics]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"bridge.topics: expected each topic once, {', '.join(sorted(twice))} is repeated"
            )
        ours = {self.log.prefix + topic for topic in (EVENTS_TOPIC, WIDE_TOPIC, INCIDENTS_TOPIC)}
        if mixed := ours & set(names):
            raise ValueError(f"bridge.topics: {', '.join(sorted(mixed))} is our own topic")
        return self

    @property
    def anchors_file(self) -> Path:
        """Where the audit log is anchored."""
        return self.audit.anchors or self.data / "audit-anchors.jsonl"

    @property
    def basemap_folder(self) -> Path:
        """Where PMTiles files are dropped in."""
        return self.basemap.folder or self.data / "basemap"

    @property
    def plate_key_file(self) -> Path:
        """Where the key of plates' tokens is."""
        return self.privacy.plate_key or self.data / "secrets" / "plate.key"

    @property
    def contact_key_file(self) -> Path:
        """Where the key of citizens' contacts is."""
        return self.citizens.contact_key or self.data / "secrets" / "contact.key"

    @property
    def login_key_file(self) -> Path:
        """Where the key of devices' logins is."""
        return self.attach.login_key or self.data / "secrets" / "login.key"

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
    origins = Origins(path, _read(path) if path else "", overrides)
    if strays := unknown_sections(Settings):
        raise SettingsError("\n".join(_no_section(variable) for variable in strays))

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return _with_checkout(FromFile(**overrides), origins)
    except ValidationError as error:
        # Several findings of one kind about one list are one.
        lines = dict.fromkeys(_explain(origins, item) for item in error.errors())
        raise SettingsError("\n".join(lines)) from error
    except pydantic_settings.SettingsError as error:
        lines = dict.fromkeys(_no_json(name, value) for name, value in no_json(Settings))
        raise SettingsError("\n".join(lines) or str(error)) from error


def _with_checkout(settings: Settings, origins: Origins) -> Settings:
    """Take the source's own folders for defaults that the current folder does not have."""
    rules, console = settings.rules, settings.console
    if origins.of(("rules", "folder")) is None:
        rules = rules.model_copy(update={"folder": _existing(rules.folder)})
    if origins.of(("console",)) is None:
        console = _existing(console)
    return settings.model_copy(update={"rules": rules, "console": console})


def _existing(folder: Path) -> Path:
    beside = CHECKOUT / folder
    return beside if beside.is_dir() and not folder.is_dir() else folder


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not valid TOML: not UTF-8") from error
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
        line, column = (int(place[1]), f":{place[2]}") if place else (text.count("\n") + 1, "")
        message = str(error)[: place.start()] if place else str(error)
        raise SettingsError(f"{path}:{line}{column}: not valid TOML: {message}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: not valid TOML: nested too deeply") from error
    return text


def _explain(origins: Origins, item: ErrorDetails) -> str:
    location = item["loc"]
    name = ".".join(str(part) for part in location)
    where = origins.of(location) or variable_name(location)
    if item["type"] == "extra_forbidden":
        # Without its value: a misspelt password is one.
        return f"{where}: {name}: {_no_such(location)}"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error" and isinstance(item["input"], Mapping):
        # Parts of a section that do not fit together: among them may be a password.
        return f"{where}: {message}"
    return f"{where}: {name} = {_shown(name, item['input'])}: {message}"


def _shown(name: str, value: object) -> str:
    text = repr(value)
    return "…" if name.endswith(_SECRETS) or _PRIVATE_KEY in text.upper() else text


def _no_such(location: Location) -> str:
    hint = did_you_mean(str(location[-1]), names_beside(Settings, location))
    return "there is no such setting" + (f" ({hint})" if hint else "")


def _no_section(variable: str) -> str:
    section, *rest = variable.removeprefix(PREFIX).lower().split(DELIMITER)
    return f"{variable}: {'.'.join((section, *rest))}: {_no_such((section,))}"


def _no_json(variable: str, value: str) -> str:
    name = variable.removeprefix(PREFIX).lower().replace(DELIMITER, ".")
    example = '{"port": 8000}'
    if name == "bounds":
        example = json.dumps(Settings.model_fields["bounds"].default)
    elif "." in name:
        example = '["one", "two"]'
    return f"{variable}: {name} = {_shown(name, value)}: expected JSON, such as {example}"
