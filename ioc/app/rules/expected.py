"""Which devices should talk: what silence rules listen for."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec

from ioc.eventlog.port import partition_of
from ioc.model.events import Stream
from ioc.model.places import Device, DeviceKind
from ioc.rules.compile import Program, only, split
from ioc.rules.engine import DEFAULT_MAX_KEYS, PartitionEngine
from ioc.rules.silence import Away, ExpectedSource

_STREAMS: Final = {DeviceKind.CAMERA: Stream.CAMERA, DeviceKind.DETECTOR: Stream.TRAFFIC}


WardOf = Callable[[float, float], str | None]
Windows = Mapping[str, tuple[Away, ...]]
"""Maintenance and outages by device, in the order in which they begin."""


def expected_sources(devices: Iterable[Device], windows: Windows) -> dict[str, ExpectedSource]:
    """Return the devices that promise to talk, or are away: a camera that never spoke is silent too."""
    return {
        device.id: ExpectedSource(
            _STREAMS[device.kind], device.ward, device.lon, device.lat, windows.get(device.id, ()),
            promised=bool(device.expected_interval_s),
        )
        for device in devices
        if device.kind in _STREAMS and (device.expected_interval_s or device.id in windows)
    }  # fmt: skip


def of_partition(
    devices: Iterable[Device], partition: int, partitions: int, ward_of: WardOf, windows: Windows
) -> dict[str, ExpectedSource]:
    """Return those whose events come by way of `partition`; all others too, as being elsewhere.

    The ward that the gateway finds decides the partition, so a device without one is placed as there. One
    that tells where it is may speak anywhere.
    """
    standing = [placed(device, ward_of) for device in devices]
    own = {d.id for d in standing if partition_of(d.ward or d.id, partitions) == partition}
    found = expected_sources((d for d in standing if d.id in own), windows)
    for device in standing:
        if device.kind in _STREAMS and device.id not in own and not device.trusts_position:
            found[device.id] = ExpectedSource(_STREAMS[device.kind], here=False)
    return found


def unwatched(
    program: Program,
    devices: Collection[Device],
    partitions: int,
    ward_of: WardOf,
    windows: Windows,
    max_keys: int = DEFAULT_MAX_KEYS,
) -> dict[str, int]:
    """Return by rule how many devices it would not watch for want of keys, where there are any."""
    names = {item.rule.name for item in program.rules if item.rule.kind == "silence"}
    local, _ = split(only(program, names))
    found: dict[str, int] = {}
    for partition in range(partitions) if local.rules else ():
        expected = of_partition(devices, partition, partitions, ward_of, windows)
        engine = PartitionEngine(local, partition=partition, max_keys=max_keys, expected_sources=expected)
        for name, count in engine.unwatched_counts.items():
            if count:
                found[name] = found.get(name, 0) + count
    return found


def placed(device: Device, ward_of: WardOf) -> Device:
    """Return `device` with the ward that the gateway gives its events."""
    if device.ward is not None or device.lon is None or device.lat is None:
        return device
    return msgspec.structs.replace(device, ward=ward_of(device.lon, device.lat))
