"""`ioc-sim score`: how well a service's incidents agree with a scenario's ground truth."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from simulators import SimulatorError
from simulators.cli.options import AREAS, DEVICES, MAX_LENGTH_S, Areas, Devices, Json, checked_url
from simulators.fleet import load_fleet
from simulators.raised import fetch_incidents, parse_incidents
from simulators.scenario import Script, named_scenario, shipped_names
from simulators.score import EDGE_S, Figures, Score, score
from simulators.senders import json_bytes, load_keys
from simulators.times import parse_us
from simulators.truth import Expected, truth

HEADINGS = ("rule", "expected", "detected", "share", "median", "p95", "again", "false", "per day")
TRUTH_SUFFIX = ".truth.json"
SHOWN_MOST = 20
"""Lines of missed and of false incidents below the table; `--json` has all."""


def score_scenario(
    scenario: Annotated[
        str, typer.Argument(help=f"File, .truth.json, or one of: {', '.join(shipped_names())}.")
    ],
    incidents: Annotated[
        Path | None, typer.Option(help="File of incidents: `ioc export incidents`, or the API's answers.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Or ask the service at this address,", callback=checked_url)
    ] = None,
    logins: Annotated[Path | None, typer.Option(help='with a login: JSON {"user": "password"}.')] = None,
    user: Annotated[str, typer.Option(help="The login to use; needs to see every ward.")] = "supervisor",
    start: Annotated[
        str | None, typer.Option(help="When it was played, RFC 3339; else the scenario's own start.")
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(min=1, max=MAX_LENGTH_S, help="Seconds to judge; else the scenario's own."),
    ] = None,
    min_detection: Annotated[
        float, typer.Option(min=0, max=1, help="Exit code 1 where less is detected.")
    ] = 0.95,
    devices: Devices = DEVICES,
    areas: Areas = AREAS,
    as_json: Json = False,
) -> None:
    """Compare raised incidents with a scenario's ground truth: detection, false alarms, time to detect.

    Times count from the beginning of the cause, not from where a rule could first know. Exit code 1 below
    --min-detection.
    """
    if (incidents is None) == (url is None):
        raise SimulatorError("say where the incidents are: either --incidents FILE or --url with --logins")
    name, expected, begin_us, length_s = _wanted(scenario, start, duration, devices, areas)
    if incidents is not None:
        found = parse_incidents(incidents.read_bytes(), begin_us, str(incidents))
    else:
        found = asyncio.run(fetch_incidents(str(url), user, _password(logins, user), begin_us))
    result = score(name, expected, found, length_s)
    if as_json:
        shown = msgspec.to_builtins(result) | {"detection": result.detection, "min_detection": min_detection}
        typer.echo(json_bytes(shown).decode())
    else:
        _show(result)
    if result.detection < min_detection:
        typer.echo(f"detection {result.detection:.1%} is below {min_detection:.1%}", err=True)
        raise typer.Exit(1)


class _Truth(msgspec.Struct, frozen=True):
    """A `.truth.json`; what `generate` writes has but the first two."""

    start: str
    expected: list[Expected]
    scenario: str = "recorded truth"
    duration_s: float | None = None


def _wanted(
    name: str, start: str | None, duration: float | None, devices: Path, areas: Path
) -> tuple[str, list[Expected], int, float]:
    """Return the name of what was played, its truth, when it began and how many seconds to judge."""
    if name.endswith(TRUTH_SUFFIX):
        try:
            known = msgspec.json.decode(Path(name).read_bytes(), type=_Truth)
        except msgspec.MsgspecError as problem:
            raise SimulatorError(f"{name}: no ground truth of ioc-sim ({problem})") from problem
        begin_us, length_s = _span(known.scenario, start or known.start, duration or known.duration_s)
        return known.scenario, known.expected, begin_us, length_s
    wanted = named_scenario(name)
    begin_us, length_s = _span(wanted.scenario, start or wanted.start, duration or wanted.duration_s)
    fleet = load_fleet(devices, areas if areas.exists() else None)
    wards = {unit.id: unit.ward for unit in fleet.units.values()}
    expected = truth(Script(wanted, fleet, begin_us), wards, begin_us, length_s + EDGE_S)
    return wanted.scenario, expected, begin_us, length_s


def _span(name: str, start: str | None, duration: float | None) -> tuple[int, float]:
    if start is None or duration is None:
        raise SimulatorError(f"{name} has no start or duration_s of its own: give --start, --duration")
    try:
        return parse_us(start), duration
    except ValueError as problem:
        raise SimulatorError(f"--start: {problem}") from problem


def _password(logins: Path | None, user: str) -> str:
    if logins is None:
        raise SimulatorError("--url needs --logins, the file with the password to ask with")
    known = load_keys(logins, "logins")
    if user not in known:
        raise SimulatorError(f"{logins} has no password for {user}")
    return known[user]


def _show(result: Score) -> None:
    # Eighty columns are enough for the longest name of a rule.
    table = Table(title=f"{result.scenario}, {result.duration_s:,.0f} s", box=None, padding=(0, 1, 0, 0))
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "rule" else "right", no_wrap=True)
    for figures in (*result.rules, result.total):
        table.add_row(*cells(figures), end_section=figures is (result.rules or [result.total])[-1])
    out = Console()
    out.print(table)
    for missed in result.missed[:SHOWN_MOST]:
        out.print(f"missed: {missed.rule} at {missed.source or missed.ward}, due {missed.from_s:.0f} s in")
    for false in result.false[:SHOWN_MOST]:
        out.print(f"false: {false.rule} at {false.source or false.ward}, raised {false.at_s:.0f} s in")


def cells(figures: Figures) -> list[str]:
    """Return one row of a score table as people read it."""

    def seconds(value: float | None) -> str:
        return "–" if value is None else f"{value:.0f} s"

    return [
        figures.rule,
        str(figures.expected),
        str(figures.detected),
        "–" if figures.detection is None else f"{figures.detection:.0%}",
        seconds(figures.median_s),
        seconds(figures.p95_s),
        str(figures.repeated),
        str(figures.false),
        f"{figures.false_per_day:.0f}",
    ]
