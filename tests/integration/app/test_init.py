"""`ioc init`: secrets are written once and for their owner alone; preparing may be repeated."""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ioc.app import cli
from ioc.app.installation import SECRETS, InstallationError, create_external_database
from ioc.app.settings_sections import DatabaseSettings
from ioc.store.embedded import embedded_postgres


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
    assert "accounts: 0" in capsys.readouterr().out
    assert (data / "pg" / "PG_VERSION").exists()
