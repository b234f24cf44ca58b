"""Samples of every format that ingest understands, real ones where they are at hand and our own beside them.

Each family's module holds `SAMPLES`. From them come the table in docs/conformance.md (`python -m
tests.conformance`), the hostile inputs of `tests/unit/ingest/test_hostile_input.py` and the workload of
`python -m benchmarks decoders`.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Final

import msgspec

from ioc.ingest.decoders import DECODERS
from ioc.ingest.decoders.base import Decode, DecodeContext
from ioc.ingest.decoders.media import media_type
from ioc.ingest.decoders.moments import zone_of
from ioc.model.times import parse_us

DATA: Final = Path(__file__).resolve().parents[3] / "shared" / "data"
NOW_US: Final = parse_us("2026-11-22T10:00:00Z")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a sender sends it: `path`, a file under ../shared/data, or `body`, written by us."""

    format: str
    """As people call it, e.g. `ONVIF Profile M, JSON over MQTT`."""
    name: str
    """What it tells, e.g. `line crossing`."""
    decoder: str
    path: str | None = None
    body: bytes | None = None
    content_type: str | None = None
    """With its boundary where it is multipart."""
    topic: str | None = None
    time_zone: str | None = None
    options: dict[str, str] = {}
    messages: int = 1
    """How many the sender has put into this one body: lines, requests, entities of a notification."""

    @property
    def content(self) -> bytes | None:
        """What is sent; None for a real sample that is not at hand."""
        if self.body is not None:
            return self.body
        file = DATA / (self.path or "")
        return file.read_bytes() if file.is_file() else None

    def context(self, device_id: str = "dev-1") -> DecodeContext:
        """Return what its decoder is told besides."""
        media, boundary = media_type(self.content_type)
        return DecodeContext(
            device_id=device_id,
            now_us=NOW_US,
            content_type=media,
            boundary=boundary,
            topic=self.topic,
            zone=zone_of(self.time_zone),
            options=self.options,
            max_events=100_000,  # a recording holds more than a body may
        )

    def decode(self, content: bytes) -> Decode:
        """Return what its decoder makes of `content`."""
        return DECODERS[self.decoder].decode(content, self.context())


def samples() -> list[Sample]:
    """Return the samples of every family, by format."""
    found: list[Sample] = []
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            found += importlib.import_module(f"{__name__}.{module.name}").SAMPLES
    return sorted(
        found, key=lambda sample: (sample.format.lower(), sample.path is None, sample.path or "", sample.name)
    )
