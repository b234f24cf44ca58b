"""The files of a backup: in clear, or encrypted on their way to the disk, which never has them in clear."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from ioc.app.backup.age import AgeError, Identities, Source, Target, decrypt, encrypt

_BLOCK_BYTES: Final = 1 << 20


class SpoiltError(Exception):
    """A file is not what was written; the message says which and how it shows."""


def store(source: Source, path: Path, recipients: Sequence[str]) -> str:
    """Write what `source` gives into the new file `path`, encrypted where there are recipients.

    Returns the SHA-256 of what the file holds, once that is on the disk.

    Raises:
        OSError: the file exists, or reading or writing failed.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        summed = _Summed(file)
        if recipients:
            encrypt(source, summed, recipients)
        else:
            shutil.copyfileobj(source, summed, _BLOCK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    return summed.sha256


def fetch(path: Path, target: Target, identities: Identities | None) -> None:
    """Write what `store` was given into `target`; `identities` where the file is encrypted.

    Raises:
        SpoiltError: the file does not open. What was written until then is a part of what was stored.
        OSError: reading or writing failed.
    """
    with path.open("rb") as file:
        _copy_out(file, path, target, identities)


def check(path: Path, sha256: str | None, identities: Identities | None) -> None:
    """Read a file to its end and open it, if it is encrypted, without writing anything.

    Raises:
        SpoiltError: its sum is not `sha256` (None: not known), or it does not open.
    """
    with path.open("rb") as file, Path(os.devnull).open("wb") as nowhere:
        summed = _Summed(file)
        _copy_out(summed, path, nowhere, identities)
    if sha256 not in (None, summed.sha256):
        raise SpoiltError(f"{path} is not what was written: its SHA-256 differs from the manifest's")


def _copy_out(source: Source, path: Path, target: Target, identities: Identities | None) -> None:
    if identities is None:
        shutil.copyfileobj(source, target, _BLOCK_BYTES)
        return
    try:
        decrypt(source, target, identities)
    except AgeError as error:
        raise SpoiltError(f"{path} is not what was written: {error}") from error


class _Summed:
    """A file, with the SHA-256 of what has been read from it or written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._digest.update(data)
        return data

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()
