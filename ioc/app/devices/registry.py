"""The device registry for people: how devices fare, their maintenance, and changes, each in the audit log."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import anyio.to_thread
from psycopg import AsyncConnection

from ioc.api.device_ports import (
    DeviceKey,
    DeviceRefusedError,
    DeviceStanding,
    FileFormat,
    ImportBusyError,
    ImportReport,
    RegistryChangedError,
    Standings,
    device_tag,
)
from ioc.api.ports import NotFoundError
from ioc.app.devices.description import DeviceFile, DeviceFileError, InvalidDevice, make_device
from ioc.app.devices.importing import READERS, WRITERS, compare, differing
from ioc.app.devices.logins import store_login
from ioc.app.sealing import Seal
from ioc.app.ward_check import known_wards
from ioc.model.device_health import DeviceHealth, Outage, Window, condition
from ioc.model.places import Device
from ioc.model.times import SECOND_US, format_us, to_us
from ioc.store.attachments import read_attachments
from ioc.store.audit import Area, record
from ioc.store.device_health import read_health
from ioc.store.device_maintenance import (
    REMEMBERED_US,
    MaintenanceError,
    add_window,
    end_window,
    read_windows,
)
from ioc.store.device_outages import (
    OutageError,
    disable_device,
    enable_device,
    read_disabled,
    remove_device,
)
from ioc.store.devices import (
    UnknownDeviceError,
    keys_of,
    read_device,
    read_devices,
    read_version,
    rotate_key,
    upsert_devices,
)
from ioc.store.row_scope import Pool
from ioc.store.versions import bump_version

STANDINGS_US: Final = 5 * SECOND_US
"""So long an answer about all devices is good for: ten thousand of them cost the database a second."""
_HASH_DIGITS: Final = 12


class StoredDevices:
    """`ioc.api.device_ports.Devices` over PostgreSQL."""

    def __init__(self, pool: Pool, clock: Callable[[], int], seal: Seal) -> None:
        self._pool = pool
        self._clock = clock
        self._seal = seal
        self._known: Standings | None = None
        self._asking = asyncio.Lock()
        self._reading = asyncio.Lock()

    async def standings(self) -> Standings:
        """Return every device and how it fares, as of `STANDINGS_US` ago at the most."""
        async with self._asking:
            if self._known is None or not 0 <= self._clock() - self._known.at_us < STANDINGS_US:
                self._known = await self._look()
            return self._known

    async def _look(self) -> Standings:
        now_us = self._clock()
        async with self._pool.connection() as connection:
            devices = await read_devices(connection)
            health = await read_health(connection, now_us)
            outages = await read_disabled(connection)
            streams = {each.device_id: each for each in await read_attachments(connection)}
            away = {
                window.device_id
                for window in await read_windows(connection, now_us)
                if window.from_us <= now_us < window.to_us
            }
        items = [
            DeviceStanding(
                device,
                health.get(device.id) or DeviceHealth(device_id=device.id),
                condition(
                    device,
                    health.get(device.id),
                    now_us,
                    away=device.id in away,
                    disabled=device.id in outages,
                ),
                outages.get(device.id),
                streams.get(device.id),
            )
            for device in devices
        ]
        return Standings(now_us, items)

    async def registered(self) -> Sequence[Device]:
        """Return every device as it is registered, by id."""
        async with self._pool.connection() as connection:
            return await read_devices(connection)

    async def device(self, device_id: str) -> Device:
        """Return one device as it is registered.

        Raises:
            NotFoundError: there is no such device.
        """
        async with self._pool.connection() as connection:
            found = await read_device(connection, device_id)
        if found is None:
            raise NotFoundError(device_id)
        return found

    async def put(
        self, device_id: str, values: Mapping[str, object], actor: str, seen: str | None = None
    ) -> Device:
        """Register a device or replace its fields.

        Raises:
            DeviceRefusedError: with every finding.
            RegistryChangedError: its tag is not `seen`.
        """
        try:
            device = make_device({**values, "id": device_id})
        except InvalidDevice as error:
            raise DeviceRefusedError(error.faults) from error
        async with self._pool.connection() as connection, connection.transaction():
            await bump_version(connection, "device")  # one writer at a time
            if seen is not None and device_tag(await read_device(connection, device_id)) != seen:
                raise RegistryChangedError(device_id)
            await upsert_devices(connection, [device], self._clock())
            await record(
                connection,
                Area.ACCESS,
                actor=actor,
                op="device_put",
                subject=device_id,
                details={"covers": list(device.covers), "decoder": device.decoder, "ward": device.ward},
            )
        self._known = None
        return device

    async def disable(self, device_id: str, reason: str, actor: str) -> Outage:
        """Take a device out of service; one that is disabled stays as it is.

        Raises:
            DeviceRefusedError: the reason is too long, or too many are out of service.
            NotFoundError: there is no such device.
        """
        async with self._changing(device_id) as connection:
            outage, new = await disable_device(
                connection, device_id, reason=reason, author=actor, now_us=self._clock()
            )
            if new:
                await _record(connection, actor, "device_disabled", outage)
        return outage

    async def enable(self, device_id: str, actor: str) -> Outage | None:
        """Put a device into service again; return what ended, None where it was in service.

        Raises:
            NotFoundError: there is no such device.
        """
        async with self._changing(device_id) as connection:
            outage = await enable_device(connection, device_id, self._clock())
            if outage is not None:
                await _record(connection, actor, "device_enabled", outage)
        return outage

    async def remove(self, device_id: str, reason: str, actor: str, seen: str | None = None) -> Outage:
        """Remove a device, where it still has the tag `seen`; what is removed already stays so.

        Raises:
            DeviceRefusedError: as `disable`.
            NotFoundError: there never was such a device.
            RegistryChangedError: its tag is not `seen`.
        """
        async with self._changing(device_id) as connection:
            outage, new = await remove_device(
                connection, device_id, reason=reason, author=actor, now_us=self._clock()
            )
            if new and seen is not None and device_tag(outage.device) != seen:
                raise RegistryChangedError(device_id)
            if new:
                await _record(connection, actor, "device_removed", outage)
        return outage

    @asynccontextmanager
    async def _changing(self, device_id: str) -> AsyncIterator[AsyncConnection[Any]]:
        """Borrow a connection for one transaction that takes a device out of service or puts it back."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except OutageError as error:
            field, _, detail = str(error).partition(": ")
            raise DeviceRefusedError([(field, detail)]) from error
        except UnknownDeviceError as error:
            raise NotFoundError(device_id) from error
        self._known = None

    async def keys(self, device_id: str) -> Sequence[DeviceKey]:
        """Return a device's keys, oldest first.

        Raises:
            NotFoundError: there is no such device.
        """
        await self.device(device_id)
        async with self._pool.connection() as connection:
            return [
                DeviceKey(
                    hash=key.hash[:_HASH_DIGITS], label=key.label, created_us=key.created_us,
                    expires_us=key.expires_us, revoked_us=key.revoked_us,
                )
                for key in await keys_of(connection, device_id)
            ]  # fmt: skip

    async def rotate_key(self, device_id: str, overlap_s: float, actor: str) -> tuple[str, int | None]:
        """Return a new key, which nobody can read again, and when the old one ends (µs; None: none).

        Raises:
            NotFoundError: there is no such device.
        """
        try:
            async with self._pool.connection() as connection, connection.transaction():
                key, ends = await rotate_key(connection, device_id, timedelta(seconds=overlap_s), "rotated")
                details = {"overlap_s": overlap_s}
                await record(
                    connection, Area.ACCESS, actor=actor, op="key_rotated", subject=device_id, details=details
                )
        except UnknownDeviceError as error:
            raise NotFoundError(device_id) from error
        return key, None if ends is None else to_us(ends)

    async def take_file(
        self,
        data: bytes,
        written_as: FileFormat,
        actor: str,
        *,
        write: bool,
        keep_valid: bool = False,
        version: int | None = None,
    ) -> ImportReport:
        """Say what a file of devices would do, and with `write` do it; see `ioc.api.device_ports.Devices`."""
        if self._reading.locked():
            raise ImportBusyError
        async with self._reading:
            try:
                read = await anyio.to_thread.run_sync(READERS[written_as], data)
                if write and not keep_valid:
                    read.whole()
            except DeviceFileError as error:
                raise DeviceRefusedError([("file", line) for line in str(error).splitlines()]) from error
            report = await self._import(read, actor, version, write=write)
        if write:
            self._known = None
        return report

    async def _import(
        self, read: DeviceFile, actor: str, version: int | None, *, write: bool
    ) -> ImportReport:
        async with self._pool.connection() as connection, connection.transaction():
            if write:
                present = await bump_version(connection, "device") - 1  # one writer at a time
            else:
                present = await read_version(connection)
            if version is not None and version != present:
                raise RegistryChangedError("the registry")
            known = {device.id: device for device in await read_devices(connection)}
            wards = await known_wards(connection)
            report = compare(read, known, wards, version=present, written=write)
            if write:
                await upsert_devices(connection, differing(read, known), self._clock())
                for device_id, login in read.logins.items():
                    await store_login(connection, self._seal, device_id, login, actor)
                details = {"new": report.new, "changed": report.changed, "refused": report.refused}
                await record(
                    connection,
                    Area.ACCESS,
                    actor=actor,
                    op="devices_imported",
                    subject="",
                    details=details,
                )
        return report

    async def write_file(self, written_as: FileFormat) -> str:
        """Return the whole registry as a file that `take_file` reads back to the same."""
        found = await self.registered()
        return await anyio.to_thread.run_sync(WRITERS[written_as], found)

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
        self._known = None
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
        self._known = None
        return window


async def _record(connection: AsyncConnection[Any], actor: str, op: str, outage: Outage) -> None:
    details = {"reason": outage.reason}
    await record(connection, Area.ACCESS, actor=actor, op=op, subject=outage.device_id, details=details)
