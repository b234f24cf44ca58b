"""`ioc users …`: people who may log in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from ioc.app.cli_options import ConfigOption, DataOption, JsonOption, settings_from
from ioc.app.core import open_database
from ioc.app.demo import readable_password
from ioc.app.settings import Settings
from ioc.store.pool import open_pool
from ioc.store.users import Role, Users

app = typer.Typer(no_args_is_help=True)
Result = TypeVar("Result")
UserArgument = Annotated[str, typer.Argument(help="user name")]


def _with_users(settings: Settings, work: Callable[[Users], Awaitable[Result]]) -> Result:
    async def run(dsn: str) -> Result:
        async with open_pool(dsn, name="cli", max_size=2) as pool:
            return await work(Users(pool))

    with open_database(settings) as database:
        return asyncio.run(run(database.app))


@app.command("add")
def add(
    username: UserArgument,
    role: Annotated[Role, typer.Option(help="what the person may do")] = Role.OPERATOR,
    name: Annotated[str, typer.Option(help="name shown")] = "",
    ward: Annotated[list[str] | None, typer.Option(help="ward codes; without any: every ward")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Create an account and show its random password once."""
    password = readable_password()
    settings = settings_from(config, data)
    wards = tuple(ward) if ward else None
    _with_users(
        settings,
        lambda users: users.create_user(
            username, name=name or username, password=password, role=role, wards=wards
        ),
    )
    print(f"password of {username}, shown once: {password}")


@app.command("password")
def new_password(username: UserArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """Ask for a new password and end the person's sessions."""
    password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    _with_users(settings_from(config, data), lambda users: users.set_password(username, password))
    print(f"password of {username} changed")


@app.command("disable")
def disable(username: UserArgument, data: DataOption = None, config: ConfigOption = None) -> None:
    """Close an account; its sessions end at once."""
    _with_users(settings_from(config, data), lambda users: users.set_disabled(username))
    print(f"{username} is disabled")


@app.command("list")
def list_all(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the accounts."""
    people = _with_users(settings_from(config, data), lambda users: users.list_users())
    if as_json:
        rows = [{"user": p.username, "name": p.name, "role": p.role, "disabled": p.disabled} for p in people]
        print(json.dumps(rows, ensure_ascii=False))
        return
    for person in people:
        print(
            f"{person.username:16} {person.role:12} {person.name}{' (disabled)' if person.disabled else ''}"
        )
