"""Cuts a camera's endless multipart stream into parts. Pure: bytes in, parts out.

Cameras are careless here: no Content-Length, a wrong one, bare line feeds, another boundary than the one they
announced. What ends a part is the next boundary; a Content-Length only lets a part go earlier, where what it
ends is a whole document. So the same bytes give the same parts however the network cut them, and where a line
falls quiet `settle` lets go what is whole.
"""

import re
from collections import Counter
from enum import Enum, auto
from typing import Final, Literal

import msgspec

Fault = Literal["too_large", "malformed"]
MAX_BOUNDARY_BYTES: Final = 200
_AFTER_BOUNDARY: Final = b"\r\n \t-"
_BLANK: Final = b" \t\r\n\0"
_HEADER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:|[ \t]")
"""How a header begins, or goes on. Documents do not: some cameras leave out the empty line before them."""
_ROOT: Final = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_PICTURES: Final = ("image/", "video/", "audio/")
_PICTURE_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG")


class NoBoundaryError(ValueError):
    """What comes is no multipart."""


class StreamPart(msgspec.Struct, frozen=True):
    """One part."""

    content_type: str | None
    body: bytes

    @property
    def is_picture(self) -> bool:
        """True for what is no document by its type or, where that says nothing, by its first bytes."""
        return (self.content_type or "").startswith(_PICTURES) or self.body.startswith(_PICTURE_STARTS)


class _At(Enum):
    PREAMBLE = auto()
    HEAD = auto()
    BODY = auto()
    BETWEEN = auto()
    """Behind a part that has been let go, or that cannot be read: until the next boundary."""


class PartReader:
    """Takes chunks and returns the parts that they complete.

    `faults` counts parts that were passed over: larger than `max_part_bytes`, or without a readable head.
    """

    def __init__(self, max_head_bytes: int, max_part_bytes: int) -> None:
        self._max_head = max_head_bytes
        self._max_part = max_part_bytes
        self._held = bytearray(b"\n")
        """A line feed first: the boundary stands at the begin of a line, also of the first."""
        self._at = _At.PREAMBLE
        self._passed = 0
        self._delimiter = b""
        self._searched = 0
        self._type: str | None = None
        self._length: int | None = None
        self.faults: Counter[Fault] = Counter()

    @property
    def held_bytes(self) -> int:
        """How much waits for its end."""
        return len(self._held)

    @property
    def waits(self) -> bool:
        """True within a part: should nothing more come, `settle` may let it go."""
        return self._at is _At.BODY

    def feed(self, chunk: bytes) -> list[StreamPart]:
        """Take bytes and return the parts that are whole.

        Raises:
            NoBoundaryError: `max_part_bytes` came without any boundary.
        """
        self._held += chunk
        parts: list[StreamPart] = []
        while self._step(parts):
            pass
        return parts

    def settle(self) -> list[StreamPart]:
        """Return what is whole although no boundary has come behind it; to be called when the line is quiet.

        A document whose announced length has come, or that ends as documents do. Of a picture that has not
        ended with its announced length, but has a boundary in it, that length was wrong.
        """
        parts: list[StreamPart] = []
        if self._at is not _At.BODY:
            return parts
        if self._is_picture and self._length is not None and self._ends_at(1 + self._length):
            self._emit(bytes(self._held[1 : 1 + self._length]), parts)
            self._drop(1 + self._length, _At.BETWEEN)
            return parts
        if (found := self._find_delimiter()) is not None:
            self._end_part(found, parts)
            return parts + self.feed(b"")
        end = self._held_end()
        body = bytes(self._held[1:end])
        length, lined = self._length, b"\n" if end < len(self._held) else b""
        if (len(body) >= length) if length is not None else _ended(body + lined):
            self._emit(body.rstrip(_BLANK), parts)
            self._drop(end, _At.BETWEEN)
        return parts

    def _step(self, parts: list[StreamPart]) -> bool:
        """Do the next thing that the bytes at hand decide; False where they decide nothing."""
        match self._at:
            case _At.PREAMBLE:
                return self._read_preamble()
            case _At.HEAD:
                return self._read_head()
            case _At.BODY:
                return self._read_body(parts)
            case _At.BETWEEN:
                return self._read_between()

    def _read_preamble(self) -> bool:
        start = self._held.find(b"\n--")
        if start < 0:
            self._pass(len(self._held) - 2)
            return False
        self._pass(start)
        end = self._held.find(b"\n", 3, MAX_BOUNDARY_BYTES)
        if end < 0:
            if len(self._held) < MAX_BOUNDARY_BYTES:
                return False
            self._pass(3)
            return True
        line = bytes(self._held[:end]).rstrip(b" \t\r")
        if len(line) > 3 and b" " not in line:
            self._delimiter = line
            self._drop(len(line), _At.HEAD)
        else:
            self._pass(end)
        return True

    def _pass(self, count: int) -> None:
        """Leave out bytes before the first boundary."""
        if count > 0:
            self._passed += count
            del self._held[:count]
        if self._passed > self._max_part:
            raise NoBoundaryError(f"no boundary within {self._max_part} bytes")

    def _read_head(self) -> bool:
        held = self._held
        if len(held) < 2:
            return False
        if held.startswith(b"--"):  # the last boundary; some cameras go on behind it
            self._drop(2, _At.BETWEEN)
            return True
        at = held.find(b"\n", 0, self._max_head) + 1
        while 0 < at <= self._max_head:
            end = held.find(b"\n", at)
            if end < 0:
                break
            row = held[at:end]
            if self._is_delimiter(at - 1):
                self.faults["malformed"] += 1
                self._drop(at - 1 + len(self._delimiter), _At.HEAD)
                return True
            if not row.strip() or not _HEADER_LINE.match(row):
                self._type, self._length = _headers(bytes(held[:at]))
                if self._length is not None and self._length > self._max_part:
                    self._length = None
                # The head's last line feed stays: of an empty part it belongs to the next boundary.
                self._drop(at - 1 if row.strip() else end, _At.BODY)
                return True
            at = end + 1
        if len(held) <= self._max_head:
            return False
        self.faults["malformed"] += 1
        self._drop(0, _At.BETWEEN)
        return True

    def _read_body(self, parts: list[StreamPart]) -> bool:
        found = self._find_delimiter()
        announced = self._announced_whole()
        if announced is None:
            return False
        # Whichever the bytes decide first, so that it does not matter how many came at once.
        decided = len(self._held) + 1 if found is None else found + len(self._delimiter) + 1
        if announced and (self._is_picture or announced + 1 < decided):
            self._emit(bytes(self._held[1:announced]), parts)
            self._drop(announced, _At.BETWEEN)
            return True
        if found is not None:
            self._end_part(found, parts)
            return True
        if len(self._held) > self._max_part + len(self._delimiter) + 4:
            self.faults["too_large"] += 1
            self._drop(0, _At.BETWEEN)
            return True
        return False

    @property
    def _is_picture(self) -> bool:
        return (self._type or "").startswith(_PICTURES)

    def _announced_whole(self) -> int | None:
        """Return where the announced length ends the part, 0 where it does not or not yet, None to wait.

        What looks like a boundary within a picture may be its own bytes, so of a picture the length is
        believed where a boundary follows, and waited for.
        """
        if self._length is None:
            return 0
        end = 1 + self._length
        if self._is_picture:
            if len(self._held) < end + 1 + len(self._delimiter):
                return None
            at = end + 1 if self._held.startswith(b"\r", end) else end
            right = self._held.startswith(self._delimiter, at)
        elif len(self._held) > end:
            right = self._held[end] in b"\r\n" and _closed(bytes(self._held[1:end]))
        else:
            return 0
        if not right:
            self._length = None  # it is wrong, and need not be looked at again
        return end if right else 0

    def _end_part(self, found: int, parts: list[StreamPart]) -> None:
        if found - 1 > self._max_part:
            self.faults["too_large"] += 1
        else:
            self._emit(bytes(self._held[1:found]).removesuffix(b"\r"), parts)
        self._drop(found + len(self._delimiter), _At.HEAD)

    def _read_between(self) -> bool:
        found = self._find_delimiter()
        if found is None:
            # Only what may be the begin of a boundary is kept.
            self._drop(max(len(self._held) - len(self._delimiter) - 1, 0), _At.BETWEEN)
            return False
        self._drop(found + len(self._delimiter), _At.HEAD)
        return True

    def _emit(self, body: bytes, parts: list[StreamPart]) -> None:
        if body.strip(_BLANK):
            parts.append(StreamPart(self._type, body))

    def _drop(self, count: int, at: _At) -> None:
        del self._held[:count]
        self._at = at
        self._searched = 0

    def _find_delimiter(self) -> int | None:
        """Return where the next boundary begins; None while there is none with what follows it."""
        while True:
            found = self._held.find(self._delimiter, self._searched)
            after = found + len(self._delimiter)
            if found < 0:
                self._searched = max(len(self._held) - len(self._delimiter), 0)
                return None
            self._searched = found
            if after >= len(self._held):
                return None
            if self._held[after] in _AFTER_BOUNDARY:
                return found
            self._searched = found + 1

    def _is_delimiter(self, at: int) -> bool:
        """Return whether a boundary stands at `at`, on a line that has ended."""
        after = at + len(self._delimiter)
        return self._held.startswith(self._delimiter, at) and self._held[after] in _AFTER_BOUNDARY

    def _ends_at(self, end: int) -> bool:
        """Return whether nothing but the begin of a boundary is held behind `end`, if that."""
        rest = self._held[end:].removeprefix(b"\r")
        return len(self._held) >= end and self._delimiter.startswith(rest)

    def _held_end(self) -> int:
        """Return where what may be the begin of a boundary starts, at the end of what is held."""
        for length in range(min(len(self._delimiter), len(self._held) - 1), 0, -1):
            if self._held.endswith(self._delimiter[:length]):
                return len(self._held) - length
        return len(self._held)


def _headers(head: bytes) -> tuple[str | None, int | None]:
    """Return media type and length of a part, None for what it does not say or not plausibly."""
    stated: str | None = None
    length: int | None = None
    for line in head.split(b"\n"):
        key, _, value = line.partition(b":")
        key, value = key.strip().lower(), value.strip()
        if key == b"content-type":
            media, sign, parameters = value.decode("latin-1").partition(";")
            stated = (media.strip().lower() + sign + parameters) or None
        elif key == b"content-length" and value.isdigit() and len(value) < 12:
            length = int(value)
    return stated, length


def _closed(body: bytes) -> bool:
    """Return whether a document of announced length is whole by its look; a plain line has none."""
    text = body.strip(_BLANK)
    if text.startswith(b"<"):
        root = _ROOT.search(text)
        return root is not None and text.endswith(b"</%b>" % root[1])
    if text.startswith((b"{", b"[")) or b";data=" in text:
        return text.endswith((b"}", b"]")) and text.count(b"{") == text.count(b"}")
    return bool(text)


def _ended(body: bytes) -> bool:
    """Return whether a document without announced length is whole by its look."""
    structured = body.lstrip(_BLANK).startswith((b"<", b"{", b"[")) or b";data=" in body
    return _closed(body) and (structured or body.endswith(b"\n"))
