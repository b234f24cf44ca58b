"""Camera pictures, fetched for the browser from the address in the registry, and from nowhere else.

An address in the registry could name anything our machine can reach, so it must be one the operator allowed,
see `ioc/outbound/destination.py`. Of a moving picture (MJPEG) the first one is taken and the connection
closed: whoever looks gets a new one each time. RTSP and HLS are neither fetched nor converted.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

import httpx
import msgspec

from ioc.api.mjpeg import MEDIA_TYPE, FirstFrame, NotMjpegError
from ioc.model.places import Device
from ioc.outbound.camera import (
    PLAIN,
    CameraDoor,
    CameraError,
    Login,
    LoginRefusedError,
    Reach,
    login_for,
    plainly,
)
from ioc.outbound.destination import Destinations, Resolve, resolve_host
from ioc.stream.hub import monotonic_us

T = TypeVar("T")
PICTURE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/webp"})
MAX_REFUSED: Final = 10_000
"""Refused logins that are remembered."""
_ACCEPTED: Final = {"Accept": ", ".join((*sorted(PICTURE_TYPES), MEDIA_TYPE))}


class PictureError(Exception):
    """No picture; the message says why, in words for an engineer."""


class PictureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From where pictures may come, and how large and slow they may be."""

    destinations: Destinations = Destinations()
    max_bytes: int = 2 * 1024 * 1024
    timeout_s: float = 3.0
    fresh_s: float = 1.0
    """Requests within this time share one answer, good or bad."""
    max_fetches: int = 16
    max_fetches_per_host: int = 4
    """A recorder with forty cameras is not asked for all at once; the others wait, within the time."""
    cache_bytes: int = 32 * 1024 * 1024
    login_wait_s: float = 300.0
    """A login that a camera refused is not sent again for so long: cameras lock out who keeps trying. Doubled
    with each refusal, up to `login_wait_max_s`."""
    login_wait_max_s: float = 3_600.0


class Picture(msgspec.Struct, frozen=True):
    """A picture as the camera gave it."""

    media_type: str
    data: bytes


class _Kept(msgspec.Struct, frozen=True):
    at_us: int
    picture: Picture | None
    error: str

    @property
    def size(self) -> int:
        return len(self.picture.data) if self.picture else 0


class _Refused(msgspec.Struct, frozen=True):
    """Until when a login is not sent to a host again, how long that is in all, and what the camera said."""

    until_us: int
    wait_s: float
    detail: str


class PictureProxy:
    """Fetches pictures; concurrent requests for one camera cause one fetch. Close it with `aclose`."""

    def __init__(
        self,
        settings: PictureSettings | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        resolve: Resolve | None = None,
        reach_of: Callable[[Device], Reach] = lambda _device: PLAIN,
        clock_us: Callable[[], int] = monotonic_us,
    ) -> None:
        self._settings = settings or PictureSettings()
        self._reach_of = reach_of
        self._clock_us = clock_us
        self._door = CameraDoor(
            self._settings.destinations,
            httpx.Timeout(self._settings.timeout_s),
            limits=httpx.Limits(max_connections=self._settings.max_fetches, max_keepalive_connections=8),
            resolve=resolve or resolve_host,
            transport=transport,
        )
        self._refused: dict[tuple[str, Login], _Refused] = {}
        self._slots = asyncio.Semaphore(self._settings.max_fetches)
        self._kept: OrderedDict[tuple[str, Reach], _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._locks = Shared(asyncio.Lock)
        self._hosts = Shared(lambda: asyncio.Semaphore(self._settings.max_fetches_per_host))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._door.aclose()

    async def fetch(self, url: str, device: Device | None = None) -> Picture:
        """Return the picture at a registered `url`, reached as `device` is.

        Raises:
            PictureError: it is not allowed, not reachable, too large, too slow or not a picture.
        """
        place = url, PLAIN if device is None else self._reach_of(device)
        with self._locks.of(url) as lock:
            async with lock:
                kept = self._fresh(place) or self._keep(place, await self._try(*place))
        if kept.picture is None:
            raise PictureError(kept.error)
        return kept.picture

    def _fresh(self, place: tuple[str, Reach]) -> _Kept | None:
        kept = self._kept.get(place)
        if kept is None or self._clock_us() - kept.at_us > self._settings.fresh_s * 1e6:
            return None
        return kept

    def _keep(self, place: tuple[str, Reach], outcome: Picture | str) -> _Kept:
        error = outcome if isinstance(outcome, str) else ""
        kept = _Kept(self._clock_us(), None if isinstance(outcome, str) else outcome, error)
        if (old := self._kept.pop(place, None)) is not None:
            self._kept_bytes -= old.size
        self._kept[place] = kept
        self._kept_bytes += kept.size
        while len(self._kept) > 1 and (
            self._kept_bytes > self._settings.cache_bytes or len(self._kept) > 1_000
        ):
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.size
        return kept

    async def _try(self, url: str, reach: Reach) -> Picture | str:
        """Return the picture, or why there is none."""
        try:
            with plainly():
                host = httpx.URL(url).netloc.decode("ascii")
                with self._hosts.of(host) as turn:
                    # The host's turn first: who waits for a slow one must not keep a place from the others.
                    async with asyncio.timeout(self._settings.timeout_s), turn, self._slots:
                        return await self._get(url, reach, host)
        except CameraError as error:
            if isinstance(error.__cause__, TimeoutError):
                return f"no picture within {self._settings.timeout_s:g} s"
            return f"the camera {error}" if error.reason in ("login", "redirect") else str(error)
        except (PictureError, NotMjpegError) as error:
            return str(error)

    async def _get(self, url: str, reach: Reach, host: str) -> Picture:
        login = login_for(httpx.URL(url), reach)
        whose = None if login is None else (host, login)
        before = self._refused.get(whose) if whose else None
        if before and self._clock_us() < before.until_us:
            raise LoginRefusedError(f"{before.detail}; it is not tried again for some time")
        try:
            response = await self._door.send("GET", url, reach, headers=_ACCEPTED)
        except LoginRefusedError as error:
            if whose:
                self._refuse(whose, before, str(error))
            raise
        if whose and before:
            self._refused.pop(whose, None)
        try:
            return await self._body(response)
        finally:
            await response.aclose()

    def _refuse(self, whose: tuple[str, Login], before: _Refused | None, detail: str) -> None:
        first_s, longest_s = self._settings.login_wait_s, self._settings.login_wait_max_s
        wait_s = min(before.wait_s * 2, longest_s) if before else first_s
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused[whose] = _Refused(self._clock_us() + int(wait_s * 1e6), wait_s, detail)

    async def _body(self, response: httpx.Response) -> Picture:
        if response.status_code != 200:
            raise PictureError(f"the camera answered {response.status_code}")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            # A few bytes may unpack to any size before they could be counted.
            raise PictureError("the camera's answer is compressed, which was not asked for")
        if media_type == MEDIA_TYPE:
            return Picture("image/jpeg", await self._first_frame(response))
        if media_type not in PICTURE_TYPES:
            raise PictureError("the camera's answer is not a JPEG, PNG or WebP picture, nor MJPEG")
        data = bytearray()
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > self._settings.max_bytes:
                raise PictureError(f"the picture is larger than {self._settings.max_bytes} bytes")
        return Picture(media_type, bytes(data))

    async def _first_frame(self, response: httpx.Response) -> bytes:
        reader = FirstFrame()
        async for chunk in response.aiter_bytes():
            if (frame := reader.feed(chunk)) is not None:
                return frame
            if reader.held_bytes > self._settings.max_bytes:
                raise PictureError(f"the picture is larger than {self._settings.max_bytes} bytes")
        raise PictureError("the camera's stream ended before its first picture was whole")


class Shared(Generic[T]):
    """Things by name that exist while somebody uses them."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._used: dict[str, tuple[T, int]] = {}

    def __len__(self) -> int:
        return len(self._used)

    @contextmanager
    def of(self, name: str) -> Iterator[T]:
        """Use the thing of that name."""
        thing, users = self._used.get(name) or (self._make(), 0)
        self._used[name] = thing, users + 1
        try:
            yield thing
        finally:
            _, users = self._used[name]
            if users == 1:
                del self._used[name]
            else:
                self._used[name] = thing, users - 1
