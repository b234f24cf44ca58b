"""Which devices should talk: what silence rules listen for."""

from collections.abc import Iterable
from typing import Final

from ioc.eventlog.port import partition_of
from ioc.model.events import Stream
from ioc.model.places import Device, DeviceKind
from ioc.rules.silence import ExpectedSource

_STREAMS: Final = {DeviceKind.CAMERA: Stream.CAMERA, DeviceKind.DETECTOR: Stream.TRAFFIC}


def expected_sources(devices: Iterable[Device]) -> dict[str, ExpectedSource]:
    """Return the devices that promise to talk: a camera that never spoke is silent too."""
    return {
        device.id: ExpectedSource(_STREAMS[device.kind], device.ward, device.lon, device.lat)
        for device in devices
        if device.kind in _STREAMS and device.expected_interval_s
    }


def of_partition(devices: Iterable[Device], partition: int, partitions: int) -> dict[str, ExpectedSource]:
    """Return those whose events come by way of `partition`."""
    own = (d for d in devices if partition_of(d.ward or d.id, partitions) == partition)
    return expected_sources(own)
