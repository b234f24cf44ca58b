"""`ioc users …`: people who may log in."""

from typing import Annotated

import typer

from ioc.app.cli_database import with_pool
from ioc.app.cli_errors import CommandError
from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.cli_output import print_json
from ioc.app.demo import readable_password
from ioc.app.ward_check import known_wards, unknown_wards
from ioc.store.pool import Pool
from ioc.store.users import Person, Role, UnknownUserError, UsernameTakenError, Users

app = typer.Typer(no_args_is_help=True)
UserArgument = Annotated[str, typer.Argument(help="user name")]


@app.command("add")
def add(
    username: UserArgument,
    role: Annotated[Role, typer.Option(help="what the person may do")] = Role.OPERATOR,
    name: Annotated[str, typer.Option(help="name shown")] = "",
    ward: Annotated[list[str] | None, typer.Option(help="ward codes; without any: every ward")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account and show its random password once."""
    password = readable_password()
    wards = tuple(ward) if ward else None

    async def create(pool: Pool) -> Person:
        await _check_wards(pool, wards or ())
        try:
            return await Users(pool).create_user(
                username, name=name or username, password=password, role=role, wards=wards
            )
        except UsernameTakenError as error:
            raise CommandError(
                f"there is already a user {username!r}",
                f"Choose another name, or give a new password with `{{ioc}} users password {username}`.",
            ) from error

    person = with_pool(settings_from(config, data), create)
    if as_json:
        print_json({"user": person.username, "role": person.role, "password": password})
    else:
        print(f"password of {person.username}, shown once: {password}")


async def _check_wards(pool: Pool, wards: tuple[str, ...]) -> None:
    async with pool.connection() as connection:
        unknown = unknown_wards(wards, await known_wards(connection))
    if unknown:
        raise CommandError("\n".join(unknown), "Give the code of an imported ward with --ward.")


@app.command("password")
def new_password(username: UserArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """Ask for a new password and end the person's sessions."""
    settings = settings_from(config, data)
    password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)

    async def change(pool: Pool) -> None:
        try:
            await Users(pool).set_password(username, password)
        except UnknownUserError as error:
            raise _nobody(username) from error

    with_pool(settings, change)
    print(f"password of {username} changed")


@app.command("disable")
def disable(
    username: UserArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Close an account; its sessions end at once."""

    async def close(pool: Pool) -> None:
        try:
            await Users(pool).set_disabled(username)
        except UnknownUserError as error:
            raise _nobody(username) from error

    with_pool(settings_from(config, data), close)
    if as_json:
        print_json({"user": username, "disabled": True})
    else:
        print(f"{username} is disabled")


def _nobody(username: str) -> CommandError:
    return CommandError(f"there is no user {username!r}", "`{ioc} users list` shows who has an account.")


@app.command("list")
def list_all(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the accounts."""
    people = with_pool(settings_from(config, data), lambda pool: Users(pool).list_users())
    if as_json:
        print_json(
            [{"user": p.username, "name": p.name, "role": p.role, "disabled": p.disabled} for p in people]
        )
        return
    for person in people:
        print(
            f"{person.username:16} {person.role:12} {person.name}{' (disabled)' if person.disabled else ''}"
        )
