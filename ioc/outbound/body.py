"""Reading what another system answers, plain or gzip, never more of it than was asked for.

httpx inflates each chunk whole before anybody can count: 64 kB of gzip may become 64 MB. Here it is inflated
step by step, as far as the limit.
"""

import zlib
from collections.abc import AsyncIterator
from typing import Final

import httpx

ACCEPT_ENCODING: Final = "gzip"
"""What a request must ask for whose answer is read here."""
_GZIP_WBITS: Final = 16 + zlib.MAX_WBITS


class BodyError(Exception):
    """The answer's body cannot be used; the message says why, in words for an engineer."""


async def read_body(answer: httpx.Response, max_bytes: int) -> bytes:
    """Return the whole body of an answer that was asked for as a stream.

    Raises:
        BodyError: more than `max_bytes` once unpacked, not whole, or packed in a way that was not asked for.
        httpx.HTTPError: the connection broke.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        pieces = answer.aiter_raw()
    elif encoding in ("gzip", "x-gzip"):
        pieces = _inflated(answer.aiter_raw(), max_bytes)
    else:
        raise BodyError(f"answered packed as {encoding[:40]!r}, which was not asked for")
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > max_bytes:
            raise BodyError(f"answered more than {max_bytes} bytes")
    return bytes(body)


async def _inflated(chunks: AsyncIterator[bytes], step_bytes: int) -> AsyncIterator[bytes]:
    inflate = zlib.decompressobj(_GZIP_WBITS)
    try:
        async for chunk in chunks:
            packed = chunk
            while packed:
                if inflate.eof:  # RFC 1952: members may follow one another
                    inflate = zlib.decompressobj(_GZIP_WBITS)
                yield inflate.decompress(packed, step_bytes + 1)
                packed = inflate.unconsumed_tail or inflate.unused_data
    except zlib.error as error:
        raise BodyError(f"answered what is not gzip: {error}") from error
    if not inflate.eof:
        raise BodyError("the gzip that was answered ends too early")
