"""Backups and their keys: what is on the disk, who opens it, what is refused before anything is written."""

import io
import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from ioc.app.backup.age import Identities, new_identity
from ioc.app.backup.embedded import BackupError, back_up, restore
from ioc.app.backup.files import SpoiltError, store
from ioc.app.cli.backup import backup_command, key_command
from ioc.app.cli.errors import CommandError
from ioc.app.core import DATABASE
from ioc.app.settings import Settings, load_settings
from ioc.store.embedded import create_database, embedded_postgres

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 29, tzinfo=UTC)
PERSONAL = "Nguyen Van A, 0912 345 678"
ALL = {"ioc.dump", "plate.key", "contact.key", "login.key", "audit-anchors.jsonl"}


@pytest.fixture
def room() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ioc-b-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def backed_up(room: Path, recipients: list[str]) -> tuple[Settings, Path]:
    """Make a small installation in `room` and back it up."""
    settings, folder = load_settings(data=room / "var"), room / "backup"
    (settings.data / "secrets").mkdir(parents=True)
    for path in (settings.plate_key_file, settings.contact_key_file, settings.login_key_file):
        path.write_bytes(f"key of {path.name}".encode().ljust(32))
    settings.anchors_file.write_text('{"anchor": 1}\n')
    with embedded_postgres(settings.data / "pg") as server:
        with psycopg.connect(create_database(server, DATABASE).admin) as connection:
            connection.execute(
                "CREATE TABLE person AS SELECT %s AS name FROM generate_series(1, 9)", [PERSONAL]
            )
        back_up(settings, server, folder, recipients, NOW)
    return settings, folder


def people(settings: Settings) -> list[str]:
    with (
        embedded_postgres(settings.data / "pg") as server,
        psycopg.connect(server.get_uri(DATABASE)) as connection,
    ):
        return [name for (name,) in connection.execute("SELECT name FROM person")]


def assert_restored(source: Settings, restored: Settings) -> None:
    assert people(restored) == [PERSONAL] * 9
    for path in (source.plate_key_file, source.contact_key_file, source.login_key_file, source.anchors_file):
        copy = restored.data / path.relative_to(source.data)
        assert (copy.read_bytes(), copy.stat().st_mode & 0o077) == (path.read_bytes(), 0)


def test_an_encrypted_backup_holds_nothing_in_clear_and_is_restored_by_its_key_only(room: Path) -> None:
    recipient = new_identity(room / "key", NOW)
    new_identity(room / "other", NOW)
    settings, folder = backed_up(room, [recipient])
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(whole) == {"manifest.json", *(f"{name}.age" for name in ALL)}
    for clear in (b"PGDMP", b"CREATE TABLE", b"key of", b"anchor", PERSONAL.encode()):
        assert not [name for name, held in whole.items() if name != "manifest.json" and clear in held], clear

    new = load_settings(data=room / "new")

    def refuses(error: type[Exception], says: str, key: str | None) -> None:
        with pytest.raises(error, match=says):
            restore(new, folder, Identities(room / key) if key else None)
        assert not new.data.exists(), "nothing is written before all is known to be whole"

    refuses(
        BackupError, f"is encrypted for {recipient}: name the file of a private key with --identity", None
    )
    refuses(BackupError, f"is encrypted for {recipient}; {room / 'other'} opens what is for age1", "other")
    for name in ("ioc.dump.age", "plate.key.age"):
        for spoilt in (whole[name][:-1], whole[name][:-1] + bytes([whole[name][-1] ^ 1])):
            (folder / name).write_bytes(spoilt)
            refuses(SpoiltError, f"{name} is not what was written", "key")
        (folder / name).write_bytes(whole[name])

    restore(new, folder, Identities(room / "key"))
    assert_restored(settings, new)


def test_a_backup_in_clear_is_restored_also_one_of_an_earlier_version_and_a_spoilt_key_refused(
    room: Path,
) -> None:
    settings, folder = backed_up(room, [])
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *ALL}
    restore(load_settings(data=room / "new"), folder, None)
    assert_restored(settings, load_settings(data=room / "new"))

    (folder / "plate.key").write_bytes(bytes(32))
    with pytest.raises(SpoiltError, match="SHA-256"):
        restore(load_settings(data=room / "newer"), folder, None)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("files_sha256", "recipients"):
        del manifest[name]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    restore(load_settings(data=room / "newer"), folder, None)
    assert people(load_settings(data=room / "newer")) == [PERSONAL] * 9


def test_a_dump_that_fails_or_cannot_be_restored_says_why_and_leaves_no_database(room: Path) -> None:
    recipient = new_identity(room / "key", NOW)
    settings, folder = backed_up(room, [recipient])
    with embedded_postgres(settings.data / "pg") as server:
        with psycopg.connect(server.get_uri("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        with pytest.raises(BackupError, match=r"pg_dump failed: .*does not exist"):
            back_up(settings, server, room / "again", [recipient], NOW)
    assert not (room / "again" / "manifest.json").exists()

    (folder / "ioc.dump.age").unlink()
    sha256 = store(io.BytesIO(bytes(8 << 20)), folder / "ioc.dump.age", [recipient])
    manifest = json.loads((folder / "manifest.json").read_text()) | {"dump_sha256": sha256}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    new = load_settings(data=room / "new")
    with pytest.raises(BackupError, match=r"pg_restore failed: .*archive"):
        restore(new, folder, Identities(room / "key"))
    assert not (new.data / "pg").exists()


def test_a_key_is_made_by_command_and_only_its_recipient_is_printed(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_command(room / "key", as_json=True)
    printed = capsys.readouterr()
    (recipient,) = Identities(room / "key").recipients
    assert json.loads(printed.out) == {"recipient": recipient, "identity": str(room / "key")}
    key_command(room / "other")
    printed = capsys.readouterr()
    assert printed.out.split() == Identities(room / "other").recipients
    assert "without it they are lost" in printed.err.replace("\n", " ")
    assert "AGE-SECRET-KEY" not in printed.out + printed.err


def test_who_can_open_it_and_in_clear_are_not_both_said(room: Path) -> None:
    recipient = new_identity(room / "key", NOW)
    with pytest.raises(CommandError, match="exclude each other"):
        backup_command(room / "backup", recipient=[recipient], plain=True, data=room / "var")
    assert not (room / "backup").exists()
