"""Samples of every format that ingest understands, real ones where they are at hand and our own beside them.

Each family's module holds `SAMPLES`. From them come the table in docs/conformance.md, the hostile inputs of
`tests/unit/ingest/test_hostile_input.py` and the workload of `python -m benchmarks decoders`.
"""

import msgspec


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
