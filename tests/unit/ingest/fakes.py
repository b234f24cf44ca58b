"""Fakes of what ingest consumes, and a small registered city."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decoder
from ioc.ingest.gateway import Gateway
from ioc.ingest.limits import IngestLimits
from ioc.ingest.metrics import IngestMetrics
from ioc.ingest.ports import QuarantineRow
from ioc.ingest.registry import DeviceRegistry, RegistrySnapshot, hash_key
from ioc.ingest.service import IngestService
from ioc.model.events import Event, decode_event
from ioc.model.places import Device, DeviceKind
from ioc.model.records import NewRecord
from ioc.model.times import format_us, parse_us

NOW_US = parse_us("2026-11-22T10:00:00Z")
BOUNDS = (106.0, 10.5, 107.5, 11.8)

CAMERA = Device(id="cam-1", kind=DeviceKind.CAMERA, name="Camera 1", ward="25747", lon=106.65, lat=10.98)
DETECTOR = Device(id="det-1", kind=DeviceKind.DETECTOR, name="Detector 1", lon=106.70, lat=11.05)
NOWHERE = Device(id="det-2", kind=DeviceKind.DETECTOR, name="Detector without a place")
PORTAL = Device(id="portal", kind=DeviceKind.PORTAL, name="Portal", trusts_position=True)
GATEWAY = Device(
    id="gw-1", kind=DeviceKind.GATEWAY, name="Gateway", covers=("cam-*", "det-1", "det-2", "ghost-*")
)
ODC = Device(
    id="odc-1", kind=DeviceKind.CAMERA, name="OpenDataCam", ward="25747", lon=106.6, lat=11.0,
    decoder="opendatacam",
)  # fmt: skip
NVR = Device(
    id="nvr-1", kind=DeviceKind.GATEWAY, name="Frigate", ward="25747", lon=106.6, lat=11.0,
    decoder="frigate", covers=("nvr-1-*",),
)  # fmt: skip
NVR_GATE = Device(id="nvr-1-gate", kind=DeviceKind.CAMERA, name="Gate", ward="25747", lon=106.6, lat=11.0)
ONVIF = Device(
    id="onvif-1", kind=DeviceKind.CAMERA, name="ONVIF", ward="25747", lon=106.6, lat=11.0, decoder="onvif"
)  # fmt: skip
DEVICES = (CAMERA, DETECTOR, NOWHERE, PORTAL, GATEWAY, ODC, NVR, NVR_GATE, ONVIF)
KEYS = {device.id: f"key-of-{device.id}" for device in DEVICES}


class Outcome(NamedTuple):
    duplicate: bool


class LogDown(Exception):
    """What the fake log raises while it is down."""


class FakeLog:
    """Durable once `append` returns. `gate` holds appends back; `down` makes them fail."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.calls: list[int] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self._known: set[tuple[str, str]] = set()

    async def append(self, topic: str, records: Sequence[NewRecord]) -> list[Outcome]:
        assert topic == "ioc.events"
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        if self.down:
            raise LogDown
        self.calls.append(len(records))
        return [self._append(record) for record in records]

    def _append(self, record: NewRecord) -> Outcome:
        assert record.dedup is not None
        if record.dedup in self._known:
            return Outcome(True)
        self._known.add(record.dedup)
        self.records.append(record)
        return Outcome(False)

    @property
    def events(self) -> list[Event]:
        return [decode_event(record.payload) for record in self.records]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]


class FakeQuarantine:
    def __init__(self) -> None:
        self.rows: list[QuarantineRow] = []
        self.down = False

    async def add(self, rows: Sequence[QuarantineRow]) -> None:
        if self.down:
            raise LogDown
        self.rows.extend(rows)


class FakeWards:
    """Two wards, west and east of 106.68; none south of 10.9."""

    def ward_of(self, lon: float, lat: float) -> str | None:
        if lat < 10.9:
            return None
        return "25747" if lon < 106.68 else "25750"


class Clock:
    def __init__(self, now_us: int = NOW_US) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


class City:
    """A service with fakes around it."""

    def __init__(
        self, limits: IngestLimits | None = None, decoders: Mapping[str, Decoder] = DECODERS
    ) -> None:
        self.limits = limits or IngestLimits()
        self.log = FakeLog()
        self.quarantine = FakeQuarantine()
        self.clock = Clock()
        self.prometheus = CollectorRegistry()
        self.registry = DeviceRegistry(snapshot())
        self.service = IngestService(
            log=self.log,
            quarantine=self.quarantine,
            registry=self.registry,
            gateway=Gateway(self.registry, FakeWards(), BOUNDS, self.limits),
            metrics=IngestMetrics(self.prometheus),
            clock=self.clock,
            limits=self.limits,
            retryable=(LogDown,),
            decoders=decoders,
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.prometheus.get_sample_value(name, labels) or 0.0


def snapshot(keys: dict[str, str] | None = None, *disabled: str) -> RegistrySnapshot:
    named = KEYS if keys is None else keys
    return RegistrySnapshot(DEVICES, [(hash_key(key), owner) for owner, key in named.items()], disabled)


def cloud_event(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    """A valid camera alarm of `cam-1`; a change to None removes the attribute."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "cam-1",
        "type": "camera.alarm",
        "time": format_us(NOW_US),
        "data": {"kind": "wrong_way", "confidence": 0.93},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def body(*events: Any) -> bytes:
    """The events as NDJSON."""
    return b"\n".join(json.dumps(event).encode() for event in events)
