"""The registry of devices and its held streams, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ioc.api.device_ports import (
    DeviceKey,
    DeviceRefusedError,
    DeviceStanding,
    FileFormat,
    ImportReport,
    RegistryChangedError,
    Standings,
    device_tag,
)
from ioc.api.ports import NotFoundError
from ioc.model.attachments import Attachment, AttachState
from ioc.model.device_health import Condition, DeviceHealth, Outage, OutageKind, Window
from ioc.model.places import AttachKind, Device, DeviceKind
from ioc.model.times import SECOND_US
from tests.unit.stream.samples import T0_US

WARD = "25747"
FOREIGN = "25750"
OWN_CAMERA = Device(id="cam-1", kind=DeviceKind.CAMERA, name="Cổng", ward=WARD)
FOREIGN_CAMERA = Device(id="cam-2", kind=DeviceKind.CAMERA, name="Cầu", ward=FOREIGN)
STREAM = Attachment(
    device_id="cam-1", kind=AttachKind.DAHUA, url="http://10.0.0.7", state=AttachState.CONNECTED,
    seen_us=T0_US, connects=2,
)  # fmt: skip


@dataclass
class FakeDevices:
    """One camera in each of two wards; `now_us` is when maintenance begins that begins at once."""

    known: dict[str, Device] = field(default_factory=lambda: {d.id: d for d in (OWN_CAMERA, FOREIGN_CAMERA)})
    announced: list[Window] = field(default_factory=list)
    outages: dict[str, Outage] = field(default_factory=dict)

    async def standings(self) -> Standings:
        return Standings(
            T0_US,
            [
                DeviceStanding(
                    device,
                    DeviceHealth(device_id=device.id, event_us=T0_US),
                    Condition.STALE,
                    self.outages.get(device.id),
                    STREAM if device.id == STREAM.device_id else None,
                )
                for device in self.known.values()
            ],
        )

    async def registered(self) -> Sequence[Device]:
        return list(self.known.values())

    async def device(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise NotFoundError(device_id)
        return self.known[device_id]

    async def put(
        self, device_id: str, values: Mapping[str, object], actor: str, seen: str | None = None
    ) -> Device:
        if "kind" not in values:
            raise DeviceRefusedError([("kind", "is missing")])
        if seen is not None and device_tag(self.known.get(device_id)) != seen:
            raise RegistryChangedError(device_id)
        self.known[device_id] = msgspec.convert({"id": device_id, **values}, Device)
        return self.known[device_id]

    async def disable(self, device_id: str, reason: str, actor: str) -> Outage:
        await self.device(device_id)
        return self.outages.setdefault(device_id, self._outage(device_id, None, reason, actor))

    async def enable(self, device_id: str, actor: str) -> Outage | None:
        await self.device(device_id)
        ended = self.outages.pop(device_id, None)
        return None if ended is None else msgspec.structs.replace(ended, to_us=T0_US)

    async def remove(self, device_id: str, reason: str, actor: str, seen: str | None = None) -> Outage:
        if device_id not in self.known and device_id in self.outages:
            return self.outages[device_id]
        device = await self.device(device_id)
        if seen is not None and device_tag(device) != seen:
            raise RegistryChangedError(device_id)
        self.outages[device_id] = self._outage(device_id, self.known.pop(device_id), reason, actor)
        return self.outages[device_id]

    @staticmethod
    def _outage(device_id: str, removed: Device | None, reason: str, actor: str) -> Outage:
        kind = OutageKind.DISABLED if removed is None else OutageKind.REMOVED
        return Outage(
            device_id=device_id, kind=kind, from_us=T0_US, to_us=None, reason=reason, author=actor,
            created_us=T0_US, device=removed,
        )  # fmt: skip

    async def keys(self, device_id: str) -> Sequence[DeviceKey]:
        return [DeviceKey(hash="0123", label="", created_us=T0_US, expires_us=None, revoked_us=None)]

    async def rotate_key(self, device_id: str, overlap_s: float, actor: str) -> tuple[str, int | None]:
        return "iocd_new", T0_US + int(overlap_s * SECOND_US)

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
        if version not in (None, 7):
            raise RegistryChangedError("the registry")
        return ImportReport(
            written=write,
            version=7,
            new=1,
            changed=0,
            same=0,
            changes=[],
            refused=0,
            findings=[],
            warnings=[],
        )

    async def write_file(self, written_as: FileFormat) -> str:
        return f"{written_as.value} of {len(self.known)}"

    async def windows(self) -> Sequence[Window]:
        return self.announced

    async def maintain(
        self, device_id: str, from_us: int | None, to_us: int, reason: str, actor: str
    ) -> Window:
        begin = T0_US if from_us is None else from_us
        if to_us <= begin:
            raise DeviceRefusedError([("to", "expected later than from")])
        window = Window(
            id=1, device_id=device_id, from_us=begin, to_us=to_us, reason=reason, author=actor,
            created_us=T0_US,
        )  # fmt: skip
        self.announced.append(window)
        return window

    async def end_maintenance(self, window_id: int, actor: str) -> Window:
        for window in self.announced:
            if window.id == window_id:
                return window
        raise NotFoundError(str(window_id))


@dataclass
class FakeAttachments:
    """One camera whose stream is held; only it is known."""

    logins: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def attachments(self) -> Sequence[Attachment]:
        user = self.logins.get("cam-1", (None, None))[0]
        return [msgspec.structs.replace(STREAM, login_user=user)]

    async def set_login(self, device_id: str, user: str, password: str, actor: str) -> None:
        if ":" in user:
            raise DeviceRefusedError([("user", "a colon cannot stand in a user's name")])
        if device_id != "cam-1":
            raise NotFoundError(device_id)
        self.logins[device_id] = (user, password)

    async def remove_login(self, device_id: str, actor: str) -> None:
        if self.logins.pop(device_id, None) is None:
            raise NotFoundError(device_id)
