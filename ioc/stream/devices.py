"""The register of devices as consoles hold it: what one version changes of the one before (pure)."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ioc.stream.scope import Scope
from ioc.stream.wire import DeviceJson, Devices, Frame, encode_frame

MAX_CHANGES: Final = 500
"""Of one version; of more (a file of devices was imported) clients are told to read the list again."""


class DeviceChange(NamedTuple):
    """One device before and after; None where it was not there, or is no longer."""

    before: DeviceJson | None
    after: DeviceJson | None


class DeviceBatch:
    """The step to `version`. Each frame is encoded once and shared by all that may see the same."""

    def __init__(self, before: int | None, version: int, changes: Iterable[DeviceChange] = ()) -> None:
        self.before = before
        self.version = version
        self._changes = tuple(changes)
        self._frames: dict[Scope, Frame] = {}

    def frame(self, scope: Scope) -> Frame:
        """Return what clients of `scope` are told."""
        found = self._frames.get(scope)
        if found is None:
            found = self._frames[scope] = encode_frame(self._told(scope))
        return found

    def _told(self, scope: Scope) -> Devices:
        put: list[DeviceJson] = []
        gone: list[str] = []
        for before, after in self._changes:
            if after is not None and scope.allows(after.ward):
                put.append(after)
            elif before is not None and scope.allows(before.ward):
                gone.append(before.id)
        return Devices(self.version, self.before, put, gone)


class DeviceRegister:
    """The newest list of devices that clients can have been told of."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._devices: Mapping[str, DeviceJson] = {}
        self.standing: DeviceBatch | None = None
        """Tells a client that joins which version is in force; None before the first."""

    def update(self, version: int, devices: Iterable[DeviceJson]) -> DeviceBatch | None:
        """Take over the list of `version`; return what to tell clients, None where that is nothing new."""
        if version == self._version:
            return None
        known, new = self._devices, {device.id: device for device in devices}
        former, self._version, self._devices = self._version, version, new
        self.standing = DeviceBatch(version, version)
        if former is None:
            return self.standing
        changes = [
            DeviceChange(known.get(key), device) for key, device in new.items() if known.get(key) != device
        ]
        changes += [DeviceChange(device, None) for key, device in known.items() if key not in new]
        if len(changes) > MAX_CHANGES:
            return DeviceBatch(None, version)
        return DeviceBatch(former, version, changes)
