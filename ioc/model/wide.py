"""Records of `ioc.wide`: what a partition of `ioc.events` passes on for rules keyed beyond a ward.

Each carries its origin's own time, so that whoever reads a partition of `ioc.wide` can put the records of all
origins into one order, whatever the order in which they came.
"""

import msgspec

from ioc.model.events import Event

Moment = tuple[int, int]
"""A tick of the log: (era, microseconds). The era counts how often the clock was put back."""
BEFORE_TIME: Moment = (0, -(1 << 62))
"""Before the first tick."""


class WideEvent(msgspec.Struct, frozen=True, array_like=True):
    """An event passed on: from which record of which partition, and after which tick it stands there."""

    origin: int
    offset: int
    after: Moment
    event: Event


class OriginTick(msgspec.Struct, frozen=True, array_like=True):
    """An origin has come to a tick: all that stands before it there has been passed on."""

    origin: int
    moment: Moment
    version: int
    """Of the rules the origin filters by there."""
    offset: int = -1
    """Of the tick in its origin; -1 where an older program wrote it."""


_encoder = msgspec.msgpack.Encoder()
_event_decoder = msgspec.msgpack.Decoder(WideEvent)
_ticks_decoder = msgspec.msgpack.Decoder(list[OriginTick])


def encode_wide_event(event: WideEvent) -> bytes:
    """Return the log's payload for `event`."""
    return _encoder.encode(event)


def decode_wide_event(payload: bytes) -> WideEvent:
    """Return the event of a log payload.

    Raises:
        msgspec.DecodeError: the payload is no such event.
    """
    return _event_decoder.decode(payload)


def encode_origin_ticks(ticks: list[OriginTick]) -> bytes:
    """Return the log's payload for ticks, each origin's in its order."""
    return _encoder.encode(ticks)


def decode_origin_ticks(payload: bytes) -> list[OriginTick]:
    """Return the ticks of a log payload.

    Raises:
        msgspec.DecodeError: the payload holds no such ticks.
    """
    return _ticks_decoder.decode(payload)
