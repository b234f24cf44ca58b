"""Messages a second and core of every decoder, over the samples that the tests decode.

JSON formats are to reach 50,000 messages a second, XML 5,000. A message is one body as its sender sends it,
or one of several that the sender has put into a body: `Sample.messages` says how many.

Processor time of this one thread counts. That hides who waits for the processor, not who shares its caches
and its clock, so the passes over a sample lie apart: a neighbour's minute is in one pass of each sample, and
the median leaves it out. The clock is read once a batch, since reading it costs as much as a twentieth of a
small message; `p50_ms` and `p99_ms` come from a pass of their own that reads it at each message.
"""

import argparse
import statistics
import sys
import time

from benchmarks.machine import percentile
from ioc.ingest.decoders import DECODERS, gathering
from tests.conformance import Sample, samples

JSON_PER_S = 50_000
XML_PER_S = 5_000
_PASS_S = 0.1
_BATCH = 32
_GZIP = b"\x1f\x8b"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--repeats", type=int, default=9, help="rounds, whose median is quoted")
    parser.add_argument("--format", help="only formats whose name contains this")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return messages a second by format and sample."""
    wanted = (arguments.format or "").lower()
    chosen = [
        (each, each.body) for each in samples() if each.body is not None and wanted in each.format.lower()
    ]
    rounds = []
    for number in range(arguments.repeats + 1):
        sys.stderr.write(f"round {number} of {arguments.repeats}, {len(chosen)} samples\n")
        rounds.append([_rate(sample, body) for sample, body in chosen])
    # The first has warmed up.
    rates = [statistics.median(of_sample) for of_sample in zip(*rounds[1:], strict=True)]
    targets = {"json_messages_per_s": JSON_PER_S, "xml_messages_per_s": XML_PER_S}
    compiled = not gathering.__file__.endswith(".py")
    return {
        "workload": {"repeats": arguments.repeats, "compiled": compiled, **targets},
        "formats": {
            f"{sample.format}: {sample.name}": _report(sample, body, bodies_per_s)
            for (sample, body), bodies_per_s in zip(chosen, rates, strict=True)
        },
    }


def _report(sample: Sample, content: bytes, bodies_per_s: float) -> dict[str, object]:
    events = len(DECODERS[sample.decoder].decode(content, sample.context()).events)
    per_s = bodies_per_s * sample.messages
    times_s = _times_s(sample, content)
    target = _target(content)
    return {
        "bodies_per_s": round(bodies_per_s),
        "events_per_s": round(bodies_per_s * events),
        "messages_per_s": round(per_s),
        "target_per_s": target,
        "reached": None if target is None else per_s >= target,
        "bytes": len(content),
        "events": events,
        "p50_ms": round(1_000 * percentile(times_s, 0.5), 4),
        "p99_ms": round(1_000 * percentile(times_s, 0.99), 4),
    }


def _target(content: bytes) -> int | None:
    """Return what is asked of a body, None where it is neither JSON nor XML by itself."""
    start = content.lstrip()[:2]
    if start[:1] in (b"{", b"["):
        return JSON_PER_S
    return XML_PER_S if start[:1] == b"<" or start == _GZIP else None


def _rate(sample: Sample, content: bytes) -> float:
    """Return the bodies a second of one pass."""
    decoder, context = DECODERS[sample.decoder], sample.context()
    bodies = 0
    before_s = after_s = time.thread_time()
    while after_s - before_s < _PASS_S:
        for _ in range(_BATCH):
            decoder.decode(content, context)
        bodies += _BATCH
        after_s = time.thread_time()
    return bodies / (after_s - before_s)


def _times_s(sample: Sample, content: bytes) -> list[float]:
    """Return the processor time of each body of one pass, seconds."""
    decoder, context = DECODERS[sample.decoder], sample.context()
    times_s: list[float] = []
    before_s = begun_s = time.thread_time()
    while before_s - begun_s < _PASS_S:
        decoder.decode(content, context)
        after_s = time.thread_time()
        times_s.append(after_s - before_s)
        before_s = after_s
    return times_s
