"""How long history is kept and how it is cut, and why the parts must fit together (pure)."""

from typing import Final

import msgspec

from ioc.model.events import Stream

HOUR_S: Final = 3_600.0
DAY_S: Final = 24 * HOUR_S
MAX_LATE_S: Final = 7 * DAY_S
"""Ingest quarantines older events."""
MAX_AHEAD_S: Final = 300.0
"""Ingest quarantines events further ahead."""
MISSED_RUN_S: Final = DAY_S
"""How long refreshing aggregates may fail before retention could overtake it."""
INDEX_BYTES_PER_EVENT: Final = 130
_WIDTHS_S: Final = (24 * HOUR_S, 12 * HOUR_S, 6 * HOUR_S, 3 * HOUR_S, HOUR_S)
_FEEDBACK_WIDTH_S: Final = 30 * DAY_S
_MIN_PARTITION_S: Final = 6 * HOUR_S
"""Planning a query looks at every native partition, so there must not be thousands."""


class RetentionError(ValueError):
    """Retention would let go of events that aggregates still have to read; the message says what to set."""


class HistoryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds, by event time."""

    camera_s: float = 30 * DAY_S
    traffic_s: float = 90 * DAY_S
    feedback_s: float = 1825 * DAY_S
    aggregates_s: float = 1825 * DAY_S
    compress_after_s: float = 8 * DAY_S
    """Longer than events may be late: compressed chunks are slow to write to."""
    log_retention_s: float = 7 * DAY_S
    """An event may be late by `MAX_LATE_S` and then wait this long in the log."""
    width_s: float = DAY_S
    """Of a chunk or partition of the camera and traffic tables."""

    def kept_s(self, stream: Stream) -> float:
        """Return how long events of `stream` are kept."""
        return {
            Stream.CAMERA: self.camera_s,
            Stream.TRAFFIC: self.traffic_s,
            Stream.FEEDBACK: self.feedback_s,
        }[stream]

    def chunk_s(self, stream: Stream) -> float:
        """Return the width of a chunk of `stream`; there are few reports, so theirs are wide."""
        return _FEEDBACK_WIDTH_S if stream is Stream.FEEDBACK else self.width_s

    def partition_s(self, stream: Stream) -> float:
        """Return the width of a native partition of `stream`."""
        return max(_MIN_PARTITION_S, self.chunk_s(stream))

    @property
    def refresh_s(self) -> float:
        """How far back aggregates follow what is written late."""
        return MAX_LATE_S + self.log_retention_s


def chunk_width_s(events_per_s: float, memory_mb: float) -> float:
    """Return the widest chunk whose indexes fit into a quarter of the database's memory.

    Only the newest chunk is written to: while its indexes stay in memory, inserting costs no reading.
    """
    room_bytes = memory_mb * 2**20 / 4
    fitting = (width for width in _WIDTHS_S if events_per_s * INDEX_BYTES_PER_EVENT * width <= room_bytes)
    return next(fitting, _WIDTHS_S[-1])


def check_retention(plan: HistoryPlan) -> None:
    """Refuse a plan under which retention can outrun the aggregates.

    An aggregate that is refreshed for a time whose events are gone is emptied, and both jobs report success.

    Raises:
        RetentionError: events of a stream with aggregates are not kept long enough.
    """
    least_s = plan.refresh_s + MISSED_RUN_S
    for stream in (Stream.CAMERA, Stream.TRAFFIC):
        if plan.kept_s(stream) <= least_s:
            raise RetentionError(
                f"{stream} history is kept for {plan.kept_s(stream) / DAY_S:g} days, which must be more than "
                f"{least_s / DAY_S:g}: events may be {MAX_LATE_S / DAY_S:g} days late, wait "
                f"{plan.log_retention_s / DAY_S:g} days in the log, and a day of refreshing aggregates may "
                "be missed; events deleted before would be missing in the aggregates for good. "
                "Raise store.history_retention_s, or lower log.retention_s"
            )
    if plan.aggregates_s <= max(plan.camera_s, plan.traffic_s):
        raise RetentionError(
            f"aggregates are kept for {plan.aggregates_s / DAY_S:g} days, which must be more than the "
            f"events' {max(plan.camera_s, plan.traffic_s) / DAY_S:g}: raise store.aggregate_retention_s"
        )
