"""What others answer is read as far as was asked for, however it is packed."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import pytest

from ioc.outbound.destination import Destinations
from ioc.outbound.fetching import Fetched, Fetcher, FetchError

MAX_BYTES = 100_000
BODY = b'{"id": "7"}' * 500


async def fetch(body: bytes, encoding: str | None, chunk_bytes: int = 65_536) -> Fetched:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk_bytes):
            yield body[start : start + chunk_bytes]

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "gzip"
        headers = {} if encoding is None else {"Content-Encoding": encoding}
        return httpx.Response(200, headers=headers, content=chunks())

    async def resolve(_host: str, _port: int) -> list[Any]:
        return [ip_address("203.0.113.7")]

    fetcher = Fetcher(
        Destinations(networks=(ip_network("203.0.113.0/24"),)),
        timeout_s=30,
        max_bytes=MAX_BYTES,
        resolve=resolve,
        transport=httpx.MockTransport(answer),
    )
    try:
        return await fetcher.get("https://city.example/requests.json", {})
    finally:
        await fetcher.aclose()


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65_536])
@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (BODY, None),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY[:1_000]) + gzip.compress(BODY[1_000:]), "GZIP"),
    ],
    ids=["plain", "identity", "gzip", "members"],
)
async def test_a_body_is_read_whole(packed: bytes, encoding: str | None, chunk_bytes: int) -> None:
    assert (await fetch(packed, encoding, chunk_bytes)).body == BODY


@pytest.mark.parametrize(
    ("packed", "encoding", "said"),
    [
        (b"x" * (MAX_BYTES + 1), None, "more than 100000 bytes"),
        (gzip.compress(b"x" * (MAX_BYTES + 1)), "gzip", "more than 100000 bytes"),
        (gzip.compress(BODY)[:-1], "gzip", "ends too early"),
        (BODY, "gzip", "not gzip"),
        (zlib.compress(BODY), "deflate", "not asked for"),
        (gzip.compress(gzip.compress(BODY)), "gzip, gzip", "not asked for"),
    ],
    ids=["plain", "inflated", "cut", "no gzip", "deflate", "twice"],
)
async def test_what_cannot_be_used_says_why(packed: bytes, encoding: str | None, said: str) -> None:
    with pytest.raises(FetchError, match=said):
        await fetch(packed, encoding)


async def test_a_bomb_costs_no_more_memory_than_a_fair_body() -> None:
    bomb = gzip.compress(b"\0" * 60_000_000)
    assert len(bomb) < 65_536, "one chunk"
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="more than 100000 bytes"):
            await fetch(bomb, "gzip")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5_000_000
