"""What the routes of devices ask of the registry."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from ioc.model.attachments import Attachment
from ioc.model.device_health import Condition, DeviceHealth, Outage, Window
from ioc.model.places import Device


class DeviceRefusedError(Exception):
    """A device or its maintenance cannot be; `faults` holds (field, what is expected)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {detail}" for field, detail in faults))
        self.faults = tuple(faults)


class RegistryChangedError(Exception):
    """What somebody wants to change is no longer what they saw."""


class ImportBusyError(Exception):
    """Somebody else's file of devices is being read."""


class FileFormat(StrEnum):
    """How a file of devices is written."""

    GEOJSON = "geojson"
    CSV = "csv"


class ChangeKind(StrEnum):
    """What a file makes of a device."""

    NEW = "new"
    CHANGED = "changed"


class FieldChange(msgspec.Struct, frozen=True):
    """A field before and after, as text; "" for not given."""

    field: str
    before: str
    after: str


class DeviceChange(msgspec.Struct, frozen=True):
    """What a file makes of one device; `fields` are those that differ, of a new one those it gives."""

    id: str
    kind: ChangeKind
    fields: list[FieldChange]


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of devices does, or did: counts of all, and the first changes and findings one by one."""

    written: bool
    version: int
    """Of the registry that the file was compared with; sent with the import, that does just this."""
    new: int
    changed: int
    same: int
    changes: list[DeviceChange]
    refused: int
    """Findings, of which a row may have several."""
    findings: list[str]
    """Row or feature, id, field, and what is expected."""
    warnings: list[str]


class DeviceKey(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key; `hash` are the first digits of its SHA-256, to tell keys apart."""

    hash: str
    label: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None


def device_tag(device: Device | None) -> str:
    """Return what changes with anything that is registered of a device; "" where there is none."""
    return "" if device is None else sha256(msgspec.json.encode(device, order="sorted")).hexdigest()[:16]


class DeviceStanding(NamedTuple):
    """A device, how it fares, and the one word for that."""

    device: Device
    health: DeviceHealth
    condition: Condition
    outage: Outage | None = None
    """How it is disabled; None for one in service."""
    stream: Attachment | None = None
    """The stream of it that we hold; None for one that sends by itself."""


class Standings(NamedTuple):
    """How all devices fare, by id, as of a moment (µs)."""

    at_us: int
    items: Sequence[DeviceStanding]


class Devices(Protocol):
    """The device registry; `ioc.app.devices.registry.StoredDevices` is one.

    Methods that name a device or a window raise `NotFoundError` where there is none.
    """

    async def standings(self) -> Standings:
        """Return every device and how it fares, as of a few seconds ago at the most."""

    async def registered(self) -> Sequence[Device]:
        """Return every device as it is registered, by id."""

    async def device(self, device_id: str) -> Device:
        """Return one device as it is registered."""

    async def put(
        self, device_id: str, values: Mapping[str, object], actor: str, seen: str | None = None
    ) -> Device:
        """Register a device or replace its fields, where it still has the tag `seen` ("": is not there).

        None replaces whatever there is. Raises `DeviceRefusedError` and `RegistryChangedError`.
        """

    async def disable(self, device_id: str, reason: str, actor: str) -> Outage:
        """Take a device out of service; one that is disabled stays as it is. Raises `DeviceRefusedError`."""

    async def enable(self, device_id: str, actor: str) -> Outage | None:
        """Put a device into service again; return what ended, None where it was in service."""

    async def remove(self, device_id: str, reason: str, actor: str, seen: str | None = None) -> Outage:
        """Remove a device, where it still has the tag `seen`; what is removed already stays so.

        Raises `DeviceRefusedError` and `RegistryChangedError`.
        """

    async def keys(self, device_id: str) -> Sequence[DeviceKey]:
        """Return a device's keys, oldest first."""

    async def rotate_key(self, device_id: str, overlap_s: float, actor: str) -> tuple[str, int | None]:
        """Return a new key in plain text, which nobody can read again, and when the old one ends (µs)."""

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
        """Say what a file of devices would do, and with `write` do it.

        Raises `DeviceRefusedError` where nothing of it may be written, `RegistryChangedError` where the
        registry is no longer of `version`, and `ImportBusyError`.
        """

    async def write_file(self, written_as: FileFormat) -> str:
        """Return the whole registry as a file that `take_file` reads back to the same."""

    async def windows(self) -> Sequence[Window]:
        """Return maintenance that goes on, will come, or ended within a month, in order of its begin."""

    async def maintain(
        self, device_id: str, from_us: int | None, to_us: int, reason: str, actor: str
    ) -> Window:
        """Announce maintenance; None begins it as soon as may be. Raises `DeviceRefusedError`."""

    async def end_maintenance(self, window_id: int, actor: str) -> Window:
        """End maintenance as soon as may be."""
