"""`ioc retention …` and `ioc erasure …`: when personal data ends, and who asked for it to end sooner."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ioc.app import erasure as erasures
from ioc.app.cli.database import Connection, with_connection, with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.privacy import Retention, read_key
from ioc.app.sealing import Seal
from ioc.store.pool import Pool
from ioc.store.privacy import list_requests

retention = typer.Typer(no_args_is_help=True)
erasure = typer.Typer(no_args_is_help=True)
NumberArgument = Annotated[int, typer.Argument(help="number of the request")]
_COLUMNS = ["purpose", "kept_days", "oldest", "ends", "overdue", "last_run", "changed_then"]


@retention.command("report")
def report(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show per purpose how long it is kept, the oldest there is, and what is overdue."""
    settings = settings_from(config, data)

    async def read(pool: Pool) -> list[dict[str, object]]:
        key = read_key(settings.plate_key_file)
        return await Retention(pool, settings.privacy, key).report(datetime.now(UTC))

    found = with_pool(settings, read)
    print_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in found], as_json)


@retention.command("run")
def run(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Do now what the hourly jobs would do."""
    settings = settings_from(config, data)

    async def work(pool: Pool) -> dict[str, int]:
        key = read_key(settings.plate_key_file)
        return await Retention(pool, settings.privacy, key).round(datetime.now(UTC))

    changed = with_pool(settings, work)
    print_table(["purpose", "changed"], [[purpose, count] for purpose, count in changed.items()], as_json)


@erasure.command("add")
def add(
    phone: Annotated[str | None, typer.Option(help="phone number the request is about")] = None,
    plate: Annotated[str | None, typer.Option(help="plate the request is about")] = None,
    note: Annotated[str, typer.Option(help="how it came; no personal data")] = "",
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a request, and say by when it must be answered and done."""
    if (phone is None) == (plate is None):
        raise CommandError("a request is about one thing", "Give --phone or --plate.")
    kind, subject = ("phone", phone) if phone is not None else ("plate", plate)
    settings = settings_from(config, data)

    async def store(connection: Connection) -> tuple[int, datetime, datetime]:
        return await erasures.receive(
            connection,
            kind,
            subject or "",
            key=read_key(settings.plate_key_file),
            now=datetime.now(UTC),
            by=command_line_user(),
            note=note[:500],
        )

    number, answer, done = with_connection(settings, store)
    if as_json:
        print_json({"id": number, "answer_due": answer.isoformat(), "done_due": done.isoformat()})
    else:
        out.print(f"request {number}: answer by {answer:%Y-%m-%d}, erase by {done:%Y-%m-%d}")


@erasure.command("list")
def show(
    everything: Annotated[bool, typer.Option("--all", help="those that are done, too")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the requests, those due first before the others; whom they are about is not shown."""
    found = with_connection(
        settings_from(config, data), lambda connection: list_requests(connection, open_only=not everything)
    )
    now = datetime.now(UTC)
    rows = [
        [
            item.id, item.subject_kind, item.received.isoformat(), item.answer_due.isoformat(),
            item.answered.isoformat() if item.answered else None, item.done_due.isoformat(),
            item.done.isoformat() if item.done else None,
            item.done is None and (item.done_due < now or (item.answered is None and item.answer_due < now)),
            item.note,
        ]
        for item in found
    ]  # fmt: skip
    columns = ["id", "kind", "received", "answer_due", "answered", "done_due", "done", "overdue", "note"]
    print_table(columns, rows, as_json)


@erasure.command("answer")
def answer(
    number: NumberArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Note that the person has been answered."""
    now, by = datetime.now(UTC), command_line_user()
    with_connection(
        settings_from(config, data), lambda connection: erasures.answer(connection, number, now=now, by=by)
    )
    if as_json:
        print_json({"id": number, "answered": now.isoformat()})
    else:
        out.print(f"request {number} is answered")


@erasure.command("run")
def carry_out(
    number: NumberArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Erase what the request is about, wherever it is stored; cannot be undone."""
    settings = settings_from(config, data)

    async def work(connection: Connection) -> dict[str, int]:
        # It looks through everything that is stored.
        await connection.execute("SET LOCAL statement_timeout = '30min'")
        return await erasures.carry_out(
            connection,
            number,
            key=read_key(settings.plate_key_file),
            seal=Seal(read_key(settings.contact_key_file)),
            now=datetime.now(UTC),
            by=command_line_user(),
        )

    erased = with_connection(settings, work)
    if as_json:
        print_json({"id": number, "erased": erased})
    else:
        out.print(
            f"request {number} is done: " + ", ".join(f"{count} {name}" for name, count in erased.items())
        )
