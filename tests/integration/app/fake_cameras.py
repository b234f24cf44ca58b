"""Little cameras: real sockets that speak HTTP, Digest and multipart as the makers' do."""

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

XML = (
    b'<EventNotificationAlert version="2.0"><channelID>1</channelID>'
    b"<dateTime>2026-11-22T17:00:%02d+07:00</dateTime><activePostCount>1</activePostCount>"
    b"<eventType>fielddetection</eventType><eventState>active</eventState></EventNotificationAlert>"
)
HEARTBEAT = XML.replace(b"fielddetection", b"videoloss").replace(b">active<", b">inactive<")
LINE = b'Code=CrossLineDetection;action=Start;index=0;data={\n  "Name" : "gate", "RealUTC" : 17953416%02d\n}'
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40 + b"\r\n--boundary in a picture\xff\xd9"


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[bool]]
"""Returns whether another request may follow; else the connection is held until the other side closes it."""


def part(body: bytes, media: bytes = b"application/xml", length: int | None = -1) -> bytes:
    """Return a part; without Content-Length where `length` is None, with the right one where it is -1."""
    stated = b"" if length is None else b"Content-Length: %d\r\n" % (len(body) if length == -1 else length)
    return b"--boundary\r\nContent-Type: " + media + b"\r\n" + stated + b"\r\n" + body + b"\r\n"


class Camera:
    """A server that asks for a login where it has one, and then answers with `answer`."""

    def __init__(self, answer: Answer, user: str = "", password: str = "", scheme: str = "digest") -> None:
        self.answer = answer
        self.user, self.password, self.scheme = user, password, scheme
        self.asked: list[Asked] = []
        self.let_in: list[Asked] = []
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self._nonces = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection until the other side closes it, or an answer ends it."""
        self.open += 1
        self.writers.append(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(await _read(reader), writer):
                    await writer.drain()
                await writer.drain()
                await reader.read(1)
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        self.asked.append(asked)
        if self.user and not self._lets_in(asked):
            self._nonces += 1
            challenge = 'Basic realm="IP Camera"'
            if self.scheme == "digest":
                challenge = (
                    f'Digest qop="auth", realm="IP Camera(C1234)", nonce="n{self._nonces}", stale="FALSE"'
                )
            body = b"<html>401 Unauthorized</html>"
            writer.write(
                f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            return True
        self.let_in.append(asked)
        return await self.answer(asked, writer)

    def _lets_in(self, asked: Asked) -> bool:
        given = asked.headers.get("authorization", "")
        if self.scheme == "basic":
            expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return given == f"Basic {expected}"
        field = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        if field.get("uri") != asked.path or field.get("username") != self.user:
            return False
        known = _md5(f"{self.user}:{field['realm']}:{self.password}")
        what = _md5(f"{asked.method}:{asked.path}")
        expected = _md5(f"{known}:{field['nonce']}:{field['nc']}:{field['cnonce']}:auth:{what}")
        return field["response"] == expected


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name
    }
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def serving(camera: Camera, tls: ssl.SSLContext | None = None) -> AsyncIterator[Camera]:
    """Let the camera be reached until the end of the block."""
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0, ssl=tls)
    camera.port = server.sockets[0].getsockname()[1]
    try:
        yield camera
    finally:
        server.close()
        for writer in camera.writers:
            writer.transport.abort()
        async with asyncio.timeout(10):
            while camera.open:  # noqa: ASYNC110 - connections end by themselves
                await asyncio.sleep(0.01)


def streaming(
    *chunks: bytes, media: str = 'multipart/mixed; boundary="boundary"', then: str = "hold"
) -> Answer:
    """Answer with these chunks and then hold the connection, or close it."""

    async def answer(_asked: Asked, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nConnection: close\r\n\r\n".encode())
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if then == "close":
            raise ConnectionError
        return False

    return answer


def once(status: str, body: bytes = b"", *headers: str) -> Answer:
    """Answer with one whole answer."""

    async def answer(_asked: Asked, writer: asyncio.StreamWriter) -> bool:
        lines = "".join(f"{header}\r\n" for header in headers)
        writer.write(f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return True

    return answer
