"""Anchors of the audit log: its newest hashes, written outside the database once an hour.

Whoever can rewrite the whole database can compute every chain anew; the file says what the hashes were. It
grows by one line per area that had new entries. Keep it, or copy it, where the database's administrator
cannot write (`audit.anchors`).
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
import structlog
from prometheus_client import Gauge

from ioc.app.retry import RETRYABLE
from ioc.model.times import format_us
from ioc.store.audit import Anchor, read_heads
from ioc.store.pool import Pool

_log = structlog.get_logger()
_anchored = Gauge(
    "ioc_audit_anchored_timestamp_seconds", "When the audit log was last anchored, seconds since 1970"
)
_FIRST_S: Final = 60.0


class AnchorFileError(ValueError):
    """The file of anchors holds a line that is none; the message says which."""


class _Line(msgspec.Struct, frozen=True):
    at: str
    area: str
    seq: int
    hash: str


def read_anchors(path: Path) -> list[Anchor]:
    """Return every anchor of the file, none where there is no file.

    Raises:
        AnchorFileError: a line is no anchor.
    """
    return list(_lines(path)) if path.exists() else []


def _lines(path: Path) -> Iterator[Anchor]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                raise AnchorFileError(f"{path}:{number}: not an anchor: {error}") from error
            yield Anchor(found.area, found.seq, found.hash)


def append_anchors(path: Path, anchors: list[Anchor], now_us: int) -> None:
    """Write `anchors` behind those of the file; they are on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    at = format_us(now_us)
    lines = [msgspec.json.encode(_Line(at, each.area, each.seq, each.hash)) + b"\n" for each in anchors]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


class AuditKeeper:
    """Anchors the audit log, soon after the start and then every `interval_s`."""

    def __init__(self, pool: Pool, path: Path, interval_s: float, now_us: Callable[[], int]) -> None:
        self._pool = pool
        self._path = path
        self._interval_s = interval_s
        self._now_us = now_us
        self._known: dict[str, int] | None = None

    async def run(self) -> None:
        """Anchor until cancelled."""
        await asyncio.sleep(min(_FIRST_S, self._interval_s))
        while True:
            try:
                await self.anchor()
            except (*RETRYABLE, OSError, AnchorFileError) as error:
                # Somebody must act where the file cannot be written: the gauge grows old.
                _log.error("the audit log could not be anchored", file=str(self._path), error=str(error))
            await asyncio.sleep(self._interval_s)

    async def anchor(self) -> int:
        """Write the areas that have new entries and return how many."""
        if self._known is None:
            known = await anyio.to_thread.run_sync(read_anchors, self._path)
            self._known = {anchor.area: anchor.seq for anchor in known}
        async with self._pool.connection() as connection:
            heads = await read_heads(connection)
        new = [head for head in heads if head.seq > self._known.get(head.area, 0)]
        if new:
            await anyio.to_thread.run_sync(append_anchors, self._path, new, self._now_us())
            self._known |= {head.area: head.seq for head in new}
        _anchored.set(self._now_us() / 1e6)
        return len(new)
