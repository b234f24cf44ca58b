"""Every bound of ingest, in one place, each with its metric and what happens beyond it."""

import msgspec


class IngestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what senders may ask of us. `ioc_ingest_refused_total{reason=…}` counts each refusal."""

    max_body_bytes: int = 1 << 20
    """Body of one request or MQTT message, after decompression. Beyond: 413 / connection closed
    (`body_bytes`)."""
    max_picture_body_bytes: int = 8 << 20
    """The same of devices whose decoder expects pictures beside the events (`CARRIES_PICTURES`)."""
    decode_at_once_bytes: int = 65_536
    """Larger bodies are decoded in a thread, one after the other, so that the rest of the service goes on."""
    max_event_bytes: int = 65_536
    """One event. Beyond: that event is rejected and quarantined, shortened to this size
    (`result="rejected"`)."""
    max_events_per_request: int = 10_000
    """Events in one body, and refusals besides. Beyond: 413, nothing taken (`events_per_request`)."""
    max_inflight_requests: int = 64
    """Requests being decoded or waiting for the log. Beyond: HTTP 503 + Retry-After; MQTT and the
    subscriber wait, and their sockets are not read meanwhile (`inflight`; gauge
    `ioc_ingest_inflight_requests`)."""
    device_events_per_s: float = 20_000.0
    """Sustained rate of one device (a token bucket). Beyond: HTTP 429 + Retry-After; MQTT waits (`rate`)."""
    device_burst_events: int = 40_000
    """What one device may send at once before the rate applies; at least `max_events_per_request`."""
    error_share: float = 0.5
    """Share of a device's events that may be refused. Beyond, it is throttled: HTTP 429 + Retry-After, MQTT
    is not read meanwhile, messages of an external broker go to quarantine undecoded (`throttled`; gauge
    `ioc_ingest_throttled_devices`). It recovers at half of this share."""
    error_least_events: int = 100
    """So many have to be refused within about `error_window_s` before the share is looked at."""
    error_window_s: float = 60.0
    """What a device sent counts for about this long."""
    trickle_events_per_s: float = 2.0
    """What a throttled device is let through, so that it can show that it was mended."""
    append_timeout_s: float = 10.0
    """Waiting for the log or the quarantine. Beyond: 503 / MQTT connection closed without PUBACK
    (`timeout`)."""
    max_age_us: int = 7 * 86_400_000_000
    """Older events are quarantined (`not_too_old`)."""
    max_ahead_us: int = 300_000_000
    """Events further in the future are quarantined (`not_in_future`)."""
    max_reading_requests: int = 256
    """HTTP bodies being received. Beyond: 503 + Retry-After before anything is read (`inflight`)."""
    max_reading_pictures: int = 32
    """The same of those devices whose bodies may be `max_picture_body_bytes`."""
    read_timeout_s: float = 30.0
    """A request body must be complete within this time. Beyond: 408 (`read_timeout`)."""
    linger_bytes: int = 16 << 20
    """After a refusal that did not read the body, how much of it is read and thrown away, so that the sender
    gets the answer instead of a reset. Beyond: the connection is closed."""
    linger_s: float = 5.0
    """The same in time."""
    max_mqtt_connections: int = 2_000
    """Sockets of the MQTT listener. Beyond: closed at once (`mqtt_connections`)."""
    max_mqtt_connections_per_device: int = 50
    """Sockets one device may have open. Beyond: CONNACK 3, closed (`mqtt_connections`)."""
    max_mqtt_buffered_bytes: int = 128 << 20
    """Incomplete packets of all connections together. Beyond: the connection that asks for more is closed
    (`mqtt_buffered`)."""
    mqtt_connect_timeout_s: float = 5.0
    """CONNECT must be complete within this time. Beyond: closed (`mqtt_connect_timeout`)."""
    mqtt_max_silence_s: float = 3_600.0
    """A connection that names no keep-alive, or a longer one, is closed after this silence."""
    mqtt_send_timeout_s: float = 10.0
    """A client that does not read its acknowledgements for so long is closed."""
    mqtt_batch_messages: int = 500
    """PUBLISH packets of one connection that go to the log together; no more are read meanwhile."""
    mqtt_batch_bytes: int = 2 << 20
    """The same in bytes (one packet alone may be `max_body_bytes`)."""

    def __post_init__(self) -> None:
        if self.device_burst_events < self.max_events_per_request:
            raise ValueError("device_burst_events must be at least max_events_per_request")
        if not (0 < self.error_share < 1 and self.error_window_s > 0 and self.trickle_events_per_s > 0):
            raise ValueError("error_share must be between 0 and 1, error_window_s and the trickle above 0")
