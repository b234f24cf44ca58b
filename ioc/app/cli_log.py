"""`ioc log …`: the event log and the positions in it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from ioc.app.cli_database import use_database
from ioc.app.cli_errors import CommandError
from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli_output import out, print_json
from ioc.app.core import open_log
from ioc.app.log_adoption import AdoptionError, Beginning, adopt_log
from ioc.app.settings import Settings
from ioc.store.pool import open_pool

app = typer.Typer(no_args_is_help=True)


@app.callback()
def log() -> None:
    """Keep `adopt` a command of its own name, though it is the only one."""


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
            raise CommandError(str(error), "Nothing was changed.") from error
    if as_json:
        print_json({topic: dict(offsets) for topic, offsets in places.items()})
        return
    for topic, offsets in places.items():
        out.print(f"{topic}: groups go on at {', '.join(f'{p}:{o}' for p, o in sorted(offsets.items()))}")


async def _adopt(settings: Settings, dsn: str, beginning: Beginning | None) -> dict[str, Mapping[int, int]]:
    async with open_pool(dsn, name="log", max_size=2) as pool, open_log(settings, pool, dsn) as log:
        return await adopt_log(log, settings.log.partitions, beginning)
