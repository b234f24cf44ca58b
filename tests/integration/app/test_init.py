"""`ioc init`: secrets are written once and for their owner alone; preparing may be repeated."""

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from psycopg.conninfo import make_conninfo

from benchmarks.service import kafka_environment
from ioc.app.cli import main as cli
from ioc.app.installation import SECRETS, InstallationError, create_external_database
from ioc.app.settings.sections import DatabaseSettings
from ioc.store.embedded import Dsns, embedded_postgres

ANSWER_S = 30.0


def ioc(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["ioc", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code


def secrets_of(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_secrets_are_long_all_different_and_their_owners_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / ".env"
    assert ioc(monkeypatch, "init", "--env", str(env)) == 0
    found = secrets_of(env)
    assert found.keys() == SECRETS.keys()
    assert len(set(found.values())) == len(SECRETS)
    assert min(map(len, found.values())) >= 32
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [".env"], "nothing is left beside it"


def test_what_was_written_is_told_to_programs_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    assert ioc(monkeypatch, "init", "--env", str(env), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(env)}


def test_a_second_time_keeps_the_file_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env = tmp_path / ".env"
    ioc(monkeypatch, "init", "--env", str(env))
    before = env.read_bytes()
    assert ioc(monkeypatch, "init", "--env", str(env)) == 1
    assert env.read_bytes() == before
    assert "--force" in capsys.readouterr().err
    assert ioc(monkeypatch, "init", "--env", str(env), "--force") == 0
    assert env.read_bytes() != before
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def superuser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with nothing in it."""
    folder = tmp_path_factory.mktemp("pg")
    with embedded_postgres(folder / "pg") as server:
        yield server.get_uri("postgres")


def external(superuser: str, user: str = "ioc_app") -> DatabaseSettings:
    return DatabaseSettings(
        admin_dsn=make_conninfo(superuser, dbname="city", user="ioc_owner", password="own"),
        app_dsn=make_conninfo(superuser, dbname="city", user=user, password="app"),
    )


@pytest.mark.slow
def test_an_external_server_is_prepared_and_a_repeat_changes_nothing(
    superuser: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = external(superuser)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IOC_DATABASE__ADMIN_DSN", database.admin_dsn)
    monkeypatch.setenv("IOC_DATABASE__APP_DSN", database.app_dsn)
    monkeypatch.setenv("IOC_SUPERUSER_DSN", superuser)
    monkeypatch.setenv("IOC_ADMIN_PASSWORD", "kT7-quiet-river-92-lamp")
    monkeypatch.setenv("IOC_LOG__PARTITIONS", "3")
    outputs = []
    for _ in range(2):
        assert ioc(monkeypatch, "init") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert "ioc.events with 3 partitions" in outputs[0]
    assert "accounts: 1" in outputs[0]
    assert "kT7" not in outputs[0]
    with psycopg.connect(make_conninfo(superuser, dbname="city")) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert owners.fetchall() == [("ioc_owner",)]
        roles = connection.execute(
            "SELECT bool_or(rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb) FROM pg_roles"
            " WHERE rolname IN ('ioc_owner', 'ioc_app')"
        )
        assert roles.fetchone() == (False,)


def test_a_role_that_migrations_do_not_know_is_refused_before_anything_is_made(superuser: str) -> None:
    with pytest.raises(InstallationError, match=r"app_dsn: expected user=ioc_app"):
        create_external_database(superuser, external(superuser, "somebody"))
    with psycopg.connect(superuser) as connection:
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'somebody'").fetchone()
    assert found is None


def test_a_connection_without_a_password_is_named(superuser: str) -> None:
    bare = make_conninfo("host=db dbname=city user=ioc_owner")
    database = DatabaseSettings(admin_dsn=bare, app_dsn=external(superuser).app_dsn)
    with pytest.raises(InstallationError, match="admin_dsn: expected password"):
        create_external_database(superuser, database)


@pytest.mark.slow
def test_the_embedded_default_is_prepared_without_any_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "var"
    assert ioc(monkeypatch, "init", "--data", str(data)) == 0
    said = capsys.readouterr()
    assert "accounts: 0" in said.out
    assert f"note: there was no database in {data}, a new one was made there" in said.err
    assert (data / "pg" / "PG_VERSION").exists()
    ioc(monkeypatch, "areas", "list", "--data", str(data))
    assert "note:" not in capsys.readouterr().err


@pytest.mark.slow
def test_kafka_is_prepared_a_repeat_changes_nothing_and_what_differs_is_said(
    database: Dsns,
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = kafka_environment(kafka, 3) | {
        "IOC_DATABASE__ADMIN_DSN": database.admin,
        "IOC_DATABASE__APP_DSN": database.app,
        "IOC_RELAY__ENABLED": "true",
        "IOC_RELAY__PARTITIONS": "2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    prefix = environment["IOC_LOG__PREFIX"]

    def init() -> str:
        assert ioc(monkeypatch, "init") == 0
        return capsys.readouterr().out

    first, made = init(), topics(kafka, prefix)
    assert (init(), topics(kafka, prefix)) == (first, made)
    assert "differs" not in first
    assert {name: (count, copies) for name, (count, copies, _) in made.items()} == {
        "ioc.events": (3, 1),
        "ioc.wide": (3, 1),
        "ioc.incidents": (2, 1),
    }
    for name, policy in (("ioc.events", "delete"), ("ioc.wide", "delete"), ("ioc.incidents", "compact")):
        configs = made[name][2]
        assert (configs["cleanup.policy"], configs["unclean.leader.election.enable"]) == (policy, "false")
    assert made["ioc.events"][2]["retention.ms"] == str(14 * 86_400_000)

    alter(kafka, f"{prefix}ioc.events", "retention.ms", "60000")
    monkeypatch.setenv("IOC_LOG__REPLICATION", "3")
    differing = init()
    assert f"{prefix}ioc.events has retention.ms=60000 where 1209600000 is asked for" in differing
    assert f"{prefix}ioc.incidents has 1 copies where log.replication asks for 3" in differing
    assert topics(kafka, prefix)["ioc.events"][2]["retention.ms"] == "60000", "it says so and changes nothing"

    monkeypatch.setenv("IOC_LOG__PARTITIONS", "6")
    assert ioc(monkeypatch, "init") == 1
    assert "`ioc log partitions 6`" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_more_copies_than_brokers_are_refused_with_the_setting(
    database: Dsns,
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = kafka_environment(kafka, 3) | {
        "IOC_DATABASE__ADMIN_DSN": database.admin,
        "IOC_DATABASE__APP_DSN": database.app,
        "IOC_LOG__REPLICATION": "3",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert ioc(monkeypatch, "init") == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "set log.replication to the number of brokers at most" in shown
    assert topics(kafka, environment["IOC_LOG__PREFIX"]) == {}


def topics(address: str, prefix: str) -> dict[str, tuple[int, int, dict[str, str]]]:
    """Return partitions, copies and settings of the topics of this prefix, as another client sees them."""
    admin = AdminClient({"bootstrap.servers": address})
    found = {}
    for name, topic in admin.list_topics(timeout=ANSWER_S).topics.items():
        if name.startswith(prefix):
            resource = ConfigResource(ConfigResource.Type.TOPIC, name)
            configs = admin.describe_configs([resource])[resource].result(ANSWER_S)
            copies = min(len(partition.replicas) for partition in topic.partitions.values())
            values = {key: str(entry.value) for key, entry in configs.items()}
            found[name.removeprefix(prefix)] = (len(topic.partitions), copies, values)
    return found


def alter(address: str, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": address})
    admin.incremental_alter_configs([resource])[resource].result(ANSWER_S)
