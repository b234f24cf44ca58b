"""Files in the age format (https://age-encryption.org/v1), which the program `age` opens and writes as well.

Whoever holds a recipient (`age1…`) can encrypt for it; only the identity (`AGE-SECRET-KEY-1…`) opens what
came of it. Contents are authenticated in pieces of 64 KiB, so files of any size take a few MB of memory, and
the last piece is marked: a changed or cut file does not open.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import pyrage
from pyrage.x25519 import Identity, Recipient

SUFFIX: Final = ".age"


class AgeError(ValueError):
    """A key that is none, or a file that does not open; the message says which."""


class Source(Protocol):
    """What is read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


class Target(Protocol):
    """What is written."""

    def write(self, data: bytes, /) -> int:
        """Write `data`, or as much of it as is returned."""

    def flush(self) -> None:
        """Pass on what waits."""


def checked_recipient(text: str) -> str:
    """Return `text` as recipients are written.

    Raises:
        AgeError: it is no recipient.
    """
    try:
        return str(Recipient.from_str(text.strip()))
    except pyrage.RecipientError as error:
        # Not repeated whole: who mixes the two up has put the private key here.
        raise AgeError(f"{text[:8]}… is no recipient (age1…): {error}") from error


def new_identity(path: Path, now: datetime) -> str:
    """Make a pair, write its identity as `age-keygen` does for its owner only, and return its recipient.

    Raises:
        OSError: the file exists, or cannot be written.
    """
    identity = Identity.generate()
    recipient = str(identity.to_public())
    text = f"# created: {now.isoformat(timespec='seconds')}\n# public key: {recipient}\n{identity}\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return recipient


class Identities:
    """The identities of one file, which is read once: it may be a pipe."""

    def __init__(self, path: Path) -> None:
        """Read them.

        Raises:
            AgeError: the file holds none, or something else.
            OSError: it cannot be read.
        """
        self.path = path
        lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
        try:
            self.keys: list[Identity] = [
                Identity.from_str(line) for line in lines if line and not line.startswith("#")
            ]
        except pyrage.IdentityError as error:
            raise AgeError(f"{path}: expected lines of AGE-SECRET-KEY-1…: {error}") from error
        if not self.keys:
            raise AgeError(f"{path} holds no identity (AGE-SECRET-KEY-1…)")

    @property
    def recipients(self) -> list[str]:
        """Whom a file must have been encrypted for, that these open it."""
        return [str(key.to_public()) for key in self.keys]


def encrypt(source: Source, target: Target, recipients: Sequence[str]) -> None:
    """Write what `source` gives into `target` so that each of `recipients` can open it.

    Raises:
        AgeError: one of them is no recipient.
        OSError: `source` or `target` failed.
    """
    keys = [Recipient.from_str(checked_recipient(text)) for text in recipients]
    reading, writing = _Reading(source), _Writing(target)
    with _own_errors(reading, writing):
        pyrage.encrypt_io(reading, writing, keys)


def decrypt(source: Source, target: Target, identities: Identities) -> None:
    """Write what was encrypted into `target`; pieces are authentic, the whole is once this returns.

    Raises:
        AgeError: no identity opens it, or it was changed or cut.
        OSError: `source` or `target` failed.
    """
    reading, writing = _Reading(source), _Writing(target)
    with _own_errors(reading, writing):
        pyrage.decrypt_io(reading, writing, identities.keys)


class _Watched:
    """Keeps the error of a file: of an exception the library passes on no more than its words."""

    error: BaseException | None = None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.error = error
            raise


class _Reading(_Watched):
    def __init__(self, file: Source) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        with self._watched():
            return self._file.read(size)


class _Writing(_Watched):
    def __init__(self, file: Target) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        with self._watched():
            return self._file.write(data)

    def flush(self) -> None:
        with self._watched():
            self._file.flush()


@contextmanager
def _own_errors(*files: _Watched) -> Iterator[None]:
    """Raise the error of a file as it was, and the library's own as ours."""
    try:
        yield
    except (pyrage.EncryptError, pyrage.DecryptError, OSError) as error:
        for file in files:
            if file.error:
                raise file.error from None
        raise AgeError(str(error)) from error
