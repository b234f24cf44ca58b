"""`ioc devices login | attached`: how we log in to devices, and how the streams fare that we hold."""

import os
import sys
from datetime import timedelta
from typing import Annotated, Final

import msgspec
import typer

from ioc.api.attachments import attachment_view
from ioc.app.cli.database import Connection, with_connection
from ioc.app.cli.errors import CommandError
from ioc.app.cli.names import need_device
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.clock import now_us
from ioc.app.devices.logins import forget_login, seal_of, store_login
from ioc.model.attachments import AttachState
from ioc.model.times import SECOND_US
from ioc.outbound.camera import Login
from ioc.store.attachments import read_attachments

PASSWORD_VARIABLE: Final = "IOC_LOGIN_PASSWORD"  # noqa: S105 - its name


def register(app: typer.Typer) -> None:
    """Add the commands to `ioc devices`."""
    app.command("login")(login)
    app.command("attached")(attached)


def read_password(device_id: str) -> str:
    """Return the password of a device's login: from the environment, asked for, or a line of standard input.

    Never an argument: those stand in the list of processes and in the shell's history.
    """
    if (given := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return given
    if sys.stdin.isatty():
        found: str = typer.prompt(f"Password at {device_id}", hide_input=True)
        return found
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


def login(
    device_id: Annotated[str, typer.Argument(help="a registered device")],
    user: Annotated[
        str | None,
        typer.Option(
            help=f"its user; the password is asked for, or a line of standard input, or {PASSWORD_VARIABLE}"
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="forget its login")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a device the login with which we fetch its pictures and events; it is sealed and never shown."""
    if remove is (user is not None):
        raise CommandError("expected either --user or --remove", "See `{ioc} devices login --help`.")
    settings = settings_from(config, data)
    with_connection(settings, lambda connection: need_device(connection, device_id))
    given = None if user is None else Login(user, read_password(device_id))

    async def change(connection: Connection) -> None:
        if given is not None:
            await store_login(connection, seal_of(settings), device_id, given, command_line_user())
        elif not await forget_login(connection, device_id, command_line_user()):
            raise CommandError(
                f"there is no login of {device_id!r}", "`{ioc} devices login --user` gives it one."
            )

    with_connection(settings, change)
    if as_json:
        print_json({"device": device_id, "user": user})
    else:
        out.print(
            f"login of {device_id} " + ("removed" if user is None else f"is {user}; it is used at once")
        )


def attached(
    failing: Annotated[bool, typer.Option("--failing", help="only those that are not connected")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the event streams that we hold: connected or not, heard last, cuts, and what is wrong."""
    found = with_connection(settings_from(config, data), read_attachments)
    shown = [each for each in found if not (failing and each.state is AttachState.CONNECTED)]
    if as_json:
        print_json([msgspec.to_builtins(attachment_view(each)) for each in shown])
        return
    now = now_us()
    rows = [
        [each.device_id, each.kind, each.state, _ago(each.changed_us, now), _ago(each.seen_us, now),
         each.connects, _until(each.due_us, now), each.error]
        for each in shown
    ]  # fmt: skip
    columns = ["id", "way", "state", "since", "heard", "connected", "next try", "last trouble"]
    print_table(columns, rows, as_json)


def _ago(moment_us: int | None, now: int) -> str | None:
    return None if moment_us is None else f"{timedelta(seconds=max(now - moment_us, 0) // SECOND_US)} ago"


def _until(moment_us: int | None, now: int) -> str | None:
    return None if moment_us is None else f"in {timedelta(seconds=max(moment_us - now, 0) // SECOND_US)}"
