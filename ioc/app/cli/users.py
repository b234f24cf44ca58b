"""`ioc users …`: people who may log in."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

import typer

from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.names import need_user
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import print_json, print_table
from ioc.app.demo import readable_password
from ioc.app.settings import Settings
from ioc.app.ward_check import known_wards, unknown_wards
from ioc.store.pool import Pool
from ioc.store.second_factor import demand, drop, read_confirmed
from ioc.store.users import Person, Role, UsernameTakenError, Users, normal_username

app = typer.Typer(no_args_is_help=True)
_FACTORS: Final = {None: "none", False: "demanded", True: "in use"}
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
        await check_wards(pool, wards or ())
        try:
            return await Users(pool).create_user(
                username,
                name=name or username,
                password=password,
                role=role,
                wards=wards,
                by=command_line_user(),
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


async def check_wards(pool: Pool, wards: tuple[str, ...]) -> None:
    """Raise `CommandError` where a ward is not an imported one."""
    async with pool.connection() as connection:
        unknown = unknown_wards(wards, await known_wards(connection))
    if unknown:
        raise CommandError("\n".join(unknown), "Give the code of an imported ward with --ward.")


@app.command("password")
def new_password(
    username: UserArgument,
    random: Annotated[
        bool, typer.Option("--random", help="make one up and show it once instead of asking")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace a password and end the person's sessions."""
    settings = settings_from(config, data)
    if as_json and not random:
        raise CommandError("a script cannot be asked for a password", "Add --random.")
    with_pool(settings, lambda pool: need_user(Users(pool), username))
    password = (
        readable_password()
        if random
        else typer.prompt("New password", hide_input=True, confirmation_prompt=True)
    )
    _change(settings, username, lambda users: users.set_password(username, password, by=command_line_user()))
    if as_json:
        print_json({"user": username, "password": password})
    else:
        print(f"password of {username}" + (f", shown once: {password}" if random else " changed"))


@app.command("disable")
def disable(
    username: UserArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Close an account; its sessions and open consoles end at once."""
    _set_disabled(username, True, settings_from(config, data), as_json)


@app.command("enable")
def enable(
    username: UserArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Open a closed account again."""
    _set_disabled(username, False, settings_from(config, data), as_json)


def _set_disabled(username: str, disabled: bool, settings: Settings, as_json: bool) -> None:
    _change(settings, username, lambda users: users.set_disabled(username, disabled, by=command_line_user()))
    if as_json:
        print_json({"user": username, "disabled": disabled})
    else:
        print(f"{username} is {'disabled' if disabled else 'enabled'}")


@app.command("access")
def change_access(
    username: UserArgument,
    role: Annotated[Role, typer.Option(help="what the person may do from now on")],
    ward: Annotated[list[str] | None, typer.Option(help="ward codes of ward staff")] = None,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a person's role and wards; their sessions and open consoles end at once."""
    wards = tuple(ward) if ward else None

    async def change(pool: Pool) -> None:
        await need_user(Users(pool), username)
        await check_wards(pool, wards or ())
        await Users(pool).set_access(username, role, wards, by=command_line_user())

    with_pool(settings_from(config, data), change)
    if as_json:
        print_json({"user": username, "role": role, "wards": wards})
    else:
        print(f"{username} is {role.value}" + (f" of {', '.join(wards)}" if wards else ""))


@app.command("log-out")
def log_out(
    username: UserArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """End all sessions and open consoles of a person."""

    async def end(pool: Pool) -> int:
        await need_user(Users(pool), username)
        return await Users(pool).close_sessions(username, by=command_line_user())

    ended = with_pool(settings_from(config, data), end)
    if as_json:
        print_json({"user": username, "sessions": ended})
    else:
        print(f"{username}: {ended} sessions ended")


@app.command("second-factor")
def second_factor(
    username: UserArgument,
    off: Annotated[bool, typer.Option("--off", help="ask for no code any more")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a person for codes of an app (TOTP), beginning at the next login; again for a new phone."""
    name = normal_username(username)

    async def change(pool: Pool) -> None:
        await need_user(Users(pool), name)
        async with pool.connection() as connection, connection.transaction():
            if off:
                await drop(connection, name, by=command_line_user())
            else:
                await demand(connection, name, by=command_line_user())
        await Users(pool).close_sessions(name, by=command_line_user())

    with_pool(settings_from(config, data), change)
    if as_json:
        print_json({"user": name, "second_factor": not off})
    else:
        what = "no code is asked for" if off else "from the next login on an app gives the codes"
        print(f"{name}: {what}")


def _change(settings: Settings, username: str, work: Callable[[Users], Awaitable[None]]) -> None:
    async def change(pool: Pool) -> None:
        await need_user(Users(pool), username)
        await work(Users(pool))

    with_pool(settings, change)


@app.command("list")
def list_all(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the accounts."""

    async def read(pool: Pool) -> tuple[list[Person], dict[str, bool]]:
        async with pool.connection() as connection:
            factors = await read_confirmed(connection)
        return await Users(pool).list_users(), factors

    people, factors = with_pool(settings_from(config, data), read)
    rows = [
        (
            person.username,
            person.name,
            person.role,
            person.wards,
            person.disabled,
            _FACTORS[factors.get(person.username)],
        )
        for person in people
    ]
    columns = ("user", "name", "role", "wards", "disabled", "second_factor")
    print_table(columns, rows, as_json)
