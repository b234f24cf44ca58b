"""JSON bytes in, incidents out, on one core: decode, locate, 100 rules, 1,000 fences, 50,000 live keys.

Throughput comes from passes without instruments; the shares from a separate pass with timed stages.
`events_per_s` counts wall time, `events_per_cpu_s` the processor time of this one thread: on an idle machine
they agree, on a shared one the second is the engine's own.
"""

import argparse
import gc
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil

from benchmarks import city
from ioc.geo.index import AreaIndex
from ioc.ingest.decoders.base import DecodeContext
from ioc.ingest.decoders.cloudevents import CloudEvents
from ioc.model.events import Event
from ioc.model.incidents import Effect
from ioc.model.records import Tick
from ioc.rules import PartitionEngine, Program
from ioc.rules.columns import EventColumns
from ioc.rules.compile import load
from ioc.rules.spell import SpellMachine

START_US = int(city.START.timestamp()) * 1_000_000
POINTS_PER_LOOKUP = 500
RULES_PER_FILE = 100
LOOKUPS = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--events", type=int, default=60_000, help="events of one pass")
    parser.add_argument("--repeats", type=int, default=5, help="passes whose median is quoted")
    parser.add_argument("--batch", type=int, default=1_000, help="events a body, and a poll")


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure and return the figures."""
    _one_core()
    areas = city.areas()
    index, build_s = _timed(lambda: AreaIndex(areas))
    programs = {count: _program(count, index) for count in (100, 1_000)}
    traffic = city.Traffic()
    prefill = city.bodies(traffic.hot_everywhere(), arguments.batch)
    passes = [
        city.bodies(traffic.events(arguments.events), arguments.batch)
        for _ in range(2 * arguments.repeats + 2)
    ]
    _say("100 rules")
    line = _Line(programs[100], index)
    for body in prefill:
        line.take(body)
    before = _matched(line)
    rates, cpu_rates = _rates(line, passes[: arguments.repeats + 1], arguments.events)
    reached = (_matched(line) - before) / (arguments.events * (arguments.repeats + 1))
    figures = {"load": {"rules_reached_per_event": round(reached, 3), **_load(line)}}
    _say("shares")
    shares = _shares(line, passes[arguments.repeats + 1])
    _say("1,000 rules")
    many = _Line(programs[1_000], index)
    for body in prefill:
        many.take(body)
    _, many_rates = _rates(many, passes[arguments.repeats + 2 :], arguments.events)
    return {
        "workload": {
            "events": arguments.events,
            "repeats": arguments.repeats,
            "batch": arguments.batch,
            "bytes_per_event": round(sum(map(len, passes[0])) / arguments.events),
            "rules": 100,
            "fences": sum(city.FENCES.values()),
            "wards": city.WARDS_PER_SIDE**2,
            "hot_share": city.HOT_SHARE,
        },
        "events_per_s": rates[0],
        "events_per_cpu_s": cpu_rates[0],
        "events_per_cpu_s_all": cpu_rates[1],
        "shares": shares,
        "rules_1000": {
            "events_per_cpu_s": many_rates[0],
            "cost_ratio": round(cpu_rates[0] / many_rates[0], 2),
        },
        **figures,
        "fences": {"build_s": round(build_s, 2), **_lookups(index)},
        "state": _state(line, programs[100], index, prefill),
        "rss_mb": round(psutil.Process().memory_info().rss / 2**20, 1),
    }


def _one_core() -> None:
    """Stay on one core, the last we may use: others' interrupts prefer the first."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _program(count: int, index: AreaIndex) -> Program:
    texts = city.rules(count).split("\n---\n")
    files = {
        f"bench-{first}.yaml": "\n---\n".join(texts[first : first + RULES_PER_FILE])
        for first in range(0, count, RULES_PER_FILE)
    }
    return load(files, index, max_rules=count)


class _Line:
    """The way of an event without the parts that wait: no socket, no log, no store."""

    def __init__(self, program: Program, index: AreaIndex) -> None:
        self.engine = PartitionEngine(program, partition=0)
        self.effects = 0
        self._decoder = CloudEvents()
        self._index = index
        self._codes = [*(area.code for area in index.members("ward")), None]
        self._now_us = START_US
        self._offset = 0

    def take(self, body: bytes) -> list[Effect]:
        """Take one body through to its effects; a tick follows where a second is over."""
        items: list[tuple[int, Event | Tick]] = list(enumerate(self.events(body), self._offset))
        self._offset += len(items) + 1
        newest_us = items[-1][1].time_us if isinstance(items[-1][1], Event) else self._now_us
        if newest_us - self._now_us >= 1_000_000:
            self._now_us = newest_us
            items.append((self._offset, Tick(newest_us)))
        effects = self.engine.on_batch(items)
        self.effects += len(effects)
        return effects

    def events(self, body: bytes) -> list[Event]:
        """Decode a body and find each event's ward by its position."""
        context = DecodeContext(device_id="bench", now_us=self._now_us, content_type="application/x-ndjson")
        decoded = self._decoder.decode(body, context).events
        wards = self.wards([d.lon for d in decoded], [d.lat for d in decoded])
        now_us = self._now_us
        return [
            Event(
                id=d.id,
                source=d.source,
                time_us=d.time_us,
                received_us=now_us,
                data=d.data,
                ward=ward,
                lon=d.lon,
                lat=d.lat,
                subject=d.subject,
            )
            for d, ward in zip(decoded, wards, strict=True)
        ]

    def wards(self, lon: Sequence[float | None], lat: Sequence[float | None]) -> list[str | None]:
        """Return the ward of every position."""
        found = self._index.locate(np.array(lon, dtype=np.float64), np.array(lat, dtype=np.float64))
        codes = self._codes
        return [codes[number] for number in found.tolist()]


def _rates(
    line: _Line, passes: Sequence[Sequence[bytes]], events: int
) -> tuple[tuple[int, list[int]], tuple[int, list[int]]]:
    """Return events per second of wall time and of processor time: median, all. The first pass warms up."""
    wall: list[int] = []
    own: list[int] = []
    for number, bodies in enumerate(passes):
        gc.collect()
        wall_s, own_s = time.perf_counter(), time.process_time()
        for body in bodies:
            line.take(body)
        wall_s, own_s = time.perf_counter() - wall_s, time.process_time() - own_s
        line.engine.drain_changes()
        if number:
            wall.append(round(events / wall_s))
            own.append(round(events / own_s))
    return (round(statistics.median(wall)), wall), (round(statistics.median(own)), own)


def _matched(line: _Line) -> int:
    return sum(counters.matched for counters in line.engine.counters.values())


def _load(line: _Line) -> dict[str, object]:
    """Return what the events did, so that nobody mistakes an idle engine for a fast one."""
    return {
        "live_keys": sum(line.engine.key_counts.values()),
        "incidents": sum(counters.raised for counters in line.engine.counters.values()),
        "effects": line.effects,
        "failures": len(line.engine.failures),
    }


# shares -----------------------------------------------------------------------------------------------------


class _Clock:
    """Processor time per stage; a stage inside another counts for the inner one only."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = {}
        self._stack: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        inner_before = sum(self.spent_s.values())
        try:
            yield
        finally:
            inner = sum(self.spent_s.values()) - inner_before
            self.spent_s[name] = self.spent_s.get(name, 0.0) + time.perf_counter() - began - inner

    def wrap(self, owner: type, method: str, name: str) -> Callable[[], None]:
        """Time a method as `name`; the result undoes it."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return original(*args, **kwargs)

        setattr(owner, method, timed)
        return lambda: setattr(owner, method, original)


_STAGES: tuple[tuple[type, str, str], ...] = (
    (CloudEvents, "decode", "decode"),
    (_Line, "events", "events"),
    (_Line, "wards", "fences"),
    (EventColumns, "_read_numbers", "columns"),
    (EventColumns, "objects", "columns"),
    (EventColumns, "within", "fences"),
    (EventColumns, "holds", "predicates"),
    (SpellMachine, "feed", "state"),
    (SpellMachine, "on_watermark", "state"),
    (PartitionEngine, "on_batch", "dispatch"),
)


def _shares(line: _Line, bodies: Sequence[bytes]) -> dict[str, float]:
    clock = _Clock()
    undo = [clock.wrap(*stage) for stage in _STAGES]
    try:
        with clock.stage("other"):
            for body in bodies:
                line.take(body)
    finally:
        for restore in undo:
            restore()
    total_s = sum(clock.spent_s.values())
    return {name: round(spent / total_s, 3) for name, spent in sorted(clock.spent_s.items())}


# fences and state -------------------------------------------------------------------------------------------


def _lookups(index: AreaIndex) -> dict[str, object]:
    chance = np.random.default_rng(4)
    lon = chance.uniform(city.WEST, city.EAST, (LOOKUPS, POINTS_PER_LOOKUP))
    lat = chance.uniform(city.SOUTH, city.NORTH, (LOOKUPS, POINTS_PER_LOOKUP))
    fences = index.select(codes=[area.code for area in index.areas if area.kind != "ward"])
    wards = index.select("ward")
    report: dict[str, object] = {"batch": POINTS_PER_LOOKUP}
    for name, chosen in (("fences", fences), ("wards", wards)):
        rates = []
        for _ in range(8):
            began = time.process_time()
            for x, y in zip(lon, lat, strict=True):
                chosen.locate(x, y)
            rates.append(LOOKUPS * POINTS_PER_LOOKUP / (time.process_time() - began))
        report[f"{name}_points_per_s"] = round(statistics.median(rates[1:]))
    report["points_per_s"] = report["fences_points_per_s"]
    return report


def _state(line: _Line, program: Program, index: AreaIndex, prefill: Sequence[bytes]) -> dict[str, object]:
    """Return bytes per live key: as stored (every row of an engine) and as held in memory (traced)."""
    whole = _Line(program, index)
    for body in prefill:
        whole.take(body)
    rows = [row for row in whole.engine.drain_changes() if row.rule and row.data is not None]
    stored = [len(row.rule) + len(row.key) + len(row.data or b"") for row in rows]
    del whole
    gc.collect()
    tracemalloc.start()
    held = _Line(program, index)
    before, _ = tracemalloc.get_traced_memory()
    for body in prefill:
        held.take(body)
    held.engine.drain_changes()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    keys = sum(held.engine.key_counts.values())
    return {
        "keys": keys,
        "stored_bytes_per_key": round(statistics.mean(stored)),
        "memory_bytes_per_key": round((after - before) / keys),
    }


def _timed(build: Callable[[], AreaIndex]) -> tuple[AreaIndex, float]:
    began = time.perf_counter()
    built = build()
    return built, time.perf_counter() - began


def _say(text: str) -> None:
    print(f"· {text}", file=sys.stderr)
