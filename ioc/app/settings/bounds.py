"""Bounds of what senders and consoles may ask of one process, as settings.

What happens at each is said where it is kept: `ioc.ingest.limits`, `ioc.stream.hub`, `ioc.stream.session`.
Fields without another unit are named as there, and their defaults are taken from there.
"""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from ioc.app.settings.base import Count, Seconds, Section, Size
from ioc.ingest.limits import IngestLimits
from ioc.model.times import SECOND_US
from ioc.stream.hub import HubSettings
from ioc.stream.session import SessionLimits

_INGEST: Final = IngestLimits()
_HUB: Final = HubSettings()
_SESSION: Final = _HUB.session


class IngestSettings(Section):
    """What one process takes from its senders, and when a device is throttled for what it sends."""

    max_body_bytes: Size = Field(
        _INGEST.max_body_bytes, description="largest body of a request or MQTT message, unpacked; beyond: 413"
    )
    max_picture_body_bytes: Size = Field(
        _INGEST.max_picture_body_bytes, description="the same of devices that send pictures"
    )
    max_event_bytes: Size = Field(_INGEST.max_event_bytes, description="largest event; beyond: quarantined")
    max_events_per_request: Count = Field(
        _INGEST.max_events_per_request, description="most events in one body; beyond: 413"
    )
    max_inflight_requests: Count = Field(
        _INGEST.max_inflight_requests, description="requests that wait for the log; beyond: 503, MQTT waits"
    )
    max_reading_requests: Count = Field(
        _INGEST.max_reading_requests, description="bodies being received; beyond: 503"
    )
    max_reading_pictures: Count = Field(
        _INGEST.max_reading_pictures, description="the same of devices that send pictures"
    )
    device_events_per_s: Seconds = Field(
        _INGEST.device_events_per_s, description="sustained rate of one device; beyond: 429, MQTT waits"
    )
    device_burst_events: Count = Field(
        _INGEST.device_burst_events, description="what one device may send at once before the rate applies"
    )
    append_timeout_s: Seconds = Field(
        _INGEST.append_timeout_s, description="longest wait for the log; beyond: 503, no PUBACK"
    )
    read_timeout_s: Seconds = Field(
        _INGEST.read_timeout_s, description="a body is complete within this time; beyond: 408"
    )
    max_mqtt_connections: Count = Field(
        _INGEST.max_mqtt_connections, description="sockets of the MQTT listener; beyond: closed at once"
    )
    max_mqtt_connections_per_device: Count = Field(
        _INGEST.max_mqtt_connections_per_device, description="sockets of one device; beyond: CONNACK 3"
    )
    max_mqtt_buffered_bytes: Size = Field(
        _INGEST.max_mqtt_buffered_bytes,
        description="incomplete MQTT packets together; beyond: the one that asks for more is closed",
    )
    error_share: float = Field(
        _INGEST.error_share,
        gt=0,
        lt=1,
        description="share of a device's events that may be refused before it is throttled",
    )
    error_least_events: Count = Field(
        _INGEST.error_least_events,
        description="so many must be refused within about the window before the share is looked at",
    )
    error_window_s: Seconds = Field(_INGEST.error_window_s, description="how long what a device sent counts")
    trickle_events_per_s: Seconds = Field(
        _INGEST.trickle_events_per_s, description="what a throttled device is let through, per second"
    )
    shed_after_s: Annotated[float, Field(ge=0)] = Field(
        3,
        description="where consumers fall further behind than this, cameras' counts and objects, then "
        "measurements, are thinned to one per source every 15 s, and counted; 0: never",
    )
    health_s: Seconds = Field(15, description="how often devices' health is written")

    @model_validator(mode="after")
    def _whole_bodies(self) -> Self:
        if self.device_burst_events < self.max_events_per_request:
            raise ValueError("device_burst_events: expected at least max_events_per_request")
        return self

    @property
    def limits(self) -> IngestLimits:
        """The same for ingest."""
        return IngestLimits(**self.model_dump(exclude={"health_s", "shed_after_s"}))


class FeedSettings(Section):
    """How many consoles one process serves, and what it holds for each."""

    max_clients: Count = Field(_HUB.max_clients, description="consoles at once; beyond: closed, come back")
    max_clients_per_user: Count = Field(
        _HUB.max_clients_per_user, description="windows of one person at once; beyond: closed"
    )
    max_entities: Count = Field(
        _HUB.max_entities,
        description="cameras and detectors on the map; beyond: the longest silent gives way",
    )
    heartbeat_s: Annotated[float, Field(ge=1, le=300)] = Field(
        _SESSION.hb_ms / 1_000, description="silence after which a console is pinged"
    )
    frame_bytes: Annotated[int, Field(ge=1024, le=65_536)] = Field(
        _SESSION.frame_bytes, description="largest frame of a console; beyond: closed"
    )
    messages_per_s: Count = Field(
        _SESSION.messages_per_s, description="what a console may say; beyond: closed"
    )
    outbox_bytes: Size = Field(
        _SESSION.outbox_bytes,
        description="incident changes that wait for one console; beyond: closed, resumes",
    )
    outbox_age_s: Seconds = Field(_SESSION.outbox_age_us / SECOND_US, description="the same in time")
    replay_changes: Count = Field(
        _SESSION.replay_changes, description="changes a console may have missed; beyond: a snapshot"
    )
    ring_changes: Count = Field(
        _HUB.ring_changes, description="newest changes kept in memory; older ones are read from the database"
    )
    ring_bytes: Size = Field(_HUB.ring_bytes, description="the same in bytes")
    flush_s: Seconds = Field(_HUB.flush_s, description="least time between two publications of incidents")
    state_flush_s: Seconds = Field(_HUB.state_flush_s, description="the same of cameras and detectors")

    @property
    def hub(self) -> HubSettings:
        """The same for the hub."""
        session = SessionLimits(
            hb_ms=round(self.heartbeat_s * 1_000),
            frame_bytes=self.frame_bytes,
            messages_per_s=self.messages_per_s,
            outbox_bytes=self.outbox_bytes,
            outbox_age_us=round(self.outbox_age_s * SECOND_US),
            replay_changes=self.replay_changes,
        )
        return HubSettings(
            session=session,
            max_clients=self.max_clients,
            max_clients_per_user=self.max_clients_per_user,
            max_entities=self.max_entities,
            ring_changes=self.ring_changes,
            ring_bytes=self.ring_bytes,
            flush_s=self.flush_s,
            state_flush_s=self.state_flush_s,
        )
