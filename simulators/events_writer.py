"""Writes what a simulated city sent as a recording (docs/recordings.md), as if a service had taken it.

Its lines bear what the service adds: ward and stream, position, time of arrival, and the clock's ticks.
"""

import hashlib
import struct
import zlib
from typing import IO, Any, Final

import cramjam
import msgspec

from simulators.events_file import TICK_TYPE
from simulators.fleet import Fleet, gap_m
from simulators.senders import json_bytes
from simulators.times import format_us
from simulators.world import Event

_MAGIC: Final = 0x184D2A5A
_HEAD: Final = struct.Struct("<II")
FRAME_LINES: Final = 5_000
LEVEL: Final = 3
"""Of zstd: its default."""


class EventsWriter:
    """One recording in the making; `close` makes it whole."""

    def __init__(self, file: IO[bytes], fleet: Fleet, made_us: int, tool: str) -> None:
        """Begin with the header; `made_us` stands in it, so that the same run gives the same bytes."""
        self._file = file
        self._fleet = fleet
        self._lines: list[bytes] = []
        self._digest = hashlib.sha256()
        self._frames = 0
        self._ticks = 0
        self._streams: dict[str, int] = {}
        self._first_us: int | None = None
        self._last_us = made_us
        self._note({"part": "header", "ioc_recording": 1, "made": format_us(made_us), "tool": tool})

    @property
    def events(self) -> int:
        """Events written so far."""
        return sum(self._streams.values())

    def second(self, events: list[Event], end_us: int) -> None:
        """Add the events of one second and the tick behind them, which is also when they arrived."""
        for event in events:
            stream = str(event["type"]).partition(".")[0]
            self._streams[stream] = self._streams.get(stream, 0) + 1
            self._add(json_bytes(self._as_taken(event, stream, end_us)), end_us)
        tick = {"specversion": "1.0", "id": f"tick-{end_us}", "source": "ioc", "type": TICK_TYPE}
        self._ticks += 1
        self._add(json_bytes(tick | {"time": format_us(end_us)}), end_us)

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._frame()
        self._note(
            {
                "part": "footer",
                "frames": self._frames,
                "events": self.events,
                "ticks": self._ticks,
                "streams": dict(sorted(self._streams.items())),
                "first": None if self._first_us is None else format_us(self._first_us),
                "last": None if self._first_us is None else format_us(self._last_us),
                "sha256": self._digest.hexdigest(),
            }
        )

    def _as_taken(self, event: Event, stream: str, received_us: int) -> dict[str, object]:
        unit = self._fleet.units[str(event["source"])]
        lon, lat = event.get("lon", unit.lon), event.get("lat", unit.lat)
        ward = unit.ward
        if "lon" in event:
            place = msgspec.structs.replace(unit, lon=float(str(lon)), lat=float(str(lat)))
            others = (*self._fleet.cameras, *self._fleet.detectors)
            ward = min(others, key=lambda other: gap_m(place, other)).ward
        added = {"received": format_us(received_us), "stream": stream, "ward": ward, "lon": lon, "lat": lat}
        head = {name: event[name] for name in ("specversion", "id", "source", "type", "time")}
        return {**head, **added, "data": event["data"]}

    def _add(self, line: bytes, at_us: int) -> None:
        self._first_us = at_us if self._first_us is None else self._first_us
        self._last_us = at_us
        self._lines.append(line + b"\n")
        if len(self._lines) >= FRAME_LINES:
            self._frame()

    def _frame(self) -> None:
        if not self._lines:
            return
        plain = b"".join(self._lines)
        packed = bytes(cramjam.zstd.compress(plain, level=LEVEL))
        self._digest.update(plain)
        self._frames += 1
        sizes = {"bytes": len(packed), "plain_bytes": len(plain), "lines": len(self._lines)}
        self._note({"part": "frame", "number": self._frames, **sizes, "crc32": zlib.crc32(plain)})
        self._file.write(packed)
        self._lines = []

    def _note(self, note: dict[str, Any]) -> None:
        raw = json_bytes(note)
        self._file.write(_HEAD.pack(_MAGIC, len(raw)) + raw)
