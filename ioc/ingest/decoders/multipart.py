"""Multipart bodies of hardware: documents beside pictures, of which only the documents are read.

Cameras are careless with RFC 2046: bare line feeds, a boundary that already has its dashes, a stream that is
cut off before its last boundary. Nothing of that loses a complete part.
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
_HEAD_END: Final = re.compile(rb"\r?\n[ \t]*\r?\n")


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
    start = body[:64].lstrip(BLANK)
    if not stated.startswith("multipart/") and not (stated in ("", "text/plain") and start.startswith(b"--")):
        return _bounded([Part(1, "", stated, body)], context)
    try:
        parts = split_parts(body, context.boundary)
    except Refused as refused:
        refusal = Rejection(line=1, rule=refused.rule, detail=refused.detail, raw=body)
        return Documents([], [refusal])
    return _bounded(parts, context)


def split_parts(body: bytes, boundary: str | None) -> list[Part]:
    """Return the parts of a multipart body.

    Args:
        boundary: as the media type states it; None takes the body's first line.

    Raises:
        Refused: `multipart`, no part is found, there are too many, or one's headers do not end.
    """
    for delimiter in _delimiters(body, boundary):
        pieces = (b"\n" + body).split(b"\n" + delimiter, MAX_PARTS + 2)[1:]
        if pieces:
            break
    else:
        raise Refused("multipart", "the body has no line with the boundary of its Content-Type")
    parts: list[Part] = []
    for line, piece in enumerate(pieces, 1):
        if piece.startswith(b"--"):
            break
        if line > MAX_PARTS:
            raise Refused("multipart", f"more than {MAX_PARTS} parts")
        parts.append(_part(line, piece))
    return parts


def _delimiters(body: bytes, boundary: str | None) -> list[bytes]:
    if boundary:
        stated = boundary.encode("utf-8", "surrogateescape")
        return [b"--" + stated, *([stated] if stated.startswith(b"--") else [])]
    first = body[:256].lstrip(BLANK).split(b"\n", 1)[0].rstrip()
    return [first] if len(first) > 2 and first.startswith(b"--") else []


def _part(line: int, piece: bytes) -> Part:
    head_end = _HEAD_END.search(piece, 0, MAX_HEADER_BYTES)
    if head_end is None:
        raise Refused("multipart", f"the headers of part {line} do not end")
    name, media = b"", b""
    for header in piece[: head_end.start()].split(b"\n"):
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
        piece[head_end.end() :].removesuffix(b"\r"),
    )


def _bounded(parts: list[Part], context: DecodeContext) -> Documents:
    found = Documents([], [])
    for part in parts:
        if part.is_picture:
            found.pictures += 1
        elif part.body.strip(BLANK):
            found.parts.append(part)
    if not found.parts:
        detail = "the body holds no event" + (", only pictures" if found.pictures else "")
        found.rejections.append(Rejection(line=1, rule="empty", detail=detail, raw=b""))
    return found
