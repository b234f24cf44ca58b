"""Events: CloudEvents attributes plus typed data with units in the names (DESIGN §5).

`Event.data` is a tagged union whose tag is the CloudEvents `type`, so a decoded event always has the data
its type promises. The same structures are the payload of the log (MessagePack) and of the history API.
"""

from enum import StrEnum
from typing import Final

import msgspec

from ioc.model.incidents import Severity

Extra = dict[str, str | int | float | bool | None]
"""Fields a source adds beyond its type's schema; scalars only, so that rules can read them."""


class Stream(StrEnum):
    """The three families of events; each has its own history table."""

    CAMERA = "camera"
    TRAFFIC = "traffic"
    FEEDBACK = "feedback"


class AlarmKind(StrEnum):
    """What a camera's analytics say they saw."""

    WRONG_WAY = "wrong_way"
    RED_LIGHT = "red_light"
    ILLEGAL_STOP = "illegal_stop"
    CROWD = "crowd"
    FALL = "fall"
    FIRE_SMOKE = "fire_smoke"
    INTRUSION = "intrusion"
    FLOOD = "flood"
    TAMPER = "tamper"
    MOTION = "motion"
    LINE_CROSSING = "line_crossing"
    LOITERING = "loitering"
    OTHER = "other"


class _Data(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Base of every event's data: unknown fields of the source are kept in `extra`."""

    extra: Extra = {}


class CameraObject(_Data, frozen=True, tag="camera.object"):
    """One detected object. `track_id` repeats while the source follows the same object."""

    label: str
    confidence: float = 1.0
    track_id: str | None = None
    zone: str | None = None
    speed_kmh: float | None = None
    box: tuple[float, float, float, float] | None = None
    """Left, top, width, height as fractions of the picture."""


class CameraPlate(_Data, frozen=True, tag="camera.plate"):
    """One plate read."""

    plate: str
    confidence: float = 1.0
    vehicle: str | None = None
    direction_deg: float | None = None
    speed_kmh: float | None = None


class CameraCount(_Data, frozen=True, tag="camera.count"):
    """Objects in view (`interval_s` 0) or counted over an interval."""

    people: int = 0
    vehicles: int = 0
    interval_s: float = 0.0
    stopped_vehicles: int = 0
    counts: dict[str, int] = {}


class CameraAlarm(_Data, frozen=True, tag="camera.alarm"):
    """An alarm decided on the camera."""

    kind: AlarmKind
    confidence: float = 1.0
    active: bool = True
    """False when the source says that the alarm has ended."""
    duration_s: float | None = None
    zone: str | None = None
    track_id: str | None = None


class CameraStatus(_Data, frozen=True, tag="camera.status"):
    """Heartbeat or change of state."""

    online: bool
    reason: str | None = None


class TrafficFlow(_Data, frozen=True, tag="traffic.flow"):
    """Measurement of one detector (and lane) over `interval_s`."""

    speed_kmh: float | None = None
    occupancy: float | None = None
    """Share of the interval with a vehicle over the detector, 0 to 1."""
    volume_veh: int | None = None
    interval_s: float = 60.0
    lane: str | None = None


class TrafficTravelTime(_Data, frozen=True, tag="traffic.travel_time"):
    """Measured travel time of a stretch."""

    duration_s: float
    length_m: float | None = None
    free_flow_s: float | None = None


class TrafficStatus(_Data, frozen=True, tag="traffic.status"):
    """Heartbeat or fault of a detector."""

    online: bool
    reason: str | None = None


class TrafficSituation(_Data, frozen=True, tag="traffic.situation"):
    """What another authority tells of the road or the weather: a DATEX II record, an alert, an accident.

    One event for each version of it; the last says `active` False.
    """

    situation_id: str
    """Repeats while it lasts, unique within the source."""
    kind: str
    """The publisher's own word for it, in lower case with underscores, e.g. `accident`, `road_works`."""
    active: bool = True
    """False once the publisher has ended or withdrawn it, or its validity is over."""
    severity: Severity | None = None
    version: str | None = None
    text: str | None = None
    """What the publisher says to people, in the language that came first."""
    road: str | None = None


class FeedbackReport(_Data, frozen=True, tag="feedback.report"):
    """A citizen's report. `contact` is personal data and never leaves the store unmasked."""

    category: str
    text: str
    title: str | None = None
    address: str | None = None
    contact: str | None = None
    channel: str | None = None
    photos: tuple[str, ...] = ()


class FeedbackVote(_Data, frozen=True, tag="feedback.vote"):
    """A citizen's verdict on a resolved report."""

    report_id: str
    satisfied: bool
    text: str | None = None


EventData = (
    CameraObject
    | CameraPlate
    | CameraCount
    | CameraAlarm
    | CameraStatus
    | TrafficFlow
    | TrafficTravelTime
    | TrafficStatus
    | TrafficSituation
    | FeedbackReport
    | FeedbackVote
)

DATA_TYPES: Final[dict[str, type[_Data]]] = {
    "camera.object": CameraObject,
    "camera.plate": CameraPlate,
    "camera.count": CameraCount,
    "camera.alarm": CameraAlarm,
    "camera.status": CameraStatus,
    "traffic.flow": TrafficFlow,
    "traffic.travel_time": TrafficTravelTime,
    "traffic.status": TrafficStatus,
    "traffic.situation": TrafficSituation,
    "feedback.report": FeedbackReport,
    "feedback.vote": FeedbackVote,
}
"""Every event type and the structure of its data; a new type is one line here and one class above."""

_TYPE_OF: Final[dict[type[_Data], str]] = {cls: name for name, cls in DATA_TYPES.items()}
_STREAM_OF: Final[dict[type[_Data], Stream]] = {
    cls: Stream(name.partition(".")[0]) for name, cls in DATA_TYPES.items()
}


def type_of(data: EventData) -> str:
    """Return the CloudEvents type of `data`, e.g. `traffic.flow`."""
    return _TYPE_OF[type(data)]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One validated, located event."""

    id: str
    source: str
    time_us: int
    """When it happened, by the source's clock."""
    received_us: int
    """When the gateway took it."""
    data: EventData
    ward: str | None = None
    lon: float | None = None
    lat: float | None = None
    subject: str | None = None
    trace: str | None = None
    """The W3C `traceparent` it came with, where traces are written and this one is sampled."""

    @property
    def type(self) -> str:
        """The CloudEvents type, e.g. `traffic.flow`."""
        return type_of(self.data)

    @property
    def stream(self) -> Stream:
        """The family the type belongs to."""
        return _STREAM_OF[type(self.data)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Return the log's payload for `event`."""
    return _encoder.encode(event)


def decode_event(payload: bytes) -> Event:
    """Return the event of a log payload.

    Raises:
        msgspec.DecodeError: the payload is not an event of ours (a poison record).
    """
    return _decoder.decode(payload)
