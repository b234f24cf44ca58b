"""`ioc doctor`: looks at a set-up from outside and says what to do about each finding."""

import asyncio
import errno
import fcntl
import os
import socket
import sys
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import with_command
from ioc.app.core import kafka_settings
from ioc.app.demo import SNAPSHOT_PORT
from ioc.app.installation import topic_differences
from ioc.app.open_files import ENOUGH, allowed
from ioc.app.rules.files import RuleFolder
from ioc.app.settings import Settings
from ioc.app.settings.sections import BridgeTopic, LogKind
from ioc.app.ward_check import known_wards
from ioc.eventlog.kafka_client import Cluster, tls_context
from ioc.eventlog.kafka_settings import KafkaSettings
from ioc.eventlog.port import LogRejected, LogUnavailable
from ioc.geo.index import WARD, AreaIndex
from ioc.model.records import EVENTS_TOPIC
from ioc.model.times import CITY_ZONE
from ioc.rules.compile import compile_rules
from ioc.rules.errors import InvalidRules
from ioc.store.areas import read_areas
from ioc.store.devices import read_devices
from ioc.store.embedded import MAX_SOCKET_PATH_BYTES, DataFolderError
from ioc.store.history_plan import RetentionError
from ioc.store.hypertables import UnsupportedTimescaleError
from ioc.store.layout import Found, Layout, failed_policies, find_layout
from ioc.store.pool import PrivilegedRoleError, StoreUnavailable, open_pool

MIN_FREE_BYTES = 1 << 30
_TLS_FILES = "check log.tls_ca, log.tls_certificate, log.tls_key and log.tls_key_password"
_ANOTHER_FOLDER = "choose another data folder with --data"
_IMPORT_AREAS = "`{ioc} areas import FILE.geojson`"
_IMPORT_DEVICES = "`{ioc} devices import FILE.geojson`"


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` says what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        return msgspec.structs.asdict(self)


class _Inside(msgspec.Struct, frozen=True):
    """What the database says."""

    version: str
    index: AreaIndex
    devices: frozenset[str]
    homeless: list[str]
    """Devices whose ward is not imported."""
    history: Found
    failed: list[str]
    """Policies of TimescaleDB whose last run failed."""


def diagnose(settings: Settings) -> list[Finding]:
    """Look at everything that a start needs."""
    embedded = not settings.database.admin_dsn
    folder = _data_folder(settings.data, embedded)
    # Before we open the database ourselves, which would hold the lock too.
    running = embedded and any(_is_locked(settings.data / name) for name in ("pg.lock", "pg.users"))
    ports = _ports(settings, running, embedded)
    inside, database = _database(settings, folder)
    findings = [
        _python(),
        _open_files(),
        folder,
        *ports,
        _console(settings.console),
        _rules(settings.rules.folder, inside),
        database,
        *_kafka(settings),
        *_bridges(settings, inside),
        *_contents(inside),
    ]
    return [msgspec.structs.replace(each, remedy=with_command(each.remedy)) for each in findings]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    return Finding("python", fits, version, "" if fits else "install Python 3.11 or newer")


def _open_files() -> Finding:
    most = allowed()
    detail = "any number" if most is None else f"up to {most:,}"
    if most is None or most >= ENOUGH:
        return Finding("open files", True, detail)
    remedy = f"allow {ENOUGH:,}: `ulimit -Hn`, LimitNOFILE of systemd, ulimits.nofile of compose"
    return Finding("open files", False, f"{detail}; each console and device takes one", remedy)


# The data folder


def _data_folder(data: Path, embedded: bool) -> Finding:
    folder = data.absolute()
    try:
        existing = _probe(folder)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return Finding("data folder", False, f"{folder}: {place}{error.strerror}", _ANOTHER_FOLDER)
    if embedded and len(str(folder / "pg" / ".s.PGSQL.5432").encode()) > MAX_SOCKET_PATH_BYTES:
        most = MAX_SOCKET_PATH_BYTES - len("/pg/.s.PGSQL.5432")
        detail = f"{folder} is too long a path for the database's socket"
        return Finding("data folder", False, detail, f"choose one of at most {most} bytes with --data")
    free = os.statvfs(existing).f_bavail * os.statvfs(existing).f_frsize
    detail = f"{folder}, {free / 2**30:.1f} GB free"
    if free < MIN_FREE_BYTES:
        return Finding("data folder", False, detail, f"make at least 1 GB of room, or {_ANOTHER_FOLDER}")
    return Finding("data folder", True, detail)


def _probe(folder: Path) -> Path:
    """Return the nearest folder that exists, in which a folder could be made just now.

    Raises:
        OSError: it is a file, or nothing can be made in it.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(existing))
    try:
        # Permissions say too little: not even root can write to some file systems.
        with tempfile.TemporaryDirectory(dir=existing, prefix=".ioc-doctor-"):
            return existing
    except OSError as error:
        raise OSError(
            error.errno, f"nothing can be written there ({error.strerror})", str(existing)
        ) from error


def _is_locked(path: Path) -> bool:
    """Return whether somebody uses the embedded database: a service, or a command for a moment."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# Ports


def _ports(settings: Settings, running: bool, embedded: bool) -> list[Finding]:
    whose = (
        "a service runs on this data folder" if running else None,
        "is `{ioc} up` running? Then all is well; else "
        if not embedded
        else "another program listens there: ",
    )
    found = [_port("HTTP port", settings.http.host, settings.http.port, "--port", whose)]
    if settings.mqtt.enabled:
        found.append(_port("MQTT port", settings.mqtt.host, settings.mqtt.port, "--mqtt-port", whose))
    return [*found, _picture_port(running)]


def _port(name: str, host: str, port: int, flag: str, whose: tuple[str | None, str]) -> Finding:
    running, taken = whose
    place = f"{host}:{port}"
    error = _listen_error(host, port)
    if error is None:
        return Finding(name, True, f"{place} is free" if port else f"{place}: any free port")
    if error.errno == errno.EADDRINUSE and running:
        return Finding(name, True, f"{place} is in use: running ({running})")
    detail = f"{place}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return Finding(name, False, detail, f"{taken}choose another with {flag}")
    if error.errno == errno.EACCES:
        return Finding(name, False, detail, f"choose one above 1023 with {flag}")
    setting = "--host (or http.host)" if flag == "--port" else "mqtt.host"
    return Finding(
        name, False, detail, f"set {setting} to an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    )


def _picture_port(running: bool) -> Finding:
    name, place = "demo's picture port", f"127.0.0.1:{SNAPSHOT_PORT}"
    if _listen_error("127.0.0.1", SNAPSHOT_PORT) is None:
        return Finding(name, True, f"{place} is free")
    if running:
        return Finding(name, True, f"{place} is in use: running (a service runs on this data folder)")
    return Finding(name, True, f"{place} is in use: the demo takes another for its cameras' pictures")


def _listen_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
        except UnicodeError:
            return OSError(errno.EINVAL, "is no host name")
    return None


# Console, rules, database


def _console(folder: Path) -> Finding:
    built = (folder / "index.html").exists()
    return Finding("console", built, str(folder), "" if built else "run `make setup` to build it")


def _rules(folder: Path, inside: _Inside | None) -> Finding:
    mend = "mend the files, then run `{ioc} rules check`"
    try:
        rules = RuleFolder(folder)
        # First without places: that needs no database, and its findings are no matter of areas.
        everywhere = [replace(rule, area=None, wards=None) for rule in rules.rules]
        count = len(compile_rules(everywhere).declared)
    except FileNotFoundError as error:
        return Finding("rules", False, str(error), "set rules.folder to the folder of the rule files")
    except InvalidRules as error:
        return Finding("rules", False, str(error), mend)
    try:
        if inside is not None:
            rules.compiled_for(inside.index)
    except InvalidRules as error:
        imported = inside is not None and inside.index.areas
        areas = "" if imported else f"import the areas with {_IMPORT_AREAS}, or "
        return Finding("rules", False, str(error), areas + mend)
    return Finding("rules", count > 0, f"{count} rules in {folder}", "" if count else "put rule files there")


def _database(settings: Settings, folder: Finding) -> tuple[_Inside | None, Finding]:
    embedded = not settings.database.admin_dsn
    if embedded and not folder.ok:
        return None, Finding("database", False, "needs the data folder", "mend the data folder first")
    try:
        with use_database(settings) as database:
            inside = asyncio.run(_look_inside(database.app))
    except RetentionError as error:
        return None, Finding(
            "database", False, str(error), "mend the setting; docs/settings.md lists them all"
        )
    except (
        psycopg.Error,
        DataFolderError,
        StoreUnavailable,
        PrivilegedRoleError,
        UnsupportedTimescaleError,
    ) as error:
        remedy = "check database.admin_dsn and database.app_dsn, and whether that server runs"
        if embedded:
            remedy = f"see {settings.data / 'pg' / 'log'}, or {_ANOTHER_FOLDER}"
        if isinstance(error, PrivilegedRoleError):
            remedy = "set database.app_dsn to a connection of the role ioc_app"
        return None, Finding("database", False, str(error).strip(), remedy)
    return inside, Finding("database", True, f"PostgreSQL {inside.version}")


async def _look_inside(dsn: str) -> _Inside:
    async with open_pool(dsn, name="doctor", max_size=1) as pool, pool.connection() as connection:
        version = str(connection.info.parameter_status("server_version"))
        areas, devices = await read_areas(connection), await read_devices(connection)
        history = await find_layout(connection)
        failed = await failed_policies(connection) if history.layout is Layout.HYPERTABLES else []
        known = await known_wards(connection)
    index = AreaIndex.at(areas, datetime.now(CITY_ZONE).date())
    homeless = sorted(each.id for each in devices if each.ward and known and each.ward not in known)
    return _Inside(version, index, frozenset(each.id for each in devices), homeless, history, failed)


def _history(inside: _Inside) -> Finding:
    if inside.failed:
        remedy = "see timescaledb_information.job_errors in that database"
        return Finding("history", False, f"failed last time: {', '.join(inside.failed)}", remedy)
    return Finding("history", True, str(inside.history))


# The log


def _kafka(settings: Settings) -> list[Finding]:
    """Look at Kafka, where the log is there."""
    if settings.log.kind is not LogKind.KAFKA:
        return []
    servers = settings.log.bootstrap_servers
    try:
        brokers, partitions = asyncio.run(_ask_kafka(kafka_settings(settings)))
        differing = asyncio.run(topic_differences(settings))
    except LogRejected as error:  # it says by itself what to do
        what, _, remedy = str(error).rpartition("; ")
        return [Finding("log", False, f"{servers}: {what}", remedy)]
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror or error}"
        return [Finding("log", False, text, _TLS_FILES)]
    except LogUnavailable as error:
        remedy = (
            "check log.bootstrap_servers, whether those brokers run, and log.security with our login there"
        )
        return [Finding("log", False, f"{servers}: {error}", remedy)]
    found = f"Kafka at {servers}, {brokers} brokers"
    if not partitions and settings.log.replication > brokers:
        remedy = f"set log.replication to {brokers} at most, or add brokers"
        return [Finding("log", False, f"{found}: too few for {settings.log.replication} copies", remedy)]
    topic = f"{settings.log.prefix}{EVENTS_TOPIC}"
    state = f"{topic} with {partitions} partitions" if partitions else f"{topic} is made at the first start"
    whole = Finding("log", True, f"{found}, {state}")
    return [whole, *(Finding("log topic", False, *line.split(": ", 1)) for line in differing)]


async def _ask_kafka(settings: KafkaSettings) -> tuple[int, int]:
    tls_context(settings)  # so that a file that cannot be read is told from a broker that does not answer
    cluster = Cluster(settings)
    try:
        return await cluster.brokers(), await cluster.partitions(settings.prefix + EVENTS_TOPIC)
    finally:
        await cluster.close()


def _bridges(settings: Settings, inside: _Inside | None) -> list[Finding]:
    """Look at the foreign topics we read."""
    if not settings.bridge.topics:
        return []
    try:
        found = asyncio.run(_foreign_partitions(settings))
    except (OSError, LogRejected, LogUnavailable) as error:
        remedy = "check log.bootstrap_servers and whether we may read the topics of bridge.topics"
        return [Finding("bridge", False, f"{settings.log.bootstrap_servers}: {error}", remedy)]
    return [_bridge(each, found[each.topic], inside) for each in settings.bridge.topics]


def _bridge(bridge: BridgeTopic, partitions: int, inside: _Inside | None) -> Finding:
    name = f"bridge {bridge.topic}"
    if not partitions:
        return Finding(
            name, False, "no such topic", "check its name in bridge.topics; it is not ours to make"
        )
    if inside is not None and bridge.device not in inside.devices:
        remedy = f"`{{ioc}} devices add {bridge.device} --covers …`, or name another in bridge.topics"
        return Finding(name, False, f"no device {bridge.device} is registered", remedy)
    return Finding(name, True, f"{partitions} partitions, {bridge.decoder}, as {bridge.device}")


async def _foreign_partitions(settings: Settings) -> dict[str, int]:
    cluster = Cluster(kafka_settings(settings))
    try:
        return {each.topic: await cluster.partitions(each.topic) for each in settings.bridge.topics}
    finally:
        await cluster.close()


def _contents(inside: _Inside | None) -> list[Finding]:
    if inside is None:
        return []
    wards = len(inside.index.members(WARD))
    return [
        _history(inside),
        Finding("wards", wards > 0, f"{wards} wards", "" if wards else _IMPORT_AREAS),
        _devices(inside),
    ]


def _devices(inside: _Inside) -> Finding:
    count, homeless = len(inside.devices), inside.homeless
    if homeless:
        detail = f"{len(homeless)} of {count} name a ward that is not imported, e.g. {homeless[0]}"
        return Finding("devices", False, detail, "import the wards again, all in one file: " + _IMPORT_AREAS)
    return Finding("devices", count > 0, f"{count} devices", "" if count else _IMPORT_DEVICES)
