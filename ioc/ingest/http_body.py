"""Reading a request body within its limits, plain or gzip, whatever its headers claim."""

import asyncio
import zlib
from collections.abc import AsyncIterable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ioc.ingest.ports import BodyRefused

_GZIP_WBITS: Final = 31


def _too_large(limit: int) -> BodyRefused:
    return BodyRefused(413, "max_body_bytes", f"the body is larger than {limit} bytes")


class _Plain:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        if len(self._body) + len(chunk) > self._limit:
            raise _too_large(self._limit)
        self._body += chunk

    def finish(self) -> bytes:
        return bytes(self._body)


class _Gzip:
    """Inflates as the bytes arrive and stops at the limit, so a bomb costs no more than a fair body."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._received = 0
        self._body = bytearray()
        self._inflate = zlib.decompressobj(_GZIP_WBITS)

    def feed(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._limit:
            raise _too_large(self._limit)
        try:
            while chunk:
                if self._inflate.eof:  # RFC 1952: members may follow one another
                    self._inflate = zlib.decompressobj(_GZIP_WBITS)
                self._body += self._inflate.decompress(chunk, self._limit - len(self._body) + 1)
                if len(self._body) > self._limit:
                    raise _too_large(self._limit)
                chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error as error:
            raise BodyRefused(400, "gzip", f"the body is not gzip: {error}") from error

    def finish(self) -> bytes:
        if not self._inflate.eof:
            raise BodyRefused(400, "gzip", "the gzip body ends too early")
        return bytes(self._body)


def declared_length(header: str | None, limit: int) -> None:
    """Refuse early what announces itself as too large.

    Raises:
        BodyRefused: 413, or 400 for a header that is no number.
    """
    if header is None:
        return
    if not (header.isascii() and header.isdigit()):
        raise BodyRefused(400, "content_length", "Content-Length is not a number", "Content-Length")
    if len(header) > 18 or int(header) > limit:
        raise _too_large(limit)


async def read_body(chunks: AsyncIterable[bytes], encoding: str, limit: int) -> bytes:
    """Return the decompressed body of at most `limit` bytes, reading no further than needed to know.

    Args:
        encoding: the Content-Encoding, lower case; empty means identity.

    Raises:
        BodyRefused: 413 too large, 415 unknown encoding, 400 broken gzip.
    """
    if encoding in ("", "identity"):
        sink: _Plain | _Gzip = _Plain(limit)
    elif encoding in ("gzip", "x-gzip"):
        sink = _Gzip(limit)
    else:
        raise BodyRefused(415, "content_encoding", "only gzip or no encoding is read", "Content-Encoding")
    async for chunk in chunks:
        sink.feed(chunk)
    return sink.finish()


class LingeringResponse(Response):
    """Answers at once, then throws away what the sender is still sending, within limits, and closes.

    Closing a socket with unread bytes resets the connection, and a reset may overtake the answer: most
    clients read only after they have sent everything.
    """

    def __init__(self, response: Response, linger_bytes: int, linger_s: float) -> None:
        super().__init__(response.body, response.status_code, dict(response.headers))
        self.headers["Connection"] = "close"
        self._linger_bytes = linger_bytes
        self._linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; see the class."""
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers},
        )
        # Content-Length tells the client that this is all, though the server keeps the request open.
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(self._linger_s):
                await self._throw_away(receive)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _throw_away(self, receive: Receive) -> None:
        thrown = 0
        while thrown <= self._linger_bytes:
            message = await receive()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return
            thrown += len(message.get("body", b""))
