"""A recording in either form, chosen by the file's name: `.parquet`, or frames of NDJSON for every other."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from ioc import __version__
from ioc.app.recordings.columns import ColumnReader, ColumnWriter, pyarrow
from ioc.app.recordings.entries import Entry
from ioc.app.recordings.frames import Footer, FrameReader, FrameWriter, Header
from ioc.model.times import format_us

PARQUET: Final = ".parquet"
TOOL: Final = f"ioc {__version__}"


class Reader(Protocol):
    """Reads a recording once, from its beginning."""

    header: Header
    footer: Footer | None
    cut_off: str | None

    @property
    def position(self) -> int:
        """Bytes read so far."""

    def entries(self) -> Iterator[list[Entry]]:
        """Yield the entries in pieces that fit into memory."""


class Writer(Protocol):
    """Writes a recording."""

    @property
    def events(self) -> int:
        """Events written so far, ticks not counted."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Add `entries`."""

    def flush(self) -> None:
        """Bring what waits into the file."""

    def close(self, *, lost: int = 0, ended: str = "") -> Footer:
        """Finish the recording."""


@contextmanager
def open_recording(path: Path) -> Iterator[Reader]:
    """Open a recording to read.

    Raises:
        RecordingError: it is none of ours.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        yield ColumnReader(file, str(path)) if path.suffix == PARQUET else FrameReader(file, str(path))


@contextmanager
def new_recording(path: Path, header: Header, *, replace: bool = False) -> Iterator[Writer]:
    """Make a recording that only its owner may read; close the writer before the block ends.

    Raises:
        FileExistsError: there is one already, and it is not to be replaced.
        ParquetUnavailable: it is to be Parquet, and pyarrow is missing.
    """
    if path.suffix == PARQUET:
        pyarrow()  # before there is a file
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        yield ColumnWriter(file, header) if path.suffix == PARQUET else FrameWriter(file, header)


def make_header(now_us: int, **fields: object) -> Header:
    """Return the header of a recording begun at `now_us`."""
    return Header(made=format_us(now_us), tool=TOOL, **fields)  # type: ignore[arg-type]
