"""Pictures for the API: made anew in a process apart, stored, each look at a citizen's recorded."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge
from psycopg import AsyncConnection

from ioc.api.ports import NotFoundError, PhotosFullError
from ioc.app.settings.sections import PhotoSettings
from ioc.model.photos import Made
from ioc.photos.check import PhotoRefused
from ioc.photos.workshop import Workshop, WorkshopSettings
from ioc.store import audit
from ioc.store import photos as rows
from ioc.store.photos import Origin, PhotoInfo
from ioc.store.row_scope import SERVICE, ScopedPool
from ioc.store.users import Person

MAX_LISTED: Final = 200

_log = structlog.get_logger()
_outcomes = Counter("ioc_photos_total", "Pictures stored, or refused by a rule", ["origin", "outcome"])
_bytes = Gauge("ioc_photos_bytes", "Bytes of all pictures, when the last one came")


class StoredPhotos:
    """`ioc.api.ports.Photos` over PostgreSQL."""

    def __init__(self, pool: ScopedPool, settings: PhotoSettings, kept_s: float) -> None:
        """Keep pictures that nothing refers to for `kept_s` seconds."""
        self._pool = pool
        self._service = pool.of(SERVICE)
        self._settings = settings
        self.kept_s = kept_s
        self._workshop = Workshop(
            WorkshopSettings(
                processes=settings.processes, waiting=settings.waiting, timeout_s=settings.timeout_s
            )
        )

    def admission(self) -> AbstractAsyncContextManager[None]:
        """Hold a place for one picture; see `ioc.api.ports.Photos`."""
        return self._workshop.admission()

    async def take(self, data: bytes, origin: Origin, author: str | None) -> PhotoInfo:
        """Check, re-encode and store a picture; see `ioc.api.ports.Photos`."""
        made = await self.make(data, origin)
        async with self._service.connection() as connection:
            return await self.keep(connection, made, origin, author=author)

    async def make(self, data: bytes, origin: Origin) -> Made:
        """Check and re-encode a picture, storing nothing. Raises `PhotoRefused`."""
        try:
            return await self._workshop.make(data)
        except PhotoRefused as error:
            _outcomes.labels(origin.value, error.rule).inc()
            raise

    async def keep(
        self,
        connection: AsyncConnection[Any],
        made: Made,
        origin: Origin,
        *,
        author: str | None = None,
        ref: str | None = None,
        claimed: bool = False,
    ) -> PhotoInfo:
        """Store a picture in the caller's transaction, which holds off others until it ends.

        `claimed` says that something refers to it from the start. Raises `PhotosFullError`.
        """
        await rows.forget_unclaimed(connection, datetime.now(UTC) - timedelta(seconds=self.kept_s))
        used = await rows.usage(connection, origin)
        _bytes.set(used.bytes)
        full = ""
        if used.bytes + len(made.picture) + len(made.thumb) > self._settings.total_bytes:
            full = "total_bytes"
        elif not claimed and used.unclaimed >= self._settings.unclaimed:
            full = "unclaimed"
        if full:
            _outcomes.labels(origin.value, full).inc()
            _log.error(
                "no room for pictures",
                bound=f"photos.{full}",
                origin=origin.value,
                bytes=used.bytes,
                unclaimed=used.unclaimed,
            )
            raise PhotosFullError(full, "There is no room for another picture now.")
        info = await rows.put(connection, made, origin, author, ref)
        _outcomes.labels(origin.value, "stored").inc()
        return info

    async def read(self, ref: str, person: Person, *, small: bool) -> bytes:
        """Return a picture to somebody of the staff; see `ioc.api.ports.Photos`."""
        async with self._pool.connection() as connection:
            info = await rows.read_info(connection, ref)
            data = await rows.read_bytes(connection, ref, small=small)
        if info is None or data is None:
            raise NotFoundError(ref)
        if info.origin == Origin.CITIZEN and not small:
            async with self._service.connection() as connection:
                await _record(connection, person, "photo_seen", ref, incident=info.incident_id)
        return data

    async def read_released(self, ref: str, *, small: bool) -> bytes:
        """Return a picture that the public may see; see `ioc.api.ports.Photos`."""
        async with self._service.connection() as connection:
            info = await rows.read_info(connection, ref)
            data = None
            if info is not None and info.released is not None:
                data = await rows.read_bytes(connection, ref, small=small)
        if data is None:
            raise NotFoundError(ref)
        return data

    async def release(self, ref: str, person: Person, reason: str, *, released: bool) -> PhotoInfo:
        """Show a picture to the public, or no longer; see `ioc.api.ports.Photos`."""
        async with self._pool.connection() as connection:
            known = await rows.read_info(connection, ref)
        if known is None:
            raise NotFoundError(ref)
        async with self._service.connection() as connection:
            changed = await rows.set_released(connection, ref, person.username if released else None)
            info = await rows.read_info(connection, ref)
            if changed:
                op = "photo_released" if released else "photo_withdrawn"
                await _record(connection, person, op, ref, incident=known.incident_id, reason=reason)
        if info is None:
            raise NotFoundError(ref)
        return info

    async def of_incident(self, incident_id: str) -> Sequence[PhotoInfo]:
        """Return the pictures of an incident; see `ioc.api.ports.Photos`."""
        async with self._pool.connection() as connection:
            return await rows.of_incident(connection, incident_id, MAX_LISTED)


async def _record(
    connection: AsyncConnection[Any], person: Person, op: str, ref: str, **details: str | None
) -> None:
    await audit.record(
        connection,
        audit.Area.PERSONAL,
        actor=person.username,
        op=op,
        subject=ref,
        details={**details, "role": person.role.value},
    )
