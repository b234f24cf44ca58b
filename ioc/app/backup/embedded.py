"""Backups of the embedded database and of the few files beside it that cannot be made again.

A backup is a folder: `ioc.dump` (one consistent snapshot: history, incidents, log, positions, people), the
files beside the database, and `manifest.json`, which is written last; a folder without it is no backup. It
holds personal data and the keys of plates' tokens and of contacts. With recipients each file but the manifest
is encrypted (`ioc.dump.age`, …) while it is written, and this machine cannot read them; without, the folder
belongs on an encrypted disk, away from the machine.

With a configured database PostgreSQL's own tools do this, see docs/operations.md.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from ioc import __version__
from ioc.app.backup.age import SUFFIX, Identities
from ioc.app.backup.files import check, fetch, store
from ioc.app.core import DATABASE
from ioc.app.settings import Settings
from ioc.store.embedded import PostgresServer, create_database, embedded_postgres, tool

DUMP: Final = "ioc.dump"
MANIFEST: Final = "manifest.json"


class BackupError(Exception):
    """A folder is no backup, or there is something where one should go; the message says which."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds. Always in clear: names, sizes and sums of files, nothing of their contents."""

    version: str
    """Of the service that wrote it."""
    postgres: int
    """Major version of the server."""
    taken: datetime
    dump_bytes: int
    dump_sha256: str
    files: tuple[str, ...]
    """Names of the files beside the dump."""
    files_sha256: dict[str, str] = {}
    """Their sums by name; earlier versions wrote none."""
    recipients: tuple[str, ...] = ()
    """Who can open the files, none where they are in clear. Sums and sizes are of the encrypted files."""

    def stored(self, name: str) -> str:
        """Return how the file `name` is called in the backup's folder."""
        return name + SUFFIX if self.recipients else name


def back_up(
    settings: Settings, server: PostgresServer, folder: Path, recipients: Sequence[str], now: datetime
) -> Manifest:
    """Write a backup of the running database into `folder`, which must not hold anything.

    With `recipients` (age) nothing but the manifest is ever there in clear.

    Raises:
        AgeError: one of them is no recipient.
        BackupError: the folder holds something, or pg_dump failed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    suffix = SUFFIX if recipients else ""
    # Before the dump: every anchor is then about entries that the dump has.
    sums = {}
    for name, path in _beside(settings).items():
        if path.exists():
            with path.open("rb") as file:
                sums[name] = store(file, folder / (name + suffix), recipients)
    dump = folder / (DUMP + suffix)
    arguments = "--format=custom", server.get_uri(DATABASE)
    with _running(tool(server, "pg_dump"), *arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout
        dump_sha256 = store(process.stdout, dump, recipients)
    manifest = Manifest(
        version=__version__,
        postgres=_major(server),
        taken=now.astimezone(UTC),
        dump_bytes=dump.stat().st_size,
        dump_sha256=dump_sha256,
        files=tuple(sums),
        files_sha256=sums,
        recipients=tuple(recipients),
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def restore(settings: Settings, folder: Path, identities: Identities | None) -> Manifest:
    """Make the database of the data folder from a backup; the folder must not have one yet.

    Every file is read and opened to its end before anything is written. The feed's epoch changes by itself,
    so that every console takes a new snapshot (`ioc/store/incidents.py`).

    Raises:
        BackupError: the folder is no whole backup, it is encrypted for somebody else, the data folder has a
            database, or pg_restore failed.
        SpoiltError: a file is not what was written.
    """
    manifest = read_manifest(folder)
    keys = _keys_for(manifest, folder, identities)
    target = settings.data / "pg"
    beside = {name: path for name, path in _beside(settings).items() if name in manifest.files}
    present = [path for path in (target, *_beside(settings).values()) if path.exists()]
    if present:
        raise BackupError(f"{present[0]} exists: a backup is restored into a new data folder only")
    check(folder / manifest.stored(DUMP), manifest.dump_sha256, keys)
    for name in manifest.files:
        check(folder / manifest.stored(name), manifest.files_sha256.get(name), keys)
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        _restore_database(target, folder, manifest, keys)
        for name, path in beside.items():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600, exist_ok=False)
            with path.open("wb") as file:
                fetch(folder / manifest.stored(name), file, keys)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        for path in beside.values():
            path.unlink(missing_ok=True)
        raise
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return what the backup in `folder` says of itself.

    Raises:
        BackupError: it is no backup, or not a whole one.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise BackupError(f"{folder} is no backup: {MANIFEST}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise BackupError(f"{folder / MANIFEST} is no manifest: {error}") from error
    for name in map(manifest.stored, (DUMP, *manifest.files)):
        if not (folder / name).is_file():
            raise BackupError(f"{folder} is not whole: {name} is absent")
    return manifest


def _keys_for(manifest: Manifest, folder: Path, identities: Identities | None) -> Identities | None:
    """Return what opens the backup, None for one in clear."""
    if not manifest.recipients:
        return None
    whose = ", ".join(manifest.recipients)
    if identities is None:
        raise BackupError(
            f"{folder} is encrypted for {whose}: name the file of a private key with --identity"
        )
    if set(manifest.recipients).isdisjoint(identities.recipients):
        ours = ", ".join(identities.recipients)
        raise BackupError(f"{folder} is encrypted for {whose}; {identities.path} opens what is for {ours}")
    return identities


def _restore_database(target: Path, folder: Path, manifest: Manifest, keys: Identities | None) -> None:
    with embedded_postgres(target) as server:
        if (major := _major(server)) < manifest.postgres:
            raise BackupError(f"the backup is of PostgreSQL {manifest.postgres}, this is {major}")
        uri = create_database(server, DATABASE).admin
        arguments = "--exit-on-error", f"--dbname={uri}"
        with _running(tool(server, "pg_restore"), *arguments, stdin=subprocess.PIPE) as process:
            assert process.stdin
            fetch(folder / manifest.stored(DUMP), process.stdin, keys)
        # Without statistics the first queries of a large history take minutes.
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("ANALYZE")


def _beside(settings: Settings) -> dict[str, Path]:
    """Return the files that belong to a backup, by their names in it."""
    return {
        "audit-anchors.jsonl": settings.anchors_file,
        "plate.key": settings.plate_key_file,
        "contact.key": settings.contact_key_file,
        "login.key": settings.login_key_file,
    }


@contextmanager
def _running(program: Path, *arguments: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside the block, to its end; killed where the block fails.

    Raises:
        BackupError: the program failed.
    """
    # Not a pipe: nobody reads it meanwhile.
    with tempfile.TemporaryFile() as told:
        with subprocess.Popen([program, *arguments], stderr=told, **pipes) as process:
            try:
                yield process
                if process.stdin:
                    process.stdin.close()
            except BrokenPipeError:  # it has ended, and says why
                assert process.stdin
                with suppress(BrokenPipeError):
                    process.stdin.close()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            told.seek(0)
            raise BackupError(f"{program.name} failed: {told.read().decode(errors='replace').strip()}")


def _major(server: PostgresServer) -> int:
    with psycopg.connect(server.get_uri("postgres")) as connection:
        return connection.info.server_version // 10_000
