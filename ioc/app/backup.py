"""Backups of the embedded database and of the few files beside it that cannot be made again.

A backup is a folder: `ioc.dump` (one consistent snapshot: history, incidents, log, positions, people), the
files beside the database, and `manifest.json`, which is written last; a folder without it is no backup. It
holds personal data and the keys of plates' tokens and of contacts: it belongs on an encrypted disk, away from
the machine.

With a configured database PostgreSQL's own tools do this, see docs/operations.md.
"""

import hashlib
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psycopg

from ioc import __version__
from ioc.app.core import DATABASE
from ioc.app.settings import Settings
from ioc.store.embedded import PostgresServer, create_database, embedded_postgres, tool

DUMP: Final = "ioc.dump"
MANIFEST: Final = "manifest.json"
_BLOCK_BYTES: Final = 1 << 20


class BackupError(Exception):
    """A folder is no backup, or there is something where one should go; the message says which."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds."""

    version: str
    """Of the service that wrote it."""
    postgres: int
    """Major version of the server."""
    taken: datetime
    dump_bytes: int
    dump_sha256: str
    files: tuple[str, ...]
    """Names of the files beside the dump."""


def back_up(settings: Settings, server: PostgresServer, folder: Path, now: datetime) -> Manifest:
    """Write a backup of the running database into `folder`, which must not hold anything.

    Raises:
        BackupError: the folder holds something, or pg_dump failed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Before the dump: every anchor is then about entries that the dump has.
    files = [_copy(path, folder / name) for name, path in _beside(settings).items() if path.exists()]
    dump = folder / DUMP
    dump.touch(mode=0o600)
    _run(tool(server, "pg_dump"), "--format=custom", f"--file={dump}", server.get_uri(DATABASE))
    manifest = Manifest(
        version=__version__,
        postgres=_major(server),
        taken=now.astimezone(UTC),
        dump_bytes=dump.stat().st_size,
        dump_sha256=_sha256(dump),
        files=tuple(file.name for file in files),
    )
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def restore(settings: Settings, folder: Path) -> Manifest:
    """Make the database of the data folder from a backup; the folder must not have one yet.

    The feed's epoch changes by itself, so that every console takes a new snapshot (`ioc/store/incidents.py`).

    Raises:
        BackupError: the folder is no whole backup, the data folder has a database, or pg_restore failed.
    """
    manifest = read_manifest(folder)
    if _sha256(folder / DUMP) != manifest.dump_sha256:
        raise BackupError(f"{folder / DUMP} is not what was written: its SHA-256 differs from the manifest's")
    target = settings.data / "pg"
    present = [path for path in (target, *_beside(settings).values()) if path.exists()]
    if present:
        raise BackupError(f"{present[0]} exists: a backup is restored into a new data folder only")
    settings.data.mkdir(parents=True, exist_ok=True)
    try:
        with embedded_postgres(target) as server:
            if (major := _major(server)) < manifest.postgres:
                raise BackupError(f"the backup is of PostgreSQL {manifest.postgres}, this is {major}")
            uri = create_database(server, DATABASE).admin
            _run(tool(server, "pg_restore"), "--exit-on-error", f"--dbname={uri}", folder / DUMP)
            # Without statistics the first queries of a large history take minutes.
            with psycopg.connect(uri, autocommit=True) as connection:
                connection.execute("ANALYZE")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    for name, path in _beside(settings).items():
        if name in manifest.files:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _copy(folder / name, path)
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
    for name in (DUMP, *manifest.files):
        if not (folder / name).is_file():
            raise BackupError(f"{folder} is not whole: {name} is absent")
    return manifest


def _beside(settings: Settings) -> dict[str, Path]:
    """Return the files that belong to a backup, by their names in it."""
    return {
        "audit-anchors.jsonl": settings.anchors_file,
        "plate.key": settings.plate_key_file,
        "contact.key": settings.contact_key_file,
        "login.key": settings.login_key_file,
    }


def _copy(source: Path, target: Path) -> Path:
    target.touch(mode=0o600, exist_ok=False)
    shutil.copyfile(source, target)
    return target


def _run(program: Path, *arguments: object) -> None:
    done = subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BackupError(f"{program.name} failed: {done.stderr.strip()}")


def _major(server: PostgresServer) -> int:
    with psycopg.connect(server.get_uri("postgres")) as connection:
        return connection.info.server_version // 10_000


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
