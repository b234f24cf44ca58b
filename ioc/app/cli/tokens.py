"""`ioc tokens …`: how machines ask the API."""

from typing import Annotated

import typer

from ioc.api.access_table import TokenScope
from ioc.app.cli.database import with_pool
from ioc.app.cli.errors import CommandError
from ioc.app.cli.options import ConfigOption, DataOption, JsonOption, command_line_user, settings_from
from ioc.app.cli.output import out, print_json, print_table
from ioc.app.cli.users import check_wards
from ioc.store.pool import Pool
from ioc.store.tokens import TokenInfo, Tokens, TokenTakenError, UnknownTokenError
from ioc.store.users import Role

app = typer.Typer(no_args_is_help=True)
TokenArgument = Annotated[str, typer.Argument(help="name of the token, never used twice")]


@app.command("issue")
def issue(
    token_id: TokenArgument,
    scope: Annotated[list[TokenScope], typer.Option(help="what it may be used for; may be repeated")],
    role: Annotated[Role, typer.Option(help="what its bearer is")] = Role.LEADER,
    ward: Annotated[list[str] | None, typer.Option(help="ward codes, for the role ward")] = None,
    days: Annotated[float, typer.Option(help="how long it is valid")] = 90.0,
    data: DataOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a token and show it once."""
    wards = tuple(ward) if ward else None

    async def create(pool: Pool) -> tuple[str, TokenInfo]:
        await check_wards(pool, wards or ())
        scopes = [each.value for each in scope]
        try:
            return await Tokens(pool).issue(
                token_id, role=role, wards=wards, scopes=scopes, days=days, by=command_line_user()
            )
        except TokenTakenError as error:
            raise CommandError(str(error), "`{ioc} tokens list` shows those there are.") from error

    token, info = with_pool(settings_from(config, data), create)
    if as_json:
        print_json({"id": token_id, "token": token, "expires": info.expires.isoformat()})
        return
    out.print(
        f"token {token_id}, shown once, valid until {info.expires.astimezone():%Y-%m-%d %H:%M}: {token}"
    )
    if TokenScope.WALL in scope:
        out.print(f"open on the screen, once: /board?kiosk#{token}")


@app.command("revoke")
def revoke(
    token_id: TokenArgument, data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Make a token invalid at once."""

    async def end(pool: Pool) -> None:
        try:
            await Tokens(pool).revoke(token_id, by=command_line_user())
        except UnknownTokenError as error:
            message = f"there is no token {token_id!r}"
            raise CommandError(message, "`{ioc} tokens list` shows those there are.") from error

    with_pool(settings_from(config, data), end)
    if as_json:
        print_json({"id": token_id, "revoked": True})
    else:
        out.print(f"token {token_id} is revoked")


@app.command("list")
def list_all(data: DataOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens; none of them can be read again."""
    found = with_pool(settings_from(config, data), lambda pool: Tokens(pool).list())
    columns = ["id", "role", "wards", "scopes", "author", "expires", "used", "revoked"]
    rows = [
        [
            info.id, info.role.value, ",".join(info.wards) if info.wards else None, ",".join(info.scopes),
            info.author, info.expires.isoformat(), info.used.isoformat() if info.used else None,
            info.revoked.isoformat() if info.revoked else None,
        ]
        for info in found
    ]  # fmt: skip
    print_table(columns, rows, as_json)
