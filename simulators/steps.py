"""What a scenario can make happen: the kinds of steps, their parameters, and what one step takes.

A step is either something in the city that the service should notice, something that changes the city's
traffic (rain, a planned event), or a fault of a device or a citizen, which the service should bear.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Kind(StrEnum):
    """What can happen."""

    CONGESTION = "congestion"
    WRONG_WAY = "wrong_way"
    STOPPED_VEHICLE = "stopped_vehicle"
    CROWD = "crowd"
    CAMERA_SILENT = "camera_silent"
    FLOOD_REPORT = "flood_report"
    FIRE_SMOKE = "fire_smoke"
    FLOOD = "flood"
    RAIN = "rain"
    PLANNED_EVENT = "planned_event"
    FALSE_ALARM = "false_alarm"
    COUNT_DRIFT = "count_drift"
    CLOCK_DRIFT = "clock_drift"
    LOST_SAMPLES = "lost_samples"
    DETECTOR_SILENT = "detector_silent"
    DETECTOR_STUCK = "detector_stuck"
    DETECTOR_NOISY = "detector_noisy"
    DUPLICATE_REPORTS = "duplicate_reports"
    MISPLACED_REPORTS = "misplaced_reports"


class Alarm(StrEnum):
    """What a camera may claim to see."""

    WRONG_WAY = "wrong_way"
    FIRE_SMOKE = "fire_smoke"
    FLOOD = "flood"


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that happens. Exactly one of `source`, `area` and `ward` says where; rain is everywhere.

    `area` and `ward` mean the first fitting device there (for citizens' reports, the ward itself).
    """

    at: float
    duration_s: float
    kind: Kind
    source: str | list[str] | None = None
    area: str | list[str] | None = None
    ward: str | list[str] | None = None
    speed_kmh: float = 9.0
    """Congestion: mean speed."""
    occupancy: float = 0.58
    """Congestion: mean occupancy, 0 to 1."""
    spread_m: float = 0.0
    """Congestion: how far the queue grows back along the road."""
    people: int = 130
    """Crowd and planned event: people in view."""
    vehicles: int = 1
    """Stopped vehicle: how many stand."""
    confidence: float = 0.9
    """Alarms: what the camera claims, 0 to 1."""
    missed: float = 0.0
    """Alarms: share of the repeated alarms that the camera fails to give, 0 to 1."""
    reports: int = 3
    """Citizens who report, evenly over the duration."""
    intensity: float = 0.6
    """Rain: 0.1 is a drizzle, 1 a cloudburst."""
    alarm: Alarm = Alarm.WRONG_WAY
    """False alarm: what the camera claims."""
    factor: float = 1.25
    """Count drift: by how much the counts are wrong at the end."""
    seconds: float = 60.0
    """Clock drift: how far the clock is ahead at the end; below 0, behind."""
    share: float = 0.3
    """Lost samples: share that does not arrive, 0 to 1. Noisy detector: share of wild samples."""


class Happening(msgspec.Struct, frozen=True):
    """One step of one round at one place: a device id, a ward code for reports, or `city` for rain."""

    step: Step
    target: str
    round: int
    start_us: int
    end_us: int


CITY: Final = "city"
"""The target of what is everywhere."""
PARAMETERS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.CONGESTION: ("speed_kmh", "occupancy", "spread_m"),
    Kind.WRONG_WAY: ("confidence", "missed"),
    Kind.STOPPED_VEHICLE: ("vehicles",),
    Kind.CROWD: ("people",),
    Kind.CAMERA_SILENT: (),
    Kind.FLOOD_REPORT: ("reports",),
    Kind.FIRE_SMOKE: ("confidence", "missed"),
    Kind.FLOOD: ("confidence", "missed", "reports"),
    Kind.RAIN: ("intensity",),
    Kind.PLANNED_EVENT: ("people",),
    Kind.FALSE_ALARM: ("alarm", "confidence"),
    Kind.COUNT_DRIFT: ("factor",),
    Kind.CLOCK_DRIFT: ("seconds",),
    Kind.LOST_SAMPLES: ("share",),
    Kind.DETECTOR_SILENT: (),
    Kind.DETECTOR_STUCK: (),
    Kind.DETECTOR_NOISY: ("share",),
    Kind.DUPLICATE_REPORTS: ("reports",),
    Kind.MISPLACED_REPORTS: ("reports",),
}
"""What each kind takes besides `at`, `duration_s` and the place."""
FAULTS: Final = frozenset(
    {
        Kind.CAMERA_SILENT,
        Kind.COUNT_DRIFT,
        Kind.CLOCK_DRIFT,
        Kind.LOST_SAMPLES,
        Kind.DETECTOR_SILENT,
        Kind.DETECTOR_STUCK,
        Kind.DETECTOR_NOISY,
    }
)
"""Steps that change what a device says, whatever it sees."""
_DETECTOR_KINDS: Final = (
    Kind.CONGESTION,
    Kind.DETECTOR_SILENT,
    Kind.DETECTOR_STUCK,
    Kind.DETECTOR_NOISY,
)
_WARD_KINDS: Final = (Kind.FLOOD_REPORT, Kind.DUPLICATE_REPORTS, Kind.MISPLACED_REPORTS)
_DEVICE_KINDS: Final = (Kind.CLOCK_DRIFT, Kind.LOST_SAMPLES)


def happens_to(kind: Kind) -> str:
    """Return what a step of `kind` happens to: `camera`, `detector`, `device`, `ward` or `city`."""
    if kind is Kind.RAIN:
        return CITY
    if kind in _WARD_KINDS:
        return "ward"
    if kind in _DEVICE_KINDS:
        return "device"
    return "detector" if kind in _DETECTOR_KINDS else "camera"
