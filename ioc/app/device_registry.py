"""The device registry for people: how devices fare, their maintenance, and changes, each in the audit log."""

from collections.abc import Callable, Mapping, Sequence

from ioc.api.device_ports import DeviceRefusedError, DeviceStanding
from ioc.api.ports import NotFoundError
from ioc.app.device_file import InvalidDevice, make_device
from ioc.model.device_health import DeviceHealth, Window, condition
from ioc.model.places import Device
from ioc.model.times import format_us
from ioc.store.audit import Area, record
from ioc.store.device_health import read_health
from ioc.store.device_maintenance import (
    REMEMBERED_US,
    MaintenanceError,
    add_window,
    end_window,
    read_windows,
)
from ioc.store.devices import UnknownDeviceError, read_devices, upsert_devices
from ioc.store.row_scope import Pool


class StoredDevices:
    """`ioc.api.device_ports.Devices` over PostgreSQL."""

    def __init__(self, pool: Pool, clock: Callable[[], int]) -> None:
        self._pool = pool
        self._clock = clock

    async def standings(self) -> Sequence[DeviceStanding]:
        """Return every device and how it fares, by id."""
        now_us = self._clock()
        async with self._pool.connection() as connection:
            devices = await read_devices(connection)
            health = await read_health(connection, now_us)
            away = {
                window.device_id
                for window in await read_windows(connection, now_us)
                if window.from_us <= now_us < window.to_us
            }
        return [
            DeviceStanding(
                device,
                health.get(device.id) or DeviceHealth(device_id=device.id),
                condition(device, health.get(device.id), now_us, away=device.id in away),
            )
            for device in devices
        ]

    async def registered(self) -> Sequence[Device]:
        """Return every device as it is registered, by id."""
        async with self._pool.connection() as connection:
            return await read_devices(connection)

    async def put(self, device_id: str, values: Mapping[str, object], actor: str) -> Device:
        """Register a device or replace its fields.

        Raises:
            DeviceRefusedError: with every finding.
        """
        try:
            device = make_device({**values, "id": device_id})
        except InvalidDevice as error:
            raise DeviceRefusedError(error.faults) from error
        async with self._pool.connection() as connection, connection.transaction():
            await upsert_devices(connection, [device])
            await record(
                connection,
                Area.ACCESS,
                actor=actor,
                op="device_put",
                subject=device_id,
                details={"covers": list(device.covers), "decoder": device.decoder, "ward": device.ward},
            )
        return device

    async def windows(self) -> Sequence[Window]:
        """Return maintenance that goes on, will come, or ended within a month, in order of its begin."""
        async with self._pool.connection() as connection:
            return await read_windows(connection, self._clock() - REMEMBERED_US)

    async def maintain(
        self, device_id: str, from_us: int | None, to_us: int, reason: str, actor: str
    ) -> Window:
        """Announce maintenance; None begins it as soon as may be.

        Raises:
            DeviceRefusedError: it cannot be.
            NotFoundError: there is no such device.
        """
        now_us = self._clock()
        try:
            async with self._pool.connection() as connection, connection.transaction():
                window = await add_window(
                    connection,
                    device_id,
                    begin_us=now_us if from_us is None else from_us,
                    end_us=to_us,
                    reason=reason,
                    author=actor,
                    now_us=now_us,
                )
                details = {
                    "from": format_us(window.from_us),
                    "to": format_us(window.to_us),
                    "reason": window.reason,
                }
                await record(
                    connection,
                    Area.ACCESS,
                    actor=actor,
                    op="maintenance_added",
                    subject=device_id,
                    details=details,
                )
        except MaintenanceError as error:
            field, _, detail = str(error).partition(": ")
            raise DeviceRefusedError([(field, detail)]) from error
        except UnknownDeviceError as error:
            raise NotFoundError(device_id) from error
        return window

    async def end_maintenance(self, window_id: int, actor: str) -> Window:
        """End maintenance as soon as may be.

        Raises:
            NotFoundError: there is none of that number.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                window = await end_window(connection, window_id, self._clock())
                await record(
                    connection,
                    Area.ACCESS,
                    actor=actor,
                    op="maintenance_ended",
                    subject=window.device_id,
                    details={"to": format_us(window.to_us)},
                )
        except UnknownDeviceError as error:
            raise NotFoundError(str(window_id)) from error
        return window
