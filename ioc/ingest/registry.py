"""The device registry as ingest sees it: one immutable snapshot in memory, replaced whole."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ioc.model.places import Device


def hash_key(key: str) -> bytes:
    """Return what is stored of a device key. Keys are random and long, so a plain hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class RegistrySnapshot:
    """Devices and the hashes of their keys at one moment; a device may have two keys while rotating."""

    def __init__(
        self,
        devices: Iterable[Device],
        keys: Iterable[tuple[bytes, str]],
        disabled: Iterable[str] = (),
    ) -> None:
        """Index devices by id and `keys`, pairs of (SHA-256 of the key, device id).

        Keys of unknown devices are left out. `disabled` are the ids of devices out of service.
        """
        self.disabled = frozenset(disabled)
        self.devices: Mapping[str, Device] = MappingProxyType({device.id: device for device in devices})
        self.owners: Mapping[bytes, str] = MappingProxyType(
            {bytes(digest): owner for digest, owner in keys if owner in self.devices}
        )
        owned: dict[str, list[bytes]] = {}
        for digest, owner in self.owners.items():
            owned.setdefault(owner, []).append(digest)
        self.keys: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
            {owner: tuple(digests) for owner, digests in owned.items()}
        )


class DeviceRegistry:
    """The current snapshot. `replace` swaps one reference, so readers see either all old or all new."""

    def __init__(self, snapshot: RegistrySnapshot | None = None) -> None:
        self._snapshot = snapshot or RegistrySnapshot((), ())

    def replace(self, snapshot: RegistrySnapshot) -> None:
        """Use `snapshot` from now on."""
        self._snapshot = snapshot

    def device(self, device_id: str) -> Device | None:
        """Return the device of that id."""
        return self._snapshot.devices.get(device_id)

    def disabled(self, device_id: str) -> bool:
        """Return whether that device is out of service."""
        return device_id in self._snapshot.disabled

    def device_of_key(self, key: str) -> Device | None:
        """Return the device that owns this secret key.

        The table is keyed by hash, so what an attacker could time are bits of a hash, not of a key; the
        comparison that decides takes constant time all the same.
        """
        snapshot = self._snapshot
        digest = hash_key(key)
        owner = snapshot.owners.get(digest)
        if owner is None or not self._matches(snapshot, owner, digest):
            return None
        return snapshot.devices[owner]

    def owns_key(self, device_id: str, key: str) -> bool:
        """Return whether `key` is one of that device's keys, in constant time per key."""
        return self._matches(self._snapshot, device_id, hash_key(key))

    @staticmethod
    def _matches(snapshot: RegistrySnapshot, device_id: str, digest: bytes) -> bool:
        found = False
        for known in snapshot.keys.get(device_id, ()):
            found |= hmac.compare_digest(known, digest)
        return found
