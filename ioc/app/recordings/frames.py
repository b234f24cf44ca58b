"""The file of a recording: NDJSON in zstd frames, each behind a note that says how long it is.

    note: header   frame   note: frame 1   frame   note: frame 2   …   note: footer

Notes are what zstd calls skippable frames, so `zstd -d` gives the lines and nothing else. A frame that is not
whole is not read: a file that was cut off is good up to its last complete frame, and says so.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Final

import cramjam
import msgspec

from ioc.app.recordings import DamagedRecording, NotARecording
from ioc.app.recordings.entries import Entry, decode_entry, encode_entries, moment_us
from ioc.model.records import Tick
from ioc.model.times import format_us

VERSION: Final = 1
FRAME_ENTRIES: Final = 5_000
FRAME_BYTES: Final = 16 << 20
"""Of lines; what is more becomes several frames."""
LEVEL: Final = 3
"""Of zstd: its default."""
MAX_NOTE_BYTES: Final = 1 << 20
MAX_FRAME_BYTES: Final = 64 << 20
"""Of a frame, packed or unpacked: a note that says more is not believed."""

_MAGIC: Final = 0x184D2A5A
_HEAD: Final = struct.Struct("<II")


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="part", tag="header"):
    """The first note."""

    ioc_recording: int = VERSION
    made: str
    """When it was begun."""
    tool: str
    partitions: int = 0
    """Of the log it was taken from; 0 where it was not."""
    selected: dict[str, str | list[str]] = {}
    """What was asked for; empty: everything."""
    anonymous: bool = False


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="part", tag="frame"):
    """The note before a frame."""

    number: int
    bytes: int
    """Of the frame that follows."""
    plain_bytes: int
    lines: int
    crc32: int
    """Of the lines."""


class Footer(msgspec.Struct, frozen=True, kw_only=True, tag_field="part", tag="footer"):
    """The last note: without it the recording was cut off."""

    frames: int
    events: int
    ticks: int
    streams: dict[str, int]
    first: str | None
    last: str | None
    sha256: str
    """Of all lines: what `zstd -dc FILE | sha256sum` says."""
    lost: int = 0
    """Records that retention had deleted before they could be recorded."""
    ended: str = ""
    """Why it ends here, where that was not asked for."""


_note_decoder: Final = msgspec.json.Decoder(Header | Frame | Footer)


class Tally:
    """Counts what is written, for the footer."""

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self._ticks = 0
        self._first_us: int | None = None
        self._last_us: int | None = None

    @property
    def events(self) -> int:
        """Events counted so far."""
        return sum(self._streams.values())

    def add(self, entries: Sequence[Entry]) -> None:
        """Count the next entries, at least one."""
        if self._first_us is None:
            self._first_us = moment_us(entries[0])
        self._last_us = moment_us(entries[-1])
        for entry in entries:
            if isinstance(entry, Tick):
                self._ticks += 1
            else:
                self._streams[entry.stream] = self._streams.get(entry.stream, 0) + 1

    def footer(self, *, frames: int = 0, sha256: str = "", lost: int = 0, ended: str = "") -> Footer:
        """Return the footer of what was counted."""
        return Footer(
            frames=frames,
            events=self.events,
            ticks=self._ticks,
            streams=dict(sorted(self._streams.items())),
            first=None if self._first_us is None else format_us(self._first_us),
            last=None if self._last_us is None else format_us(self._last_us),
            sha256=sha256,
            lost=lost,
            ended=ended,
        )


class FrameWriter:
    """Writes entries; `close` writes the footer, and what was not closed is readable up to its last frame."""

    def __init__(self, file: IO[bytes], header: Header) -> None:
        self._file = file
        self._waiting: list[Entry] = []
        self._digest = hashlib.sha256()
        self._frames = 0
        self._tally = Tally()
        self._write_note(header)
        file.flush()

    @property
    def events(self) -> int:
        """Events written so far, ticks not counted."""
        return self._tally.events

    def write(self, entries: Sequence[Entry]) -> None:
        """Add `entries`; they are in the file once a frame is full."""
        self._waiting += entries
        while len(self._waiting) >= FRAME_ENTRIES:
            self._write_frame(self._waiting[:FRAME_ENTRIES])
            del self._waiting[:FRAME_ENTRIES]

    def flush(self) -> None:
        """Bring what waits into the file, as a frame of its own."""
        if self._waiting:
            self._write_frame(self._waiting)
            self._waiting = []
        self._file.flush()

    def close(self, *, lost: int = 0, ended: str = "") -> Footer:
        """Write the footer and return it; the file itself stays open."""
        self.flush()
        footer = self._tally.footer(
            frames=self._frames, sha256=self._digest.hexdigest(), lost=lost, ended=ended
        )
        self._write_note(footer)
        self._file.flush()
        return footer

    def _write_frame(self, entries: Sequence[Entry]) -> None:
        plain = encode_entries(entries)
        if len(plain) > FRAME_BYTES and len(entries) > 1:
            for half in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
                self._write_frame(half)
            return
        self._digest.update(plain)
        packed = bytes(cramjam.zstd.compress(plain, level=LEVEL))
        self._frames += 1
        self._tally.add(entries)
        self._write_note(
            Frame(
                number=self._frames,
                bytes=len(packed),
                plain_bytes=len(plain),
                lines=len(entries),
                crc32=zlib.crc32(plain),
            )
        )
        self._file.write(packed)

    def _write_note(self, note: Header | Frame | Footer) -> None:
        raw = msgspec.json.encode(note)
        self._file.write(_HEAD.pack(_MAGIC, len(raw)) + raw)


class FrameReader:
    """Reads a recording from its beginning, one frame in memory at a time.

    Raises:
        NotARecording: it is none.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.footer: Footer | None = None
        """Set once `entries` has come to a proper end."""
        self.cut_off: str | None = None
        """Set once `entries` has come to an end that is none: what is missing."""
        note = self._note()
        if not isinstance(note, Header):
            raise NotARecording(f"{name} is no recording: it does not begin with the header of one")
        if note.ioc_recording > VERSION:
            raise NotARecording(f"{name} is of version {note.ioc_recording}, this program reads {VERSION}")
        self.header = note

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._file.tell()

    def entries(self) -> Iterator[list[Entry]]:
        """Yield the entries frame by frame, up to the footer or to where the file was cut off.

        Raises:
            DamagedRecording: bytes in the midst are not what was written.
        """
        digest, frames = hashlib.sha256(), 0
        while (note := self._note()) is not None:
            if isinstance(note, Footer):
                if note.sha256 != digest.hexdigest():
                    raise DamagedRecording(f"{self._name}: the lines are not those of its footer (sha256)")
                self.footer = note
                return
            if isinstance(note, Header) or note.number != frames + 1:
                raise DamagedRecording(f"{self._name}: frame {frames + 1} is missing")
            plain = self._frame(note)
            if plain is None:
                break
            digest.update(plain)
            frames += 1
            yield [decode_entry(line) for line in plain.splitlines()]
        self.cut_off = f"cut off after {frames} complete frames"

    def _frame(self, note: Frame) -> bytes | None:
        """Return the lines of the frame that follows; None where it is not whole."""
        if not 0 <= note.bytes <= MAX_FRAME_BYTES or not 0 <= note.plain_bytes <= MAX_FRAME_BYTES:
            raise DamagedRecording(f"{self._name}: frame {note.number} claims over {MAX_FRAME_BYTES} bytes")
        packed = self._file.read(note.bytes)
        if len(packed) < note.bytes:
            return None
        room = bytearray(note.plain_bytes)
        try:
            size = cramjam.zstd.decompress_into(packed, room)
        except cramjam.DecompressionError as error:
            raise DamagedRecording(f"{self._name}: frame {note.number}: {error}") from error
        if size != note.plain_bytes or zlib.crc32(room) != note.crc32:
            raise DamagedRecording(f"{self._name}: frame {note.number} is not what was written (crc32)")
        return bytes(room)

    def _note(self) -> Header | Frame | Footer | None:
        """Return the next note; None where the file ends first."""
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        magic, size = _HEAD.unpack(head)
        if magic != _MAGIC or size > MAX_NOTE_BYTES:
            raise self._no_note()
        raw = self._file.read(size)
        if len(raw) < size:
            return None
        try:
            note: Header | Frame | Footer = _note_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._no_note() from error
        return note

    def _no_note(self) -> DamagedRecording | NotARecording:
        place = self._file.tell()
        if hasattr(self, "header"):
            return DamagedRecording(f"{self._name}: no note where one is due, before byte {place}")
        return NotARecording(f"{self._name} is no recording: it does not begin with the header of one")
