"""A console as cheap as can be, so that the figures are the server's: raw sockets, frames hardly looked at.

A frame that many consoles get is parsed once; states are only counted.
"""

import asyncio
import base64
import json
import os
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast

JOIN_TIMEOUT_S = 120.0
JOIN_AT_ONCE = 50
_EVENTS = b'{"type":"ev"'
_PING = b'{"type":"ping"'
_SNAP = b'{"type":"snap"'
_TEXT, _PROTOCOL_PING, _PROTOCOL_PONG = 1, 9, 10

Box = tuple[float, float, float, float]


class Frames:
    """What consoles share: frames of changes, parsed, and how late each console got one."""

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self._data = b""
        self._parsed: tuple[int, int, float, list[tuple[str, int]]] = (0, 0, 0.0, [])

    def parsed(self, data: bytes) -> tuple[int, int, float, list[tuple[str, int]]]:
        """Return (first offset, last offset, oldest change's time in ms, (incident, revision) of each)."""
        if data != self._data:
            frame = json.loads(data)
            incidents = [each["incident"] for each in frame["events"]]
            oldest_ms = min(datetime.fromisoformat(each["updated"]).timestamp() for each in incidents) * 1000
            self._data = data
            self._parsed = (
                frame["from"],
                frame["to"],
                oldest_ms,
                [(each["id"], each["rev"]) for each in incidents],
            )
        return self._parsed


class Console(asyncio.Protocol):
    """One console: what it was given, and when. With `reads` false it says hello and reads nothing more."""

    def __init__(
        self, frames: Frames, user: str, view: Box | None, *, reads: bool = True, patches: bool = True
    ) -> None:
        self._frames = frames
        self._user = user
        self._view = view
        self._reads = reads
        self._caps = ["patch"] if patches else []
        self._buffer = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None
        self.joined = asyncio.Event()
        self.position = 0
        self.lost = self.repeated = 0
        self.changes = 0
        self.bytes = self.frames = self.change_bytes = 0
        self._revs: dict[str, int] = {}

    async def connect(self, port: int) -> None:
        """Open the socket and wait until the console is up to date."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        await self.joined.wait()

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the feed."""
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /api/v1/feed HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ioc.feed.v1\r\n"
            f"Cookie: ioc_session={self._user}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take whatever came; the rest of a frame may follow."""
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            head, found, _ = buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(head.decode(errors="replace"))
            del buffer[: len(head) + 4]
            self._upgraded = True
            self._begin()
        start = 0
        while (found_at := _frame_at(buffer, start)) is not None:
            opcode, begin, end = found_at
            self._take(opcode, bytes(buffer[begin:end]))
            start = end
        del buffer[:start]

    def _begin(self) -> None:
        hello = {"type": "hello", "client": "benchmark", "caps": self._caps}
        self._send(_TEXT, json.dumps(hello).encode())
        if self._view is not None:
            self._send(_TEXT, json.dumps({"type": "view", "bbox": self._view}).encode())
        if not self._reads:
            assert self._transport is not None
            self._transport.pause_reading()
            self.joined.set()

    def _send(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None and len(payload) < 126
        # Masked with zeros, which is a mask like any other.
        self._transport.write(struct.pack("!BBI", 0x80 | opcode, 0x80 | len(payload), 0) + payload)

    def _take(self, opcode: int, data: bytes) -> None:
        if opcode == _PROTOCOL_PING:
            self._send(_PROTOCOL_PONG, data)
        if opcode != _TEXT:
            return
        self.bytes += len(data)
        self.frames += 1
        if data.startswith(_EVENTS):
            self._take_changes(data)
        elif data.startswith(_PING):
            self._send(_TEXT, json.dumps({"type": "pong", "t": json.loads(data)["t"]}).encode())
        elif data.startswith(_SNAP):
            page = json.loads(data)
            self._revs |= {item["id"]: item["rev"] for item in page["items"]}
            if page["last"]:
                self.position = page["offset"]
                self.joined.set()

    def _take_changes(self, data: bytes) -> None:
        first, last, at_ms, events = self._frames.parsed(data)
        self._frames.delays_ms.append(time.time() * 1000 - at_ms)
        self.lost += first != self.position + 1
        self.position = last
        self.changes += len(events)
        self.change_bytes += len(data)
        for incident, rev in events:
            known = self._revs.get(incident, rev - 1)
            self.lost += max(0, rev - known - 1)
            self.repeated += rev <= known
            self._revs[incident] = rev


def _frame_at(buffer: bytearray, start: int) -> tuple[int, int, int] | None:
    """Return (opcode, begin, end) of the frame at `start`, None while it is not all there."""
    if len(buffer) < start + 2:
        return None
    size, begin = buffer[start + 1], start + 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        size = int.from_bytes(buffer[begin : begin + wide], "big")
        begin += wide
    # A size that is cut off leaves `begin` behind the end, whatever it seems to be.
    return (buffer[start] & 15, begin, begin + size) if len(buffer) >= begin + size else None


@asynccontextmanager
async def connected(consoles: Sequence[Console], port: int) -> AsyncIterator[None]:
    """Connect all of `consoles`, a few at once; they are up to date inside."""
    try:
        async with asyncio.timeout(JOIN_TIMEOUT_S):
            for start in range(0, len(consoles), JOIN_AT_ONCE):
                async with asyncio.TaskGroup() as group:
                    for console in consoles[start : start + JOIN_AT_ONCE]:
                        group.create_task(console.connect(port))
        yield
    finally:
        for console in consoles:
            console.close()
