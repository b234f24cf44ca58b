"""`ioc record`, `ioc recording …`: the log as files."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    command_line_user,
    duration_option,
    settings_from,
    time_option,
)
from ioc.app.cli.output import notes, out, print_json, print_table
from ioc.app.cli.progress import progress
from ioc.app.clock import now_us
from ioc.app.core import Core, Database, open_core
from ioc.app.recordings.anonymous import KEY_BYTES, Anonymiser
from ioc.app.recordings.entries import Entry
from ioc.app.recordings.files import Reader, make_header, new_recording, open_recording
from ioc.app.recordings.frames import Footer
from ioc.app.recordings.making import STOPPED, rewrite
from ioc.app.recordings.making import record as write_recording
from ioc.app.recordings.recorder import LogRecorder
from ioc.app.recordings.selection import Selection
from ioc.app.recordings.summary import GAP_S, Summary
from ioc.app.settings import Settings
from ioc.app.supervisor import stop_on_signals
from ioc.store.audit import Area as AuditArea
from ioc.store.audit import record as record_audit

app = typer.Typer(no_args_is_help=True)

SHOWN = 10
"""Lines of each table of a summary; `--json` has all."""
FileArgument = Annotated[Path, typer.Argument(help="a recording", exists=True, dir_okay=False)]
OUT_NAMES = (".ndjson.zst", ".parquet")


def _recording_name(path: Path) -> Path:
    """Return `path`, whose name says which form a recording has."""
    if not path.name.endswith(OUT_NAMES):
        raise typer.BadParameter(f"{path}: expected a name that ends in {' or '.join(OUT_NAMES)}")
    return path


OutOption = Annotated[
    Path,
    typer.Option("--out", help="file to write: .ndjson.zst, or .parquet", callback=_recording_name),
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="write over a file that exists")]
StreamOption = Annotated[list[str] | None, typer.Option("--stream", help="camera, traffic, feedback")]
TypeOption = Annotated[list[str] | None, typer.Option("--type", help="e.g. traffic.flow; repeatable")]
SourceOption = Annotated[
    list[str] | None, typer.Option("--source", help="device id, prefix* allowed; repeatable")
]
WardOption = Annotated[list[str] | None, typer.Option("--ward", help="code of a ward; repeatable")]
FromOption = Annotated[str | None, typer.Option("--from", help="RFC 3339 time: first that is wanted")]
UntilOption = Annotated[str | None, typer.Option("--until", help="RFC 3339 time: from here on no more")]


def record(
    out_file: OutOption,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="RFC 3339 time, or `start` for all that the log holds (default: now)"),
    ] = None,
    until: UntilOption = None,
    length: Annotated[str | None, typer.Option("--for", help="how long from now, e.g. 10m")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="end with what the log holds now; do not wait for more")
    ] = False,
    stream: StreamOption = None,
    type_: TypeOption = None,
    source: SourceOption = None,
    ward: WardOption = None,
    replace: ReplaceOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record the log's events and clock into a file, until Ctrl-C or the time given.

    The file holds plates and words of citizens as they came: who recorded is kept in the audit log.
    """
    settings = settings_from(config, data)
    if until is not None and length is not None:
        raise typer.BadParameter("give one of them", param_hint="--until and --for")
    to_us = time_option(until, "--until") if until else None
    if length is not None:
        to_us = now_us() + duration_option(length, "--for")
    from_us = None if begin in (None, "start") else time_option(begin, "--from")
    chosen = _selection(stream, type_, source, ward, from_us, to_us)
    follow = not stored and (to_us is None or to_us > now_us())

    async def make(core: Core, tell: Callable[[int], None]) -> Footer:
        recorder = LogRecorder(core.log)
        await _audit(core, out_file, chosen)
        start = None if begin is None and not stored else await recorder.since(from_us)
        header = make_header(now_us(), partitions=await recorder.partitions(), selected=chosen.described())
        stop = asyncio.Event()
        stop_on_signals(asyncio.get_running_loop(), stop)
        with new_recording(out_file, header, replace=replace) as writer:
            async with aclosing(recorder.entries(start, follow=follow)) as entries:
                ended = await write_recording(entries, writer, chosen, stop, tell)
            return writer.close(lost=recorder.lost, ended=ended)

    with use_database(settings) as database, progress() as tell:
        footer = asyncio.run(with_log(settings, database, make, lambda n: tell("recording", n, 0)))
    _print_made(out_file, footer, as_json)


async def _audit(core: Core, path: Path, chosen: Selection) -> None:
    async with core.pool.connection() as connection:
        await record_audit(
            connection,
            AuditArea.PERSONAL,
            actor=command_line_user(),
            op="log_recorded",
            subject=path.name,
            details={"selected": chosen.described()},
        )


async def with_log(
    settings: Settings,
    database: Database,
    work: Callable[[Core, Callable[[int], None]], Any],
    tell: Callable[[int], None],
) -> Any:
    """Run `work` while the log is served."""
    async with open_core(settings, database) as core, asyncio.TaskGroup() as group:
        serving = group.create_task(core.log.run())
        try:
            return await work(core, tell)
        finally:
            serving.cancel()


@app.command("inspect")
def inspect(
    file: FileArgument,
    gap_s: Annotated[
        float,
        typer.Option("--gap", min=0.001, max=86_400, help="seconds without anything that count as a gap"),
    ] = GAP_S,
    as_json: JsonOption = False,
) -> None:
    """Count what a recording holds and look whether it is whole; exit code 1 if it is not."""
    summary = Summary(gap_s)
    with open_recording(file) as reader:
        through(reader, file, summary.add, "looking through")
        header, footer, cut_off = reader.header, reader.footer, reader.cut_off
    found = {
        "file": str(file),
        "bytes": file.stat().st_size,
        "whole": cut_off is None,
        "trouble": cut_off or (footer.ended if footer else ""),
        "sha256": footer.sha256 if footer else None,
        "lost": footer.lost if footer else 0,
        "made": header.made,
        "partitions": header.partitions,
        "selected": header.selected,
        "anonymous": header.anonymous,
        **summary.as_dict(),
    }
    if as_json:
        print_json(found)
    else:
        _print_summary(found)
    raise typer.Exit(0 if cut_off is None else 1)


def _print_summary(found: dict[str, Any]) -> None:
    for name in ("events", "ticks", "first", "last", "lost", "made", "anonymous", "sha256"):
        out.print(f"{name:10} {found[name]}")
    for name in ("types", "sources", "wards", "minutes"):
        counts: dict[str, int] = found[name]
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
        print_table([f"{name} ({len(counts)})", "events"], [list(row) for row in most], as_json=False)
    for gap in found["gaps"][:SHOWN]:
        out.print(f"gap        {gap['from']} – {gap['to']}")
    if found["trouble"]:
        notes.print(
            f"{'not whole' if not found['whole'] else 'ended early'}: {found['trouble']}", style="yellow"
        )


@app.command("cut")
def cut(
    file: FileArgument,
    out_file: OutOption,
    begin: FromOption = None,
    until: UntilOption = None,
    stream: StreamOption = None,
    type_: TypeOption = None,
    source: SourceOption = None,
    ward: WardOption = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write part of a recording into another, or all of it into the other form (.ndjson.zst, .parquet)."""
    chosen = _selection(
        stream,
        type_,
        source,
        ward,
        time_option(begin, "--from") if begin else None,
        time_option(until, "--until") if until else None,
    )
    _rewrite(file, out_file, chosen, lambda entry: entry, replace=replace, as_json=as_json)


@app.command("anonymise")
def anonymise(
    file: FileArgument,
    out_file: OutOption,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key", help=f"file of {KEY_BYTES} bytes: equal keys, equal pseudonyms; made if absent"
        ),
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a recording without personal data: plates and contacts become pseudonyms, texts are masked.

    Without --key nobody has the key afterwards, so no pseudonym can be tried out.
    """
    change = Anonymiser(_key(key_file))
    _rewrite(file, out_file, Selection(), change, replace=replace, as_json=as_json, anonymous=True)


def _key(path: Path | None) -> bytes:
    if path is None:
        return secrets.token_bytes(KEY_BYTES)
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise CommandError(
            f"{path}: expected the {KEY_BYTES} bytes of a key", "Name another file with --key."
        )
    return key


def _rewrite(
    file: Path,
    out_file: Path,
    chosen: Selection,
    change: Callable[[Entry], Entry],
    *,
    replace: bool,
    as_json: bool,
    anonymous: bool = False,
) -> None:
    if out_file.exists() and out_file.samefile(file):
        raise CommandError("--out is the recording itself", "Name another file with --out.")
    size = file.stat().st_size
    with open_recording(file) as reader, progress() as tell:
        before = reader.header
        header = make_header(
            now_us(),
            partitions=before.partitions,
            selected=before.selected | chosen.described(),
            anonymous=before.anonymous or anonymous,
        )
        with new_recording(out_file, header, replace=replace) as writer:
            footer = rewrite(reader, writer, chosen, change, lambda n: tell("writing", min(n, size), size))
    _print_made(out_file, footer, as_json)


def through(reader: Reader, file: Path, take: Callable[[list[Entry]], None], what: str) -> None:
    """Give all entries of a recording to `take`, with a progress bar that says `what`."""
    size = file.stat().st_size
    with progress() as tell:
        for entries in reader.entries():
            take(entries)
            tell(what, min(reader.position, size), size)


def _selection(
    streams: list[str] | None,
    types: list[str] | None,
    sources: list[str] | None,
    wards: list[str] | None,
    from_us: int | None,
    to_us: int | None,
) -> Selection:
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise typer.BadParameter("expected a time after --from", param_hint="--until")
    try:
        return Selection(
            streams=frozenset(streams or ()),
            types=frozenset(types or ()),
            sources=frozenset(sources or ()),
            wards=frozenset(wards or ()),
            from_us=from_us,
            to_us=to_us,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--stream or --type") from error


def _print_made(path: Path, footer: Footer, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": str(path),
                "events": footer.events,
                "ticks": footer.ticks,
                "streams": footer.streams,
                "first": footer.first,
                "last": footer.last,
                "lost": footer.lost,
                "ended": footer.ended,
                "sha256": footer.sha256,
                "bytes": path.stat().st_size,
            }
        )
        return
    span = f"{footer.first} – {footer.last}" if footer.first else "nothing"
    out.print(
        f"{path}: {footer.events:,} events, {footer.ticks:,} ticks, {span}, {path.stat().st_size:,} bytes"
    )
    if footer.lost:
        notes.print(
            f"{footer.lost:,} records were deleted by retention before they were read", style="yellow"
        )
    if footer.ended not in ("", STOPPED):
        notes.print(f"ended early: {footer.ended}", style="yellow")
