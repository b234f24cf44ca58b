"""The devices and what they send, drawn from a seed. Pure."""

import json
from random import Random
from typing import Final

from ioc.model.places import Device, DeviceKind
from ioc.model.times import SECOND_US, format_us
from tests.simulation.ledger import Body, EventKey

WARDS: Final = ("25747", "25750", "25753")
CAMERAS: Final = tuple(
    Device(id=f"cam-{ward}", kind=DeviceKind.CAMERA, name=ward, ward=ward, expected_interval_s=5.0)
    for ward in WARDS
)
DETECTORS: Final = tuple(
    Device(id=f"det-{ward}", kind=DeviceKind.DETECTOR, name=ward, ward=ward) for ward in WARDS
)
GATEWAYS: Final = tuple(
    Device(id=f"gw-{ward}", kind=DeviceKind.GATEWAY, name=ward, covers=(f"cam-{ward}", f"det-{ward}"))
    for ward in WARDS
)
DEVICES: Final = (*CAMERAS, *DETECTORS, *GATEWAYS)
PLATES: Final = tuple(f"61A-{number}" for number in range(5))
MAX_LINES: Final = 6
SKEWS_S: Final = (0, 0, 0, 0, 0, -1, -4, -30, 600)
"""How far a device's time of an event is from ours; the last is refused."""
UNREADABLE: Final = b'{"specversion":"1.0","id":'


class Senders:
    """Makes bodies, each with new events."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bodies = 0
        self._events = 0

    def body(self, now_us: int) -> Body:
        """Return the next body of one of the gateways."""
        gateway = self._random.choice(GATEWAYS)
        lines = [self._line(gateway, now_us) for _ in range(self._random.randint(1, MAX_LINES))]
        self._bodies += 1
        payload = b"\n".join(line for line, _ in lines)
        return Body(self._bodies, gateway, payload, tuple(key for _, key in lines))

    def _line(self, gateway: Device, now_us: int) -> tuple[bytes, EventKey | None]:
        if self._random.random() < 0.02:
            return UNREADABLE, None
        source, kind, data = self._measured(gateway)
        if self._random.random() < 0.02:
            source = "cam-unknown"
        self._events += 1
        # Devices that say whole seconds give many events the same time.
        second_us = now_us - now_us % SECOND_US + self._random.choice(SKEWS_S) * SECOND_US
        key = EventKey(source, kind, f"e{self._events}")
        event = {"specversion": "1.0", "id": key.id, "source": source, "type": kind, "data": data}
        return json.dumps(event | {"time": format_us(second_us)}).encode(), key

    def _measured(self, gateway: Device) -> tuple[str, str, dict[str, object]]:
        random = self._random
        camera, detector = gateway.covers
        match random.randrange(6):
            case 0:
                return camera, "camera.alarm", {"kind": "wrong_way", "active": random.random() < 0.8}
            case 1:
                return camera, "camera.count", {"people": random.choice((5, 50, 90, 200))}
            case 2 | 3:
                return camera, "camera.plate", {"plate": random.choice(PLATES), "confidence": 0.9}
            case _:
                return (
                    detector,
                    "traffic.flow",
                    {"speed_kmh": random.choice((5, 8, 10, 40))},
                )
