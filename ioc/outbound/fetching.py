"""Bounded GET requests to addresses that somebody registered, only where that is allowed."""

import asyncio
from collections.abc import Mapping

import httpx
import msgspec

from ioc.outbound.body import ACCEPT_ENCODING, BodyError, read_body
from ioc.outbound.destination import Destinations, ForbiddenDestinationError, Resolve, pin, resolve_host


class FetchError(Exception):
    """Nothing usable was answered; the message says what happened, in words for an engineer."""


class Fetched(msgspec.Struct, frozen=True):
    """An answer of 200."""

    body: bytes
    content_type: str | None


class Fetcher:
    """Asks for documents of at most `max_bytes`. Redirects are not followed. Close it with `aclose`."""

    def __init__(
        self,
        allowed: Destinations,
        *,
        timeout_s: float,
        max_bytes: int,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._resolve = resolve
        # Without the environment's proxies: the checked address must be the one that is connected to.
        self._client = httpx.AsyncClient(
            transport=transport, timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(self, url: str, parameters: Mapping[str, str]) -> Fetched:
        """Return what `url` answers.

        Raises:
            FetchError: no answer in time, one that is not 200, one that is too long, or a forbidden address.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._get(httpx.URL(url).copy_merge_params(parameters))
        except TimeoutError as error:
            raise FetchError(f"no answer within {self._timeout_s:g} s") from error
        except (ForbiddenDestinationError, BodyError) as error:
            raise FetchError(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{type(error).__name__}: {error}") from error

    async def _get(self, url: httpx.URL) -> Fetched:
        pinned, extensions = await pin(url, self._allowed, self._resolve)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": "ioc/1",
            "Accept-Encoding": ACCEPT_ENCODING,
        }
        async with self._client.stream("GET", pinned, headers=headers, extensions=extensions) as answer:
            if answer.status_code != httpx.codes.OK:
                raise FetchError(f"answered {answer.status_code}")
            body = await read_body(answer, self._max_bytes)
        return Fetched(body, answer.headers.get("content-type"))
