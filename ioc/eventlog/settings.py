"""Named limits of the embedded log and of the in-memory one."""

from typing import Final

import msgspec

DAY_S: Final = 86_400.0


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Every bound has a name here. Times in seconds, sizes in bytes of payload."""

    queue_records: int = 50_000
    """Records that may wait to be appended, in all; above it `append` raises `LogOverloaded`."""
    queue_bytes: int = 64 << 20
    """The same in bytes; also what one `append` call may hold."""
    flush_records: int = 5_000
    """Records appended in one transaction, at most (a single larger call still goes as one)."""
    flush_bytes: int = 8 << 20
    linger_s: float = 0.002
    """How long the first record waits for company before a transaction starts."""
    append_timeout_s: float = 15.0
    """How long a caller waits before its append counts as failed with unknown outcome."""
    poll_fallback_s: float = 0.5
    """How often a waiting reader looks by itself, in case a wake-up was lost."""
    notify_interval_s: float = 0.05
    """At most one wake-up of other processes in this time."""
    recent_bytes: int = 16 << 20
    """Memory for what this process has just appended, so that its own readers need not fetch it."""
    heartbeat_s: float = 2.0
    lease_s: float = 8.0
    """An owner silent for this long loses its partitions."""
    dedup_window_s: float = DAY_S
    """A repeat is recognised for at least this long."""
    retention_s: float = 3 * DAY_S
    """Age after which a record may go once every group has committed past it."""
    hard_retention_s: float = 14 * DAY_S
    """Age after which a record goes whatever the groups have done; `retention_s` where that is longer."""
    slice_batches: int = 500
    """Log rows looked at in one `retain` call and partition."""
    slice_keys: int = 20_000
    """Dedup keys deleted in one `prune_dedup` call."""

    @property
    def never_beyond_s(self) -> float:
        """Return the age beyond which no record stays."""
        return max(self.retention_s, self.hard_retention_s)
