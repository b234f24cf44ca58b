"""Where a device's stream is and how it is reached. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from ioc.model.places import AttachKind, Device
from ioc.outbound.camera import Reach

PATHS: Final = {
    # Recorders older than ISAPI know the second one only.
    AttachKind.HIKVISION: ("/ISAPI/Event/notification/alertStream", "/Event/notification/alertStream"),
    AttachKind.DAHUA: ("/cgi-bin/eventManager.cgi?action=attach&codes=[All]&heartbeat={heartbeat_s}",),
    AttachKind.ONVIF: ("/onvif/device_service",),
}
DECODERS: Final = {
    AttachKind.HIKVISION: ("hikvision",),
    AttachKind.DAHUA: ("dahua",),
    AttachKind.ONVIF: ("onvif", "axis"),
}
"""Decoders that read what comes over each."""


@dataclass(frozen=True)
class Target:
    """What a stream depends on: where one of these changes, it is begun anew."""

    kind: AttachKind
    url: str
    reach: Reach


def target_of(device: Device, reach: Reach) -> Target | None:
    """Return where the stream of `device` is; None where it has none."""
    if device.attach is None or device.attach_url is None:
        return None
    return Target(device.attach, device.attach_url, reach)


def addresses(target: Target, heartbeat_s: int) -> tuple[str, ...]:
    """Return the addresses to try in order: the registered one, or the maker's below it."""
    parts = urlsplit(target.url)
    if parts.path.strip("/") or parts.query:
        return (target.url,)
    base = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    return tuple(base + path.format(heartbeat_s=heartbeat_s) for path in PATHS[target.kind])


def beside(url: str, other: str) -> str:
    """Return path and query of `other` at the host of `url`.

    Cameras behind address translation name a host that only they know, and a host that they name is nobody
    that a login may go to.
    """
    parts, named = urlsplit(url), urlsplit(other)
    return urlunsplit((parts.scheme, parts.netloc, named.path or "/", named.query, ""))
