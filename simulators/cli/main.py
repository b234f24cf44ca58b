"""`ioc-sim`: builds the demo city and plays it to the service."""

import asyncio
import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from simulators import SimulatorError
from simulators.citizens_client import CitizensClient
from simulators.city import build
from simulators.cli import play as play_command
from simulators.cli.live import Troubles, all_taken, line_of, play_live, target_of, until_signal
from simulators.cli.options import (
    AREAS,
    DEVICES,
    MAX_LENGTH_S,
    MAX_SPEED,
    URL,
    Areas,
    Devices,
    Json,
    Keys,
    Url,
)
from simulators.cli.progress import progress
from simulators.cli.score import TRUTH_SUFFIX, score_scenario
from simulators.cli.sumo import sumo
from simulators.crew import Crew
from simulators.crew_client import CrewClient, password_of
from simulators.faults import MAX_FAULTS, background
from simulators.fleet import Fleet, load_fleet
from simulators.live import LiveCity
from simulators.load import CONNECTIONS, LoadReport, load
from simulators.outbox import Counters
from simulators.recording import load_recording
from simulators.replay import replay
from simulators.rerun import Report, rerun
from simulators.scenario import Script, named_scenario, shipped_names
from simulators.score import EDGE_S
from simulators.senders import json_bytes, key_of, load_keys
from simulators.snapshots import snapshot_server
from simulators.times import SECOND_US, parse_us
from simulators.truth import Expected, truth
from simulators.world import World

LATEST_US = parse_us("2200-01-01T00:00:00Z")
PIECE_US = 60 * SECOND_US
"""Of a scenario that is written at once."""
MAX_RATE = 1_000_000.0

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
city_app = typer.Typer(no_args_is_help=True, help="The demo city's files.")
app.add_typer(city_app, name="city")
app.command("score")(score_scenario)
app.command("sumo")(sumo)


class Part(StrEnum):
    """What `--only` leaves."""

    CAMERAS = "cameras"
    DETECTORS = "detectors"
    CITIZENS = "citizens"


Scenarios = Annotated[
    list[str] | None, typer.Option(help="File or shipped name; `none` for a calm city; repeatable.")
]
Start = Annotated[str, typer.Option(help="RFC 3339, e.g. 2026-11-23T06:45:00+07:00.")]
Faults = Annotated[
    int, typer.Option(min=0, max=MAX_FAULTS, help="Faults of devices an hour, strewn over the city.")
]
Seed = Annotated[int, typer.Option(help="Chooses the noise; the same seed gives the same events.")]
Seconds = Annotated[float, typer.Option(min=0, max=MAX_LENGTH_S, help="Seconds of events.")]
Speed = Annotated[
    float, typer.Option(min=0, max=MAX_SPEED, help="How fast the day passes; event times stay real.")
]
PORT_MAX = 65_535


@city_app.command("build")
def city_build(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("demo"),
    seed: Seed = build.DEFAULT_SEED,
    snapshot_port: Annotated[
        int, typer.Option(min=1, max=PORT_MAX, help="Port in the cameras' picture addresses.")
    ] = 8090,
    snapshot_host: Annotated[str, typer.Option(help="Host in the same.")] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Write areas.geojson and devices.geojson."""
    sizes = {
        str(path): path.stat().st_size
        for path in build.write(out, seed=seed, pictures=f"http://{snapshot_host}:{snapshot_port}")
    }
    if as_json:
        typer.echo(json_bytes([{"file": name, "bytes": size} for name, size in sizes.items()]).decode())
        return
    for name, size in sizes.items():
        typer.echo(f"{name}  {size / 1e6:.2f} MB")


@app.command()
def run(
    keys: Keys,
    url: Url = URL,
    mqtt: Annotated[str, typer.Option(help="MQTT broker, host:port.")] = "127.0.0.1:1883",
    scenario: Scenarios = None,
    seed: Seed = 1,
    faults: Faults = 0,
    speed: Speed = 1.0,
    duration: Annotated[
        float | None, typer.Option(min=0, max=MAX_LENGTH_S, help="Seconds to run; for ever without.")
    ] = None,
    snapshot_port: Annotated[
        int, typer.Option(min=0, max=PORT_MAX, help="Camera pictures; 0 for none.")
    ] = 8090,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    only: Annotated[list[Part] | None, typer.Option(help="Leave out the others; repeatable.")] = None,
    logins: Annotated[
        Path | None, typer.Option(help='Let a duty crew handle incidents: JSON {"user": "password"}.')
    ] = None,
    counter: Annotated[
        bool, typer.Option("--counter", help="Let citizens report, follow and vote at the public counter.")
    ] = False,
    parent: Annotated[
        int | None, typer.Option(help="Process that started this one; end when it is gone.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play the city live. Without --scenario, the endless `demo`.

    Exit code 1 if the service did not take all that was made in --duration; without it, 0 after a signal.
    """
    target, start_us = target_of(url, mqtt), time.time_ns() // 1000
    world = _world(_fleet(devices, areas), scenario or ["demo"], seed, start_us, speed, faults)
    parts = [part.value for part in only or ()]
    crew = _crew(logins, url, seed) if logins else None
    if counter and not world.fleet.cameras:
        raise SimulatorError(f"--counter: {devices} has no camera, near which citizens could report")
    citizens = CitizensClient(world.fleet, world, url, seed) if counter else None
    live = LiveCity(world, target, load_keys(keys), parts, crew, citizens)
    with snapshot_server(world, snapshot_port) if snapshot_port else nullcontext():
        status = play_live(live, duration, as_json, parent)
    typer.echo(json_bytes(msgspec.to_builtins(status)).decode() if as_json else line_of(status.counters))
    if duration is not None and not all_taken(status.counters):
        raise typer.Exit(1)


@app.command()
def generate(
    start: Start,
    duration: Seconds,
    out: Annotated[Path, typer.Option(help="NDJSON file; the truth goes beside it as .truth.json.")],
    scenario: Scenarios = None,
    seed: Seed = 1,
    faults: Faults = 0,
    speed: Speed = 1.0,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    as_json: Json = False,
) -> None:
    """Write a scenario's events without waiting for them. The same arguments give the same bytes.

    The file is there only once it is whole.
    """
    start_us = _start_us(start)
    world = _world(_fleet(devices, areas), scenario or [], seed, start_us, speed, faults)
    with _whole(out) as part:
        count = _write_events(part, world, duration, as_json)
    expected, beside = _truth(world, duration + EDGE_S), out.with_suffix(TRUTH_SUFFIX)
    whole = {"scenario": "+".join(scenario or ["none"]), "start": start, "duration_s": duration}
    beside.write_bytes(json_bytes(whole | {"expected": msgspec.to_builtins(expected)}) + b"\n")
    due = sum(item.from_s + item.tolerance_s <= duration for item in expected)
    if as_json:
        found = {"file": str(out), "events": count, "truth": str(beside), "expected": due}
        typer.echo(json_bytes(found).decode())
    else:
        typer.echo(f"{count} events -> {out}, {due} incidents expected -> {beside}")


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """Yield where to write what becomes `out` once the block ends well; `out` itself where it is no file."""
    if out.exists() and not out.is_file():
        yield out
        return
    target = out.resolve()
    part = target.with_name(target.name + ".part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_events(path: Path, world: World, duration_s: float, quiet: bool) -> int:
    """Write the events of the first `duration_s` seconds of `world` and return how many."""
    count, start_us, end_us = 0, world.start_us, world.start_us + round(duration_s * SECOND_US)
    with path.open("wb") as file, progress("writing", duration_s, quiet) as told:
        for t0_us in range(start_us, end_us, PIECE_US):
            t1_us = min(end_us, t0_us + PIECE_US)
            for event in world.events_between(t0_us, t1_us):
                file.write(json_bytes(event) + b"\n")
                count += 1
            told((t1_us - start_us) / SECOND_US, f"writing, {count:,} events")
    return count


@app.command("rerun")
def rerun_scenario(
    keys: Keys,
    start: Start,
    duration: Annotated[int, typer.Option(min=1, max=round(MAX_LENGTH_S), help="Seconds of events.")],
    url: Url = URL,
    sender: Annotated[
        str | None,
        typer.Option(help="One device that may send for all; quicker than each gateway by itself."),
    ] = None,
    scenario: Scenarios = None,
    seed: Seed = 1,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    as_json: Json = False,
) -> None:
    """Play a scenario at its own times, as fast as the service takes it, into an empty installation.

    That one takes its time from us: start it with IOC_REPLAY__ENABLED=true. The same arguments give the same
    incidents, byte for byte. Exit code 1 if the service did not take all of it.
    """
    world = _world(_fleet(devices, areas), scenario or ["demo"], seed, _start_us(start), 1.0)
    known = load_keys(keys)
    with progress("rerun", duration, as_json) as show:

        def told(report: Report) -> None:
            show(report.seconds, f"rerun, {report.events:,} events")

        report = until_signal(lambda stop: rerun(world, url, known, duration, stop, told, sender, Troubles()))
    found = msgspec.to_builtins(report)
    typer.echo(json_bytes(found).decode() if as_json else "  ".join(f"{k} {v:,}" for k, v in found.items()))
    if not report.all_taken or report.seconds < duration:
        raise typer.Exit(1)


@app.command("truth")
def show_truth(
    scenario: Annotated[str, typer.Argument(help=f"File, or one of: {', '.join(shipped_names())}.")],
    duration: Annotated[
        float, typer.Option(min=0, max=MAX_LENGTH_S, help="Seconds of the scenario to look at.")
    ] = 1800.0,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    as_json: Json = False,
) -> None:
    """Print the incidents that a scenario must raise."""
    expected = _truth(_world(_fleet(devices, areas), [scenario], 1, 0, 1.0), duration)
    if as_json:
        typer.echo(json_bytes(msgspec.to_builtins(expected)).decode())
        return
    table = Table("raised after", "cleared after", "rule", "ward", "source", title=scenario)
    for item in expected:
        raised = f"{item.from_s:.0f} ± {item.tolerance_s:.0f} s"
        cleared = f"{item.until_s:.0f} ± {item.clear_tolerance_s:.0f} s"
        table.add_row(raised, cleared, item.rule, item.ward, item.source or "")
    Console().print(table)


@app.command("replay")
def replay_recording(
    file: Annotated[Path, typer.Argument(help="OpenDataCam detections (JSON).")],
    source: Annotated[str, typer.Option(help="The camera it stands for.")],
    keys: Keys,
    url: Url = URL,
    every: Annotated[int, typer.Option(min=1, help="Send the objects of every N-th frame.")] = 5,
    speed: Annotated[float, typer.Option(min=0.01, max=MAX_SPEED, help="2 plays twice as fast.")] = 1.0,
    loop: Annotated[bool, typer.Option(help="Begin again at the end.")] = False,
    devices: Devices = DEVICES,
    as_json: Json = False,
) -> None:
    """Play a recorded detection stream as one camera; exit code 1 if the service did not take all of it."""
    frames, known = load_recording(file), load_keys(keys)
    sender = source if source in known else load_fleet(devices).sender_of(source)
    key = key_of(known, sender)
    say = Troubles()

    def tell(_: Counters, trouble: str | None) -> None:
        if trouble:
            say(f"{url}: {trouble}; trying on")

    async def play(stop: asyncio.Event) -> Counters:
        return await replay(
            frames,
            source,
            url=url,
            sender=sender,
            key=key,
            stop=stop,
            every=every,
            speed=speed,
            loop=loop,
            tell=tell,
        )

    counters = until_signal(play)
    typer.echo(json_bytes(msgspec.to_builtins(counters)).decode() if as_json else line_of(counters))
    if not all_taken(counters):
        raise typer.Exit(1)


@app.command("load")
def offer_load(
    keys: Keys,
    rate: Annotated[float, typer.Option(min=1, max=MAX_RATE, help="Events a second to offer.")],
    duration: Annotated[float, typer.Option(min=1, max=MAX_LENGTH_S, help="Seconds.")] = 30.0,
    url: Url = URL,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="Posts in flight at most.")] = CONNECTIONS,
    devices: Devices = DEVICES,
    as_json: Json = False,
) -> None:
    """Offer detector events at a fixed rate, come what may, and say what could not be sent.

    Latencies count from when a post was due. Exit code 1 where not all of it was acknowledged.
    """
    fleet = load_fleet(devices)
    sources = [unit.id for unit in fleet.detectors]
    if not sources:
        raise SimulatorError(f"--devices {devices}: it has no detector, whose events could be offered")
    key = key_of(load_keys(keys), fleet.sender_of(sources[0]))
    with progress("load", duration, as_json) as show:

        def told(report: LoadReport, seconds: float) -> None:
            show(seconds, f"load, {report.acked:,} acked, {report.unsent:,} unsent")

        report = until_signal(
            lambda stop: load(url, key, sources, rate, duration, stop, told, connections=connections)
        )
    found = msgspec.to_builtins(report)
    typer.echo(json_bytes(found).decode() if as_json else json.dumps(found, indent=2))
    if report.acked < report.offered:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; what the caller can mend is one line on stderr and exit code 2."""
    try:
        app()
    except SimulatorError as problem:
        typer.echo(f"ioc-sim: {problem}", err=True)
        sys.exit(2)
    except OSError as problem:
        place = f"{os.fsdecode(problem.filename)}: " if problem.filename else ""
        full = problem.errno in (errno.ENOSPC, errno.EDQUOT)
        step = "make room" if full else "check the path and who may use it"
        typer.echo(f"ioc-sim: {place}{problem.strerror or problem}; {step}", err=True)
        sys.exit(2)


def _crew(logins: Path, url: str, seed: int) -> CrewClient:
    wards = {ward.code: ward.name for ward in build.load_wards()}
    return CrewClient(Crew(seed, wards), url, password_of(load_keys(logins, "logins")))


def _fleet(devices: Path, areas: Path) -> Fleet:
    return load_fleet(devices, areas if areas.exists() else None)


def _world(
    fleet: Fleet, scenarios: list[str], seed: int, start_us: int, speed: float, faults: int = 0
) -> World:
    scripts = [Script(named_scenario(name), fleet, start_us) for name in scenarios if name != "none"]
    if faults:
        scripts.append(Script(background(fleet, seed, faults), fleet, start_us))
    return World(fleet, scripts, seed=seed, start_us=start_us, speed=speed)


def _start_us(text: str) -> int:
    try:
        start_us = parse_us(text)
    except ValueError as problem:
        raise SimulatorError(f"--start: {problem}") from problem
    if not 0 <= start_us <= LATEST_US:
        raise SimulatorError(f"--start: {text}: expected a time from 1970 until 2200")
    return start_us


def _truth(world: World, duration_s: float) -> list[Expected]:
    wards = {unit.id: unit.ward for unit in world.fleet.units.values()}
    found = [item for script in world.scripts for item in truth(script, wards, world.start_us, duration_s)]
    return sorted(found, key=lambda item: item.from_s)


play_command.register(app, until_signal)
