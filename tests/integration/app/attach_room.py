"""What tests of held streams stand on: a real table of leases, a city of fakes, little cameras."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

from ioc.app.attach.attacher import Attacher
from ioc.app.settings.attach import AttachSettings
from ioc.ingest.registry import RegistrySnapshot
from ioc.model.attachments import Attachment, AttachState
from ioc.model.places import AttachKind, Device, DeviceKind
from ioc.outbound.camera import Login, Reach
from ioc.outbound.destination import Destinations
from ioc.store.attachments import read_attachments
from ioc.store.devices import upsert_devices
from ioc.store.pool import Pool
from tests.unit.ingest.fakes import City

QUICK: Mapping[str, Any] = {
    "check_s": 0.05, "quiet_s": 0.1, "retry_min_s": 0.05, "retry_max_s": 0.2, "timeout_s": 10.0,
}  # fmt: skip


def camera(kind: AttachKind, url: str, device_id: str = "cam-1", **fields: Any) -> Device:
    """Return a device whose stream is held."""
    return Device(
        id=device_id, kind=DeviceKind.CAMERA, name=device_id, ward="25747", decoder=kind.value,
        time_zone="Asia/Ho_Chi_Minh", attach=kind, attach_url=url, **fields,
    )  # fmt: skip


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - looks at what little servers do, too
            await asyncio.sleep(0.01)


class Room:
    """Devices, their logins, and one or more processes that hold their streams."""

    def __init__(self, pool: Pool, networks: str = "127.0.0.0/8") -> None:
        self.pool = pool
        self.city = City()
        self.devices: list[Device] = []
        self.logins: dict[str, Login] = {}
        self._allowed = Destinations(networks=(ip_network(networks),))

    async def register(self, *devices: Device) -> None:
        """Let these be the devices that are registered."""
        async with self.pool.connection() as connection:
            await upsert_devices(connection, devices)
        self.city.registry.replace(RegistrySnapshot(devices, []))
        self.devices = list(devices)

    def reach_of(self, device: Device) -> Reach:
        return Reach(self.logins.get(device.id), device.tls_verify, device.basic_over_http)

    def attacher(self, pool: Pool | None = None, **settings: Any) -> Attacher:
        return Attacher(
            pool or self.pool, self, self.reach_of, self.city.service, self._allowed,
            AttachSettings(**{**QUICK, **settings}), self.city.clock,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self, attacher: Attacher | None = None, **settings: Any) -> AsyncIterator[Attacher]:
        """Hold streams until the end of the block."""
        held = attacher or self.attacher(**settings)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(held.run())
            try:
                yield held
            finally:
                await held.stop()
                async with asyncio.timeout(10):
                    await asyncio.wait([task])

    async def standing(self, device_id: str = "cam-1") -> Attachment:
        async with self.pool.connection() as connection:
            return next(each for each in await read_attachments(connection) if each.device_id == device_id)

    async def trouble(self, device_id: str = "cam-1", saying: str = "") -> Attachment:
        """Wait until something was wrong with a stream, and return how it stands."""
        return await self._stands(device_id, lambda found: found.error is not None and saying in found.error)

    async def stands(self, state: AttachState, connects: int = 0) -> Attachment:
        """Wait until the stream of `cam-1` stands so, and return how it stands."""
        return await self._stands("cam-1", lambda found: found.state is state and found.connects >= connects)

    async def _stands(self, device_id: str, so: Callable[[Attachment], bool]) -> Attachment:
        async with asyncio.timeout(30):
            while not so(found := await self.standing(device_id)):  # noqa: ASYNC110 - of the database
                await asyncio.sleep(0.02)
        return found

    @property
    def kinds(self) -> list[str]:
        """What became durable."""
        return [getattr(event.data, "kind", None) or event.type for event in self.city.log.events]
