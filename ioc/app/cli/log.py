"""`ioc log …`: the event log and the positions in it."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Final

import typer

from ioc.app.cli.database import use_database
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli.output import notes, out, print_json, print_table
from ioc.app.cli.progress import progress
from ioc.app.core import open_log
from ioc.app.eventlog.adoption import AdoptionError, Beginning, adopt_log
from ioc.app.eventlog.drain import Tell
from ioc.app.eventlog.partitions import Added, PartitionAdder, PartitionsError
from ioc.app.settings import Settings
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import LogUnavailable
from ioc.eventlog.spill import Standing
from ioc.model.records import EVENTS_TOPIC
from ioc.store.pool import open_pool

app = typer.Typer(no_args_is_help=True)
MAX_PARTITIONS: Final = 256


@app.command("adopt")
def adopt(
    beginning: Annotated[
        Beginning | None,
        typer.Option("--from", help="where groups begin in a log that holds records already"),
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let this database go on in the log that the settings name, which is another than before.

    Stop every role first, and let them take what the former log holds: nobody reads that any more.
    """
    settings = settings_from(config, data)
    with use_database(settings) as database:
        try:
            places = asyncio.run(_adopt(settings, database.app, beginning))
        except AdoptionError as error:
            raise CommandError(str(error), "No position was changed.") from error
    if as_json:
        print_json({topic: dict(offsets) for topic, offsets in places.items()})
        return
    for topic, offsets in places.items():
        out.print(f"{topic}: groups go on at {', '.join(f'{p}:{o}' for p, o in sorted(offsets.items()))}")


@app.command("status")
def status(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show where each partition of the log ends and what waits in PostgreSQL for Kafka."""
    settings = settings_from(config, data)
    with use_database(settings) as database:
        ends, spilled, away = asyncio.run(_look(settings, database.app))
    numbers = sorted(ends.keys() | spilled.keys())
    rows = [_row(number, ends.get(number), spilled.get(number)) for number in numbers]
    print_table(["partition", "end", "spilled_records", "spilled_bytes", "oldest_s"], rows, as_json)
    if away:
        notes.print(f"Kafka cannot be reached: {away}", style="yellow")


def _row(partition: int, end: int | None, spilled: Standing | None) -> list[int | None]:
    if spilled is None:
        return [partition, end, 0, 0, 0]
    return [partition, end, spilled.records, spilled.size_bytes, round(spilled.oldest_s)]


async def _look(settings: Settings, dsn: str) -> tuple[Mapping[int, int], dict[int, Standing], str]:
    """Return the ends and what lies spilled by partition, and why there are no ends where there are none."""
    async with open_pool(dsn, name="log", max_size=2) as pool, open_log(settings, pool, dsn) as log:
        found = await log.spilled() if isinstance(log, KafkaLog) else []
        spilled = {each.partition: each for each in found if each.topic == EVENTS_TOPIC}
        try:
            return await log.ends(EVENTS_TOPIC), spilled, ""
        except LogUnavailable as error:
            return {}, spilled, str(error)


async def _adopt(settings: Settings, dsn: str, beginning: Beginning | None) -> dict[str, Mapping[int, int]]:
    async with open_pool(dsn, name="log", max_size=2) as pool, open_log(settings, pool, dsn) as log:
        return await adopt_log(log, settings.log.partitions, beginning)


@app.command("partitions")
def partitions(
    number: Annotated[
        int, typer.Argument(min=1, max=MAX_PARTITIONS, metavar="N", help="how many the log is to have")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give the log more partitions. Stop every role first; afterwards set log.partitions where it is set.

    Takes what the log still holds, then moves the rules' state, all or nothing. Interrupted, run it again.
    """
    settings = settings_from(config, data)
    with use_database(settings) as database:
        try:
            former = asyncio.run(_former(settings, database.app, number))
            if former and not yes:
                _confirm(former, number)
            with progress() as tell:
                done = asyncio.run(_add(settings, database.app, number, tell)) if former else []
        except PartitionsError as error:
            raise CommandError(str(error), "Nothing was changed; see `{ioc} log status`.") from error
    if as_json:
        print_json({"partitions": number, "changed": [each._asdict() for each in done]})
        return
    for each in done:
        out.print(
            f"{each.topic}: {each.former} → {each.partitions} partitions, state of {each.rows} keys moved"
        )
    if not done:
        out.print(f"the log has {number} partitions already")


def _confirm(former: Mapping[str, int], number: int) -> None:
    for topic, count in former.items():
        notes.print(f"{topic}: {count} → {number} partitions. There is no way back to fewer.")
    if not sys.stdin.isatty():
        raise PartitionsError("nobody to ask: say --yes")
    typer.confirm("Is every role stopped?", abort=True, err=True)


async def _former(settings: Settings, dsn: str, number: int) -> dict[str, int]:
    async with open_pool(dsn, name="log", max_size=2) as pool, open_log(settings, pool, dsn) as log:
        return await PartitionAdder(settings, log, pool, lambda *_: None).former(number)


async def _add(settings: Settings, dsn: str, number: int, tell: Tell) -> list[Added]:
    size = settings.database.pool_size
    async with (
        open_pool(dsn, name="log", max_size=size) as log_pool,
        open_pool(dsn, name="work", max_size=size) as pool,
        open_log(settings, log_pool, dsn) as log,
    ):
        return await PartitionAdder(settings, log, pool, tell).add(number)
