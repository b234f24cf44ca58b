"""Fetches other cities' service requests: every device with the decoder `open311` and an option `url`.

A fetch goes over a window of time, page by page, and the position moves to the window's end once all its
requests are durable. A window of more pages than are taken is halved and asked for again, so that nothing is
left out. Requests that are asked for twice are duplicates to the log. Several ingest processes share the work
by the table `pull`.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

import structlog
from prometheus_client import Counter

from ioc.app.retry import RETRYABLE
from ioc.app.settings.sections import PullSettings
from ioc.ingest.ports import Clock, IngestError
from ioc.ingest.service import IngestService
from ioc.model.places import Device
from ioc.model.times import format_us, from_us, to_us
from ioc.outbound.fetching import Fetcher, FetchError
from ioc.store import pulls
from ioc.store.pool import Pool

PAGE_SIZE: Final = 100
"""Asked for; a city may give fewer. An empty page, or one like the page before, is behind the last."""
MAX_BACKOFF: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=1)
SHORTEST: Final = timedelta(minutes=1)
"""A window with more requests than are taken even so is cut, which is counted."""

_log = structlog.get_logger()
_fetches = Counter("ioc_pull_total", "Fetches from other systems, by result", ["result"])
_cut = Counter("ioc_pull_cut_total", "Minutes in which another system had more than is taken of it")


class Registered(Protocol):
    """The registered devices, as of now."""

    @property
    def devices(self) -> Iterable[Device]:
        """All of them."""
        ...


class TooManyPages(Exception):
    """The window holds more pages than are taken."""


class Open311Puller:
    """Fetches until cancelled."""

    def __init__(
        self,
        pool: Pool,
        directory: Registered,
        service: IngestService,
        fetcher: Fetcher,
        settings: PullSettings,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._directory = directory
        self._service = service
        self._fetcher = fetcher
        self._settings = settings
        self._clock = clock
        self._windows: dict[str, timedelta] = {}

    async def run(self) -> None:
        """Look every `check_s` seconds which cities are due."""
        try:
            while True:
                try:
                    await self.fetch_due()
                except RETRYABLE as error:
                    _log.warning("other cities' requests wait for the database", error=str(error))
                await asyncio.sleep(self._settings.check_s)
        finally:
            await self._fetcher.aclose()

    async def fetch_due(self) -> int:
        """Fetch from every city that is due and return how many were."""
        due = 0
        for device in self._directory.devices:
            if device.decoder != "open311" or not device.options.get("url"):
                continue
            if self._service.registry.disabled(device.id):
                continue
            now = from_us(self._clock())
            first = now - timedelta(seconds=self._settings.first_s)
            async with self._pool.connection() as connection:
                claimed = await pulls.claim(connection, device.id, now, self._every, first)
            if claimed is not None:
                due += 1
                await self._fetch(device, now, *claimed)
        return due

    @property
    def _every(self) -> timedelta:
        return timedelta(seconds=self._settings.every_s)

    async def _fetch(self, device: Device, now: datetime, since: datetime, failures: int) -> None:
        window = self._windows.get(device.id, LONGEST)
        until = min(now, since + window)
        try:
            await self._take(device, since, until)
        except TooManyPages:
            if window > SHORTEST:
                self._windows[device.id] = max(window / 2, SHORTEST)
                until = since
            else:
                _cut.inc()
                _log.warning("a city has more requests in a minute than are taken", device=device.id)
        except (FetchError, IngestError) as error:
            _fetches.labels("failed").inc()
            _log.warning("a city's requests could not be fetched", device=device.id, error=str(error))
            wait = min(self._every * 2 ** min(failures, 10), MAX_BACKOFF)
            async with self._pool.connection() as connection:
                await pulls.failed(connection, device.id, now + wait, str(error)[:500])
            return
        else:
            self._windows[device.id] = min(window * 2, LONGEST)
        _fetches.labels("ok").inc()
        # The last minutes are asked for again: cities show a request some time after it was made.
        overlap = timedelta(seconds=self._settings.overlap_s)
        behind = until < now
        position = until if behind else max(since, until - overlap)
        async with self._pool.connection() as connection:
            await pulls.done(connection, device.id, now, position, now if behind else now + self._every)

    async def _take(self, device: Device, since: datetime, until: datetime) -> None:
        """Take the requests of a window, page by page.

        Raises:
            TooManyPages: there are more than `max_pages`; what was taken is durable.
            FetchError, IngestError: the same window must be fetched again.
        """
        options = device.options
        url = f"{options['url'].rstrip('/')}/requests.{options.get('format', 'json')}"
        parameters = {
            "start_date": format_us(to_us(since)),
            "end_date": format_us(to_us(until)),
            "page_size": str(PAGE_SIZE),
        }
        if "jurisdiction_id" in options:
            parameters["jurisdiction_id"] = options["jurisdiction_id"]
        before = b""
        for page in range(1, self._settings.max_pages + 1):
            answer = await self._fetcher.get(url, {**parameters, "page": str(page)})
            digest = sha256(answer.body).digest()
            if digest == before:  # the city knows no pages
                return
            before = digest
            taken = await self._service.accept(
                device, answer.body, answer.content_type, transport="pull", wait=True
            )
            if not (taken.accepted or taken.duplicate or taken.rejected):
                return
        raise TooManyPages
