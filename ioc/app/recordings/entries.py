"""An event or a tick as one line: a CloudEvent in JSON, exact to the microsecond, so that nothing is lost."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from ioc.app.recordings import DamagedRecording
from ioc.model.events import DATA_TYPES, Event, EventData
from ioc.model.records import Tick
from ioc.model.times import from_us, to_us

Entry = Event | Tick
"""What a recording consists of, in the order of the log."""

TICK_TYPE: Final = "ioc.tick"
"""The clock's lines: who is interested in events only leaves them out."""
TICK_SOURCE: Final = "ioc"

_NONE: Final = msgspec.Raw(b"")
_Zoned = Annotated[datetime, msgspec.Meta(tz=True)]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """The attributes in the order in which they are written."""

    specversion: str
    id: str
    source: str
    type: str
    time: _Zoned
    received: _Zoned | None = None
    """When the gateway took it."""
    stream: str | None = None
    ward: str | None = None
    lon: float | None = None
    lat: float | None = None
    subject: str | None = None
    traceparent: str | None = None
    data: msgspec.Raw = _NONE


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode
_data_decoders: Final[dict[str, Callable[[bytes], Any]]] = {
    name: msgspec.json.Decoder(structure).decode for name, structure in DATA_TYPES.items()
}
_TAGS: Final = {name: f'{{"type":"{name}"'.encode() for name in DATA_TYPES}


def moment_us(entry: Entry) -> int:
    """Return when the log took `entry`: what recordings are cut and replayed by."""
    return entry.now_us if isinstance(entry, Tick) else entry.received_us


def line_of(entry: Entry) -> Line:
    """Return the attributes of `entry`."""
    if isinstance(entry, Tick):
        return Line("1.0", f"tick-{entry.now_us}", TICK_SOURCE, TICK_TYPE, from_us(entry.now_us))
    type_name = entry.type
    return Line(
        "1.0",
        entry.id,
        entry.source,
        type_name,
        from_us(entry.time_us),
        from_us(entry.received_us),
        entry.stream.value,
        entry.ward,
        entry.lon,
        entry.lat,
        entry.subject,
        entry.trace,
        msgspec.Raw(encode_data(entry.data, type_name)),
    )


def encode_data(data: EventData, type_name: str) -> bytes:
    """Return an event's data as JSON; the type is the line's and does not stand in it."""
    raw = _encode(data)
    return b"{" + raw[len(_TAGS[type_name]) :].removeprefix(b",")


def encode_entries(entries: Iterable[Entry]) -> bytes:
    """Return `entries` as lines, each with its end."""
    return b"".join([_encode(line_of(entry)) + b"\n" for entry in entries])


def decode_entry(line: bytes) -> Entry:
    """Return the entry of one line.

    Raises:
        DamagedRecording: the line is not one of ours.
    """
    try:
        return entry_of(_decode(line))
    except (msgspec.MsgspecError, KeyError, ValueError, UnicodeDecodeError) as error:
        shown = line[:120].decode(errors="replace")
        raise DamagedRecording(f"not a line of a recording ({error}): {shown}") from error


def entry_of(line: Line) -> Entry:
    """Return the entry with these attributes.

    Raises:
        msgspec.MsgspecError: the data is not of its type.
        KeyError: the type is unknown.
        ValueError: an event without the time at which it was received.
    """
    if line.type == TICK_TYPE:
        return Tick(to_us(line.time))
    if line.received is None:
        raise ValueError("`received` is missing")
    return Event(
        id=line.id,
        source=line.source,
        time_us=to_us(line.time),
        received_us=to_us(line.received),
        data=_data_decoders[line.type](line.data),
        ward=line.ward,
        lon=line.lon,
        lat=line.lat,
        subject=line.subject,
        trace=line.traceparent,
    )
