"""How a device fares, and the one word for it. Pure: whoever asks says when it is."""

from enum import StrEnum
from typing import Final

import msgspec

from ioc.model.places import Device
from ioc.model.times import SECOND_US

STALE_INTERVALS: Final = 3
"""A device is stale after this many of its intervals without an event."""
STALE_LEAST_S: Final = 30.0
"""But not before."""
LEAD_US: Final = 10 * SECOND_US
"""Rules learn within seconds that a device is away or back: they go by a moment at least so far to come."""
THROTTLED_WITHIN_S: Final = 90.0
"""A process says again and again that it throttles a device; older words no longer count."""


class Condition(StrEnum):
    """The one word for a device."""

    OK = "ok"
    THROTTLED = "throttled"
    """Most of what it sends is refused: it is let through at a trickle."""
    STALE = "stale"
    NEVER = "never"
    """It promises to talk and never has."""
    MAINTENANCE = "maintenance"
    DISABLED = "disabled"
    """Somebody has taken it out of service: what it sends is refused."""
    UNKNOWN = "unknown"
    """Nothing has come from it, and nothing was promised (no `expected_interval_s`)."""


class DeviceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a device; rates are of the last five whole minutes, times in microseconds."""

    device_id: str
    seen_us: int | None = None
    """When anything of it came last, be it refused."""
    event_us: int | None = None
    """When an event of it was taken last."""
    events_per_min: float = 0.0
    refused_per_min: float = 0.0
    error_rate: float | None = None
    """Share of what came that was refused, 0 to 1; None where nothing came."""
    skew_s: float | None = None
    """Median of received − time: above 0 its events come late or its clock is behind, below 0 it is ahead."""
    positions: int = 0
    """Events whose position was no data or had to be put right; this and what follows of the last hour."""
    backward: int = 0
    """Events older than the one before them."""
    repeated: int = 0
    """Events of the same time as the one before them."""
    refusal: str | None = None
    """The rule its newest refused event broke."""
    throttled_us: int | None = None
    """When a process last said that it throttles the device."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Maintenance of a device, from ≤ t < to; one that ended before it began counts never."""

    id: int
    device_id: str
    from_us: int
    to_us: int
    reason: str
    author: str
    created_us: int


class OutageKind(StrEnum):
    """How a device was taken out of service."""

    DISABLED = "disabled"
    REMOVED = "removed"


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A device out of service. Its messages are refused at once; rules excuse it from ≤ t < to."""

    device_id: str
    kind: OutageKind
    from_us: int
    to_us: int | None
    """None while it lasts."""
    reason: str
    author: str
    created_us: int
    device: Device | None
    """What was registered of a removed one."""

    @property
    def lasts(self) -> bool:
        """Whether it goes on: nobody has enabled or registered the device again."""
        return self.to_us is None


def condition(
    device: Device, health: DeviceHealth | None, now_us: int, *, away: bool, disabled: bool
) -> Condition:
    """Return the one word for a device; `away` says whether it is in maintenance."""
    if disabled:
        return Condition.DISABLED
    if away:
        return Condition.MAINTENANCE
    throttled_us = health.throttled_us if health else None
    if throttled_us is not None and now_us - throttled_us < THROTTLED_WITHIN_S * SECOND_US:
        return Condition.THROTTLED
    if device.expected_interval_s is None:
        # A gateway sends for others and has no events of its own.
        return Condition.OK if health and health.seen_us is not None else Condition.UNKNOWN
    if health is None or health.event_us is None:
        return Condition.NEVER
    patience_s = max(STALE_LEAST_S, STALE_INTERVALS * device.expected_interval_s)
    return Condition.STALE if now_us - health.event_us > patience_s * SECOND_US else Condition.OK
