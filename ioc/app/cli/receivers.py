"""`ioc receivers …`: who is told of incidents, and deliveries that failed."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from ioc.api.ports import NotFoundError
from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import (
    ConfigOption,
    DataOption,
    JsonOption,
    command_line_user,
    settings_from,
    time_option,
)
from ioc.app.cli.output import notes, out, print_json, print_table
from ioc.app.clock import now_us
from ioc.app.incidents.receivers import StoredReceivers
from ioc.app.settings import Settings
from ioc.store.pool import Pool
from ioc.store.receivers import MAX_PAGE

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="id of the receiver")]
SinceOption = Annotated[
    str | None, typer.Option(help="only what was queued since, e.g. 2026-11-29T07:00:00Z")
]
_Result = TypeVar("_Result")


@app.command("list")
def list_all(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the receivers and how they fare; never their secrets."""
    found = _with_receivers(settings_from(config, data), lambda receivers: receivers.list())
    columns = ["id", "kind", "target", "enabled", "waiting", "last_sent", "paused_until", "last_error"]
    rows = [
        [
            each.receiver.id, each.receiver.kind.value, each.receiver.target, each.receiver.enabled,
            each.waiting, _shown(each.last_sent), _shown(each.open_until), each.last_error,
        ]
        for each in found
    ]  # fmt: skip
    print_table(columns, rows, as_json)


@app.command("failed")
def failed(
    name: NameArgument,
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="newest deliveries shown")] = 50,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a receiver's deliveries that were given up, newest first."""
    since_us = time_option(since, "--since") if since else 0
    found = _with_receivers(
        settings_from(config, data),
        lambda receivers: receivers.deliveries(name, limit, state="failed", since_us=since_us),
    )
    columns = ["notice", "created", "finished", "resent", "error"]
    rows = [
        [
            row.notice_id, _shown(row.created), _shown(row.finished), row.resent, row.error,
        ]
        for row in found
    ]  # fmt: skip
    print_table(columns, rows, as_json)


@app.command("resend")
def resend(
    name: NameArgument,
    notice: Annotated[list[str] | None, typer.Option(help="notice to send again; repeat for several")] = None,
    since: SinceOption = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a receiver again what was given up: single notices, or all since a time."""
    if (notice is None) == (since is None):
        raise typer.BadParameter("expected either --notice or --since")
    since_us = time_option(since, "--since") if since else 0

    async def ask(receivers: StoredReceivers) -> tuple[int, int]:
        try:
            done = await receivers.resend(name, command_line_user(), notices=notice, since_us=since_us)
        except NotFoundError as error:
            raise CommandError(
                f"there is no receiver {name!r}", "`{ioc} receivers list` shows them."
            ) from error
        return done.again, done.left

    again, left = _with_receivers(settings_from(config, data), ask)
    if as_json:
        print_json({"receiver": name, "again": again, "left": left})
        return
    out.print(f"{again} of {again + left} failed deliveries to {name} wait to be sent again")
    if left:
        notes.print("Give the command again for the others (notify.max_resent at a time).")


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _with_receivers(settings: Settings, work: Callable[[StoredReceivers], Awaitable[_Result]]) -> _Result:
    async def on(pool: Pool) -> _Result:
        return await work(StoredReceivers(pool, settings.notify, now_us))

    return with_pool(settings, on)
