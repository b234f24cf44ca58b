"""`ioc doctor`: looks at a set-up from outside and says what to do about each finding."""

import os
import socket
import sys
from pathlib import Path

import msgspec
import psycopg

from ioc.app.core import open_database
from ioc.app.rule_files import RuleFolder
from ioc.app.settings import Settings
from ioc.rules.errors import InvalidRules
from ioc.store.embedded import MAX_SOCKET_PATH_BYTES, DataFolderError

MIN_FREE_BYTES = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` says what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        return msgspec.structs.asdict(self)


def diagnose(settings: Settings) -> list[Finding]:
    """Look at everything that a start needs."""
    return [
        _python(),
        _data_folder(settings.data),
        *(_port(name, host, port) for name, host, port in _listeners(settings)),
        _console(settings.console),
        _rules(settings.rules.folder),
        *_database(settings),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _data_folder(data: Path) -> Finding:
    folder = data.absolute()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return Finding("data folder", False, f"{existing} is not writable", "choose another with --data")
    if len(str(folder / "pg" / ".s.PGSQL.5432")) > MAX_SOCKET_PATH_BYTES:
        return Finding("data folder", False, f"{folder} is too long a path", "shorten it with --data")
    free = os.statvfs(existing).f_bavail * os.statvfs(existing).f_frsize
    detail = f"{folder}, {free / 2**30:.1f} GB free"
    return Finding("data folder", free >= MIN_FREE_BYTES, detail, "make at least 1 GB of room")


def _listeners(settings: Settings) -> list[tuple[str, str, int]]:
    found = [("HTTP port", settings.http.host, settings.http.port)]
    if settings.mqtt.enabled:
        found.append(("MQTT port", settings.mqtt.host, settings.mqtt.port))
    return found


def _port(name: str, host: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = f"{host}:{port}: {error.strerror}"
            return Finding(name, False, detail, "is `ioc up` running? Else set another port")
    return Finding(name, True, f"{host}:{port} is free")


def _console(folder: Path) -> Finding:
    built = (folder / "index.html").exists()
    return Finding("console", built, str(folder), "run `make setup` to build it")


def _rules(folder: Path) -> Finding:
    remedy = "mend the file, then run `ioc rules check`"
    try:
        # Without areas: names of areas are checked by `ioc rules check`, which opens the database.
        count = len(RuleFolder(folder).rules)
    except (InvalidRules, FileNotFoundError) as error:
        return Finding("rules", False, str(error), remedy)
    return Finding("rules", count > 0, f"{count} rules in {folder}", "put rule files there")


def _database(settings: Settings) -> list[Finding]:
    try:
        with open_database(settings) as database, psycopg.connect(database.app) as connection:
            found = connection.execute(
                "SELECT current_setting('server_version'),"
                " (SELECT count(*) FROM area WHERE kind = 'ward'), (SELECT count(*) FROM device)"
            ).fetchone()
    except (psycopg.Error, DataFolderError) as error:
        return [Finding("database", False, str(error).strip(), "see the message; check database.admin_dsn")]
    assert found
    version, wards, devices = found
    return [
        Finding("database", True, f"PostgreSQL {version}"),
        Finding("wards", wards > 0, f"{wards} wards", "`ioc areas import FILE.geojson`"),
        Finding("devices", devices > 0, f"{devices} devices", "`ioc devices import FILE.geojson`"),
    ]
