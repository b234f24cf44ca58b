"""What the service knows of places and devices: read from the database, kept in memory, swapped whole.

Geofence grids are built off the event loop; readers see either all old or all new, devices with areas.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import anyio.to_thread
import structlog
from psycopg import AsyncConnection

from ioc.app.clock import now_us
from ioc.app.retry import RETRYABLE
from ioc.geo.index import WARD, AreaIndex
from ioc.ingest.registry import DeviceRegistry, RegistrySnapshot
from ioc.model.device_health import Outage, OutageKind, Window
from ioc.model.places import Area, Device
from ioc.model.texts import Text
from ioc.model.times import CITY_ZONE
from ioc.rules.silence import FOREVER_US, IN_MAINTENANCE, REMOVED, Away
from ioc.store import areas as area_rows
from ioc.store import devices as device_rows
from ioc.store.device_logins import SealedLogin, read_logins
from ioc.store.device_maintenance import REMEMBERED_US, read_windows
from ioc.store.device_outages import read_outages
from ioc.store.pool import Pool

REFRESH_S = 2.0
_OUT_OF_SERVICE = {OutageKind.DISABLED: "device disabled", OutageKind.REMOVED: REMOVED}
"""Why an incident of a device out of service ends."""

_log = structlog.get_logger()


class Directory:
    """Devices, keys and areas as of the last refresh.

    `index` and `registry` are stable objects that others may hold: their contents are replaced.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.registry = DeviceRegistry()
        self.devices: Sequence[Device] = ()
        self.known: Sequence[Device] = ()
        """The devices, and those removed since, as they were: rules that look back must know them."""
        self.windows: Mapping[str, tuple[Away, ...]] = {}
        """Maintenance and outages by known device, as far back as backtests go."""
        self.logins: Mapping[str, SealedLogin] = {}
        """Logins at devices, sealed (`ioc/app/devices/logins.py` opens them)."""
        self.areas: Sequence[Area] = ()
        self.index = AreaIndex(())
        self.area_version = -1
        self.device_version = -1
        self._today: date | None = None
        self._followers: list[Callable[[], None]] = []

    def ward_of(self, lon: float, lat: float) -> str | None:
        """Return the code of the ward at a position, by the present boundaries."""
        return self.index.ward_of(lon, lat)

    def away(self, device_id: str, now_us: int) -> bool:
        """Return whether a device is in maintenance."""
        return any(
            each.from_us <= now_us < each.to_us and each.reason == IN_MAINTENANCE
            for each in self.windows.get(device_id, ())
        )

    def ward_texts(self) -> dict[str, Text]:
        """Return the names of the wards in force by code."""
        return {area.code: area.name for area in self.index.members(WARD)}

    def follow(self, changed: Callable[[], None]) -> None:
        """Have `changed` called now, and whenever other devices have come into force."""
        self._followers.append(changed)
        changed()

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except RETRYABLE as error:
                _log.warning("devices and areas could not be refreshed", error=str(error))

    async def refresh(self) -> None:
        """Read devices, keys and areas where they have changed, and put them into force together.

        New devices so wait for new boundaries: none is ever placed by those before.
        """
        async with self._pool.connection() as connection:
            version = await area_rows.read_version(connection)
            # Boundaries have dates: a new day may bring others into force.
            today = datetime.now(CITY_ZONE).date()
            current = version == self.area_version and today == self._today
            areas = None if current else await area_rows.read_areas(connection)
            await device_rows.expire_keys(connection)
            device_version = await device_rows.read_version(connection)
            book = None if device_version == self.device_version else await _read_book(connection)
        index = None if areas is None else await anyio.to_thread.run_sync(AreaIndex.at, areas, today)
        # From here on nothing is awaited, so that nobody sees some of it.
        if areas is not None and index is not None:
            self.areas, self.index = areas, index
            self.area_version, self._today = version, today
        if book is not None:
            self.registry.replace(book.registry)
            self.devices, self.known = book.devices, book.known
            self.windows, self.logins = book.windows, book.logins
            self.device_version = device_version
            for follow in self._followers:
                follow()


class _Book(NamedTuple):
    """What the database knows of devices."""

    registry: RegistrySnapshot
    devices: Sequence[Device]
    known: Sequence[Device]
    windows: Mapping[str, tuple[Away, ...]]
    logins: Mapping[str, SealedLogin]


async def _read_book(connection: AsyncConnection[Any]) -> _Book:
    devices = await device_rows.read_devices(connection)
    since_us = now_us() - REMEMBERED_US
    outages = await read_outages(connection, since_us)
    windows = _windows(await read_windows(connection, since_us), outages)
    logins = await read_logins(connection)
    keys = await device_rows.read_keys(connection)
    disabled = [each.device_id for each in outages if each.lasts and each.device is None]
    registry = RegistrySnapshot(devices, keys, disabled)
    return _Book(registry, devices, _known(devices, outages), windows, logins)


def _windows(maintenance: Iterable[Window], outages: Iterable[Outage]) -> Mapping[str, tuple[Away, ...]]:
    found: dict[str, tuple[Away, ...]] = {}
    for window in maintenance:
        if window.from_us < window.to_us:
            away = Away(window.from_us, window.to_us)
            found[window.device_id] = (*found.get(window.device_id, ()), away)
    for outage in outages:
        until_us = FOREVER_US if outage.to_us is None else outage.to_us
        away = Away(outage.from_us, until_us, _OUT_OF_SERVICE[outage.kind])
        found[outage.device_id] = (*found.get(outage.device_id, ()), away)
    return found


def _known(devices: Sequence[Device], outages: Iterable[Outage]) -> Sequence[Device]:
    removed = {each.device_id: each.device for each in outages if each.lasts and each.device is not None}
    return [*devices, *removed.values()] if removed else devices
