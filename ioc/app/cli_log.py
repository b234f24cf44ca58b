"""`ioc log …`: the event log and the positions in it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from ioc.app.cli_database import use_database
from ioc.app.cli_errors import CommandError
from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli_output import notes, out, print_json, print_table
from ioc.app.core import open_log
from ioc.app.log_adoption import AdoptionError, Beginning, adopt_log
from ioc.app.settings import Settings
from ioc.eventlog.kafka import KafkaLog
from ioc.eventlog.port import LogUnavailable
from ioc.eventlog.spill import Standing
from ioc.model.records import EVENTS_TOPIC
from ioc.store.pool import open_pool

app = typer.Typer(no_args_is_help=True)


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
