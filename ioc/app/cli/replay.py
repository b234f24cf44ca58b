"""`ioc replay`: a recording as the log."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import notes, out, print_json
from ioc.app.cli.progress import progress
from ioc.app.cli.recordings import FileArgument, through, with_log
from ioc.app.clock import now_us
from ioc.app.core import Core
from ioc.app.recordings.entries import Entry, moment_us
from ioc.app.recordings.files import open_recording
from ioc.app.recordings.playback import LogPlayer, Played, Shift
from ioc.app.recordings.recorder import LogRecorder
from ioc.model.times import SECOND_US, format_us

TICKING_US: Final = 5 * SECOND_US
"""A tick so young means that somebody's clock runs."""


def replay(
    file: FileArgument,
    into_log: Annotated[
        bool, typer.Option("--into-log", help="append to the log of this installation, past the gateway")
    ] = False,
    speed: Annotated[str, typer.Option(help="1 as it was, 10 ten times as fast, or max")] = "max",
    times: Annotated[
        str, typer.Option(help="original, or now: moved so that it ends or begins now")
    ] = "original",
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with a replay of this file that was interrupted")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a recording into the log of an installation that relives (IOC_REPLAY__ENABLED=true).

    Into an empty one it gives the incidents of the recording, at any speed. Areas, devices and rules are the
    installation's own. `ioc-sim play` goes through the front door instead. Exit code 1 where the recording
    was not whole.
    """
    settings, pace = settings_from(config, data), _speed(speed)
    if times not in ("original", "now"):
        raise typer.BadParameter("one of original, now", param_hint="--times")
    if not into_log:
        raise CommandError(
            "where to? --into-log appends to the log of this installation, past the gateway",
            "Say --into-log, or use `ioc-sim play` to send the recording to a service.",
        )
    if not settings.replay.enabled:
        raise CommandError(
            "this installation keeps its own time: replay.enabled is off",
            "Start one on an empty data folder with IOC_REPLAY__ENABLED=true, and set it here, too.",
        )

    async def play(core: Core, tell: Callable[[int], None]) -> tuple[Played, str | None]:
        first_us, last_us = span if span is not None else (_first_us(file), 0)
        shift = Shift(0) if span is None else Shift.to_now(first_us, last_us, now_us(), pace)
        if not resume:
            await _refuse_later(core, first_us + shift.us)
        player = LogPlayer(core.log, await LogRecorder(core.log).partitions())
        with open_recording(file) as reader:
            played = await player.play(
                reader.entries(), shift=shift, speed=pace, tell=lambda _: tell(reader.position)
            )
            return played, reader.cut_off

    began_s = time.monotonic()
    span = _span(file) if times == "now" else None
    size = file.stat().st_size
    with use_database(settings) as database, progress() as tell:
        played, cut_off = asyncio.run(
            with_log(settings, database, play, lambda n: tell("replaying", min(n, size), size))
        )
    took_s = time.monotonic() - began_s
    _print_played(played, cut_off, took_s, as_json)
    if cut_off is not None:
        raise typer.Exit(1)


def _print_played(played: Played, cut_off: str | None, took_s: float, as_json: bool) -> None:
    if cut_off is not None:
        notes.print(f"the recording was not whole: {cut_off}", style="yellow")
    rate = round(played.events / took_s) if took_s else 0
    if as_json:
        print_json(
            {
                "events": played.events,
                "ticks": played.ticks,
                "repeats": played.repeats,
                "seconds": round(took_s, 1),
                "events_per_s": rate,
                "trouble": cut_off or "",
            }
        )
        return
    out.print(f"replayed {played.events:,} events and {played.ticks:,} ticks, {rate:,} events/s")
    if played.repeats:
        out.print(f"{played.repeats:,} events were in the log already")
    out.print("Look at the incidents with `ioc export incidents --settled --checksum`.")


async def _refuse_later(core: Core, first_us: int) -> None:
    """See that the log ends before the recording begins: its time does not go back.

    Raises:
        CommandError: it does not.
    """
    newest_us = await LogRecorder(core.log).newest_us()
    if newest_us is None or (newest_us < first_us and now_us() - newest_us > TICKING_US):
        return
    if newest_us >= first_us:
        raise CommandError(
            f"the log holds {format_us(newest_us)} already, the recording begins at {format_us(first_us)}",
            "Replay into an empty data folder, with --times now, or with --resume what was interrupted.",
        )
    raise CommandError(
        f"the clock of this installation runs: its log holds {format_us(newest_us)}",
        "Start the service, too, with IOC_REPLAY__ENABLED=true, on an empty data folder.",
    )


def _first_us(file: Path) -> int:
    with open_recording(file) as reader:
        for entries in reader.entries():
            return moment_us(entries[0])
    raise CommandError(f"{file} holds nothing", "Look at it with `{ioc} recording inspect`.")


def _span(file: Path) -> tuple[int, int]:
    found: list[int] = []

    def look(entries: list[Entry]) -> None:
        found[:] = [found[0] if found else moment_us(entries[0]), moment_us(entries[-1])]

    with open_recording(file) as reader:
        through(reader, file, look, "looking through")
    if not found:
        raise CommandError(f"{file} holds nothing", "Look at it with `{ioc} recording inspect`.")
    return found[0], found[1]


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        if (speed := float(text)) > 0:
            return speed
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r}: expected a number above 0, or max", param_hint="--speed")
