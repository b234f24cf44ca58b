"""Events waiting for an acknowledgement: bounded, in order, nothing lost and nothing renamed on the way."""

from collections import deque
from collections.abc import Sequence

import msgspec

from simulators.world import Event


class Counters(msgspec.Struct):
    """Events of one lane. `made = acked + shed + rejected + dropped + waiting` holds at every moment."""

    made: int = 0
    sent: int = 0
    acked: int = 0
    retried: int = 0
    duplicate: int = 0
    rejected: int = 0
    shed: int = 0
    """Left out by a service that could not keep up; over MQTT it does not say so."""
    dropped: int = 0
    waiting: int = 0

    def __add__(self, other: "Counters") -> "Counters":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Counters(*(a + b for a, b in pairs))


class Receipt(msgspec.Struct, frozen=True):
    """What the service said about a parcel; `duplicate` were stored by an earlier attempt."""

    accepted: int
    duplicate: int = 0
    rejected: int = 0
    shed: int = 0
    """Left out on purpose, because the service could not keep up: not to be sent again."""


class Outbox:
    """One sender's queue. One parcel is on its way at a time, so order is kept.

    `take`, then exactly one of `ack` and `put_back`. A parcel taken after `put_back` has the same events with
    the same ids: the service recognises those it had stored already.
    """

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` events; beyond it the oldest waiting ones are dropped and counted."""
        if limit < 1:
            raise ValueError("an outbox holds at least one event")
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._flying: tuple[Event, ...] = ()
        self._again = 0
        self.counters = Counters()

    def __len__(self) -> int:
        return len(self._queue) + len(self._flying)

    def put(self, events: Sequence[Event]) -> None:
        """Append `events`."""
        self._queue.extend(events)
        self.counters.made += len(events)
        while len(self._queue) > self._limit:
            self._queue.popleft()
            self._again = max(0, self._again - 1)
            self.counters.dropped += 1
        self.counters.waiting = len(self)

    def take(self, most: int) -> tuple[Event, ...]:
        """Return up to `most` of the oldest events, now on their way; empty when there are none."""
        if self._flying:
            raise RuntimeError("the last parcel is still on its way")
        self._flying = tuple(self._queue.popleft() for _ in range(min(most, len(self._queue))))
        repeated = min(self._again, len(self._flying))
        self._again -= repeated
        self.counters.retried += repeated
        self.counters.sent += len(self._flying)
        return self._flying

    def ack(self, receipt: Receipt) -> None:
        """The parcel arrived: forget it."""
        self.counters.rejected += receipt.rejected
        self.counters.duplicate += receipt.duplicate
        self.counters.shed += receipt.shed
        self.counters.acked += len(self._flying) - receipt.rejected - receipt.shed
        self._flying = ()
        self.counters.waiting = len(self)

    def put_back(self) -> None:
        """The parcel may not have arrived: it goes first again."""
        self._queue.extendleft(reversed(self._flying))
        self._again += len(self._flying)
        self._flying = ()
        self.counters.waiting = len(self)
