"""What API and ingest ask of the database, in the shape of the Protocols they declare."""

from collections.abc import Sequence

import msgspec

from ioc.api.places import shown
from ioc.api.ports import HistoryQuery, Quarantined
from ioc.app.directory import Directory
from ioc.app.retry import RETRYABLE
from ioc.ingest.ports import QuarantineRow
from ioc.model.events import Event
from ioc.model.places import Area, Device
from ioc.store import history as history_rows
from ioc.store import quarantine as quarantine_rows
from ioc.store.moment import read_moment
from ioc.store.playback import (
    Histogram,
    PlaybackRange,
    Revisions,
    read_histogram,
    read_revisions,
    read_steps,
)
from ioc.store.pool import Pool
from ioc.store.series import Point, SeriesQuery, read_series
from ioc.stream.hub import Hub


class DirectoryPlaces:
    """`ioc.api.ports.Places` from memory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def areas(self, kind: str | None) -> Sequence[Area]:
        """Return the areas of `kind`, or all."""
        return [area for area in self._directory.areas if kind is None or area.kind == kind]

    async def areas_version(self) -> str:
        """Return what changes with the areas."""
        return str(self._directory.area_version)

    async def devices(self) -> Sequence[Device]:
        """Return every registered device."""
        return self._directory.devices

    def devices_version(self) -> int:
        """Return the version of the register."""
        return self._directory.device_version

    async def device(self, device_id: str) -> Device | None:
        """Return one device."""
        return self._directory.registry.device(device_id)

    def disabled(self, device_id: str) -> bool:
        """Return whether that device is out of service."""
        return self._directory.registry.disabled(device_id)


def show_devices(directory: Directory, hub: Hub) -> None:
    """Let open consoles know the devices of the present."""
    off = directory.registry.disabled
    hub.show_devices(directory.device_version, [shown(d, disabled=off(d.id)) for d in directory.devices])


class StoredHistory:
    """`ioc.api.ports.History` over the history tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, query: HistoryQuery) -> tuple[Sequence[Event], str | None]:
        """Return a page, newest first, and the cursor of the next."""
        stored = msgspec.convert(msgspec.structs.asdict(query), history_rows.HistoryQuery)
        async with self._pool.connection() as connection:
            page = await history_rows.read_history(connection, stored)
        return page.items, page.next

    async def series(self, query: SeriesQuery) -> Sequence[Point]:
        """Return 5-minute buckets, oldest first."""
        async with self._pool.connection() as connection:
            return await read_series(connection, query)

    async def moment(self, wards: Sequence[str] | None, moment_us: int, window_us: int) -> Sequence[Event]:
        """Return the newest events per source of the window that ends at `moment_us`, oldest first."""
        async with self._pool.connection() as connection:
            return await read_moment(connection, wards, moment_us, window_us)

    async def steps(self, asked: PlaybackRange, step_us: int, most: int) -> Sequence[tuple[int, Event]]:
        """Return the newest event per source and step, in order. Raises `TooMuchError`."""
        async with self._pool.connection() as connection:
            return await read_steps(connection, asked, step_us, most)

    async def revisions(self, asked: PlaybackRange, after: int, limit: int) -> Revisions:
        """Return what was open at the start and the changes since."""
        async with self._pool.connection() as connection:
            return await read_revisions(connection, asked, after, limit)

    async def histogram(self, asked: PlaybackRange, bucket_s: int) -> Histogram:
        """Return how many incidents and events there were when."""
        async with self._pool.connection() as connection:
            return await read_histogram(connection, asked, bucket_s)


class StoredQuarantine:
    """Both sides of quarantine: ingest adds, the API lists."""

    def __init__(self, pool: Pool, limits: quarantine_rows.QuarantineLimits) -> None:
        self._pool = pool
        self._rows = quarantine_rows.Quarantine(limits)

    async def add(self, rows: Sequence[QuarantineRow]) -> None:
        """Store refused events durably.

        Raises:
            ConnectionError: the database cannot take them now.
        """
        entries = [
            quarantine_rows.NewQuarantined(
                received_us=row.received_us,
                reason=row.reason,
                raw=row.raw,
                truncated=row.truncated,
                detail=row.detail,
                field=row.field,
                device=row.device,
                source=row.source,
                event_id=row.event_id,
            )
            for row in rows
        ]
        try:
            async with self._pool.connection() as connection:
                await self._rows.add(connection, entries)
        except RETRYABLE as error:
            raise ConnectionError(f"quarantine: {error}") from error

    async def page(
        self, limit: int, cursor: str | None, device: str | None = None
    ) -> tuple[Sequence[Quarantined], str | None]:
        """Return a page, newest first, and the cursor of the next; of a device what it sent or is of it."""
        async with self._pool.connection() as connection:
            page = await quarantine_rows.list_quarantine(connection, limit, cursor, device)
        items = [
            Quarantined(
                id=item.id,
                received_us=item.received_us,
                source=item.source or item.device,
                reason=item.reason,
                field=item.field,
                detail=item.detail,
                raw=item.raw,
            )
            for item in page.items
        ]
        return items, page.next
