"""Recordings of the service as `ioc record` writes them: NDJSON in zstd frames (docs/recordings.md). Pure but
for the file that is read.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO

import cramjam
import msgspec

from simulators import SimulatorError
from simulators.times import to_us

TICK_TYPE = "ioc.tick"
_MAGIC = 0x184D2A5A
_HEAD = struct.Struct("<II")
_MAX_BYTES = 64 << 20


class EventsFileError(SimulatorError):
    """The recording cannot be read, or is damaged."""


class Recorded(msgspec.Struct, frozen=True):
    """One line: what a replay needs to know, and the line itself."""

    type: str
    source: str
    at_us: int
    """When the service took it."""
    raw: bytes

    @property
    def is_tick(self) -> bool:
        """Whether it is the clock's and not a device's."""
        return self.type == TICK_TYPE


class _Note(msgspec.Struct):
    part: str
    bytes: int = 0
    plain_bytes: int = 0
    crc32: int = 0
    ioc_recording: int = 0


class _Line(msgspec.Struct):
    type: str
    source: str
    time: datetime
    received: datetime | None = None


_line = msgspec.json.Decoder(_Line).decode


class EventsFile:
    """A recording, read frame by frame as often as wanted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_off = False
        """Whether the last reading came to an end that is none; one that was stopped did not come so far."""

    def lines(self) -> Iterator[Recorded]:
        """Yield the lines of every complete frame.

        Raises:
            EventsFileError: it is no recording, or not what was written.
        """
        self.cut_off = False
        try:
            with self.path.open("rb") as file:
                note = self._note(file)
                if note is None or note.part != "header" or note.ioc_recording != 1:
                    raise EventsFileError(f"{self.path} is no recording of version 1 (ioc record)")
                while (note := self._note(file)) is not None:
                    if note.part == "footer":
                        return
                    if (plain := self._frame(file, note)) is None:
                        break
                    for raw in plain.splitlines():
                        yield _recorded(raw)
                self.cut_off = True
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, cramjam.DecompressionError) as problem:
            raise EventsFileError(f"{self.path}: {problem}") from problem

    def _note(self, file: IO[bytes]) -> _Note | None:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        magic, size = _HEAD.unpack(head)
        if magic != _MAGIC or size > _MAX_BYTES:
            raise EventsFileError(f"{self.path}: no recording, or damaged before byte {file.tell()}")
        raw = file.read(size)
        return msgspec.json.decode(raw, type=_Note) if len(raw) == size else None

    def _frame(self, file: IO[bytes], note: _Note) -> bytes | None:
        if not (0 <= note.bytes <= _MAX_BYTES and 0 <= note.plain_bytes <= _MAX_BYTES):
            raise EventsFileError(f"{self.path}: a frame claims more than {_MAX_BYTES} bytes")
        packed = file.read(note.bytes)
        if len(packed) < note.bytes:
            return None
        room = bytearray(note.plain_bytes)
        cramjam.zstd.decompress_into(packed, room)
        if zlib.crc32(room) != note.crc32:
            raise EventsFileError(f"{self.path}: damaged before byte {file.tell()}")
        return bytes(room)


def _recorded(raw: bytes) -> Recorded:
    line = _line(raw)
    return Recorded(line.type, line.source, to_us(line.received or line.time), raw)
