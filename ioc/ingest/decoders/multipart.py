"""Multipart bodies of hardware: documents beside pictures, of which only the documents are read.

Cameras are careless with RFC 2046: bare line feeds, a boundary that already has its dashes, no empty line
before a body, a stream that is cut off before its last boundary. Nothing of that loses a complete part.
"""

import re
from typing import Final

import msgspec

from ioc.ingest.decoders.base import DecodeContext, Rejection
from ioc.ingest.decoders.data import Refused
from ioc.ingest.decoders.jsonlines import BLANK

MAX_PARTS: Final = 2_000
MAX_HEADER_BYTES: Final = 8_192
_PICTURES: Final = ("image/", "video/", "audio/")
_PICTURE_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
_NAME: Final = re.compile(rb'(?i)[;\s]name="?([^";\r]*)')
_HEAD: Final = re.compile(
    rb"[^\n]*\n(?:(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++[ \t]*:|[ \t]++[^\s])[^\n]*\n)*+[ \t]*\r?\n"
)
"""The rest of a boundary's line, headers, and the empty line that most senders put behind them."""
HEADER_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:|[ \t]")
"""How a header begins, or goes on. Documents do not: a part whose first line is none has no headers."""


class Part(msgspec.Struct, frozen=True):
    """One part of a multipart body."""

    line: int
    """1-based place among all parts."""
    name: str
    """Of the form's field, "" where there is none."""
    media: str
    """Media type in lower case, "" where none is stated."""
    body: bytes

    @property
    def is_picture(self) -> bool:
        """True for what is no document by its type or, where that says nothing, by its first bytes."""
        return self.media.startswith(_PICTURES) or self.body.startswith(_PICTURE_STARTS)


class Documents(msgspec.Struct):
    """What a body holds to be read."""

    parts: list[Part]
    rejections: list[Rejection] = []
    pictures: int = 0
    """Pictures that came along; they are not kept."""


def documents(body: bytes, context: DecodeContext) -> Documents:
    """Return the documents of `body`: itself, or the parts of a multipart one that are no pictures.

    A body without a media type is multipart where it begins with two dashes.
    """
    stated = context.content_type or ""
    if not stated.startswith("multipart/") and not (
        stated in ("", "text/plain") and body[:64].lstrip(BLANK).startswith(b"--")
    ):
        return _bounded([Part(1, "", stated, body)], [])
    try:
        parts, rejections = split_parts(body, context.boundary)
    except Refused as refused:
        refusal = Rejection(line=1, rule=refused.rule, detail=refused.detail, raw=body)
        return Documents([], [refusal])
    return _bounded(parts, rejections)


def split_parts(body: bytes, boundary: str | None) -> tuple[list[Part], list[Rejection]]:
    """Return the parts of a multipart body, and those whose headers do not end.

    Args:
        boundary: as the media type states it; None takes the body's first line.

    Raises:
        Refused: `multipart`, no part is found or there are too many.
    """
    for delimiter in _delimiters(body, boundary):
        pieces = (b"\n" + body).split(b"\n" + delimiter, MAX_PARTS + 2)[1:]
        if pieces:
            break
    else:
        raise Refused("multipart", "the body has no line with the boundary of its Content-Type")
    parts: list[Part] = []
    rejections: list[Rejection] = []
    for line, piece in enumerate(pieces, 1):
        if piece.startswith(b"--"):
            break
        if line > MAX_PARTS:
            raise Refused("multipart", f"more than {MAX_PARTS} parts")
        head_end, begin = _head_of(piece)
        if begin is None:
            detail = f"the headers of part {line} do not end"
            rejections.append(Rejection(line=line, rule="multipart", detail=detail, raw=piece.strip()))
        else:
            parts.append(_part(line, piece[:head_end], piece[begin:]))
    return parts, rejections


def _delimiters(body: bytes, boundary: str | None) -> list[bytes]:
    if boundary:
        stated = boundary.encode("utf-8", "surrogateescape")
        return [b"--" + stated, *([stated] if stated.startswith(b"--") else [])]
    first = body[:256].lstrip(BLANK).split(b"\n", 1)[0].rstrip()
    return [first] if len(first) > 2 and first.startswith(b"--") else []


def _head_of(piece: bytes) -> tuple[int, int | None]:
    """Return where the headers end and where the body begins, None where the headers do not end."""
    if (head := _HEAD.match(piece, 0, MAX_HEADER_BYTES)) is not None:
        return head.end(), head.end()
    at = piece.find(b"\n") + 1
    while 0 < at <= MAX_HEADER_BYTES:
        end = piece.find(b"\n", at)
        row = piece[at : len(piece) if end < 0 else end]
        if not row.strip():
            return at, len(piece) if end < 0 else end + 1
        if not HEADER_LINE.match(row):
            return at, at
        at = end + 1
    return 0, None


def _part(line: int, head: bytes, body: bytes) -> Part:
    name, media = b"", b""
    for header in head.split(b"\n"):
        key, _, value = header.partition(b":")
        key = key.strip().lower()
        if key == b"content-type":
            media = value.partition(b";")[0]
        elif key == b"content-disposition" and (found := _NAME.search(value)):
            name = found.group(1)
    return Part(
        line,
        name.decode("utf-8", "replace"),
        media.strip().lower().decode("ascii", "replace"),
        body.removesuffix(b"\r"),
    )


def _bounded(parts: list[Part], rejections: list[Rejection]) -> Documents:
    found = Documents([], rejections)
    for part in parts:
        if part.is_picture:
            found.pictures += 1
        elif part.body.strip(BLANK):
            found.parts.append(part)
    if not found.parts and not rejections:
        detail = "the body holds no event" + (", only pictures" if found.pictures else "")
        found.rejections.append(Rejection(line=1, rule="empty", detail=detail, raw=b""))
    return found
