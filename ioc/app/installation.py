"""Preparing an installation: its secrets, and what has to exist before the roles start.

Everything but the secrets may be repeated: what exists is kept, passwords of roles are set again.
"""

import os
import secrets
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ioc.app.core import Core, asked_partitions, kafka_settings, log_limits
from ioc.app.rules.files import RuleFolder
from ioc.app.rules.sets import ensure_first_version
from ioc.app.settings import Settings
from ioc.app.settings.sections import DatabaseSettings, LogKind
from ioc.eventlog.kafka_publisher import create_compacted
from ioc.eventlog.kafka_topics import Wanted, compacted, differences, kept_for_a_time
from ioc.model.records import EVENTS_TOPIC, INCIDENTS_TOPIC, WIDE_TOPIC
from ioc.store.embedded import APP_ROLE
from ioc.store.row_scope import SERVICE
from ioc.store.users import Role, Users

SECRETS: Final = {
    "POSTGRES_PASSWORD": "the database's superuser; used by `ioc init` alone",
    "IOC_OWNER_PASSWORD": "the database role that owns and migrates the tables",
    "IOC_APP_PASSWORD": "the database role that the service runs as",
    "IOC_ADMIN_PASSWORD": "first login of the user admin; change it there",
    "IOC_METRICS_TOKEN": "lets Prometheus read /metrics",
    "MQTT_PASSWORD": "the service's own login at Mosquitto",
    "GRAFANA_PASSWORD": "first login of the user admin in Grafana",
}
"""Variables of the file that compose.yaml reads, with what each is for."""
_SECRET_BYTES: Final = 24


class InstallationError(Exception):
    """Settings that do not describe something that can be prepared; the message says what to change."""


def write_secrets(path: Path, *, force: bool = False) -> None:
    """Write a new random value for each of `SECRETS` to `path`, readable by its owner only.

    Raises:
        FileExistsError: the file is there and `force` is not given; nothing was changed.
        OSError: the folder cannot be written.
    """
    lines = ["# Secrets of this installation: keep a copy in a safe place, never in version control."]
    for name, purpose in SECRETS.items():
        lines += [f"# {purpose}", f"{name}={secrets.token_urlsafe(_SECRET_BYTES)}"]
    # Written aside and moved, so that a full disk leaves the old file or none, and never half a one.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        if force:
            aside.replace(path)
        else:
            os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def create_external_database(superuser_dsn: str, database: DatabaseSettings) -> None:
    """Create the roles and the database of `database` where they are missing, with TimescaleDB where it is.

    Raises:
        InstallationError: a connection lacks its user, password or database.
        psycopg.Error: the server cannot be reached, or `superuser_dsn` may not do this.
    """
    owner, app = _named(database.admin_dsn, "admin_dsn"), _named(database.app_dsn, "app_dsn")
    if app["user"] != APP_ROLE:
        raise InstallationError(f"database.app_dsn: expected user={APP_ROLE}, found user={app['user']}")
    if owner["dbname"] != app["dbname"] or owner["user"] == app["user"]:
        raise InstallationError(
            "database.admin_dsn and app_dsn: expected the same dbname and two different users"
        )
    name = sql.Identifier(owner["dbname"])
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        for role in (owner, app):
            _ensure_role(connection, role["user"], role["password"])
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (owner["dbname"],))
        if not known.fetchone():
            user = sql.Identifier(owner["user"])
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, user))
    with psycopg.connect(make_conninfo(superuser_dsn, dbname=owner["dbname"]), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'")
        if found.fetchone():
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


def _named(dsn: str, setting: str) -> dict[str, str]:
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    missing = [key for key in ("user", "password", "dbname") if not parts.get(key)]
    if missing:
        raise InstallationError(f"database.{setting}: expected {', '.join(missing)} in it")
    return parts


def _ensure_role(connection: psycopg.Connection[Any], name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    verb = sql.SQL("ALTER" if known else "CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}")
    connection.execute(statement.format(verb, sql.Identifier(name), sql.Literal(password)))


async def prepare(core: Core, rules: RuleFolder, admin_password: str) -> list[str]:
    """Make what the roles need, opening `core` having made the log's topic; return what there is now.

    The administrator is created with `admin_password` where nobody has an account yet; empty creates nobody.

    Raises:
        InvalidRules: a rule file does not compile.
        UnfitPasswordError: `admin_password` is too weak.
    """
    partitions = await ensure_topics(core)
    await ensure_first_version(core.pool, rules, core.directory.index)
    users = Users(core.api_pool.of(SERVICE))
    people = len(await users.list_users())
    if not people and admin_password:
        await users.create_user("admin", name="Quản trị", password=admin_password, role=Role.ADMIN)
        people = 1
    wards = sum(area.kind == "ward" for area in core.directory.areas)
    found = [f"log: {EVENTS_TOPIC} with {partitions} partitions", f"wards: {wards}", f"accounts: {people}"]
    return found + [f"log differs: {line}" for line in await topic_differences(core.settings)]


async def ensure_topics(core: Core) -> int:
    """Create the topics that `open_core` has not; return the partitions of the events' one."""
    settings = core.settings
    if settings.relay.enabled:
        await create_compacted(kafka_settings(settings), INCIDENTS_TOPIC, settings.relay.partitions)
    return len(await core.log.ends(EVENTS_TOPIC))


async def topic_differences(settings: Settings) -> list[str]:
    """Return what of our topics in Kafka is not as the settings ask, each with what to do about it.

    Raises:
        LogUnavailable: Kafka does not answer.
        LogRejected: Kafka refuses us.
    """
    kafka, topics = kafka_settings(settings), []
    if settings.log.kind is LogKind.KAFKA:
        configs = kept_for_a_time(kafka, log_limits(settings).never_beyond_s)
        partitions = asked_partitions(settings)
        topics = [Wanted(name, partitions, configs) for name in (EVENTS_TOPIC, WIDE_TOPIC)]
    if settings.relay.enabled:
        topics.append(Wanted(INCIDENTS_TOPIC, settings.relay.partitions, compacted(kafka)))
    return await differences(kafka, topics) if topics else []
