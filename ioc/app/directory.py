"""What the service knows of places and devices: read from the database, kept in memory, swapped whole.

Geofence grids are built off the event loop; readers see either all old or all new.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import anyio.to_thread
import structlog

from ioc.app.clock import now_us
from ioc.app.retry import RETRYABLE
from ioc.geo.index import WARD, AreaIndex
from ioc.ingest.registry import DeviceRegistry, RegistrySnapshot
from ioc.model.device_health import Outage, Window
from ioc.model.places import Area, Device
from ioc.model.texts import Text
from ioc.rules.silence import FOREVER_US, IN_MAINTENANCE, Away
from ioc.store import areas as area_rows
from ioc.store import devices as device_rows
from ioc.store.device_logins import SealedLogin, read_logins
from ioc.store.device_maintenance import REMEMBERED_US, read_windows
from ioc.store.device_outages import read_outages
from ioc.store.pool import Pool

REFRESH_S = 2.0
CITY_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")

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
        """Logins at devices, sealed (`ioc/app/device_logins.py` opens them)."""
        self.areas: Sequence[Area] = ()
        self.index = AreaIndex(())
        self.area_version = -1
        self._device_version = -1
        self._today: date | None = None

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

    async def run(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except RETRYABLE as error:
                _log.warning("devices and areas could not be refreshed", error=str(error))

    async def refresh(self) -> None:
        """Read devices, keys and areas where they have changed."""
        async with self._pool.connection() as connection:
            version = await area_rows.read_version(connection)
            # Boundaries have dates: a new day may bring others into force.
            today = datetime.now(CITY_ZONE).date()
            current = version == self.area_version and today == self._today
            areas = None if current else await area_rows.read_areas(connection)
            await device_rows.expire_keys(connection)
            device_version = await device_rows.read_version(connection)
            if device_version != self._device_version:
                devices = await device_rows.read_devices(connection)
                since_us = now_us() - REMEMBERED_US
                outages = await read_outages(connection, since_us)
                self.windows = _windows(await read_windows(connection, since_us), outages)
                self.logins = await read_logins(connection)
                keys = await device_rows.read_keys(connection)
                disabled = [each.device_id for each in outages if each.lasts and each.device is None]
                self.registry.replace(RegistrySnapshot(devices, keys, disabled))
                self.devices, self.known = devices, _known(devices, outages)
                self._device_version = device_version
        if areas is not None:
            self.index = await anyio.to_thread.run_sync(AreaIndex.at, areas, today)
            self.areas = areas
            self.area_version, self._today = version, today


def _windows(maintenance: Iterable[Window], outages: Iterable[Outage]) -> Mapping[str, tuple[Away, ...]]:
    found: dict[str, tuple[Away, ...]] = {}
    for window in maintenance:
        if window.from_us < window.to_us:
            away = Away(window.from_us, window.to_us)
            found[window.device_id] = (*found.get(window.device_id, ()), away)
    for outage in outages:
        until_us = FOREVER_US if outage.to_us is None else outage.to_us
        away = Away(outage.from_us, until_us, f"device {outage.kind}")
        found[outage.device_id] = (*found.get(outage.device_id, ()), away)
    return found


def _known(devices: Sequence[Device], outages: Iterable[Outage]) -> Sequence[Device]:
    removed = {each.device_id: each.device for each in outages if each.lasts and each.device is not None}
    return [*devices, *removed.values()] if removed else devices
