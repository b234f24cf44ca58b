"""Hikvision's alert stream and Dahua's event manager: one answer that never ends, in parts."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import httpx

from ioc.app.attach.stream import AttachedStream
from ioc.app.attach.target import addresses
from ioc.ingest.part_stream import NoBoundaryError, PartReader, StreamPart
from ioc.outbound.camera import CameraDoor, CameraError, plainly

_HEADERS: Final = {"Accept": "multipart/mixed, multipart/x-mixed-replace, */*"}
_End = CameraError | None
_Chunks = asyncio.Queue[bytes | _End]


async def hold(stream: AttachedStream, door: CameraDoor, connecting: asyncio.Semaphore) -> None:
    """Read until the stream ends.

    Raises:
        CameraError: it could not be had, or why it ended.
    """
    with plainly():
        async with connecting, asyncio.timeout(stream.settings.timeout_s):
            response = await _open(stream, door)
    try:
        stream.connected()
        end = await _read(stream, response)
    finally:
        await response.aclose()
    raise end


async def _open(stream: AttachedStream, door: CameraDoor) -> httpx.Response:
    urls = addresses(stream.target, stream.settings.heartbeat_s)
    for url in urls:
        response = await door.send("GET", url, stream.target.reach, headers=_HEADERS)
        if response.status_code == httpx.codes.NOT_FOUND and url != urls[-1]:
            await response.aclose()
            continue
        try:
            _see_that_it_streams(response)
        except CameraError:
            await response.aclose()
            raise
        return response
    raise AssertionError("there is always an address")


def _see_that_it_streams(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise CameraError("answer", f"answered {response.status_code} for {response.url.path}")
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        # A few bytes may unpack to any size before they could be counted.
        raise CameraError("answer", "answered compressed, which was not asked for")
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media and not media.startswith("multipart/"):
        raise CameraError("answer", f"answered {media[:60]}, expected multipart")


async def _read(stream: AttachedStream, response: httpx.Response) -> CameraError:
    """Return why it ended."""
    # A queue of one: what waits for the log keeps the camera from sending more. Its `get` loses nothing when
    # the wait is given up.
    chunks = _Chunks(1)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(_pass_on(response, chunks))
        try:
            return await _take_parts(stream, chunks)
        finally:
            reading.cancel()


async def _pass_on(response: httpx.Response, chunks: _Chunks) -> None:
    end: _End = None
    try:
        with plainly():
            async for chunk in response.aiter_raw():
                await chunks.put(chunk)
    except CameraError as error:
        end = error
    await chunks.put(end)


async def _take_parts(stream: AttachedStream, chunks: _Chunks) -> CameraError:
    settings = stream.settings
    reader = PartReader(settings.max_head_bytes, settings.max_part_bytes)
    while True:
        chunk: bytes | _End = b""
        try:
            async with asyncio.timeout(settings.quiet_s if reader.waits else None):
                chunk = await chunks.get()
        except TimeoutError:
            await _take(stream, reader, reader.settle())
            if reader.waits:  # half of a part: until more comes there is nothing to do
                chunk = await chunks.get()
        if not isinstance(chunk, bytes):
            await _take(stream, reader, reader.settle())
            return chunk or CameraError("ended", "the camera ended the stream")
        if chunk:
            stream.heard()
            try:
                found = reader.feed(chunk)
            except NoBoundaryError as error:
                return CameraError("answer", f"answered no multipart: {error}")
            await _take(stream, reader, found)


async def _take(stream: AttachedStream, reader: PartReader, parts: Sequence[StreamPart]) -> None:
    for fault, count in reader.faults.items():
        stream.passed_over(fault, count)
    reader.faults.clear()
    for content_type, bodies in _documents(stream, parts):
        await stream.take(bodies, content_type)


def _documents(
    stream: AttachedStream, parts: Sequence[StreamPart]
) -> Iterator[tuple[str | None, list[bytes]]]:
    """Yield what is no picture, neighbours of one type together."""
    for (content_type, is_picture), run in groupby(parts, lambda part: (part.content_type, part.is_picture)):
        bodies = [part.body for part in run]
        if is_picture:
            stream.passed_over("picture", len(bodies))
        else:
            yield content_type, bodies
