"""One event of each type with every field set, and ways to make many."""

from ioc.model.events import (
    AlarmKind,
    CameraAlarm,
    CameraCount,
    CameraObject,
    CameraPlate,
    CameraStatus,
    Event,
    EventData,
    FeedbackReport,
    FeedbackVote,
    TrafficFlow,
    TrafficSituation,
    TrafficStatus,
    TrafficTravelTime,
)
from ioc.model.incidents import Severity
from ioc.model.times import SECOND_US

NOON_US = 1_795_000_000_123_456

FULL_DATA: tuple[EventData, ...] = (
    CameraObject(
        label="xe máy", confidence=0.93, track_id="t-1", zone="z", speed_kmh=31.5, box=(0.1, 0.2, 0.3, 0.4)
    ),
    CameraPlate(plate="61A-123.45", confidence=0.5, vehicle="car", direction_deg=90.0, speed_kmh=40.0),
    CameraCount(people=3, vehicles=12, interval_s=60.0, stopped_vehicles=2, counts={"bus": 1}),
    CameraAlarm(
        kind=AlarmKind.FLOOD, confidence=0.8, active=False, duration_s=4.5, zone="hầm chui", track_id="t-2"
    ),
    CameraStatus(online=False, reason="mất điện"),
    TrafficFlow(speed_kmh=18.25, occupancy=0.4, volume_veh=7, interval_s=30.0, lane="2", extra={"raw": 1.5}),
    TrafficTravelTime(duration_s=90.5, length_m=1200.0, free_flow_s=60.0),
    TrafficStatus(online=True, reason=None),
    TrafficSituation(
        situation_id="GUID5001",
        kind="road_works",
        active=False,
        severity=Severity.MEDIUM,
        version="3",
        text="Sửa đường",
        road="QL13",
    ),
    FeedbackReport(
        category="ổ gà",
        text="Đường hư\thỏng\n\\nặng",
        title="Hố",
        address="12 Lê Lợi",
        contact="0912 345 678",
        channel="portal",
        photos=("a.jpg", "b.jpg"),
        extra={"zalo": True, "note": None},
    ),
    FeedbackVote(report_id="r-1", satisfied=False, text="Chưa xong"),
)


def event(number: int, data: EventData | None = None, **changes: object) -> Event:
    fields: dict[str, object] = {
        "id": f"e-{number}",
        "source": f"det-{number % 7}",
        "time_us": NOON_US + number * SECOND_US,
        "received_us": NOON_US + number * SECOND_US + 250_001,
        "data": data or TrafficFlow(speed_kmh=float(number), occupancy=0.25, volume_veh=number),
        "ward": f"257{number % 3}",
        "lon": 106.6 + number / 1000,
        "lat": 11.0,
    }
    return Event(**(fields | changes))  # type: ignore[arg-type]
