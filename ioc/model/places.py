"""Areas with dates and devices with positions: what locates and authorises an event."""

from enum import StrEnum
from typing import Any

import msgspec

from ioc.model.texts import Text


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """A named geometry that is in force from `valid_from` until before `valid_to` (ISO dates, local)."""

    code: str
    kind: str
    """`ward`, `road`, `water`, `underpass`, `school`, `market`, …"""
    name: Text
    geometry: dict[str, Any]
    """GeoJSON geometry, WGS 84, as imported."""
    valid_from: str = "1900-01-01"
    valid_to: str | None = None
    illustrative: bool = False
    """True for our own approximations; the map says so."""
    properties: dict[str, str | int | float | bool | None] = {}


class DeviceKind(StrEnum):
    """What a device is to us."""

    CAMERA = "camera"
    DETECTOR = "detector"
    GATEWAY = "gateway"
    PORTAL = "portal"


class AttachKind(StrEnum):
    """How we hold on to a camera that does not push."""

    HIKVISION = "hikvision"
    """`GET /ISAPI/Event/notification/alertStream`, held open."""
    DAHUA = "dahua"
    """`GET /cgi-bin/eventManager.cgi?action=attach`, held open."""
    ONVIF = "onvif"
    """A subscription of a pull point, asked again and again."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A registered source. Ward and position come from here, never from a payload."""

    id: str
    kind: DeviceKind
    name: str
    ward: str | None = None
    lon: float | None = None
    lat: float | None = None
    expected_interval_s: float | None = None
    picture_url: str | None = None
    decoder: str = "cloudevents"
    covers: tuple[str, ...] = ()
    """Ids or `prefix*` patterns of the sources a gateway may speak for."""
    trusts_position: bool = False
    """True where the payload's position counts (citizens' portal), False where the registry's does."""
    time_zone: str | None = None
    """IANA name of the zone of its local times; without one, times that state no zone are refused."""
    options: dict[str, str] = {}
    """What its decoder is told besides, by the names in the decoder's page."""
    stream_url: str | None = None
    """Where its moving picture is: MJPEG over http(s), of which pictures are taken, or another address (rtsp,
    HLS) that is only kept for people."""
    attach: AttachKind | None = None
    """How its events are fetched; None where it sends them itself."""
    attach_url: str | None = None
    """Where; without a path it is the maker's own."""
    tls_verify: bool = True
    """Whether its certificate must be one that the system's authorities know, wherever we connect to it."""
    basic_over_http: bool = False
    """Whether its password may be sent readable (Basic) over http, should it ask for that."""

    def may_send_for(self, source: str) -> bool:
        """Return whether this device may send events of `source`."""
        return source == self.id or any(
            source.startswith(pattern[:-1]) if pattern.endswith("*") else source == pattern
            for pattern in self.covers
        )
