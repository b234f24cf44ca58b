"""`ioc-sim play`: a recording of the service, sent to a service as its devices would."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from simulators import SimulatorError
from simulators.cli.live import Troubles
from simulators.cli.options import DEVICES, URL, Devices, Json, Keys, Url
from simulators.events_file import EventsFile
from simulators.fleet import load_fleet
from simulators.front_door import ANSWER_S, FrontDoor
from simulators.play import Moved, Played, Player, moved_to_now, senders, span_of
from simulators.senders import json_bytes, load_keys

NOT_COUNTED = ("unsendable", "stopped", "cut_off")
"""What the summary's line of figures leaves out."""
Work = Callable[[asyncio.Event], Awaitable[Played]]


def register(app: typer.Typer, until_signal: Callable[[Work], Played]) -> None:
    """Add the command; `until_signal` runs work with an event that signals set."""

    @app.command()
    def play(
        file: Annotated[Path, typer.Argument(help="Recording, as `ioc record` writes it (.ndjson.zst).")],
        keys: Keys,
        url: Url = URL,
        sender: Annotated[str | None, typer.Option(help="One device that may send for all.")] = None,
        devices: Devices = DEVICES,
        speed: Annotated[str, typer.Option(help="1 as it was, 10 ten times as fast, or max.")] = "1",
        times: Annotated[
            str, typer.Option(help="now: moved so that nothing lies ahead of the clock; or original.")
        ] = "now",
        tell_time: Annotated[
            bool,
            typer.Option("--tell-time", help="Keep the time of a service with IOC_REPLAY__ENABLED=true."),
        ] = False,
        as_json: Json = False,
    ) -> None:
        """Send a recording to a service, in order; exit code 1 if it did not take all of it.

        With --sender no --devices are needed, which say who speaks for whom.

        Each body waits for its answer; where the service says 429 or 503, the same body is sent again when it
        asks for it. What is sent twice is recognised.
        """
        recording, known, pace = EventsFile(file), load_keys(keys), _speed(speed)
        if times not in ("now", "original"):
            raise SimulatorError(f"--times: {times!r} is neither now nor original")
        speaks_for = (lambda _: sender) if sender else load_fleet(devices).sender_of
        sender_of = senders({sender: ""} if sender else known, speaks_for)
        keeper = (sender or min(known)) if tell_time else None
        moved = Moved(0)
        if times == "now":
            moved = moved_to_now(*span_of(recording.lines()), time.time_ns() // 1000, pace)

        async def send(stop: asyncio.Event) -> Played:
            async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
                door = FrontDoor(client, url, known, stop, Troubles())
                player = Player(door, sender_of, keeper=keeper, moved=moved, speed=pace)
                return await player.play(recording.lines(), stop, told)

        console = Console(stderr=True)
        shown = (SpinnerColumn(), TextColumn("{task.description}"))
        hidden = as_json or not console.is_terminal
        with Progress(*shown, console=console, transient=True, disable=hidden) as bar:
            task = bar.add_task("play", total=None)

            def told(played: Played) -> None:
                bar.update(task, description=f"played {played.events:,} events, {played.seconds:,} s")

            played = until_signal(send)
        _report(played, recording, as_json)


def _report(played: Played, recording: EventsFile, as_json: bool) -> None:
    found = msgspec.to_builtins(played) | {"cut_off": recording.cut_off}
    if as_json:
        typer.echo(json_bytes(found).decode())
    else:
        typer.echo("  ".join(f"{k} {v:,}" for k, v in found.items() if k not in NOT_COUNTED))
        for source, count in sorted(played.unsendable.items()):
            typer.echo(
                f"not sent: {count:,} events of {source}, for which the keys file has no sender", err=True
            )
        if played.stopped:
            typer.echo("stopped before the end of the recording", err=True)
        if recording.cut_off:
            typer.echo("the recording was read up to its last complete frame only", err=True)
    if not played.is_whole or recording.cut_off:
        raise typer.Exit(1)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        if (speed := float(text)) > 0:
            return speed
    except ValueError:
        pass
    raise SimulatorError(f"--speed: {text!r} is neither a number above 0 nor max")
