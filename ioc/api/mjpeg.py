"""The first picture of a camera's moving one: `multipart/x-mixed-replace`, a JPEG a part. Pure."""

from typing import Final

MEDIA_TYPE: Final = "multipart/x-mixed-replace"
_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD_BYTES: Final = 4_096
_JPEG_END: Final = b"\xff\xd9"


class NotMjpegError(ValueError):
    """The stream is none of JPEG parts; the message says what it is."""


class FirstFrame:
    """Takes chunks until the first picture is whole."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._body_at = -1
        self._length: int | None = None

    @property
    def held_bytes(self) -> int:
        """How much is held; the caller bounds it."""
        return len(self._held)

    def feed(self, chunk: bytes) -> bytes | None:
        """Return the first picture once it is there.

        Raises:
            NotMjpegError: what comes is no JPEG.
        """
        searched = max(len(self._held) - 1, 0)
        self._held += chunk
        if self._body_at < 0 and not self._read_head():
            return None
        body = self._body_at
        if self._length is not None:
            end = body + self._length
            return bytes(self._held[body:end]) if len(self._held) >= end else None
        # Without a length the picture ends where the next part begins; its own marker comes right before.
        end = self._held.find(_JPEG_END + b"\r\n--", max(body, searched - 4))
        return bytes(self._held[body : end + 2]) if end >= 0 else None

    def _read_head(self) -> bool:
        end = self._held.find(_HEAD_END)
        if end < 0:
            if len(self._held) > _MAX_HEAD_BYTES:
                raise NotMjpegError("the stream's first part has no head")
            return False
        head = bytes(self._held[:end]).decode("latin-1").lower()
        fields = dict(line.partition(":")[::2] for line in head.split("\r\n") if ":" in line)
        media = fields.get("content-type", "").partition(";")[0].strip()
        if media not in ("image/jpeg", "image/jpg"):
            raise NotMjpegError(f"the stream's parts are {media[:50] or 'of no type'}, not image/jpeg")
        length = fields.get("content-length", "").strip()
        self._length = int(length) if length.isascii() and length.isdigit() and len(length) < 12 else None
        self._body_at = end + len(_HEAD_END)
        return True
