"""What the devices know: what they sent, and what they were answered. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ioc.ingest.service import IngestAnswer
from ioc.ingest.shedding import KEEP_S
from ioc.model.events import Event
from ioc.model.places import Device
from ioc.model.times import SECOND_US


class EventKey(NamedTuple):
    """What makes an event one event, however often it is sent."""

    source: str
    type: str
    id: str


def key_of(event: Event) -> EventKey:
    """Return the key of an event in the log."""
    return EventKey(event.source, event.type, event.id)


@dataclass
class Body:
    """One body of a device, with what became of it."""

    number: int
    device: Device
    payload: bytes
    keys: tuple[EventKey | None, ...]
    """Of each line; None for one that cannot be read."""
    tries: int = 0
    answer: IngestAnswer | None = None
    """The first acknowledgement; None as long as there is none."""
    answered_us: int = 0
    """When that came, by the clock of ingest."""

    @property
    def shed(self) -> int:
        """How many events the acknowledgement says were left out."""
        assert self.answer is not None
        return self.answer.shed or 0

    def left_out(self, stored: Counter[EventKey]) -> list[EventKey]:
        """Return what was neither stored nor refused."""
        assert self.answer is not None
        refused = {rejected.id for rejected in self.answer.rejected}
        return [key for key in self.keys if key is not None and not stored[key] and key.id not in refused]


class Ledger:
    """Every body that was sent. Devices keep what is not acknowledged, and send it again."""

    def __init__(self) -> None:
        self.bodies: list[Body] = []

    def add(self, body: Body) -> None:
        """Note a body that is about to be sent."""
        self.bodies.append(body)

    def unacknowledged(self) -> list[Body]:
        """Return what a device still has to send, oldest first."""
        return [body for body in self.bodies if body.answer is None]

    def acknowledged(self) -> list[Body]:
        """Return what was acknowledged, oldest first."""
        return [body for body in self.bodies if body.answer is not None]

    def faults(self, log: Sequence[Event], stored: Counter[EventKey]) -> list[str]:
        """Return what contradicts the acknowledgements, once nothing is under way any more.

        `log` holds every event in the log, `stored` says how often each is in the history.
        """
        in_log = Counter(map(key_of, log))
        found = [f"{key} stored {times} times" for key, times in sorted(stored.items()) if times != 1]
        found += [f"{key} is in the log and not stored" for key in sorted(in_log.keys() - stored.keys())]
        found += [
            f"{key} is stored and was never in the log" for key in sorted(stored.keys() - in_log.keys())
        ]
        known = {key for body in self.bodies for key in body.keys if key is not None}
        found += [f"{key} is stored and was never sent" for key in sorted(stored.keys() - known)]
        found += [f"body {body.number} was never acknowledged" for body in self.unacknowledged()]
        for body in self.acknowledged():
            found += [f"body {body.number}: {fault}" for fault in _contradictions(body, stored)]
            found += [f"body {body.number}: {fault}" for fault in _silenced(body, log, stored)]
        return found


def _contradictions(body: Body, stored: Counter[EventKey]) -> list[str]:
    """Return how an answer and the history differ: sent = stored + refused + shed, exactly.

    What an earlier try left in the log is stored, whatever a later one is told: its time may since be too
    old, and overload may have begun.
    """
    answer = body.answer
    assert answer is not None
    told = answer.accepted + answer.duplicate + len(answer.rejected) + body.shed
    found = [] if told == len(body.keys) else [f"{len(body.keys)} sent, {told} answered"]
    refused = {rejected.id for rejected in answer.rejected}
    missing = body.left_out(stored)
    kept = [key for key in body.keys if key is not None and stored[key]]
    if len(missing) > body.shed or (body.tries == 1 and len(missing) < body.shed):
        found.append(f"{len(missing)} left out ({missing}), {body.shed} answered as shed")
    if body.tries == 1 and (wrongly := [key for key in kept if key.id in refused]):
        found.append(f"{wrongly} refused and stored")
    if len(kept) < answer.accepted + answer.duplicate:
        found.append(f"{answer.accepted + answer.duplicate} acknowledged, {len(kept)} stored")
    return found


def _silenced(body: Body, log: Sequence[Event], stored: Counter[EventKey]) -> list[str]:
    """Return what was shed though nothing like it had been let in for a while: thinned is not silent."""
    heard_us = defaultdict(list)
    for event in log:
        heard_us[event.source, event.type].append(event.received_us)
    for key in body.keys:  # a repeat that was let in speaks for its source, too
        if key is not None and stored[key]:
            heard_us[key.source, key.type].append(body.answered_us)
    since_us = body.answered_us - KEEP_S * SECOND_US
    return [
        f"{key} was shed, and nothing of its kind was let in within {KEEP_S} s before"
        for key in body.left_out(stored)
        if not any(since_us < at_us <= body.answered_us for at_us in heard_us[key.source, key.type])
    ]
