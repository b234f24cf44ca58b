"""What a picture must be to come in, decided from its bytes alone, before anything decodes it."""

from collections.abc import Iterator
from typing import Final

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PIXELS: Final = 25_000_000
SIDE_PX: Final = 2_048
"""Longest side of what is kept: enough to read a number plate, hence personal."""
THUMB_PX: Final = 360

RULES: Final = {
    "empty": "the body is empty: send the bytes of a JPEG, PNG or WebP picture",
    "max_bytes": f"a picture has at most {MAX_BYTES // (1024 * 1024)} MB",
    "not_an_image": "this is no JPEG, PNG or WebP picture",
    "max_pixels": f"a picture has at most {MAX_PIXELS // 1_000_000} megapixels",
    "animated": "an animation is no picture of a place: send a still one",
    "polyglot": "the file is a picture and something else as well (a page, a script, an archive)",
    "broken": "the picture is damaged or ends too early",
    "too_costly": "decoding the picture takes more memory or time than a picture may",
}
"""Every rule by which a picture is refused, and what it says."""

_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_END: Final = 0xD9
_JPEG_SCAN: Final = 0xDA
_JPEG_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_FOREIGN: Final = (
    b"<html", b"<script", b"<!doctype", b"<svg ", b"<?php", b"<iframe", b"%pdf-",
    b"pk\x03\x04", b"pk\x05\x06", b"rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c",
)  # fmt: skip
"""What a browser, a server or an archiver looks for behind the beginning of a file, in small letters."""


class PhotoRefused(Exception):
    """A picture that does not come in; `rule` is one of `RULES`."""

    def __init__(self, rule: str) -> None:
        super().__init__(RULES[rule])
        self.rule = rule


def require_picture(data: bytes) -> None:
    """Look at the frame around the pixels.

    What a camera appends to a picture (another size, a short film) comes in: re-encoding leaves it behind.

    Raises:
        PhotoRefused: empty, max_bytes, not_an_image, animated, polyglot, broken.
    """
    if not data:
        raise PhotoRefused("empty")
    if len(data) > MAX_BYTES:
        raise PhotoRefused("max_bytes")
    if data.startswith(_JPEG):
        around = _around_jpeg(data)
    elif data.startswith(_PNG):
        around = _around_png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        around = _around_webp(data)
    else:
        raise PhotoRefused("not_an_image")
    for part in around:
        lower = part.lower()
        if any(mark in lower for mark in _FOREIGN):
            raise PhotoRefused("polyglot")


def _around_jpeg(data: bytes) -> Iterator[bytes]:
    """Yield what is no coded pixels: application segments, comments, what follows the end."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise PhotoRefused("broken")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_ALONE:
            at += 2
        elif marker == _JPEG_END:
            yield data[at + 2 :]
            return
        else:
            size = int.from_bytes(data[at + 2 : at + 4])
            if size < 2 or at + 2 + size > len(data):
                raise PhotoRefused("broken")
            if marker == 0xFE or 0xE0 <= marker <= 0xEF:
                yield data[at + 4 : at + 2 + size]
            at += 2 + size
            if marker == _JPEG_SCAN:
                at = _end_of_scan(data, at)
    # The end mark is often lost at no harm; whether pixels are missing the decoder tells.


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the coded pixels end: at the next marker that is neither stuffing nor a restart."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2
    return len(data)


def _around_png(data: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data):
            raise PhotoRefused("broken")
        if kind == b"acTL":
            raise PhotoRefused("animated")
        if kind == b"IEND":
            yield data[end:]
            return
        if kind not in (b"IDAT", b"IHDR", b"PLTE"):
            yield data[at + 8 : end - 4]
        at = end
    raise PhotoRefused("broken")


def _around_webp(data: bytes) -> Iterator[bytes]:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise PhotoRefused("broken")
    at = 12
    while at + 8 <= end:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"ANIM", b"ANMF"):
            raise PhotoRefused("animated")
        if kind not in (b"VP8 ", b"VP8L", b"VP8X", b"ALPH"):
            yield data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    yield data[end:]
