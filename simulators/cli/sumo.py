"""`ioc-sim sumo`: the city's traffic from a real traffic simulation, sent to a service or to a file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

from simulators.cli.live import all_taken, play_live, target_of
from simulators.cli.options import AREAS, DEVICES, MAX_LENGTH_S, MAX_SPEED, URL, Areas, Devices, Json, Url
from simulators.cli.progress import progress
from simulators.cli.score import TRUTH_SUFFIX
from simulators.events_writer import EventsWriter
from simulators.fleet import load_fleet
from simulators.live import LiveCity, Target
from simulators.score import EDGE_S
from simulators.senders import json_bytes, load_keys
from simulators.sumo import SumoError
from simulators.sumo.city import SumoCity, Wishes
from simulators.sumo.closures import blocks
from simulators.sumo.demand import MAX_TRIPS
from simulators.sumo.engine import Driver, Sumo
from simulators.sumo.files import Files, LonLat, checked, origin_of
from simulators.sumo.network import make_network
from simulators.sumo.roads import plan
from simulators.sumo.snap import REACH_M
from simulators.times import SECOND_US, format_us, parse_us
from simulators.world import World

STUCK_S: Final = 600.0
"""Who has not moved for this long, and for the longest block, is moved on."""
SHOWN_MOST: Final = 5
"""Devices off the network that are named; `--json` has all."""


class Asked(msgspec.Struct, frozen=True):
    """What the command line says, but for where the events go."""

    net: Path | None
    routes: Path | None
    additional: Path | None
    origin: LonLat | None
    wards: list[str]
    wishes: Wishes
    speed: float
    seed: int
    driver: Driver
    devices: Path
    areas: Path
    work: Path | None


Keys = Annotated[Path | None, typer.Option(help='Send with these device keys: JSON {"device id": "key"}.')]
Out = Annotated[
    Path | None, typer.Option(help="Write instead, as fast as it goes: .ndjson, or .ndjson.zst (recording).")
]
Net = Annotated[Path | None, typer.Option(help="SUMO network (.net.xml); else the areas' main roads.")]
Routes = Annotated[Path | None, typer.Option(help="Its traffic (.rou.xml); else random trips.")]
More = Annotated[Path | None, typer.Option(help="Its additional file; loops named as detectors are theirs.")]
Origin = Annotated[str | None, typer.Option(help="lon,lat of 0,0 in a network without projection.")]
Wards = Annotated[list[str] | None, typer.Option(help="Only the roads around this ward; repeatable.")]
Reach = Annotated[float, typer.Option(min=1, max=2000, help="Metres from a device to its lane, at most.")]
Trips = Annotated[
    float | None, typer.Option(min=0, max=MAX_TRIPS, help="An hour at the peak; else as fits the network.")
]
WarmUp = Annotated[int, typer.Option(min=0, max=7200, help="Seconds that fill the roads before the start.")]
Blocks = Annotated[
    list[str] | None, typer.Option(help="Close an edge, a lane, or the road behind a detector; repeatable,")
]
At = Annotated[list[float] | None, typer.Option(help="each so many seconds after the start,")]
For = Annotated[list[float] | None, typer.Option("--for", help="for so many seconds.")]
Length = Annotated[float | None, typer.Option(min=1, max=MAX_LENGTH_S, help="Seconds; for ever without.")]
Speed = Annotated[float, typer.Option(min=0.01, max=MAX_SPEED, help="How fast the day passes, as in `run`.")]
PerLane = Annotated[bool, typer.Option("--per-lane", help="Detectors tell each lane by itself.")]
Only = Annotated[bool, typer.Option("--only-simulated", help="No word but of traffic on the network.")]
Truth = Annotated[Path | None, typer.Option(help="Write the ground truth there; beside --out without.")]
Work = Annotated[Path | None, typer.Option(help="Folder that keeps the network, to look at it in netedit.")]


def sumo(
    keys: Keys = None,
    out: Out = None,
    url: Url = URL,
    mqtt: Annotated[str, typer.Option(help="MQTT broker, host:port.")] = "127.0.0.1:1883",
    net: Net = None,
    routes: Routes = None,
    additional: More = None,
    origin: Origin = None,
    ward: Wards = None,
    reach: Reach = REACH_M,
    trips: Trips = None,
    warm_up: WarmUp = 900,
    block: Blocks = None,
    at: At = None,
    for_: For = None,
    per_lane: PerLane = False,
    only_simulated: Only = False,
    start: Annotated[str | None, typer.Option(help="With --out: RFC 3339; else now.")] = None,
    duration: Length = None,
    speed: Speed = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same traffic.")] = 1,
    driver: Annotated[Driver, typer.Option(help="How to speak to SUMO.")] = Driver.AUTO,
    truth: Truth = None,
    work: Work = None,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    as_json: Json = False,
) -> None:
    """Play the city with traffic simulated by SUMO, an extra that `make sumo` installs.

    Detectors and cameras near the network's lanes measure simulated vehicles; everything else is as in `run`.
    With --out the same arguments give the same bytes.
    """
    if (keys is None) == (out is None):
        raise SumoError("say where the events go: either --keys FILE to a service, or --out FILE")
    begin_us = _start_us(start, out, duration)
    known, target = load_keys(keys) if keys else None, target_of(url, mqtt)
    wishes = Wishes(
        trips_per_h=0 if routes is not None and trips is None else trips,
        per_lane=per_lane,
        only_simulated=only_simulated,
        reach_m=reach,
        blocks=tuple(blocks(block or (), at or (), for_ or ())),
    )
    given = net, routes, additional, origin_of(origin) if origin else None
    asked = Asked(*given, ward or [], wishes, speed, seed, driver, devices, areas, work)
    with _city(asked, begin_us) as (city, traffic):
        live = None if known is None else _live(city, target, known)
        _warm_up(city, warm_up, as_json)
        taken = True
        if live is not None:
            city.begin(time.time_ns() // 1000)
            status = play_live(live, duration, as_json)
            taken, found = duration is None or all_taken(status.counters), msgspec.to_builtins(status)
        elif out is not None and duration is not None:
            found = {"events": _write(city, out, duration, as_json)}
            truth = truth or _beside(out)
        if truth:
            found["expected"], found["truth"] = _write_truth(city, truth), str(truth)
        now = {"under_way": city.under_way, "unroutable": city.unroutable}
        _summary(city, found | {"traffic": {**traffic.told(), **now}}, as_json)
        if not taken:
            raise typer.Exit(1)


@contextmanager
def _city(asked: Asked, begin_us: int) -> Iterator[tuple[SumoCity, Sumo]]:
    """Yield the city and its simulation, which ends with the block."""
    fleet = load_fleet(asked.devices, asked.areas if asked.areas.exists() else None)
    world = World(fleet, [], seed=asked.seed, start_us=begin_us, speed=asked.speed)
    with TemporaryDirectory(prefix="ioc-sim-sumo-") as temporary:
        folder = asked.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        net = asked.net or make_network(plan(asked.areas, fleet, asked.wards), folder)
        files = checked(Files(net, asked.routes, asked.additional, asked.origin))
        stuck_s = STUCK_S + max((block.for_s for block in asked.wishes.blocks), default=0.0)
        traffic = Sumo(files, folder, seed=asked.seed, stuck_s=stuck_s, driver=asked.driver)
        try:
            city = SumoCity(world, traffic, asked.wishes)
            _tell_sites(city, net, asked)
            yield city, traffic
        finally:
            traffic.close()


def _live(city: SumoCity, target: Target, keys: dict[str, str]) -> LiveCity:
    return LiveCity(city, target, keys, ["detectors", "cameras"] if city.only_simulated else [])


def _warm_up(city: SumoCity, seconds: int, quiet: bool) -> None:
    with progress("warming up", seconds, quiet) as told:
        for second, vehicles in enumerate(city.warm_up(seconds), 1):
            told(second, f"warming up, {vehicles:,} vehicles")


def _write(city: SumoCity, out: Path, duration_s: float, quiet: bool) -> int:
    """Write the events of `duration_s` seconds; return how many."""
    start_us, events = city.start_us, 0
    with out.open("wb") as file, progress("writing", round(duration_s), quiet) as told:
        recording = EventsWriter(file, city.fleet, start_us, "ioc-sim sumo") if out.suffix == ".zst" else None
        for second in range(round(duration_s)):
            from_us = start_us + second * SECOND_US
            found = city.events_between(from_us, from_us + SECOND_US)
            events += len(found)
            if recording is not None:
                recording.second(found, from_us + SECOND_US)
            else:
                file.writelines(json_bytes(event) + b"\n" for event in found)
            told(second + 1, f"writing, {events:,} events, {city.under_way:,} vehicles")
        if recording is not None:
            recording.close()
    return events


def _write_truth(city: SumoCity, path: Path) -> int:
    """Write what was to be raised since the start; return how many incidents that is."""
    expected = city.truth(city.played_s + EDGE_S)
    whole = {"scenario": "sumo", "start": format_us(city.start_us), "duration_s": city.played_s}
    blocked = [
        {"place": closure.block.place, "lanes": closure.lanes, "at_m": closure.at_m}
        | {"from_s": closure.block.at_s, "until_s": closure.block.at_s + closure.block.for_s}
        for closure in city.closures
    ]
    whole |= {"blocks": blocked, "expected": msgspec.to_builtins(expected)}
    path.write_bytes(json_bytes(whole) + b"\n")
    return len(expected)


def _beside(out: Path) -> Path:
    return out.with_name(out.name.removesuffix(".zst").removesuffix(".ndjson") + TRUTH_SUFFIX)


def _start_us(start: str | None, out: Path | None, duration: float | None) -> int:
    if out is None:
        if start is not None:
            raise SumoError("--start is for --out: a service that runs lives now")
        return time.time_ns() // 1000
    if duration is None:
        raise SumoError("--out needs --duration: a file has an end")
    if not out.name.endswith((".ndjson", ".ndjson.zst")):
        raise SumoError(f"--out {out}: a name that ends in .ndjson, or in .ndjson.zst for a recording")
    if not out.parent.is_dir():
        raise SumoError(f"--out {out}: there is no folder {out.parent}")
    try:
        return parse_us(start) if start else time.time_ns() // 1000 // SECOND_US * SECOND_US
    except ValueError as problem:
        raise SumoError(f"--start: {problem}") from problem


def _tell_sites(city: SumoCity, net: Path, asked: Asked) -> None:
    fleet, sites = city.fleet, city.sites
    say = Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print
    say(
        f"{net}: {len(sites.detectors)} of {len(fleet.detectors)} detectors and {len(sites.cameras)} of "
        f"{len(fleet.cameras)} cameras are within {asked.wishes.reach_m:.0f} m of a lane"
    )
    if sites.left_out:
        rest = "say nothing" if asked.wishes.only_simulated else "go on as the city model has them"
        nearest = sorted(sites.left_out.items(), key=lambda item: item[1])[:SHOWN_MOST]
        named = ", ".join(f"{device} {gap_m:,.0f} m" for device, gap_m in nearest)
        say(f"left out: {len(sites.left_out)}, which {rest}; the nearest: {named}")
    for closure in city.closures:
        block = closure.block
        say(
            f"closed from {block.at_s:g} s for {block.for_s:g} s: {', '.join(closure.lanes)} "
            f"at {closure.at_m:,.0f} m"
        )


def _summary(city: SumoCity, found: dict[str, Any], as_json: bool) -> None:
    sites = city.sites
    placed = {"detectors": len(sites.detectors), "cameras": len(sites.cameras)}
    if as_json:
        # Who stands where the network's projection ends is nowhere near it.
        left_out = {device: gap_m if isfinite(gap_m) else None for device, gap_m in sites.left_out.items()}
        typer.echo(json_bytes(placed | {"left_out": left_out} | found).decode())
        return
    traffic = "  ".join(f"{name} {number:,}" for name, number in found["traffic"].items())
    told = [f"{found['events']:,} events"] if "events" in found else []
    told += ["  ".join(f"{name} {number:,}" for name, number in found.get("counters", {}).items())]
    told += [f"{found['expected']} incidents expected -> {found['truth']}"] if "truth" in found else []
    typer.echo("  ".join(filter(None, [*told, f"vehicles: {traffic}"])))
