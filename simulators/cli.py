"""`ioc-sim`: builds the demo city and plays it to the service."""

import asyncio
import json
import sys
import time
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from simulators import SimulatorError, cli_play
from simulators.citizens_client import CitizensClient
from simulators.city import build
from simulators.cli_live import line_of, play_live, target_of, until_signal
from simulators.cli_score import score_scenario
from simulators.cli_sumo import sumo
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
from simulators.senders import json_bytes, key_of, load_keys
from simulators.snapshots import snapshot_server
from simulators.times import SECOND_US, parse_us
from simulators.truth import Expected, truth
from simulators.world import World

LATEST_US = parse_us("2200-01-01T00:00:00Z")

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


Devices = Annotated[Path, typer.Option(help="Devices, as `city build` writes them.")]
Areas = Annotated[Path, typer.Option(help="Areas, so that scenarios can name them.")]
Url = Annotated[str, typer.Option(help="The service's HTTP address.")]
Keys = Annotated[Path, typer.Option(help='Device keys: JSON {"device id": "key"}.')]
Json = Annotated[bool, typer.Option("--json", help="Print the final summary as JSON.")]
Scenarios = Annotated[
    list[str] | None, typer.Option(help="File or shipped name; `none` for a calm city; repeatable.")
]
Start = Annotated[str, typer.Option(help="RFC 3339, e.g. 2026-11-23T06:45:00+07:00.")]
Faults = Annotated[
    int, typer.Option(min=0, max=MAX_FAULTS, help="Faults of devices an hour, strewn over the city.")
]
Seed = Annotated[int, typer.Option(help="Chooses the noise; the same seed gives the same events.")]

DEVICES = Path("demo/devices.geojson")
AREAS = Path("demo/areas.geojson")
URL = "http://127.0.0.1:8000"


@city_app.command("build")
def city_build(
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("demo"),
    seed: Seed = build.DEFAULT_SEED,
    snapshot_port: Annotated[int, typer.Option(help="Port in the cameras' picture addresses.")] = 8090,
    snapshot_host: Annotated[str, typer.Option(help="Host in the same.")] = "127.0.0.1",
) -> None:
    """Write areas.geojson and devices.geojson."""
    for path in build.write(out, seed=seed, pictures=f"http://{snapshot_host}:{snapshot_port}"):
        typer.echo(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


@app.command()
def run(
    keys: Keys,
    url: Url = URL,
    mqtt: Annotated[str, typer.Option(help="MQTT broker, host:port.")] = "127.0.0.1:1883",
    scenario: Scenarios = None,
    seed: Seed = 1,
    faults: Faults = 0,
    speed: Annotated[float, typer.Option(help="How fast the day passes; event times stay real.")] = 1.0,
    duration: Annotated[float | None, typer.Option(help="Seconds to run; for ever without.")] = None,
    snapshot_port: Annotated[int, typer.Option(help="Camera pictures; 0 for none.")] = 8090,
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
    """Play the city live. Without --scenario, the endless `demo`."""
    target, start_us = target_of(url, mqtt), time.time_ns() // 1000
    world = _world(_fleet(devices, areas), scenario or ["demo"], seed, start_us, speed, faults)
    parts = [part.value for part in only or ()]
    crew = _crew(logins, url, seed) if logins else None
    citizens = CitizensClient(world.fleet, world, url, seed) if counter else None
    live = LiveCity(world, target, load_keys(keys), parts, crew, citizens)
    with snapshot_server(world, snapshot_port) if snapshot_port else nullcontext():
        status = play_live(live, duration, as_json, parent)
    if as_json:
        typer.echo(json_bytes(msgspec.to_builtins(status)).decode())


@app.command()
def generate(
    start: Start,
    duration: Annotated[float, typer.Option(help="Seconds of events.")],
    out: Annotated[Path, typer.Option(help="NDJSON file; the truth goes beside it as .truth.json.")],
    scenario: Scenarios = None,
    seed: Seed = 1,
    faults: Faults = 0,
    speed: Annotated[float, typer.Option(help="How fast the day passes.")] = 1.0,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
) -> None:
    """Write a scenario's events without waiting for them. The same arguments give the same bytes."""
    start_us = _start_us(start)
    world = _world(_fleet(devices, areas), scenario or [], seed, start_us, speed, faults)
    count, end_us = 0, start_us + round(duration * SECOND_US)
    with out.open("wb") as file:
        for t0_us in range(start_us, end_us, 60 * SECOND_US):
            for event in world.events_between(t0_us, min(end_us, t0_us + 60 * SECOND_US)):
                file.write(json_bytes(event) + b"\n")
                count += 1
    expected = _truth(world, duration)
    beside = out.with_suffix(".truth.json")
    beside.write_bytes(json_bytes({"start": start, "expected": msgspec.to_builtins(expected)}) + b"\n")
    typer.echo(f"{count} events -> {out}, {len(expected)} incidents expected -> {beside}")


@app.command("rerun")
def rerun_scenario(
    keys: Keys,
    start: Start,
    duration: Annotated[int, typer.Option(min=1, help="Seconds of events.")],
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
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=as_json or not console.is_terminal
    ) as bar:
        task = bar.add_task("rerun", total=duration)

        def told(report: Report) -> None:
            bar.update(task, completed=report.seconds, description=f"rerun, {report.events:,} events")

        report = until_signal(lambda stop: rerun(world, url, known, duration, stop, told, sender))
    found = msgspec.to_builtins(report)
    typer.echo(json_bytes(found).decode() if as_json else "  ".join(f"{k} {v:,}" for k, v in found.items()))
    if not report.all_taken or report.seconds < duration:
        raise typer.Exit(1)


@app.command("truth")
def show_truth(
    scenario: Annotated[str, typer.Argument(help=f"File, or one of: {', '.join(shipped_names())}.")],
    duration: Annotated[float, typer.Option(help="Seconds of the scenario to look at.")] = 1800.0,
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
    speed: Annotated[float, typer.Option(min=0.01, help="2 plays twice as fast.")] = 1.0,
    loop: Annotated[bool, typer.Option(help="Begin again at the end.")] = False,
    devices: Devices = DEVICES,
    as_json: Json = False,
) -> None:
    """Play a recorded detection stream as one camera; exit code 1 if the service did not take all of it."""
    frames, known = load_recording(file), load_keys(keys)
    sender = source if source in known else load_fleet(devices).sender_of(source)
    key = key_of(known, sender)

    troubles = [""]

    def tell(_: Counters, trouble: str | None) -> None:
        if trouble and trouble != troubles[-1]:
            troubles.append(trouble)
            typer.echo(f"ioc-sim: {url}: {trouble}; trying on", err=True)

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
    if counters.acked < counters.made:
        raise typer.Exit(1)


@app.command("load")
def offer_load(
    keys: Keys,
    rate: Annotated[float, typer.Option(min=1, help="Events a second to offer.")],
    duration: Annotated[float, typer.Option(min=1, help="Seconds.")] = 30.0,
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
    key = key_of(load_keys(keys), fleet.sender_of(sources[0]))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=as_json or not console.is_terminal
    ) as bar:
        task = bar.add_task("load", total=duration)

        def told(report: LoadReport, seconds: float) -> None:
            words = f"load, {report.acked:,} acked, {report.unsent:,} unsent"
            bar.update(task, completed=seconds, description=words)

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
    except (SimulatorError, OSError) as problem:
        typer.echo(f"ioc-sim: {problem}", err=True)
        sys.exit(2)


def _crew(logins: Path, url: str, seed: int) -> CrewClient:
    wards = {ward.code: ward.name for ward in build.load_wards()}
    return CrewClient(Crew(seed, wards), url, password_of(load_keys(logins)))


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


cli_play.register(app, until_signal)
