"""What the routes of devices ask of the registry."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ioc.model.device_health import Condition, DeviceHealth, Window
from ioc.model.places import Device


class DeviceRefusedError(Exception):
    """A device or its maintenance cannot be; `faults` holds (field, what is expected)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {detail}" for field, detail in faults))
        self.faults = tuple(faults)


class DeviceStanding(NamedTuple):
    """A device, how it fares, and the one word for that."""

    device: Device
    health: DeviceHealth
    condition: Condition


class Devices(Protocol):
    """The device registry; `ioc.app.device_registry.StoredDevices` is one.

    Methods that name a device or a window raise `NotFoundError` where there is none.
    """

    async def standings(self) -> Sequence[DeviceStanding]:
        """Return every device and how it fares, by id."""

    async def registered(self) -> Sequence[Device]:
        """Return every device as it is registered, by id."""

    async def put(self, device_id: str, values: Mapping[str, object], actor: str) -> Device:
        """Register a device or replace its fields. Raises `DeviceRefusedError`."""

    async def windows(self) -> Sequence[Window]:
        """Return maintenance that goes on, will come, or ended within a month, in order of its begin."""

    async def maintain(
        self, device_id: str, from_us: int | None, to_us: int, reason: str, actor: str
    ) -> Window:
        """Announce maintenance; None begins it as soon as may be. Raises `DeviceRefusedError`."""

    async def end_maintenance(self, window_id: int, actor: str) -> Window:
        """End maintenance as soon as may be."""
