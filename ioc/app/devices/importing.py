"""What a file of devices would do to the registry, said before anything is written. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from ioc.api.device_ports import ChangeKind, DeviceChange, FieldChange, FileFormat, ImportReport
from ioc.app.devices.description import MAX_ERRORS_SHOWN, DeviceFile, read_geojson, write_geojson
from ioc.app.devices.table import read_csv, write_csv
from ioc.app.ward_check import unknown_wards
from ioc.model.places import Device

READERS: Final[Mapping[FileFormat, Callable[[bytes], DeviceFile]]] = {
    FileFormat.GEOJSON: read_geojson,
    FileFormat.CSV: read_csv,
}
WRITERS: Final[Mapping[FileFormat, Callable[[Iterable[Device]], str]]] = {
    FileFormat.GEOJSON: write_geojson,
    FileFormat.CSV: write_csv,
}
MAX_CHANGES_SHOWN: Final = 500
SHOWN_IDS: Final = 5
"""Devices named in one warning."""
_NOTHING: Final = ("", "false")
_AS_USUAL: Final = FieldChange("tls_verify", "", "true")
_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(Device) if field.name != "id")


def differing(read: DeviceFile, known: Mapping[str, Device]) -> list[Device]:
    """Return the devices of a file that are not registered just so already."""
    return [device for device in read.devices if known.get(device.id) != device]


def compare(
    read: DeviceFile, known: Mapping[str, Device], wards: Collection[str], *, version: int, written: bool
) -> ImportReport:
    """Return what `read` makes of the registry `known` of that version; `wards` are the imported ones."""
    different = differing(read, known)
    new = sum(device.id not in known for device in different)
    return ImportReport(
        written=written,
        version=version,
        new=new,
        changed=len(different) - new,
        same=len(read.devices) - len(different),
        changes=[_change(device, known.get(device.id)) for device in different[:MAX_CHANGES_SHOWN]],
        refused=len(read.errors),
        findings=read.errors[:MAX_ERRORS_SHOWN],
        warnings=ward_warnings(read.devices, wards),
    )


def ward_warnings(found: Iterable[Device], known: Collection[str]) -> list[str]:
    """Return a sentence for each ward of `found` that is not among the imported ones, with whose it is."""
    by_ward: dict[str, list[str]] = {}
    for device in found:
        if device.ward is not None:
            by_ward.setdefault(device.ward, []).append(device.id)
    return [
        f"{sentence}: {', '.join(ids[:SHOWN_IDS])}" + (f" and {more} more" if more > 0 else "")
        for ward, ids in sorted(by_ward.items())
        for sentence in unknown_wards([ward], known)
        for more in [len(ids) - SHOWN_IDS]
    ]


def _change(device: Device, before: Device | None) -> DeviceChange:
    found = [
        FieldChange(name, _text(getattr(before, name, None)), _text(getattr(device, name)))
        for name in _FIELDS
        if before is None or getattr(device, name) != getattr(before, name)
    ]
    if before is not None:
        return DeviceChange(device.id, ChangeKind.CHANGED, found)
    return DeviceChange(
        device.id,
        ChangeKind.NEW,
        [each for each in found if each.after not in _NOTHING and each != _AS_USUAL],
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "; ".join(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}={text}" for name, text in value.items())
    return str(value)
