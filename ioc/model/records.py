"""Records of the event log: events, clock ticks and control messages, in one order per partition."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

EVENTS_TOPIC = "ioc.events"
WIDE_TOPIC = "ioc.wide"
"""Events passed on for rules keyed more widely than a ward (`ioc.model.wide`)."""
INCIDENTS_TOPIC = "ioc.incidents"
"""Incident changes for other systems, where the relay publishes them."""


class RecordKind(StrEnum):
    """What a record's payload is."""

    EVENT = "e"
    TICK = "t"
    CONTROL = "c"


class NewRecord(msgspec.Struct, frozen=True):
    """A record to append. `key` chooses the partition.

    `dedup` (source, id) suppresses a repeat; None never does.
    """

    kind: RecordKind
    key: str
    payload: bytes
    dedup: tuple[str, str] | None = None


class Record(NamedTuple):
    """A stored record. `offset` rises from 0 within its partition."""

    offset: int
    kind: RecordKind
    payload: bytes


class Batch(msgspec.Struct, frozen=True):
    """Consecutive records of one partition, as a consumer receives them.

    `generation` is the owner's generation: whoever commits a position must present it.
    """

    topic: str
    partition: int
    generation: int
    records: tuple[Record, ...]

    @property
    def next_offset(self) -> int:
        """The position to commit once the batch has taken effect."""
        return self.records[-1].offset + 1


class Tick(msgspec.Struct, frozen=True):
    """A clock tick: the only clock the engine has."""

    now_us: int


def encode_tick(tick: Tick) -> bytes:
    """Return the log's payload for `tick`."""
    return msgspec.msgpack.encode(tick)


_tick_decoder = msgspec.msgpack.Decoder(Tick)


def decode_tick(payload: bytes) -> Tick:
    """Return the tick of a log payload."""
    return _tick_decoder.decode(payload)


class Activate(msgspec.Struct, frozen=True, tag="activate"):
    """Control message: from here on the partition runs this version of the rules.

    Versions only rise: one that is not above the running one changes nothing, so repeats are harmless.
    """

    version: int
    warm_us: int = 0
    """How much of the log's past the rules that start fresh run over first."""


Control = Activate


def encode_control(control: Control) -> bytes:
    """Return the log's payload for `control`."""
    return msgspec.msgpack.encode(control)


_control_decoder = msgspec.msgpack.Decoder(Control)


def decode_control(payload: bytes) -> Control:
    """Return the control message of a log payload.

    Raises:
        msgspec.DecodeError: a kind this version does not know.
    """
    return _control_decoder.decode(payload)
