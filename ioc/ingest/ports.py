"""What ingest needs from other parts; `ioc.app.pipeline` connects them.

Errors of this package, by who acts:

    IngestError
    ├── BodyRefused       the sender must change the request (400, 413, 415)
    ├── NotAuthorised     the sender must be registered or use another key (401, 403)
    ├── TooFast           the sender must slow down (429)
    └── Unavailable       the sender must send the same again later (503); nothing was acknowledged
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from ioc.geo.gazetteer import Placement
from ioc.model.places import Device
from ioc.model.records import NewRecord

Clock = Callable[[], int]
"""Returns microseconds since the epoch, UTC."""


class IngestError(Exception):
    """Something the sender is told instead of an acknowledgement."""


class BodyRefused(IngestError):
    """The request as a whole cannot be taken; `status` is its HTTP status."""

    def __init__(self, status: int, rule: str, detail: str, field: str = "body") -> None:
        super().__init__(detail)
        self.status = status
        self.rule = rule
        self.field = field


class NotAuthorised(IngestError):
    """No such key (401), or a key that may not do this (403)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


DEVICE_DISABLED: Final = "device_disabled"
"""The rule that a message of a disabled device breaks."""


class DeviceDisabled(NotAuthorised):
    """The sender is out of service."""

    def __init__(self, device_id: str) -> None:
        super().__init__(403, f"{device_id} is disabled: nothing of it is taken until it is enabled")


class TooFast(IngestError):
    """The device has used up its allowance, or sends what is refused."""

    def __init__(
        self, retry_after_s: float, detail: str = "this device sends more events than its limit allows"
    ) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Unavailable(IngestError):
    """The log or the quarantine cannot take events now; `reason` is a metric label."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__("events cannot be stored durably at the moment; send the same request again")
        self.reason = reason
        self.retry_after_s = retry_after_s


class AppendOutcome(Protocol):
    """What became of one record."""

    @property
    def duplicate(self) -> bool:
        """True when its (source, id) was already in the log and it was not stored again."""
        ...


class Log(Protocol):
    """The durable event log."""

    async def append(self, topic: str, records: Sequence[NewRecord]) -> Sequence[AppendOutcome]:
        """Store `records` durably, in order, and return one outcome for each.

        Returning means durable. On any error nothing may be assumed stored.
        """
        ...


class ToldClock(Protocol):
    """The time of an installation that relives a recording."""

    async def tell(self, now_us: int) -> int:
        """Let it be `now_us` and return how many ticks that made.

        Raises:
            BodyRefused: time goes forward only, and not by leaps.
            Unavailable: the ticks could not be stored; tell the same time again.
        """
        ...


class QuarantineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One refused event with the reason and the bytes as they came (at most `max_event_bytes`)."""

    received_us: int
    device: str
    """Who sent it."""
    source: str | None
    """Whom it claimed to be from, where that could be read."""
    event_id: str | None
    reason: str
    """The rule it broke, e.g. `not_in_future`."""
    field: str | None
    detail: str
    raw: bytes
    truncated: bool = False
    """True where `raw` is only the beginning."""


class Quarantine(Protocol):
    """Where refused events wait for an engineer."""

    async def add(self, rows: Sequence[QuarantineRow]) -> None:
        """Store `rows` durably."""
        ...


class Registry(Protocol):
    """The registered devices, as of now, in memory. Never blocks."""

    def device(self, device_id: str) -> Device | None:
        """Return the device of that id."""
        ...

    def disabled(self, device_id: str) -> bool:
        """Return whether that device is out of service: nothing of it is taken."""
        ...

    def device_of_key(self, key: str) -> Device | None:
        """Return the device that owns this secret key."""
        ...

    def owns_key(self, device_id: str, key: str) -> bool:
        """Return whether `key` is one of that device's keys, in time independent of where they differ."""
        ...


class Addresses(Protocol):
    """Finds the place of an address as people write it."""

    def find(self, text: str) -> Placement | None:
        """Return where the address is, as far as is known; None for not at all."""
        ...


class NoAddresses:
    """A gateway without gazetteer."""

    def find(self, text: str) -> Placement | None:
        """Return None: no address is known."""
        return None


NO_ADDRESSES: Final = NoAddresses()


class Wards(Protocol):
    """Finds the ward of a position."""

    def ward_of(self, lon: float, lat: float) -> str | None:
        """Return the code of the ward that contains the position, None outside every ward."""
        ...
